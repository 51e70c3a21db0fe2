//go:build linux

package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
)

// countingDatabase answers everything with 1 and counts.
type countingDatabase struct {
	opened, asked, open atomic.Int64
	refuseAfter         int64 // questions; 0 for never
}

func (d *countingDatabase) Connect(context.Context) (driver.Conn, error) {
	d.opened.Add(1)
	d.open.Add(1)
	return &countingConn{d}, nil
}
func (d *countingDatabase) Driver() driver.Driver { return nil }

func (d *countingDatabase) handle(endpoint) (*sql.DB, error) { return sql.OpenDB(d), nil }

type countingConn struct{ database *countingDatabase }

func (c *countingConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c *countingConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *countingConn) Close() error                        { c.database.open.Add(-1); return nil }

func (c *countingConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	n := c.database.asked.Add(1)
	if c.database.refuseAfter > 0 && n > c.database.refuseAfter {
		return nil, errors.New("no more")
	}
	return &oneRow{}, nil
}

type oneRow struct{ given bool }

func (r *oneRow) Columns() []string { return []string{"1"} }
func (r *oneRow) Close() error      { return nil }
func (r *oneRow) Next(into []driver.Value) error {
	if r.given {
		return io.EOF
	}
	r.given, into[0] = true, int64(1)
	return nil
}

func TestSQLLoadReconnectsForEveryQuestionOrNever(t *testing.T) {
	for _, reconnect := range []bool{true, false} {
		var database countingDatabase
		load := sqlLoad{open: database.handle, clients: 2, reconnect: reconnect, latency: !reconnect, seconds: 1}
		done, err := load.run(t.Context(), endpoint{})
		if err != nil {
			t.Fatal(err)
		}
		asked, opened := database.asked.Load(), database.opened.Load()
		if done.work != float64(asked) || asked == 0 {
			t.Errorf("reconnect %v: %v done, the database counted %d", reconnect, done.work, asked)
		}
		if reconnect && opened != asked || !reconnect && opened != 2 {
			t.Errorf("reconnect %v: %d connections for %d questions", reconnect, opened, asked)
		}
		if database.open.Load() != 0 {
			t.Errorf("reconnect %v: %d connections stay open", reconnect, database.open.Load())
		}
		if timed := done.latency.median > 0 && done.latency.p99 >= done.latency.median; timed == reconnect {
			t.Errorf("reconnect %v: latency %+v", reconnect, done.latency)
		}
	}
}

func TestSQLLoadFailsWithTheDatabase(t *testing.T) {
	database := countingDatabase{refuseAfter: 5}
	_, err := sqlLoad{open: database.handle, clients: 2, seconds: 20}.run(t.Context(), endpoint{})
	if err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("error %v, want the database's", err)
	}
}
