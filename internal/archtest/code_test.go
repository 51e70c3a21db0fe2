package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// call is a function of the standard library that only some places may use.
type call struct {
	pkg, prefix string
	// where it may be used; nil means nowhere.
	where func(s source, in *ast.FuncDecl) bool
	why   string
	// asDefault allows naming the function, as the default of an option,
	// where calling it is forbidden.
	asDefault bool
}

const noEnvironment = "the environment is passed in, so that two brokers can run in one test"

var calls = []call{
	{"os", "Exit", inMain, "the process ends in main alone: return an error, so that everything open is closed first", false},
	{"log", "Fatal", nil, "it ends the process; return an error", false},
	{"log", "Panic", nil, "return an error", false},
	{"os", "Getenv", atTheEdge, noEnvironment, true},
	{"os", "LookupEnv", atTheEdge, noEnvironment, true},
	{"os", "Environ", atTheEdge, noEnvironment, true},
	{"log/slog", "Default", nil, "the logger is passed in", false},
	{"log/slog", "SetDefault", nil, "the logger is passed in", false},
	{"math/rand", "", nil, "use math/rand/v2, or crypto/rand for anything an attacker could guess", false},
}

func inMain(s source, in *ast.FuncDecl) bool {
	return s.file.Name.Name == "main" && in != nil && in.Recv == nil && in.Name.Name == "main"
}

// atTheEdge is where the outside world is taken in.
func atTheEdge(s source, _ *ast.FuncDecl) bool {
	return s.file.Name.Name == "main" || s.pkg == "internal/cli" || isOnlyForTests(s.pkg)
}

const contained = "start it with provider.Go: a panic in a goroutine that nobody contains ends the broker"

// isProvider is true below the contract itself.
func isProvider(s source) bool {
	return strings.HasPrefix(s.pkg, "internal/provider/") && !isOnlyForTests(s.pkg)
}

// violations lists what a file does that the project has agreed not to do.
func violations(s source) []string {
	var found []string
	report := func(n ast.Node, what, why string) { found = append(found, s.at(n)+": "+what+": "+why) }
	called := map[*ast.SelectorExpr]bool{}
	for _, decl := range s.file.Decls {
		in, _ := decl.(*ast.FuncDecl)
		if in != nil && in.Recv == nil && in.Name.Name == "init" {
			report(in, "init function", "importing a package must have no effect; build things where they are used")
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if isProvider(s) {
					report(n, "go", contained)
				}
			case *ast.CallExpr:
				switch f := n.Fun.(type) {
				case *ast.Ident:
					if f.Name == "panic" {
						report(n, "panic", "return an error: one connection's trouble must not become the broker's")
					}
				case *ast.SelectorExpr:
					called[f] = true
					if x, ok := f.X.(*ast.Ident); f.Sel.Name == "Go" && isProvider(s) && !(ok && x.Name == s.name(module+"/internal/provider")) {
						report(n, "Go", contained)
					}
				}
			case *ast.SelectorExpr:
				for _, c := range calls {
					if c.matches(s, n) && (called[n] || !c.asDefault) && (c.where == nil || !c.where(s, in)) {
						report(n, c.pkg+"."+n.Sel.Name, c.why)
					}
				}
			}
			return true
		})
	}
	return found
}

func (c call) matches(s source, sel *ast.SelectorExpr) bool {
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name != "" && x.Name == s.name(c.pkg) && strings.HasPrefix(sel.Sel.Name, c.prefix)
}

func TestCode(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, v := range violations(s) {
			t.Error(v)
		}
	}
}

// Each rule must be able to fail.
func TestCodeRules(t *testing.T) {
	for _, c := range []struct {
		name, pkg, code string
		want            string // part of the only violation; empty for none
	}{
		{"init", "internal/a", "package a\nfunc init() {}", "init function"},
		{"method init", "internal/a", "package a\ntype T int\nfunc (T) init() {}", ""},
		{"panic", "internal/a", "package a\nfunc f() { panic(1) }", "panic"},
		{"panic in a value", "internal/a", "package a\nvar f = func() { panic(1) }", "panic"},
		{"exit", "internal/a", "package a\nimport \"os\"\nfunc main() { os.Exit(1) }", "os.Exit"},
		{"exit in main", "cmd/a", "package main\nimport \"os\"\nfunc main() { os.Exit(1) }", ""},
		{"exit beside main", "cmd/a", "package main\nimport \"os\"\nfunc run() { os.Exit(1) }", "os.Exit"},
		{"exit as a value", "internal/a", "package a\nimport \"os\"\nvar exit = os.Exit", "os.Exit"},
		{"exit renamed", "internal/a", "package a\nimport o \"os\"\nfunc f() { o.Exit(1) }", "os.Exit"},
		{"log.Fatalf", "internal/a", "package a\nimport \"log\"\nfunc f() { log.Fatalf(``) }", "log.Fatalf"},
		{"another log", "internal/a", "package a\ntype l struct{ Fatal func() }\nfunc f(log l) { log.Fatal() }", ""},
		{"environment", "internal/broker", "package broker\nimport \"os\"\nvar x = os.Getenv(``)", "os.Getenv"},
		{"environment as a default", "internal/broker", "package broker\nimport \"os\"\nvar x = os.Getenv", ""},
		{"environment at the edge", "internal/cli", "package cli\nimport \"os\"\nvar x = os.Getenv(``)", ""},
		{"default logger", "internal/cli", "package cli\nimport \"log/slog\"\nvar x = slog.Default()", "log/slog.Default"},
		{"go in a provider", "internal/provider/vault", "package vault\nfunc f() { go f() }", "go: start it"},
		{"Go in a provider", "internal/provider/vault", "package vault\nimport \"sync\"\nfunc f(w *sync.WaitGroup) { w.Go(nil) }", "Go: start it"},
		{"provider.Go", "internal/provider/vault", "package vault\nimport \"secretless/internal/provider\"\nfunc f() { provider.Go(nil) }", ""},
		{"go elsewhere", "internal/broker", "package broker\nfunc f() { go f() }", ""},
		{"old rand", "internal/a", "package a\nimport \"math/rand\"\nvar x = rand.Int()", "math/rand.Int"},
		{"new rand", "internal/a", "package a\nimport \"math/rand/v2\"\nvar x = v2.Int()", ""},
	} {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, "a.go", c.code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		got := violations(source{path: c.pkg + "/a.go", pkg: c.pkg, file: file, set: set})
		switch {
		case c.want == "" && len(got) != 0, c.want != "" && len(got) != 1:
			t.Errorf("%s: %q", c.name, got)
		case c.want != "" && !strings.Contains(got[0], c.want):
			t.Errorf("%s: %q, want %q", c.name, got[0], c.want)
		}
	}
}
