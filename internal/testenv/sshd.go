package testenv

import (
	"fmt"
	"os"
	"os/user"
	"sync"
	"testing"
)

// SSH says which OpenSSH server a test wants. Equal values share a server.
type SSH struct {
	// Config is more lines of sshd_config. They come first and so win over
	// those that every server has.
	Config string
}

// SSHServer is OpenSSH's sshd on 127.0.0.1, with keys of its own. Its only user
// is whoever runs the tests. It allows forwarding of every kind, takes the
// variables LC_* and TEST_*, and has the subsystems sftp and cat. Sessions begin
// in the user's home directory and must leave nothing there; HOME is another,
// so that no shell reads the user's own settings.
type SSHServer struct {
	SSH
	// User is the name to log in as.
	User string
	Keys *SSHKeys
	Port int

	*daemon
	hostMu sync.Mutex
	host   []SSHKey
}

// sshServers are those of a test process.
type sshServers struct {
	shared map[SSH]*once[*SSHServer]
	keys   once[*SSHKeys]
}

// SSHD returns the server that all tests of the process share. Tests must not
// stop it.
func SSHD(t testing.TB, want SSH) *SSHServer {
	t.Helper()
	findSSHD(t)
	return shared(t, sharedBy(env.sshd.shared, want), func() (*SSHServer, error) { return env.newSSHD(want) })
}

// NewSSHD starts a server for this test alone, to stop, kill, restart or give
// another host key.
func NewSSHD(t testing.TB, want SSH) *SSHServer {
	t.Helper()
	findSSHD(t)
	return private(t, func() (*SSHServer, error) { return env.newSSHD(want) })
}

const sshd = "/usr/sbin/sshd"

func findSSHD(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		require(t, "OpenSSH's server")
	}
}

func (e *environment) newSSHD(want SSH) (*SSHServer, error) {
	keys, err := e.sshd.keys.get(newSSHKeys)
	if err != nil {
		return nil, err
	}
	dir, err := e.newDir("sshd")
	if err != nil {
		return nil, err
	}
	who, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &SSHServer{SSH: want, User: who.Username, Keys: keys}
	s.daemon = newDaemon(dir, service{name: "sshd", ports: []*int{&s.Port}, program: s.program, ready: s.greets})
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("prepare sshd: %w", err)
	}
	return s, s.startSomewhere()
}

// separation is where Debian's sshd, started by root, has its unprivileged half
// look at an empty directory. The service's unit would make it.
const separation = "/run/sshd"

// prepare writes the files that stay the same when the server starts again.
func (s *SSHServer) prepare() error {
	if os.Getuid() == 0 {
		if err := os.MkdirAll(separation, 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"authorized_keys": s.Keys.authorized(),
		"user_ca":         s.Keys.ca.Public,
	} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return s.newHostKeys()
}

// newHostKeys gives the server a key of each type.
func (s *SSHServer) newHostKeys() error {
	s.host = nil
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		key, err := newSSHKey(kind)
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.hostKeyFile(kind), []byte(key.Private), 0o600); err != nil {
			return err
		}
		s.host = append(s.host, key)
	}
	return nil
}

// HostKeys are the public keys as authorized_keys has them, a line each:
// Ed25519, ECDSA, RSA.
func (s *SSHServer) HostKeys() []string {
	s.hostMu.Lock()
	defer s.hostMu.Unlock()
	lines := make([]string, 0, len(s.host))
	for _, key := range s.host {
		lines = append(lines, key.Public)
	}
	return lines
}

// ChangeHostKeys restarts a server of the test's own with other host keys.
func (s *SSHServer) ChangeHostKeys(t testing.TB) {
	t.Helper()
	s.Stop()
	s.hostMu.Lock()
	err := s.newHostKeys()
	s.hostMu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
}

func (s *SSHServer) hostKeyFile(kind string) string { return s.file("host_" + kind) }

// TCP is the address on 127.0.0.1.
func (s *SSHServer) TCP() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// config is the whole of sshd_config. PAM is off: nothing of the machine's own
// log-in rules is asked, so there are no passwords either.
func (s *SSHServer) config() string {
	text := s.Config + "\n"
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		text += "HostKey " + s.hostKeyFile(kind) + "\n"
	}
	return text + fmt.Sprintf(`AddressFamily inet
ListenAddress 127.0.0.1:%d
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile %s
TrustedUserCAKeys %s
AcceptEnv LC_* TEST_*
SetEnv HOME=%s
PrintMotd no
PrintLastLog no
PermitUserRC no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
AllowAgentForwarding yes
X11Forwarding yes
MaxSessions 500
MaxStartups 500
LogLevel VERBOSE
Subsystem sftp internal-sftp
Subsystem cat /bin/cat
`, s.Port, s.file("authorized_keys"), s.file("user_ca"), s.dir)
}
