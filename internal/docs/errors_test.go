package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// errorColumns are the heads of a table's first column that promise texts of
// the program's own.
var errorColumns = []string{"text", "reason", "status and text", "message"}

// notOurs are texts that tables quote and the program does not have: they come
// from the operating system, a library, a target or a client.
var notOurs = []string{
	// the operating system, Go's libraries
	"no such file or directory", "permission denied", "status=243/CREDENTIALS", "executable file not found", "certificate signed by unknown authority",
	"tls: handshake failure", "server does not support encryption",
	// ours, put together from parts that are too short to find
	"unknown connector", "unknown provider", "with publickey", "with password", "sts:AssumeRole", `field "`,
	// targets
	"password authentication failed", "PAM authentication failed", "Access denied for user", "Login failed", "Unknown thread id",
	// clients
	"ERR_TLS_CERT_ALTNAME_INVALID", "Cert does not contain a DNS name", "you attempted to connect to does not support encryption",
	"error occurred during the pre-login handshake", "certificate chain was issued by an authority", "Connection closed",
}

// TestErrorTexts looks in the program for every text that a page explains, so
// that no page explains what nobody can see any more.
func TestErrorTexts(t *testing.T) {
	known := literals(t)
	count := 0
	for _, p := range pages(t) {
		inTable := false
		for _, l := range p.lines {
			cells := strings.Split(strings.ReplaceAll(l.text, `\|`, "\x00"), "|")
			switch {
			case len(cells) < 3:
				inTable = false
			case slices.Contains(errorColumns, strings.TrimSpace(cells[1])):
				inTable = true
			case inTable:
				for _, span := range codeSpan.FindAllString(cells[1], -1) {
					count++
					text := strings.ReplaceAll(strings.Trim(span, "`"), "\x00", "|")
					if lost := unknown(known, text); lost != "" {
						t.Errorf("%s:%d: %q: nothing in the program says %q", p.path, l.number, text, lost)
					}
				}
			}
		}
	}
	if count < 150 {
		t.Errorf("only %d texts found: are errorColumns right?", count)
	}
	t.Logf("%d texts", count)
}

// unknown is the first part of a text, between the places that vary, that the
// program cannot say. Values, which stand for what the program fills in, may be
// less than half of its words.
func unknown(known, text string) string {
	for _, part := range strings.Split(text, "…") {
		part = strings.TrimSpace(part)
		if len(part) < 4 || strings.Contains(known, part) || slices.ContainsFunc(notOurs, func(s string) bool { return strings.Contains(part, s) }) {
			continue
		}
		words := strings.Fields(part)
		said := 0
		for i := 0; i < len(words); {
			n := longest(known, words[i:])
			said += n
			i += max(n, 1)
		}
		if 2*said <= len(words) {
			return part
		}
	}
	return ""
}

// longest is how many words from the first on stand in one text of the program;
// one alone says nothing.
func longest(known string, words []string) int {
	n := 0
	for n < len(words) && strings.Contains(known, strings.Join(words[:n+1], " ")) {
		n++
	}
	if n == 1 {
		return 0
	}
	return n
}

func TestUnknown(t *testing.T) {
	known := "no answer within \x01: \x01\x00uid \x01 gid \x01\x00 does not offer TLS, which sslmode \x01 demands"
	for text, want := range map[string]string{
		"no answer within 5s: …":                              "",
		"does not offer TLS, which sslmode … demands":         "",
		"does not offer TLS, which sslmode verify-ca demands": "",
		"does not speak TLS":                                  "does not speak TLS",
		"no answer within 5s: … the dog ate the answer to it": "the dog ate the answer to it",
	} {
		if got := unknown(known, text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

var verb = regexp.MustCompile(`%[-+#0-9.\[\]*]*[a-zA-Z]`)

// literals are the texts of the program: string constants, put together where
// they are added up, and what the golden files say.
func literals(t *testing.T) string {
	t.Helper()
	var all []string
	for _, tree := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, tree), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			switch {
			case filepath.Ext(path) == ".golden":
				text, err := os.ReadFile(path)
				all = append(all, string(text))
				return err
			case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "testenv"):
				file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
				if err != nil {
					return err
				}
				ast.Inspect(file, func(n ast.Node) bool {
					e, ok := n.(ast.Expr)
					if !ok {
						return true
					}
					text, ok := constant(e)
					if ok && len(text) > 3 {
						all = append(all, text)
					}
					return !ok
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(all, "\x00")
}

// constant is the text of a literal or of a sum that begins with one; what is
// not known before the program runs is left out.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return verb.ReplaceAllString(text, "\x01"), err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, okLeft := constant(e.X)
		right, okRight := constant(e.Y)
		if !okLeft {
			left = "\x01"
		}
		if !okRight {
			right = "\x01"
		}
		return left + right, okLeft || okRight
	case *ast.ParenExpr:
		return constant(e.X)
	}
	return "", false
}
