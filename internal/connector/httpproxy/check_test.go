package httpproxy_test

import (
	"fmt"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/doctor"
	"secretless/internal/testenv"
)

func TestCheck(t *testing.T) {
	secure, plain := newTLSTarget(t, nil), newTarget(t, nil)
	_, port, _ := strings.Cut(secure.host, ":")
	p := newProxy(t,
		svc{name: "secure", config: fmt.Sprintf("hosts: ['*.example.com', '127.0.0.1:%s'], forceSSL: true", port)},
		svc{name: "plain", config: fmt.Sprintf("hosts: [%q]", plain.host)},
		svc{name: "patterns", config: "hosts: ['*.other.example']"},
		svc{name: "nowhere", config: "hosts: ['nowhere.invalid']"},
		svc{name: "local", config: fmt.Sprintf("hosts: ['localhost:%s']", port)},
		svc{name: "expired", config: fmt.Sprintf("hosts: [%q]", tlsServer(t, testenv.CertExpired))},
		svc{name: "untrusted", config: fmt.Sprintf("hosts: ['localhost.localhost:%s'], forceSSL: true", port)},
	)
	built, err := tryBuild(p.all, p.text)
	if err != nil {
		t.Fatal(err)
	}
	defer built.Discard()
	results := doctor.Examine(t.Context(), built.Configured, doctor.Options{AtOnce: 2, Log: p.logger()})
	if len(results) != 7 {
		t.Fatalf("%+v", results)
	}
	for _, r := range results {
		switch r.Service {
		case "secure":
			if r.Status != doctor.OK || r.Target != secure.host || !strings.Contains(r.TLS, "TLS 1.3, 127.0.0.1 until") {
				t.Errorf("%+v", r)
			}
		case "plain":
			if r.Status != doctor.OK || r.TLS != "none" {
				t.Errorf("%+v", r)
			}
		case "local": // clients could use http and https
			if r.Status != doctor.OK || !strings.Contains(r.TLS, "TLS 1.3, localhost until") {
				t.Errorf("%+v", r)
			}
		case "expired":
			if r.Status != doctor.Failed || r.Kind != connector.KindTLS.String() || !strings.Contains(r.Problem, "has expired on 20") {
				t.Errorf("%+v", r)
			}
		case "patterns":
			if r.Status != doctor.OK || !strings.Contains(r.Detail, "no single host") {
				t.Errorf("%+v", r)
			}
		case "nowhere":
			if r.Status != doctor.Failed || r.Kind != connector.KindResolve.String() {
				t.Errorf("%+v", r)
			}
		case "untrusted":
			if r.Status != doctor.Failed {
				t.Errorf("%+v", r)
			}
		}
	}
	if len(secure.requests())+len(plain.requests()) != 0 {
		t.Error("a request was sent")
	}
}
