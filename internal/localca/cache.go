package localca

import (
	"container/list"
	"crypto/tls"
	"sync"
	"time"
)

// maxMade bounds the certificates in memory, a few KiB each.
const maxMade = 1024

// cache holds the certificates that were made last. The zero cache is empty.
type cache struct {
	mu     sync.Mutex
	byHost map[string]*list.Element // of *entry
	recent list.List                // most recently used first
}

// entry is one certificate, made by the first who asks while others wait.
type entry struct {
	host  string
	renew time.Time // from then on it is made anew
	once  sync.Once
	cert  *tls.Certificate
	err   error
}

func (c *cache) get(host string, now time.Time, make func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	e := c.entry(host, now)
	e.once.Do(func() { e.cert, e.err = make() })
	if e.err != nil {
		c.drop(e)
	}
	return e.cert, e.err
}

// entry returns the one of a host, a new one where it has none or an old one.
func (c *cache) entry(host string, now time.Time) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHost == nil {
		c.byHost = map[string]*list.Element{}
	}
	if at := c.byHost[host]; at != nil {
		if e := at.Value.(*entry); now.Before(e.renew) {
			c.recent.MoveToFront(at)
			return e
		}
		c.remove(at)
	}
	e := &entry{host: host, renew: now.Add(leafLifetime - renewBefore)}
	c.byHost[host] = c.recent.PushFront(e)
	if c.recent.Len() > maxMade {
		c.remove(c.recent.Back())
	}
	return e
}

func (c *cache) drop(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.byHost[e.host]; at != nil && at.Value == e {
		c.remove(at)
	}
}

func (c *cache) remove(at *list.Element) {
	c.recent.Remove(at)
	delete(c.byHost, at.Value.(*entry).host)
}
