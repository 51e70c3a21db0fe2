package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"
)

func mode(executable bool) int64 {
	if executable {
		return 0o755
	}
	return 0o644
}

type tarball struct {
	gz   *gzip.Writer
	tar  *tar.Writer
	when time.Time
}

func newTar(w io.Writer, when time.Time) *tarball {
	gz, _ := gzip.NewWriterLevel(w, gzip.BestCompression) // the level is a valid one
	return &tarball{gz, tar.NewWriter(gz), when}
}

func (t *tarball) header(kind byte, name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: t.when, Format: tar.FormatUSTAR}
}

func (t *tarball) dir(name string) error {
	return t.tar.WriteHeader(t.header(tar.TypeDir, name+"/", 0o755))
}

func (t *tarball) file(name string, executable bool, content []byte) error {
	h := t.header(tar.TypeReg, name, mode(executable))
	h.Size = int64(len(content))
	if err := t.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.tar.Write(content)
	return err
}

func (t *tarball) link(name, target string) error {
	h := t.header(tar.TypeSymlink, name, 0o777)
	h.Linkname = target
	return t.tar.WriteHeader(h)
}

func (t *tarball) close() error { return errors.Join(t.tar.Close(), t.gz.Close()) }

type zipfile struct {
	zip  *zip.Writer
	when time.Time
}

func newZip(w io.Writer, when time.Time) *zipfile { return &zipfile{zip.NewWriter(w), when} }

func (z *zipfile) dir(name string) error {
	_, err := z.zip.CreateHeader(&zip.FileHeader{Name: name + "/", Modified: z.when})
	return err
}

func (z *zipfile) file(name string, _ bool, content []byte) error {
	w, err := z.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: z.when})
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

func (z *zipfile) link(name, _ string) error {
	return fmt.Errorf("%s is a link, which a zip for Windows cannot hold", name)
}

func (z *zipfile) close() error { return z.zip.Close() }
