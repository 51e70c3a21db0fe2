//go:build unix

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/cli"
	"secretless/internal/testenv"
)

// httpBroker runs the program in front of one HTTP service; config is the
// flow-style config section, credentials are lines "name: value".
func httpBroker(t *testing.T, connector, config string, credentials ...string) *running {
	t.Helper()
	r := prepare(t)
	r.env["XDG_STATE_HOME"] = filepath.Join(r.dir, "state")
	yaml := fmt.Sprintf("version: \"2\"\nservices:\n  api:\n    connector: %s\n    listenOn: tcp://127.0.0.1:%d\n    config: %s\n    credentials:\n", connector, r.port, config)
	for _, line := range credentials {
		yaml += "      " + line + "\n"
	}
	yaml += fmt.Sprintf("admin: { health: off }\naudit: { to: \"file://%s/audit.jsonl\" }\n", r.dir)
	r.write(yaml)
	return r
}

// program runs another of the program's commands on the same configuration.
func (r *running) program(args ...string) string {
	r.t.Helper()
	var out, errors bytes.Buffer
	env := cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errors,
		LookupEnv: func(name string) (string, bool) { v, ok := r.env[name]; return v, ok },
		Notify:    func(...os.Signal) (<-chan os.Signal, func()) { return nil, func() {} },
	}
	if code := cli.Run(r.t.Context(), env, append(args, "-f", r.config)); code != 0 {
		r.t.Fatalf("%v: %d %s", args, code, errors.String())
	}
	return out.String()
}

