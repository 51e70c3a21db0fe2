package assemble

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"secretless/internal/audit"
	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/peer"
	"secretless/internal/provider"
)

// anyLoopback stands for the TCP addresses of which peer can tell, if it can
// of any.
const anyLoopback = "127.0.0.1:0"

// service builds one service and adds it to b.services, or reports why not.
func (b *build) service(s *config.Service) {
	before := len(b.errs)
	definition, ok := b.connectors[s.Connector]
	if !ok {
		if s.Connector != "" { // an absent one has been reported by the parser
			b.errorf(s.ConnectorPos, "%s", unknown("connector", s.Connector, names(b.connectors)))
		}
		definition = connector.Definition{OtherCredentials: "unknown"}
	}
	refs, digests := b.credentials(s, definition)
	allow := b.allow(s)
	socket := b.socket(s)
	clientTLS, tlsRefs, tlsDigest := b.clientTLS(s)
	var conn connector.Connector
	if ok {
		conn = b.connector(s, definition)
	}
	if len(b.errs) > before {
		wipeRefs(refs)
		wipeRefs(tlsRefs)
		closeConnector(conn)
		return
	}
	log := b.log.With("service", s.Name)
	credentials := provider.NewCredentials(s.Name, refs, log)
	release := []func(){credentials.Close}
	built := &broker.Service{
		Name:        s.Name,
		Digest:      serviceDigest(s, append(digests, tlsDigest)),
		Kind:        s.Connector,
		Connector:   conn,
		Credentials: credentials,
		References:  map[string][]audit.Reference{s.Name: references(refs)},
		Socket:      socket,
		Allow:       allow,
		Limits:      broker.Limits(s.Limits),
		Drain:       s.Drain,
	}
	if clientTLS != nil {
		key := provider.NewCredentials(s.Name, tlsRefs, log)
		release = append(release, key.Close)
		built.ClientTLS = clientTLS.config(key, log)
	}
	for _, l := range s.Listen {
		built.Listen = append(built.Listen, broker.Address{Network: l.Network, Address: l.Address})
	}
	built.Close = sync.OnceFunc(func() {
		for _, f := range release {
			f()
		}
	})
	b.services = append(b.services, built)
	b.sources[built] = s
}

