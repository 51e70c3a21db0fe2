package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// keyError is what came of fetching or reading the client's key.
type keyError struct{ error }

// connectError says why no answer came. A collector has been sent the headers,
// which may be secret, and chooses what net/http's errors quote of its answer:
// of that nothing is repeated.
func connectError(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok { // it repeats the whole URL
		err = e.Err
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the collector's certificate is not trusted: %w", e.Err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("the collector does not speak TLS")
	}
	if e, ok := errors.AsType[keyError](err); ok {
		return e.error
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return errors.New("the connection broke, or what came is no HTTP")
}
