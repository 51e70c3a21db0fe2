package conjur

import (
	"path/filepath"

	"secretless/internal/provider"
)

// Footprint is the place of authn-k8s' client certificate, which is removed
// when it has been read.
func (p *conjur) Footprint() provider.Footprint {
	url, file := p.settings.AuthnURL, p.settings.ClientCertFile
	first(&url, p.env.get("CONJUR_AUTHN_URL"))
	first(&file, p.env.get("CONJUR_CLIENT_CERT_PATH"), defaultClientCert)
	if kindOf(url) != "authn-k8s" || !filepath.IsAbs(file) {
		return provider.Footprint{}
	}
	return provider.Footprint{Writes: []string{filepath.Dir(file)}}
}
