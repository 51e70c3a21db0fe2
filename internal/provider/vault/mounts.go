package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxMounts bounds what is remembered of engines.
	maxMounts = 256
	// mountPause is how long an engine about which nothing can be learned is
	// not asked about again.
	mountPause = 5 * time.Second
)

// mount is an engine. The zero value is one about which nothing is known.
type mount struct {
	path   string // with a slash at the end
	kv     bool
	second bool // KV version 2
}

// place is where a secret is read, and where in the answer its fields are.
type place struct {
	path string
	// inner: the fields are those of data.data, as in KV version 2 with the
	// short path.
	inner bool
	// full: KV version 2 with the API's own path data/; fields are written data.x.
	full bool
	mount
}

const dataFolder = "data/"

// apiFolders are those of KV version 2's API that can be read. An id that has
// one is the API's own path, as it always was.
var apiFolders = []string{dataFolder, "metadata/", "subkeys/"}

// in finds the place of path in m.
func (m mount) in(path string) place {
	rest, below := strings.CutPrefix(path, m.path)
	if !m.second || !below {
		return place{path: path, mount: m}
	}
	for _, folder := range apiFolders {
		if strings.HasPrefix(rest, folder) {
			return place{path: path, full: folder == dataFolder, mount: m}
		}
	}
	return place{path: m.path + dataFolder + rest, inner: true, mount: m}
}

// mounts remembers which engine is where. Vault tells it to any token that may
// read something there.
type mounts struct {
	call func(ctx context.Context, path string) (*envelope, error)

	mu      sync.Mutex
	known   map[string]mount     // by mount path
	unknown map[string]time.Time // by path: not to be asked before
}

func newMounts(call func(context.Context, string) (*envelope, error)) *mounts {
	return &mounts{call: call, known: map[string]mount{}, unknown: map[string]time.Time{}}
}

// of finds the engine of path. An error is one that the read would meet as
// well: the server cannot be reached, the token cannot be had.
func (m *mounts) of(ctx context.Context, path string) (mount, error) {
	if found, ok := m.remembered(path); ok {
		return found, nil
	}
	e, err := m.call(ctx, "sys/internal/ui/mounts/"+path)
	if err != nil {
		f, refused := err.(*failure) //nolint:errorlint // one that is wrapped is about the token
		if !refused || f.transient || f.status == 0 {
			return mount{}, err
		}
		if f.status == http.StatusForbidden { // no such engine, or none that the token may use
			m.remember(path, mount{})
		}
		return mount{}, nil // the read will say what is wrong
	}
	defer e.wipe()
	var about struct {
		Path    string `json:"path"`
		Type    string `json:"type"`
		Options struct {
			Version string `json:"version"`
		} `json:"options"`
	}
	_ = json.Unmarshal(e.Data, &about)
	found := mount{about.Path, about.Type == "kv" || about.Type == "generic", about.Type == "kv" && about.Options.Version == "2"}
	if !strings.HasSuffix(found.path, "/") || !strings.HasPrefix(path+"/", found.path) {
		return mount{}, nil
	}
	m.remember(path, found)
	return found, nil
}

// remembered finds the deepest mount above path.
func (m *mounts) remembered(path string) (mount, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if until, ok := m.unknown[path]; ok && time.Now().Before(until) {
		return mount{}, true
	}
	for prefix := path + "/"; ; {
		if found, ok := m.known[prefix]; ok {
			return found, true
		}
		cut := strings.LastIndexByte(prefix[:len(prefix)-1], '/')
		if cut < 0 {
			return mount{}, false
		}
		prefix = prefix[:cut+1]
	}
}

func (m *mounts) remember(path string, found mount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= maxMounts {
		clear(m.known)
	}
	if len(m.unknown) >= maxMounts {
		clear(m.unknown)
	}
	if found.path == "" {
		m.unknown[path] = time.Now().Add(mountPause)
		return
	}
	m.known[found.path] = found
}

// forget is told that a read failed: the engine may have been replaced.
func (m *mounts) forget(at mount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, at.path)
}
