package cli

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// watchInterval is how often the file is looked at. Polling a stat sees what
// notification APIs miss: network file systems, an editor that replaces the
// file, a directory above it that becomes another symlink (Kubernetes).
const watchInterval = 500 * time.Millisecond

// watchFile sends on the returned channel when the file behind path is another
// or has changed, and has stayed the same for one interval since, so that a
// file is not read half-written. A file that is gone is not a change. The
// channel is closed when ctx ends. loaded is the file as it was when it was
// read, so that a change since then counts.
func watchFile(ctx context.Context, path string, loaded fs.FileInfo) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		last := loaded
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := os.Stat(path)
			if err != nil {
				continue
			}
			if settled := sameFile(now, last); settled && !sameFile(now, loaded) {
				loaded = now
				select {
				case changed <- struct{}{}:
				default: // a reload is due already and will read this version
				}
			}
			last = now
		}
	}()
	return changed
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
