//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

func sshFileFeatures() []sshFeature {
	return []sshFeature{
		{name: "scp", how: "there and back, 3 MB", try: copies("scp")},
		{name: "scp by its old protocol", how: "`scp -O`, there and back", try: copies("scp", "-O")},
		{name: "scp of a tree", how: "`scp -rp`: modes and times stay", try: copyTree("scp", "-rp")},
		{name: "scp between two hosts", how: "`scp -3 host:a host:b`", try: copyThrough},
		{name: "scp of what is not there", how: "its message and exit code", try: copyMissing},
		{name: "sftp", how: "put, get, rename, chmod, ln -s, mkdir, ls, rm", try: sftpBatch},
		{name: "sftp that goes on", how: "`reget` and `reput` of half a file", try: sftpResume},
		{name: "sftp's extensions", how: "`df`, `ln`: statvfs@openssh.com, hardlink@openssh.com", try: sftpExtensions},
		{name: "rsync", how: "`rsync -a` there and back", try: copyTree("rsync", "-a")},
		{name: "rsync of changes", how: "`--delete --checksum -z`, a second time", try: rsyncAgain},
		{name: "tar in a pipe", how: "`tar c \\| ssh host tar x`", try: tarPipe},
		{name: "git clone", how: "of a repository with 200 commits", try: gitClone},
		{name: "git fetch", how: "`--depth 1`, then all", try: gitFetch},
		{name: "git push", how: "a branch and a tag", try: gitPush},
		{name: "git push that is refused", how: "the hook's message and exit code", try: gitRefused},
	}
}

// remote is how scp and rsync name a file of the host.
func remote(path string) string { return testenv.SSHHost + ":" + path }

// copier runs scp or rsync.
func (p sshPlace) copier(t *testing.T, program string, args ...string) sshResult {
	t.Helper()
	if program == "rsync" {
		return p.run(t, nil, program, append([]string{"-e", "ssh -F " + p.Config}, args...)...)
	}
	return p.run(t, nil, program, append([]string{"-F", p.Config}, args...)...)
}

// files makes files in a directory of their own.
func files(t *testing.T, named map[string]string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range named {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func copies(program string, options ...string) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error {
		words := randomBytes(3_000_000)
		dir, err := files(t, map[string]string{"in": string(words)})
		if err != nil {
			return err
		}
		in, there, back := filepath.Join(dir, "in"), filepath.Join(dir, "there"), filepath.Join(dir, "back")
		return errors.Join(
			p.copier(t, program, append(options, in, remote(there))...).prints(""),
			p.copier(t, program, append(options, remote(there), back)...).prints(""),
			holds(there, words), holds(back, words),
		)
	}
}

func copyTree(program string, options ...string) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error {
		dir, err := files(t, map[string]string{"tree/a": "a", "tree/b/c": "c", "tree/b/with space": "d", "there/x": "", "back/x": ""})
		if err != nil {
			return err
		}
		old := time.Unix(1_000_000_000, 0)
		if err := errors.Join(os.Chmod(filepath.Join(dir, "tree/a"), 0o751), os.Chtimes(filepath.Join(dir, "tree/a"), old, old)); err != nil {
			return err
		}
		return errors.Join(
			p.copier(t, program, append(options, filepath.Join(dir, "tree"), remote(dir+"/there/"))...).prints(""),
			p.copier(t, program, append(options, remote(dir+"/there/"), dir+"/back/")...).prints(""),
			sameTree(dir+"/there", old), sameTree(dir+"/back", old),
		)
	}
}

// sameTree looks for the files of copyTree: scp and rsync differ in how deep
// they put them.
func sameTree(dir string, old time.Time) error {
	found := 0
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Base(path) {
		case "a":
			found++
			about, err := os.Stat(path)
			if err == nil && (about.Mode().Perm() != 0o751 || !about.ModTime().Equal(old)) {
				err = fmt.Errorf("%s has mode %o and time %v", path, about.Mode(), about.ModTime())
			}
			return err
		case "c", "with space":
			found++
		}
		return nil
	})
	if err == nil && found != 3 {
		err = fmt.Errorf("%s has %d of 3 files", dir, found)
	}
	return err
}

