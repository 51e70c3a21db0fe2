package file

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// read returns a regular file's content and what it was when opened. The path
// is looked at before it is opened, because opening alone can have effects on
// a device, and the open file once more, because the path may have been
// replaced between.
func read(path string) ([]byte, fs.FileInfo, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, ErrNotRegular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, ErrNotRegular
	}
	b, err := readAtMost(f, info.Size())
	return b, info, err
}

// readAtMost reads r to its end. The size only helps to need one buffer: files
// of /proc have none, and a file can grow meanwhile. Outgrown buffers are
// cleared.
func readAtMost(r io.Reader, size int64) ([]byte, error) {
	if size > maxSize {
		return nil, ErrTooLarge
	}
	b := make([]byte, 0, size+512) // the rest lets the end be seen without growing
	for {
		if len(b) == cap(b) {
			b = grow(b)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > maxSize:
			clear(b)
			return nil, ErrTooLarge
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			clear(b)
			return nil, err
		}
	}
}

func grow(b []byte) []byte {
	bigger := make([]byte, len(b), 2*cap(b))
	copy(bigger, b)
	clear(b)
	return bigger
}

// same reports whether path still leads to the file that info describes, as it
// was.
func same(path string, info fs.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(info, now) && now.Size() == info.Size() && now.ModTime().Equal(info.ModTime())
}

// trimNewline drops one LF or CRLF from the end of b.
func trimNewline(b []byte) []byte {
	if rest, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	return b
}
