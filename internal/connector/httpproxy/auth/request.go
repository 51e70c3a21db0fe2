package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
	"secretless/internal/wire/http1wire"
)

// Request is one outgoing request, bound to the origin that it will be sent
// to. It belongs to one goroutine at a time.
type Request struct {
	to      origin.Origin
	out     *message.Request
	secrets *secret.Set
	body    body
	hidden  []string
	room    [4]string // for hidden, of most requests
}

// NewRequest binds out to an origin: its scheme, host and Host header become
// that origin's. The Request owns out and its fields from here on; the caller goes
// on owning the secrets.
func NewRequest(to origin.Origin, out *message.Request, secrets *secret.Set) *Request {
	return new(Request).Bind(to, out, secrets)
}

// Bind is NewRequest in place of what r was.
func (r *Request) Bind(to origin.Origin, out *message.Request, secrets *secret.Set) *Request {
	out.URL.Scheme, out.URL.Host, out.URL.User = to.Scheme(), to.Authority(), nil
	out.Host = to.Authority()
	*r = Request{to: to, out: out, secrets: secrets, body: body{from: out.Body}}
	r.hidden = r.room[:0]
	return r
}

// To is where the request will be sent.
func (r *Request) To() origin.Origin { return r.to }

// Secrets are the service's credentials, valid until the target's response has
// begun. Do not wipe them.
func (r *Request) Secrets() *secret.Set { return r.secrets }

// Method is the request's method.
func (r *Request) Method() string { return r.out.Method }

// URL is a copy of the URL as it will be sent.
func (r *Request) URL() *url.URL {
	u := r.out.URL
	return &u
}

// Header returns the values of one header as they will be sent, not to be
// changed. Hop-by-hop headers are gone; Host is not among them, see To.
func (r *Request) Header(name string) []string {
	return r.out.Fields.Values(textproto.CanonicalMIMEHeaderKey(name))
}

// ContentLength is the length of the body, -1 where it is unknown.
func (r *Request) ContentLength() int64 { return r.out.Length }

// Copy is the request without its body, for libraries that sign an
// http.Request. What they do to it is not sent: see SetHeader.
func (r *Request) Copy() *http.Request {
	c := r.out.HTTP(context.Background())
	c.Body, c.GetBody = nil, nil
	return c
}

// SetHeader sends the header with this value alone, and hides the value from
// the client (see Hide), with and without a scheme such as "Bearer " before it.
// Whatever the client sent under the name goes, also where only case, or - and
// _, differ: many servers take these for the same. The error is about the
// value, which it does not repeat.
func (r *Request) SetHeader(name, value string) error {
	if err := r.SetOpenHeader(name, value); err != nil {
		return err
	}
	value = strings.Clone(value) // who has made it may wipe it
	r.hide(value)
	if _, credential, ok := strings.Cut(value, " "); ok {
		r.hide(credential)
	}
	return nil
}

// SetOpenHeader is SetHeader for a value that is no secret: a date, or a
// signature, which is of no use for another request.
func (r *Request) SetOpenHeader(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) || forbidden(name) {
		return failure(connector.KindConfig, "header %q cannot be set", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return failure(connector.KindConfig, "the value for the header %s has a line break or another character that a header cannot have", name)
	}
	r.removeTrailer(name)
	r.out.Fields.Set(name, value)
	return nil
}

// RemoveHeader takes a header of the client out, in every spelling, and a
// trailer of that name.
func (r *Request) RemoveHeader(name string) {
	r.out.Fields.Del(name)
	r.removeTrailer(name)
}

func (r *Request) removeTrailer(name string) {
	r.out.RemoveTrailers(func(have string) bool { return http1wire.SameName(have, name) })
}

// fold is what servers that turn headers into variables make of a name.
func fold(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// forbidden are headers that say where a request goes or how it is framed.
func forbidden(name string) bool {
	switch fold(name) {
	case "host", "connection", "content-length", "keep-alive", "proxy-authorization", "proxy-connection",
		"te", "trailer", "transfer-encoding", "upgrade", "expect":
		return true
	}
	return false
}

// Hide notes texts that the client must not see in a response. Texts shorter
// than eight bytes are not looked for: they would be found everywhere.
func (r *Request) Hide(texts ...string) {
	for _, t := range texts {
		r.hide(strings.Clone(t))
	}
}

// hide is Hide for a text that nobody wipes.
func (r *Request) hide(text string) {
	if len(text) >= shortestHidden && !slices.Contains(r.hidden, text) {
		r.hidden = append(r.hidden, text)
	}
}

const shortestHidden = 8

// Hidden are the texts to be kept from the client. For the proxy.
func (r *Request) Hidden() []string { return r.hidden }

// Identity asks the target not to encode its answer, so that what it holds can
// be seen. For the proxy.
func (r *Request) Identity() {
	const name = "Accept-Encoding"
	r.removeTrailer(name)
	if slices.ContainsFunc(r.out.Fields, func(f http1wire.Field) bool { return http1wire.SameName(f.Name, name) }) {
		r.out.Fields.Set(name, "identity")
	}
}

// Outgoing is the request to be sent. For the proxy's transport alone.
func (r *Request) Outgoing() *message.Request { return r.out }

func failure(kind connector.Kind, format string, args ...any) error {
	return &connector.Failure{Kind: kind, Err: fmt.Errorf(format, args...)}
}
