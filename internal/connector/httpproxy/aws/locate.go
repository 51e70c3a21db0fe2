package aws

import (
	"net/http"
	"net/url"
	"strings"

	"secretless/internal/connector/httpproxy/origin"
)

// Locate finds the endpoint that a signature for Placeholder is meant for. It
// is always one of AWS's own domains.
func (a *authenticator) Locate(_ string, u *url.URL, header http.Header) (origin.Origin, error) {
	c, err := readClaim(u, header)
	switch {
	case err != nil:
		return origin.Origin{}, err
	case c == nil:
		return origin.Origin{}, denied("the host %s stands for the endpoint that the signature is for, and the request is not signed", Placeholder)
	case !isRegion(c.region):
		return origin.Origin{}, denied("the signature is for %q, which is no region; %s needs one such as eu-central-1", cut(c.region), Placeholder)
	}
	return origin.Parse("https", endpoint(c.service, c.region))
}

// isRegion tells regions (us-east-1, us-gov-west-1, eusc-de-east-1) from other
// names below AWS's domains, where customers have hosts: an instance is
// ec2-192-0-2-1.compute-1, a bucket NAME.s3 and NAME.s3-us-west-2.
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	first, last := parts[0], parts[len(parts)-1]
	return len(parts) >= 3 && len(first) >= 2 && len(first) <= 4 && strings.Trim(first, "abcdefghijklmnopqrstuvwxyz") == "" &&
		last != "" && len(last) <= 2 && strings.Trim(last, "0123456789") == "" && last[0] != '0'
}

// endpoint is where AWS documents a service in a region. The service is a label.
func endpoint(service, region string) string {
	domain := partition(region)
	if host, ok := global(service, region); ok {
		return host + "." + domain
	}
	if prefix, ok := prefixes()[service]; ok {
		service = prefix
	}
	return service + "." + region + "." + domain
}

// partition is the domain of a region.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-iso-"):
		return "c2s.ic.gov"
	case strings.HasPrefix(region, "us-isob-"):
		return "sc2s.sgov.gov"
	case strings.HasPrefix(region, "us-isof-"):
		return "csp.hci.ic.gov"
	case strings.HasPrefix(region, "eu-isoe-"):
		return "cloud.adc-e.uk"
	case strings.HasPrefix(region, "eusc-"):
		return "amazonaws.eu"
	}
	return "amazonaws.com"
}

// global are services without regions: their requests are signed for one, and
// go to one host.
func global(service, region string) (string, bool) {
	switch service {
	case "iam":
		switch {
		case strings.HasPrefix(region, "cn-"):
			return "iam.cn-north-1", true
		case strings.HasPrefix(region, "us-gov-"):
			return "iam.us-gov", true
		case partition(region) == "amazonaws.com":
			return "iam", true
		}
	case "cloudfront", "route53", "globalaccelerator", "waf":
		return service, partition(region) == "amazonaws.com" && !strings.HasPrefix(region, "us-gov-")
	}
	return "", false
}

// prefixes are the services whose hosts begin with another word than the one
// that they are signed for.
func prefixes() map[string]string {
	return map[string]string{
		"aws-marketplace": "metering.marketplace",
		"bedrock":         "bedrock-runtime",
		"ecr":             "api.ecr",
		"iotdata":         "data-ats.iot",
		"lex":             "runtime-v2-lex",
		"mobiletargeting": "pinpoint",
		"sagemaker":       "api.sagemaker",
		"ses":             "email",
	}
}
