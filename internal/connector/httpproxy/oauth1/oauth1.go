// Package oauth1 signs requests with OAuth 1.0a (RFC 5849).
package oauth1

import (
	"cmp"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the protocol's
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"secretless/internal/fips"
)

// Method is a signature method.
type Method string

// The signature methods: those of RFC 5849, and HMAC-SHA256 as servers have
// taken it up since.
const (
	HMACSHA1   Method = "HMAC-SHA1"
	HMACSHA256 Method = "HMAC-SHA256"
	RSASHA1    Method = "RSA-SHA1"
	Plaintext  Method = "PLAINTEXT"
)

// Signer holds what one request is signed with.
type Signer struct {
	Method         Method
	ConsumerKey    string
	ConsumerSecret string
	Token          string // empty where there is none
	TokenSecret    string
	PrivateKey     *rsa.PrivateKey // for RSASHA1
	Realm          string
}

// Request is what the signature covers.
type Request struct {
	Method string
	URL    *url.URL
	// Form is the body of a form; empty for every other request.
	Form string
	Time time.Time
}

// Sign returns the value of the Authorization header.
func (s Signer) Sign(r Request) (string, error) { return s.sign(r, rand.Text()) }

func (s Signer) sign(r Request, nonce string) (string, error) {
	params := []pair{
		{"oauth_consumer_key", s.ConsumerKey},
		{"oauth_nonce", nonce},
		{"oauth_signature_method", string(s.Method)},
		{"oauth_timestamp", strconv.FormatInt(r.Time.Unix(), 10)},
		{"oauth_version", "1.0"},
	}
	if s.Token != "" {
		params = append(params, pair{"oauth_token", s.Token})
	}
	base, err := baseString(r, params)
	if err != nil {
		return "", err
	}
	signature, err := s.signature(base)
	if err != nil {
		return "", err
	}
	params = append(params, pair{"oauth_signature", signature})
	if s.Realm != "" {
		params = append([]pair{{"realm", s.Realm}}, params...)
	}
	var fields []string
	for _, p := range params {
		fields = append(fields, p.name+`="`+escape(p.value)+`"`)
	}
	return "OAuth " + strings.Join(fields, ", "), nil
}

// signature is section 3.4.2 to 3.4.4.
func (s Signer) signature(base string) (string, error) {
	key := escape(s.ConsumerSecret) + "&" + escape(s.TokenSecret)
	if err := s.approved(len(key)); err != nil {
		return "", err
	}
	switch s.Method {
	case HMACSHA1:
		return mac(sha1.New, key, base), nil
	case HMACSHA256:
		return mac(sha256.New, key, base), nil
	case Plaintext:
		return key, nil
	case RSASHA1:
		if s.PrivateKey == nil {
			return "", errors.New("RSA-SHA1 needs a private key")
		}
		digest := sha1.Sum([]byte(base)) //nolint:gosec // the protocol's
		signed, err := rsa.SignPKCS1v15(rand.Reader, s.PrivateKey, crypto.SHA1, digest[:])
		return base64.StdEncoding.EncodeToString(signed), err
	}
	return "", errors.New("the signature method is not known")
}

// approved refuses SHA-1 in FIPS mode.
func (s Signer) approved(key int) error {
	switch s.Method {
	case HMACSHA1, RSASHA1:
		return fips.Refuse(string(s.Method), "use "+string(HMACSHA256)+" if the server takes it")
	case HMACSHA256:
		return fips.Key("the consumer's and the token's secret together", key)
	case Plaintext:
	}
	return nil
}

func mac(hash func() hash.Hash, key, text string) string {
	m := hmac.New(hash, []byte(key))
	m.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// pair is a parameter as it stands after decoding.
type pair struct{ name, value string }

// baseString is section 3.4.1.
func baseString(r Request, oauth []pair) (string, error) {
	params := slices.Clone(oauth)
	for _, encoded := range []string{r.URL.RawQuery, r.Form} {
		more, err := decode(encoded)
		if err != nil {
			return "", err
		}
		params = append(params, more...)
	}
	for i, p := range params {
		params[i] = pair{escape(p.name), escape(p.value)}
	}
	slices.SortFunc(params, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var joined []string
	for _, p := range params {
		joined = append(joined, p.name+"="+p.value)
	}
	return strings.ToUpper(r.Method) + "&" + escape(baseURI(r.URL)) + "&" + escape(strings.Join(joined, "&")), nil
}

// decode takes a query or form apart, keeping what occurs more than once.
func decode(encoded string) ([]pair, error) {
	var all []pair
	if encoded == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(encoded, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, errors.New("the query or form is not properly encoded and cannot be signed")
		}
		all = append(all, pair{n, v})
	}
	return all, nil
}

// baseURI is section 3.4.1.2: without a default port, query and fragment.
func baseURI(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path
}

// escape is section 3.6.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// ParseKey reads an RSA key in PEM: PKCS #8 or PKCS #1. Errors quote nothing.
func ParseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the private key is not in PEM")
	}
	defer clear(block.Bytes)
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := key.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, errors.New("the private key is no RSA key in PKCS #8 or PKCS #1")
}
