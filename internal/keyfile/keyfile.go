// Package keyfile reads files that hold a private key, and refuses those that
// somebody else could have read or put there.
package keyfile

import (
	"fmt"
	"io"
	"os"
	"runtime"
)

// Read returns the file at path, of at most limit bytes; the caller wipes them.
// It must be a regular file that others cannot read, and belong to the broker's
// user or to root: where others may write to its directory, one of theirs could
// have taken its place, with a key that they know. advice goes behind the error
// about a file that others can read. Where there is none, the error is
// fs.ErrNotExist.
func Read(path string, limit int64, advice string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := check(path, info, advice); err != nil { // before it is opened: a pipe would hold us up
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := check(path, info, advice); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes, too many for a key", path, limit)
	}
	if err != nil {
		clear(data)
		return nil, err
	}
	return data, nil
}

func check(path string, info os.FileInfo, advice string) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", path)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (mode %#o)%s", path, mode, advice)
	}
	if uid, ok := owner(info); !ok {
		return fmt.Errorf("%s belongs to another user (uid %d), who knows the key in it: remove it, and let the broker's user alone write to its directory", path, uid)
	}
	return nil
}
