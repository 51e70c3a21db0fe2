package testenv

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// WebServer is nginx or Apache on 127.0.0.1 with one user, who logs in with
// Basic authentication to read /private/.
type WebServer struct {
	Username, Password string
	Port               int

	dir  string
	proc *process
}

// NewWeb starts "nginx" or "apache2" for this test alone.
func NewWeb(t testing.TB, program string) *WebServer {
	t.Helper()
	path := "/usr/sbin/" + program
	if _, err := os.Stat(path); err != nil {
		require(t, program)
	}
	s := &WebServer{Username: "web-user", Password: rand.Text()}
	if err := s.start(program, path); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (s *WebServer) start(program, path string) error {
	base, err := env.baseDir()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(base, program); err != nil {
		return err
	}
	if s.Port, err = freePort(false); err != nil {
		return err
	}
	if err := s.prepare(program); err != nil {
		return err
	}
	args := []string{"-p", s.dir, "-c", s.file("conf"), "-g", "daemon off;"}
	if program == "apache2" {
		args = []string{"-d", s.dir, "-f", s.file("conf"), "-X"}
	}
	log, err := os.Create(s.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	if s.proc, err = startProcess(cmd); err != nil {
		return err
	}
	env.mu.Lock()
	env.running[s] = struct{}{}
	env.mu.Unlock()
	return s.ready()
}

// prepare writes the configuration, the users and what there is to read.
func (s *WebServer) prepare(program string) error {
	if err := os.MkdirAll(s.file("www/private"), 0o755); err != nil {
		return err
	}
	config := nginxConfig
	if program == "apache2" {
		config = apacheConfig
	}
	for name, text := range map[string]string{
		"www/private/index.html": "for those who log in\n",
		"www/index.html":         "for everybody\n",
		"users":                  s.Username + ":{PLAIN}" + s.Password + "\n",
		"conf":                   fmt.Sprintf(config, s.Port, s.dir),
	} {
		if program == "apache2" && name == "users" {
			continue
		}
		if err := os.WriteFile(s.file(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if program == "apache2" {
		return exec.Command("/usr/bin/htpasswd", "-cb", s.file("users"), s.Username, s.Password).Run()
	}
	return os.Chmod(s.dir, 0o755)
}

const nginxConfig = `pid %[2]s/pid;
error_log %[2]s/error.log;
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
ErrorLog %[2]s/error.log
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

func (s *WebServer) ready() error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s.proc.ended() {
			return fmt.Errorf("it ended (%w): %s", s.proc.err, s.Log())
		}
		response, err := client.Get("http://" + s.Address() + "/")
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		return response.Body.Close()
	}
	return errors.New("it does not answer: " + s.Log())
}

func (s *WebServer) file(name string) string { return filepath.Join(s.dir, name) }

// Address is host:port.
func (s *WebServer) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Log is what it has logged so far.
func (s *WebServer) Log() string {
	b, _ := os.ReadFile(s.file("log"))
	more, _ := os.ReadFile(s.file("error.log"))
	return string(b) + string(more)
}

// Stop ends it. It may be called twice.
func (s *WebServer) Stop() {
	_ = s.proc.stop(10*time.Second, syscall.SIGTERM, syscall.SIGKILL)
	_ = os.RemoveAll(s.dir)
}