// serve starts the broker with the configuration that is there.
func (r *running) serve() {
	r.t.Helper()
	text, err := os.ReadFile(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.run(string(text))
}

// clientEnv is what `secretless env` gives to a client.
func (r *running) clientEnv() []string {
	r.t.Helper()
	var vars []string
	for line := range strings.Lines(r.program("env", "api", "--shell", "sh")) {
		v := strings.TrimSuffix(strings.TrimPrefix(line, "export "), "\n")
		vars = append(vars, strings.ReplaceAll(v, "'", ""))
	}
	return vars
}

// client is an HTTP client with this environment.
func (r *running) client(roots *x509.CertPool) *http.Client {
	proxy := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", r.port)}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// The servers' own implementations of Basic authentication, and curl.
func TestBasicAuthServers(t *testing.T) {
	for _, program := range []string{"nginx", "apache2"} {
		t.Run(program, func(t *testing.T) {
			web := testenv.NewWeb(t, program)
			r := httpBroker(t, "basic_auth", fmt.Sprintf("{ hosts: [%q], paths: [/private] }", web.Address()),
				"username: "+web.Username, "password: { from: env, get: DB_PASSWORD }")
			r.env["DB_PASSWORD"] = web.Password
			r.serve()
			private := "http://" + web.Address() + "/private/"
			direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if status, _ := get(t, direct, private); status != http.StatusUnauthorized {
				t.Fatalf("without the broker: %d", status)
			}
			if status, body := get(t, r.client(nil), private); status != http.StatusOK || body != "for those who log in\n" {
				t.Errorf("%d %s", status, body)
			}
			if status, _ := get(t, r.client(nil), "http://"+web.Address()+"/"); status != http.StatusForbidden {
				t.Errorf("what no service matches: %d", status)
			}
			out, err := testenv.Command(t, r.clientEnv(), testenv.Tool(t, "curl"), "-sS", "-u", "somebody:else", private)
			if err != nil || out != "for those who log in\n" {
				t.Errorf("curl: %v %s", err, out)
			}
		})
	}
}

// s3Broker runs the broker in front of an S3 server with TLS, and returns what
// a client with worthless keys needs.
func s3Broker(t *testing.T, s *testenv.S3Server) (*running, []string) {
	t.Helper()
	r := httpBroker(t, "aws", fmt.Sprintf("{ hosts: [%q] }", s.Address()),
		"accessKeyId: "+s.AccessKey, "secretAccessKey: { from: env, get: DB_PASSWORD }")
	r.env["DB_PASSWORD"] = s.SecretKey
	if s.TLS {
		r.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "target-ca.pem", s.CA.CAPEM)
		r.program("ca", "init")
	}
	r.serve()
	vars := r.clientEnv()
	return r, append(vars, "AWS_ACCESS_KEY_ID=dummy", "AWS_SECRET_ACCESS_KEY=dummy", "AWS_DEFAULT_REGION="+s.Region, "AWS_EC2_METADATA_DISABLED=true")
}

// aws is Debian's, which reads Debian's botocore.
const awscli = "/usr/bin/aws"

func awsCommand(t *testing.T, vars []string, args ...string) string {
	t.Helper()
	out, err := tryAWS(t, vars, args...)
	if err != nil {
		t.Fatalf("aws %v: %v %s", args, err, out)
	}
	return out
}

func tryAWS(t *testing.T, vars []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Tool(t, awscli), args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "LC_ALL=C"}, vars...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// awscli with worthless keys does everything, over https in an intercepted
// tunnel and over http, against a server that verifies each signature.
func TestAWSCLI(t *testing.T) {
	for _, c := range []struct {
		name string
		tls  bool
	}{{"http", false}, {"https", true}} {
		t.Run(c.name, func(t *testing.T) {
			size := 20 << 20
			if c.tls && !testing.Short() {
				size = 200 << 20
			}
			s := testenv.NewS3(t, c.tls)
			r, vars := s3Broker(t, s)
			endpoint := []string{"--endpoint-url", s.URL()}
			run := func(args ...string) string { return awsCommand(t, vars, append(endpoint, args...)...) }

			// The server does verify: it knows no such key.
			if out, err := tryAWS(t, []string{"AWS_ACCESS_KEY_ID=dummy", "AWS_SECRET_ACCESS_KEY=dummy", "AWS_DEFAULT_REGION=us-east-1"},
				append(endpoint, "--no-verify-ssl", "s3", "ls")...); err == nil {
				t.Fatalf("the server takes worthless keys: %s", out)
			}

			dir := t.TempDir()
			data := make([]byte, size)
			_, _ = rand.Read(data)
			big := filepath.Join(dir, "big")
			if err := os.WriteFile(big, data, 0o600); err != nil {
				t.Fatal(err)
			}
			run("s3", "mb", "s3://bucket")
			run("s3", "cp", "--quiet", big, "s3://bucket/a folder/ä+b (1).bin") // multipart: more than 8 MiB
			if out := run("s3", "ls", "s3://bucket/a folder/"); !strings.Contains(out, fmt.Sprint(size)) {
				t.Errorf("ls: %s", out)
			}
			back := filepath.Join(dir, "back")
			run("s3", "cp", "--quiet", "s3://bucket/a folder/ä+b (1).bin", back)
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
				t.Errorf("what came back differs: %v, %d bytes", err, len(got))
			}
			run("s3api", "put-object", "--bucket", "bucket", "--key", "empty")
			run("s3api", "head-object", "--bucket", "bucket", "--key", "empty")
			small := testenv.WriteFile(t, "small", "hello")
			run("s3api", "put-object", "--bucket", "bucket", "--key", "sub/small", "--body", small, "--content-type", "text/plain", "--metadata", "a=b  c")
			if out := run("s3api", "list-objects-v2", "--bucket", "bucket", "--prefix", "sub/", "--query", "Contents[].Key", "--output", "text"); strings.TrimSpace(out) != "sub/small" {
				t.Errorf("list: %s", out)
			}

			// A presigned URL is worth nothing without the broker.
			presigned := strings.TrimSpace(run("s3", "presign", "s3://bucket/sub/small", "--expires-in", "600"))
			curl := testenv.Tool(t, "curl")
			if out, err := testenv.Command(t, vars, curl, "-sS", presigned); err != nil || out != "hello" {
				t.Errorf("presigned: %v %s", err, out)
			}
			if out, err := testenv.Command(t, nil, curl, "-sSk", presigned); err != nil || !strings.Contains(out, "No user exists with the provided access key") {
				t.Errorf("presigned, without the broker: %v %s", err, out)
			}

			run("s3", "rm", "--quiet", "--recursive", "s3://bucket")
			run("s3", "rb", "s3://bucket")
			for _, leak := range []string{s.SecretKey, presigned} {
				if r.log.has(leak) {
					t.Error("a secret or signature is in the log")
				}
			}
		})
	}
}

