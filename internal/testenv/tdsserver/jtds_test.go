package tdsserver_test

import (
	"fmt"
	"strings"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// A driver of TDS 7.1.
func TestJTDS(t *testing.T) {
	java, jar := testenv.JTDS(t)
	source := `
import java.sql.*;
public class Query {
  public static void main(String[] args) throws Exception {
    Class.forName("net.sourceforge.jtds.jdbc.Driver");
    try (Connection c = DriverManager.getConnection(args[0]);
         PreparedStatement s = c.prepareStatement("select suser_name(), db_name(), ?, ?")) {
      s.setInt(1, 7);
      s.setString(2, "text");
      ResultSet r = s.executeQuery();
      r.next();
      System.out.println(r.getString(1) + " " + r.getString(2) + " " + r.getInt(3) + " " + r.getString(4));
    } catch (SQLException e) {
      System.out.println(e.getErrorCode() + " " + e.getSQLState() + " " + e.getMessage());
    }
  }
}
`
	program := testenv.WriteFile(t, "Query.java", source)
	s := start(t, tdsserver.Config{})
	for _, c := range []struct{ options, want string }{
		{"ssl=off;user=plain;password=plain1", "plain shop 7 text\n"},
		{"ssl=off;user=plain;password=plain1;prepareSQL=2", "plain shop 7 text\n"},
		{"ssl=off;user=plain;password=wrong", "18456 28000 Login failed for user 'plain'.\n"},
	} {
		url := fmt.Sprintf("jdbc:jtds:sqlserver://127.0.0.1:%d/shop;%s", s.Addr().Port, c.options)
		out, err := testenv.Command(t, nil, java, "-cp", jar, program, url)
		if err != nil && strings.Contains(out, "jdk.compiler") {
			t.Skip("java cannot run source files: no compiler module")
		}
		if err != nil || out != c.want {
			t.Errorf("%s: %v: %s", c.options, err, out)
		}
	}
}
