package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// maxToken bounds a token, secret id or web token.
const maxToken = 64 << 10

// method gets a token.
type method interface {
	// obtain returns a new token, or the one that was given.
	obtain(ctx context.Context, c *client) (token, error)
	// given is true where the token is somebody else's: it is looked at again
	// at each lookup, and never revoked.
	given() bool
	// forget says that the last token is refused.
	forget()
}

// token is one that a method obtained.
type token struct {
	value secret.Value
	life  lifetime
	renew bool
}

// methodOf makes the method of a checked configuration.
func methodOf(c connection, lookup func(string) (string, bool)) method {
	switch a := c.Auth; {
	case c.envToken:
		return variable{lookup}
	case a.Agent:
		return byAgent{}
	case a.Token.IsSet():
		return setting{a.Token}
	case a.TokenFile != "":
		return sink{a.TokenFile}
	case a.AppRole != nil:
		return loginTo("approle", a.AppRole.Mount, field{"role_id", a.AppRole.RoleID}, field{"secret_id", a.AppRole.SecretID})
	case a.Kubernetes != nil:
		return loginTo("kubernetes", a.Kubernetes.Mount, field{"role", plain(a.Kubernetes.Role)}, field{"jwt", inFile(a.Kubernetes.TokenFile)})
	case a.JWT != nil && a.JWT.TokenFile != "":
		return loginTo("jwt", a.JWT.Mount, field{"role", plain(a.JWT.Role)}, field{"jwt", inFile(a.JWT.TokenFile)})
	case a.JWT != nil:
		return loginTo("jwt", a.JWT.Mount, field{"role", plain(a.JWT.Role)}, field{"jwt", a.JWT.Token})
	default:
		return loginTo("cert", a.Cert.Mount, field{"name", plain(a.Cert.Name)})
	}
}

// byAgent sends no token: the agent at the address adds its own.
type byAgent struct{}

func (byAgent) obtain(context.Context, *client) (token, error) { return token{}, nil }
func (byAgent) given() bool                                    { return true }
func (byAgent) forget()                                        {}

// variable is VAULT_TOKEN.
type variable struct{ lookup func(string) (string, bool) }

func (v variable) obtain(context.Context, *client) (token, error) {
	text, _ := v.lookup("VAULT_TOKEN")
	if text == "" {
		return token{}, errors.New("VAULT_TOKEN is not set: set it, or configure auth in an instance of this provider")
	}
	return givenToken(secret.Copy(text))
}

func (variable) given() bool { return true }
func (variable) forget()     {}

// setting is a token of the configuration, or of another provider.
type setting struct{ from provider.SecretSetting }

func (s setting) obtain(ctx context.Context, _ *client) (token, error) {
	v, err := s.from.Get(ctx)
	if err != nil {
		return token{}, fmt.Errorf("auth.token: %w", err)
	}
	return givenToken(v)
}

func (setting) given() bool { return true }
func (s setting) forget()   { s.from.Forget() }

// sink is a file that an agent writes its token to.
type sink struct{ path string }

func (s sink) obtain(ctx context.Context, _ *client) (token, error) {
	v, err := inFile(s.path).Get(ctx)
	if err != nil {
		return token{}, fmt.Errorf("auth.tokenFile: %w", err)
	}
	return givenToken(v)
}

func (sink) given() bool { return true }
func (sink) forget()     {}

// givenToken takes v over. Nothing is known of its life yet.
func givenToken(v secret.Value) (token, error) {
	trimmed := secret.Copy(bytes.TrimSpace(v.Bytes()))
	v.Wipe()
	b := trimmed.Bytes()
	switch {
	case len(b) == 0:
		return token{}, errors.New("the token is empty")
	case b[0] == '{' || bytes.ContainsFunc(b, func(r rune) bool { return r <= ' ' || r > '~' }):
		trimmed.Wipe()
		return token{}, errors.New("this is no plain token; an agent's sink must write it unwrapped and unencrypted")
	}
	return token{value: trimmed}, nil
}

// source is where a field of a login comes from.
type source interface {
	Get(ctx context.Context) (secret.Value, error)
}