const boto3Script = `
import boto3, sys
from botocore.config import Config
endpoint = sys.argv[1]
s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(signature_version="s3v4", s3={"addressing_style": "path", "payload_signing_enabled": True}))
s3.create_bucket(Bucket="boto")
s3.put_object(Bucket="boto", Key="x y/\u00e4", Body=b"signed payload")
assert s3.get_object(Bucket="boto", Key="x y/\u00e4")["Body"].read() == b"signed payload"
url = s3.generate_presigned_url("put_object", Params={"Bucket": "boto", "Key": "put", "ContentType": "text/plain"})
import requests
assert requests.put(url, data=b"by url", headers={"Content-Type": "text/plain"}).status_code == 200
assert s3.get_object(Bucket="boto", Key="put")["Body"].read() == b"by url"
try:
    s3.get_object(Bucket="boto", Key="none")
    print("found")
except s3.exceptions.NoSuchKey:
    pass
s3.delete_objects(Bucket="boto", Delete={"Objects": [{"Key": "put"}, {"Key": "x y/\u00e4"}]})
s3.delete_bucket(Bucket="boto")
print("done")
`

func TestBoto3(t *testing.T) {
	python := testenv.PythonModule(t, "boto3")
	testenv.PythonModule(t, "requests")
	s := testenv.NewS3(t, true)
	_, vars := s3Broker(t, s)
	out, err := testenv.Command(t, vars, python, "-c", boto3Script, s.URL())
	if err != nil || strings.TrimSpace(out) != "done" {
		t.Errorf("%v: %s", err, out)
	}
}

// Bodies that are signed chunk by chunk, against a server that verifies each
// chunk. No client of Debian's sends them, so that they are made by hand, with
// signatures of zeros.
func TestSignedChunks(t *testing.T) {
	s := testenv.NewS3(t, true)
	r, vars := s3Broker(t, s)
	awsCommand(t, vars, "--endpoint-url", s.URL(), "s3", "mb", "s3://chunks")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(r.program("ca", "export"))) {
		t.Fatal("no certificate")
	}
	client := r.client(roots)
	data := make([]byte, 150<<10)
	_, _ = rand.Read(data)
	for _, c := range []struct {
		name, payload          string
		signed, trailer, spoil bool
		status                 int
	}{
		{name: "signed", payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", signed: true, status: 200},
		{name: "signed-trailer", payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", signed: true, trailer: true, status: 200},
		{name: "unsigned-trailer", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", trailer: true, status: 200},
		{name: "wrong-checksum", payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", signed: true, trailer: true, spoil: true, status: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := chunked(data, c.signed, c.trailer, c.spoil)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/chunks/"+c.name, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now().UTC()
			headers := "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length"
			request.Header.Set("Content-Encoding", "aws-chunked")
			request.Header.Set("X-Amz-Content-Sha256", c.payload)
			request.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
			request.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(data)))
			if c.trailer {
				request.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
				headers += ";x-amz-trailer"
			}
			request.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=dummy/%s/%s/s3/aws4_request, SignedHeaders=%s, Signature=%s",
				now.Format("20060102"), s.Region, headers, zeros))
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			answer, _ := io.ReadAll(response.Body)
			if response.StatusCode != c.status {
				t.Fatalf("%s: %s", response.Status, answer)
			}
			if c.spoil {
				return
			}
			back := filepath.Join(t.TempDir(), "back")
			awsCommand(t, vars, "--endpoint-url", s.URL(), "s3", "cp", "--quiet", "s3://chunks/"+c.name, back)
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
				t.Errorf("what came back differs: %v, %d bytes", err, len(got))
			}
		})
	}
}

var zeros = strings.Repeat("0", 64)

