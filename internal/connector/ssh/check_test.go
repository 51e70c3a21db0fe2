package ssh

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
)

// Where the user is each client's, a check can verify the host key and no more:
// that is no fault of the configuration, and no login that the target took.
func TestCheck(t *testing.T) {
	h := newHost(t)
	other, _ := newKey(t)
	for name, test := range map[string]struct {
		set    map[string]string
		users  int // that the target heard of
		kind   connector.Kind
		detail string
		fails  string
	}{
		"a user":                     {set: h.credentials(), users: 1, detail: "SSH-2.0-"},
		"each client's":              {set: h.credentials("user", ""), detail: "the login was not tried: the user is each client's"},
		"each client's, another key": {set: h.credentials("user", "", "hostKey", authorizedKey(other.PublicKey())), kind: connector.KindTLS, fails: "is not the one that hostKey names"},
		"a wrong password":           {set: h.credentials("password", "wr0ng"), users: 1, kind: connector.KindRejected, fails: "refused user"},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.heard()
			f := newFront(t, Config{}, test.set)
			report, err := f.c.Check(t.Context(), &connector.Session{Service: "host", Log: f.c.log, Credentials: f})
			if (test.fails == "") != (err == nil) || err != nil && (connector.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.fails)) {
				t.Fatalf("got %v", err)
			}
			if err == nil && (!strings.HasPrefix(report.Detail, test.detail) || report.TLS != "SSH, host key "+ssh.FingerprintSHA256(h.key.PublicKey()) || report.Unverified) {
				t.Errorf("got %+v", report)
			}
			if taken := test.users == 1 && err == nil; taken != strings.HasSuffix(f.Counts(), "1 accepted") {
				t.Errorf("%s", f.Counts())
			}
			if got := h.heard() - before; got != test.users {
				t.Errorf("the target heard of %d users, want %d", got, test.users)
			}
		})
	}
}

// heard is how many logins have told the target a user.
func (h *host) heard() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.users)
}
