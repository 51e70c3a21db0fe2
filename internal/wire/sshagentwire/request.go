package sshagentwire

// The flags of a sign request, RFC 9987 section 3.6.1.
const (
	FlagRSASHA256 uint32 = 2
	FlagRSASHA512 uint32 = 4
)

// The extensions.
const (
	// Query asks which extensions there are, RFC 9987 section 3.8.1.
	Query = "query"
	// SessionBindName tells which host a connection is for, PROTOCOL.agent
	// section 1.
	SessionBindName = "session-bind@openssh.com"
)

// SignRequest is SSH_AGENTC_SIGN_REQUEST.
type SignRequest struct {
	Key   []byte // public key or certificate in the wire form
	Data  []byte
	Flags uint32
}

// ParseSignRequest reads the body of a SignRequestMessage.
func ParseSignRequest(body []byte) (SignRequest, error) {
	c := cursor{rest: body}
	r := SignRequest{Key: c.string(), Data: c.string(), Flags: c.uint32()}
	return r, c.end("a sign request")
}

// Extension is SSH_AGENTC_EXTENSION; what Contents holds depends on Name.
type Extension struct {
	Name     string
	Contents []byte
}

// ParseExtension reads the body of an ExtensionMessage.
func ParseExtension(body []byte) (Extension, error) {
	c := cursor{rest: body}
	name := c.string()
	contents := c.rest
	c.rest = nil
	return Extension{string(name), contents}, c.end("an extension request")
}

// SessionBind says that the connection is used for the SSH session SessionID
// with the host of HostKey, which has signed the session's id.
type SessionBind struct {
	HostKey   []byte // public key or certificate in the wire form
	SessionID []byte
	Signature []byte // in the wire form, over SessionID
	// Forwarding is true where the agent is forwarded to that host, and false
	// where the client logs in there.
	Forwarding bool
}

// ParseSessionBind reads the contents of that extension.
func ParseSessionBind(contents []byte) (SessionBind, error) {
	c := cursor{rest: contents}
	b := SessionBind{HostKey: c.string(), SessionID: c.string(), Signature: c.string(), Forwarding: c.byte() != 0}
	return b, c.end("a session-bind request")
}
