package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// The paths of the HTTP target. What is below downPath is how many bytes it
// sends.
const (
	smallPath = "/small"
	downPath  = "/down/"
	upPath    = "/up"
	tokenPath = "/token" // of an OAuth2 server that gives everyone a token
)

// smallBytes is the body that keep-alive loads ask for.
const smallBytes = 1024

// basicAuthorization is what the target demands for smallPath: the client's
// own, or added by a relay.
const basicAuthorization = "Basic YmVuY2g6bm90LWEtc2VjcmV0LWF0LWFsbA==" // bench:not-a-secret-at-all

const basicPassword = "not-a-secret-at-all"

// httpTarget answers as fast as it can: over plain connections, the small
// answer costs it a read and a write.
type httpTarget struct {
	plain, secure net.Listener
	server        *http.Server // behind TLS, in both versions of HTTP
	owned         sync.WaitGroup
	mu            sync.Mutex
	conns         map[net.Conn]struct{}
	closed        bool
	certificate   string // PEM, of a file that the relays' account can read
}

func httpServer() kind { return kind{"the HTTP target", startHTTPTarget} }

func startHTTPTarget(_ context.Context, b *bench) (server, error) {
	return newHTTPTarget(filepath.Join(b.dir, "http"), loopback+":0", loopback+":0")
}

func newHTTPTarget(dir, plain, secure string) (*httpTarget, error) {
	private, err := newKey()
	if err != nil {
		return nil, err
	}
	certificate, key, err := selfSigned(private)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("the HTTP target's certificate: %w", err)
	}
	t := &httpTarget{conns: map[net.Conn]struct{}{}, certificate: filepath.Join(dir, "target.crt")}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the HTTP target's directory: %w", err)
	}
	for name, content := range map[string]string{"target.crt": certificate, "target.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, fmt.Errorf("the HTTP target's certificate: %w", err)
		}
	}
	if t.plain, err = net.Listen("tcp", plain); err != nil {
		return nil, fmt.Errorf("the HTTP target: %w", err)
	}
	if t.secure, err = net.Listen("tcp", secure); err != nil {
		t.plain.Close()
		return nil, fmt.Errorf("the HTTP target: %w", err)
	}
	t.server = &http.Server{
		Handler: http.HandlerFunc(answerHTTP), ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20, MaxConcurrentStreams: 250},
	}
	t.owned.Go(t.accept)
	t.owned.Go(func() { _ = t.server.ServeTLS(t.secure, "", "") })
	return t, nil
}

// stop ends every connection and waits for them.
func (t *httpTarget) stop() {
	t.mu.Lock()
	t.closed = true
	t.plain.Close()
	for conn := range t.conns {
		conn.Close()
	}
	t.mu.Unlock()
	_ = t.server.Close()
	t.owned.Wait()
}

func (t *httpTarget) port(encrypted bool) int {
	if encrypted {
		return t.secure.Addr().(*net.TCPAddr).Port
	}
	return t.plain.Addr().(*net.TCPAddr).Port
}

func (t *httpTarget) target(encrypted bool) target {
	return target{connector: "http", port: t.port(encrypted), encrypted: encrypted, certificate: t.certificate}
}

func (t *httpTarget) direct(w way) endpoint {
	return endpoint{port: t.port(w.encrypted), targetPort: t.port(w.encrypted), encrypted: w.encrypted}
}

func (t *httpTarget) facts(context.Context) []fact { return nil }

func (t *httpTarget) accept() {
	for {
		conn, err := t.plain.Accept()
		if err != nil {
			return
		}
		t.mu.Lock()
		if t.closed {
			conn.Close()
		} else {
			t.conns[conn] = struct{}{}
			t.owned.Go(func() { t.serve(conn) })
		}
		t.mu.Unlock()
	}
}

func (t *httpTarget) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.conns, conn)
	}()
	in := bufio.NewReaderSize(conn, 64<<10)
	small := smallAnswer()
	for {
		head, err := peekHead(in)
		if err != nil {
			return
		}
		if isSmall(head) {
			_, _ = in.Discard(len(head))
			if _, err := conn.Write(small); err != nil {
				return
			}
			continue
		}
		if err := answerPlain(conn, in); err != nil {
			return
		}
	}
}

// isSmall says whether head is a request for the small answer, authorised.
func isSmall(head []byte) bool {
	return bytes.HasPrefix(head, []byte("GET "+smallPath+" ")) && bytes.Contains(head, []byte("\r\nAuthorization: "+basicAuthorization+"\r\n"))
}

// peekHead waits for a whole head.
func peekHead(in *bufio.Reader) ([]byte, error) {
	for n := 1; ; n = in.Buffered() + 1 {
		if _, err := in.Peek(n); err != nil {
			return nil, err
		}
		have, _ := in.Peek(in.Buffered())
		if end := bytes.Index(have, []byte("\r\n\r\n")); end >= 0 {
			return have[:end+4], nil
		}
	}
}

func smallBody() string { return `{"text":"` + strings.Repeat("x", smallBytes-11) + `"}` }

func smallAnswer() []byte {
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(smallBytes) + "\r\n\r\n" + smallBody())
}

// answerPlain serves one request of a plain connection that is not a small one.
func answerPlain(conn net.Conn, in *bufio.Reader) error {
	r, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	w := &plainAnswer{conn: conn, header: http.Header{}}
	answerHTTP(w, r)
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// plainAnswer is an http.ResponseWriter for answers that say their length.
type plainAnswer struct {
	conn   net.Conn
	header http.Header
	begun  bool
}

func (w *plainAnswer) Header() http.Header { return w.header }

func (w *plainAnswer) WriteHeader(status int) {
	w.begun = true
	_, _ = fmt.Fprintf(w.conn, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = w.header.Write(w.conn)
	_, _ = io.WriteString(w.conn, "\r\n")
}

func (w *plainAnswer) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.conn.Write(p)
}

// answerHTTP is the target's whole service.
func answerHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	say := func(status int, kind, text string) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
	switch {
	case r.Header.Get("Authorization") == "" && path != tokenPath:
		say(http.StatusUnauthorized, "text/plain", "")
	case path == smallPath && r.Header.Get("Authorization") == basicAuthorization:
		say(http.StatusOK, "application/json", smallBody())
	case strings.HasPrefix(path, downPath):
		size, _ := strconv.ParseInt(path[len(downPath):], 10, 64)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		block := make([]byte, pourBytes)
		for left := size; left > 0; left -= pourBytes {
			if _, err := w.Write(block[:min(left, pourBytes)]); err != nil {
				return
			}
		}
	case path == upPath:
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, pourBytes))
		if err != nil {
			return
		}
		say(http.StatusOK, "text/plain", strconv.FormatInt(n, 10))
	case path == tokenPath:
		say(http.StatusOK, "application/json", `{"access_token":"granted-to-everyone","token_type":"Bearer","expires_in":3600}`)
	default:
		say(http.StatusNotFound, "text/plain", "")
	}
}
