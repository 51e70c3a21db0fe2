package file

import (
	"errors"
	"path/filepath"
	"strings"

	"secretless/internal/provider"
)

// ErrNoCredentials is a broker that systemd did not start, or whose unit has
// no credentials.
var ErrNoCredentials = errors.New("systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set): name them in the unit with LoadCredential=, LoadCredentialEncrypted= or SetCredential=")

// maxName is the longest name of a credential that systemd takes.
const maxName = 255

// Systemd is the entry of the provider of credentials that systemd passed to
// the broker's unit: files that only the broker's process can read.
func Systemd() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "credentials that systemd passed to the unit (LoadCredential=)",
		Ref:      "the credential's name",
		CheckRef: checkName,
	}, func(c Config, s provider.Setup) (provider.Provider, error) {
		dir, ok := s.LookupEnv("CREDENTIALS_DIRECTORY")
		if !ok || !filepath.IsAbs(dir) {
			return missing{s.Name}, nil
		}
		return files{instance: s.Name, trim: c.Trim, inDir: dir}, nil
	})
}

// checkName takes what systemd takes: a name, and never a way to another file.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("name of the credential is empty")
	case name == "." || name == ".." || len(name) > maxName || strings.ContainsAny(name, "/\\:\x00"):
		return errors.New("a credential's name is that of a file in $CREDENTIALS_DIRECTORY: without / and :, at most 255 bytes")
	}
	return nil
}
