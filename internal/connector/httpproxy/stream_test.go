package httpproxy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"secretless/internal/testenv"
)

// both runs a test over plain HTTP, and intercepted with both versions.
func both(t *testing.T, h http.HandlerFunc, test func(t *testing.T, p *proxy, c *http.Client, tg *target)) {
	for name, tg := range map[string]*target{"plain": newTarget(t, h), "tls": newTLSTarget(t, h)} {
		p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], redact: false", tg.host)})
		t.Run(name, func(t *testing.T) { test(t, p, p.client(), tg) })
		if name == "tls" {
			t.Run("http1", func(t *testing.T) {
				test(t, p, p.client(func(tr *http.Transport) { tr.ForceAttemptHTTP2 = false }), tg)
			})
		}
	}
}

func TestBodiesStreamBothWays(t *testing.T) {
	const size = 8 << 20
	both(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x", n, sum.Sum(nil))
	}, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		want := fmt.Sprintf("%d %x", size, sha256.Sum256(data))
		for _, length := range []int64{size, -1} {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, tg.URL, io.MultiReader(bytes.NewReader(data)))
			r.ContentLength = length
			if status, body := do(t, c, r); status != 200 || body != want {
				t.Errorf("length %d: %d %.80q", length, status, body)
			}
		}
	})
}

// The target answers while it reads, and each part goes through at once.
func TestFullDuplex(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		w.WriteHeader(200)
		_ = rc.Flush()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, line)
			_ = rc.Flush()
		}
	}, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		pr, pw := io.Pipe()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, tg.URL, pr)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		in := bufio.NewReader(resp.Body)
		for i := range 5 {
			fmt.Fprintf(pw, "line %d\n", i)
			if got, err := in.ReadString('\n'); err != nil || got != fmt.Sprintf("line %d\n", i) {
				t.Fatalf("%q %v", got, err)
			}
		}
		_ = pw.Close()
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("%q %v", rest, err)
		}
	})
}

func TestServerSentEvents(t *testing.T) {
	next := make(chan struct{})
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		resp, err := c.Get(tg.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		in := bufio.NewReader(resp.Body)
		for i := range 3 {
			if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%q %v", line, err)
			}
			_, _ = in.ReadString('\n')
			next <- struct{}{}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestTrailersBothWays(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		w.Header().Set("X-Announced", "sum="+r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	}, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, tg.URL, io.MultiReader(strings.NewReader("body")))
		r.Trailer = http.Header{"X-Sum": {"42"}}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != "body" || resp.Trailer.Get("X-Announced") != "sum=42" || resp.Trailer.Get("X-Late") != "late" {
			t.Errorf("%q %v %v", body, err, resp.Trailer)
		}
	})
}

func TestInformationalAnswers(t *testing.T) {
	both(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Last", "1")
		_, _ = io.WriteString(w, "done")
	}, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		var hints atomic.Int64
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") != "" {
				hints.Add(1)
			}
			return nil
		}})
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, tg.URL, nil)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if hints.Load() != 1 || resp.Header.Get("Link") != "" || resp.Header.Get("X-Last") != "1" {
			t.Errorf("%d hints, %v", hints.Load(), resp.Header)
		}
	})
}

// The client sends its body only when the target has asked for it.
func TestExpectContinue(t *testing.T) {
	read := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	refuse := newTarget(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) })
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, %q]", read.host, refuse.host)})
	conn := p.dial()
	in := bufio.NewReader(conn)
	fmt.Fprintf(conn, "PUT %s/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", read.URL)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q %v", line, err)
	}
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(conn, "body")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "body" {
		t.Errorf("%q", body)
	}
	fmt.Fprintf(conn, "PUT %s/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", refuse.URL)
	if resp, err = http.ReadResponse(in, nil); err != nil || resp.StatusCode != 417 {
		t.Fatalf("%v %v", resp, err)
	}
}

func TestWebSocket(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "Token "+sesame {
			w.WriteHeader(401)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(1 << 20)
		for {
			kind, data, err := c.Read(context.Background())
			if err != nil {
				return
			}
			if c.Write(context.Background(), kind, data) != nil {
				return
			}
		}
	}
	both(t, h, func(t *testing.T, p *proxy, _ *http.Client, tg *target) {
		client := p.client(func(tr *http.Transport) { tr.ForceAttemptHTTP2 = false })
		client.Timeout = 0
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, _, err := websocket.Dial(ctx, tg.URL+"/ws", &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(1 << 20)
		for _, size := range []int{1, 100, 200 << 10} {
			text := strings.Repeat("x", size)
			if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(ctx); err != nil || string(got) != text {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
			t.Error(err)
		}
	})
}

// wsWaits: a stop ends upgraded connections too.
func TestStopEndsUpgraded(t *testing.T) {
	tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err == nil {
			_, _, _ = c.Read(context.Background())
			_ = c.CloseNow()
		}
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host), more: "drain: 0s"})
	client := p.client()
	client.Timeout = 0
	c, _, err := websocket.Dial(t.Context(), tg.URL, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if err := p.broker.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("%v", err)
	}
}

