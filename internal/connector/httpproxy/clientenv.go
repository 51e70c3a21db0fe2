package httpproxy

import (
	"net"

	"secretless/internal/connector"
)

// clientEnv is what most HTTP clients read. HTTP_PROXY is left out: a program
// that is run as CGI takes it from whoever asks (httpoxy), so that clients
// prefer the name in lower case.
func clientEnv(e connector.Endpoint) ([]connector.Variable, error) {
	host, port, err := e.HostPort("HTTP clients")
	if err != nil {
		return nil, err
	}
	url := "http://" + net.JoinHostPort(host, port)
	if e.TLS {
		url = "https" + url[len("http"):]
	}
	return []connector.Variable{
		{Name: "http_proxy", Value: url},
		{Name: "https_proxy", Value: url},
		{Name: "HTTPS_PROXY", Value: url},
		{Name: "NODE_USE_ENV_PROXY", Value: "1"}, // Node.js 22.21 and 24 read the others only then
	}, nil
}
