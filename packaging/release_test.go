package packaging_test

import (
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// tag is the version of the releases that are built here.
const tag = "v1.2.3"

// TestRelease builds a release, twice, and tries what it consists of.
// SECRETLESS_RELEASE names one for linux/amd64 that is built already.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a release, which takes a minute")
	}
	for _, tool := range []string{"git", "jq", "dpkg-deb"} {
		testenv.Tool(t, tool)
	}
	source := repository(t)
	r := release{t: t, dir: os.Getenv("SECRETLESS_RELEASE")}
	built := r.dir == ""
	if built {
		r.dir = build(t, source, "umask 022; export TZ=UTC")
		t.Run("two builds are the same", func(t *testing.T) { sameAgain(t, source, r.dir) })
	}
	r.unpacked = r.unpack()
	part := func(name string, f func(*testing.T, release)) {
		t.Run(name, func(t *testing.T) { r := r; r.t = t; f(t, r) })
	}
	part("program", isStatic)
	part("components", hasComponents)
	part("rpm", isRPM)
	part("manual pages", hasManual)
	part("completions", completes)
	part("image", func(t *testing.T, r release) {
		if !built {
			r.dir = "" // it is of another commit
		}
		inImage(t, r, source)
	})
	part("systemd", inSystemd)
}

// repository is a copy of the working tree, committed and tagged as a release
// is, so that what is tested is what is here.
func repository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a")
	script := `git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
tar --null -T - -cf - | (mkdir -p "$0" && tar -xf - -C "$0") && cd "$0" && git init -q -b main . && git add -A &&
git -c user.name=t -c user.email=t@localhost commit -q -m release && git -c user.name=t -c user.email=t@localhost tag -a -m release "$1"`
	cmd := exec.Command("bash", "-c", script, dir, tag)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-01-02T03:04:05+02:00", "GIT_AUTHOR_DATE=2026-01-02T03:04:05+02:00")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copying the working tree: %v\n%s", err, out)
	}
	return dir
}

// build runs script/release of a repository for linux/amd64, after setup has
// changed the shell's circumstances.
func build(t *testing.T, source, setup string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", setup+`; exec "$0/script/release" -o "$1" -p linux/amd64 "$2"`, source, out, tag)
	cmd.Env = append(os.Environ(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPROXY="+goEnv(t, "GOPROXY"))
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("script/release: %v\n%s", err, log)
	}
	return out
}

// sameAgain builds in another directory, by somebody with another home, umask,
// time zone, language and settings for Go. The cache of compiled packages is the same,
// to save minutes; docs/development.md has the command that does without.
func sameAgain(t *testing.T, source, first string) {
	other := filepath.Join(t.TempDir(), "somewhere", "else")
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "git", "clone", "-q", source, other)
	second := build(t, other, "umask 077; export TZ=Asia/Tokyo LANG=tr_TR.UTF-8 GOAMD64=v3 GOFLAGS=-tags=other HOME="+t.TempDir())
	one, two := read(t, filepath.Join(first, "SHA256SUMS")), read(t, filepath.Join(second, "SHA256SUMS"))
	if one != two || strings.Count(one, "\n") != 4 {
		t.Errorf("one build has\n%s\nthe other\n%s", one, two)
	}
}

// unpack unpacks the archive and returns its folder.
func (r release) unpack() string {
	r.t.Helper()
	dir := r.t.TempDir()
	archive := r.only("*-linux-amd64.tar.gz")
	run(r.t, "tar", "-xzf", archive, "-C", dir)
	for line := range strings.Lines(run(r.t, "tar", "--utc", "-tvzf", archive)) {
		if !regexp.MustCompile(`^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx) 0/0 `).MatchString(line) {
			r.t.Errorf("the archive has %s", line)
		}
	}
	return filepath.Join(dir, strings.TrimSuffix(filepath.Base(archive), ".tar.gz"))
}

const maxProgram = 40 << 20

// isStatic checks that the program needs nothing of the machine, is stripped,
// small enough, and says the version of its tag.
func isStatic(t *testing.T, r release) {
	f, err := elf.Open(r.program())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a %v segment: it is not static", p.Type)
		}
	}
	if f.Section(".symtab") != nil || f.Section(".debug_info") != nil {
		t.Error("the program is not stripped")
	}
	info, err := os.Stat(r.program())
	if err != nil || info.Size() > maxProgram {
		t.Errorf("the program has %d bytes, more than %d; %v", info.Size(), maxProgram, err)
	}
	t.Logf("%.1f MiB", float64(info.Size())/(1<<20))
	for _, name := range []string{"secretless", "secretless-broker"} {
		if out := run(t, filepath.Join(r.unpacked, name), "version"); !strings.HasPrefix(out, "secretless "+r.version()+" ") {
			t.Errorf("%s says %q, want %s", name, out, r.version())
		}
	}
}

