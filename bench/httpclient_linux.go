package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// httpClient is how a load asks through an endpoint.
type httpClient struct {
	endpoint
	h2 bool
}

// origin is the scheme and authority of the URLs that are asked for.
func (c httpClient) origin() string {
	scheme, port := "http", c.targetPort
	if c.encrypted {
		scheme = "https"
	}
	if !c.proxied() {
		port = c.port
	}
	return scheme + "://" + net.JoinHostPort(loopback, strconv.Itoa(port))
}

// proxied says whether the client knows that there is a proxy. In front of an
// https target nginx is a server with a certificate of its own.
func (c httpClient) proxied() bool {
	return c.through != "" && (c.through != nginx || !c.encrypted)
}

// authorization is the client's own where nothing adds one.
func (c httpClient) authorization() string {
	if c.through == "" || c.through == unmatched {
		return basicAuthorization
	}
	return ""
}

func insecureTLS(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, NextProtos: protocols}
}

// library is net/http's client: for HTTP/2, and for bodies that are so long
// that what it does for a request does not show.
func (c httpClient) library() (*http.Client, func()) {
	transport := &http.Transport{
		TLSClientConfig: insecureTLS(), DisableCompression: true,
		WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10, MaxIdleConnsPerHost: 64,
		Protocols: new(http.Protocols),
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReadFrameSize: 64 << 10},
	}
	transport.Protocols.SetHTTP1(!c.h2)
	transport.Protocols.SetHTTP2(c.h2)
	if c.proxied() {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: c.address()})
	}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

func (c httpClient) request(ctx context.Context, method, path string, body io.Reader, size int64) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.origin()+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.ContentLength = size
	}
	if own := c.authorization(); own != "" {
		r.Header.Set("Authorization", own)
	}
	return r, nil
}

// do sends r, throws the answer's body away and returns its length. Another
// status than 200 is an error.
func do(client *http.Client, r *http.Request, h2 bool) (int64, error) {
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || (resp.ProtoMajor == 2) != h2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return 0, &statusError{resp.StatusCode, resp.Proto + ": " + string(said)}
	}
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, pourBytes))
}

// statusError is an answer that a load has no use for.
type statusError struct {
	status int
	said   string
}

func (e *statusError) Error() string { return fmt.Sprintf("answer %d, %s", e.status, e.said) }

// wire is one HTTP/1.1 connection that asks for the small answer, with as few
// cycles as possible: what a client's library costs is not what is measured.
type wire struct {
	conn     net.Conn
	in       *bufio.Reader
	question []byte
}

func (c httpClient) dialWire(ctx context.Context) (*wire, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.address())
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn}
	_ = conn.SetDeadline(time.Now().Add(clientTimeout))
	if err := w.open(c); err != nil {
		conn.Close()
		return nil, err
	}
	_ = w.conn.SetDeadline(time.Time{})
	return w, nil
}

// open gets as far as the first question.
func (w *wire) open(c httpClient) error {
	authority := net.JoinHostPort(loopback, strconv.Itoa(c.targetPort))
	asked := smallPath
	switch {
	case c.encrypted:
		if c.proxied() {
			if err := connect(w.conn, authority); err != nil {
				return err
			}
		}
		upgraded := tls.Client(w.conn, insecureTLS("http/1.1"))
		if err := upgraded.Handshake(); err != nil {
			return err
		}
		w.conn = upgraded
	case c.proxied():
		asked = c.origin() + asked
	}
	question := "GET " + asked + " HTTP/1.1\r\nHost: " + authority + "\r\nUser-Agent: bench\r\nAccept: */*\r\n"
	if own := c.authorization(); own != "" {
		question += "Authorization: " + own + "\r\n"
	}
	w.in, w.question = bufio.NewReaderSize(w.conn, 8<<10), []byte(question+"\r\n")
	return w.ask()
}

func connect(conn net.Conn, authority string) error {
	if _, err := io.WriteString(conn, "CONNECT "+authority+" HTTP/1.1\r\nHost: "+authority+"\r\n\r\n"); err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || in.Buffered() > 0 {
		return &statusError{resp.StatusCode, "to CONNECT"}
	}
	return nil
}

var errAnswer = errors.New("not the answer that was asked for")

// ask asks once and reads the whole answer.
func (w *wire) ask() error {
	if _, err := w.conn.Write(w.question); err != nil {
		return err
	}
	head, err := peekHead(w.in)
	if err != nil {
		return err
	}
	if !isSmallAnswer(head) {
		return fmt.Errorf("%w: %.200q", errAnswer, head)
	}
	_, err = w.in.Discard(len(head) + smallBytes)
	return err
}

// isSmallAnswer says whether head is that of the small answer.
func isSmallAnswer(head []byte) bool {
	return bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) && bytes.Contains(head, []byte("\r\nContent-Length: 1024\r\n"))
}

func (w *wire) close() { w.conn.Close() }
