package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Tool finds a program by name; psql and pgbench are also looked for beside
// the server. A test whose program is missing is skipped, or fails in CI.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join("/usr/lib/postgresql/15/bin", name)
	if _, err := os.Stat(path); err != nil {
		require(t, name)
	}
	return path
}

// Command runs a program with the environment's PG* variables replaced by vars
// and returns what it printed on both outputs. It fails the test if the program
// does not end within a minute.
func Command(t testing.TB, vars []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C"}, vars...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s does not end: %s", name, out)
	}
	return string(out), err
}

// NodePG finds node and the directory to set NODE_PATH to for require('pg').
func NodePG(t testing.TB) (node, modules string) {
	t.Helper()
	return NodeModule(t, "pg")
}

// JDBC finds java and PostgreSQL's driver for it. Java runs a single source
// file with `java -cp jar File.java` only where the JDK is installed.
func JDBC(t testing.TB) (java, jar string) {
	t.Helper()
	java, jar = Tool(t, "java"), "/usr/share/java/postgresql.jar"
	if _, err := os.Stat(jar); err != nil {
		require(t, "PostgreSQL's JDBC driver")
	}
	return java, jar
}

// Psycopg2 finds the Python that has psycopg2: the system's.
func Psycopg2(t testing.TB) string {
	t.Helper()
	return PythonModule(t, "psycopg2")
}
