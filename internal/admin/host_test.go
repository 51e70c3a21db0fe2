package admin_test

import (
	"bufio"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"secretless/internal/admin"
)

// A page whose name resolves to 127.0.0.1 reads nothing.
func TestHostOverLoopback(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, admin.ByName(admin.Health(func() bool { return true }), "Metrics.Internal"))
	port := l.Addr().String()[len("127.0.0.1:"):]
	for host, want := range map[string]int{
		l.Addr().String():                200,
		"127.0.0.1":                      200,
		"[::1]:" + port:                  200,
		"[::1]":                          200,
		"192.0.2.7:" + port:              200, // a port that is forwarded
		"localhost:" + port:              200,
		"LOCALHOST.":                     200,
		"broker.localhost":               200, // never asked of a name server
		"metrics.internal:9464":          200,
		"":                               200,
		"evil.example":                   421,
		"evil.example:" + port:           421,
		"localhost.evil.example:" + port: 421,
		"127.0.0.1.evil.example":         421,
		"notlocalhost":                   421,
		"127.1":                          421, // browsers make an address of it before they ask
	} {
		c := dial(t, l)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(c, "GET /live HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

func TestHostOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, "unix", path)
	serve(t, l, admin.ByName(admin.Health(func() bool { return true }), ""))
	if code, body := ask(t, dial(t, l), "GET", "/live"); code != 200 { // its Host is x
		t.Errorf("%d %s", code, body)
	}
	for network, want := range map[string]string{"tcp": "db.internal", "unix": ""} {
		if got := admin.NameOf(network, "db.internal:80"); got != want {
			t.Errorf("%s: %q", network, got)
		}
	}
}
