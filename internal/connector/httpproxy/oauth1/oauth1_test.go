package oauth1

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

func parse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// RFC 5849, 3.4.1.1: the base string.
func TestBaseString(t *testing.T) {
	got, err := baseString(Request{
		Method: "post",
		URL:    parse(t, "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b"),
		Form:   "c2&a3=2+q",
	}, []pair{
		{"oauth_consumer_key", "9djdj82h48djs9d2"},
		{"oauth_token", "kkk9d7dh3k39sjv7"},
		{"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", "137131201"},
		{"oauth_nonce", "7d8f3e4a"},
	})
	const want = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26" +
		"oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
	if err != nil || got != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
}

func TestBaseURI(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP://Example.com:80/r%20v/X?id=123":  "http://example.com/r%20v/X",
		"https://www.example.net:8080/?q=1":     "https://www.example.net:8080/",
		"https://example.net:443":               "https://example.net/",
		"http://example.net:443/":               "http://example.net:443/",
		"https://[2001:db8::1]:443/x#fragment":  "https://[2001:db8::1]/x",
		"https://[2001:db8::1]:8443/x%2Fy?z=%2": "https://[2001:db8::1]:8443/x%2Fy",
	} {
		if got := baseURI(parse(t, text)); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// The example of Twitter's documentation, "Creating a signature".
func TestKnownSignature(t *testing.T) {
	s := Signer{
		Method: HMACSHA1, ConsumerKey: "xvz1evFS4wEEPTGEFPHBog", ConsumerSecret: "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
		Token: "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb", TokenSecret: "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
	}
	got, err := s.sign(Request{
		Method: "POST", URL: parse(t, "https://api.twitter.com/1.1/statuses/update.json?include_entities=true"),
		Form: "status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21", Time: time.Unix(1318622958, 0),
	}, "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg")
	if err != nil || !strings.Contains(got, `oauth_signature="hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D"`) {
		t.Errorf("%v: %s", err, got)
	}
}

const verifier = `
import sys
from oauthlib.oauth1.rfc5849 import signature
from oauthlib.common import Request
method, uri, body, authorization, client_secret, token_secret, public = sys.argv[1:8]
headers = {"Authorization": authorization}
if body:
    headers["Content-Type"] = "application/x-www-form-urlencoded"
params = signature.collect_parameters(uri_query=uri.partition("?")[2], body=body, headers=headers, exclude_oauth_signature=False)
r = Request(uri, method, body, headers)
r.params = [(k, v) for k, v in params if k != "oauth_signature"]
r.signature = dict(params)["oauth_signature"]
check = {
    "HMAC-SHA1": lambda: signature.verify_hmac_sha1(r, client_secret, token_secret),
    "HMAC-SHA256": lambda: signature.verify_hmac_sha256(r, client_secret, token_secret),
    "RSA-SHA1": lambda: signature.verify_rsa_sha1(r, public),
    "PLAINTEXT": lambda: signature.verify_plaintext(r, client_secret, token_secret),
}[dict(params)["oauth_signature_method"]]
print("valid" if check() else "INVALID")
`

// Somebody else's reading of the specification accepts what is signed here.
func TestOAuthlibVerifies(t *testing.T) {
	python := testenv.PythonModule(t, "oauthlib")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for _, method := range []Method{HMACSHA1, HMACSHA256, RSASHA1, Plaintext} {
		for _, r := range []struct{ method, uri, form string }{
			{"GET", "https://api.example.com/", ""},
			{"GET", "https://api.example.com:8443/a%20b?b=2&a=1&a=0&empty=", ""},
			{"POST", "https://api.example.com/x?q=%C3%A4", "status=one+two%21&status=more&x="},
		} {
			s := Signer{Method: method, ConsumerKey: "key", ConsumerSecret: "consumer/secret&", Token: "token", TokenSecret: "token secret", PrivateKey: key, Realm: "a realm"}
			header, err := s.Sign(Request{Method: r.method, URL: parse(t, r.uri), Form: r.form, Time: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), python, "-c", verifier, r.method, r.uri, r.form, header, s.ConsumerSecret, s.TokenSecret, public).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "valid" {
				t.Errorf("%s %s %s: %v %s", method, r.method, r.uri, err, out)
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range []*pem.Block{
		{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}, {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if got, err := ParseKey(pem.EncodeToMemory(block)); err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", block.Type, err)
		}
	}
	for _, text := range []string{"", "hunter2", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzBaseString(f *testing.F) {
	f.Add("a=1&b=2", "c=3")
	f.Add("%zz", "&&=")
	f.Fuzz(func(t *testing.T, query, form string) {
		base, err := baseString(Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: "h", Path: "/", RawQuery: query}, Form: form}, nil)
		if err == nil && strings.Count(base, "&") != 2 {
			t.Errorf("%q", base)
		}
	})
}
