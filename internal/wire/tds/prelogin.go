package tds

import (
	"encoding/binary"
)

// Option is the token of a PRELOGIN option ([MS-TDS] 2.2.6.5).
type Option byte

// The options.
const (
	OptionVersion         Option = 0x00 // six bytes: UL_VERSION, US_SUBBUILD
	OptionEncryption      Option = 0x01 // one byte, an Encryption
	OptionInstance        Option = 0x02 // INSTOPT
	OptionThreadID        Option = 0x03
	OptionMARS            Option = 0x04 // one byte, 1 for on
	OptionTraceID         Option = 0x05
	OptionFedAuthRequired Option = 0x06
	OptionNonce           Option = 0x07
	optionTerminator      Option = 0xFF
)

// Encryption is the value of OptionEncryption.
type Encryption byte

// The values of Encryption.
const (
	EncryptOff          Encryption = 0x00 // the login alone is encrypted
	EncryptOn           Encryption = 0x01
	EncryptNotSupported Encryption = 0x02
	EncryptRequired     Encryption = 0x03 // sent by servers
	EncryptStrict       Encryption = 0x04 // TLS came before PRELOGIN (TDS 8.0)
	// encryptClientCert is set beside the others by a client that wants to
	// authenticate with a certificate.
	encryptClientCert Encryption = 0x80
)

const (
	maxPreloginOptions = 32
	preloginEntry      = 5
)

// PreloginOption is one option with its data.
type PreloginOption struct {
	Option Option
	Data   []byte
}

// Prelogin is a PRELOGIN message, of either side, its options in order.
type Prelogin []PreloginOption

// ParsePrelogin reads the body of a PRELOGIN message. The options borrow from
// body. None may come twice, and their data may neither overlap nor reach into
// the table or beyond the message.
func ParsePrelogin(body []byte) (Prelogin, error) {
	const what = "PRELOGIN"
	end, err := preloginTable(body)
	if err != nil {
		return nil, err
	}
	p := make(Prelogin, 0, end/preloginEntry)
	// Taken marks the bytes behind the table that belong to an option.
	taken := make([]bool, len(body)-end-1)
	for at := 0; at < end; at += preloginEntry {
		option := Option(body[at])
		offset := int(binary.BigEndian.Uint16(body[at+1:]))
		length := int(binary.BigEndian.Uint16(body[at+3:]))
		if _, twice := p.Get(option); twice {
			return nil, malformed(what, "option %#02x comes twice", byte(option))
		}
		if length == 0 {
			p = append(p, PreloginOption{Option: option})
			continue
		}
		if offset <= end || offset+length > len(body) {
			return nil, malformed(what, "option %#02x lies outside the message", byte(option))
		}
		for i := offset; i < offset+length; i++ {
			if taken[i-end-1] {
				return nil, malformed(what, "option %#02x overlaps another", byte(option))
			}
			taken[i-end-1] = true
		}
		p = append(p, PreloginOption{option, body[offset : offset+length]})
	}
	return p, p.check()
}

// preloginTable finds the terminator behind the table of options.
func preloginTable(body []byte) (end int, err error) {
	for at := 0; at <= maxPreloginOptions*preloginEntry; at += preloginEntry {
		switch {
		case at < len(body) && Option(body[at]) == optionTerminator:
			return at, nil
		case at+preloginEntry > len(body):
			return 0, malformed("PRELOGIN", "the table of options does not end")
		}
	}
	return 0, malformed("PRELOGIN", "more than %d options", maxPreloginOptions)
}

// check looks at the sizes of the options that have one size. MARS may be
// empty: servers that were not asked answer so.
func (p Prelogin) check() error {
	for _, o := range p {
		size := len(o.Data)
		switch o.Option {
		case OptionVersion:
			size = 6
		case OptionEncryption:
			size = 1
		case OptionMARS:
			size = min(size, 1)
		}
		if len(o.Data) != size {
			return malformed("PRELOGIN", "option %#02x has %d bytes", byte(o.Option), len(o.Data))
		}
	}
	return nil
}

// Get is the data of an option and whether it is there.
func (p Prelogin) Get(option Option) ([]byte, bool) {
	for _, o := range p {
		if o.Option == option {
			return o.Data, true
		}
	}
	return nil, false
}

// Encryption is what the sender says about encryption; one that says nothing
// has none.
func (p Prelogin) Encryption() Encryption {
	data, ok := p.Get(OptionEncryption)
	if !ok {
		return EncryptNotSupported
	}
	return Encryption(data[0]) &^ encryptClientCert
}

// MARS says whether the sender has, or wants, several active result sets.
func (p Prelogin) MARS() bool {
	data, ok := p.Get(OptionMARS)
	return ok && len(data) == 1 && data[0] == 1
}

// Append appends the body of the message to dst.
func (p Prelogin) Append(dst []byte) []byte {
	offset := len(p)*preloginEntry + 1
	for _, o := range p {
		dst = append(dst, byte(o.Option))
		dst = binary.BigEndian.AppendUint16(dst, uint16(offset))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(o.Data)))
		offset += len(o.Data)
	}
	dst = append(dst, byte(optionTerminator))
	for _, o := range p {
		dst = append(dst, o.Data...)
	}
	return dst
}
