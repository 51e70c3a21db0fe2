package mysql

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

func facadeCreds(s *testenv.FacadeServer, more ...string) map[string]string {
	u := s.Users.Native
	out := map[string]string{"host": "127.0.0.1", "port": strconv.Itoa(s.Port), "username": u.Name, "password": u.Password, "sslmode": "disable"}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// MySQL 8's ways to log in, with a client that knows each of them.
func TestMySQL8Methods(t *testing.T) {
	for name, facade := range map[string]testenv.Facade{
		"caching_sha2, fast": {},
		"caching_sha2, full": {FullAuth: true},
		"sha256":             {Method: pluginSHA256},
		"native":             {Method: pluginNative},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.NewMySQLFacade(t, facade)
			for _, mode := range []string{"disable", "require", "verify-full"} {
				for _, greeting := range []string{greetLearned, greetTarget} {
					f := newFront(t, Config{Greeting: greeting}, facadeCreds(s, "sslmode", mode, "sslrootcert", s.CA.CAPEM))
					for round := range 3 {
						got, err := ask(t, nobody(f), "select substring_index(current_user(), '@', 1)")
						if err != nil || got != s.Users.Native.Name {
							t.Fatalf("%s, greeting %s, round %d: %q, %v", mode, greeting, round, got, err)
						}
					}
				}
			}
		})
	}
}

func TestMySQL8WrongPassword(t *testing.T) {
	for _, facade := range []testenv.Facade{{}, {FullAuth: true}, {Method: pluginSHA256}} {
		s := testenv.MySQLFacade(t, facade)
		for _, mode := range []string{"disable", "require"} {
			f := newFront(t, Config{}, facadeCreds(s, "password", "nope", "sslmode", mode))
			if got := shown(t, nil, talk(t, f, plainResponse().packet(1))); !strings.HasPrefix(got, "1045 28000 Access denied") {
				t.Errorf("%+v, %s: %s", facade, mode, got)
			}
		}
	}
}

// The key that a password is encrypted with could be anybody's: whoever does
// that without TLS is told once.
func TestUnverifiedKeyIsWarnedOf(t *testing.T) {
	s := testenv.NewMySQLFacade(t, testenv.Facade{FullAuth: true})
	var log bytes.Buffer
	f := newFront(t, Config{}, facadeCreds(s))
	f.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		if _, err := ask(t, nobody(f), "select 'x'"); err != nil {
			t.Fatal(err)
		}
	}
	f.Finish()
	if n := strings.Count(log.String(), "public key that nobody has verified"); n != 1 || strings.Contains(log.String(), s.Users.Native.Password) {
		t.Errorf("%d warnings: %s", n, log.String())
	}
}
