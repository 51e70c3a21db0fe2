package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

func openSSH() kind { return kind{"sshd", startSSHD} }

// sshDirectory is where the server's files are, below the run's directory. A
// jump host is another process with the same keys.
const sshDirectory = "ssh"

const sshdProgram = "/usr/sbin/sshd"

// sshServer is a private sshd with one key for its owner.
type sshServer struct {
	listening
	user    string
	private string // PEM
	hostKey string // a line of authorized_keys
	files   string // the directory of what is copied, in memory
}

func startSSHD(ctx context.Context, b *bench) (server, error) {
	s := &sshServer{listening: listening{connector: "ssh"}}
	owner, dir := b.fleet.owner, filepath.Join(b.dir, sshDirectory)
	var err error
	if s.user, err = owner.name(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := errors.Join(owner.makeDir(dir), s.makeKeys(owner, dir), s.makeFiles(owner)); err != nil {
		return nil, fmt.Errorf("sshd's files: %w", err)
	}
	how, err := sshdLaunch(owner, dir, dir, s.port)
	if err != nil {
		return nil, err
	}
	if s.process, err = owner.start(dir, how); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.files))
	}
	e := s.direct(way{network: "tcp"})
	if err := s.process.await(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		return s.ssh(ctx, e, "true")
	}); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// name is who the account is.
func (a account) name() (string, error) {
	if a.credential == nil {
		who, err := user.Current()
		if err != nil {
			return "", err
		}
		return who.Username, nil
	}
	who, err := user.LookupId(strconv.Itoa(a.uid))
	if err != nil {
		return "", err
	}
	return who.Username, nil
}

// makeKeys makes a host key, and a key of the user that the server takes.
func (s *sshServer) makeKeys(owner account, dir string) error {
	host, hostLine, err := sshKey()
	if err != nil {
		return err
	}
	private, line, err := sshKey()
	if err != nil {
		return err
	}
	s.private, s.hostKey = private, hostLine
	return errors.Join(
		owner.writeFile(filepath.Join(dir, "host_key"), host),
		owner.writeFile(filepath.Join(dir, "authorized_keys"), line),
		// The client is the caller, who may be another user than the server's.
		os.WriteFile(filepath.Join(dir, "key"), []byte(private), 0o600),
	)
}

func sshKey() (private, line string, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", "", err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(public)), nil
}

// makeFiles makes the file that is copied, in memory: no disk is measured.
func (s *sshServer) makeFiles(owner account) error {
	var err error
	if s.files, err = os.MkdirTemp("/dev/shm", "sb"); err != nil {
		return err
	}
	content := make([]byte, scpBytes)
	_, _ = rand.Read(content)
	return errors.Join(
		os.Chown(s.files, owner.uid, owner.gid), os.Chmod(s.files, 0o755),
		os.WriteFile(s.file("source"), content, 0o644),
	)
}

func (s *sshServer) file(name string) string { return filepath.Join(s.files, name) }

// sshdLaunch runs sshd, in the directory at, with the keys in another. HOME is
// nowhere, so that no shell reads the user's own settings.
func sshdLaunch(owner account, at, keys string, port int) (launch, error) {
	config := filepath.Join(at, "sshd_config")
	err := owner.writeFile(config, fmt.Sprintf(`ListenAddress %s:%d
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PrintLastLog no
SetEnv HOME=/nonexistent
MaxStartups 500
Subsystem sftp internal-sftp
`, loopback, port, filepath.Join(keys, "host_key"), filepath.Join(keys, "authorized_keys")))
	return launch{args: []string{sshdProgram, "-D", "-e", "-f", config}, end: syscall.SIGTERM}, err
}

// jumpHost is an sshd in between, through which clients go with ssh -W.
func jumpHost() relay {
	return relay{
		name: sshJump, program: sshdProgram, only: "ssh", tcpOnly: true, uncounted: true,
		prepare: func(_ relay, owner account, at place, _ target) (launch, error) {
			return sshdLaunch(owner, at.dir, filepath.Join(filepath.Dir(at.dir), sshDirectory), at.port)
		},
	}
}

func (s *sshServer) target(bool) target {
	return target{connector: s.connector, port: s.port, password: s.private, credentials: map[string]string{
		"address": fmt.Sprintf("%s:%d", loopback, s.port), "user": s.user, "privateKey": s.private, "hostKey": s.hostKey,
	}}
}

func (s *sshServer) direct(w way) endpoint {
	e := s.listening.direct(w)
	e.password = s.private
	return e
}

func (s *sshServer) facts(ctx context.Context) []fact {
	return []fact{{"OpenSSH", versionOf(ctx, "ssh", "-V")}}
}

func (s *sshServer) stop() {
	s.process.stop()
	os.RemoveAll(s.files)
}