func copyThrough(t *testing.T, p sshPlace) error {
	dir, err := files(t, map[string]string{"a": "some text"})
	if err != nil {
		return err
	}
	return errors.Join(
		p.copier(t, "scp", "-3", remote(dir+"/a"), remote(dir+"/b")).prints(""),
		holds(filepath.Join(dir, "b"), []byte("some text")),
	)
}

func copyMissing(t *testing.T, p sshPlace) error {
	missing := filepath.Join(t.TempDir(), "missing")
	return p.copier(t, "scp", remote(missing), t.TempDir()).fails("missing: No such file or directory")
}

func (p sshPlace) sftp(t *testing.T, dir, batch string) sshResult {
	t.Helper()
	return p.run(t, strings.NewReader(strings.ReplaceAll(batch, "DIR", dir)), "sftp", "-q", "-F", p.Config, "-b", "-", testenv.SSHHost)
}

func sftpBatch(t *testing.T, p sshPlace) error {
	words := randomBytes(1_000_000)
	dir, err := files(t, map[string]string{"in": string(words)})
	if err != nil {
		return err
	}
	got := p.sftp(t, dir, "@put DIR/in DIR/put\n@rename DIR/put DIR/renamed\n@chmod 640 DIR/renamed\n@ln -s DIR/renamed DIR/link\n"+
		"@mkdir DIR/sub\n@get DIR/link DIR/got\n@ls -1 DIR\n@rmdir DIR/sub\n@rm DIR/renamed\n")
	want := ""
	for _, name := range []string{"got", "in", "link", "renamed", "sub"} {
		want += dir + "/" + name + "\n"
	}
	if err := got.prints(want); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "renamed")); err == nil {
		return errors.New("the removed file is still there")
	}
	return holds(filepath.Join(dir, "got"), words)
}

func sftpResume(t *testing.T, p sshPlace) error {
	words := randomBytes(2_000_000)
	half := string(words[:1_000_000])
	dir, err := files(t, map[string]string{"in": string(words), "up": half, "down": half})
	if err != nil {
		return err
	}
	return errors.Join(
		p.sftp(t, dir, "@reput DIR/in DIR/up\n@reget DIR/in DIR/down\n").prints(""),
		holds(filepath.Join(dir, "up"), words), holds(filepath.Join(dir, "down"), words),
	)
}

func sftpExtensions(t *testing.T, p sshPlace) error {
	dir, err := files(t, map[string]string{"in": "text"})
	if err != nil {
		return err
	}
	got := p.sftp(t, dir, "@df DIR\n@ln DIR/in DIR/hard\n")
	if got.code != 0 || got.err != "" || !strings.Contains(got.out, "%Capacity") {
		return fmt.Errorf("got %+v", got)
	}
	return holds(filepath.Join(dir, "hard"), []byte("text"))
}

func rsyncAgain(t *testing.T, p sshPlace) error {
	words := randomBytes(2_000_000)
	dir, err := files(t, map[string]string{"from/big": string(words), "from/gone": "x", "from/stays": "y"})
	if err != nil {
		return err
	}
	sync := func() error {
		return p.copier(t, "rsync", "-az", "--delete", "--checksum", "--no-whole-file", dir+"/from/", remote(dir+"/to/")).prints("")
	}
	if err := sync(); err != nil {
		return err
	}
	words[1_000_000]++
	if err := errors.Join(os.WriteFile(dir+"/from/big", words, 0o644), os.Remove(dir+"/from/gone"), sync()); err != nil {
		return err
	}
	if _, err := os.Stat(dir + "/to/gone"); err == nil {
		return errors.New("the deleted file is still there")
	}
	return errors.Join(holds(dir+"/to/big", words), holds(dir+"/to/stays", []byte("y")))
}

