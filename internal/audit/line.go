package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"secretless/internal/plainjson"
)

// Bounds of a line. Who reads audit events may cut what is longer without
// saying so: rsyslog takes 8 KiB.
const (
	maxLine  = 7500 // of Event.Line; the stamp and a syslog header go on top
	maxShort = 96   // of one text where the line would be longer than maxLine
	maxNames = 4    // of a certificate
)

type line struct {
	Time        string          `json:"time"`
	Event       Type            `json:"event"`
	Service     string          `json:"service,omitempty"`
	Connector   string          `json:"connector,omitempty"`
	Connection  uint64          `json:"connection,omitempty"`
	Listener    string          `json:"listener,omitempty"`
	Remote      string          `json:"remote,omitempty"`
	Peer        *peerLine       `json:"peer,omitempty"`
	Target      *targetLine     `json:"target,omitempty"`
	Credentials []referenceLine `json:"credentials,omitempty"`
	Request     *requestLine    `json:"request,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Detail      string          `json:"detail,omitempty"`
	Status      int             `json:"status,omitempty"`
	ToTarget    *int64          `json:"bytes_to_target,omitempty"`
	ToClient    *int64          `json:"bytes_to_client,omitempty"`
	Seconds     *float64        `json:"seconds,omitempty"`
	By          string          `json:"by,omitempty"`
	Action      string          `json:"action,omitempty"`
	Outcome     string          `json:"outcome,omitempty"`
	Services    *int            `json:"services,omitempty"`
	Errors      int             `json:"errors,omitempty"`
	Version     string          `json:"version,omitempty"`
	Config      string          `json:"config,omitempty"`
	Count       uint64          `json:"count,omitempty"`
	Shortened   bool            `json:"shortened,omitempty"`
}

type peerLine struct {
	UID        uint32  `json:"uid"`
	GID        *uint32 `json:"gid,omitempty"` // known with the process only
	PID        int     `json:"pid,omitempty"`
	Executable string  `json:"executable,omitempty"`
	Container  string  `json:"container,omitempty"`
	Pod        string  `json:"pod,omitempty"`
}

type targetLine struct {
	Address  string   `json:"address"`
	Remote   string   `json:"remote,omitempty"`
	TLS      *tlsLine `json:"tls,omitempty"`
	HostKey  string   `json:"host_key,omitempty"`
	Verified *bool    `json:"verified,omitempty"` // with tls or host_key only
}

type tlsLine struct {
	Version string   `json:"version"`
	Subject string   `json:"subject,omitempty"`
	Issuer  string   `json:"issuer,omitempty"`
	Names   []string `json:"names,omitempty"`
	SHA256  string   `json:"sha256,omitempty"`
}

type referenceLine struct {
	Name string `json:"name"`
	From string `json:"from"`
	Get  string `json:"get,omitempty"`
}

type requestLine struct {
	Method string `json:"method"`
	Scheme string `json:"scheme"`
	Host   string `json:"host"`
	Path   string `json:"path"`
}

// Line is the event as it is written, with its newline, but for what the sink
// adds. Whatever a name or a path holds is escaped, so that it cannot start a
// line of its own. No line is longer than maxLine: one that would be has its
// texts cut and says so.
func (e Event) Line() []byte {
	if b := e.line(whole).encode(); len(b) <= maxLine {
		return b
	}
	e.Credentials = nil
	l := e.line(short)
	l.Shortened = true
	return l.encode()
}

func whole(text string) string { return text }

// short bounds a text, without characters that JSON has to escape at length.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if len(text) <= maxShort {
		return text
	}
	most := maxShort
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

func (e Event) line(clip func(string) string) line {
	l := line{
		Time: e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), Event: e.Type,
		Service: clip(e.Service), Connector: clip(e.Connector), Connection: e.Connection,
		Listener: clip(e.Listener), Remote: clip(e.Remote), Reason: clip(e.Reason), Detail: clip(e.Detail), Status: e.Status,
		By: clip(e.By), Action: e.Action, Outcome: e.Outcome, Errors: e.Errors, Version: clip(e.Version), Config: clip(e.Config), Count: e.Count,
	}
	e.peer(&l, clip)
	e.target(&l, clip)
	for _, c := range e.Credentials {
		l.Credentials = append(l.Credentials, referenceLine{clip(c.Name), clip(c.From), clip(c.Get)})
	}
	if r := e.Request; r != nil {
		l.Request = &requestLine{clip(r.Method), clip(r.Scheme), clip(r.Host), clip(r.Path)}
	}
	e.amounts(&l)
	return l
}

func (l line) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Strings and numbers always encode: a duration is finite.
	_ = enc.Encode(l)
	return plainjson.Escape(b.Bytes())
}

func (e Event) peer(l *line, clip func(string) string) {
	if !e.Peer.Known {
		return
	}
	l.Peer = &peerLine{
		UID: e.Peer.UID, PID: e.Peer.PID, Executable: clip(e.Peer.Executable),
		Container: clip(e.Peer.Container), Pod: clip(e.Peer.Pod),
	}
	if e.Peer.PID != 0 {
		l.Peer.GID = &e.Peer.GID
	}
}

func (e Event) target(l *line, clip func(string) string) {
	t := e.Target
	if t == nil {
		return
	}
	l.Target = &targetLine{Address: clip(t.Address), Remote: clip(t.Remote), HostKey: clip(t.HostKey)}
	if t.TLS != nil || t.HostKey != "" {
		l.Target.Verified = &t.Verified
	}
	if t.TLS == nil {
		return
	}
	l.Target.TLS = &tlsLine{Version: clip(t.TLS.Version), Subject: clip(t.TLS.Subject), Issuer: clip(t.TLS.Issuer), SHA256: clip(t.TLS.SHA256)}
	for _, n := range t.TLS.Names[:min(len(t.TLS.Names), maxNames)] {
		l.Target.TLS.Names = append(l.Target.TLS.Names, clip(n))
	}
}

// amounts are the figures that say something where they are zero.
func (e Event) amounts(l *line) {
	switch e.Type {
	case Closed, Answered:
		l.ToTarget, l.ToClient = &e.ToTarget, &e.ToClient
	case Started, Reload:
		l.Services = &e.Services
	}
	switch e.Type {
	case Closed, Failed, Answered, Stopped, Reload, Admin:
		s := e.Duration.Round(time.Microsecond).Seconds()
		l.Seconds = &s
	}
}
