//go:build unix

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"secretless/internal/testenv"
	"secretless/internal/testenv/awsserver"
)

const (
	awsKeyID     = "AKIDEXAMPLE000000001"
	awsKeySecret = "wJalr-Secret-Key-4f6b"
	rdsHost      = "orders.c9akciq32.eu-west-1.rds.amazonaws.com:5432"
)

// amazon is a double of AWS, and the environment of a broker that uses it and
// nothing of this machine.
func amazon(t *testing.T, env map[string]string) *awsserver.Server {
	t.Helper()
	s, err := awsserver.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.AddKey(awsserver.Key{ID: awsKeyID, Secret: awsKeySecret})
	none := t.TempDir() + "/none"
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_ACCESS_KEY_ID": awsKeyID, "AWS_SECRET_ACCESS_KEY": awsKeySecret, "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
	} {
		env[name] = value
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true") // the SDK reads the process's
	t.Setenv("AWS_PROFILE", "")
	return s
}

// chatty makes the double answer with the secret in an error.
func chatty(s *awsserver.Server, password string) func() {
	return func() {
		s.Misbehave(awsserver.Fault{Kind: awsserver.Refuse, Code: "NewException", Text: "cannot use " + password + " of " + awsKeySecret})
	}
}

func awsPlace(t *testing.T, env map[string]string, password string) place {
	s := amazon(t, env)
	s.SetSecret("prod/canary", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", `{"password":"`+password+`"}`)}})
	return place{
		password: `{ from: aws, get: "prod/canary#password" }`, missing: `{ from: aws, get: "prod/canary#no" }`,
		broken: `{ from: aws, get: "prod/broken" }`, breakDown: chatty(s, password), secrets: []string{awsKeySecret},
	}
}

func ssmPlace(t *testing.T, env map[string]string, password string) place {
	s := amazon(t, env)
	s.SetParameter("/prod/canary", awsserver.Parameter{Type: "SecureString", Values: []string{password}})
	return place{
		password: `{ from: aws-ssm, get: /prod/canary }`, missing: `{ from: aws-ssm, get: /prod/no }`,
		broken: `{ from: aws-ssm, get: /prod/broken }`, breakDown: chatty(s, password), secrets: []string{awsKeySecret},
	}
}

// rdsPlace makes tokens, which a database that is none of RDS refuses.
func rdsPlace(t *testing.T, env map[string]string, _ string) place {
	amazon(t, env)
	delete(env, "AWS_REGION")
	return place{
		password: `{ from: aws-rds-iam, get: "app@` + rdsHost + `" }`, missing: `{ from: aws-rds-iam, get: "app@db.internal:5432" }`,
		other: true, secrets: []string{awsKeySecret},
	}
}

// A secret is rotated between two accounts, while clients connect as fast as
// they can: user and password are always of one version, and nobody sees an
// error.
func TestSecretOfSecretsManagerRotates(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PG{})
	admin, err := pgx.Connect(t.Context(), server.DSN(server.Users.Admin))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(context.Background()) }()
	r := prepare(t)
	s := amazon(t, r.env)
	roles := []testenv.User{server.Users.SCRAM, server.Users.PlainOnly}
	rotate := func(n int) string {
		role, password := roles[n%2].Name, fmt.Sprintf("rotated-%d", n)
		if _, err := admin.Exec(t.Context(), fmt.Sprintf("alter role %s password '%s'", pgx.Identifier{role}.Sanitize(), password)); err != nil {
			t.Fatal(err)
		}
		s.SetSecret("db", awsserver.Secret{Versions: []awsserver.Version{
			awsserver.Text(fmt.Sprint(n), fmt.Sprintf(`{"username":%q,"password":%q}`, role, password)),
		}})
		return role
	}
	rotate(0)
	r.run(fmt.Sprintf(`version: "2"
services:
  db:
    connector: pg
    listenOn: unix://%s/.s.PGSQL.5432
    credentials:
      host: 127.0.0.1
      port: %d
      sslmode: disable
      username: { from: aws, get: "db#username" }
      password: { from: aws, get: "db#password" }
providers:
  aws: { type: aws, cache: 100ms }
`, r.dir, server.Port))
	clients := visit(8, r.socketDSN())
	defer clients.stop()
	for n := 1; n <= 20; n++ {
		clients.await(r, rotate(n))
	}
	if r.log.has("rotated-") || r.log.has(awsKeySecret) {
		t.Error("a secret is in the log")
	}
}
