package conjur

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"secretless/internal/secret"
)

const (
	// tokenLife is how long Conjur accepts a token that does not say.
	tokenLife = 8 * time.Minute
	// maxTokenLife bounds what a token says of itself.
	maxTokenLife = 24 * time.Hour
	// usable is the part of a token's life after which another is fetched.
	usable = 0.75
	// tokenMargin is how long before its end a token is not handed out.
	tokenMargin = 15 * time.Second
)

var errNoToken = errors.New("what came is no access token of Conjur")

// token is an access token and what is known of its life. Time is counted from
// when it came, so that a server whose clock differs does no harm.
type token struct {
	raw     secret.Value // JSON, as Conjur has sent it
	renew   time.Time    // from then on another is better
	ends    time.Time
	serial  uint64 // tells tokens apart
	foreign bool   // somebody else keeps it fresh, in a file
}

// readToken checks that b is a token, and takes it over.
func readToken(b []byte, now time.Time) (*token, error) {
	issued, expires, err := lifeOf(b)
	if err != nil {
		clear(b)
		return nil, err
	}
	life := tokenLife
	if expires > 0 {
		life = time.Duration(expires-issued) * time.Second
		if expires < issued || life > maxTokenLife {
			clear(b)
			return nil, errNoToken
		}
	}
	return &token{raw: secret.New(b), renew: now.Add(time.Duration(float64(life) * usable)), ends: now.Add(life - tokenMargin)}, nil
}

// lifeOf reads when a token was issued and when it ends, if it says so.
func lifeOf(b []byte) (issued, expires int64, err error) {
	var t struct{ Protected, Payload, Signature string }
	if json.Unmarshal(b, &t) != nil || t.Protected == "" || t.Payload == "" || t.Signature == "" {
		return 0, 0, errNoToken
	}
	payload, err := decode(t.Payload)
	if err != nil {
		return 0, 0, errNoToken
	}
	var claims struct {
		Iat *float64
		Exp float64
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Iat == nil || *claims.Iat < 0 || *claims.Iat > 1<<40 || claims.Exp < 0 || claims.Exp > 1<<40 {
		return 0, 0, errNoToken
	}
	return int64(*claims.Iat), int64(claims.Exp), nil
}

// decode reads base64 of either alphabet, with or without padding.
func decode(text string) ([]byte, error) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := e.DecodeString(text); err == nil {
			return b, nil
		}
	}
	return nil, errNoToken
}
