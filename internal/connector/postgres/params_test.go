package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/testenv"
)

func TestToTarget(t *testing.T) {
	client := func(pairs ...string) startup {
		s, err := parseStartup(startupPacket(pgproto3.ProtocolVersion32, pairs...)[4:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	own := settings{username: "app", parameters: []parameter{{"application_name", "from vault"}, {"search_path", "prod"}}}
	withDatabase := own
	withDatabase.database = "orders"
	tests := map[string]struct {
		client   startup
		settings settings
		enforce  []string
		want     string
	}{
		"the client's database":     {client("user", "me", "database", "shop"), settings{username: "app"}, nil, "user=app database=shop"},
		"the client's user":         {client("user", "me"), settings{username: "app"}, nil, "user=app database=me"},
		"neither":                   {client(), settings{username: "app"}, nil, "user=app"},
		"the credential's database": {client("user", "me", "database", "shop"), withDatabase, nil, "user=app database=orders application_name=from vault search_path=prod"},
		"order and duplicates kept": {client("b", "2", "user", "me", "a", "1", "b", "3", "database", "d"), settings{username: "app"}, nil, "user=app database=d b=2 a=1 b=3"},
		"client wins":               {client("database", "d", "application_name", "psql", "SEARCH_PATH", "mine"), own, nil, "user=app database=d application_name=psql SEARCH_PATH=mine"},
		"enforced wins":             {client("database", "d", "application_name", "psql", "SEARCH_PATH", "mine", "search_path", "mine"), own, []string{"search_path"}, "user=app database=d application_name=psql search_path=prod"},
		"protocol options pass":     {client("database", "d", "_pq_.command_tag", "x", "replication", "database"), settings{username: "app"}, nil, "user=app database=d _pq_.command_tag=x replication=database"},
		"user cannot be smuggled":   {client("user", "postgres", "database", "d", "user", "postgres"), settings{username: "app"}, nil, "user=app database=d"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := toTarget(test.client, test.settings, test.enforce)
			var shown []string
			for _, p := range got.parameters {
				shown = append(shown, p.name+"="+p.value)
			}
			if s := strings.Join(shown, " "); s != test.want {
				t.Errorf("got  %s\nwant %s", s, test.want)
			}
			if got.version != test.client.version {
				t.Error("the version changed")
			}
		})
	}
}

func TestStartupEncode(t *testing.T) {
	in := startupPacket(pgproto3.ProtocolVersion30, "user", "a", "database", "", "x", "y")
	parsed, err := parseStartup(in[4:])
	if err != nil {
		t.Fatal(err)
	}
	if out, err := parsed.encode(nil); err != nil || string(out) != string(in) {
		t.Errorf("%q, %v", out, err)
	}
	for name, test := range map[string]struct {
		p    parameter
		want string
	}{
		"NUL in value": {parameter{"search_path", "a\x00user\x00postgres"}, `startup parameter "search_path" is empty or holds a NUL byte`},
		"NUL in name":  {parameter{"a\x00b", "c"}, `startup parameter "a\x00b" is empty or holds a NUL byte`},
		"empty name":   {parameter{"", "c"}, `startup parameter "" is empty or holds a NUL byte`},
		"too long":     {parameter{"a", strings.Repeat("x", 10_000)}, "startup parameters take 10008 bytes, more than the 10000 that PostgreSQL accepts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := startup{parameters: []parameter{test.p}}.encode(nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestParametersAtServer(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	c := creds(s, s.Users.SCRAM, "application_name", "from vault", "search_path", "prod", "database", testenv.Database)
	f := newFront(t, Config{Enforce: []string{"search_path"}}, c)
	const query = "select current_setting('application_name') || ' ' || current_setting('search_path') || ' ' || current_database()"
	for options, want := range map[string]string{
		"": "from vault prod app",
		"application_name=mine search_path=mine dbname=postgres": "mine prod app",
	} {
		if got, err := ask(t, f, query, options); err != nil || got != want {
			t.Errorf("%q: got %q, %v", options, got, err)
		}
	}
}

func TestReplication(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	f := newFront(t, Config{}, creds(s, s.Users.SCRAM))
	for _, mode := range []string{"true", "database"} {
		conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%s user=x dbname=app sslmode=disable replication=%s", f.Port(), mode))
		if err != nil {
			t.Fatal(err)
		}
		results, err := conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
		if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
			t.Errorf("%s: %v, %v", mode, results, err)
		}
		_ = conn.Close(context.Background())
	}
}

// Minor versions and options are the target's to negotiate.
func TestProtocolVersions(t *testing.T) {
	tests := map[string]struct {
		server  int
		version uint32
		key     int
		newest  int // answered by NegotiateProtocolVersion; -1 for none
	}{
		"3.0 at 15":    {15, pgproto3.ProtocolVersion30, 4, -1},
		"3.2 at 15":    {15, pgproto3.ProtocolVersion32, 4, 0},
		"3.2 at 18":    {18, pgproto3.ProtocolVersion32, 32, -1},
		"3.9999 at 18": {18, 3<<16 | 9999, 32, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := testenv.Postgres(t, testenv.PG{Version: test.server})
			f := newFront(t, Config{}, creds(s, s.Users.SCRAM))
			conn := dial(t, f)
			_, _ = conn.Write(startupPacket(test.version, "user", "x", "database", testenv.Database, "_pq_.unknown", "1"))
			kinds, key, newest := login3(t, conn)
			if key != test.key {
				t.Errorf("cancel key of %d bytes, want %d", key, test.key)
			}
			// An unknown option is answered by a negotiation in any case.
			if want := max(test.newest, 0); kinds[0] != 'v' || test.newest >= 0 && newest != want {
				t.Errorf("messages %q, newest minor version %d, want %d", kinds, newest, want)
			}
			if i := slices.Index(kinds, 'R'); i != 1 {
				t.Errorf("messages %q: the negotiation must come before AuthenticationOk", kinds)
			}
		})
	}
}

// login3 reads up to ReadyForQuery.
func login3(t *testing.T, conn net.Conn) (kinds []byte, key, newest int) {
	t.Helper()
	for {
		kind, body, err := readMessage(conn)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, kind)
		switch kind {
		case 'K':
			key = len(body) - 4
		case 'v':
			var m pgproto3.NegotiateProtocolVersion
			if err := m.Decode(body); err != nil {
				t.Fatal(err)
			}
			newest = int(m.NewestMinorProtocol & 0xffff)
		case 'E':
			t.Fatalf("%q", body)
		case 'Z':
			return kinds, key, newest
		}
	}
}

// A login parameter of the service that does not fit is the user's to mend.
func TestUnusableParameter(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1", "username": "a", "search_path": "a\x00user\x00postgres"})
	want := `08004 secretless: startup parameter "search_path" is empty or holds a NUL byte`
	if got := shown(t, nil, talk(t, f, plainStartup)); got != want {
		t.Error(got)
	}
}

// The target sees the client's packet with the service's user.
func TestPacketForTarget(t *testing.T) {
	got := make(chan []byte, 1)
	fake := newFakeTarget(t, func(conn net.Conn) {
		whole, _ := readPacket(conn)
		got <- whole
		_, _ = conn.Write(welcome(t))
		_, _ = io.Copy(io.Discard, conn)
	})
	f := newFront(t, Config{}, fake.creds("application_name", "svc"))
	conn := dial(t, f)
	_, _ = conn.Write(startupPacket(pgproto3.ProtocolVersion32, "user", "me", "client_encoding", "UTF8"))
	want := startupPacket(pgproto3.ProtocolVersion32, "user", "app", "database", "me", "client_encoding", "UTF8", "application_name", "svc")
	if whole := <-got; string(whole) != string(want) {
		t.Errorf("got  %q\nwant %q", whole, want)
	}
}
