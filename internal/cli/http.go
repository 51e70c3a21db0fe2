package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"secretless/internal/assemble"
	"secretless/internal/config"
	"secretless/internal/localca"
)

// interceptor is a connector that opens tunnels of HTTPS clients.
type interceptor interface {
	Intercepted() (hosts, unlisted []string)
}

// plan is a configuration with what it says about HTTPS.
type plan struct {
	file     *config.File
	stateDir string
	// hosts are those of HTTP services; unlisted are services whose hosts
	// cannot be listed; http says whether there are HTTP services.
	hosts, unlisted []string
	http            bool
}

// readPlan loads a configuration without starting anything.
func readPlan(env Env, path string) (*plan, error) {
	src, err := openConfig(env, path)
	if err != nil {
		return nil, err
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	defer a.Close()
	file, built, err := load(a, src)
	if err != nil {
		return nil, usage(err)
	}
	defer built.Discard()
	p := &plan{file: file}
	for _, s := range built.Services {
		i, ok := s.Connector.(interceptor)
		if !ok {
			continue
		}
		p.http = true
		hosts, unlisted := i.Intercepted()
		p.hosts, p.unlisted = append(p.hosts, hosts...), append(p.unlisted, unlisted...)
	}
	if p.stateDir, err = a.StateDir(file); err != nil {
		return nil, failed(err)
	}
	return p, nil
}

// scope is what an authority for the configuration may vouch for.
func (p *plan) scope(everything bool) (localca.Scope, error) {
	switch {
	case !p.http:
		return localca.Scope{}, usage(fmt.Errorf("%s has no HTTP service, which is what a local CA is for", p.file.Name))
	case everything:
		return localca.Scope{Everything: true}, nil
	case len(p.unlisted) > 0:
		return localca.Scope{}, usage(fmt.Errorf("of the hosts of %s nobody can make a list, since they are given by authenticateURLsMatching; give hosts, or make a CA that can vouch for every host with --unconstrained",
			strings.Join(p.unlisted, ", ")))
	}
	return localca.NewScope(p.hosts), nil
}

// trustDir is where clients find the files that they are pointed to.
func (p *plan) trustDir(flag string) string {
	if flag != "" {
		return flag
	}
	return filepath.Join(p.stateDir, "trust")
}

// writeTrust brings the files for clients up to date with the authority.
func (p *plan) writeTrust(env Env, dir, roots string) (changed bool, err error) {
	ca, err := localca.Open(p.stateDir)
	if err != nil {
		return false, err
	}
	trust, err := ca.Trust()
	if err != nil {
		return false, err
	}
	if roots == "" {
		roots = operatorsRoots(env, dir)
	}
	system, err := localca.SystemRoots(roots)
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	return localca.WriteTrust(dir, trust, system)
}

// operatorsRoots is the list that whoever runs the command has chosen for
// programs of his own, unless it is one that was written here.
func operatorsRoots(env Env, dir string) string {
	file, _ := env.LookupEnv("SSL_CERT_FILE")
	if file == filepath.Join(dir, localca.BundleFile) || filepath.Base(file) == localca.BundleFile {
		return ""
	}
	return file
}

// find returns a service of the file by its name.
func (p *plan) find(name string) (*config.Service, error) {
	var known []string
	for i := range p.file.Services {
		s := &p.file.Services[i]
		if s.Name == name {
			return s, nil
		}
		known = append(known, s.Name)
	}
	slices.Sort(known)
	return nil, usage(fmt.Errorf("%s has no service %q; it has %s", p.file.Name, name, strings.Join(known, ", ")))
}

// absent is true for an authority that was never made.
func absent(err error) bool { return errors.Is(err, localca.ErrNone) }
