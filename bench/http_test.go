//go:build linux

package main

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestHTTPTargetCarriesEveryLoad(t *testing.T) {
	target, err := newHTTPTarget(t.TempDir()+"/h", loopback+":0", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.stop()
	for _, v := range httpVersions() {
		c := httpClient{endpoint: target.direct(way{network: "tcp", encrypted: v.encrypted}), h2: v.h2}
		done, err := c.keepAlive(t.Context(), 3, 20*time.Millisecond)
		if err != nil || done.work < 3 || done.latency.median <= 0 || done.latency.p99 < done.latency.median {
			t.Errorf("%s: keep-alive: %+v, %v", v, done, err)
		}
		if done, err = c.steady(t.Context(), 2, 500, 100*time.Millisecond); err != nil || done.work != 49 {
			t.Errorf("%s: steady: %+v, %v, want 49 answers", v, done, err)
		}
		library, closeAll := c.library()
		for _, upload := range []bool{false, true} {
			const size = 3 << 20
			r, err := c.request(t.Context(), "GET", downPath+strconv.Itoa(size), nil, 0)
			want := int64(size)
			if upload {
				r, err = c.request(t.Context(), "PUT", upPath, zeros(size), size)
				want = int64(len(strconv.Itoa(size)))
			}
			if err != nil {
				t.Fatal(err)
			}
			if n, err := do(library, r, v.h2); err != nil || n != want {
				t.Errorf("%s, upload %v: %d bytes, %v, want %d", v, upload, n, err, want)
			}
		}
		closeAll()
	}
}

// Without the credential, a relay that does not add it would look fast.
func TestHTTPTargetDemandsTheCredential(t *testing.T) {
	target, err := newHTTPTarget(t.TempDir()+"/h", loopback+":0", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.stop()
	for _, encrypted := range []bool{false, true} {
		c := httpClient{endpoint: target.direct(way{network: "tcp", encrypted: encrypted})}
		library, closeAll := c.library()
		r, err := c.request(t.Context(), "GET", smallPath, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", basicAuthorization+"x")
		resp, err := library.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode == http.StatusOK {
			t.Errorf("encrypted %v: a wrong credential is good enough", encrypted)
		}
		closeAll()
	}
}

func TestChunkedBodyHasItsLength(t *testing.T) {
	body, length := chunked(256<<10, "00")
	if n, err := io.Copy(io.Discard, body); err != nil || n != length {
		t.Errorf("%d bytes, %v, want %d", n, err, length)
	}
}
