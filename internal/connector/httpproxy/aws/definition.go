package aws

import (
	"errors"
	"fmt"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

// Placeholder is the host that clients write who leave it to the broker to
// find the endpoint of a service in a region.
const Placeholder = "secretless.empty"

// Config is the config section of an aws service.
type Config struct {
	auth.Config
	MaxSignedBody int `yaml:"maxSignedBody" doc:"MiB of a body that is held in memory to be signed, where the client did not send its hash; more gets 413" default:"10"`
}

const mostSignedBody = 256 // MiB

// Definition is what httpproxy.Define makes a connector of.
func Definition() auth.Definition[Config] {
	return auth.Definition[Config]{
		Summary:     "AWS APIs and what takes AWS signatures, S3 included",
		Placeholder: Placeholder,
		Credentials: []connector.Credential{
			{Name: "accessKeyId", Doc: "access key id", Required: true, Unless: "accessKeyID", Check: checkKeyID},
			{Name: "accessKeyID", Doc: "the same, as the old broker spelled it", Check: checkKeyID},
			{Name: "secretAccessKey", Doc: "secret access key", Required: true, Secret: true},
			{Name: "accessToken", Doc: "session token, with temporary credentials", Secret: true},
		},
		New: build,
	}
}

func build(c Config, _ auth.Setup) (auth.Authenticator, error) {
	if c.MaxSignedBody < 1 || c.MaxSignedBody > mostSignedBody {
		return nil, &connector.FieldError{
			Path: []string{"config", "maxSignedBody"},
			Err:  fmt.Errorf("maxSignedBody is %d; give a number of MiB from 1 to %d", c.MaxSignedBody, mostSignedBody),
		}
	}
	return &authenticator{maxBody: int64(c.MaxSignedBody) << 20, signer: v4.NewSigner()}, nil
}

// checkKeyID refuses what would break out of the header it is written into.
func checkKeyID(id string) error {
	if id == "" || len(id) > 128 || strings.Trim(id, wordCharacters) != "" {
		return errors.New("an access key id has letters, digits and _ only")
	}
	return nil
}

const wordCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
