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
	"unsafe"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/secret"
	"secretless/internal/wire/http1wire"
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
	hidden  []string // as they are
	parts   []string // plain parts of them
	texts   []string // in all spellings, once they are needed
	longest int
	found   bool
	buf     *[]byte // of the answer's body
	whole   bytes.Reader
	room    [4]string // for parts
}

// done gives back what a body was read into.
func (h *hider) done() {
	if h.buf != nil {
		buffers.Put(h.buf)
		h.buf = nil
	}
}

func newHider(hidden []string) *hider { return new(hider).begin(hidden) }

// begin makes h, which is zero, one that replaces hidden.
func (h *hider) begin(hidden []string) *hider {
	h.hidden, h.parts = hidden, h.room[:0]
	for _, t := range hidden {
		if part := plainPart(t); !slices.Contains(h.parts, part) {
			h.parts = append(h.parts, part)
		}
	}
	return h
}

// prepare makes the spellings.
func (h *hider) prepare() {
	if len(h.texts) > 0 {
		return
	}
	for _, t := range h.hidden {
		h.texts = append(h.texts, spellings(t)...)
	}
	// A longer text first: a shorter one may be a part of it.
	slices.SortFunc(h.texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	h.texts = slices.Compact(h.texts)
	for _, t := range h.texts {
		h.longest = max(h.longest, len(t))
	}
}

// plainPart is the longest part of text that is the same in every spelling.
// Where an answer does not have that, it has none of them, and finding this out
// needs no spellings.
func plainPart(text string) string {
	best, start := "", 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && isPlain(text[i]) {
			continue
		}
		if i-start > len(best) {
			best = text[start:i]
		}
		start = i + 1
	}
	return best
}

// isPlain are the characters that every spelling leaves as they are.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

// mayBeIn is false where text holds no credential.
func (h *hider) mayBeIn(text string) bool {
	for _, part := range h.parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// spellings are what text becomes in a URL, in JSON as different programs write
// it, and in HTML.
func spellings(text string) []string {
	if plainPart(text) == text {
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

// fields replaces in all values and says whether there was something.
func (h *hider) fields(fields http1wire.Fields) (found bool) {
	for i := range fields {
		v := &fields[i].Value
		if !h.mayBeIn(*v) {
			continue
		}
		h.prepare()
		for _, t := range h.texts {
			if strings.Contains(*v, t) {
				*v, found = strings.ReplaceAll(*v, t, secret.Redacted), true
			}
		}
	}
	return found
}

// wrap puts a reader in front of the body that replaces, where it is a text.
// Its length then is what resp says.
func (h *hider) wrap(method string, resp *message.Response) (body io.Reader, found bool) {
	body = resp.Body
	if len(h.hidden) == 0 || resp.Length == 0 || method == http.MethodHead || !isText(resp.Fields.Get("Content-Type")) {
		return body, false
	}
	switch strings.ToLower(resp.Fields.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip", "x-gzip":
		body = &gunzip{from: resp.Body}
		resp.Fields.Del("Content-Encoding")
		resp.Fields.Del("Content-Length")
		resp.Length = -1
	default:
		return body, false // asked not to be; a target that encodes so repeats nothing by chance
	}
	if resp.Length < 0 || resp.Length > hideWhole {
		resp.Fields.Del("Content-Length")
		resp.Length = -1
		h.prepare()
		return &hideReader{hider: h, from: body}, false
	}
	if h.buf == nil && resp.Length <= copyBuffer {
		h.buf = buffers.Get().(*[]byte)
	}
	var whole []byte
	if h.buf != nil {
		whole = (*h.buf)[:resp.Length]
	} else {
		whole = make([]byte, resp.Length)
	}
	n, err := io.ReadFull(body, whole)
	whole = h.replaced(whole[:n])
	if err == nil && !h.found {
		return h.reader(whole), false
	}
	resp.Fields.Set("Content-Length", strconv.Itoa(len(whole)))
	resp.Length = int64(len(whole))
	if err != nil {
		// Too short for the length that the target had announced.
		resp.Fields.Set("Content-Length", strconv.Itoa(len(whole)+1))
		resp.Length++
		return io.MultiReader(bytes.NewReader(whole), broken{err}), h.found
	}
	return h.reader(whole), h.found
}

func (h *hider) reader(whole []byte) *bytes.Reader {
	h.whole.Reset(whole)
	return &h.whole
}

// isPiece says whether resp is a part of a text that would be looked through.
func isPiece(method string, resp *message.Response) bool {
	if method == http.MethodHead || resp.Code != http.StatusPartialContent || !isText(resp.Fields.Get("Content-Type")) {
		return false
	}
	_, total, _ := strings.Cut(resp.Fields.Get("Content-Range"), "/")
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
		switch {
		case r.err != nil:
			return 0, r.err
		case r.isBehind():
			return r.from.Read(p)
		}
		r.fill(len(p))
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// isBehind says whether all that is looked through has been read.
func (r *hideReader) isBehind() bool { return r.seen >= hideLimit+r.longest }

func (r *hideReader) fill(n int) {
	buf := make([]byte, min(max(n, 512), copyBuffer))
	n, r.err = r.from.Read(buf)
	r.seen += n
	r.in = append(r.in, buf[:n]...)
	r.out = r.replace(r.err != nil || r.isBehind())
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
	if !h.mayBeIn(unsafe.String(unsafe.SliceData(text), len(text))) {
		return text
	}
	h.prepare()
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
		end := r.in[len(r.in)-n:]
		for _, t := range r.texts {
			if len(t) > n && t[:n] == string(end) {
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
