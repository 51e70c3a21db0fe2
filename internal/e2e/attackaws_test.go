//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"testing"
)

// The host secretless.empty stands for one of AWS's, which a signature names. A
// client cannot make another one of it. Every name is the attacker's here, so
// that a request that goes anywhere is answered with 502, not with 403 or 400.
func TestAttackPlaceholder(t *testing.T) {
	a := &arena{running: prepare(t), names: serveNames(t, "127.0.0.2")}
	a.env["KEY"] = "secretaccesskey4711"
	a.run(fmt.Sprintf(`version: "2"
services:
  cloud:
    connector: aws
    listenOn: tcp://127.0.0.1:%d
    credentials: { accessKeyId: REALID4711, secretAccessKey: { from: env, get: KEY } }
    config: { hosts: [secretless.empty], unmatched: forward }
admin: { health: off }
`, a.port))
	signed := func(url, scope string, more ...string) string {
		return head("GET "+url+" HTTP/1.1", append([]string{
			"Host: secretless.empty", "X-Amz-Date: 20130524T000000Z",
			"Authorization: AWS4-HMAC-SHA256 Credential=dummy/20130524/" + scope + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=0",
		}, more...)...)
	}
	const placeholder = "http://secretless.empty/"
	for _, c := range []struct {
		name, send string
		want       int
	}{
		{"an endpoint of AWS", signed(placeholder, "us-east-1/sqs"), 502},
		{"host header names the attacker", signed(placeholder, "us-east-1/sqs", "X-Forwarded-Host: attacker.test"), 502},
		{"instance of a customer", signed(placeholder, "compute-1/ec2-192-0-2-1"), 403},
		{"bucket of a customer", signed(placeholder, "s3/evil"), 403},
		{"dots in the region", signed(placeholder, "us-east-1.attacker.test/sqs"), 403},
		{"dots in the service", signed(placeholder, "us-east-1/attacker.test"), 403},
		{"at sign", signed(placeholder, "us-east-1/sqs@attacker"), 403},
		{"slashes", signed(placeholder, "us-east-1/sqs//attacker.test/"), 403},
		{"encoded slash", signed(placeholder, "us-east-1/attacker.test%2f"), 403},
		{"line break", signed(placeholder, "us-east-1/sqs\r\nHost: attacker.test\r\nX: "), 400},
		{"bare carriage return", signed(placeholder, "us-east-1/sqs\rHost: attacker.test"), 400},
		{"fragment", signed(placeholder, "us-east-1/attacker#"), 403},
		{"query", signed(placeholder, "us-east-1/attacker?"), 403},
		{"placeholder as user", signed("http://secretless.empty@attacker.test/", "us-east-1/sqs"), 400},
		{"unsigned", head("GET "+placeholder+" HTTP/1.1", "Host: secretless.empty"), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := a.talk(t, a.dial(t), c.send)
			if !bytes.HasPrefix(got, fmt.Appendf(nil, "HTTP/1.1 %d ", c.want)) {
				t.Errorf("got %.300q, want %d", got, c.want)
			}
			if bytes.Contains(got, []byte("4711")) {
				t.Errorf("LEAK: %q", got)
			}
		})
	}
}
