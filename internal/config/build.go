package config

import (
	"io/fs"
	"strings"
	"time"
)

// build makes the File of what was decoded, and checks what concerns more
// than one key.
func (r *report) build(root *node, spec fileSpec) *File {
	f := &File{
		Name: r.file, State: spec.State.path, root: root,
		Hardening: spec.Hardening, HardeningPos: valuePos(root, Pos{1, 1}, "hardening"),
	}
	if e, ok := root.get("services"); ok && e.value.kind == mapNode && len(e.value.entries) == 0 {
		r.errorf(e.pos, "services is empty; a configuration has at least one service")
	}
	for _, e := range spec.Services {
		if s := r.service(e); s.Connector != "" { // reported otherwise
			f.Services = append(f.Services, s)
		}
	}
	for _, e := range spec.Providers {
		p := e.spec.providerSpec
		f.Providers = append(f.Providers, Provider{
			Name: e.name, Pos: e.pos, Type: p.Type, TypePos: valuePos(e.node, e.pos, "type"),
			Cache: p.Cache, Timeout: p.Timeout, StaleIfError: p.StaleIfError,
			Settings: e.spec.settings, node: e.node,
		})
		if p.Timeout == 0 {
			r.mustBePositive(e.node, e.pos, "timeout")
		}
	}
	f.Admin = r.admin(spec.Admin)
	r.telemetry(f, root, spec)
	f.Audit = r.audit(root, spec.Audit)
	return f
}

func (r *report) admin(spec adminSpec) Admin {
	a := Admin{Health: spec.Health.listen, Socket: spec.Socket.listen, SocketOff: spec.Socket.off}
	if a.Health == nil && !spec.Health.off {
		a.Health = &Listen{Network: "tcp", Address: DefaultHealth}
	}
	return a
}

func (a *Admin) complete(opts Options) {
	if a.Socket == nil && !a.SocketOff && opts.AdminSocket != "" {
		a.Socket = &Listen{Network: "unix", Address: opts.AdminSocket}
	}
}

func (r *report) service(e namedEntry[serviceSpec]) Service {
	spec := e.spec
	s := Service{
		Name: e.name, Pos: e.pos, Connector: spec.Connector, ConnectorPos: valuePos(e.node, e.pos, "connector"),
		Listen: spec.ListenOn, Credentials: spec.Credentials, Config: spec.Config, Drain: spec.Drain, node: e.node,
		Limits: Limits{
			Connections: int(spec.Limits.Connections), ConnectTimeout: spec.Limits.ConnectTimeout,
			HandshakeTimeout: spec.Limits.HandshakeTimeout, IdleTimeout: spec.Limits.IdleTimeout,
		},
	}
	r.protocol(e, &s)
	if section, ok := e.node.get("credentials"); ok && !section.value.isNull() {
		s.CredentialsBroken = section.value.kind != mapNode || section.value.lost
	}
	if debug, ok := e.node.get("debug"); ok {
		r.warnf(debug.pos, "debug has no effect; remove it, and start the broker with --log-level debug")
	}
	r.limits(e, s.Limits)
	r.allow(e, &s)
	r.socket(e, &s)
	if t := spec.TLS; t != nil {
		s.TLS = &TLS{
			Cert: t.Cert.path, CertPos: t.Cert.pos, Key: t.Key.credential,
			ClientCA: t.ClientCA.path, ClientCAPos: t.ClientCA.pos, Pos: s.Locate("tls"),
		}
	}
	return s
}

func (r *report) limits(e namedEntry[serviceSpec], l Limits) {
	section, ok := e.node.get("limits")
	if !ok || section.value.kind != mapNode {
		return
	}
	for key, d := range map[string]time.Duration{"connectTimeout": l.ConnectTimeout, "handshakeTimeout": l.HandshakeTimeout} {
		if d == 0 {
			r.mustBePositive(section.value, section.pos, key)
		}
	}
}

// mustBePositive reports a zero that the file says; a zero that stands for a
// value which was reported already is left alone.
func (r *report) mustBePositive(n *node, pos Pos, key string) {
	if e, ok := n.get(key); ok && e.value.kind == scalarNode && strings.Trim(e.value.value, "0.hmsunµ") == "" && !e.value.isNull() {
		r.errorf(valuePos(n, pos, key), "%s must be more than 0s: without it a silent peer would hold its connection for ever", key)
	}
}

func (r *report) allow(e namedEntry[serviceSpec], s *Service) {
	spec := e.spec.Allow
	if spec == nil {
		if section, ok := e.node.get("allow"); ok && section.value.isNull() {
			r.errorf(section.pos, "allow is empty; name users, groups or executables, or remove it to admit everyone")
		}
		return
	}
	a := &Allow{Users: spec.Users, Groups: spec.Groups, Pos: s.Locate("allow")}
	for _, p := range spec.Executables {
		a.Executables = append(a.Executables, p.path)
	}
	for _, name := range append(append([]string(nil), a.Users...), a.Groups...) {
		if strings.TrimSpace(name) == "" {
			r.errorf(a.Pos, "allow has an empty user or group")
		}
	}
	s.Allow = a
}

func (r *report) socket(e namedEntry[serviceSpec], s *Service) {
	s.Socket = Socket{Mode: 0o600}
	spec := e.spec.Socket
	if spec == nil {
		return
	}
	s.Socket = Socket{Mode: fs.FileMode(spec.Mode), Owner: spec.Owner, Group: spec.Group, Set: true, Pos: s.Locate("socket")}
	section, _ := e.node.get("socket")
	unix := len(s.Listen) == 0 || section.value.kind != mapNode // reported already
	for _, l := range s.Listen {
		unix = unix || l.Network == "unix"
	}
	if !unix {
		r.errorf(s.Socket.Pos, "socket is about unix sockets, and this service listens on none; remove it or listen on unix:///path")
	}
	if s.Socket.Mode&0o002 != 0 && s.Allow == nil {
		r.warnf(s.Locate("socket", "mode"), "mode %04o lets every user of this machine connect; a group with mode 0660, or allow, admits only whom you name", s.Socket.Mode)
	}
}

// Locate is the place of a key under the service, for instance "config",
// "enforce"; where it does not exist, that of the nearest parent that does.
func (s Service) Locate(path ...string) Pos { return s.node.locate(s.Pos, path) }

// Locate is the place of a key under the provider, like Service.Locate.
func (p Provider) Locate(path ...string) Pos { return p.node.locate(p.Pos, path) }

// valuePos is the place of a key's value, or fallback.
func valuePos(n *node, fallback Pos, key string) Pos {
	if e, ok := n.get(key); ok {
		return e.value.pos
	}
	return fallback
}
