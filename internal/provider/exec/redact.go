package exec

import (
	"bytes"
	"encoding/base64"
	"slices"

	"secretless/internal/secret"
)

const (
	// minRedacted is the shortest text that is looked for: shorter ones are
	// everywhere.
	minRedacted = 4
	// maxWords bounds what is looked for after a command has failed.
	maxWords = 1000
)

// redactor takes out of one text what stands in others.
type redactor struct {
	hidden [][]byte
	own    [][]byte // those of hidden that nobody else wipes
}

// value hides a value, each of its lines, and its base64.
func (r *redactor) value(b []byte) {
	r.hide(bytes.TrimSpace(b))
	for line := range bytes.Lines(b) {
		r.hide(bytes.TrimSpace(line))
	}
	if len(b) >= minRedacted {
		encoded := base64.StdEncoding.AppendEncode(nil, b)
		r.own = append(r.own, encoded)
		r.hide(encoded)
	}
}

// words hides every word of a text that could not be read as an answer.
func (r *redactor) words(text []byte) {
	n := 0
	for word := range bytes.FieldsFuncSeq(text, notInWord) {
		if n++; n > maxWords {
			return
		}
		r.hide(word)
	}
}

func notInWord(c rune) bool { return c <= ' ' || c == '"' || c == ',' || c == '{' || c == '}' }

func (r *redactor) hide(b []byte) {
	if len(b) >= minRedacted {
		r.hidden = append(r.hidden, b)
	}
}

// clean returns a copy of text without what is hidden, and ends the redactor.
// The longest go first, so that what contains another is not taken apart.
func (r *redactor) clean(text []byte) []byte {
	slices.SortFunc(r.hidden, func(a, b []byte) int { return len(b) - len(a) })
	out := bytes.Clone(text)
	for _, h := range r.hidden {
		if !bytes.Contains(out, h) {
			continue
		}
		replaced := bytes.ReplaceAll(out, h, []byte(secret.Redacted))
		clear(out)
		out = replaced
	}
	for _, b := range r.own {
		clear(b)
	}
	return out
}
