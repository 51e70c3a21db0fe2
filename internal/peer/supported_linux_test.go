package peer

import (
	"errors"
	"strings"
	"testing"
)

func TestSupported(t *testing.T) {
	for _, test := range []struct{ network, address, refuse string }{
		{"unix", "/run/x.sock", ""},
		{"tcp", "127.0.0.1:5432", ""},
		{"tcp", "127.8.9.10:5432", ""},
		{"tcp", "[::1]:5432", ""},
		{"tcp", "[::ffff:127.0.0.1]:5432", ""},
		{"tcp", "localhost:5432", ""},
		{"tcp", ":5432", "without a host it is open to other machines"},
		{"tcp", "0.0.0.0:5432", "0.0.0.0 is not a loopback address"},
		{"tcp", "[::]:5432", ":: is not a loopback address"},
		{"tcp", "192.0.2.1:5432", "192.0.2.1 is not a loopback address"},
		{"tcp", "[::ffff:192.0.2.1]:5432", "is not a loopback address"},
		{"tcp", "nowhere.invalid:5432", "nowhere.invalid"},
		{"tcp", "5432", "missing port"},
		{"systemd", "pg", `"systemd" is neither tcp nor unix`},
		{"udp", "127.0.0.1:1", `"udp" is neither tcp nor unix`},
	} {
		err := Supported(test.network, test.address)
		if test.refuse == "" {
			if err != nil {
				t.Errorf("%s %s: %v", test.network, test.address, err)
			}
			continue
		}
		var unsupported *Unsupported
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), test.refuse) {
			t.Errorf("%s %s: error is %v, want %q", test.network, test.address, err, test.refuse)
		}
	}
}
