package vault_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fault stands between the provider and a Vault, counts requests and may
// answer in the server's place.
type fault struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []request
	answer func(w http.ResponseWriter, r *http.Request) (answered bool)
}

// request is what came in.
type request struct {
	path   string // after /v1/
	header http.Header
}

func newFault(t *testing.T, address string) *fault {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:    transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	f := &fault{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, request{strings.TrimPrefix(r.URL.Path, "/v1/"), r.Header.Clone()})
		answer := f.answer
		f.mu.Unlock()
		if answer == nil || !answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// requests are those so far.
func (f *fault) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// count is how many requests there were for a path.
func (f *fault) count(path string) int {
	n := 0
	for _, r := range f.requests() {
		if r.path == path {
			n++
		}
	}
	return n
}

// with answers in the server's place from now on; nil ends that.
func (f *fault) with(answer func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// status answers everything with a status and a body.
func status(code int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
		return true
	}
}
