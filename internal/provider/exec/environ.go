package exec

import (
	"runtime"
	"slices"
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
