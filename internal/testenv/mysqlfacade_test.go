package testenv_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

const (
	cachingSHA2 = "caching_sha2_password"
	sha256      = "sha256_password"
	native      = "mysql_native_password"
)

func TestFacadeLogsInByEachMethod(t *testing.T) {
	for _, method := range []string{cachingSHA2, sha256, native} {
		f := testenv.MySQLFacade(t, testenv.Facade{Method: method})
		verified := f.CA.MySQLTLS(t, testenv.KeyPair{})
		for name, c := range map[string]struct {
			user     testenv.User
			tls      *tls.Config
			database string
			want     uint16
		}{
			"plain":            {user: f.Users.Native},
			"tls":              {user: f.Users.Native, tls: verified},
			"admin":            {user: f.Users.Admin, tls: verified},
			"wrong":            {user: testenv.User{Name: f.Users.Native.Name, Password: "wrong"}, want: 1045},
			"wrong, tls":       {user: testenv.User{Name: f.Users.Native.Name, Password: "wrong"}, tls: verified, want: 1045},
			"nobody":           {user: testenv.User{Name: "nobody", Password: "x"}, want: 1045},
			"unknown database": {user: f.Users.Native, database: "nonesuch", want: 1049},
		} {
			t.Run(method+"/"+name, func(t *testing.T) {
				config := f.Config(c.user)
				config.TLS = c.tls
				if c.database != "" {
					config.DBName = c.database
				}
				if number, err := mysqlLogin(t, config); number != c.want || (err == nil) != (c.want == 0) {
					t.Errorf("got %d, %v; want %d", number, err, c.want)
				}
			})
		}
	}
}

// A login's bytes show which kind it was: the fast one ends after
// AuthMoreData 3, the full one goes on after AuthMoreData 4.
func TestFacadeCachesUnlessToldOtherwise(t *testing.T) {
	for _, full := range []bool{false, true} {
		f := testenv.NewMySQLFacade(t, testenv.Facade{FullAuth: full})
		var asked []byte
		for range 2 {
			config := f.Config(f.Users.Native)
			config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, address)
				return &moreData{Conn: c, seen: &asked}, err
			}
			if _, err := mysqlLogin(t, config); err != nil {
				t.Fatal(err)
			}
		}
		if want := map[bool]string{false: "\x04\x03", true: "\x04\x04"}[full]; string(asked) != want {
			t.Errorf("full %v: the server said %q, want %q", full, asked, want)
		}
	}
}

// moreData notes the AuthMoreData packets of two bytes that come in.
type moreData struct {
	net.Conn
	seen *[]byte
}

func (m *moreData) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if i := bytes.Index(p[:n], []byte{2, 0, 0, 2, 1}); i >= 0 && i+5 < n {
		*m.seen = append(*m.seen, p[i+5])
	}
	return n, err
}

// The clients by themselves, before anything is put between.
func TestFacadeTakesItsClients(t *testing.T) {
	f := testenv.MySQLFacade(t, testenv.Facade{FullAuth: true})
	u := f.Users.Native
	ca := testenv.WriteFile(t, "ca.pem", f.CA.CAPEM)
	mariadb := []string{
		testenv.Tool(t, "mariadb"), "--no-defaults", "--host=127.0.0.1", fmt.Sprintf("--port=%d", f.Port), "--user=" + u.Name,
		"--skip-column-names", "--execute=select current_user(); select name from app.fruit where id = 2", "app",
	}
	node, modules := testenv.NodeModule(t, "mysql2")
	mysql2 := `
const [port, user, password, ca] = process.argv.slice(1);
const options = { host: '127.0.0.1', port: +port, user, password, database: 'app', multipleStatements: true };
if (ca) options.ssl = { ca: require('fs').readFileSync(ca) };
(async () => {
  const c = await require('mysql2/promise').createConnection(options);
  const [rows] = await c.query('select current_user() as v; select name as v from fruit where id = 2');
  rows.forEach((r) => console.log(r[0].v));
  const [prepared] = await c.execute('select name from fruit where id = ?', [3]);
  console.log(prepared[0].name);
  await c.end();
})().catch((e) => { console.log('failed', e.message); process.exit(1); });
`
	for name, c := range map[string]struct {
		command []string
		vars    []string
		want    string
	}{
		"mariadb, tls": {append(mariadb, "--ssl-ca="+ca), []string{"MYSQL_PWD=" + u.Password}, "native@%\npear\n"},
		"mariadb, rsa": {append(mariadb, "--skip-ssl"), []string{"MYSQL_PWD=" + u.Password}, "native@%\npear\n"},
		"mysql2, rsa": {
			[]string{node, "-e", mysql2, fmt.Sprint(f.Port), u.Name, u.Password},
			[]string{"NODE_PATH=" + modules},
			"native@%\npear\nquince\n",
		},
		"mysql2, tls": {
			[]string{node, "-e", mysql2, fmt.Sprint(f.Port), u.Name, u.Password, ca},
			[]string{"NODE_PATH=" + modules},
			"native@%\npear\nquince\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := testenv.Command(t, c.vars, c.command[0], c.command[1:]...)
			if err != nil || out != c.want {
				t.Errorf("got %q (%v), want %q", out, err, c.want)
			}
		})
	}
}

func TestFacadePassesErrorsOn(t *testing.T) {
	f := testenv.MySQLFacade(t, testenv.Facade{})
	db, err := testenv.Connect(t, f.Config(f.Users.Native))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "select * from nonesuch")
	if err == nil || !strings.Contains(err.Error(), "Error 1146 (42S02)") {
		t.Errorf("got %v", err)
	}
}

// TestHoldMySQL is not a test of its own: the next one runs it in a process
// that it kills.
func TestHoldMySQL(t *testing.T) {
	if os.Getenv(holdServer) == "" {
		t.Skip("only for TestMySQLServersDieWithTheProcess")
	}
	f := testenv.MySQLFacade(t, testenv.Facade{})
	s := testenv.MariaDB(t, testenv.Maria{})
	fmt.Printf("servers at %s %s\n", f.TCP(), s.TCP())
	time.Sleep(time.Minute)
}

func TestMySQLServersDieWithTheProcess(t *testing.T) {
	if !testenv.CanBindToProcess() {
		t.Skip("this platform cannot end a child with its parent")
	}
	testenv.MySQLFacade(t, testenv.Facade{}) // skips where there is no MariaDB
	cmd := exec.Command(os.Args[0], "-test.run=^TestHoldMySQL$", "-test.v")
	cmd.Env = append(os.Environ(), holdServer+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for lines := bufio.NewScanner(out); addresses == nil && lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "servers at "); ok {
			addresses = strings.Fields(rest)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if len(addresses) != 2 {
		t.Fatal("the other process started no servers")
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, address := range addresses {
		for {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			_ = conn.Close()
			if time.Now().After(deadline) {
				t.Fatalf("%s outlives the process that started it", address)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
