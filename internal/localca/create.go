package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"time"
)

// margin is how far a client's clock may be behind ours.
const margin = time.Hour

// organization is in the name of every authority of ours.
const organization = "Secretless"

// DefaultLifetime is how long an authority lives when nobody says otherwise.
const DefaultLifetime = 365 * 24 * time.Hour

// ErrExists means that there is an authority already.
var ErrExists = errors.New("there is a local CA already; `secretless ca rotate` replaces it")

// Plan says what authority to make.
type Plan struct {
	Scope    Scope
	Lifetime time.Duration
	Now      time.Time
}

// Create makes the authority of a state directory, which must not have one:
// the error is ErrExists otherwise.
func Create(stateDir string, p Plan) error {
	m, err := p.make(material{})
	if err != nil {
		return err
	}
	err = m.write(Path(stateDir), false)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// Rotate replaces the authority of a state directory. The old one signs the
// new one's key as its last act: until it expires, clients that trust only the
// old one accept certificates of the new one, for hosts that both cover. An
// old authority that others could have read, or that cannot be read, signs
// nothing and is forgotten: Rotate says why in broken.
func Rotate(stateDir string, p Plan) (broken, err error) {
	path := Path(stateDir)
	old, broken := read(path)
	if errors.Is(broken, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no local CA in %s yet; run `secretless ca init`", stateDir)
	}
	m, err := p.make(old)
	if err != nil {
		return broken, err
	}
	return broken, m.write(path, true)
}

// make makes an authority that follows old, whose key is nil where none does.
func (p Plan) make(old material) (material, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return material{}, err
	}
	template, err := p.template(key)
	if err != nil {
		return material{}, err
	}
	m := material{key: key}
	if m.cert, err = sign(template, template, &key.PublicKey, key); err != nil {
		return material{}, err
	}
	if old.key == nil || !old.cert.NotAfter.After(p.Now) {
		return m, nil
	}
	// The longest path is leaf, cross, old: the cross-signed certificate
	// carries no authority further.
	template.MaxPathLen, template.MaxPathLenZero = 0, true
	template.NotAfter = old.cert.NotAfter
	if template.SerialNumber, err = serial(); err != nil {
		return material{}, err
	}
	if m.cross, err = sign(template, old.cert, &key.PublicKey, old.key); err != nil {
		return material{}, err
	}
	m.previous = old.cert
	return m, nil
}

func (p Plan) template(key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	number, err := serial()
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(public)
	t := &x509.Certificate{
		SerialNumber: number,
		// A name of its own for each: programs look issuers up by name.
		Subject: pkix.Name{
			Organization: []string{organization},
			CommonName:   "Secretless local CA " + hex.EncodeToString(id[:4]),
		},
		NotBefore:             p.Now.Add(-margin),
		NotAfter:              p.Now.Add(p.Lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1, // for the cross-signed certificate of a successor
		SubjectKeyId:          id[:20],
	}
	p.Scope.restrict(t)
	return t, nil
}

func sign(template, issuer *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func serial() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) }
