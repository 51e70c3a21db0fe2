package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	text := "before\n" + beginMarker + "\nold\n" + endMarker + "\nafter\n"
	want := "before\n" + beginMarker + "\nnew\n\nnewer\n" + endMarker + "\nafter\n"
	got, err := rewrite(text, "\nnew\n\nnewer\n\n")
	if err != nil || got != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	if again, err := rewrite(got, "new\n\nnewer"); err != nil || again != got {
		t.Errorf("a second time: %q, %v, want no change", again, err)
	}
}

func TestRewriteRefusesWhatItCouldDestroy(t *testing.T) {
	for name, text := range map[string]string{
		"no markers":     "text",
		"no end":         beginMarker,
		"two beginnings": beginMarker + beginMarker + endMarker,
		"wrong order":    endMarker + beginMarker,
	} {
		if got, err := rewrite(text, "new"); err == nil {
			t.Errorf("%s: got %q and no error", name, got)
		}
	}
}

func TestRewriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	if err := rewriteFile(path, "new"); err == nil {
		t.Error("a missing file: no error")
	}
	if err := os.WriteFile(path, []byte("no markers"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rewriteFile(path, "new"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no markers: error %v, want one that names the file", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "no markers" {
		t.Errorf("a refused file became %q, %v", content, err)
	}
}

// The document that is rewritten by default must be one that can be.
func TestDefaultDocumentHasItsMarkers(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewrite(string(content), "new"); err != nil {
		t.Error(err)
	}
}
