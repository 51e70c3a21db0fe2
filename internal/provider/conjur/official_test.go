package conjur

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/conjurserver"
)

// CyberArk's own client and the provider get the same variables or files and
// the same ids, and must bring the same values: what they disagree on is a
// mistake of the provider or of the double.
func TestAsTheOfficialClientDoes(t *testing.T) {
	program := testenv.GoTool(t, "conjurclient")
	values := map[string][]byte{
		"plain": []byte("x"), "apps/my orders+100%/a&b=c?d#e@f": []byte("special"), "ünïcode/密码": []byte("pä\nss"),
		"binary": {0, 255, 10}, "empty": {}, "acme:variable:full/id": []byte("full"),
	}
	for name, prepare := range map[string]func(*world){
		"API key":    func(*world) {},
		"token file": func(w *world) { w.without().with("CONJUR_AUTHN_TOKEN_FILE", w.file("token", w.conjur.Token("app"))) },
		"JWT": func(w *world) {
			w.conjur.SetJWT(jwt)
			w.without().with("CONJUR_AUTHN_JWT_SERVICE_ID", "ci", "JWT_TOKEN_PATH", w.file("jwt", jwt))
		},
		"JWT of a host": func(w *world) {
			w.conjur.SetJWT(jwt)
			w.without().with("CONJUR_AUTHN_JWT_SERVICE_ID", "ci", "CONJUR_AUTHN_JWT_TOKEN", jwt, "CONJUR_AUTHN_JWT_HOST_ID", "host/apps/ci")
		},
		"files": func(w *world) {
			url := w.env["CONJUR_APPLIANCE_URL"]
			w.without().with("CONJUR_APPLIANCE_URL", "", "CONJUR_ACCOUNT", "")
			w.write(filepath.Join(w.env["HOME"], ".conjurrc"), "appliance_url: "+url+"\naccount: acme\ncredential_storage: file\n")
			w.write(filepath.Join(w.env["HOME"], ".netrc"), "machine "+url+"/authn\n\tlogin "+login+"\n\tpassword "+key+"\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, ca := secured(t, testenv.CertECDSA)
			w.with("HOME", t.TempDir(), "CONJUR_SSL_CERTIFICATE", ca)
			prepare(w)
			for id, v := range values {
				w.conjur.Set(id, conjurserver.Variable{Values: [][]byte{v}})
			}
			w.conjur.Set("full/id", conjurserver.Variable{Values: [][]byte{values["acme:variable:full/id"]}})
			ids := slices.Sorted(maps.Keys(values))
			want := official(t, program, w.env, ids)
			p := w.open(Config{})
			for _, id := range ids {
				got, err := fetch(t.Context(), p, id)
				if err != nil || got[id] != string(want["one "+id]) {
					t.Errorf("%s: got %q, %v; the official client gets %q", id, got[id], err, want["one "+id])
				}
			}
			got, err := fetch(t.Context(), p, ids...)
			if err != nil {
				t.Error(err)
			}
			for _, id := range ids {
				r, _ := parse(id)
				if theirs, ok := want["batch "+r.in("acme").full()]; !ok || got[id] != string(theirs) {
					t.Errorf("%s: got %q, the official client in a batch %q", id, got[id], theirs)
				}
			}
		})
	}
}

func official(t *testing.T, program string, env map[string]string, ids []string) map[string][]byte {
	t.Helper()
	ask, err := json.Marshal(map[string][]string{"One": ids, "Batch": ids})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stdin = bytes.NewReader(ask)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, value))
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the official client: %v: %s", err, stderr.String())
	}
	var values map[string][]byte
	if err := json.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	return values
}
