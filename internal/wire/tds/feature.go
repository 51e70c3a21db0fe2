package tds

import "encoding/binary"

// FeatureID names a feature extension of LOGIN7 and FEATUREEXTACK. Unknown ones
// are kept as they are.
type FeatureID byte

// The features that somebody has to know.
const (
	FeatureSessionRecovery FeatureID = 0x01
	FeatureFedAuth         FeatureID = 0x02
	FeatureTerminator      FeatureID = 0xFF
)

// maxFeatures bounds how many features one message may have; 2026's drivers
// know about fifteen.
const maxFeatures = 64

// Feature is a feature extension with its data.
type Feature struct {
	ID   FeatureID
	Data []byte
}

// ParseFeatures reads features up to their terminator and returns what follows
// it. The features borrow from b.
func ParseFeatures(b []byte) (features []Feature, rest []byte, err error) {
	for len(b) > 0 {
		if FeatureID(b[0]) == FeatureTerminator {
			return features, b[1:], nil
		}
		if len(b) < 5 {
			break
		}
		id, length := FeatureID(b[0]), binary.LittleEndian.Uint32(b[1:])
		if uint64(length) > uint64(len(b)-5) {
			return nil, nil, malformed("features", "feature %#02x has %d bytes, more than there are", byte(id), length)
		}
		if len(features) == maxFeatures {
			return nil, nil, malformed("features", "more than %d", maxFeatures)
		}
		features = append(features, Feature{id, b[5 : 5+length : 5+length]})
		b = b[5+length:]
	}
	return nil, nil, malformed("features", "no terminator")
}

// AppendFeatures appends features and their terminator to dst.
func AppendFeatures(dst []byte, features []Feature) []byte {
	for _, f := range features {
		dst = append(dst, byte(f.ID))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.Data)))
		dst = append(dst, f.Data...)
	}
	return append(dst, byte(FeatureTerminator))
}
