package assemble

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"secretless/internal/config"
	"secretless/internal/otlp"
	"secretless/internal/provider"
)

// destination is the collector that the file names, nil for none or after
// reporting what is wrong. Nothing is connected and no credential read.
func (b *build) destination() *otlp.Destination {
	o := b.file.OTLP
	if o == nil {
		return nil
	}
	before := len(b.errs)
	var refs []provider.Ref
	var identity strings.Builder
	add := func(c config.Credential, name string) {
		c.Name = name
		if ref, digest, ok := b.ref(c); ok {
			refs = append(refs, ref)
			value := sha256.Sum256(ref.Literal.Bytes())
			fmt.Fprintf(&identity, "%q %q %q %x\n", name, digest, c.Get, value)
		}
	}
	to := &otlp.Destination{Endpoint: o.Endpoint, Timeout: o.Timeout, Interval: b.file.Metrics.Interval}
	for _, h := range o.Headers {
		name := strings.ToLower(h.Name)
		to.Headers = append(to.Headers, name)
		add(h, name)
	}
	var ca []byte
	if o.CA != "" {
		if ca = b.certificates(o.CA, o.CAPos, "otlp.ca"); ca != nil {
			to.Roots = x509.NewCertPool()
			to.Roots.AppendCertsFromPEM(ca)
		}
	}
	if o.Cert != "" {
		to.CertPEM = b.certificates(o.Cert, o.CertPos, "otlp.cert")
		add(o.Key, otlp.KeyName)
	}
	if t := b.file.Tracing; t != nil {
		to.Traces, to.Sample = true, t.Sample
	}
	if len(b.errs) > before {
		wipeRefs(refs)
		return nil
	}
	fmt.Fprintf(&identity, "%q %v %v %v %v\n%s\n%s", to.Endpoint, to.Timeout, to.Interval, to.Traces, to.Sample, ca, to.CertPEM)
	sum := sha256.Sum256([]byte(identity.String()))
	to.Digest = hex.EncodeToString(sum[:])
	credentials := provider.NewCredentials("otlp", refs, b.log)
	to.Credentials, to.Close = credentials, sync.OnceFunc(credentials.Close)
	return to
}

func (b *build) certificates(path string, pos config.Pos, key string) []byte {
	pem, err := readCertificates(path)
	if err != nil {
		b.errorf(pos, "%s: %v", key, err)
	}
	return pem
}
