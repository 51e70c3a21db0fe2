package aws

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
)

const (
	realID  = "AKIAIOSFODNN7EXAMPLE"
	realKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	a, err := build(Config{MaxSignedBody: 1}, auth.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	return a.(*authenticator)
}

func set(pairs ...string) *secret.Set {
	values := map[string]secret.Value{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = secret.Copy(pairs[i+1])
	}
	return secret.NewSet(values)
}

func realKeys() *secret.Set { return set("accessKeyId", realID, "secretAccessKey", realKey) }

// dummy is the header of a client that signs with worthless keys.
func dummy(scope, headers string) string {
	return algorithm + " Credential=dummy/" + scope + "/" + terminator + ", SignedHeaders=" + headers + ", Signature=" + strings.Repeat("0", 64)
}

// newRequest makes the request that the proxy would. Headers are "Name: value".
func newRequest(t *testing.T, secrets *secret.Set, method, url, body string, headers ...string) *auth.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		out.Header.Add(name, value)
	}
	to, err := origin.Parse(out.URL.Scheme, out.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewRequest(to, message.FromHTTP(out), secrets)
}

// signatureOf is what a request was signed with.
func signatureOf(r *auth.Request) string {
	if s := r.URL().Query().Get(qrySignature); s != "" {
		return s
	}
	_, s, _ := strings.Cut(strings.Join(r.Header(hdrAuthorization), ""), "Signature=")
	return s
}

func mustAuthenticate(t *testing.T, r *auth.Request) {
	t.Helper()
	if err := newAuthenticator(t).Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}
