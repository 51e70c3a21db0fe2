package mssql

import (
	"io"
	"sync"

	"secretless/internal/wire/tds"
)

// readers recycles the memory of handshakes.
type readers struct{ pool sync.Pool }

func (p *readers) get(src io.Reader) *tds.Reader {
	r, ok := p.pool.Get().(*tds.Reader)
	if !ok {
		return tds.NewReader(src)
	}
	r.Reset(src)
	return r
}

// put takes r back; it must not be used any more. One that had to grow is left
// to the collector.
func (p *readers) put(r *tds.Reader) {
	if r.Reset(nil) {
		p.pool.Put(r)
	}
}
