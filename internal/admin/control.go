package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Control answers POST /reload and GET /status on the admin socket. reload's
// error text reaches the caller; status is encoded as JSON.
func Control(reload func(context.Context) error, status func() any) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		// A reload that has begun is finished whether or not the client waits.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
		defer cancel()
		if err := reload(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		reply(w, http.StatusOK, map[string]bool{"reloaded": true})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, status())
	})
	return mux
}

// Client talks to a broker's admin socket.
type Client struct{ http http.Client }

// maxReply bounds what a client reads of an answer.
const maxReply = 1 << 20

// Dial makes a client of the unix socket at path; nothing is connected yet.
func Dial(path string) *Client {
	var d net.Dialer
	return &Client{http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", path)
			},
		},
	}}
}

// Reload makes the broker read its configuration again; the error is the
// broker's, one line for each mistake in the file.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, "/reload")
	return err
}

// Status fills into, a pointer, with the broker's status.
func (c *Client) Status(ctx context.Context, into any) error {
	body, err := c.do(ctx, http.MethodGet, "/status")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading the broker's status: %w", err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string) ([]byte, error) {
	// The host is a placeholder: the transport always dials the socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err // the URL is a placeholder
		}
		return nil, fmt.Errorf("asking the broker: %w (is it running with this admin socket?)", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("reading the broker's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		if text := strings.TrimSpace(string(body)); text != "" {
			return nil, errors.New(text)
		}
		return nil, fmt.Errorf("the broker answered %s", resp.Status)
	}
	return body, nil
}
