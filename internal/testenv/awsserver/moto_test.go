package awsserver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"secretless/internal/testenv"
	"secretless/internal/testenv/awsserver"
)

// Moto is somebody else's double of AWS. Where it is installed, both must
// answer the same questions alike; nothing else tells whether the double is
// right about what it answers.
func TestDoubleAnswersAsMotoDoes(t *testing.T) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not installed; it is a second opinion that script/setup does not bring")
	}
	s := start(t)
	moto := startMoto(t, program)
	seed(t, s, moto)
	for name, ask := range questions {
		ours, theirs := ask(t.Context(), clientsOf(s.URL)), ask(t.Context(), clientsOf(moto))
		if ours != theirs {
			t.Errorf("%s: the double says %s, moto %s", name, ours, theirs)
		}
	}
}

type clients struct {
	sm  *secretsmanager.Client
	ssm *ssm.Client
}

func clientsOf(url string) clients {
	c := aws.Config{
		Region: "eu-west-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(keyID, keySecret, ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
	return clients{secretsmanager.NewFromConfig(c), ssm.NewFromConfig(c)}
}

var questions = map[string]func(context.Context, clients) string{
	"text":          func(ctx context.Context, c clients) string { return c.secret(ctx, "prod/text", "") },
	"binary":        func(ctx context.Context, c clients) string { return c.secret(ctx, "prod/binary", "") },
	"stage":         func(ctx context.Context, c clients) string { return c.secret(ctx, "prod/text", "AWSCURRENT") },
	"missing":       func(ctx context.Context, c clients) string { return c.secret(ctx, "nowhere", "") },
	"missing stage": func(ctx context.Context, c clients) string { return c.secret(ctx, "prod/text", "NOSUCH") },
	"parameters": func(ctx context.Context, c clients) string {
		return c.parameters(ctx, "/p/secure", "/p/none", "/p/plain")
	},
	"version": func(ctx context.Context, c clients) string { return c.parameters(ctx, "/p/plain:1") },
}

func (c clients) secret(ctx context.Context, id, stage string) string {
	in := &secretsmanager.GetSecretValueInput{SecretId: &id}
	if stage != "" {
		in.VersionStage = &stage
	}
	out, err := c.sm.GetSecretValue(ctx, in)
	if err != nil {
		return code(err)
	}
	return fmt.Sprintf("%s: %q %q", aws.ToString(out.Name), aws.ToString(out.SecretString), out.SecretBinary)
}

func (c clients) parameters(ctx context.Context, names ...string) string {
	out, err := c.ssm.GetParameters(ctx, &ssm.GetParametersInput{Names: names, WithDecryption: aws.Bool(true)})
	if err != nil {
		return code(err)
	}
	var found []string
	for _, p := range out.Parameters {
		found = append(found, fmt.Sprintf("%s %s %q v%d", *p.Name, p.Type, *p.Value, p.Version))
	}
	slices.Sort(found) // AWS promises no order, and moto keeps none
	return fmt.Sprintf("%s, invalid %q", strings.Join(found, "; "), out.InvalidParameters)
}

func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return err.Error()
}

func seed(t *testing.T, s *awsserver.Server, moto string) {
	t.Helper()
	c := clientsOf(moto)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/text"), SecretString: aws.String("ü \"x\"")}))
	must(c.sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("prod/binary"), SecretBinary: []byte{0, 1, 255}}))
	s.SetSecret("prod/text", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", "ü \"x\"")}})
	s.SetSecret("prod/binary", awsserver.Secret{Versions: []awsserver.Version{{ID: "1", Stages: []string{"AWSCURRENT"}, Binary: []byte{0, 1, 255}}}})
	for name, kind := range map[string]types.ParameterType{"/p/plain": types.ParameterTypeString, "/p/secure": types.ParameterTypeSecureString} {
		for _, v := range []string{"one", "two"} {
			must(c.ssm.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &v, Type: kind, Overwrite: aws.Bool(true)}))
		}
		s.SetParameter(name, awsserver.Parameter{Type: string(kind), Values: []string{"one", "two"}})
	}
}

func startMoto(t *testing.T, program string) string {
	t.Helper()
	port := strconv.Itoa(testenv.FreePort(t))
	address := net.JoinHostPort("127.0.0.1", port)
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return "http://" + address
		}
	}
	t.Fatal("moto_server does not start")
	return ""
}
