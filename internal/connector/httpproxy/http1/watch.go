package http1

// watch reads from a client that waits for its answer, to see it go. What it
// reads instead is the start of a next request.
func (c *conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.silent || c.watching || c.early != nil || c.turn.Load()%2 == 0 {
		return
	}
	c.watching = true
	go func() { // unwatch waits for it
		b := make([]byte, 64)
		n, err := c.nc.Read(b)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.early = b[:n]
		if err != nil && !c.halted {
			c.cancel()
		}
		c.watching = false
		c.ended.Broadcast()
	}()
}

// unwatch waits until nobody watches the client any more.
func (c *conn) unwatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = false
	if c.watching {
		c.halted = true
		_ = c.nc.SetReadDeadline(past())
		for c.watching {
			c.ended.Wait()
		}
		c.halted = false
		_ = c.nc.SetReadDeadline(noDeadline())
	}
	if len(c.early) > 0 {
		c.in.Add(c.early)
	}
	c.early = nil
}
