package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// copyOut streams a whole table to a client that throws it away.
func copyOut(ctx context.Context, e endpoint) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	conn, err := pgConnect(ctx, e)
	if err != nil {
		return outcome{}, err
	}
	defer conn.Close(ctx)
	var counted byteCounter
	began := time.Now()
	if _, err := conn.CopyTo(ctx, &counted, "COPY bulk TO STDOUT"); err != nil {
		return outcome{}, fmt.Errorf("COPY out: %w", err)
	}
	return outcome{work: float64(counted), duration: time.Since(began)}, nil
}

// byteCounter is a writer that only counts.
type byteCounter int64

func (c *byteCounter) Write(p []byte) (int, error) {
	*c += byteCounter(len(p))
	return len(p), nil
}

// copyIn streams as many rows into an empty table. Emptying it goes to the
// server directly: only the COPY is measured.
func copyIn(ctx context.Context, e, admin endpoint) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := pgExecute(ctx, admin, "TRUNCATE bulk_in"); err != nil {
		return outcome{}, err
	}
	conn, err := pgConnect(ctx, e)
	if err != nil {
		return outcome{}, err
	}
	defer conn.Close(ctx)
	rows := newRows(bulkRows)
	size := rows.left
	began := time.Now()
	if _, err := conn.CopyFrom(ctx, rows, "COPY bulk_in FROM STDIN"); err != nil {
		return outcome{}, fmt.Errorf("COPY in: %w", err)
	}
	return outcome{work: float64(size), duration: time.Since(began)}, nil
}

// rowReader gives the same row in COPY's text format again and again.
type rowReader struct {
	chunk  []byte
	offset int
	left   int64
}

func newRows(count int64) *rowReader {
	row := append([]byte("12345678\t"), bytes.Repeat([]byte("0123456789abcdef"), bulkRowBytes/16)...)
	row = append(row, '\n')
	return &rowReader{chunk: bytes.Repeat(row, 256), left: count * int64(len(row))}
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.chunk[r.offset:])
	r.left -= int64(n)
	r.offset = (r.offset + n) % len(r.chunk)
	return n, nil
}
