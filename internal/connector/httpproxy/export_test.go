package httpproxy

// SetAuthority gives c an authority of the test's.
func (c *Connector) SetAuthority(a Authority) { c.authority = a }
