package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"secretless/internal/connector"
)

// maxAnswer bounds what a token endpoint can say.
const maxAnswer = 256 << 10

// maxToken bounds a token: it must fit into a header.
const maxToken = 16 << 10

// CheckURL accepts where credentials may be sent to for a token: https, or http
// on this machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("that is no URL; write for instance https://login.example.com/oauth/token")
	case u.User != nil:
		return errors.New("credentials do not stand in the URL")
	case u.Fragment != "":
		return errors.New("a fragment (#…) has no meaning there")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("it must be https: the credentials are sent there")
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Exchange runs one of x/oauth2's flows over client and turns its result into
// a Token. What the endpoint answered is in no error, but for the error codes
// that RFC 6749 lists.
func Exchange(ctx context.Context, client *http.Client, endpoint string, flow func(context.Context) (*oauth2.Token, error)) (Token, *oauth2.Token, error) {
	watch := &watch{next: client.Transport}
	watched := *client
	watched.Transport = watch
	t, err := flow(context.WithValue(ctx, oauth2.HTTPClient, &watched))
	if err != nil {
		return Token{}, nil, watch.explain(ctx, err, host(endpoint))
	}
	switch {
	case t.AccessToken == "":
		return Token{}, nil, failure(connector.KindTarget, "the token endpoint at %s answered without a token", host(endpoint))
	case len(t.AccessToken) > maxToken:
		return Token{}, nil, failure(connector.KindTarget, "the token endpoint at %s answered with a token of more than %d bytes", host(endpoint), maxToken)
	}
	return Token{Value: t.AccessToken, Expires: expiry(t)}, t, nil
}

// expiry reads expires_in too, where a flow did not.
func expiry(t *oauth2.Token) time.Time {
	if t.Expiry.IsZero() && t.ExpiresIn > 0 {
		return time.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	}
	return t.Expiry
}

func host(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil {
		return u.Host
	}
	return "its address"
}

// watch sees what happens below x/oauth2, whose errors quote what the endpoint
// said.
type watch struct {
	next   http.RoundTripper
	status int
	err    error
}

func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	next := w.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	w.err = err
	if err != nil {
		return nil, err
	}
	w.status = response.StatusCode
	response.Body = limited{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// codes are the error codes of RFC 6749, 5.2, and RFC 8707. Others could be
// anything.
var codes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
	"invalid_scope", "access_denied", "invalid_target", "temporarily_unavailable", "server_error",
}

// explain says what went wrong without a word of the endpoint's.
func (w *watch) explain(ctx context.Context, err error, where string) error {
	switch {
	case w.err != nil && (ctx.Err() != nil || isTimeout(w.err)):
		return failure(connector.KindTimeout, "the token endpoint at %s did not answer in time", where)
	case w.err != nil:
		return &connector.Failure{Kind: connector.KindConnect, Err: fmt.Errorf("the token endpoint at %s cannot be reached: %w", where, w.err)}
	case w.status == 0:
		return failure(connector.KindConfig, "no token could be asked for at %s: a credential cannot be used (is the private key an RSA key in PEM?)", where)
	}
	code := ""
	if retrieve, ok := errors.AsType[*oauth2.RetrieveError](err); ok && slices.Contains(codes, retrieve.ErrorCode) {
		code = " (" + retrieve.ErrorCode + ")"
	}
	switch {
	case w.status == http.StatusBadRequest, w.status == http.StatusUnauthorized, w.status == http.StatusForbidden:
		return failure(connector.KindRejected, "the token endpoint at %s refused the credentials: status %d%s", where, w.status, code)
	case w.status >= 300 && w.status < 400:
		return failure(connector.KindTarget, "the token endpoint at %s redirects (status %d), which is not followed; configure the address that it redirects to", where, w.status)
	case w.status >= 300:
		return failure(connector.KindTarget, "the token endpoint at %s failed: status %d%s", where, w.status, code)
	}
	return failure(connector.KindTarget, "the token endpoint at %s answered with something that is no token%s", where, code)
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func failure(kind connector.Kind, format string, args ...any) error {
	return &connector.Failure{Kind: kind, Err: fmt.Errorf(format, args...)}
}
