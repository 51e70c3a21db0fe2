//go:build linux

package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"secretless/internal/testenv"
)

// As a tool that configures machines does: many short connections, most of
// them at the same time.
func TestManySSHConnections(t *testing.T) {
	p := startSSH(t, sshTarget(testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer}))).sshPlace(t)
	var owned sync.WaitGroup
	for i := range 100 {
		owned.Go(func() {
			words := fmt.Sprintf("%d\n", i)
			if err := p.ssh(t, strings.NewReader(words), fmt.Sprintf("cat; exit %d", i%7)).ended(i%7, words); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	owned.Wait()
}

// A hundred sessions of one connection, open at once.
func TestManySSHSessions(t *testing.T) {
	client, err := startSSH(t, sshTarget(testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer}))).sshPlace(t).dial(t)
	if err != nil {
		t.Fatal(err)
	}
	var open, owned sync.WaitGroup
	open.Add(100)
	for i := range 100 {
		owned.Go(func() {
			err := func() error {
				defer open.Done()
				session, err := client.NewSession()
				if err != nil {
					return err
				}
				t.Cleanup(func() { _ = session.Close() })
				in, err := session.StdinPipe()
				if err != nil {
					return err
				}
				out, err := session.StdoutPipe()
				if err != nil {
					return err
				}
				if err := session.Start("echo ready; cat"); err != nil {
					return err
				}
				if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
					return err
				}
				owned.Go(func() {
					open.Wait()
					_, wrong := io.WriteString(in, strings.Repeat("x", i))
					wrong = errors.Join(wrong, in.Close())
					rest, err := io.ReadAll(out)
					if err := errors.Join(wrong, err, session.Wait()); err != nil || len(rest) != i {
						t.Errorf("%d: %d bytes, %v", i, len(rest), err)
					}
				})
				return nil
			}()
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	owned.Wait()
}

// 200 MiB there and back, compared by their checksums.
func TestLargeSSHFile(t *testing.T) {
	size := 200 << 20
	if testing.Short() {
		size = 20 << 20
	}
	p := startSSH(t, sshTarget(testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer}))).sshPlace(t)
	dir := t.TempDir()
	in, there, back := filepath.Join(dir, "in"), filepath.Join(dir, "there"), filepath.Join(dir, "back")
	f, err := os.Create(in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{7}), int64(size))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.sftp(t, dir, "@put DIR/in DIR/there\n@get DIR/there DIR/back\n").prints(""); err != nil {
		t.Fatal(err)
	}
	want := checksum(t, in)
	for _, path := range []string{there, back} {
		if got := checksum(t, path); got != want {
			t.Errorf("%s has the checksum %x, want %x", filepath.Base(path), got, want)
		}
	}
}

func checksum(t *testing.T, path string) (sum [sha256.Size]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
