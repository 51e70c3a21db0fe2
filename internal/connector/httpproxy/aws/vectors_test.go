package aws

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// vector is a case of AWS's published test suite for Signature Version 4.
type vector struct {
	Name, Method, URL, Body, Token, SignedHeaders, Signature string
	Headers                                                  [][2]string
}

func TestPublishedSuite(t *testing.T) {
	text, err := os.ReadFile("testdata/sigv4.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 27 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			secrets := []string{"accessKeyId", "AKIDEXAMPLE", "secretAccessKey", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
			if v.Token != "" {
				secrets = append(secrets, "accessToken", v.Token)
			}
			headers := []string{"X-Amz-Date: 20150830T123600Z", "Authorization: " + dummy("20150830/us-east-1/service", v.SignedHeaders)}
			for _, h := range v.Headers {
				headers = append(headers, h[0]+": "+h[1])
			}
			r := newRequest(t, set(secrets...), v.Method, "https://example.amazonaws.com"+v.URL, v.Body, headers...)
			raw := r.URL().RawQuery
			mustAuthenticate(t, r)
			want := algorithm + " Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + v.SignedHeaders + ", Signature=" + v.Signature
			if got := strings.Join(r.Header(hdrAuthorization), "\n"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if r.URL().RawQuery != raw {
				t.Errorf("the query has become %s", r.URL().RawQuery)
			}
		})
	}
}

// The examples of the S3 API reference, "Authenticating requests".
func TestPublishedS3Examples(t *testing.T) {
	const scope, date = "20130524/us-east-1/s3", "X-Amz-Date: 20130524T000000Z"
	for _, c := range []struct {
		name, method, url, body, signed, want string
		headers                               []string
	}{
		{
			"get object", "GET", "/test.txt", "", "host;range;x-amz-content-sha256;x-amz-date",
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
			[]string{"Range: bytes=0-9", "X-Amz-Content-Sha256: " + emptyHash},
		},
		{
			"put object", "PUT", "/test$file.text", "Welcome to Amazon S3.", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
			[]string{
				"Date: Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class: REDUCED_REDUNDANCY",
				"X-Amz-Content-Sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			},
		},
		{
			"bucket lifecycle", "GET", "/?lifecycle", "", "host;x-amz-content-sha256;x-amz-date",
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
			[]string{"X-Amz-Content-Sha256: " + emptyHash},
		},
		{
			"list objects", "GET", "/?max-keys=2&prefix=J", "", "host;x-amz-content-sha256;x-amz-date",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
			[]string{"X-Amz-Content-Sha256: " + emptyHash},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := append([]string{date, "Authorization: " + dummy(scope, c.signed)}, c.headers...)
			r := newRequest(t, realKeys(), c.method, "https://examplebucket.s3.amazonaws.com"+c.url, c.body, headers...)
			mustAuthenticate(t, r)
			if got := signatureOf(r); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestPublishedPresignedExample(t *testing.T) {
	r := newRequest(t, realKeys(), "GET", "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"+
		"&X-Amz-Credential=dummy%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"+
		"&X-Amz-SignedHeaders=host&X-Amz-Security-Token=dummy&X-Amz-Signature=0000", "")
	mustAuthenticate(t, r)
	const want = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	query := r.URL().Query()
	if signatureOf(r) != want || query.Get(qryCredential) != realID+"/20130524/us-east-1/s3/aws4_request" ||
		query.Get("X-Amz-Expires") != "86400" || query.Has(hdrToken) || strings.Contains(r.URL().RawQuery, "dummy") {
		t.Errorf("got %s", r.URL().RawQuery)
	}
	if !strings.Contains(strings.Join(r.Hidden(), " "), want) {
		t.Error("a target that echoes the URL would hand out a signed one")
	}
}

// published is a body of the S3 API reference: 65 KiB of "a" in two chunks.
func published(trailer string, signatures ...string) string {
	var b strings.Builder
	for i, size := range []int{65536, 1024, 0} {
		b.WriteString([]string{"10000", "400", "0"}[i] + ";chunk-signature=" + signatures[i] + "\r\n")
		if size > 0 {
			b.WriteString(strings.Repeat("a", size) + "\r\n")
		}
	}
	return b.String() + trailer
}

func TestPublishedChunkedExamples(t *testing.T) {
	zero := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		payload, signed, seed, trailer, wantTrailer string
		headers, signatures                         []string
	}{
		"chunks": {
			payload:     "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			signed:      "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			seed:        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			trailer:     "\r\n",
			wantTrailer: "\r\n",
			signatures: []string{
				"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
				"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
				"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
			},
		},
		"trailer": {
			payload:     "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
			signed:      "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			seed:        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			trailer:     "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + zero + "\r\n\r\n",
			wantTrailer: "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
			headers:     []string{"X-Amz-Trailer: x-amz-checksum-crc32c"},
			signatures: []string{
				"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
				"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
				"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			headers := append([]string{
				"X-Amz-Date: 20130524T000000Z", "X-Amz-Storage-Class: REDUCED_REDUNDANCY", "Content-Encoding: aws-chunked",
				"X-Amz-Decoded-Content-Length: 66560", "X-Amz-Content-Sha256: " + c.payload,
				"Authorization: " + dummy("20130524/us-east-1/s3", c.signed),
			}, c.headers...)
			body := published(c.trailer, zero, zero, zero)
			r := newRequest(t, realKeys(), "PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", body, headers...)
			mustAuthenticate(t, r)
			if got := signatureOf(r); got != c.seed {
				t.Errorf("headers: got %s", got)
			}
			sent, err := io.ReadAll(r.Outgoing().Body)
			if err != nil || string(sent) != published(c.wantTrailer, c.signatures...) {
				t.Errorf("%v: got %q", err, strings.ReplaceAll(string(sent), strings.Repeat("a", 1024), "…"))
			}
			if int64(len(sent)) != r.ContentLength() || len(sent) != len(body) {
				t.Errorf("%d bytes are sent of %d announced", len(sent), r.ContentLength())
			}
		})
	}
}
