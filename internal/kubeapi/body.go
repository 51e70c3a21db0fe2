package kubeapi

import (
	"fmt"
	"io"
)

// TooLargeError is an answer that goes on behind its bound.
type TooLargeError struct{ Limit int }

func (e TooLargeError) Error() string {
	return fmt.Sprintf("the answer is larger than %d MiB", e.Limit>>20)
}

// ReadBody is io.ReadAll with a bound; it wipes what it leaves when it grows,
// and the caller wipes what it returns, also with an error.
func ReadBody(r io.Reader, limit int) ([]byte, error) {
	buf := make([]byte, 0, 16<<10)
	for {
		if len(buf) == cap(buf) {
			grown := append(make([]byte, 0, 2*cap(buf)), buf...)
			clear(buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf, TooLargeError{limit}
		case err == io.EOF: //nolint:errorlint // as io.ReadAll does
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}
