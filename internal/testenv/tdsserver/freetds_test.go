package tdsserver_test

import (
	"strings"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// place is where a client of s connects as an account whose password needs no
// quoting.
func place(s *tdsserver.Server) testenv.TDSPlace {
	return testenv.TDSPlace{Port: s.Addr().Port, User: "plain", Password: "plain1", Database: "shop"}
}

func wrongPassword(s *tdsserver.Server) testenv.TDSPlace {
	p := place(s)
	p.Password = "wrong"
	return p
}

func TestTSQL(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	for _, c := range []struct{ version, encryption string }{
		{"7.1", "off"}, {"7.2", "off"}, {"7.3", "off"}, {"7.4", "off"}, {"auto", "off"}, {"7.1", "require"}, {"7.4", "request"}, {"7.4", "require"},
	} {
		out, err := place(s).TSQL(t, "tds version = "+c.version+"\nencryption = "+c.encryption,
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
	t.Parallel()
	s := start(t, tdsserver.Config{})
	out, err := wrongPassword(s).TSQL(t, "tds version = 7.4", "")
	if err == nil || !strings.Contains(out, "Msg 18456") || !strings.Contains(out, "Login failed for user 'plain'.") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = place(s).TSQL(t, "tds version = 7.4", "raiserror('no', 16, 7)\ngo\nprint 'printed'\ngo\n")
	if err != nil || !strings.Contains(out, "Msg 50000 (severity 16, state 7) from TDSTEST") || !strings.Contains(out, "printed") {
		t.Errorf("%v: %s", err, out)
	}
	required := start(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired})
	if out, err = place(required).TSQL(t, "tds version = 7.4\nencryption = off", "select 1\ngo\n"); err == nil {
		t.Errorf("without encryption: %s", out)
	}
}

func TestISQL(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	for _, settings := range []string{"TDS_Version=7.1;Encryption=off", "TDS_Version=7.4;Encryption=off", "TDS_Version=7.4;Encryption=require"} {
		out, err := place(s).ISQL(t, settings, "select suser_name() as who, db_name() as what, 42 as n\n")
		if err != nil || !strings.Contains(out, "plain") || !strings.Contains(out, "shop") || !strings.Contains(out, "42") {
			t.Errorf("%s: %v: %s", settings, err, out)
		}
	}
	if out, err := wrongPassword(s).ISQL(t, "TDS_Version=7.4", "select 1\n"); err == nil || !strings.Contains(out, "[SQL Server]Login failed for user 'plain'.") {
		t.Error(err, out)
	}
}

// A driver of TDS 7.1.
func TestJTDS(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	const row = "plain shop 7 text\n"
	if got := place(s).JTDS(t, "ssl=off", "ssl=off;prepareSQL=2"); got != row+row {
		t.Error(got)
	}
	if got := wrongPassword(s).JTDS(t, "ssl=off"); got != "18456 28000 Login failed for user 'plain'.\n" {
		t.Error(got)
	}
}
