package ssh

import (
	"net"
	"reflect"
	"sync"
	"unsafe"
)

// releasing is a connection below the library that sees to it that the library
// lets go of it.
//
// The library's reader hands packets over through a channel that holds 16. When
// what takes them stops, because the peer has broken the protocol, it closes
// the connection and waits for the reader, and the reader, where the peer had
// sent more packets than that at once, waits for somebody to take them: for
// ever, and with it Close, Wait and the failed handshake. So once the
// connection is closed the packets are taken here. The channel can be reached
// in no other way; TestAPeerThatPipelinesAndBreaksOffLeavesNothing fails where
// a new version of the library calls it something else.
type releasing struct {
	net.Conn

	mu     sync.Mutex
	reader <-chan []byte // nil until it is known
	closed bool
}

// of makes the library's connection known, as soon as there is one.
func (r *releasing) of(connection any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reader == nil {
		r.reader = packetsOf(connection)
	}
}

// Close is called by the library, which waits for its reader then. The
// goroutine ends with that.
func (r *releasing) Close() error {
	err := r.Conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reader != nil && !r.closed {
		r.closed = true
		go discard(r.reader)
	}
	return err
}

func discard(packets <-chan []byte) {
	for range packets {
	}
}

// packetsOf is the channel of the library's reader, nil where it has another
// form.
func packetsOf(connection any) <-chan []byte {
	v := reflect.ValueOf(connection)
	for _, name := range []string{"transport", "incoming"} {
		for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil
		}
		v = v.FieldByName(name)
	}
	if !v.IsValid() || !v.CanAddr() || v.Type() != reflect.TypeFor[chan []byte]() {
		return nil
	}
	return *(*chan []byte)(unsafe.Pointer(v.UnsafeAddr()))
}
