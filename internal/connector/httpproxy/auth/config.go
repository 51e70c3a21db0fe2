package auth

import "time"

// Config is what every HTTP service can say in its config section. Those of
// authenticators embed it.
type Config struct {
	// AuthenticateURLsMatching are regular expressions.
	AuthenticateURLsMatching []string `yaml:"authenticateURLsMatching" single:"true" doc:"regular expressions of the URLs that get the credential, anchored at the start; hosts is the safer way to say it"`
	// Hosts are exact names or *.example.com, with an optional :port.
	Hosts []string `yaml:"hosts" single:"true" doc:"hosts that get the credential: exact names, IP addresses or *.example.com, each with an optional :port"`
	// Paths narrow Hosts: a prefix that ends at a slash or at the end.
	Paths []string `yaml:"paths" single:"true" doc:"paths below which the credential is added: /v1 covers /v1 and /v1/x; all of them when absent"`
	// Methods narrow Hosts or AuthenticateURLsMatching.
	Methods []string `yaml:"methods" single:"true" doc:"HTTP methods that get the credential; all of them when absent"`
	// ForceSSL reaches the target over https whatever the client wrote.
	ForceSSL bool `yaml:"forceSSL" doc:"reach the target over https where the client wrote http" default:"false"`
	// AllowPlaintext lets the credential go out unencrypted.
	AllowPlaintext bool `yaml:"allowPlaintext" doc:"send the credential unencrypted to targets outside this machine that the client asked for with http" default:"false"`
	// Unmatched is "refuse", "forward" or empty.
	Unmatched string `yaml:"unmatched" doc:"what becomes of requests that no service on the address matches; forward in any of them lets them through without a credential" enum:"refuse,forward"`
	// ResponseTimeout bounds the wait for the head of the target's answer.
	ResponseTimeout time.Duration `yaml:"responseTimeout" doc:"how long the target may take for the head of its answer once it has the request" default:"10m"`
	// Redact is nil where its default holds: true with Hosts.
	Redact *bool `yaml:"redact" doc:"replace the credential where the target's response repeats it; the default is true for services with hosts"`
}

// Proxy returns the keys that the proxy itself reads.
func (c Config) Proxy() Config { return c }

// Section is a config section that embeds Config.
type Section interface{ Proxy() Config }
