package assemble

import (
	"fmt"
	"io/fs"
	"slices"

	"secretless/internal/config"
	"secretless/internal/connector"
)

// WarnReadable adds a warning for each secret that the file holds as a
// literal, where mode, the file's, lets everybody read it. It is called before
// Build, whose result carries the warnings.
func (a *Assembler) WarnReadable(file *config.File, mode fs.FileMode) {
	if mode.Perm()&0o004 != 0 {
		a.warnLiterals(file, fmt.Sprintf("everybody on this machine may read the file (mode %#o): use a provider, or chmod o-rwx", mode.Perm()))
	}
}

// WarnLiterals is WarnReadable for a configuration that others can read whatever
// its mode; who says who they are.
func (a *Assembler) WarnLiterals(file *config.File, who string) {
	a.warnLiterals(file, who+": use a provider")
}

func (a *Assembler) warnLiterals(file *config.File, why string) {
	warn := func(c config.Credential) {
		if c.From == config.FromLiteral && c.Literal.Len() > 0 {
			file.Warnf(c.ValuePos, "%s stands here in plain text, and %s", c.Name, why)
		}
	}
	for _, s := range file.Services {
		for _, c := range s.Credentials {
			if a.isSecret(s.Connector, c.Name) {
				warn(c)
			}
		}
	}
	if file.OTLP != nil {
		for _, h := range file.OTLP.Headers {
			warn(h)
		}
	}
	for _, p := range file.Providers {
		for _, c := range p.Settings.Secrets(a.providers[p.Type].Config) {
			warn(c)
			c.Literal.Wipe()
		}
	}
}

func (a *Assembler) isSecret(id, credential string) bool {
	return slices.ContainsFunc(a.connectors[id].Credentials, func(c connector.Credential) bool {
		return c.Name == credential && c.Secret
	})
}
