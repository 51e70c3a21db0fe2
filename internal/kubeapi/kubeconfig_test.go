package kubeapi

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

const canary = "c4nary-kube"

func TestKubeconfig(t *testing.T) {
	ca := testenv.CA(t)
	pair, other := ca.Client(t, "app"), ca.Client(t, "other")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ca.crt": ca.CAPEM, "app.crt": pair.CertPEM, "app.key": pair.KeyPEM, "other.key": other.KeyPEM,
		"token": canary + "-file\n", "empty": "", "broken": canary + "\nb",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	const good, token = `server: "https://h:6443"`, "token: " + canary
	for name, c := range map[string]struct{ cluster, user, want string }{
		"token":           {good, token, ""},
		"files":           {good + ", certificate-authority: ca.crt", "client-certificate: app.crt, client-key: app.key", ""},
		"data":            {good + ", certificate-authority-data: " + b64(ca.CAPEM), "client-certificate-data: " + b64(pair.CertPEM) + ", client-key-data: " + b64(pair.KeyPEM), ""},
		"data beats file": {good + ", certificate-authority: nowhere, certificate-authority-data: " + b64(ca.CAPEM), token, ""},
		"token file":      {good, "tokenFile: token, token: other", ""},
		"proxy":           {good + `, proxy-url: "socks5://p:1080"`, token, ""},
		"unknown keys":    {good + ", extensions: [], disable-compression: true", token + ", extensions: []", ""},

		"no server":       {"", token, `cluster "c": server must begin with https://`},
		"http":            {`server: "http://h"`, token, `cluster "c": server must begin with https://`},
		"insecure":        {good + ", insecure-skip-tls-verify: true", token, "insecure-skip-tls-verify is set: whoever answers would get the token"},
		"bad ca":          {good + ", certificate-authority-data: " + b64(canary), token, "certificate-authority holds no certificate in PEM form"},
		"no base64":       {good + ", certificate-authority-data: '" + canary + "'", token, "certificate-authority-data is no base64"},
		"missing ca":      {good + ", certificate-authority: nowhere", token, "reading " + filepath.Join(dir, "nowhere") + ": no such file or directory"},
		"directory":       {good + ", certificate-authority: .", token, "not a regular file"},
		"proxy scheme":    {good + `, proxy-url: "ftp://u:` + canary + `@p"`, token, "proxy-url must be http, https or socks5"},
		"exec":            {good, "exec: {command: aws}", `user "u": its token comes from a command (exec), which secretless does not run`},
		"auth provider":   {good, "auth-provider: {name: gcp}", "auth-provider is not supported"},
		"password":        {good, "username: u, password: " + canary, "username and password are not supported"},
		"impersonation":   {good, token + ", as: admin", "impersonation (as) is not supported"},
		"impersonation 2": {good, token + ", as-groups: [system:masters]", "impersonation (as) is not supported"},
		"nothing":         {good, "", "it has no token and no client certificate"},
		"wrong key":       {good, "client-certificate: app.crt, client-key: other.key", "are no PEM pair that belongs together"},
		"no key":          {good, "client-certificate: app.crt", "are no PEM pair that belongs together"},
		"empty token":     {good, "tokenFile: empty", "token in " + filepath.Join(dir, "empty") + ": it is empty"},
		"broken token":    {good, "tokenFile: broken", "it has characters that no token has"},
		"odd token":       {good, `token: "a\r\nHost: ` + canary + `"`, "it has characters that no token has"},
		"wrong type":      {good, "as-groups: " + canary, "is not what a kubeconfig has there"},
		"no yaml":         {good, "{" + canary, "kubeconfig " + filepath.Join(dir, "config") + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := fromKubeconfig([]string{testenv.Kubeconfig(t, dir, "config", c.cluster, c.user)}, "")
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.server.String() != "https://h:6443" || a.Namespace != "shop" {
				t.Errorf("%s, %s", a.server, a.Namespace)
			}
			if name == "token file" && string(a.token.Bytes()) != canary+"-file" {
				t.Errorf("token %q", a.token.Bytes())
			}
			if strings.Contains(c.user, "client-") != (len(a.tls.Certificates) == 1) {
				t.Errorf("%d client certificates", len(a.tls.Certificates))
			}
		})
	}
}

// Several files are one, as for kubectl.
func TestKubeconfigList(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{one: "one", two: "two"} {
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := testenv.Kubeconfig(t, one, "config", `server: "https://one"`, "tokenFile: token")
	second := filepath.Join(two, "config")
	if err := os.WriteFile(second, []byte(`{"current-context": "y",
		"clusters": [{"name": "c", "cluster": {"server": "https://two"}}],
		"users": [{"name": "v", "user": {"tokenFile": "token"}}],
		"contexts": [{"name": "y", "context": {"cluster": "c", "user": "v"}}, {"name": "z", "context": {"cluster": "d", "user": "u"}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []string{filepath.Join(one, "missing"), "", first, second}
	for context, want := range map[string]string{"": "https://one one", "x": "https://one one", "y": "https://one two"} {
		a, err := fromKubeconfig(list, context)
		if err != nil {
			t.Errorf("%s: %v", context, err)
			continue
		}
		if got := a.server.String() + " " + string(a.token.Bytes()); got != want {
			t.Errorf("%s: %s, want %s", context, got, want)
		}
	}
	for context, want := range map[string]string{
		"w": `the kubeconfig has no context "w"`,
		"z": `kubeconfig, context "z": there is no cluster "d"`,
	} {
		if _, err := fromKubeconfig(list, context); err == nil || err.Error() != want {
			t.Errorf("%s: %v", context, err)
		}
	}
	if _, err := fromKubeconfig(list[:2], ""); err == nil || err.Error() != "no file of KUBECONFIG exists" {
		t.Error(err)
	}
	if _, err := fromKubeconfig(list[:1], ""); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

func FuzzParseKubeconfig(f *testing.F) {
	for _, seed := range []string{
		"", "a", "clusters: [{name: a, cluster: {server: https://h}}]", "users: [{user: {exec: {}}}]", "users: 1", "&a [*a]", "\t", "users: [{user: {token: [" + canary,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKubeconfig(text)
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Error(err)
			}
			return
		}
		// No file named in it is opened: there is no data, so no path is.
		for i := range k.Clusters {
			k.Clusters[i].Cluster.CA = ""
		}
		for i := range k.Users {
			k.Users[i].User.Cert, k.Users[i].User.Key, k.Users[i].User.TokenFile = "", "", ""
		}
		if a, err := k.access(""); err == nil && (a.server.Scheme != "https" || a.token.Len() == 0 && len(a.tls.Certificates) == 0) {
			t.Errorf("%q leads to %+v", text, a)
		}
	})
}
