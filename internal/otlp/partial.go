package otlp

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of Export…ServiceResponse, whose Go type would link gRPC:
// partial_success is the first, and in it rejected_data_points or
// rejected_spans the first. Behind that stands a text, of which nothing is
// used: the collector has been sent the headers, which may be secret.
const (
	partialSuccess = 1
	rejectedItems  = 1
)

// rejectedIn reads how many of what was sent the collector says that it has
// rejected. That is no more than most, and zero where the answer is something
// else.
func rejectedIn(answer []byte, most uint64) uint64 {
	partial, ok := field(answer, partialSuccess, protowire.BytesType)
	if !ok {
		return 0
	}
	count, ok := field(partial, rejectedItems, protowire.VarintType)
	n, size := protowire.ConsumeVarint(count)
	if !ok || size < 0 || n > math.MaxInt64 { // negative
		return 0
	}
	return min(n, most)
}

// field finds the last value of a field, as protobuf has it where there are
// several, in a message that is well-formed to its end.
func field(message []byte, number protowire.Number, typ protowire.Type) (value []byte, found bool) {
	for len(message) > 0 {
		num, t, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, false
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(num, t, message); n < 0 {
			return nil, false
		}
		if num == number && t == typ {
			value, found = message[:n], true
		}
		message = message[n:]
	}
	if found && typ == protowire.BytesType {
		value, _ = protowire.ConsumeBytes(value)
	}
	return value, found
}