func TestGRPC(t *testing.T) {
	pair := testenv.CA(t).Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server, client credentials.TransportCredentials
	}{
		"tls":   {credentials.NewServerTLSFromCert(&cert), credentials.NewTLS(&tls.Config{RootCAs: roots(t)})},
		"plain": {insecure.NewCredentials(), insecure.NewCredentials()},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var seen atomic.Int64
			check := func(ctx context.Context) {
				md, _ := metadata.FromIncomingContext(ctx)
				if v := md.Get("x-token"); len(v) == 1 && v[0] == "Token "+sesame {
					seen.Add(1)
				}
			}
			server := grpc.NewServer(grpc.Creds(c.server),
				grpc.UnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
					check(ctx)
					_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "yes"))
					return h(ctx, r)
				}),
				grpc.StreamInterceptor(func(s any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
					check(ss.Context())
					return h(s, ss)
				}))
			states := health.NewServer()
			healthpb.RegisterHealthServer(server, states)
			served := make(chan struct{})
			go func() { defer close(served); _ = server.Serve(ln) }()
			t.Cleanup(func() { server.Stop(); <-served })

			p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", ln.Addr())})
			conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), grpc.WithTransportCredentials(c.client),
				grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) {
					tunnel, resp := p.open(addr)
					if resp.StatusCode != 200 {
						return nil, fmt.Errorf("%s", resp.Status)
					}
					_ = tunnel.SetDeadline(time.Time{})
					return tunnel, nil
				}))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			client := healthpb.NewHealthClient(conn)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var trailer metadata.MD
			if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Trailer(&trailer)); err != nil || len(trailer.Get("x-trailer")) != 1 {
				t.Fatalf("%v %v", err, trailer)
			}
			if _, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "nobody"}); err == nil || !strings.Contains(err.Error(), "NotFound") {
				t.Errorf("the error of the target: %v", err)
			}
			stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
				got, err := stream.Recv()
				if err != nil || got.Status != want {
					t.Fatalf("%v %v", got, err)
				}
				states.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
			}
			if seen.Load() != 3 {
				t.Errorf("%d calls with the credential", seen.Load())
			}
		})
	}
}

func TestEchoedCredentialIsHidden(t *testing.T) {
	big := strings.Repeat("padding ", 20<<10)
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("X-Echo", r.Header.Get("X-Token"))
		text := fmt.Sprintf(`{"token": %q, "again": %q}`, r.Header.Get("X-Token"), strings.TrimPrefix(r.Header.Get("X-Token"), "Token "))
		switch r.URL.Path {
		case "/big":
			_, _ = io.WriteString(w, big+text)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, text)
			_ = z.Close()
		case "/split":
			half := strings.Index(text, sesame) + 5
			_, _ = io.WriteString(w, text[:half])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, text[half:])
		case "/binary":
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Del("X-Echo")
			_, _ = io.WriteString(w, strings.ReplaceAll(text, sesame, "nothing"))
		default:
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			_, _ = io.WriteString(w, text)
		}
	}
	for _, tg := range []*target{newTarget(t, h), newTLSTarget(t, h)} {
		p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
		for _, path := range []string{"/", "/big", "/gzip", "/split", "/binary"} {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, tg.URL+path, nil)
			r.Header.Set("Accept-Encoding", "gzip, br")
			resp, err := p.client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || strings.Contains(string(body), sesame) || strings.Contains(fmt.Sprint(resp.Header), sesame) {
				t.Errorf("%s: %v %v %.200q", path, err, resp.Header, body)
			}
			want := `{"token": "[secret]", "again": "[secret]"}`
			if path == "/binary" {
				want = `{"token": "Token nothing", "again": "nothing"}`
			}
			if !strings.HasSuffix(string(body), want) {
				t.Errorf("%s: %.200q", path, body[max(0, len(body)-200):])
			}
			if got := tg.last(t).Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("asked for %q", got)
			}
		}
		if !strings.Contains(p.log.String(), "the target repeated a credential") {
			t.Error("not logged")
		}
	}
}

// A request whose body has gone out is not sent again without its Range, which
// it has lost already: a piece that nobody has asked for is passed on as it is.
func TestPieceForARequestWithABody(t *testing.T) {
	tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Range", "bytes 0-3/100")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "part")
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, tg.URL, strings.NewReader("body"))
	r.Header.Set("Range", "bytes=0-3")
	if status, body := do(t, p.client(), r); status != http.StatusPartialContent || body != "part" {
		t.Errorf("%d %q", status, body)
	}
	if n := len(tg.requests()); n != 1 || tg.last(t).Header.Get("Range") != "" {
		t.Errorf("%d requests, the last with the range %q", n, tg.last(t).Header.Get("Range"))
	}
}
