package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// fileSource is a file, watched if that was asked for.
type fileSource struct {
	env    Env
	path   string // empty until one of the usual places was found
	watch  bool
	asRead fs.FileInfo // as it was before it was read
	once   bool        // it has been read

	changed <-chan struct{}
	end     context.CancelFunc
}

func (s *fileSource) String() string { return s.path }

func (s *fileSource) read() (source, error) {
	if s.path != "" {
		s.asRead, _ = os.Stat(s.path)
	}
	// What came through it is gone, and to open it could wait for ever.
	if s.once && s.asRead != nil && !s.asRead.Mode().IsRegular() {
		return source{}, fmt.Errorf("the configuration came from %s, which is no file but a pipe or the like and cannot be read twice; restart the broker, and to reload it later give -f a file", s.path)
	}
	src, err := openConfig(s.env, s.path)
	s.once = s.once || err == nil
	if err == nil && s.path == "" {
		s.path = src.path
		s.asRead, _ = os.Stat(s.path)
	}
	return src, err
}

func (s *fileSource) changes() <-chan struct{} {
	if s.watch && s.changed == nil {
		ctx, end := context.WithCancel(context.Background())
		s.changed, s.end = watchFile(ctx, s.path, s.asRead), end
	}
	return s.changed
}

func (s *fileSource) report(verdict) {}
func (s *fileSource) state() string  { return "" }
func (s *fileSource) waits() bool    { return false }

func (s *fileSource) close() {
	if s.end != nil {
		s.end()
		for range s.changed { // closed when the watch has ended
		}
	}
}

// stdinSource is standard input, which can be read once.
type stdinSource struct {
	env  Env
	done bool
}

func (s *stdinSource) String() string { return "-" }

func (s *stdinSource) read() (source, error) {
	if s.done {
		return source{}, errors.New("the configuration came from standard input, which cannot be read twice; restart the broker")
	}
	s.done = true
	return openConfig(s.env, "-")
}

func (s *stdinSource) changes() <-chan struct{} { return nil }
func (s *stdinSource) report(verdict)           {}
func (s *stdinSource) state() string            { return "" }
func (s *stdinSource) waits() bool              { return false }
func (s *stdinSource) close()                   {}
