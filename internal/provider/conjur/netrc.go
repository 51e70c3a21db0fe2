package conjur

import (
	"errors"
	"strings"
)

// errNetrc does not quote the file, which is full of passwords.
var errNetrc = errors.New("is no .netrc file")

// findNetrc reads the login and password of a machine, or of the default
// entry. The format has no escapes: words are what is between white space. A
// macro definition ends with an empty line.
func findNetrc(text, machine string) (login, password string, err error) {
	var entry, fallback map[string]string
	var current map[string]string
	words := netrcWords(text)
	for len(words) > 0 {
		key := words[0]
		words = words[1:]
		switch key {
		case "default":
			current = map[string]string{}
			if fallback == nil {
				fallback = current
			}
			continue
		case "machine", "login", "password", "account":
		default:
			return "", "", errNetrc
		}
		if len(words) == 0 {
			return "", "", errNetrc
		}
		value := words[0]
		words = words[1:]
		switch {
		case key == "machine":
			current = map[string]string{}
			if value == machine && entry == nil {
				entry = current
			}
		case current == nil:
			return "", "", errNetrc
		default:
			current[key] = value
		}
	}
	if entry == nil {
		entry = fallback
	}
	return entry["login"], entry["password"], nil
}

// netrcWords leaves out comments, which stand on lines of their own, and
// macros.
func netrcWords(text string) (words []string) {
	inMacro := false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			inMacro = false
		case inMacro || strings.HasPrefix(fields[0], "#"):
		case fields[0] == "macdef":
			inMacro = true
		default:
			words = append(words, fields...)
		}
	}
	return words
}
