package aws

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

const day = "X-Amz-Date: 20130524T000000Z"

func TestUnsignedPasses(t *testing.T) {
	for name, headers := range map[string][]string{
		"nothing": nil, "bearer": {"Authorization: Bearer mine"}, "date": {day},
	} {
		r := newRequest(t, set(), "GET", "https://s3.amazonaws.com/public?list-type=2", "", headers...)
		if err := newAuthenticator(t).Authenticate(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Join(r.Header(hdrAuthorization), ""); strings.Contains(got, algorithm) || len(r.Hidden()) > 0 {
			t.Errorf("%s: %q, hidden %v", name, got, r.Hidden())
		}
	}
}

func TestRefusals(t *testing.T) {
	good := dummy("20130524/us-east-1/s3", "host;x-amz-date")
	presigned := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k/20130524/us-east-1/s3/aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
	for _, c := range []struct {
		name, query string
		headers     []string
		want        string
	}{
		{"4A", "", []string{day, "Authorization: AWS4-ECDSA-P256-SHA256 Credential=k/20130524/s3/aws4_request, SignedHeaders=host, Signature=0"}, "Version 4A"},
		{"4A presigned", strings.Replace(presigned, "HMAC-SHA256", "ECDSA-P256-SHA256", 1), nil, "Version 4A"},
		{"4A chunks", "", []string{day, "Authorization: " + good, "X-Amz-Content-Sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}, "Version 4A"},
		{"events", "", []string{day, "Authorization: " + good, "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-EVENTS"}, "event streams"},
		{"version 2", "", []string{day, "Authorization: AWS key:signature"}, "Version 2"},
		{"version 2 presigned", "AWSAccessKeyId=k&Signature=s&Expires=1", nil, "Version 2"},
		{"unknown", "", []string{day, "Authorization: AWS5-X Credential=k"}, `"AWS5-X"`},
		{"two headers", "", []string{day, "Authorization: " + good, "Authorization: " + good}, "more than one Authorization"},
		{"both", presigned, []string{day, "Authorization: " + good}, "both in its query"},
		{"two signatures", presigned + "&X-Amz-Credential=k", nil, "more than one"},
		{"half presigned", "X-Amz-Signature=0", nil, "has no X-Amz-Algorithm"},
		{"two payloads", "", []string{day, "Authorization: " + good, "X-Amz-Content-Sha256: a", "X-Amz-Content-Sha256: b"}, "more than one header"},
		{"no date", "", []string{"Authorization: " + good}, "no valid date"},
		{"bad date", "", []string{"X-Amz-Date: yesterday", "Authorization: " + good}, "20060102T150405Z"},
		{"another day", "", []string{"X-Amz-Date: 20130525T000000Z", "Authorization: " + good}, "another day"},
		{"twice", "", []string{day, "Authorization: " + good + ", SignedHeaders=host"}, "twice"},
		{"no host", "", []string{day, "Authorization: " + dummy("20130524/us-east-1/s3", "x-amz-date")}, "does not cover the host"},
		{"short", "", []string{day, "Authorization: " + dummy("20130524/s3", "host")}, "KEY/DATE/REGION/SERVICE"},
		{"region", "", []string{day, "Authorization: " + dummy("20130524/us.evil/s3", "host")}, "other characters"},
		{"service", "", []string{day, "Authorization: " + dummy("20130524/us-east-1/S3\t", "host")}, "other characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(t, realKeys(), "GET", "https://s3.amazonaws.com/x?"+c.query, "", c.headers...)
			err := newAuthenticator(t).Authenticate(t.Context(), r)
			if err == nil || connector.KindOf(err) != connector.KindDenied || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if strings.Contains(strings.Join(r.Header(hdrAuthorization), ""), realID) || strings.Contains(r.URL().RawQuery, realID) {
				t.Error("signed all the same")
			}
		})
	}
}

func TestUnusableCredentials(t *testing.T) {
	for name, pairs := range map[string][]string{
		"id":     {"accessKeyId", "AK ID\n", "secretAccessKey", realKey},
		"old id": {"accessKeyID", "AK/ID", "secretAccessKey", realKey},
		"empty":  {"accessKeyId", realID, "secretAccessKey", ""},
		"break":  {"accessKeyId", realID, "secretAccessKey", realKey + "\n"},
		"token":  {"accessKeyId", realID, "secretAccessKey", realKey, "accessToken", "a b"},
	} {
		r := newRequest(t, set(pairs...), "GET", "https://s3.amazonaws.com/x", "", day, "Authorization: "+dummy("20130524/us-east-1/s3", "host;x-amz-date"))
		err := newAuthenticator(t).Authenticate(t.Context(), r)
		if connector.KindOf(err) != connector.KindConfig || strings.Contains(err.Error(), realKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionToken(t *testing.T) {
	signed := "host;x-amz-date;x-amz-security-token"
	headers := []string{day, "X-Amz-Security-Token: dummy", "Authorization: " + dummy("20130524/us-east-1/s3", signed)}
	with := newRequest(t, set("accessKeyID", realID, "secretAccessKey", realKey, "accessToken", "session-token"), "GET", "https://s3.amazonaws.com/x", "", headers...)
	mustAuthenticate(t, with)
	if got := with.Header(hdrToken); len(got) != 1 || got[0] != "session-token" || !strings.Contains(with.Header(hdrAuthorization)[0], signed) {
		t.Errorf("%v %v", got, with.Header(hdrAuthorization))
	}
	without := newRequest(t, realKeys(), "GET", "https://s3.amazonaws.com/x", "", headers...)
	mustAuthenticate(t, without)
	if got := without.Header(hdrToken); len(got) != 0 || strings.Contains(without.Header(hdrAuthorization)[0], "security-token") {
		t.Errorf("the client's worthless token is sent: %v %v", got, without.Header(hdrAuthorization))
	}
}

// A body whose hash the client did not send is read, up to the limit.
func TestBodyLimit(t *testing.T) {
	headers := []string{day, "Authorization: " + dummy("20130524/us-east-1/dynamodb", "host;x-amz-date")}
	for size, want := range map[int]error{1 << 20: nil, 1<<20 + 1: auth.ErrBodyTooLarge} {
		r := newRequest(t, realKeys(), "POST", "https://dynamodb.us-east-1.amazonaws.com/", strings.Repeat("x", size), headers...)
		if err := newAuthenticator(t).Authenticate(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("%d: %v", size, err)
		}
	}
	if _, err := build(Config{MaxSignedBody: 1000}, auth.Setup{}); err == nil {
		t.Error("any limit is accepted")
	}
}

func TestBrokenChunks(t *testing.T) {
	zero := strings.Repeat("0", 64)
	chunk := func(size, data string) string { return size + ";chunk-signature=" + zero + "\r\n" + data }
	for name, c := range map[string]struct {
		body    string
		trailer bool
		want    string
	}{
		"empty":        {"", false, "unexpected EOF"},
		"no signature": {"5\r\nhello\r\n", false, "size and signature"},
		"bad size":     {chunk("x", ""), false, "size and signature"},
		"negative":     {chunk("-5", ""), false, "size and signature"},
		"plus":         {chunk("+5", "hello\r\n"), false, "size and signature"},
		"huge":         {chunk("7fffffff", ""), false, "more than 4 MiB"},
		"cut":          {chunk("5", "hel"), false, "unexpected EOF"},
		"longer":       {chunk("5", "hello, world\r\n"), false, "not as long"},
		"bare LF":      {"5;chunk-signature=" + zero + "\nhello\r\n", false, "CR LF"},
		"long line":    {strings.Repeat("x", 1<<17), false, "too long"},
		"more":         {chunk("0", "\r\nGET / HTTP/1.1\r\n"), false, "goes on"},
		"no trailer":   {chunk("0", ""), true, "unexpected EOF"},
		"unsigned":     {chunk("0", "a:b\r\n\r\n"), true, "no x-amz-trailer-signature"},
		"after":        {chunk("0", "x-amz-trailer-signature:0\r\na:b\r\n\r\n"), true, "malformed"},
		"no colon":     {chunk("0", "ab\r\n\r\n"), true, "malformed"},
		"many lines":   {chunk("0", strings.Repeat("a:b\r\n", 100)), true, "too many"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &chunks{trailer: c.trailer}
			s.begin(&claim{service: "s3", region: "us-east-1"}, realKey, zero)
			_, err := io.ReadAll(s.over(iotest.OneByteReader(strings.NewReader(c.body))))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzChunks(f *testing.F) {
	zero := strings.Repeat("0", 64)
	f.Add([]byte("5;chunk-signature="+zero+"\r\nhello\r\n0;chunk-signature="+zero+"\r\n\r\n"), false)
	f.Add([]byte("0;chunk-signature="+zero+"\r\na:b\r\nx-amz-trailer-signature:"+zero+"\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, body []byte, trailer bool) {
		s := &chunks{trailer: trailer}
		s.begin(&claim{service: "s3", region: "us-east-1"}, realKey, zero)
		sent, err := io.ReadAll(s.over(strings.NewReader(string(body))))
		if err == nil && !trailer && len(sent) != len(body) {
			t.Errorf("%d bytes have become %d", len(body), len(sent))
		}
	})
}

func FuzzReadClaim(f *testing.F) {
	f.Add(dummy("20130524/us-east-1/s3", "host;x-amz-date"), "20130524T000000Z", "")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k/20130524/us-east-1/s3/aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		header := http.Header{}
		if authorization != "" {
			header.Set(hdrAuthorization, authorization)
			header.Set(hdrDate, date)
		}
		u := &url.URL{Scheme: "https", Host: Placeholder, RawQuery: query}
		to, err := (&authenticator{}).Locate("GET", u, header)
		if err != nil {
			return
		}
		for _, domain := range []string{".amazonaws.com", ".amazonaws.com.cn", ".c2s.ic.gov", ".sc2s.sgov.gov", ".csp.hci.ic.gov", ".cloud.adc-e.uk", ".amazonaws.eu"} {
			if strings.HasSuffix(to.Host(), domain) && to.Secure() && to.Port() == 443 {
				return
			}
		}
		t.Errorf("located %s", to)
	})
}

func TestEndpoints(t *testing.T) {
	for scope, want := range map[string]string{
		"s3/us-east-1":                "s3.us-east-1.amazonaws.com",
		"secretsmanager/eu-central-1": "secretsmanager.eu-central-1.amazonaws.com",
		"sts/cn-north-1":              "sts.cn-north-1.amazonaws.com.cn",
		"iam/us-east-1":               "iam.amazonaws.com",
		"iam/cn-north-1":              "iam.cn-north-1.amazonaws.com.cn",
		"iam/us-gov-west-1":           "iam.us-gov.amazonaws.com",
		"route53/us-east-1":           "route53.amazonaws.com",
		"ses/eu-west-1":               "email.eu-west-1.amazonaws.com",
		"ecr/eu-west-1":               "api.ecr.eu-west-1.amazonaws.com",
		"bedrock/us-west-2":           "bedrock-runtime.us-west-2.amazonaws.com",
		"s3/us-iso-east-1":            "s3.us-iso-east-1.c2s.ic.gov",
		"s3/eusc-de-east-1":           "s3.eusc-de-east-1.amazonaws.eu",
	} {
		service, region, _ := strings.Cut(scope, "/")
		header := http.Header{"Authorization": {dummy("20130524/"+region+"/"+service, "host")}, "X-Amz-Date": {"20130524T000000Z"}}
		to, err := (&authenticator{}).Locate("GET", &url.URL{Host: Placeholder}, header)
		if err != nil || to.String() != "https://"+want {
			t.Errorf("%s: %v, %v", scope, to, err)
		}
	}
	if _, err := (&authenticator{}).Locate("GET", &url.URL{Host: Placeholder}, http.Header{}); connector.KindOf(err) != connector.KindDenied {
		t.Errorf("unsigned: %v", err)
	}
}
