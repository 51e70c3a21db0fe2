package sshagentwire

import "bytes"

// The parts of what an SSH client signs to log in, RFC 4252 section 7 and
// OpenSSH's PROTOCOL section 1.11.
const (
	userauthRequest   = 50
	serviceConnection = "ssh-connection"
	methodPublicKey   = "publickey"
	methodHostBound   = "publickey-hostbound-v00@openssh.com"
)

// magicSSHSIG begins what is signed for a file or a commit, PROTOCOL.sshsig.
const magicSSHSIG = "SSHSIG"

// Userauth is a login that a client wants signed.
type Userauth struct {
	SessionID []byte
	User      string
	Algorithm string
	Key       []byte // public key or certificate in the wire form
	// HostKey is the host's key where the method binds to it; else nil.
	HostKey []byte
}

// ParseUserauth reads data to be signed as a login for an SSH session, and
// says whether it is one, to the last byte.
func ParseUserauth(data []byte) (Userauth, bool) {
	c := cursor{rest: data}
	u := Userauth{SessionID: c.string()}
	message := c.byte()
	u.User = string(c.string())
	service, method := string(c.string()), string(c.string())
	signed := c.byte()
	u.Algorithm, u.Key = string(c.string()), c.string()
	if method == methodHostBound {
		u.HostKey = c.string()
	}
	ok := message == userauthRequest && service == serviceConnection && signed == 1 &&
		(method == methodPublicKey || method == methodHostBound) && len(u.SessionID) > 0
	return u, ok && c.end("a login") == nil
}

// ParseSSHSIG says whether data is what ssh-keygen -Y sign has signed, and for
// which namespace: file, git or another.
func ParseSSHSIG(data []byte) (namespace string, ok bool) {
	rest, found := bytes.CutPrefix(data, []byte(magicSSHSIG))
	c := cursor{rest: rest}
	namespace = string(c.string())
	_, _, _ = c.string(), c.string(), c.string() // reserved, hash algorithm, hash
	return namespace, found && namespace != "" && c.end("an SSHSIG") == nil
}
