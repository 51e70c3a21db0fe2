package localca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the file is looked at for a rotation.
const lookEvery = 2 * time.Second

// warnBefore is when an authority that ends is worth a warning.
const warnBefore = 30 * 24 * time.Hour

// ErrNone means that the state directory has no authority.
var ErrNone = errors.New("there is no local CA; run `secretless ca init`")

// ScopeError means that the authority may not vouch for a host.
type ScopeError struct{ Host string }

func (e *ScopeError) Error() string {
	return fmt.Sprintf("the local CA was not made for %s; run `secretless ca rotate`", e.Host)
}

// Authority makes certificates for hosts. It notices a rotation by itself.
// Safe for concurrent use.
type Authority struct {
	path string
	now  func() time.Time

	mu     sync.Mutex
	issuer *issuer
	stamp  fs.FileInfo
	looked time.Time
}

// issuer is an authority as one reading of the file had it, with the
// certificates that were made of it.
type issuer struct {
	material
	scope Scope
	made  cache
}

// Open reads the authority of a state directory. The error is ErrNone where it
// has none.
func Open(stateDir string) (*Authority, error) { return open(stateDir, time.Now) }

func open(stateDir string, now func() time.Time) (*Authority, error) {
	a := &Authority{path: Path(stateDir), now: now}
	_, err := a.current()
	if err != nil {
		return nil, err
	}
	return a, nil
}

// current is the issuer of now. A file that cannot be read leaves the one that
// was: a broker that works goes on.
func (a *Authority) current() (*issuer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.issuer != nil && now.Sub(a.looked) < lookEvery && !now.Before(a.looked) {
		return a.issuer, nil
	}
	a.looked = now
	info, err := os.Stat(a.path)
	if err == nil && a.stamp != nil && os.SameFile(info, a.stamp) && info.ModTime().Equal(a.stamp.ModTime()) {
		return a.issuer, nil
	}
	var m material
	if err == nil {
		m, err = read(a.path)
	}
	switch {
	case err == nil:
		a.issuer = &issuer{material: m, scope: scopeOf(m.cert)}
		a.stamp = info
	case a.issuer != nil:
		return a.issuer, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNone
	}
	return a.issuer, err
}

// Certificate returns a certificate for a host, a name or an address, with its
// chain. Certificates are kept and shared: do not change it. The error is a
// *ScopeError where the authority may not vouch for the host.
func (a *Authority) Certificate(host string) (*tls.Certificate, error) {
	host = canonical(host)
	if err := checkHost(host); err != nil {
		return nil, err
	}
	is, err := a.current()
	if err != nil {
		return nil, err
	}
	now := a.now()
	switch {
	case !is.scope.Covers(host):
		return nil, &ScopeError{host}
	case !now.Before(is.cert.NotAfter):
		return nil, fmt.Errorf("the local CA has expired on %s; run `secretless ca rotate`", is.cert.NotAfter.Format(time.DateOnly))
	}
	return is.made.get(host, now, func() (*tls.Certificate, error) { return is.make(host, now) })
}

// Check says which of the hosts the authority may not vouch for, or that it
// has expired. Where all is well but it expires soon, soon tells when.
func (a *Authority) Check(hosts []string) (soon time.Time, err error) {
	is, err := a.current()
	if err != nil {
		return time.Time{}, err
	}
	now := a.now()
	var errs []error
	for _, h := range hosts {
		if !is.scope.Covers(h) {
			errs = append(errs, &ScopeError{h})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return time.Time{}, err
	}
	left := is.cert.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return time.Time{}, fmt.Errorf("the local CA has expired on %s; run `secretless ca rotate`", is.cert.NotAfter.Format(time.DateOnly))
	case left < warnBefore:
		soon = is.cert.NotAfter
	}
	return soon, nil
}

// Trust lists what clients must trust: the authority's certificate first, then
// that of the one before it while it is valid.
func (a *Authority) Trust() ([]*x509.Certificate, error) {
	is, err := a.current()
	if err != nil {
		return nil, err
	}
	certs := []*x509.Certificate{is.cert}
	if p := is.previous; p != nil && a.now().Before(p.NotAfter) {
		certs = append(certs, p)
	}
	return certs, nil
}

// Scope is what the authority may vouch for.
func (a *Authority) Scope() (Scope, error) {
	is, err := a.current()
	if err != nil {
		return Scope{}, err
	}
	return is.scope, nil
}
