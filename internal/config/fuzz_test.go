package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds are the committed files.
func seeds(f *testing.F, patterns ...string) {
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

// Whatever the bytes: no panic, an Errors or a usable file, places inside the
// file, and a digest that a second parse repeats.
func FuzzParse(f *testing.F) {
	seeds(f, "testdata/errors/*.yml", "testdata/v2/*.yml")
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f.yml", data, offline())
		if err != nil {
			list, ok := errors.AsType[Errors](err)
			if !ok || len(list) == 0 {
				t.Fatalf("%T %v", err, err)
			}
			for _, d := range list {
				if d.Line > lines(string(data)) {
					t.Errorf("line %d is not in the file: %s", d.Line, d)
				}
			}
			return
		}
		again, err := Parse("f.yml", data, offline())
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range file.Services {
			if s.Connector == "" || len(s.Listen) == 0 || s.Digest() != again.Services[i].Digest() {
				t.Errorf("service %+v", s)
			}
			_ = s.Config.Decode(&sample{})
		}
	})
}

// lines counts as YAML does, which knows more line breaks than one.
func lines(text string) int {
	n := 1
	for _, br := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
		n += strings.Count(text, br)
	}
	return n
}

// What Convert returns without an error is a configuration.
func FuzzConvert(f *testing.F) {
	seeds(f, "testdata/convert/*.yml", "testdata/errors/v1*.yml")
	f.Fuzz(func(t *testing.T, data []byte) {
		v2, _, err := Convert("f.yml", data)
		if err != nil {
			return
		}
		opts := offline()
		opts.Resolve, opts.LocalAddrs = anyName, noAddrs
		if _, err := Parse("v2.yml", v2, opts); err != nil {
			t.Fatalf("%v\n%s", err, v2)
		}
	})
}
