package httpproxy

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"secretless/internal/secret"
)

const (
	// hideLimit is how much of a body is looked through.
	hideLimit = 1 << 20
	// hideWhole is what is read before the answer begins, so that it keeps its
	// Content-Length; longer texts are sent in chunks.
	hideWhole = 64 << 10
)

// hider replaces credentials in what a target answers.
type hider struct {
	texts   []string
	longest int
	found   bool
}

func newHider(texts []string) *hider {
	h := &hider{}
	for _, t := range texts {
		h.texts = append(h.texts, spellings(t)...)
	}
	// A longer text first: a shorter one may be a part of it.
	slices.SortFunc(h.texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	h.texts = slices.Compact(h.texts)
	for _, t := range h.texts {
		h.longest = max(h.longest, len(t))
	}
	return h
}

// spellings are what text becomes in a URL, in JSON as different programs write
// it, and in HTML. It is called for every request: what has nothing to escape
// is not escaped to find that out.
func spellings(text string) []string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
	if strings.Trim(text, plain) == "" {
		return []string{text}
	}
	all := []string{text}
	if strings.ContainsAny(text, `&<>"'`) {
		all = append(all, html.EscapeString(text), html.EscapeString(html.EscapeString(text)),
			strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text))
	}
	if strings.Contains(text, "/") {
		all = append(all, strings.ReplaceAll(text, "/", `\/`))
	}
	if strings.ContainsFunc(text, isQuoted) {
		all = append(all, quoted(text)...)
	}
	for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text), strings.ReplaceAll(url.QueryEscape(text), "+", "%20")} {
		all = append(all, escaped, lowerEscapes(escaped))
	}
	return all
}

// isQuoted says whether JSON has another way to write r.
func isQuoted(r rune) bool {
	return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r)
}

func quoted(text string) []string {
	b, err := json.Marshal(text)
	if err != nil {
		return nil
	}
	escaped := string(b[1 : len(b)-1])
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(escaped)
	return []string{escaped, plain, strings.ReplaceAll(escaped, "/", `\/`), strings.ReplaceAll(plain, "/", `\/`)}
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(text string) string {
	b := []byte(text)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// header replaces in all values and says whether there was something.
func (h *hider) header(header http.Header) (found bool) {
	if len(h.texts) == 0 {
		return false
	}
	for _, values := range header {
		for i, v := range values {
			for _, t := range h.texts {
				if strings.Contains(v, t) {
					values[i] = strings.ReplaceAll(values[i], t, secret.Redacted)
					v, found = values[i], true
				}
			}
		}
	}
	return found
}

// wrap puts a reader in front of the body that replaces, where it is a text.
// Its length then is what resp says.
func (h *hider) wrap(method string, resp *http.Response) (body io.Reader, found bool) {
	body = resp.Body
	if len(h.texts) == 0 || resp.Body == http.NoBody || method == http.MethodHead || !isText(resp.Header.Get("Content-Type")) {
		return body, false
	}
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip", "x-gzip":
		body = &gunzip{from: resp.Body}
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
	default:
		return body, false // asked not to be; a target that encodes so repeats nothing by chance
	}
	if resp.ContentLength < 0 || resp.ContentLength > hideWhole {
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
		return &hideReader{hider: h, from: body}, false
	}
	whole := make([]byte, resp.ContentLength)
	n, err := io.ReadFull(body, whole)
	whole = h.replaced(whole[:n])
	if err == nil && !h.found {
		return bytes.NewReader(whole), false
	}
	resp.Header.Set("Content-Length", strconv.Itoa(len(whole)))
	resp.ContentLength = int64(len(whole))
	if err != nil {
		// Too short for the length that the target had announced.
		resp.Header.Set("Content-Length", strconv.Itoa(len(whole)+1))
		resp.ContentLength++
		return io.MultiReader(bytes.NewReader(whole), broken{err}), h.found
	}
	return bytes.NewReader(whole), h.found
}

// isPiece says whether resp is a part of a text that would be looked through.
func isPiece(resp *http.Response) bool {
	if resp.StatusCode != http.StatusPartialContent || !isText(resp.Header.Get("Content-Type")) {
		return false
	}
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	n, err := strconv.ParseInt(total, 10, 64)
	return err != nil || n <= hideLimit
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// hideReader replaces as it reads. It holds back only what could be the start
// of a credential, so that a stream of events is not delayed.
type hideReader struct {
	*hider
	from io.Reader
	in   []byte // read, not looked through to its end
	out  []byte // to be delivered
	seen int
	err  error
}

// Read delivers what is known to hold no credential.
func (r *hideReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill(len(p))
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

func (r *hideReader) fill(n int) {
	buf := make([]byte, min(max(n, 512), copyBuffer))
	n, r.err = r.from.Read(buf)
	if r.seen >= hideLimit+r.longest {
		r.out = append(r.in, buf[:n]...)
		r.in = nil
		return
	}
	r.seen += n
	r.in = append(r.in, buf[:n]...)
	r.out = r.replace(r.err != nil || r.seen >= hideLimit+r.longest)
}

// replace takes what is sure out of in; last says that nothing will follow.
func (r *hideReader) replace(last bool) []byte {
	r.in = r.replaced(r.in)
	keep := 0
	if !last {
		keep = r.start()
	}
	out := r.in[:len(r.in)-keep]
	r.in = bytes.Clone(r.in[len(r.in)-keep:])
	return out
}

// replaced is text without credentials.
func (h *hider) replaced(text []byte) []byte {
	for _, t := range h.texts {
		if bytes.Contains(text, []byte(t)) {
			text = bytes.ReplaceAll(text, []byte(t), []byte(secret.Redacted))
			h.found = true
		}
	}
	return text
}

// start is the length of the longest end of in that a credential begins with.
func (r *hideReader) start() int {
	for n := min(r.longest-1, len(r.in)); n > 0; n-- {
		end := string(r.in[len(r.in)-n:])
		for _, t := range r.texts {
			if len(t) > n && strings.HasPrefix(t, end) {
				return n
			}
		}
	}
	return 0
}

// gunzip decodes from the first Read on, not earlier: an empty body is none.
type gunzip struct {
	from io.Reader
	zip  *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.zip == nil {
		z, err := gzip.NewReader(g.from)
		if err != nil {
			return 0, err
		}
		g.zip = z
	}
	return g.zip.Read(p)
}
