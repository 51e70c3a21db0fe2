package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// bareProxyFlag, with where to listen and where to send, makes a process of
// this program serveBareProxy. It is for this program alone.
const bareProxyFlag = "bare-proxy"

// serveBareProxy is Go's own reverse proxy that adds a header: the least that a
// proxy made of net/http costs.
func serveBareProxy(listen, to string) error {
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: to})
			r.Out.Header.Set("Authorization", basicAuthorization)
		},
	}
	return http.ListenAndServe(listen, proxy)
}
