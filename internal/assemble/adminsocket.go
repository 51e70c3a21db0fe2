package assemble

import (
	"os"
	"path/filepath"
)

// systemRun is where a service manager makes the broker a directory.
const systemRun = "/run/secretless"

// AdminSockets are the places of the admin socket where a configuration does
// not name one, in the order in which they are tried: below the directory that
// the user's session has for such things, and below the one that the service
// manager makes for the broker.
func AdminSockets(lookupEnv func(string) (string, bool)) []string {
	var all []string
	if dir, ok := lookupEnv("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(dir) {
		all = append(all, filepath.Join(dir, "secretless", socketName))
	}
	return append(all, filepath.Join(systemRun, socketName))
}

const socketName = "admin.sock"

// adminSocket is the first place whose directory is the broker's own, empty if
// there is none. It makes nothing: the one below the session's directory is
// made when the socket is opened.
func (a *Assembler) adminSocket() string {
	for _, path := range AdminSockets(a.lookupEnv) {
		dir := filepath.Dir(path)
		if dir != systemRun {
			dir = filepath.Dir(dir)
		}
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && isMine(info) {
			return path
		}
	}
	return ""
}