// references say where credentials come from, in the order of their names.
func references(refs []provider.Ref) []audit.Reference {
	list := make([]audit.Reference, 0, len(refs))
	for _, r := range refs {
		if r.Instance == nil {
			list = append(list, audit.Reference{Name: r.Name, From: config.FromLiteral})
			continue
		}
		list = append(list, audit.Reference{Name: r.Name, From: r.Instance.Name(), Get: r.Instance.Shown(r.Get)})
	}
	slices.SortFunc(list, func(a, b audit.Reference) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// discard closes a service that no broker has taken over. A broker closes the
// connector of its services itself.
func discard(s *broker.Service) {
	s.Close()
	closeConnector(s.Connector)
}

func closeConnector(c connector.Connector) {
	if closer, ok := c.(connector.Closer); ok {
		closer.Close()
	}
}

func wipeRefs(refs []provider.Ref) {
	for _, r := range refs {
		r.Literal.Wipe()
	}
}

// serviceDigest identifies a service and the provider instances behind it.
func serviceDigest(s *config.Service, providers []string) string {
	sum := sha256.Sum256([]byte(s.Digest() + "\n" + strings.Join(providers, "\n")))
	return hex.EncodeToString(sum[:])
}

// credentials checks names and places and makes the refs, and returns the
// digests of the instances they use.
func (b *build) credentials(s *config.Service, d connector.Definition) (refs []provider.Ref, digests []string) {
	known := make([]string, len(d.Credentials))
	for i, c := range d.Credentials {
		known[i] = c.Name
	}
	var given []string
	for _, c := range s.Credentials {
		given = append(given, c.Name)
		i, meant := slices.Index(known, c.Name), suggestCredential(c.Name, known)
		if i < 0 && d.OtherCredentials == "" {
			b.errorf(c.Pos, "%s", unknownCredential(s, c, meant, known))
			if meant != "" {
				given = append(given, meant) // one mistake is one error
			}
			continue
		}
		if i >= 0 {
			b.credential(s, c, d.Credentials[i])
		} else if meant != "" {
			b.file.Warnf(c.Pos, "credential %q is passed on as a %s; did you mean %q?", c.Name, d.OtherCredentials, meant)
		}
		if ref, digest, ok := b.ref(c); ok {
			refs = append(refs, ref)
			digests = append(digests, digest)
		}
	}
	for _, c := range d.Credentials {
		if c.Required && !s.CredentialsBroken && !slices.Contains(given, c.Name) && !slices.Contains(given, c.Unless) {
			b.errorf(s.Locate("credentials"), "service %q: connector %s needs the credential %q (%s)", s.Name, s.Connector, c.Name, c.Doc)
		}
	}
	return refs, digests
}

// unknownCredential is the text for a name that the connector does not know.
func unknownCredential(s *config.Service, c config.Credential, meant string, known []string) string {
	text := fmt.Sprintf("unknown credential %q for connector %s; ", c.Name, s.Connector)
	if meant != "" {
		return text + fmt.Sprintf("did you mean %q?", meant)
	}
	return text + "known are " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// otherCredentials are what connectors may mean by a name that other programs
// have, best first.
func otherCredentials(name string) []string {
	return map[string][]string{
		"user": {"username"}, "username": {"user"}, "login": {"username", "user"},
		"pass": {"password"}, "passwd": {"password"}, "pwd": {"password"},
		"server": {"host", "address"}, "hostname": {"host", "address"}, "host": {"address"}, "hostaddr": {"host"},
		"dbname": {"database"}, "db": {"database"},
		"key": {"privateKey", "sslkey"}, "identity": {"privateKey"}, "token": {"accessToken"},
	}[strings.ToLower(name)]
}

func suggestCredential(name string, known []string) string {
	for _, s := range otherCredentials(name) {
		if slices.Contains(known, s) {
			return s
		}
	}
	return config.Suggest(name, known)
}

func (b *build) credential(s *config.Service, c config.Credential, known connector.Credential) {
	if known.Deprecated != "" {
		b.file.Warnf(c.Pos, "credential %q is deprecated: %s", c.Name, known.Deprecated)
	}
	if c.From != config.FromLiteral || c.Broken || known.Check == nil {
		return
	}
	if err := known.Check(string(c.Literal.Bytes())); err != nil {
		b.errorf(c.ValuePos, "service %q: credential %q: %v", s.Name, c.Name, err)
	}
}

func (b *build) connector(s *config.Service, d connector.Definition) connector.Connector {
	var given []string
	for _, c := range s.Credentials {
		given = append(given, c.Name)
	}
	c, err := d.Build(connector.Setup{
		Service:     s.Name,
		Decode:      s.Config.Decode,
		Credentials: given,
		StateDir:    b.stateDir,
		LookupEnv:   b.lookupEnv,
		Warn: func(text string, path ...string) {
			b.file.Warnf(s.Locate(path...), "service %q: %s", s.Name, text)
		},
		Log: b.log.With("service", s.Name),
	})
	b.report(err, s.ConnectorPos, s.Locate)
	return c
}

// allow compiles the policy and makes sure that every address can tell who
// connects: an allow that could not be enforced must not be accepted.
func (b *build) allow(s *config.Service) *peer.Policy {
	if s.Allow == nil {
		return nil
	}
	for _, l := range s.Listen {
		address := l.Address
		switch l.Network {
		case "systemd":
			continue // the broker asks when it has the socket
		case "tcp": // other addresses have been refused by the parser
			address = anyLoopback
		}
		if err := peer.Supported(l.Network, address); err != nil {
			b.errorf(s.Allow.Pos, "service %q: %v", s.Name, err)
		}
	}
	policy, err := peer.NewPolicy(peer.Allow{
		Users:  s.Allow.Users,
		Groups: s.Allow.Groups,
		// What is no path has been reported by the parser.
		Executables: slices.DeleteFunc(slices.Clone(s.Allow.Executables), func(path string) bool { return path == "" }),
	})
	b.report(err, s.Allow.Pos, nil)
	return policy
}
