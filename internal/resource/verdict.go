package resource

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Verdict is what became of what Current returned last.
type Verdict struct {
	// Accepted is true where it is in effect now.
	Accepted bool
	// Reason is one word, for programs.
	Reason string
	// Lines are for people.
	Lines []string
	// Services is how many services it has, if it was accepted.
	Services int
}

// Report says what became of what Current returned last.
func (w *Watcher) Report(v Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verdict, w.judged = &v, w.read
	signal(w.wake)
}

const (
	accepted = "Accepted"
	// maxMessage bounds a condition's message, which every reader of the
	// resource gets.
	maxMessage = 16 << 10
	// grace is how long a rejection by another broker stands against ours
	// accepting the same generation. One that is still running renews it at once;
	// one that is not, as after its pod was replaced, has had its time.
	grace = 10 * time.Minute
	// spread is how long brokers that agree wait for one of them to say so.
	spread = time.Second
)

// due says whether a verdict has to be written into a resource, and how long to
// wait first. Every broker that follows the resource asks this, most with the
// same verdict, so:
//   - what the status says already is not written again;
//   - of the same generation, one that cannot use it is worth more than any
//     number that can.
//
// wrote is what this process has written last.
func due(o *Object, v *Verdict, judged identity, me string, wrote written, now time.Time) (write bool, wait time.Duration) {
	if o == nil || v == nil || judged != o.identity() {
		return false, 0 // nobody to tell, or a newer one is about to be judged
	}
	have, ok := o.status.accepted()
	mine := o.status.Reporter == me && wrote.owns(o, have)
	switch {
	case ok && have.ObservedGeneration > o.Generation:
		return false, 0 // somebody else's counting
	case !ok || have.ObservedGeneration < o.Generation:
		if v.Accepted {
			return true, spread
		}
		return true, 0
	case !v.Accepted && have.Status == "False":
		// Mine may have changed: an address that was taken and is not any more.
		return mine && have.Message != v.message(me), 0
	case !v.Accepted:
		return true, 0
	case have.Status == "True":
		return false, 0
	case mine:
		return true, 0
	}
	return true, max(o.status.Reported.Add(grace).Sub(now), spread)
}

// written is what a process has written into a status. A condition under its
// name that is another was written before it began, or by one that has the same
// name: pods can be given one hostname. Once it has written about a generation
// itself it can only be the latter, and to contradict that at once would go on
// for ever. The zero value knows of nothing.
type written struct {
	about           identity
	status, message string
}

func (w written) owns(o *Object, have condition) bool {
	return w.about != o.identity() || w.status == have.Status && w.message == have.Message
}

func (s status) accepted() (condition, bool) {
	i := slices.IndexFunc(s.Conditions, func(c condition) bool { return c.Type == accepted })
	if i < 0 {
		return condition{}, false
	}
	return s.Conditions[i], true
}

// with is the status with the verdict in it; conditions of others stay.
func (s status) with(v *Verdict, generation int64, me string, now time.Time) status {
	c := condition{
		Type: accepted, Status: "False", ObservedGeneration: generation,
		LastTransitionTime: now.UTC().Truncate(time.Second), Reason: v.Reason, Message: v.message(me),
	}
	if v.Accepted {
		c.Status = "True"
	}
	if have, ok := s.accepted(); ok && have.Status == c.Status {
		c.LastTransitionTime = have.LastTransitionTime
	}
	out := status{ObservedGeneration: generation, Reporter: me, Reported: now.UTC().Truncate(time.Second)}
	if v.Accepted {
		out.Services = &v.Services
	}
	out.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c condition) bool { return c.Type == accepted })
	out.Conditions = append(out.Conditions, c)
	return out
}

// message is the lines, as many as there is room for. A rejection says whose it
// is.
func (v *Verdict) message(me string) string {
	var b strings.Builder
	if !v.Accepted {
		b.WriteString(me + ":\n")
	}
	for i, line := range v.Lines {
		if b.Len()+len(line) > maxMessage {
			if i == 0 {
				b.WriteString(cut(line, maxMessage-b.Len()))
			}
			b.WriteString("\nand more; the broker's log has everything")
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String()
}

// cut is the beginning of s, of at most n bytes.
func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
