//go:build unix

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

// rotation is a Secret whose account changes while clients connect: two roles
// take turns, so that the one that connections still log in with is left alone.
type rotation struct {
	t         *testing.T
	kube      *testenv.KubeServer
	namespace string
	admin     *pgx.Conn
	roles     []testenv.User
	turn      int
	passwords []string
}

// next gives the role whose turn it is a new password, and the Secret both.
func (r *rotation) next() (role string) {
	r.t.Helper()
	role, password := r.roles[r.turn%len(r.roles)].Name, "rotated-"+rand.Text()
	r.turn++
	r.passwords = append(r.passwords, password)
	if _, err := r.admin.Exec(r.t.Context(), fmt.Sprintf("alter role %s password '%s'", role, password)); err != nil {
		r.t.Fatal(err)
	}
	r.kube.SetSecret(r.t, r.namespace, "orders-db", map[string][]byte{"username": []byte(role), "password": []byte(password)})
	return role
}

// visitors connect and go, again and again, until they are stopped.
type visitors struct {
	visits  []atomic.Int64
	role    atomic.Pointer[string] // which the last was
	failed  atomic.Pointer[string]
	stopped chan struct{}
	all     sync.WaitGroup
}

func visit(n int, dsn string) *visitors {
	v := &visitors{visits: make([]atomic.Int64, n), stopped: make(chan struct{})}
	for i := range n {
		v.all.Go(func() {
			for {
				select {
				case <-v.stopped:
					return
				default:
				}
				if err := v.once(dsn); err != nil {
					text := err.Error()
					v.failed.CompareAndSwap(nil, &text)
				}
				v.visits[i].Add(1)
			}
		})
	}
	return v
}

func (v *visitors) once(dsn string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	var role string
	err = conn.QueryRow(ctx, "select current_user").Scan(&role)
	v.role.Store(&role)
	_ = conn.Close(ctx)
	return err
}

func (v *visitors) stop() {
	close(v.stopped)
	v.all.Wait()
}

// await waits until clients are role, and each has come and gone twice: once
// since now at least.
func (v *visitors) await(r *running, role string) {
	r.t.Helper()
	r.eventually("a client that is "+role, func() bool {
		last := v.role.Load()
		return v.failed.Load() != nil || last != nil && *last == role
	})
	for i := range v.visits {
		from := v.visits[i].Load()
		r.eventually("each client to connect", func() bool { return v.failed.Load() != nil || v.visits[i].Load() >= from+2 })
	}
	if text := v.failed.Load(); text != nil {
		r.t.Fatalf("a client saw an error: %s\n%s", *text, r.log)
	}
}

// A Secret is rotated, and the API server is killed and started again, while
// clients connect as fast as they can: they see no error, and the log no secret.
func TestKubernetesSecretRotates(t *testing.T) {
	kube, server := testenv.NewKubernetes(t), testenv.NewPostgres(t, testenv.PG{})
	namespace := kube.Namespace(t)
	kube.Account(t, namespace, "secretless", testenv.KubeRule{
		Groups: []string{""}, Resources: []string{"secrets"}, Names: []string{"orders-db"}, Verbs: []string{"get"},
	})
	token := kube.Token(t, namespace, "secretless")
	tokenFile := testenv.WriteFile(t, "token", token)
	admin, err := pgx.Connect(t.Context(), server.DSN(server.Users.Admin))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(context.Background()) }()
	secret := &rotation{t: t, kube: kube, namespace: namespace, admin: admin, roles: []testenv.User{server.Users.SCRAM, server.Users.PlainOnly}}
	secret.next()

	r := prepare(t)
	r.run(fmt.Sprintf(`version: "2"
services:
  db:
    connector: pg
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s/.s.PGSQL.5432"]
    credentials:
      host: 127.0.0.1
      port: %d
      sslmode: disable
      username: { from: kube, get: "orders-db#username" }
      password: { from: kube, get: "%s/orders-db#password" }
providers:
  kube: { type: kubernetes, server: %q, caCert: %q, tokenFile: %q, namespace: %s, cache: 100ms, staleIfError: 1h }
`, r.port, r.dir, server.Port, namespace, kube.URL(), kube.CAFile(), tokenFile, namespace))

	clients := visit(8, r.socketDSN())
	defer clients.stop()
	rotations := 40
	if testing.Short() {
		rotations = 10
	}
	for n := range rotations {
		role := secret.next()
		clients.await(r, role)
		if n != rotations/2 {
			continue
		}
		kube.Kill()
		r.eventually("expired credentials to serve", func() bool { return r.log.has("serving expired credentials") })
		clients.await(r, role)
		kube.Restart(t)
		kube.AwaitAccess(t, namespace, "secretless", testenv.KubeAccess{Resource: "secrets", Name: "orders-db", Verb: "get"}, true)
	}
	for _, text := range append(secret.passwords, token) {
		if r.log.has(text) {
			t.Error("a password or the token is in the log")
		}
	}
	var visits int64
	for i := range clients.visits {
		visits += clients.visits[i].Load()
	}
	t.Logf("%d rotations, %d connections", rotations, visits)
}

// kubernetesPlace is a Secret behind a front that in the end answers with what
// was said to it and a piece of the Secret.
func kubernetesPlace(t *testing.T, _ map[string]string, password string) place {
	kube := testenv.Kubernetes(t)
	namespace := kube.Namespace(t)
	kube.SetSecret(t, namespace, "canary", map[string][]byte{"password": []byte(password)})
	kube.Account(t, namespace, "app", testenv.KubeRule{Groups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}})
	token := kube.Token(t, namespace, "app")
	var broken atomic.Bool
	front := httptest.NewUnstartedServer(through(t, kube, func(w http.ResponseWriter, r *http.Request) bool {
		if broken.Load() {
			fmt.Fprintf(w, `{"kind": "Secret", "message": "%s%s", "data": {"password": "%s`,
				r.Header.Get("Authorization"), password, base64.StdEncoding.EncodeToString([]byte(password)))
		}
		return broken.Load()
	}))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	config := testenv.WriteFile(t, "kubeconfig", fmt.Sprintf(`current-context: x
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: %s}}]
`, front.URL, base64.StdEncoding.EncodeToString(authority), token, namespace))
	return place{
		providers: []string{"cluster: { type: kubernetes, kubeconfig: " + config + " }"},
		password:  `{ from: cluster, get: "canary#password" }`, missing: `{ from: cluster, get: "canary#missing" }`,
		secrets: []string{token},
		broken:  `{ from: cluster, get: "broken#password" }`, breakDown: func() { broken.Store(true) },
	}
}

// through passes requests on to a server unless answered does it itself.
func through(t *testing.T, kube *testenv.KubeServer, answered func(http.ResponseWriter, *http.Request) bool) http.HandlerFunc {
	t.Helper()
	target, err := url.Parse(kube.URL())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(kube.CA.CAPEM))
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	return func(w http.ResponseWriter, r *http.Request) {
		if !answered(w, r) {
			pass.ServeHTTP(w, r)
		}
	}
}
