//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/conjurserver"
)

const conjurKey = "2m8-Conjur-Api-Key-77ab"

func conjurDouble(t *testing.T, env map[string]string) *conjurserver.Server {
	t.Helper()
	s, err := conjurserver.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.SetKey("host/broker", conjurKey)
	env["CONJUR_APPLIANCE_URL"], env["CONJUR_ACCOUNT"] = s.URL, conjurserver.Account
	env["CONJUR_AUTHN_LOGIN"], env["CONJUR_AUTHN_API_KEY"] = "host/broker", conjurKey
	return s
}

// conjurPlace answers in the end with what it should keep to itself.
func conjurPlace(t *testing.T, env map[string]string, password string) place {
	s := conjurDouble(t, env)
	s.Set("canary", conjurserver.Variable{Values: [][]byte{[]byte(password)}})
	return place{
		password: "{ from: conjur, get: canary }", missing: "{ from: conjur, get: nothing }", secrets: []string{conjurKey},
		broken: "{ from: conjur, get: broken }", breakDown: func() { s.Misbehave(conjurserver.Broken, "/", password+" "+conjurKey) },
	}
}

// Conjur forgets all tokens, as when it is restored, while clients connect as
// fast as they can: nobody sees an error, and nothing logs in more than it must.
func TestConjurForgetsTokens(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	s := conjurDouble(t, r.env)
	user := server.Users.SCRAM
	s.Set("db/user", conjurserver.Variable{Values: [][]byte{[]byte(user.Name)}})
	s.Set("db/password", conjurserver.Variable{Values: [][]byte{[]byte(user.Password)}})
	r.run(fmt.Sprintf(`version: "2"
services:
  db:
    connector: pg
    listenOn: unix://%s/.s.PGSQL.5432
    credentials:
      host: 127.0.0.1
      port: %d
      sslmode: disable
      username: { from: now, get: db/user }
      password: { from: now, get: db/password }
providers:
  now: { type: conjur, cache: 0s }
`, r.dir, server.Port))
	clients := visit(8, r.socketDSN())
	defer clients.stop()
	const times = 20
	for range times {
		s.RevokeTokens()
		clients.await(r, user.Name)
	}
	if n := s.Count("/authn"); n > times+1 {
		t.Errorf("%d logins for %d tokens", n, times+1)
	}
}
