package testenv

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// Database is the database of every server; each user may do anything in it.
const Database = "app"

// User is a role of the test servers.
type User struct {
	Name string
	// Password is random for each run, so that finding it in an output
	// proves a leak. Empty where the method takes none.
	Password string
}

// Users are the roles that every server knows. The name says how the server
// lets them in; except for Admin they are ordinary roles.
type Users struct {
	Admin     User // superuser, SCRAM
	Trust     User // no password asked
	Reject    User // always refused by pg_hba.conf (28000)
	Cleartext User // password in clear text
	MD5       User
	SCRAM     User // SCRAM-SHA-256, with -PLUS offered over TLS; may replicate
	Cert      User // client certificate only, over TLS
	CertSCRAM User // client certificate and SCRAM, over TLS
	TLSOnly   User // SCRAM over TLS; refused without it
	PlainOnly User // SCRAM without TLS; refused over it
	Full      User // SCRAM; always over its connection limit (53300)
	NoLogin   User // SCRAM; may not log in (28000)
}

func newUsers() *Users {
	u := func(name string) User { return User{Name: name, Password: "pw-" + name + "-" + rand.Text()} }
	return &Users{
		Admin:     u("admin"),
		Trust:     User{Name: "trusty"},
		Reject:    u("reject"),
		Cleartext: u("cleartext"),
		MD5:       u("md5user"),
		SCRAM:     u("scram"),
		Cert:      User{Name: "cert"},
		CertSCRAM: u("certscram"),
		TLSOnly:   u("tlsonly"),
		PlainOnly: u("plainonly"),
		Full:      u("full"),
		NoLogin:   u("nologin"),
	}
}

// sql makes the roles and the database, one statement a line, as the server's
// single-user mode reads it.
func (u *Users) sql() string {
	var b strings.Builder
	role := func(r User, options string) {
		fmt.Fprintf(&b, "CREATE ROLE %s %s", r.Name, options)
		if r.Password != "" {
			fmt.Fprintf(&b, " PASSWORD '%s'", r.Password)
		}
		b.WriteByte('\n')
	}
	b.WriteString("SET password_encryption = 'md5'\n")
	role(u.MD5, "LOGIN")
	b.WriteString("SET password_encryption = 'scram-sha-256'\n")
	for _, r := range []User{u.Trust, u.Reject, u.Cleartext, u.Cert, u.CertSCRAM, u.TLSOnly, u.PlainOnly} {
		role(r, "LOGIN")
	}
	role(u.SCRAM, "LOGIN REPLICATION")
	role(u.Full, "LOGIN CONNECTION LIMIT 0")
	role(u.NoLogin, "NOLOGIN")
	fmt.Fprintf(&b, "CREATE DATABASE %s\n", Database)
	return b.String()
}

// hba is pg_hba.conf. Replication is a database of its own there.
func (u *Users) hba() string {
	var b strings.Builder
	rule := func(kind string, r User, method string) {
		for _, db := range []string{"all", "replication"} {
			if kind == "local" {
				fmt.Fprintf(&b, "local %s %s %s\n", db, r.Name, method)
				continue
			}
			for _, net := range []string{"127.0.0.1/32", "::1/128"} {
				fmt.Fprintf(&b, "%s %s %s %s %s\n", kind, db, r.Name, net, method)
			}
		}
	}
	both := func(r User, method string) {
		rule("local", r, method)
		rule("host", r, method)
	}
	both(u.Trust, "trust")
	both(u.Reject, "reject")
	both(u.Cleartext, "password")
	both(u.MD5, "md5")
	rule("hostssl", u.Cert, "cert")
	rule("hostssl", u.CertSCRAM, "scram-sha-256 clientcert=verify-full")
	rule("hostssl", u.TLSOnly, "scram-sha-256")
	rule("hostnossl", u.PlainOnly, "scram-sha-256")
	for _, r := range []User{u.Admin, u.SCRAM, u.Full, u.NoLogin} {
		both(r, "scram-sha-256")
	}
	return b.String()
}
