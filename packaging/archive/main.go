// Command archive packs a directory so that the same files always give the
// same bytes: sorted, owned by nobody, with one time and two modes.
//
//	go run ./packaging/archive -time 1790000000 -o out.tar.gz DIR
//
// The name of the output says which: .tar.gz or .zip. Everything is put below a
// folder that is called as DIR is.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

func run(args []string) (err error) {
	flags := flag.NewFlagSet("archive", flag.ContinueOnError)
	seconds := flags.Int64("time", -1, "the time of every file, in seconds since 1970")
	output := flags.String("o", "", "the file to write: .tar.gz or .zip")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *seconds < 0 {
		return errors.New("usage: archive -time SECONDS -o FILE DIR")
	}
	f, err := os.Create(*output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var w writer
	when := time.Unix(*seconds, 0).UTC()
	switch {
	case strings.HasSuffix(*output, ".tar.gz"):
		w = newTar(f, when)
	case strings.HasSuffix(*output, ".zip"):
		w = newZip(f, when)
	default:
		return fmt.Errorf("%s is neither .tar.gz nor .zip", *output)
	}
	return errors.Join(pack(w, flags.Arg(0)), w.close())
}

// writer is an archive of either kind. Modes are 0755 or 0644, whatever the
// umask of the build was.
type writer interface {
	dir(name string) error
	file(name string, executable bool, content []byte) error
	link(name, target string) error
	close() error
}

// pack walks dir in the order of names.
func pack(w writer, dir string) error {
	parent := filepath.Dir(filepath.Clean(dir))
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(parent, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch d.Type() {
		case fs.ModeDir:
			return w.dir(name)
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return w.link(name, target)
		case 0:
			info, err := d.Info()
			if err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return w.file(name, info.Mode()&0o100 != 0, content)
		}
		return fmt.Errorf("%s is no file, folder or link", path)
	})
}
