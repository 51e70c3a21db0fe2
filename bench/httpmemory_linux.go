package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memoryLoad is the name that -only is matched against.
const memoryLoad = "http memory"

const httpMemoryBytes = 1 << 30

// memoryCase is a connector, and a client's body for it.
type memoryCase struct {
	name    string
	service httpService
	sign    func(*http.Request) // what the client does, where it must
	refused bool                // the upload, with 413
}

func memoryCases() []memoryCase {
	return []memoryCase{
		{name: "basic_auth", service: basicAuthService(true)},
		{name: "generic_http", service: httpServiceOf("generic_http", "token: generic-token-of-the-bench",
			func(target) string { return `headers: { Authorization: "Bearer {{ .token }}" }` })},
		{name: "oauth2", service: httpServiceOf("oauth2", "clientId: bench, clientSecret: "+basicPassword,
			func(t target) string {
				return fmt.Sprintf("tokenURL: %q", "http://"+net.JoinHostPort(loopback, strconv.Itoa(t.tokenPort))+tokenPath)
			})},
		{name: "conjur", service: httpServiceOf("conjur", "accessToken: '{\"protected\":\"bench\"}'", func(target) string { return "" })},
		{name: "aws, UNSIGNED-PAYLOAD", service: awsService(), sign: signAWS("s3", "UNSIGNED-PAYLOAD")},
		{name: "aws, signed chunks", service: awsService(), sign: signAWS("s3", signedChunks)},
		{name: "aws, the body to be hashed", service: awsService(), sign: signAWS("execute-api", ""), refused: true},
	}
}

func httpServiceOf(connector, credentials string, config func(target) string) httpService {
	return func(t target) (string, string, string) {
		return connector, "{ " + credentials + " }",
			strings.TrimSuffix(fmt.Sprintf("{ hosts: [%q], %s", net.JoinHostPort(loopback, strconv.Itoa(t.port)), config(t)), ", ") + " }"
	}
}

func awsService() httpService {
	return httpServiceOf("aws", "accessKeyId: AKIABENCHBENCHBENCH0, secretAccessKey: "+basicPassword, func(target) string { return "" })
}

const signedChunks = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

// signAWS signs as a client with worthless keys does. A download is signed
// without a body.
func signAWS(service, payload string) func(*http.Request) {
	return func(r *http.Request) {
		now, payload := time.Now().UTC(), payload
		if r.Body == nil {
			payload = "UNSIGNED-PAYLOAD"
		}
		names := "host;x-amz-date"
		r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
		if payload != "" {
			names = "host;x-amz-content-sha256;x-amz-date"
			r.Header.Set("X-Amz-Content-Sha256", payload)
		}
		worthless := strings.Repeat("0", 64)
		r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=dummy/%s/eu-central-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
			now.Format("20060102"), service, names, worthless))
		if payload == signedChunks {
			size := r.ContentLength
			r.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(size, 10))
			r.Header.Set("Content-Encoding", "aws-chunked")
			body, length := chunked(size, worthless)
			r.Body, r.ContentLength = io.NopCloser(body), length
		}
	}
}

// chunked is a body of size bytes in aws-chunked encoding, and its length.
func chunked(size int64, signature string) (io.Reader, int64) {
	const chunk = 64 << 10
	one := slices.Concat([]byte(fmt.Sprintf("%x;chunk-signature=%s\r\n", chunk, signature)), make([]byte, chunk), []byte("\r\n"))
	last := "0;chunk-signature=" + signature + "\r\n\r\n"
	count := size / chunk
	return io.MultiReader(&repeated{block: one, left: count}, strings.NewReader(last)), count*int64(len(one)) + int64(len(last))
}

// repeated is one block again and again.
type repeated struct {
	block []byte
	at    int
	left  int64
}

// Read continues in the block where it stopped.
func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && r.left > 0 {
		m := copy(p[n:], r.block[r.at:])
		n, r.at = n+m, r.at+m
		if r.at == len(r.block) {
			r.at, r.left = 0, r.left-1
		}
	}
	if n == 0 && r.left == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// memory streams both ways through every connector, in a fresh process each.
func (b *bench) memory(ctx context.Context) (rows []memoryRow) {
	program := ""
	for _, r := range b.relays {
		if r.name == broker {
			program = r.program
		}
	}
	for _, encrypted := range []bool{false, true} {
		for _, c := range memoryCases() {
			if ctx.Err() != nil || program == "" || encrypted && b.options.quick {
				continue
			}
			row, err := b.memoryOf(ctx, program, c, encrypted)
			if err != nil {
				row.failure = err.Error()
			}
			progress("%s: %s: peak %.1f MiB, %s", memoryLoad, row.name, row.peakKiB/1024, row.failure)
			rows = append(rows, row)
		}
	}
	return rows
}

func (b *bench) memoryOf(ctx context.Context, program string, c memoryCase, encrypted bool) (memoryRow, error) {
	row := memoryRow{name: c.name + ", " + httpVersion{encrypted: encrypted}.String()}
	s, err := b.server(ctx, httpServer())
	if err != nil {
		return row, err
	}
	to := s.target(encrypted)
	to.tokenPort = s.target(false).port
	running, err := b.fleet.start(ctx, brokerOf(program, broker, c.service), to)
	if err != nil {
		return row, err
	}
	defer running.stop()
	began := time.Now()
	_, err = besideRelay(func() (struct{}, error) {
		return struct{}{}, c.bothWays(ctx, httpClient{endpoint: running.endpoint("tcp")})
	})
	row.seconds = time.Since(began).Seconds()
	if err != nil {
		return row, err
	}
	row.refused = c.refused
	row.peakKiB, err = peakKiB(running.process.cmd.Process.Pid)
	return row, err
}

// bothWays uploads and downloads at the same time.
func (c memoryCase) bothWays(ctx context.Context, client httpClient) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	uploaded := make(chan error)
	go func() { uploaded <- c.upload(ctx, client) }()
	down := c.download(ctx, client)
	return errors.Join(<-uploaded, down)
}

func (c memoryCase) upload(ctx context.Context, client httpClient) error {
	r, err := client.request(ctx, "PUT", upPath, zeros(httpMemoryBytes), httpMemoryBytes)
	if err != nil {
		return err
	}
	_, err = c.send(client, r)
	if !c.refused {
		return err
	}
	if refusal, ok := errors.AsType[*statusError](err); !ok || refusal.status != http.StatusRequestEntityTooLarge {
		return fmt.Errorf("%w: want 413, not %v", errAnswer, err)
	}
	return nil
}

func (c memoryCase) download(ctx context.Context, client httpClient) error {
	r, err := client.request(ctx, "GET", downPath+strconv.Itoa(httpMemoryBytes), nil, 0)
	if err != nil {
		return err
	}
	n, err := c.send(client, r)
	if err == nil && n != httpMemoryBytes {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (c memoryCase) send(client httpClient, r *http.Request) (int64, error) {
	if c.sign != nil {
		c.sign(r)
	}
	library, closeAll := client.library()
	defer closeAll()
	return do(library, r, false)
}

var errNoPeak = errors.New("/proc says nothing about the peak of memory")

// peakKiB is the most memory that the process has had resident.
func peakKiB(pid int) (float64, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		var kib float64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %f kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, errNoPeak
}
