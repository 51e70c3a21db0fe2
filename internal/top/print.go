package top

import (
	"bytes"
	"context"
	"io"
	"time"
)

// PrintOptions are those of Print.
type PrintOptions struct {
	Source   Source
	To       io.Writer
	Interval time.Duration
	// Times is how many views are printed; zero means until ctx ends.
	Times int
}

// Print prints views as plain text, the first after one Interval, since rates
// need two samples. It ends with an error when the broker does not answer.
func Print(ctx context.Context, o PrintOptions) error {
	first, err := take(ctx, o.Source)
	if err != nil {
		return err
	}
	v := view{model: next(nil, first)}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for n := 0; o.Times == 0 || n < o.Times; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		s, err := take(ctx, o.Source)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		v.model = next(v.model, s)
		if err := v.print(o.To, n > 0); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) print(to io.Writer, again bool) error {
	var b bytes.Buffer
	if again {
		b.WriteByte('\n')
	}
	for _, l := range v.render(0, 0) {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	_, err := to.Write(b.Bytes())
	return err
}
