package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Client talks to a broker's admin socket. Its errors are for people: what is
// wrong with the socket and what to do, or the broker's own words.
type Client struct {
	path string
	http http.Client
}

const (
	// maxReply bounds what a client reads of an answer, maxErrorReply of an
	// error.
	maxReply      = 8 << 20
	maxErrorReply = 1 << 20
	// clientTimeout bounds a request, profiles excepted.
	clientTimeout = time.Minute
)

// Dial makes a client of the unix socket at path; nothing is connected yet.
func Dial(path string) *Client {
	var d net.Dialer
	return &Client{path, http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", path)
			},
		},
	}}
}

// Path is the socket's.
func (c *Client) Path() string { return c.path }

// Status asks how the broker is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Connections lists those of one service, of all for an empty name, that come
// after the ID after, limit at most.
func (c *Client) Connections(ctx context.Context, service string, after uint64, limit int) (Connections, error) {
	q := url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}}
	if service != "" {
		q.Set("service", service)
	}
	return get[Connections](ctx, c, http.MethodGet, "/v1/connections?"+q.Encode(), nil)
}

// CloseConnection ends a connection.
func (c *Client) CloseConnection(ctx context.Context, id uint64) error {
	_, err := c.do(ctx, http.MethodDelete, "/v1/connections/"+strconv.FormatUint(id, 10), nil)
	return err
}

// Reload makes the broker read its configuration again; the error is the
// broker's, one line for each mistake in the file.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, "/v1/reload", nil)
	return err
}

// Drain makes services accept no more, all where none is named.
func (c *Client) Drain(ctx context.Context, services ...string) (Drained, error) {
	return get[Drained](ctx, c, http.MethodPost, "/v1/drain?"+url.Values{"service": services}.Encode(), nil)
}

// LogLevel asks for the log level.
func (c *Client) LogLevel(ctx context.Context) (LevelReport, error) {
	return get[LevelReport](ctx, c, http.MethodGet, "/v1/log-level", nil)
}

// SetLogLevel changes it.
func (c *Client) SetLogLevel(ctx context.Context, q LevelRequest) (LevelReport, error) {
	return get[LevelReport](ctx, c, http.MethodPut, "/v1/log-level", q)
}

// Errors lists the last warnings and errors.
func (c *Client) Errors(ctx context.Context) ([]Entry, error) {
	list, err := get[map[string][]Entry](ctx, c, http.MethodGet, "/v1/errors", nil)
	return list["errors"], err
}

// Profile asks for a profile over so many seconds, zero for the usual time.
func (c *Client) Profile(ctx context.Context, name string, seconds int) ([]byte, error) {
	path := "/v1/profiles/" + url.PathEscape(name)
	if seconds > 0 {
		path += "?seconds=" + strconv.Itoa(seconds)
	}
	return c.ask(ctx, http.MethodGet, path, nil, maxProfile+1)
}

// get is do for an answer in JSON.
func get[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	reply, err := c.do(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(reply, &out); err != nil {
		return out, fmt.Errorf("understanding the broker's answer (is it of the same version?): %w", err)
	}
	return out, nil
}

func (c *Client) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	return c.ask(ctx, method, path, body, maxReply)
}

func (c *Client) ask(ctx context.Context, method, path string, body any, most int64) ([]byte, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	// The host is a placeholder: the transport always dials the socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, content)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp)
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, fmt.Errorf("reading the broker's answer: %w", err)
	}
	return reply, nil
}

// refusal is the broker's own text.
func refusal(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorReply))
	if err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	if text := strings.TrimSpace(string(body)); text != "" {
		return errors.New(strings.Map(printable, text))
	}
	return fmt.Errorf("the broker answered %s", resp.Status)
}

// printable keeps whoever listens at a socket from driving the terminal.
func printable(r rune) rune {
	if r == '\n' || r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// UnreachableError says that no broker answers at a socket.
type UnreachableError struct {
	Path string
	Why  string
	Err  error
}

// Error says what is wrong and what to do.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("asking the broker at %s: %s", e.Path, e.Why)
}

// Unwrap returns Err.
func (e *UnreachableError) Unwrap() error { return e.Err }

// explain makes an error of the transport one that helps.
func (c *Client) explain(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // the URL is a placeholder
	}
	why := err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "there is no such socket: is a broker running, with this admin socket?"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nobody listens there any more: the broker that made the socket has ended (a new one replaces it)"
	case errors.Is(err, fs.ErrPermission):
		why = "permission denied: it answers the user who runs the broker, and root" + ownerText(c.path)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		why = "it hung up: it answers the user who runs the broker, and root" + ownerText(c.path) + "; or it has just stopped"
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		why = "that is no socket of a broker"
	case errors.Is(err, context.DeadlineExceeded):
		why = "no answer in time"
	case errors.Is(err, context.Canceled):
		why = "interrupted"
	}
	return &UnreachableError{Path: c.path, Why: why, Err: err}
}
