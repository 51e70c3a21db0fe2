package auth

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/origin"
)

// Authenticator adds the credentials of one service to its requests.
//
// An Authenticator that holds something (a token cache) also has a Close
// method, connector.Closer, which is called once after the last request.
type Authenticator interface {
	// Authenticate adds to r what the target wants to see. It is called for
	// every request, and once more after a 401 that Renew has something better for. ctx
	// ends with the request, or when the time to connect has passed.
	//
	// Errors reach the client as one line. Best is a *connector.Failure:
	// KindDenied is answered with 403 (what the client sent cannot be
	// authenticated), KindTimeout with 504, every other kind and every other
	// error with 503; ErrBodyTooLarge, which Request.Body returns, with 413.
	//
	// r is another request's when this one has been answered: nobody keeps it,
	// but what streams its body, which WrapBody has put there.
	//
	// Safe for concurrent use.
	Authenticate(ctx context.Context, r *Request) error
}

// Renewer is implemented by authenticators that can have something better
// after the target answered 401, most often a new token. Renew drops what r was
// sent with, if that is still current, and reports whether Authenticate would
// now send something else. It is called at most once for a request of a client.
// Only a request without a body, or with one that was read by Request.Body, is
// then sent once more; for the others it is the next one that profits.
//
// Without it, cached credentials of the service's providers are dropped and
// resolved again after a 401; with it, they are when Renew returns false.
type Renewer interface {
	Renew(ctx context.Context, r *Request) bool
}

// Locator is implemented by authenticators with a Placeholder: a client that
// does not know the target's host writes the placeholder instead, and the
// authenticator finds the host in what else the request says. It must return
// only origins that the credential is for, whatever the request says. The
// header and the URL are the client's, and not to be changed. Errors as for
// Authenticate.
type Locator interface {
	Locate(method string, url *url.URL, header http.Header) (origin.Origin, error)
}

// Definition describes an authenticator and makes it. C is the type of its
// config section: Config, or a struct that embeds it and adds keys.
type Definition[C Section] struct {
	// Summary is one line for help and schema.
	Summary string
	// Credentials and OtherCredentials are as in connector.Definition.
	Credentials      []connector.Credential
	OtherCredentials string
	// Placeholder is the host that Locate replaces; empty for none.
	Placeholder string
	// New makes the authenticator of one service and checks everything that
	// can be known without connecting or resolving: templates, expressions,
	// URLs. Errors about a key are *connector.FieldError, joined. It starts
	// nothing.
	New func(C, Setup) (Authenticator, error)
}

// Setup is what New gets.
type Setup struct {
	// Service is the service's name.
	Service string
	// Credentials are the names that the service configures.
	Credentials []string
	// Client is for the authenticator's own requests, for instance to a token
	// endpoint: it has the proxy's roots (SECRETLESS_HTTP_CA_BUNDLE), upstream
	// proxy, timeouts and connections, refuses plain http but to loopback, and
	// does not follow redirects. The caller bounds what it reads of a body.
	Client *http.Client
	// Warn shows a warning of loading and validate about the key at path,
	// which begins with "config" or "credentials".
	Warn func(text string, path ...string)
	Log  *slog.Logger
}
