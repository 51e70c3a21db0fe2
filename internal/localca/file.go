package localca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"secretless/internal/keyfile"
)

// fileName is the authority in the state directory: its key, its certificate,
// then what an earlier authority left for the overlap.
const fileName = "ca.pem"

const maxFile = 256 << 10

// Path is where the authority of a state directory is.
func Path(stateDir string) string { return filepath.Join(stateDir, fileName) }

// material is what the file holds.
type material struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// cross is cert's key and name signed by the authority before it, for
	// clients that know only that one; nil where there was none.
	cross *x509.Certificate
	// previous is the certificate of the authority before; nil likewise.
	previous *x509.Certificate
}

// read loads the file. The error is fs.ErrNotExist where there is none, and an
// ordinary one where others could know the key.
func read(path string) (material, error) {
	data, err := keyfile.Read(path, maxFile, ", and so can the key in it; run `secretless ca rotate`, or chmod 600 it if nobody else uses this machine")
	if err != nil {
		return material{}, err
	}
	defer clear(data)
	m, err := parse(data)
	if err != nil {
		return material{}, fmt.Errorf("%s: %w; remove it and run `secretless ca init`", path, err)
	}
	return m, nil
}

// parse tells the certificates apart by their keys. Errors quote nothing.
func parse(data []byte) (material, error) {
	var m material
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		switch block.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			clear(block.Bytes)
			ec, ok := key.(*ecdsa.PrivateKey)
			if err != nil || !ok {
				return material{}, errors.New("the private key is not an ECDSA key in PKCS #8")
			}
			m.key = ec
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return material{}, errors.New("a certificate in it cannot be read")
			}
			certs = append(certs, cert)
		}
	}
	if m.key == nil {
		return material{}, errors.New("it holds no private key")
	}
	for _, cert := range certs {
		own := m.key.PublicKey.Equal(cert.PublicKey)
		switch {
		case own && bytes.Equal(cert.RawIssuer, cert.RawSubject):
			m.cert = cert
		case own:
			m.cross = cert
		default:
			m.previous = cert
		}
	}
	if m.cert == nil || !m.cert.IsCA {
		return material{}, errors.New("it holds no certificate for its key")
	}
	return m, nil
}

func (m material) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return append(text, encodeCerts(m.cert, m.cross, m.previous)...), nil
}

func encodeCerts(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, cert := range certs {
		if cert != nil {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
		}
	}
	return text
}

// write puts the whole file in place at once. Without replace an authority
// that is already there, or appears meanwhile, stays: the error is fs.ErrExist.
func (m material) write(path string, replace bool) error {
	text, err := m.encode()
	if err != nil {
		return err
	}
	defer clear(text)
	return writeFile(path, text, 0o600, replace)
}

func writeFile(path string, text []byte, mode fs.FileMode, replace bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if mode != 0o600 {
		err = errors.Join(err, f.Chmod(mode))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		return os.Rename(f.Name(), path)
	}
	return os.Link(f.Name(), path)
}