// chunked frames data as aws-chunked, with worthless signatures.
func chunked(data []byte, signed, trailer, spoil bool) []byte {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	if spoil {
		sum++
	}
	var b bytes.Buffer
	head := func(n int) {
		fmt.Fprintf(&b, "%x", n)
		if signed {
			b.WriteString(";chunk-signature=" + zeros)
		}
		b.WriteString("\r\n")
	}
	for chunk := range slices.Chunk(data, 64<<10) {
		head(len(chunk))
		b.Write(chunk)
		b.WriteString("\r\n")
	}
	head(0)
	if trailer {
		fmt.Fprintf(&b, "x-amz-checksum-crc32c:%s\r\n", base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)))
		if signed {
			b.WriteString("x-amz-trailer-signature:" + zeros + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

const javaClient = `
import java.net.*;
import java.nio.charset.StandardCharsets;
public class Get {
  public static void main(String[] a) throws Exception {
    System.out.print(new String(new URL(a[0]).openConnection().getInputStream().readAllBytes(), StandardCharsets.UTF_8));
  }
}
`

// What `secretless env` prints is all that the usual clients need to reach an
// https server through the broker.
func TestHTTPSClients(t *testing.T) {
	ca := testenv.CA(t)
	pair := ca.Server(t, testenv.CertECDSA)
	certificate, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer real-token-of-the-api" {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/repo.git/info/refs":
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprintf(w, "%s\trefs/heads/main\n", strings.Repeat("1", 40))
		case "/repo.git/HEAD":
			_, _ = io.WriteString(w, "ref: refs/heads/main\n")
		default:
			_, _ = io.WriteString(w, "authenticated")
		}
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	api.StartTLS()
	t.Cleanup(api.Close)
	_, port, err := net.SplitHostPort(api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := httpBroker(t, "generic_http", fmt.Sprintf(`{ hosts: ["localhost:%s"], headers: { Authorization: "Bearer {{ .token }}" } }`, port),
		"token: { from: env, get: DB_PASSWORD }")
	r.env["DB_PASSWORD"] = "real-token-of-the-api"
	r.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "target-ca.pem", ca.CAPEM)
	r.program("ca", "init")
	r.serve()
	vars := r.clientEnv()
	url := "https://localhost:" + port

	clients := map[string]func(t *testing.T) []string{
		"curl": func(t *testing.T) []string { return []string{testenv.Tool(t, "curl"), "-sS", url} },
		"requests": func(t *testing.T) []string {
			return []string{testenv.PythonModule(t, "requests"), "-c", "import requests, sys; print(requests.get(sys.argv[1], headers={'Authorization': 'Bearer mine'}).text, end='')", url}
		},
		"urllib": func(t *testing.T) []string {
			return []string{testenv.PythonModule(t, "ssl"), "-c", "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode(), end='')", url}
		},
		"git": func(t *testing.T) []string { return []string{testenv.Tool(t, "git"), "ls-remote", url + "/repo.git"} },
		"java": func(t *testing.T) []string {
			if _, err := exec.LookPath("javac"); err != nil {
				t.Skip("a single source file needs Java's compiler")
			}
			return []string{testenv.Tool(t, "java"), testenv.WriteFile(t, "Get.java", javaClient), url}
		},
	}
	for name, command := range clients {
		t.Run(name, func(t *testing.T) {
			args := command(t)
			out, err := testenv.Command(t, vars, args[0], args[1:]...)
			want := "authenticated"
			if name == "git" {
				want = "refs/heads/main"
			}
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("%v: %s", err, out)
			}
			// And without the CA they refuse the broker's certificate.
			var without []string
			for _, v := range vars {
				if strings.Contains(strings.ToLower(v[:strings.IndexByte(v, '=')]), "proxy") {
					without = append(without, v)
				}
			}
			if name == "java" {
				return // which then knows no proxy either
			}
			if out, err := testenv.Command(t, without, args[0], args[1:]...); err == nil {
				t.Errorf("without the CA: %s", out)
			}
		})
	}
}

// A client secret is replaced at the authorisation server and in the file that
// the broker has cached: the next request fetches both anew.
func TestRotatedClientSecret(t *testing.T) {
	var accepted, current atomic.Value
	accepted.Store("first-client-secret")
	current.Store("token-1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			if r.Header.Get("Authorization") != "Bearer "+current.Load().(string) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, "authenticated")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, password, _ := r.BasicAuth(); password != accepted.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, current.Load())
	}))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	r := httpBroker(t, "oauth2", fmt.Sprintf("{ hosts: [%q], tokenURL: %q }", address, server.URL+"/token"),
		"clientId: broker", "clientSecret: { from: cached, get: "+filepath.Join(os.TempDir(), "unused")+" }")
	file := filepath.Join(r.dir, "client-secret")
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.write(strings.Replace(string(text), filepath.Join(os.TempDir(), "unused"), file, 1) + "providers:\n  cached: { type: file, cache: 1h }\n")
	rotate := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rotate("first-client-secret")
	r.serve()
	client := r.client(nil)
	if status, body := get(t, client, server.URL+"/api"); status != http.StatusOK || body != "authenticated" {
		t.Fatalf("%d %s", status, body)
	}
	accepted.Store("second-client-secret")
	current.Store("token-2")
	rotate("second-client-secret")
	if status, body := get(t, client, server.URL+"/api"); status != http.StatusOK || body != "authenticated" {
		t.Errorf("after the rotation: %d %s", status, body)
	}
	for _, leak := range []string{"first-client-secret", "second-client-secret", "token-1", "token-2"} {
		if r.log.has(leak) {
			t.Errorf("%s is in the log", leak)
		}
	}
}
