package tdsserver_test

import (
	"fmt"
	"strings"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// tedious runs a program with node's driver. Its functions: open(options)
// connects, run(connection, text, parameters) answers with the rows.
func tedious(t *testing.T, s *tdsserver.Server, program string) string {
	t.Helper()
	const prelude = `
const { Connection, Request, TYPES } = require('tedious');
const fs = require('fs');
const [port, ca] = process.argv.slice(1);
const open = (options = {}, login = {}) => new Promise((resolve, reject) => {
  const c = new Connection({
    server: '127.0.0.1',
    authentication: { type: 'default', options: { userName: 'plain', password: 'plain1', ...login } },
    options: { port: +port, database: 'shop', encrypt: false, connectTimeout: 10000, ...options },
  });
  c.on('error', () => {});
  c.connect((e) => (e ? reject(e) : resolve(c)));
});
const run = (c, text, parameters = [], started = () => {}) => new Promise((resolve, reject) => {
  const rows = [];
  const r = new Request(text, (e) => (e ? reject(e) : resolve(rows)));
  r.on('row', (columns) => rows.push(columns.map((x) => x.value)));
  for (const [name, type, value] of parameters) r.addParameter(name, type, value);
  c.execSql(r);
  started(r);
});
`
	node, modules := testenv.NodeModule(t, "tedious")
	ca := testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	out, err := testenv.Command(t, []string{"NODE_PATH=" + modules, "NODE_NO_WARNINGS=1"}, node, "-e",
		prelude+"(async () => {"+program+"})().catch((e) => { console.log('failed', e); process.exit(1); });", fmt.Sprint(s.Addr().Port), ca)
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return out
}

func TestTedious(t *testing.T) {
	s := start(t, tdsserver.Config{})
	out := tedious(t, s, `
const c = await open({ appName: 'node', packetSize: 16384, readOnlyIntent: true });
console.log(...(await run(c, 'select suser_name(), db_name(), app_name()'))[0]);
console.log(...(await run(c, 'select @n + 1, @s', [['n', TYPES.Int, 41], ['s', TYPES.NVarChar, 'żółć']]))[0]);
console.log((await run(c, "select value, replicate(N'x', 100) from generate_series(1, 20000)")).length);
console.log((await run(c, "select replicate(cast(N'x' as nvarchar(max)), 3000000)"))[0][0].length);
await run(c, "raiserror('no', 16, 3)").catch((e) => console.log(e.number, e.state, e.message));
let request;
const waiting = run(c, "waitfor delay '01:00'", [], (r) => { request = r; });
setTimeout(() => request.cancel(), 50);
await waiting.catch((e) => console.log(e.code));
await new Promise((done, failed) => c.beginTransaction((e) => (e ? failed(e) : done())));
console.log(...(await run(c, 'select @@trancount'))[0]);
await new Promise((done, failed) => c.commitTransaction((e) => (e ? failed(e) : done())));
await new Promise((done, failed) => c.reset((e) => (e ? failed(e) : done())));
console.log(...(await run(c, 'select @@trancount'))[0]);
c.close();
`)
	want := "plain shop node\n42 żółć\n20000\n3000000\n50000 3 no\nECANCEL\n1\n0\n"
	if out != want {
		t.Errorf("%s, want %s", out, want)
	}
	if l := s.LastLogin(); l.AppName != "node" || l.PacketSize != 16384 || !l.ReadOnlyIntent {
		t.Errorf("%+v", l)
	}
}

func TestTediousErrors(t *testing.T) {
	out := tedious(t, start(t, tdsserver.Config{}), `
for (const login of [{ password: 'wrong' }, { userName: 'disabled', password: 'x' }]) {
  await open({}, login).catch((e) => console.log(e.code, (e.cause || e).number || '', e.message));
}
await open({ database: 'nowhere' }).catch((e) => console.log(e.code, e.message));
`)
	for _, want := range []string{
		"ELOGIN", "Login failed for user 'plain'.", "Login failed for user 'disabled'. Reason: The account is disabled.",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s, want %s", out, want)
		}
	}
}

func TestTediousEncryption(t *testing.T) {
	s := start(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired})
	out := tedious(t, s, `
for (const encrypt of [true, 'strict']) {
  const c = await open({ encrypt, cryptoCredentialsDetails: { ca: fs.readFileSync(ca) }, serverName: 'localhost' });
  console.log(...(await run(c, 'select encrypt_option from sys.dm_exec_connections'))[0]);
  c.close();
}
`)
	logins := s.Logins()
	if out != "TRUE\nTRUE\n" || len(logins) != 2 || logins[0].Strict || !logins[1].Strict {
		t.Errorf("%s, %+v", out, logins)
	}
}

func TestTediousRouting(t *testing.T) {
	behind := start(t, tdsserver.Config{})
	gateway := start(t, tdsserver.Config{RouteTo: behind.Addr().String()})
	out := tedious(t, gateway, "const c = await open(); console.log(...(await run(c, 'select db_name()'))[0]); c.close();")
	if out != "shop\n" || len(gateway.Logins()) != 1 || len(behind.Logins()) != 1 {
		t.Errorf("%s, %d, %d", out, len(gateway.Logins()), len(behind.Logins()))
	}
}
