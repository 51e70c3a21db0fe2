//go:build linux

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"secretless/internal/testenv"
)

// rootsOf reads the file of SSL_CERT_FILE, which Go's programs do by themselves.
func rootsOf(t *testing.T, vars []string) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	for _, v := range vars {
		if file, ok := strings.CutPrefix(v, "SSL_CERT_FILE="); ok {
			text, err := os.ReadFile(file)
			if err != nil || !roots.AppendCertsFromPEM(text) {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
	return roots
}

// Go's libraries have the proxy and its CA, and no credential.
func TestHTTPLibraries(t *testing.T) {
	tg := newTokenTarget(t)
	r, vars := tg.broker(t)
	roots := rootsOf(t, vars)
	plain, secure := tg.plain.URL, tg.secure.URL

	t.Run("net-http", func(t *testing.T) {
		for _, url := range []string{plain, secure} {
			if status, body := get(t, r.client(roots), url); status != http.StatusOK || body != "welcome\n" {
				t.Errorf("%s: %d %q", url, status, body)
			}
			if status, _ := get(t, tg.secure.Client(), url); status != http.StatusUnauthorized {
				t.Errorf("%s without the broker: %d", url, status)
			}
		}
	})
	t.Run("websocket", func(t *testing.T) {
		for _, url := range []string{plain, secure} {
			if got, status := converse(t, r.client(roots), url+"/socket"); got != "hello" || status != http.StatusSwitchingProtocols {
				t.Errorf("%s: %q, %d", url, got, status)
			}
			direct := &http.Client{Transport: &http.Transport{TLSClientConfig: tg.secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()}}
			if _, status := converse(t, direct, url+"/socket"); status != http.StatusUnauthorized {
				t.Errorf("%s without the broker: %d", url, status)
			}
		}
	})
	t.Run("grpc", func(t *testing.T) {
		address := tg.secure.Listener.Addr().String()
		through := func(ctx context.Context, to string) (net.Conn, error) { return openTunnel(ctx, r.port, to) }
		if err := checkHealth(t, address, roots, grpc.WithContextDialer(through)); err != nil {
			t.Error(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(testenv.CA(t).CAPEM))
		if err := checkHealth(t, address, pool); status.Code(err) != codes.Unauthenticated {
			t.Errorf("without the broker: %v", err)
		}
	})
}

// converse says hello; the status is the handshake's.
func converse(t *testing.T, client *http.Client, url string) (got string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if response != nil {
		status = response.StatusCode
	}
	if err != nil {
		return err.Error(), status
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Error(err)
	}
	_, text, err := c.Read(ctx)
	if err != nil {
		t.Error(err)
	}
	return string(text), status
}

// openTunnel opens a tunnel through the broker.
func openTunnel(ctx context.Context, port int, to string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("CONNECT: %s", response.Status)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// checkHealth makes a call over TLS.
func checkHealth(t *testing.T, address string, roots *x509.CertPool, options ...grpc.DialOption) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})))
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err == nil && answer.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("the answer is %v", answer)
	}
	return err
}

// Each event reaches curl before the target sends the next one.
func TestServerSentEventsReachCurl(t *testing.T) {
	tg := newTokenTarget(t)
	_, vars := tg.broker(t)
	curl := testenv.Tool(t, "curl")
	for name, url := range map[string]string{"plain": tg.plain.URL, "intercepted": tg.secure.URL} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, curl, "-sSfN", url+"/events")
			cmd.Env = vars
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for i := range 3 {
				if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) || !lines.Scan() {
					t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
				}
				select {
				case tg.next <- struct{}{}:
				case <-ctx.Done():
					t.Fatal("the target does not wait")
				}
			}
			if lines.Scan() {
				t.Errorf("another line: %q", lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if out, err := testenv.Command(t, nil, curl, "-sSk", "-o", "/dev/null", "-w", "%{http_code}", url+"/events"); err != nil || out != "401" {
				t.Errorf("without the broker: %v %s", err, out)
			}
		})
	}
}
