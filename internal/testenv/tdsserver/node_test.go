package tdsserver_test

import (
	"slices"
	"strings"
	"testing"

	"secretless/internal/testenv/tdsserver"
)

func tedious(t *testing.T, s *tdsserver.Server, program string) string {
	t.Helper()
	out, err := place(s).Tedious(t, program)
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return out
}

func TestTedious(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	out := tedious(t, s, `
const c = await open({ appName: 'node', packetSize: 16384, readOnlyIntent: true });
console.log(...(await run(c, 'select suser_name(), db_name(), app_name()'))[0]);
console.log(...(await run(c, 'select @n + 1, @s', [['n', TYPES.Int, 41], ['s', TYPES.NVarChar, 'żółć']]))[0]);
console.log((await run(c, "select value, replicate(N'x', 100) from generate_series(1, 5000)")).length);
console.log((await run(c, "select replicate(cast(N'x' as nvarchar(max)), 300000)"))[0][0].length);
await run(c, "raiserror('no', 16, 3)").catch((e) => console.log(e.number, e.state, e.message));
let request;
const waiting = run(c, "waitfor delay '01:00'", [], (r) => { request = r; });
setTimeout(() => request.cancel(), 50);
await waiting.catch((e) => console.log(e.code));
await run(c, 'select @s', [['s', TYPES.NVarChar, 'x'.repeat(5000000)]], (r) => r.cancel()).catch((e) => console.log(e.code));
await once((done) => c.beginTransaction(done));
console.log(...(await run(c, 'select @@trancount'))[0]);
await once((done) => c.commitTransaction(done));
await once((done) => c.reset(done));
console.log(...(await run(c, 'select @@trancount'))[0]);
c.close();
`)
	want := "plain shop node\n42 żółć\n5000\n300000\n50000 3 no\nECANCEL\nECANCEL\n1\n0\n"
	if out != want {
		t.Errorf("%s, want %s", out, want)
	}
	if l := s.LastLogin(); l.AppName != "node" || l.PacketSize != 16384 || !l.ReadOnlyIntent || !slices.Contains(l.Features, 0x0A) {
		t.Errorf("%+v", l)
	}
}

func TestTediousErrors(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	behind := start(t, tdsserver.Config{})
	gateway := start(t, tdsserver.Config{RouteTo: behind.Addr().String()})
	out := tedious(t, gateway, "const c = await open(); console.log(...(await run(c, 'select db_name()'))[0]); c.close();")
	if out != "shop\n" || len(gateway.Logins()) != 1 || len(behind.Logins()) != 1 {
		t.Errorf("%s, %d, %d", out, len(gateway.Logins()), len(behind.Logins()))
	}
}
