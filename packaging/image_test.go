package packaging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
)

// image is the Dockerfile's, built by buildah in a storage of its own. In place
// of the golang image, which comes from a registry, stands an empty one into
// which this machine's /usr, Go and caches are mounted: every line of the
// Dockerfile runs, with this machine's programs.
type image struct {
	t       *testing.T
	storage string
	root    string // where its files are
}

func (i image) buildah(args ...string) string {
	i.t.Helper()
	flags := []string{"--root", i.storage + "/root", "--runroot", i.storage + "/run", "--storage-driver", "vfs"}
	ctx, cancel := context.WithTimeout(i.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Tool(i.t, "buildah"), append(flags, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		i.t.Fatalf("buildah %v: %v\n%s%s", args, err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

func buildImage(t *testing.T, source string) image {
	t.Helper()
	i := image{t: t, storage: t.TempDir()}
	base := t.TempDir()
	for _, dir := range []string{"usr", "etc/ssl", "tmp", "proc", "cache", "go/pkg/mod"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+dir, filepath.Join(base, dir)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(base, "Dockerfile"), "FROM scratch\nCOPY . /\n"+
		"ENV GOPATH=/go HOME=/tmp GOCACHE=/cache PATH=/usr/local/go/bin:/usr/bin:/bin GOPROXY=off\n")
	from := regexp.MustCompile(`golang:\S+`).FindString(read(t, filepath.Join(source, "Dockerfile")))
	i.buildah("bud", "--isolation", "chroot", "-t", "docker.io/library/"+from, base)
	i.buildah("bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "-t", "secretless",
		"-v", "/usr:/usr:ro", "-v", goEnv(t, "GOROOT")+":/usr/local/go:ro", "-v", "/etc/ssl:/etc/ssl:ro",
		"-v", goEnv(t, "GOMODCACHE")+":/go/pkg/mod", "-v", goEnv(t, "GOCACHE")+":/cache", source)
	i.buildah("from", "--pull-never", "--name", "run", "localhost/secretless")
	i.root = i.buildah("mount", "run")
	return i
}

// command is a program in the image as a runtime would start it: the files of
// the image alone, read-only, as the image's user.
func (i image) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	const script = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" "$0" && exec chroot --userspec=65532:65532 --groups= "$0" "$@"`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c", script, i.root}, args...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "STATE_DIRECTORY=/var/lib/secretless"}, env...)
	return cmd
}

// inImage builds the image and brokers a connection from inside it: an empty
// root that nobody can write to, and a user that is a number.
func inImage(t *testing.T, r release, source string) {
	if os.Geteuid() != 0 {
		skip(t, "needs root to mount and chroot")
	}
	i := buildImage(t, source)
	i.config()
	if r.dir != "" && fileHash(t, i.root+"/usr/bin/secretless") != fileHash(t, r.program()) {
		t.Error("the image's program is not the release's")
	}
	if pem := read(t, i.root+"/etc/ssl/certs/ca-certificates.crt"); strings.Count(pem, "BEGIN CERTIFICATE") < 50 {
		t.Error("the image lacks certificates of authorities")
	}
	i.files()

	server := testenv.Postgres(t, testenv.PG{})
	port, health := testenv.FreePort(t), testenv.FreePort(t)
	write(t, i.root+"/etc/secretless.yml", fmt.Sprintf(`version: "2"
services:
  db:
    connector: pg
    listenOn: tcp://127.0.0.1:%d
    credentials: { host: 127.0.0.1, port: %d, sslmode: disable, username: %s, password: { from: env, get: PASSWORD } }
admin: { health: "tcp://127.0.0.1:%d" }
`, port, server.Port, server.Users.SCRAM.Name, health))
	if out, err := i.command(t.Context(), nil, "/usr/bin/secretless", "health").CombinedOutput(); err == nil {
		t.Errorf("healthy before it runs: %s", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	broker := i.command(ctx, []string{"PASSWORD=" + server.Users.SCRAM.Password}, "/usr/bin/secretless")
	var log bytes.Buffer
	broker.Stdout, broker.Stderr = &log, &log
	broker.Cancel = func() error { return broker.Process.Signal(syscall.SIGTERM) }
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- broker.Wait() }()
	for i.command(ctx, nil, "/usr/bin/secretless", "health").Run() != nil {
		select {
		case err := <-ended:
			t.Fatalf("the broker has ended: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d dbname=app user=anybody sslmode=disable", port))
	if err != nil {
		t.Error(err)
	} else {
		var user string
		if err := conn.QueryRow(ctx, "select current_user").Scan(&user); err != nil || user != server.Users.SCRAM.Name {
			t.Errorf("got %q, %v", user, err)
		}
		_ = conn.Close(ctx)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v\n%s", err, log.String())
	}
}

// config checks what a runtime reads of the image.
func (i image) config() {
	i.t.Helper()
	var inspected struct {
		Docker struct {
			Config struct {
				User        string
				Entrypoint  []string
				Healthcheck struct{ Test []string }
				Labels      map[string]string
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(i.buildah("inspect", "--type", "image", "localhost/secretless")), &inspected); err != nil {
		i.t.Fatal(err)
	}
	c := inspected.Docker.Config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/bin/secretless"}) ||
		!slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/secretless", "health"}) || c.Labels["org.opencontainers.image.title"] != "Secretless" {
		i.t.Errorf("the image is configured as %+v", c)
	}
}

// files checks that nothing else is in the image.
func (i image) files() {
	i.t.Helper()
	var found []string
	err := filepath.WalkDir(i.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, i.root))
		}
		return err
	})
	want := []string{"/etc/ssl/certs/ca-certificates.crt", "/usr/bin/secretless", "/usr/bin/secretless-broker", "/usr/local/bin/secretless-broker"}
	if slices.Sort(found); err != nil || !slices.Equal(found, want) {
		i.t.Errorf("the image has %v, %v", found, err)
	}
}
