package peer

import (
	"errors"
	"testing"
)

func TestNewPolicyErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		allow Allow
		want  string
	}{
		{"empty", Allow{}, "allow: lists nobody; list users, groups or executables, or leave allow out to let in everyone who reaches the address"},
		{"all at once", Allow{
			Users:       []string{"root", "no-such-user", "4294967295"},
			Groups:      []string{"no-such-group", "99999999999"},
			Executables: []string{"psql", ""},
		}, `allow.users: "no-such-user" is not a user of this machine
allow.users: "4294967295" is not a numeric id below 4294967295
allow.groups: "no-such-group" is not a group of this machine
allow.groups: "99999999999" is not a numeric id below 4294967295
allow.executables: "psql" is not an absolute path
allow.executables: "" is not an absolute path`},
		{"empty name", Allow{Users: []string{""}}, `allow.users: "" is not a user of this machine`},
		{"negative", Allow{Users: []string{"-1"}}, `allow.users: "-1" is not a user of this machine`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := NewPolicy(test.allow)
			if err == nil || p != nil {
				t.Fatalf("NewPolicy is %v, %v, want an error", p, err)
			}
			if err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
			var entry *EntryError
			if !errors.As(err, &entry) {
				t.Errorf("no *EntryError in %T", err)
			}
		})
	}
}

func TestIdentityString(t *testing.T) {
	for want, id := range map[string]Identity{
		"unknown process": {},
		"uid 0":           {Known: true},
		`uid 7 gid 8 pid 9 executable "/bin/a\nb"`: {Known: true, UID: 7, GID: 8, PID: 9, Executable: "/bin/a\nb"},
	} {
		if got := id.String(); got != want {
			t.Errorf("String is %q, want %q", got, want)
		}
	}
	attrs := Identity{Known: true, UID: 7, GID: 8, PID: 9, Executable: "/bin/a"}.LogValue().String()
	if want := "[uid=7 gid=8 pid=9 executable=/bin/a]"; attrs != want {
		t.Errorf("LogValue is %s, want %s", attrs, want)
	}
}