// hasComponents checks the list of components: the modules in the program, each
// with a licence that we may pass on, and their texts.
func hasComponents(t *testing.T, r release) {
	var bom struct {
		BomFormat    string
		SerialNumber string
		Metadata     struct{ Timestamp string }
		Components   []struct {
			Name, Version string
			Licenses      []struct {
				License    struct{ ID string }
				Expression string
			}
		}
	}
	if err := json.Unmarshal([]byte(read(t, r.only("*.cdx.json"))), &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BomFormat != "CycloneDX" || bom.SerialNumber != "" || bom.Metadata.Timestamp != "" {
		t.Errorf("got %s, serial %q, time %q", bom.BomFormat, bom.SerialNumber, bom.Metadata.Timestamp)
	}
	texts := read(t, filepath.Join(r.unpacked, "THIRD-PARTY-LICENSES.txt"))
	allowed := []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}
	listed := map[string]bool{}
	for _, c := range bom.Components {
		listed[c.Name+" "+c.Version] = true
		if len(c.Licenses) == 0 {
			t.Errorf("%s has no licence", c.Name)
		}
		for _, l := range c.Licenses {
			// Of a choice between licences the first is ours.
			ours, _, _ := strings.Cut(l.Expression, " OR ")
			if !slices.Contains(allowed, l.License.ID+ours) {
				t.Errorf("%s is under %q", c.Name, l.License.ID+l.Expression)
			}
		}
		if c.Name != "std" && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(c.Name)+`(/\S+)? `+regexp.QuoteMeta(c.Version)+` \(`).MatchString(texts) {
			t.Errorf("THIRD-PARTY-LICENSES.txt lacks %s %s", c.Name, c.Version)
		}
	}
	for line := range strings.Lines(run(t, "go", "version", "-m", r.program())) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "dep" && !listed[f[1]+" "+f[2]] {
			t.Errorf("the list of components lacks %s %s", f[1], f[2])
		}
	}
}

// isRPM reads the rpm with rpm and unpacks it.
func isRPM(t *testing.T, r release) {
	pkg := r.only("*.rpm")
	if got := run(t, "rpm", "-qp", "--qf", "%{NAME} %{ARCH} %{OS}", pkg); got != "secretless x86_64 linux" {
		t.Errorf("got %q", got)
	}
	run(t, "rpm", "-K", "--nosignature", pkg)
	if got := run(t, "rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags} %{FILEMODES:perms}\n]", pkg); !strings.Contains(got, "/etc/secretless.yml cn -rw-r--r--\n") ||
		!strings.Contains(got, "/usr/bin/secretless  -rwxr-xr-x\n") || !strings.Contains(got, "/usr/lib/sysusers.d/secretless.conf ") {
		t.Errorf("the files are\n%s", got)
	}
	dir := t.TempDir()
	run(t, "rpm", "--root", dir, "--nodeps", "--noscripts", "--noplugins", "--force-debian", "-i", pkg)
	if fileHash(t, dir+"/usr/bin/secretless") != fileHash(t, r.program()) {
		t.Error("the program in the rpm is another one")
	}
	for _, script := range []string{"post", "preun", "postun"} {
		run(t, "sh", "-n", "rpm/"+script)
	}
}

// hasManual checks every manual page with two formatters.
func hasManual(t *testing.T, r release) {
	pages, _ := filepath.Glob(filepath.Join(r.unpacked, "man", "*"))
	if len(pages) < 20 {
		t.Errorf("only %d pages", len(pages))
	}
	for _, page := range pages {
		if out, err := testenv.Command(t, nil, testenv.Tool(t, "mandoc"), "-Tlint", "-Wwarning", page); err != nil || out != "" {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for _, page := range []string{"secretless-serve.1", "secretless.yml.5"} {
		out, err := testenv.Command(t, []string{"LC_ALL=C.UTF-8", "MANWIDTH=80"}, testenv.Tool(t, "man"), "--warnings", "-E", "UTF-8", "-l", filepath.Join(r.unpacked, "man", page))
		if err != nil || strings.Contains(out, "<standard input>") || !strings.Contains(out, "NAME") {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
	}
}

// completes asks each shell for what follows "secretless va".
func completes(t *testing.T, r release) {
	path := "PATH=" + r.unpacked + ":/usr/bin:/bin"
	dir := filepath.Join(r.unpacked, "completions")
	for shell, args := range map[string][]string{
		"bash": {"-c", `. /usr/share/bash-completion/bash_completion; . "$0/secretless.bash"
COMP_WORDS=(secretless va) COMP_CWORD=1 COMP_LINE="secretless va" COMP_POINT=13
__start_secretless; printf '%s\n' "${COMPREPLY[@]}"`, dir},
		"fish": {"-c", fmt.Sprintf("source %s/secretless.fish; complete -C 'secretless va'", dir)},
		// In a terminal of its own, with the Tab key.
		"zsh": {"-fc", `zmodload zsh/zpty; zpty z zsh -f -i
zpty -w z "fpath=($0 \$fpath); autoload -Uz compinit; compinit -u -D; print ready"
zpty -r -m z out '*ready*'; zpty -w -n z $'secretless va\t'
zpty -r -m z out '*validate*'; print -r -- "$out"; zpty -d z`, dir},
	} {
		t.Run(shell, func(t *testing.T) {
			out, err := testenv.Command(t, []string{path}, testenv.Tool(t, shell), args...)
			if err != nil || !strings.Contains(out, "validate") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if ps := read(t, filepath.Join(dir, "secretless.ps1")); !strings.Contains(ps, "Register-ArgumentCompleter") {
		t.Error("the completion for PowerShell is not one")
	}
}
