//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// Real clients, each with what it does at the start that others do not.
func TestMSSQLClients(t *testing.T) {
	for _, sslmode := range []string{"disable", "verify-full"} {
		server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
		r := startMSSQL(t, mssqlService{port: server.Addr().Port, sslmode: sslmode, more: pemLines(testenv.KeyPair{}, testenv.CA(t).CAPEM)})
		for name, test := range map[string]func(*testing.T, *running){
			"tsql": tsqlClient, "tsql require": tsqlRequire, "isql": isqlClient, "jtds": jtdsClient,
			"tedious": tediousClient, "tedious encrypt": tediousEncrypt,
		} {
			t.Run(sslmode+"/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, r)
			})
		}
	}
}

func tsqlClient(t *testing.T, r *running) {
	for _, settings := range []string{"tds version = 7.1\nencryption = off", "tds version = 7.4\nencryption = off", "tds version = 7.4\nencryption = request"} {
		out, err := r.mssqlPlace().TSQL(t, settings, "select suser_name(), db_name(), N'żółć'\ngo\nselect replicate(N'x', 30) from generate_series(1, 1000)\ngo\n")
		if err != nil || !strings.Contains(out, "app|shop|żółć\n") || strings.Count(out, strings.Repeat("x", 30)) != 1000 {
			t.Errorf("%s: %v: %.2000s", settings, err, out)
		}
	}
}

// A client that insists on TLS gives up at once, with its own words.
func tsqlRequire(t *testing.T, r *running) {
	if out, err := r.mssqlPlace().TSQL(t, "tds version = 7.4\nencryption = require", "select 1\ngo\n"); err == nil {
		t.Error(out)
	}
}

func isqlClient(t *testing.T, r *running) {
	for _, settings := range []string{"TDS_Version=7.1;Encryption=off", "TDS_Version=7.4;Encryption=request"} {
		out, err := r.mssqlPlace().ISQL(t, settings, "select suser_name() as who, db_name() as what, 42 as n\n")
		if err != nil || !strings.Contains(out, "app") || !strings.Contains(out, "shop") || !strings.Contains(out, "42") {
			t.Errorf("%s: %v: %s", settings, err, out)
		}
	}
}

func jtdsClient(t *testing.T, r *running) {
	const row = "app shop 7 text\n"
	if got := r.mssqlPlace().JTDS(t, "ssl=off", "ssl=request"); got != row+row {
		t.Error(got)
	}
}

func tediousClient(t *testing.T, r *running) {
	out, err := r.mssqlPlace().Tedious(t, `
for (const options of [{ appName: 'node', packetSize: 16000 }, overSocket]) {
  const c = await open(options);
  console.log(...(await run(c, 'select suser_name(), @n + 1, @s', [['n', TYPES.Int, 41], ['s', TYPES.NVarChar, 'żółć']]))[0]);
  let request;
  const waiting = run(c, "waitfor delay '01:00'", [], (r) => { request = r; });
  setTimeout(() => request.cancel(), 50);
  await waiting.catch((e) => console.log(e.code));
  await run(c, 'select @s', [['s', TYPES.NVarChar, 'x'.repeat(1000000)]], (r) => r.cancel()).catch((e) => console.log(e.code));
  await once((done) => c.beginTransaction(done));
  console.log(...(await run(c, 'select @@trancount'))[0]);
  await once((done) => c.rollbackTransaction(done));
  const [text, hash] = (await run(c, "declare @s nvarchar(max) = replicate(cast(N'xyż' as nvarchar(max)), 300000); select @s, hashbytes('SHA2_256', @s)"))[0];
  console.log(text.length, crypto.createHash('sha256').update(Buffer.from(text, 'utf16le')).digest().equals(hash));
  c.close();
}
`)
	want := "app 42 żółć\nECANCEL\nECANCEL\n1\n900000 true\n"
	if err != nil || out != want+want {
		t.Errorf("%v: %s", err, out)
	}
}

// Told that there is no TLS, tedious goes on without, whatever it was told.
func tediousEncrypt(t *testing.T, r *running) {
	out, err := r.mssqlPlace().Tedious(t, `
const c = await open({ encrypt: true });
console.log(...(await run(c, 'select suser_name()'))[0]);
c.close();
`)
	if err != nil || out != "app\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// The target's own words, as each driver reports them.
func TestMSSQLWrongPasswordInEveryClient(t *testing.T) {
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	r := startMSSQL(t, mssqlService{port: server.Addr().Port, user: tdsserver.User{Name: "app", Password: "wrong-password"}})
	const text = "Login failed for user 'app'."
	p := r.mssqlPlace()
	for name, ask := range map[string]func(*testing.T) string{
		"tsql": func(t *testing.T) string {
			out, _ := p.TSQL(t, "tds version = 7.4", "")
			return strings.Replace(out, "Msg 18456 (severity 14, state 1)", "18456", 1)
		},
		"isql": func(t *testing.T) string {
			out, _ := p.ISQL(t, "TDS_Version=7.4", "")
			return out + "18456" // which isql does not show
		},
		"jtds": func(t *testing.T) string { return p.JTDS(t, "ssl=off") },
		"tedious": func(t *testing.T) string {
			out, _ := p.Tedious(t, "await open().catch((e) => console.log(e.code === 'ELOGIN' ? 18456 : e.code, e.message));")
			return out
		},
		"go-mssqldb": func(t *testing.T) string {
			e := mssqlRefusal(t, r.mssqlDSN())
			return fmt.Sprint(e.Number, e.Message, e.ServerName)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out := ask(t); !strings.Contains(out, text) || !strings.Contains(out, "18456") {
				t.Error(out)
			}
		})
	}
}

// A client that has TLS to the broker, where the listener offers it.
func TestMSSQLListenerTLS(t *testing.T) {
	ca := testenv.CA(t)
	cert, key := ca.Server(t, testenv.CertECDSA).Files(t)
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	r := startMSSQL(t, mssqlService{
		port: server.Addr().Port, settings: []string{fmt.Sprintf("tls: { cert: %q, key: %q }", cert, key)},
	})
	file := "certificate=" + testenv.WriteFile(t, "ca.pem", ca.CAPEM)
	for _, encrypt := range []string{"true", "strict", "disable"} {
		if got := mssqlText(t, openMSSQL(t, r.mssqlDSN("encrypt="+encrypt, file), ""), "select suser_name()"); got != mssqlUser.Name {
			t.Errorf("%s: %s", encrypt, got)
		}
	}
	out, err := r.mssqlPlace().Tedious(t, `
for (const encrypt of [true, 'strict']) {
  const c = await open({ encrypt, cryptoCredentialsDetails: { ca: fs.readFileSync(ca) }, serverName: 'localhost' });
  console.log(...(await run(c, 'select suser_name()'))[0]);
  c.close();
}
`)
	if err != nil || out != "app\napp\n" {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := r.mssqlPlace().TSQL(t, "tds version = 7.4\nencryption = require", "select suser_name()\ngo\n"); err != nil || !strings.Contains(out, "app\n") {
		t.Errorf("%v: %s", err, out)
	}
}
