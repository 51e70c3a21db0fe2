package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const (
	mariadbd  = "/usr/sbin/mariadbd"
	installDB = "/usr/bin/mariadb-install-db"
)

// mariadbFast are the options that make it small and quick: what it loses if
// the machine stops is of no interest.
var mariadbFast = []string{
	"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--skip-log-bin",
	"--innodb-buffer-pool-size=32M", "--innodb-log-file-size=32M", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=8M",
	"--skip-performance-schema",
}

// mariadbTemplate is an empty data directory, copied for each server.
func (e *environment) mariadbTemplate() (string, error) {
	base, err := e.baseDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "mariadb")
	if err := ownedDir(dir); err != nil {
		return "", err
	}
	return dir, run("", installDB, append([]string{
		"--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
		"--datadir=" + dir,
	}, mariadbFast...)...)
}

func (s *MariaServer) program() (program, error) {
	args := slices.Concat([]string{
		"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.dir, "--socket=" + s.Socket(), "--pid-file=" + s.file("pid"),
		"--init-file=" + s.file("users.sql"), "--plugin-load-add=auth_ed25519", "--skip-name-resolve", "--max-connections=400",
		"--max-allowed-packet=64M", "--local-infile=ON", "--skip-log-error", "--character-set-server=utf8mb4",
	}, mariadbFast)
	if s.NoTLS {
		args = append(args, "--skip-ssl")
	} else {
		args = append(args, "--ssl-cert="+s.file("server.crt"), "--ssl-key="+s.file("server.key"), "--ssl-ca="+s.file("ca.crt"),
			"--tls-version=TLSv1.2,TLSv1.3")
	}
	args = append(args, strings.Fields(s.Options)...)
	return program{
		Path: mariadbd,
		Args: append(args, fmt.Sprintf("--port=%d", s.Port), "--bind-address="+loopback(s.IPv6)),
	}, nil
}

// answers asks on the socket. The server opens its sockets last, after it has
// made the accounts.
func (s *MariaServer) answers(ctx context.Context) error {
	connector, err := mysql.NewConnector(mysqlConfig("unix", s.Socket(), s.Users.Admin))
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}
