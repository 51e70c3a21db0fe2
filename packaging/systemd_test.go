package packaging_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// inSystemd boots this machine's own Debian as a throw-away container (an
// overlay of / and a network of its own) with a real systemd, and runs
// testdata/systemd.sh in it: the package is installed, configured, used,
// upgraded, removed and purged there.
func inSystemd(t *testing.T, r release) {
	if os.Geteuid() != 0 {
		skip(t, "needs root to start a container")
	}
	testenv.Tool(t, "systemd-nspawn")
	server := testenv.Postgres(t, testenv.PG{})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "check.sh"), read(t, "testdata/systemd.sh"))
	write(t, filepath.Join(dir, "password"), server.Users.SCRAM.Password)
	write(t, filepath.Join(dir, "user"), server.Users.SCRAM.Name)
	write(t, filepath.Join(dir, "port"), fmt.Sprint(server.Port))
	copyFile(t, r.only("*-linux-amd64.deb"), filepath.Join(dir, "old.deb"))
	copyFile(t, r.only("*-linux-amd64.rpm"), filepath.Join(dir, "new.rpm"))
	nextVersion(t, filepath.Join(dir, "old.deb"), filepath.Join(dir, "new.deb"))

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "bash", "testdata/boot.sh", dir, server.SocketDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	boot, err := cmd.CombinedOutput()
	out, readErr := os.ReadFile(filepath.Join(dir, "out"))
	if readErr != nil {
		t.Fatalf("the container has not run its check: %v, %v\n%s", err, readErr, boot)
	}
	steps := regexp.MustCompile(`(?m)^== (.*)$`).FindAllStringSubmatch(string(out), -1)
	if len(steps) == 0 || steps[len(steps)-1][1] != "passed" {
		t.Fatalf("%s\n%s", out, boot)
	}
	if strings.Contains(string(out), server.Users.SCRAM.Password) {
		t.Errorf("the password is in the output, which has the journal:\n%s", out)
	}
	for _, s := range steps[:len(steps)-1] {
		t.Run(s[1], func(*testing.T) {}) // counted: each has passed
	}
}

// nextVersion makes of a package one that a later release could be: another
// version, and another /etc/secretless.yml.
func nextVersion(t *testing.T, from, to string) {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "tree")
	run(t, "dpkg-deb", "-R", from, tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	write(t, control, regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAllString(read(t, control), "Version: 999.0.0"))
	conf := filepath.Join(tree, "etc", "secretless.yml")
	write(t, conf, read(t, conf)+"# of the next version\n")
	run(t, "dpkg-deb", "-Znone", "-b", tree, to)
}
