package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector/sshkey"
	"secretless/internal/keyfile"
	"secretless/internal/secret"
)

// serverKeyName is the file in the state directory. All ssh services share it,
// as all ports of a machine share theirs.
const serverKeyName = "ssh_host_ed25519_key"

const maxKeyFile = 64 << 10

// loadServerKey is the broker's host key and where it is.
func (c *Connector) loadServerKey() (ssh.Signer, string, error) {
	if path := c.config.ServerKeyFile; path != "" {
		key, err := readServerKey(path)
		return key, path, err
	}
	dir, err := c.stateDir()
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(dir, serverKeyName)
	key, err := readServerKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, path, err
	}
	if err := makeServerKey(path); err != nil {
		return nil, "", fmt.Errorf("making %s: %w", path, err)
	}
	key, err = readServerKey(path)
	return key, path, err
}

func readServerKey(path string) (ssh.Signer, error) {
	data, err := keyfile.Read(path, maxKeyFile, "; chmod 600 it, or remove it if others may have read it")
	if err != nil {
		return nil, err
	}
	text := secret.New(data)
	defer text.Wipe()
	key, err := sshkey.Signer(text, secret.Value{}, secret.Value{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// makeServerKey writes a new key to path. Another service, or another broker,
// may do the same at this moment: the first complete file stays.
func makeServerKey(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "secretless")
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(block)
	defer clear(text)
	f, err := os.CreateTemp(filepath.Dir(path), serverKeyName+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
