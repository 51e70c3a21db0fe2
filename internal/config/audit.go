package config

import (
	"path"
	"strconv"
	"strings"
)

// Audit is where audit events go; To is empty where there is none.
type Audit struct {
	// To are file:///path, stdout, stderr, syslog and syslog:///socket.
	To []string
	// Required means that a connection whose event cannot be written is
	// refused.
	Required bool
	// MaxSize is the size in bytes at which a file is moved away, zero for
	// never, and Keep how many of those are kept.
	MaxSize int64
	Keep    int
	// Fsync has the disk confirm every line.
	Fsync  bool
	Syslog AuditSyslog
	Pos    Pos
}

// AuditSyslog is how messages for syslog are made.
type AuditSyslog struct {
	RFC5424  bool
	Facility string
}

type auditSpec struct {
	To       auditTargets     `yaml:"to" doc:"Where events go, as JSON lines: file:///path, stdout, stderr, syslog (the system's) or syslog:///path of a unix socket, or a list of them."`
	Required bool             `yaml:"required" doc:"Refuse a connection, request or signature whose event cannot be written."`
	MaxSize  sizeSpec         `yaml:"maxSize" doc:"Size at which a file is moved to its name with .1, for instance 100MiB; absent: never."`
	Keep     uint32           `yaml:"keep" default:"5" doc:"How many files that were moved away are kept, 1 to 100."`
	Fsync    bool             `yaml:"fsync" doc:"Have the disk confirm every line of a file: they survive a loss of power, at the price of its time."`
	Syslog   *auditSyslogSpec `yaml:"syslog" doc:"How messages for syslog are made."`
}

type auditSyslogSpec struct {
	Format   string `yaml:"format" default:"local" enum:"local,rfc5424" doc:"The header: local, as every program's syslog(3) makes it, or rfc5424."`
	Facility string `yaml:"facility" default:"authpriv" enum:"user,daemon,auth,authpriv,local0,local1,local2,local3,local4,local5,local6,local7" doc:"The facility of the messages."`
}

const (
	minAuditSize = 64 << 10
	maxAuditKeep = 100
)

// audit checks what concerns more than one key of the section.
func (r *report) audit(root *node, spec auditSpec) Audit {
	a := Audit{
		To: spec.To.urls, Required: spec.Required, MaxSize: spec.MaxSize.bytes, Keep: int(spec.Keep), Fsync: spec.Fsync,
		Pos: spec.To.pos,
	}
	if s := spec.Syslog; s != nil {
		a.Syslog = AuditSyslog{RFC5424: s.Format == "rfc5424", Facility: s.Facility}
	}
	e, ok := root.get("audit")
	if !ok || e.value.kind != mapNode {
		return a
	}
	section := e.value
	if !section.has("to") {
		for _, key := range section.entries {
			if key.key == "required" && !a.Required {
				continue
			}
			r.errorf(key.pos, "%s of audit has no target; add to: file:///var/log/secretless/audit.jsonl", key.key)
			break
		}
		return a
	}
	r.auditKeys(section, a)
	return a
}

func (r *report) auditKeys(section *node, a Audit) {
	at := func(key string) Pos { return valuePos(section, a.Pos, key) }
	if a.Keep < 1 || a.Keep > maxAuditKeep {
		r.errorf(at("keep"), "keep must be from 1 to %d", maxAuditKeep)
	}
	if section.has("keep") && !section.has("maxSize") {
		r.errorf(at("keep"), "keep needs maxSize: without it no file is moved away")
	}
	var files, syslogs bool
	for _, to := range a.To {
		files = files || strings.HasPrefix(to, "file:")
		syslogs = syslogs || strings.HasPrefix(to, "syslog")
	}
	for _, key := range []string{"maxSize", "fsync"} {
		if section.has(key) && !files && len(a.To) > 0 {
			r.errorf(at(key), "%s is about files, and audit.to names none", key)
		}
	}
	if section.has("syslog") && !syslogs && len(a.To) > 0 {
		r.errorf(at("syslog"), "syslog is set, and audit.to does not name it")
	}
}

// auditTargets is audit.to: one target or a list.
type auditTargets struct {
	urls []string
	pos  Pos
}

func (a *auditTargets) decodeNode(d *decoder, n *node, key string) {
	items := []*node{n}
	a.pos = n.pos
	if n.kind == listNode {
		items = n.items
		if len(items) == 0 && !n.lost {
			d.errorf(n.pos, "%s is an empty list; name at least one target", key)
		}
	}
	for _, item := range items {
		switch {
		case item.kind != scalarNode || !isAuditTarget(item.value):
			d.errorf(item.pos, "%s must be a file with an absolute path, as in file:///var/log/secretless/audit.jsonl, or stdout, stderr, syslog or syslog:///path/of/a/socket", key)
		case contains(a.urls, item.value):
			d.errorf(item.pos, "%s names %s twice", key, quote(item.value))
		default:
			a.urls = append(a.urls, item.value)
		}
	}
}

func isAuditTarget(text string) bool {
	switch text {
	case "stdout", "stderr", "syslog":
		return true
	}
	for _, scheme := range []string{"file://", "syslog://"} {
		if p, ok := strings.CutPrefix(text, scheme); ok {
			return path.IsAbs(p) && !strings.HasSuffix(p, "/")
		}
	}
	return false
}

func (*auditTargets) schema(*generator) object {
	one := object{"type": "string", "pattern": "^(stdout|stderr|syslog|(file|syslog):///.*[^/])$"}
	return object{"anyOf": []any{one, object{"type": "array", "items": one, "minItems": 1}}}
}

// sizeSpec is a number of bytes with its unit.
type sizeSpec struct{ bytes int64 }

func (s *sizeSpec) decodeNode(d *decoder, n *node, key string) {
	const like = "a size such as 100MiB (or KiB, GiB)"
	text := n.value
	var shift int
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			text, shift = digits, bits
		}
	}
	count, err := strconv.ParseUint(text, 10, 20)
	switch {
	case n.kind != scalarNode:
		d.errorf(n.pos, "%s must be %s, not %s", key, like, n.describe())
	case err != nil || shift == 0:
		d.errorf(n.pos, "%s must be %s, not %s", key, like, quote(n.value))
	case count<<shift < minAuditSize:
		d.errorf(n.pos, "%s must be at least 64KiB", key)
	default:
		s.bytes = int64(count) << shift
	}
}

func (*sizeSpec) schema(*generator) object {
	return object{"type": "string", "pattern": "^[0-9]{1,7}(KiB|MiB|GiB)$"}
}
