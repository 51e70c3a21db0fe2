//go:build linux

package docs

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/testenv"
	"secretless/internal/testenv/awsserver"
	"secretless/internal/testenv/conjurserver"
	"secretless/internal/testenv/tdsserver"
)

// places prepare a sandbox for the commands of a page: its servers, and what
// the page calls them.
var places = map[string]func(*sandbox){
	"README.md": func(s *sandbox) {
		s.ports(5432)
		s.program()
		s.secret("orders-db-password", s.postgres("db.internal", "orders", true))
	},
	"docs/quickstart.md": func(s *sandbox) {
		s.ports(6432, 6433, 5999)
		s.program()
		s.temporary("secretless-admin.sock")
		s.env["ORDERS_DB_PASSWORD"] = s.postgres("db.internal", "orders", false)
	},
	"docs/admin.md": func(s *sandbox) {
		s.ports(5432, 5999)
		s.temporary("secretless-admin.sock")
		s.secret("orders-db-password", s.postgres("db.internal", "orders", false))
	},
	"docs/doctor.md": func(s *sandbox) {
		s.ports(5432)
		s.env["ORDERS_DB_PASSWORD"] = s.postgres("db.internal", "orders", true)
	},
	"docs/audit.md":     func(*sandbox) {},
	"docs/migration.md": func(s *sandbox) { s.ports(5454, 8081) },
	"docs/summon.md":    func(s *sandbox) { s.env["ORDERS_DB_PASSWORD"] = rand.Text() },
	"docs/https-clients.md": func(s *sandbox) {
		s.ports(8080)
		s.example("http/openai.yml")
		s.env["OPENAI_API_KEY"] = s.api("api.openai.com", bearer)
	},

	"docs/connectors/pg.md": func(s *sandbox) {
		s.ports(5432)
		s.env["ORDERS_DB_USER"], s.env["ORDERS_DB_PASSWORD"] = "orders", s.postgres("db.example.com", "orders", true)
	},
	"docs/connectors/mysql.md": func(s *sandbox) {
		s.ports(3306)
		s.env["SHOP_DB_USER"], s.env["SHOP_DB_PASSWORD"] = "shop", s.mariadb("db.example.com", "shop")
	},
	"docs/connectors/mssql.md": func(s *sandbox) {
		s.ports(1433)
		s.env["ORDERS_DB_USER"], s.env["ORDERS_DB_PASSWORD"] = "orders", s.sqlServer("sql.example.com", "orders")
	},
	"docs/connectors/ssh.md": func(s *sandbox) {
		s.ports(2222)
		server := s.gitServer("unused.git")
		s.env["DEPLOY_KEY"] = server.Keys.Ed25519.Private
		s.replace["address: build.example.com"], s.replace["user: deploy\n"] = "address: "+server.TCP(), "user: "+server.User+"\n"
		s.replace["/etc/secretless/build.known_hosts"] = filepath.Join(s.dir, "git.known_hosts")
	},
	"docs/connectors/ssh-agent.md": sshAgentPlace,
	"docs/connectors/http.md": func(s *sandbox) {
		s.ports(8080)
		s.env["GITHUB_TOKEN"] = s.api("api.github.com", bearer)
		s.env["WIKI_PASSWORD"] = s.api("wiki.internal.example", basic("reader"))
	},
	"docs/connectors/basic_auth.md": func(s *sandbox) {
		s.ports(8080)
		s.env["WIKI_PASSWORD"] = s.api("wiki.example.com", basic("reader"))
	},
	"docs/connectors/generic_http.md": func(s *sandbox) {
		s.ports(8080)
		s.env["OPENAI_API_KEY"] = s.api("api.openai.com", bearer)
	},

	"docs/connectors/oauth2.md": func(s *sandbox) {
		s.ports(8080)
		s.tokens("login.microsoftonline.com")
	},

	"docs/providers/env.md":  func(s *sandbox) { s.env["PG_PASSWORD"] = rand.Text() },
	"docs/providers/file.md": func(s *sandbox) { s.secret("orders/password", rand.Text()) },
	"docs/providers/keychain.md": func(s *sandbox) {
		s.keyring(rand.Text(), "service", "orders-db", "username", "app")
	},
	"docs/providers/vault.md": func(s *sandbox) {
		vault := testenv.Vault(s.t)
		mount := vault.KV(s.t, 2)
		vault.Write(s.t, mount+"/data/reports-db", map[string]any{"data": map[string]any{"password": rand.Text()}})
		policy := vault.Policy(s.t, "read "+mount+"/*", "read sys/internal/ui/mounts/*")
		s.env["VAULT_ADDR"], s.env["VAULT_TOKEN"] = vault.Address(), vault.Token(s.t, map[string]any{"policies": []string{policy}})
		s.replace["kv/reports-db"] = mount + "/reports-db"
	},
	"docs/providers/conjur.md": func(s *sandbox) {
		conjur, err := conjurserver.Start(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(conjur.Close)
		conjur.SetKey("host/broker", "a-key-of-conjur")
		conjur.Set("apps/orders/password", conjurserver.Variable{Values: [][]byte{[]byte(rand.Text())}})
		s.env["CONJUR_APPLIANCE_URL"], s.env["CONJUR_ACCOUNT"] = conjur.URL, conjurserver.Account
		s.env["CONJUR_AUTHN_LOGIN"], s.env["CONJUR_AUTHN_API_KEY"] = "host/broker", "a-key-of-conjur"
	},
	"docs/providers/aws.md": func(s *sandbox) {
		s.amazon().SetSecret("prod/orders", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", `{"password":"`+rand.Text()+`"}`)}})
	},
	"docs/providers/aws-ssm.md": func(s *sandbox) {
		s.amazon().SetParameter("/prod/orders/password", awsserver.Parameter{Type: "SecureString", Values: []string{rand.Text()}})
	},

	"docs/howto/laptop.md": func(s *sandbox) {
		s.ports(6432)
		s.keyring(s.postgres("db.example.com", testenv.Database, true), "service", "orders-db", "username", "app")
	},
	"docs/howto/mysql-application.md": func(s *sandbox) {
		s.ports(3306)
		s.secret("shop-db-password", s.mariadb("db.example.com", "shop")+"\n")
	},
	"docs/howto/ci-and-agents.md": func(s *sandbox) {
		s.ports(8080)
		s.env["API_TOKEN"] = s.api("api.example.com", bearer)
	},
	"docs/howto/aws-cli.md": func(s *sandbox) {
		s.ports(8080)
		store := testenv.NewS3(s.t, true)
		s.trust(store.CA)
		s.replace["s3.example.com"] = fmt.Sprintf("localhost:%d", store.Port)
		s.env["REAL_ACCESS_KEY_ID"], s.env["REAL_SECRET_ACCESS_KEY"] = store.AccessKey, store.SecretKey
	},
	"docs/howto/git-over-ssh.md": func(s *sandbox) {
		s.ports(2222)
		s.gitServer("project.git")
	},
}

// program puts the program where a build leaves it.
func (s *sandbox) program() {
	s.t.Helper()
	if err := os.Symlink(filepath.Join(".bin", "secretless"), filepath.Join(s.dir, "secretless")); err != nil {
		s.t.Fatal(err)
	}
}

// secret is a file that the page calls /run/secrets/NAME.
func (s *sandbox) secret(name, value string) {
	s.t.Helper()
	s.replace["/run/secrets/"] = filepath.Join(s.dir, "secrets") + "/"
	s.write(filepath.Join("secrets", name), value)
}

// temporary is a file that the page calls /tmp/NAME.
func (s *sandbox) temporary(name string) { s.replace["/tmp/"+name] = filepath.Join(s.dir, name) }

// target leads the credential host of that value to a server here. A CA that
// the page has no place for is added.
func (s *sandbox) target(host string, port int, ca *testenv.PKI) {
	s.t.Helper()
	here := fmt.Sprintf("      host: 127.0.0.1\n      port: %d\n", port)
	if ca != nil {
		here += fmt.Sprintf("      sslrootcert: %q\n", ca.CAPEM)
	}
	s.replace["      host: "+host+"\n"] = here
}

// roles are those that pages share, of the one PostgreSQL they have.
var roles = struct {
	sync.Mutex
	passwords map[string]string
}{passwords: map[string]string{}}

// postgres is a PostgreSQL with a role and a database of that name behind the
// host of that name; it returns the password.
func (s *sandbox) postgres(host, role string, verified bool) string {
	s.t.Helper()
	server := testenv.Postgres(s.t, testenv.PG{AnyRole: true})
	roles.Lock()
	defer roles.Unlock()
	password, ok := roles.passwords[role]
	if !ok {
		password = rand.Text()
		server.Exec(s.t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", role, password))
		if role != testenv.Database {
			server.Exec(s.t, fmt.Sprintf("CREATE DATABASE %[1]s OWNER %[1]s", role))
		}
		roles.passwords[role] = password
	}
	var ca *testenv.PKI
	if verified {
		ca = server.CA
	}
	s.target(host, server.Port, ca)
	return password
}

// mariadb is a MariaDB with an account and a database of that name behind the
// host of that name; it returns the password. Pages share it.
func (s *sandbox) mariadb(host, name string) string {
	s.t.Helper()
	server := testenv.MariaDB(s.t, testenv.Maria{})
	roles.Lock()
	defer roles.Unlock()
	password, ok := roles.passwords["mariadb "+name]
	if !ok {
		password = rand.Text()
		server.Exec(s.t, "CREATE DATABASE "+name, fmt.Sprintf("CREATE USER %[1]s@'%%' IDENTIFIED BY '%[2]s'", name, password),
			fmt.Sprintf("GRANT ALL ON %[1]s.* TO %[1]s@'%%'", name))
		roles.passwords["mariadb "+name] = password
	}
	s.target(host, server.Port, server.CA)
	return password
}

// example is a configuration of the examples, as secretless.yml.
func (s *sandbox) example(name string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples", name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.later = append(s.later, func() { s.write("secretless.yml", s.here(string(text))) })
}

// trust makes the broker believe certificates of ca for https targets.
func (s *sandbox) trust(ca *testenv.PKI) {
	s.t.Helper()
	s.write("api-ca.pem", ca.CAPEM)
	s.env["SECRETLESS_HTTP_CA_BUNDLE"] = filepath.Join(s.dir, "api-ca.pem")
}

// api is an https server behind a host name, which answers requests that
// authorised finds to have the secret, and nobody else; it returns the secret.
func (s *sandbox) api(host string, authorised func(*http.Request, string) bool) string {
	s.t.Helper()
	secret := rand.Text()
	s.serve(host, func(w http.ResponseWriter, r *http.Request) {
		if !authorised(r, secret) {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "{\"ok\": true}\n")
	})
	return secret
}

// serve starts an https server behind a host name.
func (s *sandbox) serve(host string, handler http.HandlerFunc) {
	s.t.Helper()
	ca := testenv.CA(s.t)
	s.trust(ca)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*ca.ServerFor(s.t, "localhost").Certificate(s.t)}}
	server.StartTLS()
	s.t.Cleanup(server.Close)
	s.replace[host] = fmt.Sprintf("localhost:%d", server.Listener.Addr().(*net.TCPAddr).Port)
}

func bearer(r *http.Request, token string) bool {
	return r.Header.Get("Authorization") == "Bearer "+token
}

func basic(user string) func(*http.Request, string) bool {
	return func(r *http.Request, secret string) bool {
		name, password, _ := r.BasicAuth()
		return name == user && password == secret
	}
}

// keyring is a keychain with one item, in a session of its own.
func (s *sandbox) keyring(value string, attributes ...string) {
	s.t.Helper()
	k := testenv.NewKeyring(s.t)
	k.Store(s.t, value, attributes...)
	for _, line := range k.Env() {
		if name, v, _ := strings.Cut(line, "="); name == "DBUS_SESSION_BUS_ADDRESS" {
			s.env[name] = v
		}
	}
}

// gitServer is an SSH server that has a repository, as git.example.com, and the
// files that its user has got: deploy key and known host keys.
func (s *sandbox) gitServer(repository string) *testenv.SSHServer {
	s.t.Helper()
	server := testenv.SSHD(s.t, testenv.SSH{})
	s.secret("deploy-key", server.Keys.Ed25519.Private)
	var known strings.Builder
	for _, key := range server.HostKeys() {
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s\n", server.Port, strings.TrimSpace(key))
	}
	s.write("git.known_hosts", known.String())
	s.replace["address: git.example.com"] = fmt.Sprintf("address: 127.0.0.1:%d", server.Port)
	s.replace["user: git\n"] = "user: " + server.User + "\n"
	s.replace["git.known_hosts"] = filepath.Join(s.dir, "git.known_hosts")
	s.replace["/srv/git/"] = s.dir + "/srv/"
	s.later = append(s.later, func() {
		s.must("git init -q --bare srv/" + repository)
		s.must("git init -q first && git -C first -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m first && " +
			"git -C first push -q ../srv/" + repository + " HEAD:refs/heads/main && git -C srv/" + repository + " symbolic-ref HEAD refs/heads/main")
	})
	return server
}

// sshAgentPlace is the same for clients that log in themselves, with a key of
// the agent's.
func sshAgentPlace(s *sandbox) {
	server := s.gitServer("website.git")
	s.secret("deploy_key", server.Keys.Ed25519.Private)
	s.replace["/run/secretless/deploy.sock"] = filepath.Join(s.dir, "deploy.sock")
	s.replace["users: [1001]"] = fmt.Sprintf("users: [%d]", os.Getuid())
	s.replace["SHA256:gTsiFYXb8F5m9q9QkKQ3sJxq0OwjZo0GzB0yW0yJm2E"] = strings.Join(fingerprints(s.t, server.HostKeys()), "\n        - ")
	s.replace["git@git.example.com/"] = fmt.Sprintf("%s@127.0.0.1:%d/", server.User, server.Port)
	s.env["GIT_SSH_COMMAND"] = "ssh -F none -o UserKnownHostsFile=" + filepath.Join(s.dir, "git.known_hosts")
}

func fingerprints(t *testing.T, keys []string) []string {
	t.Helper()
	var all []string
	for _, line := range keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ssh.FingerprintSHA256(key))
	}
	return all
}

