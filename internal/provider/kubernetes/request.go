package kubernetes

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxAnswer bounds what is read of an answer. A secret has at most 1 MiB of
// data, which base64 makes a third larger, and metadata around it.
const maxAnswer = 4 << 20

// maxNames bounds how many fields an error lists.
const maxNames = 20

// errUnauthorized is an answer with status 401.
var errUnauthorized = errors.New("the API server does not accept the credentials: the token or client certificate is wrong, expired or revoked")

// doer asks one API server.
type doer struct {
	access *access
	http   *http.Client
}

// client returns a client for one lookup, and a function that closes its
// connection.
func (a *access) client() (*doer, func()) {
	transport := &http.Transport{
		TLSClientConfig:        a.tls,
		MaxResponseHeaderBytes: 64 << 10,
		// The length of a compressed answer would depend on the secret.
		DisableCompression: true,
	}
	if a.proxy != nil {
		transport.Proxy = http.ProxyURL(a.proxy)
	}
	return &doer{a, &http.Client{
		Transport: transport,
		// A token goes to the server that it is meant for and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, transport.CloseIdleConnections
}

// fields are what a secret holds, by name.
type fields map[string][]byte

func (f fields) wipe() {
	for _, value := range f {
		clear(value)
	}
}

// names lists the fields, for errors: their names are not secret.
func (f fields) names() string {
	if len(f) == 0 {
		return "it has none"
	}
	var all []string
	for name := range f {
		if isKey(name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	if len(all) > maxNames {
		all = append(all[:maxNames], fmt.Sprintf("and %d more", len(all)-maxNames))
	}
	return "it has " + strings.Join(all, ", ")
}

// get reads one secret. Both names were checked: they are part of the path.
func (d *doer) get(ctx context.Context, namespace, name string) (fields, error) {
	at := d.access.server.JoinPath("api", "v1", "namespaces", namespace, "secrets", name)
	resp, err := d.ask(ctx, at)
	if err == nil && resp.StatusCode == http.StatusForbidden {
		resp, err = d.askReady(ctx, at, resp)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode, namespace, name)
	}
	body, err := readBody(resp.Body)
	defer clear(body)
	if err != nil {
		return nil, connectError(ctx, err)
	}
	return parseSecret(body)
}

// ask sends one request. The caller closes the answer's body.
func (d *doer) ask(ctx context.Context, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("server makes no valid address")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "secretless")
	if d.access.token.Len() > 0 {
		req.Header.Set("Authorization", "Bearer "+d.access.token.Borrow())
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, connectError(ctx, err)
	}
	return resp, nil
}

// askReady tells a server that has just started, and so forbids everything,
// from one that means it: a server lets everybody ask whether it is ready. One
// that is may have become so since its answer, so it is asked once more.
func (d *doer) askReady(ctx context.Context, at *url.URL, answer *http.Response) (*http.Response, error) {
	answer.Body.Close()
	resp, err := d.ask(ctx, d.access.server.JoinPath("readyz"))
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode/100 == 5 {
		return nil, transientError{errors.New("the API server has just started and knows no rights yet")}
	}
	return d.ask(ctx, at)
}

var errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)

// readBody is io.ReadAll with a bound, and wipes what it leaves when it grows.
func readBody(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, 16<<10)
	for {
		if len(buf) == cap(buf) {
			grown := append(make([]byte, 0, 2*cap(buf)), buf...)
			clear(buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > maxAnswer:
			return buf, errTooLarge
		case err == io.EOF: //nolint:errorlint // as io.ReadAll does
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// parseSecret reads the server's answer. The JSON library's errors are dropped:
// they may quote it.
func parseSecret(body []byte) (fields, error) {
	var answer struct {
		Kind string `json:"kind"`
		Data fields `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Kind != "Secret" {
		answer.Data.wipe()
		return nil, errors.New("the answer is no Secret: is server the address of a Kubernetes API server?")
	}
	return answer.Data, nil
}

// connectError says what went wrong before or while an answer came.
func connectError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // it repeats the whole URL
		err = e.Err
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the API server's certificate is not trusted: %w", e.Err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("the API server does not speak TLS")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // a TLS alert
		return fmt.Errorf("the API server refuses the TLS connection: %w", e.Err)
	}
	if errors.Is(err, errTooLarge) {
		return err
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return transientError{fmt.Errorf("asking the API server: %w", e)}
	}
	// What is left may quote what came, from the server or a proxy.
	return transientError{errors.New("asking the API server: the connection broke, or what came is no HTTP")}
}

// statusError says what to do about a status. Of the answer's text nothing is
// repeated.
func statusError(status int, namespace, name string) error {
	switch {
	case status == http.StatusUnauthorized:
		return errUnauthorized
	case status == http.StatusForbidden:
		return fmt.Errorf("the account may not read secret %s in namespace %s: give it a Role there with the verb get on this secret", name, namespace)
	case status == http.StatusNotFound:
		return fmt.Errorf("there is no secret %s in namespace %s", name, namespace)
	case status/100 == 3:
		return fmt.Errorf("the API server sends elsewhere (status %d), which is not followed: correct server", status)
	case status == http.StatusTooManyRequests, status/100 == 5:
		return transientError{fmt.Errorf("the API server cannot answer now (status %d)", status)}
	}
	return fmt.Errorf("the API server answers with status %d", status)
}
