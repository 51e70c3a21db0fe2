package basicauth

import (
	"net/http"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
)

func request(t *testing.T, username, password string) *auth.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header.Set("Authorization", "Basic bWluZTptaW5l")
	out.Header.Add("authorization", "Bearer mine")
	to, err := origin.Parse("https", "api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewRequest(to, message.FromHTTP(out), secret.NewSet(map[string]secret.Value{
		"username": secret.Copy(username), "password": secret.Copy(password),
	}))
}

func TestAuthenticate(t *testing.T) {
	a, err := Definition().New(auth.Config{}, auth.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ username, password, want string }{
		{"Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, // RFC 7617, 2
		{"test", "123\u00A3", "Basic dGVzdDoxMjPCow=="},                  // RFC 7617, 2.1
		{"a", "b:c", "Basic YTpiOmM="},
		{"", "", "Basic Og=="},
	} {
		r := request(t, c.username, c.password)
		if err := a.Authenticate(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := r.Header("Authorization"); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %v", c.username, got)
		}
	}
	for _, c := range []struct{ username, password, name string }{
		{"a:b", "hunter2hunter2", "username"},
		{"a\n", "hunter2hunter2", "username"},
		{"a", "hunter2hunter2\n", "password"},
		{"a", "hunter2\x00hunter2", "password"},
	} {
		err := a.Authenticate(t.Context(), request(t, c.username, c.password))
		if connector.KindOf(err) != connector.KindConfig || !strings.Contains(err.Error(), c.name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q %q: %v", c.username, c.password, err)
		}
	}
}

func TestEchoIsHidden(t *testing.T) {
	r := request(t, "alice", "hunter2hunter2")
	if err := (authenticator{}).Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	hidden := strings.Join(r.Hidden(), "\n")
	for _, want := range []string{"hunter2hunter2", "YWxpY2U6aHVudGVyMmh1bnRlcjI="} {
		if !strings.Contains(hidden, want) {
			t.Errorf("%s is not hidden", want)
		}
	}
}

func TestLiteralIsChecked(t *testing.T) {
	check := Definition().Credentials[0].Check
	if check("a:b") == nil || check("alice") != nil {
		t.Error("a user name with a colon is accepted, or one without is not")
	}
}
