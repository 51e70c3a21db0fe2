package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/secret"
)

const unsignedPayload = "UNSIGNED-PAYLOAD"

type authenticator struct {
	maxBody int64
	signer  *v4.Signer
}

// Authenticate signs what the client has signed. What it has not is sent as it
// is: AWS has operations for everybody.
func (a *authenticator) Authenticate(ctx context.Context, r *auth.Request) error {
	u := r.URL()
	unsigned := r.Copy()
	c, err := readClaim(u, unsigned.Header)
	if c == nil || err != nil {
		return err
	}
	keys, err := readKeys(r.Secrets())
	if err != nil {
		return err
	}
	if keys.SessionToken != "" {
		r.Hide(keys.SessionToken)
	}
	prepare(unsigned, c)
	if c.presigned {
		return a.presign(ctx, r, c, unsigned, keys)
	}
	return a.sign(ctx, r, c, unsigned, keys)
}

// readKeys makes copies: the SDK keeps the signing key that it derives of them
// for the day, for as many as it has seen last.
func readKeys(set *secret.Set) (sdk.Credentials, error) {
	name := "accessKeyId"
	id, ok := set.Get(name)
	if !ok {
		name = "accessKeyID"
		id, _ = set.Get(name)
	}
	if err := checkKeyID(id.Borrow()); err != nil {
		return sdk.Credentials{}, unusable(name, err)
	}
	key, _ := set.Get("secretAccessKey")
	token, _ := set.Get("accessToken")
	switch {
	case key.Len() == 0:
		return sdk.Credentials{}, unusable("secretAccessKey", errEmpty)
	case hasSpace(key) || hasSpace(token):
		return sdk.Credentials{}, unusable("secretAccessKey or accessToken", errors.New("it has a line break or a space"))
	}
	return sdk.Credentials{
		AccessKeyID:     string(id.Bytes()),
		SecretAccessKey: string(key.Bytes()),
		SessionToken:    string(token.Bytes()),
	}, nil
}

func hasSpace(v secret.Value) bool { return strings.ContainsAny(v.Borrow(), " \t\r\n\x00") }

// prepare leaves in the copy what the client has signed, in the form that the
// signature is made of.
func prepare(r *http.Request, c *claim) {
	signed := http.Header{}
	length := int64(0)
	for _, name := range c.headers {
		switch name {
		case "host", "authorization", "x-amz-date", "x-amz-security-token":
			continue // written by the signer
		case "content-length":
			length = max(r.ContentLength, 0)
			continue
		}
		if values := r.Header.Values(name); len(values) > 0 {
			signed[http.CanonicalHeaderKey(name)] = values
		}
	}
	r.Header, r.ContentLength = signed, length
	r.URL.Opaque = "//" + r.URL.Host + canonicalPath(r.URL, c)
}

// canonicalPath is the path that the signature covers. S3 takes it as it is,
// escaped once in one way; the other services take it without empty and dot
// segments, and escaped twice, of which the second is the signer's.
func canonicalPath(u *url.URL, c *claim) string {
	if c.isS3() {
		return httpbinding.EscapePath(orSlash(u.Path), false)
	}
	escaped := orSlash(u.EscapedPath())
	clean := path.Clean(escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

func orSlash(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

func (a *authenticator) sign(ctx context.Context, r *auth.Request, c *claim, unsigned *http.Request, keys sdk.Credentials) error {
	hash, stream, err := a.payload(r)
	if err != nil {
		return err
	}
	err = a.signer.SignHTTP(ctx, keys, unsigned, hash, c.service, c.region, c.date, c.options)
	if err != nil {
		return err
	}
	header := unsigned.Header.Get(hdrAuthorization)
	_, signature, _ := strings.Cut(header, "Signature=")
	// Whoever reads it can repeat this request for some minutes.
	r.Hide(signature)
	if err := r.SetOpenHeader(hdrDate, c.date.Format(dateLayout)); err != nil {
		return err
	}
	r.RemoveHeader(hdrToken)
	if keys.SessionToken != "" {
		if err := r.SetHeader(hdrToken, keys.SessionToken); err != nil {
			return err
		}
	}
	if err := r.SetOpenHeader(hdrAuthorization, header); err != nil {
		return err
	}
	if stream != nil {
		stream.begin(c, keys.SecretAccessKey, signature)
		r.WrapBody(stream.over, r.ContentLength())
	}
	return nil
}

func (c *claim) options(o *v4.SignerOptions) {
	o.DisableURIPathEscaping = c.isS3()
	o.DisableHeaderHoisting = true // what the client signed in headers stays there
}

func (a *authenticator) presign(ctx context.Context, r *auth.Request, c *claim, unsigned *http.Request, keys sdk.Credentials) error {
	query := unsigned.URL.Query()
	for name := range query {
		switch name {
		case qryAlgorithm, qryCredential, qryHeaders, qrySignature, hdrDate, hdrToken:
			query.Del(name)
		}
	}
	hash, err := a.presignedPayload(r, c, query)
	if err != nil {
		return err
	}
	unsigned.URL.RawQuery = query.Encode()
	signed, _, err := a.signer.PresignHTTP(ctx, keys, unsigned, hash, c.service, c.region, c.date, c.options)
	if err != nil {
		return err
	}
	_, raw, _ := strings.Cut(signed, "?")
	_, signature, _ := strings.Cut(raw, "&"+qrySignature+"=")
	// Whoever reads it can use the URL until it expires.
	r.Hide(signature)
	r.SetRawQuery(raw)
	return nil
}

// presignedPayload: S3 leaves the body out, others cover it.
func (a *authenticator) presignedPayload(r *auth.Request, c *claim, query url.Values) (string, error) {
	if hash := query.Get(hdrPayload); hash != "" {
		return hash, nil
	}
	if c.isS3() {
		return unsignedPayload, nil
	}
	return a.hashBody(r)
}

// payload is the hash that the signature covers, and for a body that is signed
// in chunks what signs them anew.
func (a *authenticator) payload(r *auth.Request) (string, *chunks, error) {
	hash := r.Header(hdrPayload)
	switch {
	case len(hash) == 0:
		h, err := a.hashBody(r)
		return h, nil, err
	case len(hash) > 1:
		return "", nil, denied("the request has more than one header X-Amz-Content-Sha256")
	}
	switch hash[0] {
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		return hash[0], &chunks{}, nil
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		return hash[0], &chunks{trailer: true}, nil
	case "STREAMING-AWS4-HMAC-SHA256-EVENTS":
		return "", nil, denied("signed event streams are not supported")
	}
	if strings.HasPrefix(hash[0], "STREAMING-AWS4-ECDSA") {
		return "", nil, checkAlgorithm("AWS4-ECDSA-P256-SHA256")
	}
	return hash[0], nil, nil
}

func (a *authenticator) hashBody(r *auth.Request) (string, error) {
	body, err := r.Body(a.maxBody)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), nil
}
