// Package config reads secretless.yml: YAML in, plain validated structs with
// positions out, and every mistake of a file at once. It knows the file, not
// the connectors and providers it names: package assemble checks those, with
// the positions and suggestions from here.
package config

import (
	"fmt"
	"io/fs"
	"time"

	"secretless/internal/secret"
)

// File is a parsed configuration. It is not changed after Parse.
type File struct {
	// Name is how messages call the file.
	Name string
	// Resource is true for a custom resource of Kubernetes.
	Resource bool
	// Services and Providers are in file order.
	Services  []Service
	Providers []Provider
	Admin     Admin
	Audit     Audit
	Metrics   Metrics
	Tracing   *Tracing // nil where nothing is traced
	OTLP      *OTLP    // nil where nothing is sent
	// Hardening is default, strict or off.
	Hardening    string
	HardeningPos Pos
	// State is the directory for host keys and the like; empty means the
	// default of the platform.
	State string
	// Warnings are in file order.
	Warnings []Diagnostic

	root *node
}

// Listens are all addresses of the file, those of the broker itself included.
func (f *File) Listens() []Listen {
	var all []Listen
	for _, s := range f.Services {
		all = append(all, s.Listen...)
	}
	for _, l := range []*Listen{f.Admin.Health, f.Admin.Socket, f.Metrics.Listen} {
		if l != nil {
			all = append(all, *l)
		}
	}
	return all
}

// Errorf makes a diagnostic about a place in the file.
func (f *File) Errorf(pos Pos, format string, args ...any) Diagnostic {
	return Diagnostic{File: f.Name, Pos: pos, Text: fmt.Sprintf(format, args...)}
}

// Warnf adds a warning, keeping file order.
func (f *File) Warnf(pos Pos, format string, args ...any) {
	f.Warnings = Errors(append(f.Warnings, f.Errorf(pos, format, args...))).sorted()
}

// Service is one entry of services, its defaults filled in.
type Service struct {
	Name string
	Pos  Pos // of the name
	// Connector is the connector's id, after the deprecated protocol was
	// translated.
	Connector    string
	ConnectorPos Pos
	Listen       []Listen
	// Credentials are in file order.
	Credentials []Credential
	// CredentialsBroken says that credentials is no map, or a part of it could
	// not be read, which has been reported: there is no telling which of them
	// are missing.
	CredentialsBroken bool
	// Config is the connector's own section; a zero Section if there is none.
	Config Section
	// Allow is nil where everyone who reaches the address may connect.
	Allow  *Allow
	Socket Socket
	Limits Limits
	// Drain is how long connections of a stopped service live on.
	Drain time.Duration
	// TLS is nil where clients speak plain text.
	TLS *TLS

	node *node
}

// Listen is one address of listenOn.
type Listen struct {
	Network string // "tcp", "unix" or "systemd"
	// Address is host:port (the host is empty for every interface), an
	// absolute path, or the name of a descriptor.
	Address string
	Pos
}

// String is the address as listenOn spells it.
func (l Listen) String() string { return l.Network + "://" + l.Address }

// FromLiteral is the From of a credential that the file gives as a scalar.
const FromLiteral = "literal"

// Credential says where one credential comes from.
type Credential struct {
	Name string
	// From is the provider: FromLiteral for a scalar.
	From string
	// Get is the id in the provider; empty for a literal, however it is
	// written: its value is in Literal.
	Get string
	// Literal is the value where From is FromLiteral. It belongs to the File.
	Literal secret.Value
	// Broken says that what is wrong with it was reported: it is an empty
	// literal, about which nothing more is to be said.
	Broken bool
	// Pos is the name's place; FromPos and ValuePos are those of the provider
	// and the id, or of the scalar.
	Pos, FromPos, ValuePos Pos
}

// Provider is one entry of providers.
type Provider struct {
	Name string
	Type string
	// Pos is the name's place, TypePos the type's.
	Pos, TypePos Pos
	// Cache is nil where the provider's own default holds.
	Cache        *time.Duration
	Timeout      time.Duration
	StaleIfError time.Duration
	// Settings are the remaining keys, which the provider owns.
	Settings Section

	node *node
}

// Allow names the local processes that may connect; at least one list has an
// entry.
type Allow struct {
	Users       []string
	Groups      []string
	Executables []string
	Pos         Pos
}

// Socket is how the files of unix sockets are made.
type Socket struct {
	Mode         fs.FileMode // permission bits only
	Owner, Group string      // names or numeric ids; empty leaves them as they are
	// Set is true where the file has a socket section.
	Set bool
	Pos Pos
}

// Limits bound what clients can use. Zero means no limit, except that
// ConnectTimeout and HandshakeTimeout are never zero.
type Limits struct {
	Connections      int
	ConnectTimeout   time.Duration
	HandshakeTimeout time.Duration
	IdleTimeout      time.Duration
}

// TLS is what a listener needs to offer TLS to clients.
type TLS struct {
	// Cert is the path of a PEM file: the certificate and its chain.
	Cert    string
	CertPos Pos
	// Key is where the PEM text of the private key comes from; a scalar in
	// the file means from: file.
	Key Credential
	// ClientCA is the path of a PEM file; not empty means that clients must
	// present a certificate of one of these CAs.
	ClientCA    string
	ClientCAPos Pos
	Pos         Pos
}

// DefaultHealth is the TCP address of the health endpoint where the file says
// nothing about it.
const DefaultHealth = "127.0.0.1:5335"

// Admin is where the broker answers questions about itself.
type Admin struct {
	// Health is nil where it is turned off; the default has no Pos.
	Health *Listen
	// Socket is nil where there is none; the default has no Pos. SocketOff is
	// true where the file turns it off.
	Socket    *Listen
	SocketOff bool
}
