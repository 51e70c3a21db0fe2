package kubeapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// TransientError is a failure that another try may mend.
type TransientError struct{ error }

// Unwrap is the failure.
func (e TransientError) Unwrap() error { return e.error }

// ErrUnauthorized is an answer with status 401.
var ErrUnauthorized = errors.New("the API server does not accept the credentials: the token or client certificate is wrong, expired or revoked")

// StatusError says what to do about an answer that is no success. What 403, 404
// and the like mean depends on the question, so that callers look at them first.
// Of the answer's text nothing is repeated.
func StatusError(status int) error {
	switch {
	case status == http.StatusUnauthorized:
		return ErrUnauthorized
	case status/100 == 3:
		return fmt.Errorf("the API server sends elsewhere (status %d), which is not followed: correct server", status)
	case status == http.StatusTooManyRequests, status/100 == 5:
		return TransientError{fmt.Errorf("the API server cannot answer now (status %d)", status)}
	}
	return fmt.Errorf("the API server answers with status %d", status)
}

// ConnectError says what went wrong before or while an answer came.
func ConnectError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("asking the API server: no answer in time: %w", cause)
	} else if cause != nil {
		return cause
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
	if _, ok := errors.AsType[TooLargeError](err); ok {
		return err
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return TransientError{fmt.Errorf("asking the API server: %w", e)}
	}
	// What is left may quote what came, from the server or a proxy.
	return TransientError{errors.New("asking the API server: the connection broke, or what came is no HTTP")}
}
