//go:build linux

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"secretless/internal/testenv"
)

// streamMemory is what the broker may need, whatever the length of bodies.
const streamMemory = 64 << 20

// streamBytes is how much is sent each way: SECRETLESS_STREAM_BYTES, 1 GiB say.
func streamBytes(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("SECRETLESS_STREAM_BYTES")
	if text == "" {
		return 256 << 20
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("SECRETLESS_STREAM_BYTES: %v", err)
	}
	return n
}

// blanks are as many zero bytes as are asked for.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// streamTarget counts uploads and sends downloads of size to who has the token,
// and takes what is signed with the key realid.
func streamTarget(size int64, signed *atomic.Int64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /up", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	mux.HandleFunc("GET /down", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.CopyN(w, blanks{}, size)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Get("Authorization")
		switch {
		case authorization == "Bearer "+targetToken:
			mux.ServeHTTP(w, r)
		case strings.Contains(authorization, " Credential=realid/"):
			signed.Add(1)
			_, _ = io.Copy(w, r.Body)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

// Bodies of any length pass in both directions at once in little memory; where
// the body must be hashed to be signed, there is a limit and a clear answer.
func TestHTTPStreamMemory(t *testing.T) {
	size := streamBytes(t)
	var signed atomic.Int64
	h := streamTarget(size, &signed)
	plain, secure := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	defer plain.Close()
	pair := testenv.CA(t).ServerFor(t, "127.0.0.1")
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	secure.TLS, secure.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{cert}}, true
	secure.StartTLS()
	defer secure.Close()
	api := httptest.NewServer(h)
	defer api.Close()

	r := prepare(t)
	r.env["XDG_STATE_HOME"] = filepath.Join(r.dir, "state")
	r.env["DB_PASSWORD"] = targetToken
	r.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	yaml := fmt.Sprintf(`version: "2"
services:
  api:
    connector: generic_http
    listenOn: tcp://127.0.0.1:%[1]d
    credentials: { token: { from: env, get: DB_PASSWORD } }
    config:
      hosts: [%[2]q, %[3]q]
      headers: { Authorization: "Bearer {{ .token }}" }
  cloud:
    connector: aws
    listenOn: tcp://127.0.0.1:%[1]d
    credentials: { accessKeyId: realid, secretAccessKey: { from: env, get: DB_PASSWORD } }
    config: { hosts: [%[4]q], maxSignedBody: 1 }
admin: { health: off }
`, r.port, plain.Listener.Addr(), secure.Listener.Addr(), api.Listener.Addr())
	r.write(yaml)
	r.program("ca", "init")
	broker := r.exec(buildBinary(t), yaml)
	r.eventually("the broker to be ready", func() bool { return r.log.has(`"msg":"ready"`) })
	vars := r.clientEnv()
	roots := rootsOf(t, vars)

	for _, c := range []struct {
		name, url string
		http2     bool
	}{
		{"plain", plain.URL, false},
		{"intercepted", secure.URL, false},
		{"intercepted-http2", secure.URL, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.streamBothWays(t, roots, c.url, c.http2, size)
			peak := memory(broker.Process.Pid, "VmHWM")
			t.Logf("%d MiB each way; RSS %d KiB at the peak so far", size>>20, peak>>10)
			if peak == 0 || peak > streamMemory {
				t.Errorf("the broker needed %d MiB", peak>>20)
			}
		})
	}
	t.Run("aws", func(t *testing.T) {
		small := testenv.WriteFile(t, "small", strings.Repeat("x", 1<<20))
		large := testenv.WriteFile(t, "large", strings.Repeat("x", 4<<20))
		keys := append(vars, "AWS_ACCESS_KEY_ID=dummy", "AWS_SECRET_ACCESS_KEY=dummy", "AWS_DEFAULT_REGION=us-east-1", "AWS_MAX_ATTEMPTS=1")
		invoke := func(file string) (string, error) {
			return tryAWS(t, keys, "--endpoint-url", api.URL, "lambda", "invoke", "--function-name", "f", "--payload", "fileb://"+file, filepath.Join(t.TempDir(), "out"))
		}
		if out, err := invoke(small); err != nil || signed.Load() != 1 {
			t.Errorf("a body of the limit's length: %v, signed %d times: %s", err, signed.Load(), out)
		}
		if out, err := invoke(large); err == nil || !strings.Contains(out, "413") || signed.Load() != 1 {
			t.Errorf("a longer one: %v, signed %d times: %s", err, signed.Load(), out)
		} else {
			t.Logf("%s", out)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api.URL, io.LimitReader(blanks{}, size))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Amz-Date", "20130524T000000Z")
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=dummy/20130524/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
		response, err := r.client(roots).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "secretless:") || signed.Load() != 1 {
			t.Errorf("a body without an end in sight: %s, %v, signed %d times: %s", response.Status, err, signed.Load(), body)
		} else {
			t.Logf("%s", body)
		}
		if peak := memory(broker.Process.Pid, "VmHWM"); peak > streamMemory {
			t.Errorf("the broker needed %d MiB", peak>>20)
		}
	})
	if _, body := get(t, plain.Client(), plain.URL+"/down"); len(body) > 0 {
		t.Error("the target sends to everybody")
	}
}

func (r *running) streamBothWays(t *testing.T, roots *x509.CertPool, url string, http2 bool, size int64) {
	t.Helper()
	client := r.client(roots)
	client.Timeout = 0
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
	uploaded := make(chan error)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/up", io.LimitReader(blanks{}, size))
		if err != nil {
			uploaded <- err
			return
		}
		request.ContentLength = size
		_, body, err := stream(client, request, io.ReadAll)
		if err == nil && string(body) != fmt.Sprintf("%d <nil>", size) {
			err = fmt.Errorf("the target got %s", body)
		}
		uploaded <- err
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/down", nil)
	if err != nil {
		t.Fatal(err)
	}
	major, n, err := stream(client, request, func(body io.Reader) (int64, error) { return io.Copy(io.Discard, body) })
	if err := errors.Join(err, <-uploaded); err != nil || n != size || (major == 2) != http2 {
		t.Errorf("%v; downloaded %d with HTTP/%d", err, n, major)
	}
}

// stream reads an answer that is a success.
func stream[T any](client *http.Client, request *http.Request, read func(io.Reader) (T, error)) (major int, got T, err error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, got, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return response.ProtoMajor, got, errors.New(response.Status)
	}
	got, err = read(response.Body)
	return response.ProtoMajor, got, err
}
