package sshagentwire

import "encoding/binary"

// Identity is one key of an IdentitiesAnswer.
type Identity struct {
	Key     []byte // public key or certificate in the wire form
	Comment string
}

// Identities is the answer to RequestIdentities, framed.
func Identities(keys []Identity) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(len(keys)))
	for _, k := range keys {
		body = AppendString(body, k.Key)
		body = AppendString(body, k.Comment)
	}
	return Frame(IdentitiesAnswer, body)
}

// Signature is the answer to a sign request, framed. signature is in the wire
// form.
func Signature(signature []byte) []byte { return Frame(SignResponse, AppendString(nil, signature)) }

// Extensions is the answer to Query, framed.
func Extensions(names ...string) []byte {
	body := AppendString(nil, Query)
	for _, name := range names {
		body = AppendString(body, name)
	}
	return Frame(ExtensionResponse, body)
}