func tarPipe(t *testing.T, p sshPlace) error {
	words := randomBytes(3_000_000)
	dir, err := files(t, map[string]string{"from/big": string(words), "to/keep": ""})
	if err != nil {
		return err
	}
	archive := p.run(t, nil, "tar", "c", "-C", dir+"/from", "big")
	return errors.Join(
		p.ssh(t, strings.NewReader(archive.out), "tar x -C "+dir+"/to").prints(""),
		holds(dir+"/to/big", words),
	)
}

// repository makes one with many commits, for the host to serve.
func (p sshPlace) repository(t *testing.T) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "served")
	if err := p.git(t, "init", "-q", "-b", "main", "--bare", dir).prints(""); err != nil {
		return "", err
	}
	var history strings.Builder
	for i := range 200 {
		text := fmt.Sprintf("%d %x", i, randomBytes(1000+i))
		fmt.Fprintf(&history, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata 1\nx\nM 644 inline file%d\ndata %d\n%s\n",
			1_000_000_000+i, i%20, len(text), text)
	}
	return dir, p.run(t, strings.NewReader(history.String()), "git", "-C", dir, "fast-import", "--quiet").prints("")
}

func (p sshPlace) git(t *testing.T, args ...string) sshResult {
	t.Helper()
	return p.run(t, nil, "git", args...)
}

func (p sshPlace) clone(t *testing.T, options ...string) (served, copied string, err error) {
	t.Helper()
	if served, err = p.repository(t); err != nil {
		return "", "", err
	}
	copied = filepath.Join(t.TempDir(), "copied")
	args := append([]string{"clone", "-q"}, options...)
	return served, copied, p.git(t, append(args, "ssh://"+testenv.SSHHost+served, copied)...).prints("")
}

func gitClone(t *testing.T, p sshPlace) error {
	_, copied, err := p.clone(t)
	if err != nil {
		return err
	}
	return errors.Join(
		p.git(t, "-C", copied, "rev-list", "--count", "HEAD").prints("200\n"),
		p.git(t, "-C", copied, "fsck", "--no-progress").prints(""),
	)
}

func gitFetch(t *testing.T, p sshPlace) error {
	_, copied, err := p.clone(t, "--depth", "1")
	if err != nil {
		return err
	}
	return errors.Join(
		p.git(t, "-C", copied, "rev-list", "--count", "HEAD").prints("1\n"),
		p.git(t, "-C", copied, "fetch", "-q", "--unshallow").prints(""),
		p.git(t, "-C", copied, "rev-list", "--count", "HEAD").prints("200\n"),
	)
}

// branch makes a commit that the served repository lacks.
func (p sshPlace) branch(t *testing.T, copied string) error {
	t.Helper()
	return errors.Join(
		p.git(t, "-C", copied, "commit", "-q", "--allow-empty", "-m", "more").prints(""),
		p.git(t, "-C", copied, "tag", "new").prints(""),
	)
}

func gitPush(t *testing.T, p sshPlace) error {
	served, copied, err := p.clone(t)
	if err != nil {
		return err
	}
	return errors.Join(
		p.branch(t, copied),
		p.git(t, "-C", copied, "push", "-q", "origin", "main", "new").prints(""),
		p.git(t, "-C", served, "rev-list", "--count", "new").prints("201\n"),
	)
}

func gitRefused(t *testing.T, p sshPlace) error {
	served, copied, err := p.clone(t)
	if err != nil {
		return err
	}
	hook := "#!/bin/sh\necho not today >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(served, "hooks", "pre-receive"), []byte(hook), 0o755); err != nil {
		return err
	}
	return errors.Join(
		p.branch(t, copied),
		p.git(t, "-C", copied, "push", "-q", "origin", "main").fails("remote: not today"),
		p.git(t, "-C", served, "rev-list", "--count", "main").prints("200\n"),
	)
}
