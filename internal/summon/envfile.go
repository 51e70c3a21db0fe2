package summon

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// EnvFileName is what a command writes where it wants the path of a file with
// all variables.
const EnvFileName = "@SUMMONENVFILE"

// EnvFile is that file: NAME=value in order, a value with spaces, quotes or
// backslashes in quotes, as summon writes it.
func EnvFile(vars map[string]string) []byte {
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		value := vars[name]
		out = append(append(out, name...), '=')
		if strings.ContainsAny(value, " \t\n\r\"'\\") {
			out = strconv.AppendQuote(out, value)
		} else {
			out = append(out, value...)
		}
		out = append(out, '\n')
	}
	return out
}