type plain string

func (p plain) Get(context.Context) (secret.Value, error) { return secret.Copy(string(p)), nil }

type inFile string

func (f inFile) Get(context.Context) (secret.Value, error) {
	// Before it is opened: that would wait for a named pipe's writer.
	if info, err := os.Stat(string(f)); err == nil && !info.Mode().IsRegular() {
		return secret.Value{}, fmt.Errorf("%s is not a regular file", string(f))
	}
	file, err := os.Open(string(f))
	if err != nil {
		return secret.Value{}, err
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	v := secret.New(b)
	if err == nil && len(b) > maxToken {
		err = fmt.Errorf("%s is longer than %d bytes", string(f), maxToken)
	}
	if err != nil {
		v.Wipe()
		return secret.Value{}, err
	}
	return v, nil
}

// login is a method that gets tokens of its own.
type login struct {
	method, path string
	fields       []field
}

type field struct {
	name string
	from source
}

func loginTo(method, mount string, fields ...field) login {
	if mount = strings.Trim(mount, "/"); mount == "" {
		mount = method
	}
	return login{method, "auth/" + strings.TrimPrefix(mount, "auth/") + "/login", fields}
}

func (login) given() bool { return false }

func (l login) forget() {
	for _, f := range l.fields {
		if s, ok := f.from.(provider.SecretSetting); ok {
			s.Forget()
		}
	}
}

// obtain logs in, and once more when that is refused but the fields have
// changed: another provider may have kept one of them for too long.
func (l login) obtain(ctx context.Context, c *client) (token, error) {
	body, err := l.body(ctx)
	if err != nil {
		return token{}, err
	}
	e, err := c.write(ctx, secret.Value{}, l.path, body)
	if refusesLogin(err) {
		l.forget()
		if fresh, failed := l.body(ctx); failed == nil && !maps.Equal(fresh, body) {
			e, err = c.write(ctx, secret.Value{}, l.path, fresh)
		}
	}
	if err != nil {
		return token{}, l.explain(err)
	}
	defer e.wipe()
	return l.granted(e)
}

func (l login) body(ctx context.Context) (map[string]any, error) {
	body := map[string]any{}
	for _, f := range l.fields {
		v, err := f.from.Get(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s login: %s: %w", l.method, f.name, err)
		}
		if trimmed := bytes.TrimSpace(v.Bytes()); len(trimmed) > 0 {
			body[f.name] = string(trimmed)
		}
		v.Wipe()
	}
	return body, nil
}

func refusesLogin(err error) bool {
	return hasStatus(err, http.StatusBadRequest) || hasStatus(err, http.StatusUnauthorized) || isDenied(err)
}

func (l login) granted(e *envelope) (token, error) {
	switch {
	case e.Auth == nil || len(e.Auth.Token) == 0:
		return token{}, fmt.Errorf("%s login at %s: the answer has no token", l.method, l.path)
	case len(e.Auth.MFA) > 0 && string(e.Auth.MFA) != "null":
		return token{}, fmt.Errorf("%s login at %s wants a second factor, which a broker has not", l.method, l.path)
	case e.Auth.Token[0] != '"':
		return token{}, fmt.Errorf("%s login at %s: the answer has no token", l.method, l.path)
	}
	return token{
		value: secret.New(unquote(e.Auth.Token)),
		life:  newLifetime(e.Auth.Duration, time.Now()),
		renew: e.Auth.Renew,
	}, nil
}

// explain says that it was the login that failed, and what a refusal means
// there.
func (l login) explain(err error) error {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return fmt.Errorf("%s login at %s: %w", l.method, l.path, err)
	}
	named := *f
	named.text = fmt.Sprintf("%s login at %s: %s", l.method, l.path, f.text)
	switch f.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		named.text = fmt.Sprintf("%s login at %s was refused (%d): check the role, its credentials and what it is bound to; the audit device says why",
			l.method, l.path, f.status)
	case http.StatusNotFound:
		named.text = fmt.Sprintf("%s login: nothing is mounted at %s (404): check mount and namespace", l.method, l.path)
	}
	named.deadToken = false
	return &named
}
