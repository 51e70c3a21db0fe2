package awsconfig

import (
	"net/http"
	"testing"
)

// Credentials that come over HTTP do not pass through a proxy; what is
// encrypted does.
func TestProxyIsForHTTPS(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.invalid:3128")
	t.Setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
	for url, proxied := range map[string]bool{
		"http://169.254.170.2/v2/credentials":                     false,
		"http://169.254.169.254/latest/meta-data":                 false,
		"https://secretsmanager.eu-west-1.amazonaws.com/anything": true,
	} {
		r, err := http.NewRequest(http.MethodGet, url, http.NoBody) //nolint:noctx // it is not sent
		if err != nil {
			t.Fatal(err)
		}
		if through, err := proxy(r); err != nil || (through != nil) != proxied {
			t.Errorf("%s: through %v, %v", url, through, err)
		}
	}
}
