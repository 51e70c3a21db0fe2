package top

// key is one that means something, or a character.
type key rune

// Keys that are no characters.
const (
	keyUp key = -1 - iota
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyEscape
)

// sequences of terminals, without their leading ESC.
var sequences = map[string]key{
	"[A": keyUp, "OA": keyUp, "[B": keyDown, "OB": keyDown,
	"[5~": keyPageUp, "[6~": keyPageDown,
	"[H": keyHome, "OH": keyHome, "[1~": keyHome, "[F": keyEnd, "OF": keyEnd, "[4~": keyEnd,
}

const esc = 0x1b

// parseKeys reads what a terminal sent at one time. What it does not know is
// left out as a whole, so that the letters of an unknown sequence do nothing.
func parseKeys(b []byte) (keys []key) {
	for len(b) > 0 {
		if b[0] != esc {
			keys = append(keys, key(b[0]))
			b = b[1:]
			continue
		}
		n := sequenceLength(b[1:])
		if n == 0 {
			keys = append(keys, keyEscape)
		} else if k, ok := sequences[string(b[1:1+n])]; ok {
			keys = append(keys, k)
		}
		b = b[1+n:]
	}
	return keys
}

// sequenceLength is how long the sequence at the beginning of b is (ECMA-48
// 5.4: parameters, intermediate bytes, one final byte), zero if there is none.
func sequenceLength(b []byte) int {
	switch {
	case len(b) == 0 || b[0] != '[' && b[0] != 'O':
		return 0
	case b[0] == 'O':
		return min(len(b), 2)
	}
	for n := 1; n < len(b); n++ {
		if b[n] >= 0x40 && b[n] <= 0x7e {
			return n + 1
		}
	}
	return len(b)
}
