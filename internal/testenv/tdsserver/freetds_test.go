package tdsserver_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// tsql runs statements with FreeTDS' own client. Its configuration has one
// server, named test.
func tsql(t *testing.T, s *tdsserver.Server, user, password, settings, input string) (string, error) {
	t.Helper()
	conf := fmt.Sprintf("[global]\nclient charset = UTF-8\nconnect timeout = 10\n[test]\nhost = 127.0.0.1\nport = %d\n%s\n", s.Addr().Port, settings)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Tool(t, "tsql"), "-S", "test", "-U", user, "-P", password, "-D", "shop", "-o", "fqh", "-t", "|")
	cmd.Env = []string{"FREETDSCONF=" + testenv.WriteFile(t, "freetds.conf", conf), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("tsql does not end: %s", out)
	}
	return string(out), err
}

func TestTSQL(t *testing.T) {
	s := start(t, tdsserver.Config{})
	for _, c := range []struct{ version, encryption string }{
		{"7.1", "off"}, {"7.2", "off"}, {"7.3", "off"}, {"7.4", "off"}, {"auto", "off"}, {"7.1", "require"}, {"7.4", "request"}, {"7.4", "require"},
	} {
		out, err := tsql(t, s, "plain", "plain1", "tds version = "+c.version+"\nencryption = "+c.encryption,
			"select suser_name(), db_name(), N'żółć', 1, encrypt_option from sys.dm_exec_connections\ngo\nselect replicate(N'x', 30) from generate_series(1, 1000)\ngo\n")
		encrypted := "FALSE"
		if c.encryption == "require" {
			encrypted = "TRUE"
		}
		if err != nil || !strings.Contains(out, "plain|shop|żółć|1|"+encrypted+"\n") || strings.Count(out, strings.Repeat("x", 30)) != 1000 {
			t.Errorf("%+v: %v: %.2000s", c, err, out)
		}
	}
}

func TestTSQLErrors(t *testing.T) {
	out, err := tsql(t, start(t, tdsserver.Config{}), "plain", "wrong", "tds version = 7.4", "")
	if err == nil || !strings.Contains(out, "Msg 18456") || !strings.Contains(out, "Login failed for user 'plain'.") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = tsql(t, start(t, tdsserver.Config{}), "plain", "plain1", "tds version = 7.4", "raiserror('no', 16, 7)\ngo\nprint 'printed'\ngo\n")
	if err != nil || !strings.Contains(out, "Msg 50000 (severity 16, state 7) from TDSTEST") || !strings.Contains(out, "printed") {
		t.Errorf("%v: %s", err, out)
	}
	required := start(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired})
	if out, err = tsql(t, required, "plain", "plain1", "tds version = 7.4\nencryption = off", "select 1\ngo\n"); err == nil {
		t.Errorf("without encryption: %s", out)
	}
}

// odbc runs statements through unixODBC, one a line.
func odbc(t *testing.T, s *tdsserver.Server, user, password, settings, input string) string {
	t.Helper()
	isql, driver := testenv.FreeTDSODBC(t)
	// Without a manager's configuration: the driver is named by its path.
	connection := fmt.Sprintf("Driver=%s;Server=127.0.0.1;Port=%d;UID=%s;PWD=%s;Database=shop;%s", driver, s.Addr().Port, user, password, settings)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, isql, "-k", connection, "-b", "-v")
	cmd.Env = []string{"HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(input)
	out, _ := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("isql does not end: %s", out)
	}
	return string(out)
}

func TestODBC(t *testing.T) {
	s := start(t, tdsserver.Config{})
	for _, settings := range []string{"TDS_Version=7.1;Encryption=off", "TDS_Version=7.4;Encryption=off", "TDS_Version=7.4;Encryption=require"} {
		out := odbc(t, s, "plain", "plain1", settings, "select suser_name() as who, db_name() as what, 42 as n\n")
		if !strings.Contains(out, "plain") || !strings.Contains(out, "shop") || !strings.Contains(out, "42") {
			t.Errorf("%s: %s", settings, out)
		}
	}
	if out := odbc(t, s, "plain", "wrong", "TDS_Version=7.4", "select 1\n"); !strings.Contains(out, "[SQL Server]Login failed for user 'plain'.") {
		t.Error(out)
	}
}
