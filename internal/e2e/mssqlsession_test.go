//go:build unix

package e2e

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// A statement is cancelled through the broker and the session lives on.
func TestMSSQLCancel(t *testing.T) {
	for _, sslmode := range []string{"disable", "require", "strict"} {
		server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
		r := startMSSQL(t, mssqlService{port: server.Addr().Port, sslmode: sslmode, more: pemLines(testenv.KeyPair{}, testenv.CA(t).CAPEM)})
		db := openMSSQL(t, r.mssqlDSN(), "")
		db.SetMaxOpenConns(1)
		before := mssqlText(t, db, "select @@spid")
		for _, query := range []string{
			"waitfor delay '01:00'", "select value, replicate(N'x', 3000) from generate_series(1, 1000000000)",
		} {
			// Not a deadline: after one the driver gives up the connection.
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(100*time.Millisecond, cancel)
			err := readAll(ctx, db, query, io.Discard)
			timer.Stop()
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %s: %v", sslmode, query, err)
			}
			if after := mssqlText(t, db, "select @@spid"); after != before {
				t.Errorf("%s: another session after %s", sslmode, query)
			}
		}
	}
}

// readAll writes the columns of all rows to w.
func readAll(ctx context.Context, db *sql.DB, query string, w io.Writer) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n, text string
		if err := rows.Scan(&n, &text); err != nil {
			return err
		}
		if _, err := io.WriteString(w, n+text); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Results and parameters larger than every buffer on the way arrive whole, with
// small and with large packets.
func TestMSSQLLargeData(t *testing.T) {
	const query = "select value, replicate(N'xyż', value % 1000) from generate_series(1, 2000)"
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	hash := func(db *sql.DB) [32]byte {
		h := sha256.New()
		if err := readAll(t.Context(), db, query, h); err != nil {
			t.Error(err)
		}
		return [32]byte(h.Sum(nil))
	}
	direct := (&running{port: server.Addr().Port}).mssqlDSN()
	direct = strings.Replace(direct, "somebody:nobodys", url.UserPassword(mssqlUser.Name, mssqlUser.Password).String(), 1)
	want := hash(openMSSQL(t, direct, ""))
	for _, sslmode := range []string{"disable", "require"} {
		r := startMSSQL(t, mssqlService{port: server.Addr().Port, sslmode: sslmode})
		for size, socket := range map[string]string{"512": "", "16383": r.mssqlSocket(), "32767": ""} {
			db := openMSSQL(t, r.mssqlDSN("packet size="+size), socket)
			if hash(db) != want {
				t.Errorf("%s, %s: another result than without the broker", sslmode, size)
			}
			sent := strings.Repeat("żx", 200_000)
			var back string
			if err := db.QueryRowContext(t.Context(), "select @p1", sent).Scan(&back); err != nil || back != sent {
				t.Errorf("%s, %s: %d bytes came back of %d, %v", sslmode, size, len(back), len(sent), err)
			}
		}
	}
}

// What a pool does between two uses of a connection, and transactions.
func TestMSSQLResetAndTransactions(t *testing.T) {
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	r := startMSSQL(t, mssqlService{port: server.Addr().Port, sslmode: "require"})
	db := openMSSQL(t, r.mssqlDSN(), r.mssqlSocket())
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "use master"); err != nil {
		t.Fatal(err)
	}
	if got := mssqlText(t, db, "select db_name()"); got != "shop" {
		t.Errorf("the session was not reset: %s", got)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var depth int
	if err := tx.QueryRowContext(t.Context(), "select @@trancount").Scan(&depth); err != nil || depth != 1 {
		t.Error(depth, err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if got := mssqlText(t, db, "select @@trancount"); got != "0" {
		t.Error(got)
	}
	if n := len(server.Logins()); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// A changed password is picked up, and a refusal for a stale one is not the end.
func TestMSSQLRotatedPasswordFile(t *testing.T) {
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	r := prepare(t)
	file := filepath.Join(r.dir, "password")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(mssqlUser.Password)
	yaml := r.mssqlYAML(mssqlService{port: server.Addr().Port})
	yaml = strings.Replace(yaml, "from: env, get: DB_PASSWORD", "from: kept, get: "+file, 1)
	r.run(yaml + "providers:\n  kept: { type: file, cache: 1h }\n")
	for i := range 3 {
		if got := mssqlText(t, openMSSQL(t, r.mssqlDSN(), ""), "select suser_name()"); got != mssqlUser.Name {
			t.Error(got)
		}
		next := fmt.Sprintf("the next one %d", i)
		server.SetUser(tdsserver.User{Name: mssqlUser.Name, Password: next})
		write(next)
	}
	refused := 0
	for _, l := range server.Logins() {
		if l.Err == 18456 {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d logins were refused, want one after each change: %+v", refused, server.Logins())
	}
}
