package mysqlwire

// Kind is what a packet behind the greeting is.
type Kind int

// The kinds of packets that a server sends during authentication.
const (
	KindUnknown        Kind = iota
	KindOK                  // logged in
	KindERR                 // refused
	KindAuthSwitch          // AuthSwitchRequest
	KindOldAuthSwitch       // AuthSwitchRequest of one byte: the method from before MySQL 4.1
	KindAuthMoreData        // data of the plugin's
	KindAuthNextFactor      // a second factor is wanted
)

// KindOf tells a server's packet during authentication by its first byte.
func KindOf(payload []byte) Kind {
	if len(payload) == 0 {
		return KindUnknown
	}
	switch payload[0] {
	case headerOK:
		return KindOK
	case headerERR:
		return KindERR
	case headerAuthMoreData:
		return KindAuthMoreData
	case headerAuthNext:
		return KindAuthNextFactor
	case headerAuthSwitch:
		if len(payload) == 1 {
			return KindOldAuthSwitch
		}
		return KindAuthSwitch
	}
	return KindUnknown
}

// AuthSwitchRequest asks for another plugin.
type AuthSwitchRequest struct {
	Plugin string
	// Data is the plugin's challenge as it is sent: with most plugins a NUL
	// ends it, with client_ed25519 its last byte is as random as the others.
	Data []byte
}

// ParseAuthSwitchRequest reads a request that is KindAuthSwitch. The result
// shares no memory with payload. An error wraps ErrMalformed.
func ParseAuthSwitchRequest(payload []byte) (AuthSwitchRequest, error) {
	c := &cursor{packet: "AuthSwitchRequest", rest: payload}
	if c.uint8("header") != headerAuthSwitch {
		c.fail("header")
	}
	plugin := string(c.terminated("plugin"))
	if c.err != nil {
		return AuthSwitchRequest{}, c.err
	}
	return AuthSwitchRequest{plugin, append([]byte(nil), c.rest...)}, nil
}

// Append appends the request as a packet. Plugin must have no NUL.
func (a AuthSwitchRequest) Append(dst []byte, sequence byte) []byte {
	dst, start := begin(dst)
	dst = appendTerminated(append(dst, headerAuthSwitch), a.Plugin)
	return finish(append(dst, a.Data...), start, sequence)
}

// AuthMoreData returns what a packet that is KindAuthMoreData carries, shared
// with payload.
func AuthMoreData(payload []byte) []byte { return payload[1:] }

// AppendAuthMoreData appends data of the plugin's as a packet.
func AppendAuthMoreData(dst []byte, sequence byte, data ...byte) []byte {
	dst, start := begin(dst)
	return finish(append(append(dst, headerAuthMoreData), data...), start, sequence)
}
