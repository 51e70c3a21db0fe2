package testenv

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// MariaUsers are the accounts of every MariaDB server. The name says how the
// server lets them in; all may do anything in Database, unless said otherwise.
type MariaUsers struct {
	Admin   User // may do anything anywhere; mysql_native_password
	Native  User // mysql_native_password
	Ed25519 User // MariaDB's client_ed25519
	TLSOnly User // mysql_native_password, REQUIRE SSL: 1045 without it
	X509    User // mysql_native_password, REQUIRE X509: a certificate of CA, with any name
	Empty   User // mysql_native_password without a password
	Limited User // mysql_native_password; may use no database: 1044
	Full    User // mysql_native_password; one login an hour, then 1226
	Locked  User // mysql_native_password; ACCOUNT LOCK (4151)
	Expired User // mysql_native_password; the password has expired (1820 for every statement)
}

func newMariaUsers() *MariaUsers {
	u := func(name string) User { return User{Name: name, Password: "pw-" + name + "-" + rand.Text()} }
	return &MariaUsers{
		Admin: u("admin"), Native: u("native"), Ed25519: u("ed25519"), TLSOnly: u("tlsonly"), X509: u("x509"),
		Empty: User{Name: "nopassword"}, Limited: u("limited"), Full: u("full"), Locked: u("locked"), Expired: u("expired"),
	}
}

// sql makes the accounts and the database; the server runs it when it starts,
// so running it again changes nothing.
func (u *MariaUsers) sql() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb4;\n", Database)
	create := func(user User, plugin, options string) {
		fmt.Fprintf(&b, "CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED VIA %s USING PASSWORD('%s') %s;\n",
			user.Name, plugin, user.Password, options)
		if user.Name != u.Limited.Name {
			fmt.Fprintf(&b, "GRANT ALL ON %s.* TO '%s'@'%%';\n", Database, user.Name)
		}
	}
	const native = "mysql_native_password"
	create(u.Admin, native, "")
	fmt.Fprintf(&b, "GRANT ALL ON *.* TO '%s'@'%%' WITH GRANT OPTION;\n", u.Admin.Name)
	create(u.Native, native, "")
	create(u.Ed25519, "ed25519", "")
	create(u.TLSOnly, native, "REQUIRE SSL")
	create(u.X509, native, "REQUIRE X509")
	create(u.Empty, native, "")
	create(u.Limited, native, "")
	create(u.Full, native, "WITH MAX_CONNECTIONS_PER_HOUR 1")
	create(u.Locked, native, "ACCOUNT LOCK")
	create(u.Expired, native, "PASSWORD EXPIRE")
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %[1]s.fruit (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL);\n"+
		"INSERT IGNORE INTO %[1]s.fruit VALUES (1, 'apple'), (2, 'pear'), (3, 'quince');\n", Database)
	return b.String()
}
