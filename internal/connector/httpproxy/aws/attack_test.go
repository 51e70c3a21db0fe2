package aws

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/origin"
)

// What a client says that it signs for is what the endpoint is made of. No text
// may make a host that somebody else than AWS answers for, nor be signed.
func TestAttackPlaceholder(t *testing.T) {
	const region, service = "us-east-1", "sqs"
	for _, c := range []struct{ name, region, service string }{
		{"dots in the region", "us-east-1.evil.test", service},
		{"dots in the service", region, "evil.test"},
		{"dot at the start", region, ".sqs"},
		{"dot at the end", region + ".", service},
		{"full-width dot", "evil\uff0etest", service},
		{"ideographic dot", region, "evil\u3002test"},
		{"encoded dot", region, "evil%2etest"},
		{"encoded slash", "us-east-1%2f..", service},
		{"backslash", region, `evil.test\`},
		{"at sign", "x@evil-1", service},
		{"user and password", region, "user:pass@evil"},
		{"port", region + ":8443", service},
		{"colon", region, "evil:"},
		{"query", region, "evil?"},
		{"fragment", region, "evil#"},
		{"semicolon", region, "evil;x"},
		{"brackets", region, "[evil]"},
		{"zone", region, "evil%25x"},
		{"line break", "us-east-1\r\nHost: evil.test", service},
		{"line feed", region, "sqs\nx"},
		{"carriage return", region, "sqs\rx"},
		{"zero byte", region, "sqs\x00"},
		{"tab", "us\teast-1", service},
		{"blank", region, "sqs evil"},
		{"no region", "", service},
		{"no service", region, ""},
		{"hyphen first", region, "-sqs"},
		{"hyphen last", region + "-", service},
		{"upper case", "US-EAST-1", service},
		{"another alphabet", "u\u0455-east-1", service},
		{"wildcard", "*", service},
		{"long label", region, strings.Repeat("a", 64)},
		{"long region", "us-" + strings.Repeat("a", 62) + "-1", service},
		{"slash in the service", region, "evil/sqs"},
		{"slash in the region", "evil/" + region + "/x", service},

		// Names below amazonaws.com that a customer has.
		{"instance", "compute-1", "ec2-192-0-2-1"},
		{"bucket", "s3", "evil-bucket"},
		{"bucket of a region", "s3-us-west-2", "evil-bucket"},
		{"site of a bucket", "s3-website-us-east-1", "evil-bucket"},
		{"load balancer", "elb", "evil"},
		{"number for a region", "1", service},
		{"letters for a region", "us-east", service},
		{"hyphen for a region", "us-east-", service},
		{"region that ends in zero", "us-east-0", service},
	} {
		t.Run(c.name, func(t *testing.T) {
			scope := "20130524/" + c.region + "/" + c.service
			query := url.Values{
				qryAlgorithm: {algorithm}, qryCredential: {"k/" + scope + "/" + terminator}, hdrDate: {"20130524T000000Z"},
				qryHeaders: {"host"}, qrySignature: {"0"},
			}
			for where, r := range map[string]*http.Request{
				"header": {URL: &url.URL{Host: Placeholder}, Header: http.Header{hdrAuthorization: {dummy(scope, "host")}, hdrDate: {"20130524T000000Z"}}},
				"query":  {URL: &url.URL{Host: Placeholder, RawQuery: query.Encode()}, Header: http.Header{}},
			} {
				to, err := newAuthenticator(t).Locate("GET", r.URL, r.Header)
				if err == nil || connector.KindOf(err) != connector.KindDenied || to != (origin.Origin{}) {
					t.Errorf("%s: located %s, %v", where, to, err)
				}
				if err != nil && strings.ContainsAny(err.Error(), "\r\n\x00") {
					t.Errorf("%s: a message with control characters: %q", where, err)
				}
			}
		})
	}
}

// The request's own host and path have no say in where it goes.
func TestAttackPlaceholderURL(t *testing.T) {
	header := http.Header{hdrAuthorization: {dummy("20130524/us-east-1/sqs", "host")}, hdrDate: {"20130524T000000Z"}, "Host": {"evil.test"}, "X-Forwarded-Host": {"evil.test"}}
	for _, u := range []*url.URL{
		{Scheme: "http", Host: Placeholder, Path: "/"},
		{Scheme: "http", Host: Placeholder + ":8080", Path: "//evil.test/"},
		{Scheme: "https", Host: Placeholder, Path: "/@evil.test", RawQuery: "host=evil.test"},
		{Scheme: "https", Host: "evil.test", Path: "/"},
	} {
		to, err := newAuthenticator(t).Locate("GET", u, header)
		if err != nil || to.String() != "https://sqs.us-east-1.amazonaws.com" {
			t.Errorf("%s: %s, %v", u, to, err)
		}
	}
}
