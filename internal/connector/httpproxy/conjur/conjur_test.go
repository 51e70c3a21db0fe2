package conjur

import (
	"net/http"
	"slices"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
)

func request(t *testing.T, token string) *auth.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://conjur.example.com/secrets", nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header.Set("Authorization", `Token token="mine"`)
	to, err := origin.Parse("https", "conjur.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewRequest(to, message.FromHTTP(out), secret.NewSet(map[string]secret.Value{"accessToken": secret.Copy(token)}))
}

func TestAuthenticate(t *testing.T) {
	a, err := Definition().New(auth.Config{}, auth.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	const token = `{"protected":"e30=","payload":"e30=","signature":"x"}`
	r := request(t, token)
	if err := a.Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	const encoded = "eyJwcm90ZWN0ZWQiOiJlMzA9IiwicGF5bG9hZCI6ImUzMD0iLCJzaWduYXR1cmUiOiJ4In0="
	if got := r.Header("Authorization"); len(got) != 1 || got[0] != `Token token="`+encoded+`"` {
		t.Errorf("%v", got)
	}
	for _, want := range []string{token, encoded} {
		if !slices.Contains(r.Hidden(), want) {
			t.Errorf("%s is not hidden", want)
		}
	}
	if err := a.Authenticate(t.Context(), request(t, "")); connector.KindOf(err) != connector.KindConfig {
		t.Errorf("an empty token: %v", err)
	}
}
