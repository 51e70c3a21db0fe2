package ssh

import "bytes"

// What both sides read first (RFC 4253 section 4.2). OpenSSH's programs send
// some of their requests (the end of writing, for instance, without which a
// command whose reader has gone runs on) to OpenSSH's programs alone, so that
// is what the broker calls itself to them.
const (
	versionOpenSSH = "SSH-2.0-OpenSSH_9.9 Secretless"
	versionOther   = "SSH-2.0-Secretless"
)

// versionFor is what a target is told about a client that calls itself client.
func versionFor(client []byte) string {
	if isOpenSSH(client) {
		return versionOpenSSH
	}
	return versionOther
}

func isOpenSSH(version []byte) bool { return bytes.HasPrefix(version, []byte("SSH-2.0-OpenSSH")) }