// sqlServer is a double of SQL Server with a login and a database of that name;
// it returns the password.
func (s *sandbox) sqlServer(host, name string) string {
	s.t.Helper()
	ca := testenv.CA(s.t)
	password := rand.Text()
	server, err := tdsserver.Start(tdsserver.Config{
		Certificate: ca.ServerFor(s.t, "127.0.0.1").Certificate(s.t), Databases: []string{name},
		Users: []tdsserver.User{{Name: name, Password: password}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(server.Stop)
	s.target(host, server.Addr().Port, ca)
	return password
}

// tokens is an OAuth 2.0 server behind a host name, and the API of
// graph.microsoft.com, which takes its tokens.
func (s *sandbox) tokens(host string) {
	s.t.Helper()
	id, secret := "the-client", rand.Text()
	s.env["GRAPH_CLIENT_ID"], s.env["GRAPH_CLIENT_SECRET"] = id, secret
	token := s.api("graph.microsoft.com", bearer)
	s.serve(host, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_id") != id || r.FormValue("client_secret") != secret || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, `{"error": "invalid_client"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3600}`, token)
	})
}

// amazon is a double of AWS, and nothing of this machine's own settings.
func (s *sandbox) amazon() *awsserver.Server {
	s.t.Helper()
	server, err := awsserver.Start(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(server.Close)
	key := awsserver.Key{ID: "AKIDEXAMPLE000000001", Secret: rand.Text()}
	server.AddKey(key)
	s.env["AWS_ENDPOINT_URL"], s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"] = server.URL, key.ID, key.Secret
	s.env["AWS_REGION"], s.env["AWS_EC2_METADATA_DISABLED"] = "eu-west-1", "true"
	return server
}
