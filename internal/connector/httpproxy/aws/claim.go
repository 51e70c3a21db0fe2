package aws

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"secretless/internal/connector"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	dateLayout = "20060102T150405Z"
)

// The names of the protocol.
const (
	hdrAuthorization = "Authorization"
	hdrDate          = "X-Amz-Date"
	hdrToken         = "X-Amz-Security-Token"
	hdrPayload       = "X-Amz-Content-Sha256"

	qryAlgorithm  = "X-Amz-Algorithm"
	qryCredential = "X-Amz-Credential"
	qryHeaders    = "X-Amz-SignedHeaders"
	qrySignature  = "X-Amz-Signature"
)

// claim is what a client's signature says it is for. Its key and its value are
// worthless and not kept.
type claim struct {
	service, region string
	date            time.Time
	headers         []string // signed, in lower case
	presigned       bool     // in the query
}

// readClaim finds the signature of a request; nil where there is none. Errors
// are for the client.
func readClaim(u *url.URL, header http.Header) (*claim, error) {
	query := u.Query()
	presigned := query.Has(qrySignature) || query.Has(qryAlgorithm) || query.Has(qryCredential)
	authorizations := header.Values(hdrAuthorization)
	switch {
	case query.Has("AWSAccessKeyId") && query.Has("Signature"):
		return nil, errVersion2()
	case len(authorizations) > 1:
		return nil, denied("the request has more than one Authorization header")
	case presigned && len(authorizations) > 0:
		return nil, denied("the request is signed both in its query and in its Authorization header")
	case presigned:
		return readPresigned(query)
	case len(authorizations) == 0:
		return nil, nil
	}
	return readHeader(authorizations[0], header)
}

func readPresigned(query url.Values) (*claim, error) {
	for _, name := range []string{qryAlgorithm, qryCredential, qryHeaders, hdrDate} {
		if len(query[name]) != 1 {
			return nil, denied("the signature in the query has no %s, or more than one", name)
		}
	}
	if err := checkAlgorithm(query.Get(qryAlgorithm)); err != nil {
		return nil, err
	}
	return newClaim(query.Get(qryCredential), query.Get(qryHeaders), query.Get(hdrDate), true)
}

func readHeader(value string, header http.Header) (*claim, error) {
	scheme, rest, _ := strings.Cut(value, " ")
	switch {
	case scheme == "AWS":
		return nil, errVersion2()
	case !strings.HasPrefix(scheme, "AWS"):
		return nil, nil // a bearer token or the like, which is the client's own
	}
	if err := checkAlgorithm(scheme); err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := fields[name]; twice {
			return nil, denied("the Authorization header has %q twice", cut(name))
		}
		fields[name] = text
	}
	date, err := dateOf(header)
	if err != nil {
		return nil, err
	}
	return newClaim(fields["Credential"], fields["SignedHeaders"], date, false)
}

// errVersion2 is for what some clients still make when they presign.
func errVersion2() error {
	return denied("the request has a Signature Version 2, which is not supported; let the client sign with version 4 (awscli 1: aws configure set default.s3.signature_version s3v4)")
}

func checkAlgorithm(name string) error {
	switch {
	case name == algorithm:
		return nil
	case strings.HasPrefix(name, "AWS4-ECDSA"):
		return denied("the request has a Signature Version 4A (several regions), which is not supported; let the client sign with version 4 for one region")
	}
	return denied("the request is signed with %q; only %s is supported", cut(name), algorithm)
}

// dateOf is when a client signed, as SigV4 writes it.
func dateOf(header http.Header) (string, error) {
	if date := header.Values(hdrDate); len(date) == 1 {
		return date[0], nil
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return "", denied("the request is signed and has no valid date: neither X-Amz-Date nor Date")
	}
	return date.UTC().Format(dateLayout), nil
}

func newClaim(credential, headers, date string, presigned bool) (*claim, error) {
	parts := strings.Split(credential, "/")
	n := len(parts) // the key may hold slashes
	if n < 5 || parts[n-1] != terminator {
		return nil, denied("the signature's credential is not KEY/DATE/REGION/SERVICE/%s", terminator)
	}
	c := &claim{region: parts[n-3], service: parts[n-2], presigned: presigned}
	if !isLabel(c.region) || !isLabel(c.service) {
		return nil, denied("the signature names a region or service with other characters than a-z, 0-9 and -")
	}
	var err error
	if c.date, err = time.Parse(dateLayout, date); err != nil {
		return nil, denied("the signature's date is not of the form 20060102T150405Z")
	}
	if parts[n-4] != c.date.Format("20060102") {
		return nil, denied("the signature's credential names another day than its date")
	}
	c.headers = strings.Split(strings.ToLower(headers), ";")
	if !slices.Contains(c.headers, "host") {
		return nil, denied("the signature does not cover the host")
	}
	return c, nil
}

// isLabel accepts what can be part of a host name: endpoints are found by it.
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isS3 are the services with S3's rules for paths and payloads.
func (c *claim) isS3() bool {
	switch c.service {
	case "s3", "s3express", "s3-outposts", "s3-object-lambda":
		return true
	}
	return false
}

// scope is what the signing key is derived from and the signature names.
func (c *claim) scope() string {
	return strings.Join([]string{c.date.Format("20060102"), c.region, c.service, terminator}, "/")
}

func denied(format string, args ...any) error {
	return &connector.Failure{Kind: connector.KindDenied, Err: fmt.Errorf("aws: "+format, args...)}
}

func unusable(name string, why error) error {
	return &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf("the credential %q cannot be used: %w", name, why)}
}

// cut bounds what a client sent and a message repeats.
func cut(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

var errEmpty = errors.New("it is empty")
