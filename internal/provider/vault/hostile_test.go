package vault_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"secretless/internal/provider/providertest"
)

// answering is the address of a server that reads a request and answers with
// what text makes of its token.
func answering(t *testing.T, text func(token string) string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				fmt.Fprint(conn, text(r.Header.Get("X-Vault-Token")))
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// A server that gives the token back does not get it into an error, wherever
// in the answer it stands.
func TestAnswersThatAreNoHTTP(t *testing.T) {
	const canary = providertest.Canary
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"no HTTP":   "TOKEN\r\n\r\n",
		"status":    "HTTP/1.1 TOKEN\r\n\r\n",
		"header":    ok + "X-Vault-Token TOKEN\r\n\r\n",
		"length":    ok + "Content-Length: TOKEN\r\n\r\n",
		"encoding":  ok + "Transfer-Encoding: TOKEN\r\n\r\n",
		"chunk":     ok + "Transfer-Encoding: chunked\r\n\r\nTOKEN\r\n",
		"cut short": ok + "Content-Length: 100\r\n\r\nTOKEN",
	} {
		s := open(t, tokenConfig(answering(t, func(token string) string { return strings.ReplaceAll(text, "TOKEN", token) }), canary))
		_, err := s.fetch("secret/x")
		if err == nil || strings.Contains(err.Error(), canary) || s.log.has(canary) {
			t.Errorf("%s: %v %s", name, err, s.log)
		}
	}
}
