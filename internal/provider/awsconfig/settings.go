// Package awsconfig is what the AWS providers share: the settings of an
// instance, the SDK's chain of credentials, one HTTP client, and errors that
// say what to do and quote no answer.
package awsconfig

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"secretless/internal/provider"
)

// Settings are those of every AWS provider. What is left out comes from the
// SDK's chain: environment, shared configuration, SSO, web identity, container
// and instance roles.
type Settings struct {
	Region          string                 `yaml:"region" doc:"AWS region (default: AWS_REGION, then the profile's)"`
	Profile         string                 `yaml:"profile" doc:"profile of the shared AWS configuration (default: AWS_PROFILE)"`
	AccessKeyID     provider.SecretSetting `yaml:"accessKeyId" doc:"access key, instead of the chain"`
	SecretAccessKey provider.SecretSetting `yaml:"secretAccessKey" doc:"secret access key that belongs to accessKeyId"`
	SessionToken    provider.SecretSetting `yaml:"sessionToken" doc:"session token, if accessKeyId is a temporary one"`
	AssumeRole      Role                   `yaml:"assumeRole" doc:"role to assume with the credentials above"`
}

// Role is a role to assume.
type Role struct {
	RoleARN     string `yaml:"roleARN" doc:"ARN of the role"`
	ExternalID  string `yaml:"externalId" doc:"external id, if the role's trust policy asks for one"`
	SessionName string `yaml:"sessionName" doc:"name of the session in CloudTrail (default secretless)"`
	Endpoint    string `yaml:"endpoint" doc:"URL of STS (default: AWS's, or AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL)"`
}

const defaultSessionName = "secretless"

// Check finds what can be found without asking anybody.
func (s Settings) Check() error {
	keys, secrets := s.AccessKeyID.IsSet(), s.SecretAccessKey.IsSet()
	switch {
	case keys != secrets:
		return errors.New("accessKeyId and secretAccessKey go together: set both or none")
	case s.SessionToken.IsSet() && !keys:
		return errors.New("sessionToken needs accessKeyId and secretAccessKey beside it")
	case keys && s.Profile != "":
		return errors.New("profile and accessKeyId exclude each other: both say whose credentials to use")
	case s.Region != "" && !ValidRegion(s.Region):
		return fmt.Errorf("region %q is no region; write one such as eu-west-1", s.Region)
	}
	return s.AssumeRole.check()
}

func (r Role) check() error {
	if r.RoleARN == "" {
		if r != (Role{}) {
			return errors.New("assumeRole needs roleARN")
		}
		return nil
	}
	a, err := arn.Parse(r.RoleARN)
	if err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "role/") {
		return fmt.Errorf("assumeRole: roleARN %q is no role; write one such as arn:aws:iam::123456789012:role/broker", r.RoleARN)
	}
	return CheckEndpoint(r.Endpoint)
}

// CheckEndpoint accepts the URL of a service, or nothing.
func CheckEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("endpoint is no URL of a service; write one such as https://vpce-1a2b.secretsmanager.eu-west-1.vpce.amazonaws.com")
	}
	return nil
}

// WarnExposed warns where secrets or credentials would pass a network in the
// clear. Without an endpoint of the settings it is the environment's for the
// service, which is called as in AWS_ENDPOINT_URL_<service>.
func WarnExposed(s provider.Setup, endpoint, service string, path ...string) {
	if endpoint == "" {
		endpoint = environment(s.LookupEnv).endpointOf(service)
	}
	provider.WarnExposed(s, "AWS ("+service+")", endpoint, path...)
}

// ValidRegion accepts what can be a label of a host name, which is what a
// region becomes.
func ValidRegion(s string) bool {
	if s == "" || len(s) > 63 || strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
