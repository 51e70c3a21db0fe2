package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// NodeModule finds node and the directory to set NODE_PATH to, in which
// script/setup has put the module (pg, mysql2, tedious, undici, ws).
func NodeModule(t testing.TB, module string) (node, modules string) {
	t.Helper()
	node = Tool(t, "node")
	modules = filepath.Join(CacheDir(), "npm", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, module, "package.json")); err != nil {
		require(t, "node's "+module+" module")
	}
	return node, modules
}

// PythonModule finds the Python that has the module (psycopg2, pymysql,
// MySQLdb): the system's.
func PythonModule(t testing.TB, module string) string {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import "+module).Run(); err != nil {
		require(t, "python3's "+module)
	}
	return python
}

// MariaDBJDBC finds java and MariaDB Connector/J; see JDBC.
func MariaDBJDBC(t testing.TB) (java, jar string) {
	t.Helper()
	java, jar = Tool(t, "java"), "/usr/share/java/mariadb-java-client.jar"
	if _, err := os.Stat(jar); err != nil {
		require(t, "MariaDB Connector/J")
	}
	return java, jar
}

// ODBC finds isql and a driver of Debian's by the name of its library, such as
// libmaodbc.so or libtdsodbc.so.
func ODBC(t testing.TB, library string) (isql, driver string) {
	t.Helper()
	isql = Tool(t, "isql")
	found, _ := filepath.Glob("/usr/lib/*/odbc/" + library)
	if len(found) == 0 {
		require(t, "the ODBC driver "+library)
	}
	return isql, found[0]
}
