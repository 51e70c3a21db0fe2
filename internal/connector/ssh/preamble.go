package ssh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// Bounds of RFC 4253 (sections 4.2 and 6.1) for what a client says first.
const (
	maxVersion  = 255
	maxProposal = 35000
)

// proposal is the part of a client's SSH_MSG_KEXINIT (RFC 4253 section 7.1)
// that the choice of ciphers is made from.
type proposal struct {
	Cookie       [16]byte `sshtype:"20"`
	KeyExchanges []string
	HostKeys     []string
	ToServer     []string // ciphers, the best first
	ToClient     []string
	Rest         []byte `ssh:"rest"`
}

// greet sends the broker's version and reads ahead to the client's proposal,
// so that the broker's own can be made for it; nil where it is not known. What
// was read is kept for the library, which judges it.
//
// Only OpenSSH's clients are waited for: they send their proposal unasked,
// where others may wait for the broker's first.
func (c *clientConn) greet(version string) (*proposal, error) {
	line := []byte(version + "\r\n")
	if _, err := c.Write(line); err != nil {
		return nil, err
	}
	var ahead []byte
	defer func() { c.told, c.ahead = line, ahead }()
	buf := make([]byte, 4096)
	for {
		found, more := findProposal(ahead)
		switch {
		case more:
		case !bytes.HasPrefix(ahead, []byte("SSH-")):
			return nil, errNotSSH
		default:
			return found, nil
		}
		n, err := c.Read(buf)
		ahead = append(ahead, buf[:n]...)
		if err != nil {
			return nil, err
		}
	}
}

var errNotSSH = errors.New("the client does not speak SSH")

// findProposal looks for the proposal in what a client has sent so far. With
// more, it may be there when the client has sent more.
func findProposal(said []byte) (found *proposal, more bool) {
	version, packet, complete := bytes.Cut(said, []byte("\n"))
	switch {
	case !complete:
		return nil, len(said) < maxVersion
	case !isOpenSSH(version):
		return nil, false
	case len(packet) < 5:
		return nil, true
	}
	length, padding := int(binary.BigEndian.Uint32(packet)), int(packet[4])
	switch {
	case length > maxProposal || length < 1+padding:
		return nil, false
	case len(packet) < 4+length:
		return nil, true
	}
	found = new(proposal)
	if err := ssh.Unmarshal(packet[5:4+length-padding], found); err != nil {
		return nil, false
	}
	return found, false
}

// ciphersFor are the ciphers to offer a client that proposes p, which may be
// nil. OpenSSH puts ChaCha20 first, which takes Go several times as long as
// AES-GCM where the processor has instructions for AES. A client that would
// take AES-GCM with keys of the same length as well is offered no ChaCha20.
func ciphersFor(p *proposal, all []string, fastAES bool) []string {
	const slow, fast = ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM
	if p == nil || !fastAES || !prefers(p.ToServer, slow, fast) || !prefers(p.ToClient, slow, fast) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		// The client decides by its own order, and may have shorter keys first.
		return name != fast
	})
}

// prefers says whether first is what a client wants most, and second something
// that it takes too.
func prefers(names []string, first, second string) bool {
	return len(names) > 0 && names[0] == first && slices.Contains(names, second)
}

// hasFastAES says whether the processor has what Go's AES-GCM is fast with.
func hasFastAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41 && cpu.X86.HasSSSE3 ||
		cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasAESCTR && cpu.S390X.HasGHASH
}
