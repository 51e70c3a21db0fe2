package broker

// closerFunc is an io.Closer that is a function.
type closerFunc func()

func (f closerFunc) Close() error { f(); return nil }
