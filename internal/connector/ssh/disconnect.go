package ssh

import (
	"encoding/binary"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
)

// Reason codes of SSH_MSG_DISCONNECT (RFC 4250 section 4.2.2).
const (
	reasonNotAvailable = 7 // SERVICE_NOT_AVAILABLE
	reasonTooMany      = 12
)

// disconnect tells a client why it is left before any keys are exchanged,
// which takes the host key that is missing. Whoever listens on the way hears
// it too; there is no secret in it.
func (c *clientConn) disconnect(service string, why *connector.Failure) {
	reason := uint32(reasonNotAvailable)
	if why.Kind == connector.KindLimit {
		reason = reasonTooMany
	}
	payload := ssh.Marshal(struct {
		Reason      uint32 `sshtype:"1"`
		Description string
		Language    string
	}{reason, "secretless: " + service + ": " + database.Clean(why.Error()), ""})
	// RFC 4253 section 6: at least four bytes of padding, to a multiple of eight.
	padding := 8 - (5+len(payload))%8
	if padding < 4 {
		padding += 8
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	packet = append(packet, make([]byte, padding)...)
	_, _ = c.Conn.Write(packet) // a client that has gone hears nothing
}
