package tds

// The TDS versions as LOGIN7 has them.
const (
	Version70 uint32 = 0x70000000
	Version71 uint32 = 0x71000001
	Version72 uint32 = 0x72090002
	Version73 uint32 = 0x730B0003
	Version74 uint32 = 0x74000004
	Version80 uint32 = 0x08000000
)

// Wide says whether version has the fields that came with TDS 7.2: long line
// numbers and row counts, ChangePassword and the long SSPI length in LOGIN7.
func Wide(version uint32) bool { return version == Version80 || version >= 0x72000000 }
