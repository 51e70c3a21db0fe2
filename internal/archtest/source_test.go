// Package archtest holds the project's own rules as tests: who may import whom
// (docs/architecture.md), and what no file may contain.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "secretless"
)

// source is one Go file. Files are parsed rather than listed by the go command,
// which shows those of one platform only.
type source struct {
	path string // from the root, with slashes
	pkg  string // directory from the root
	test bool
	file *ast.File
	set  *token.FileSet
}

// at is where a node is, as editors understand it.
func (s source) at(n ast.Node) string {
	pos := s.set.Position(n.Pos())
	return s.path + ":" + itoa(pos.Line)
}

// imports lists the project's packages that the file imports, from the root.
func (s source) imports() []string {
	var all []string
	for _, i := range s.file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if own, ok := strings.CutPrefix(path, module+"/"); ok {
			all = append(all, own)
		}
	}
	return all
}

// name is what the file calls an imported package, empty if it does not
// import it.
func (s source) name(path string) string {
	for _, i := range s.file.Imports {
		if strings.Trim(i.Path.Value, `"`) != path {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// files walks the files of the project, without what is built or fetched.
func files(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch rel = filepath.ToSlash(rel); {
		case d.IsDir() && (rel == ".git" || rel == "bin" || rel == "dist" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.Type().IsRegular() && rel != ".git": // a file in a work tree
			visit(rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses every Go file of the module; tools/ is another module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	files(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(path, "tools/") {
			return
		}
		file, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		all = append(all, source{
			path: path,
			pkg:  filepath.ToSlash(filepath.Dir(path)),
			test: strings.HasSuffix(path, "_test.go"),
			file: file,
			set:  set,
		})
	})
	if len(all) < 20 {
		t.Fatalf("found %d Go files; is %s the root of the project?", len(all), root)
	}
	return all
}
