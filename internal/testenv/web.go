package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
)

// WebServer is nginx or Apache on 127.0.0.1 with one user, who logs in with
// Basic authentication to read /private/.
type WebServer struct {
	Username, Password string
	Port               int

	*daemon
	kind string
}

// NewWeb starts "nginx" or "apache2" for this test alone.
func NewWeb(t testing.TB, program string) *WebServer {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/" + program); err != nil {
		require(t, program)
	}
	return private(t, func() (*WebServer, error) { return env.newWeb(program) })
}

func (e *environment) newWeb(kind string) (*WebServer, error) {
	dir, err := e.newDir(kind)
	if err != nil {
		return nil, err
	}
	s := &WebServer{Username: "web-user", Password: rand.Text(), kind: kind}
	s.daemon = newDaemon(dir, service{name: kind, ports: []*int{&s.Port}, program: s.program, ready: s.letsIn})
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", kind, err)
	}
	return s, s.startSomewhere()
}

// program runs it in the foreground; it logs to its standard error.
func (s *WebServer) program() (program, error) {
	p, config := program{Path: "/usr/sbin/" + s.kind}, nginxConfig
	p.Args = []string{"-p", s.dir, "-c", s.file("conf"), "-e", "stderr", "-g", "daemon off;"}
	if s.kind == "apache2" {
		config, p.Args = apacheConfig, []string{"-d", s.dir, "-f", s.file("conf"), "-X"}
	}
	return p, os.WriteFile(s.file("conf"), fmt.Appendf(nil, config, s.Port, s.dir), 0o644)
}

// prepare writes the users and what there is to read.
func (s *WebServer) prepare() error {
	if err := os.MkdirAll(s.file("www/private"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"www/private/index.html": "for those who log in\n",
		"www/index.html":         "for everybody\n",
		"users":                  s.Username + ":{PLAIN}" + s.Password + "\n",
	} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if s.kind == "apache2" { // knows no {PLAIN}
		return exec.Command("/usr/bin/htpasswd", "-cb", s.file("users"), s.Username, s.Password).Run()
	}
	return os.Chmod(s.dir, 0o755)
}

const nginxConfig = `pid %[2]s/pid;
error_log stderr;
worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  server {
    listen 127.0.0.1:%[1]d;
    root %[2]s/www;
    location /private/ { auth_basic private; auth_basic_user_file %[2]s/users; }
  }
}
`

const apacheConfig = `LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authn_file_module /usr/lib/apache2/modules/mod_authn_file.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule auth_basic_module /usr/lib/apache2/modules/mod_auth_basic.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
ServerName 127.0.0.1
Listen 127.0.0.1:%[1]d
PidFile %[2]s/pid
ErrorLog /dev/stderr
DefaultRuntimeDir %[2]s
DocumentRoot %[2]s/www
<Directory %[2]s/www>
  Require all granted
</Directory>
<Location /private/>
  AuthType Basic
  AuthName private
  AuthUserFile %[2]s/users
  Require valid-user
</Location>
`

// letsIn logs in as its only user, whom no other server knows.
func (s *WebServer) letsIn(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Address()+"/private/", http.NoBody)
	if err != nil {
		return err
	}
	r.SetBasicAuth(s.Username, s.Password)
	r.Close = true
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("it answers " + resp.Status)
	}
	return nil
}

// Address is host:port.
func (s *WebServer) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }
