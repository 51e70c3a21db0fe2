package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CacheDir is where script/setup keeps what npm brought; both compute it the
// same way.
func CacheDir() string {
	if dir := os.Getenv("SECRETLESS_CACHE"); dir != "" {
		return dir
	}
	if os.Getuid() == 0 {
		return "/var/cache/secretless"
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "secretless")
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "secretless")
}

// binDir finds the server programs of a version.
func binDir(version int) (string, bool) {
	for _, dir := range []string{
		fmt.Sprintf("/usr/lib/postgresql/%d/bin", version),
		filepath.Join(CacheDir(), "npm", "node_modules", fmt.Sprintf("postgres%d", version), "native", "bin"),
	} {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, true
		}
	}
	return "", false
}

// run runs a program of the server's as the server's user.
func run(stdin, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := asServerUser(cmd); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// initialised returns the template of version: a data directory with the roles
// in it, made once per version and process and copied for each server.
func (e *environment) initialised(version int, bin string) (string, error) {
	base, err := e.baseDir()
	if err != nil {
		return "", err
	}
	users := e.roles()
	return sharedBy(e.initial, version).get(func() (string, error) {
		dir := filepath.Join(base, fmt.Sprintf("template%d", version))
		return dir, initCluster(bin, dir, users)
	})
}

func (e *environment) roles() *Users {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users == nil {
		e.users = newUsers()
	}
	return e.users
}

func initCluster(bin, dir string, users *Users) error {
	if err := ownedDir(dir); err != nil {
		return err
	}
	password := filepath.Join(dir, ".password")
	if err := ownedFile(password, users.Admin.Password+"\n"); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := run("", filepath.Join(bin, "initdb"), "--pgdata", data, "--username", users.Admin.Name,
		"--pwfile", password, "--encoding", "UTF8", "--locale", "C", "--auth", "scram-sha-256", "--no-sync"); err != nil {
		return err
	}
	// Single-user mode prints a prompt and goes on after an error, and an
	// error here shows when the roles are used.
	return run(users.sql(), filepath.Join(bin, "postgres"), "--single", "-F", "-D", data, "postgres")
}

// ownedDir makes a directory that belongs to the servers' user and that others
// may pass through, to reach a socket.
func ownedDir(path string) error {
	if err := os.Mkdir(path, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return own(path)
}

func ownedFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return own(path)
}

func own(path string) error {
	uid, gid, err := serverUser()
	if err != nil {
		return err
	}
	if uid == os.Getuid() {
		return nil
	}
	return os.Chown(path, uid, gid)
}
