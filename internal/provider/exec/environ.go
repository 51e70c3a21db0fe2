package exec

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// safePath is where commands look for programs: directories that only the
// administrator writes to, unlike what a login shell may have put on the PATH.
const safePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// alwaysPassed are variables that give nothing away, and without which hardly
// a program finds its configuration.
func alwaysPassed() []string {
	if runtime.GOOS == "windows" {
		return []string{"PATH", "PATHEXT", "SYSTEMROOT", "TEMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}
	}
	return []string{"HOME"}
}

// environment is what a command sees of the broker's, and which of the names
// are not set there.
func environment(names []string, lookup func(string) (string, bool)) (environ, unset []string) {
	if runtime.GOOS != "windows" && !slices.Contains(names, "PATH") {
		environ = append(environ, "PATH="+safePath)
	}
	for _, name := range alwaysPassed() {
		if value, ok := lookup(name); ok && !slices.Contains(names, name) {
			environ = append(environ, name+"="+value)
		}
	}
	for _, name := range names {
		if value, ok := lookup(name); ok {
			environ = append(environ, name+"="+value)
		} else {
			unset = append(unset, name)
		}
	}
	return environ, unset
}

// minToken is the shortest value of a variable that may be a token.
const minToken = 8

// tokens are values of the named variables that may be secrets: tools print
// their token when they complain of it. Paths are none, and are worth reading.
func tokens(environ, names []string) []string {
	var out []string
	for _, assignment := range environ {
		name, value, _ := strings.Cut(assignment, "=")
		if slices.Contains(names, name) && name != "PATH" && len(value) >= minToken && !filepath.IsAbs(value) {
			out = append(out, value)
		}
	}
	return out
}
