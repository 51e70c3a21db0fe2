package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func has(w *Watcher, spec string) func() bool {
	return func() bool {
		o, err := w.Current()
		return err == nil && string(o.Spec) == spec
	}
}

// A server that misbehaves in every way is caught up with as soon as it behaves,
// and what was known before stays known meanwhile.
func TestHostileServer(t *testing.T) {
	d, l := newDouble(t), &logs{}
	w := d.follow("me", l)
	eventually(t, "the wait", func() bool { return strings.Contains(l.String(), "waiting for the configuration to be made") })
	if _, err := w.Current(); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "there is no things.g.io n in namespace s yet") {
		t.Errorf("got %v", err)
	}
	d.set(0)
	eventually(t, "the first", has(w, "0"))
	answer := func(status int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.WriteHeader(status)
			_, _ = fmt.Fprint(rw, text)
			return true
		}
	}
	watches := func(serve func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("watch") != "" && serve(rw, r)
		}
	}
	n := 0
	for name, c := range map[string]struct {
		bad func(http.ResponseWriter, *http.Request) bool
		log string // what is logged; empty for nothing
	}{
		"forbidden to list":  {answer(http.StatusForbidden, canary), "may not"},
		"forbidden to watch": {watches(answer(http.StatusForbidden, canary)), "give it a Role there with the verb watch on things of API group g.io, resourceNames [n]"},
		"unauthorized":       {answer(http.StatusUnauthorized, canary), "does not accept the credentials"},
		"no such API":        {answer(http.StatusNotFound, canary), "install their definition"},
		"busy":               {answer(http.StatusServiceUnavailable, canary), "cannot answer now (status 503)"},
		"elsewhere":          {answer(http.StatusFound, canary), "sends elsewhere"},
		"a web page":         {answer(http.StatusOK, "<html>"+canary), "is no resource"},
		"garbage":            {watches(answer(http.StatusOK, canary+"\n")), "is no resource"},
		"expired":            {watches(answer(http.StatusGone, canary)), ""},
		"expired, later":     {watches(answer(http.StatusOK, `{"type":"ERROR","object":{"code":410}}`+"\n")), ""},
		"ends at once":       {watches(answer(http.StatusOK, "")), "ends the watch at once"},
		"another's":          {watches(answer(http.StatusOK, strings.Replace(sample, `"n"`, `"m"`, 1)+"\n")), "another resource"},
		"an endless line": {watches(func(rw http.ResponseWriter, r *http.Request) bool {
			for chunk := strings.Repeat("a", 1<<16); r.Context().Err() == nil; {
				if _, err := fmt.Fprint(rw, chunk); err != nil {
					break
				}
			}
			return true
		}), "larger than 4 MiB"},
		"breaks off": {watches(func(rw http.ResponseWriter, _ *http.Request) bool {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err == nil {
				_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"+canary)
				_ = conn.Close()
			}
			return true
		}), "the connection broke"},
		"no HTTP": {func(rw http.ResponseWriter, _ *http.Request) bool {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err == nil {
				_, _ = fmt.Fprint(conn, canary+"\r\n\r\n")
				_ = conn.Close()
			}
			return true
		}, "what came is no HTTP"},
	} {
		before := len(l.String())
		said := func() string { return l.String()[before:] }
		asked := make(chan struct{}, 1)
		d.misbehave(func(rw http.ResponseWriter, r *http.Request) bool {
			answered := c.bad(rw, r)
			if answered {
				signal(asked)
			}
			return answered
		})
		<-asked
		if c.log != "" {
			eventually(t, name+" to be logged", func() bool { return strings.Contains(said(), c.log) })
		}
		if !has(w, fmt.Sprint(n))() {
			t.Errorf("%s: what was known is not known any more", name)
		}
		n++
		d.misbehave(nil)
		d.set(n)
		eventually(t, "the watcher to catch up after "+name, has(w, fmt.Sprint(n)))
		eventually(t, "the watch after "+name, func() bool { return !strings.Contains(w.State(), "not up to date") })
		if c.log == "" && strings.Contains(said(), errExpired.Error()) {
			t.Errorf("%s: complains of what is usual: %s", name, said())
		}
	}
	d.set(nil)
	eventually(t, "the end", func() bool { _, err := w.Current(); return errors.Is(err, ErrNone) })
	if !strings.Contains(w.State(), "was deleted at") {
		t.Error(w.State())
	}
}

// Changes are told once each, and what is only about the status is none.
func TestChanges(t *testing.T) {
	d := newDouble(t)
	d.set(1)
	w := d.follow("me", &logs{})
	<-w.Changes()
	if !has(w, "1")() {
		t.Fatal("the resource is not there")
	}
	w.Report(Verdict{Accepted: true, Reason: "Applied"})
	eventually(t, "the status", func() bool { return d.status() == "True 1 by me" })
	d.set(2)
	<-w.Changes()
	if !has(w, "2")() {
		t.Error("the second is not there")
	}
	select {
	case <-w.Changes():
		t.Error("the status counts as a change")
	default:
	}
	if d.lists.Load() != 1 {
		t.Errorf("%d lists", d.lists.Load())
	}
}

// Of many brokers one or few write what all of them think, and one that cannot
// use a resource is not talked over.
func TestManyBrokers(t *testing.T) {
	d := newDouble(t)
	d.set(1)
	const many = 30
	var brokers []*Watcher
	l := &logs{}
	for i := range many {
		brokers = append(brokers, d.follow(fmt.Sprintf("pod-%d", i), l))
	}
	judge := func(spec string, accepts func(i int) bool) {
		for i, w := range brokers {
			eventually(t, "the resource", has(w, spec))
			v := Verdict{Accepted: accepts(i), Reason: "R", Lines: []string{"as it is"}}
			w.Report(v)
		}
	}
	judge("1", func(int) bool { return true })
	eventually(t, "the status", func() bool { return strings.HasPrefix(d.status(), "True 1 by pod-") })
	settle(t, brokers)
	first := d.written.Load()
	if first != 1 {
		t.Errorf("%d of %d have written the same", first, many)
	}
	d.set(2)
	judge("2", func(i int) bool { return i != 7 })
	eventually(t, "the rejection", func() bool { return d.status() == "False 2 by pod-7" })
	settle(t, brokers)
	if got := d.status(); got != "False 2 by pod-7" {
		t.Errorf("talked over: %s", got)
	}
	if got := d.written.Load() - first; got > 2 {
		t.Errorf("%d writes for one generation", got)
	}
	t.Logf("%d conflicts", d.conflict.Load())
	judge("2", func(int) bool { return true })
	eventually(t, "pod-7 to agree", func() bool { return d.status() == "True 2 by pod-7" })
}

// settle waits until no broker has anything to write, but for what is for later.
func settle(t *testing.T, brokers []*Watcher) {
	t.Helper()
	for _, w := range brokers {
		eventually(t, "nothing to write", func() bool {
			_, wait, ok := w.due()
			return !ok || wait > spread
		})
	}
}

// Without the right to write, that is said once, and the rest goes on.
func TestStatusIsForbidden(t *testing.T) {
	d, l := newDouble(t), &logs{}
	d.set(1)
	d.misbehave(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		rw.WriteHeader(http.StatusForbidden)
		return true
	})
	w := d.follow("me", l)
	for n := 1; n <= 3; n++ {
		eventually(t, "the resource", has(w, fmt.Sprint(n)))
		w.Report(Verdict{Reason: "Invalid", Lines: []string{"no"}})
		eventually(t, "the complaint", func() bool {
			return strings.Contains(l.String(), "give the account a Role with the verb patch on things/status of API group g.io, resourceNames [n]")
		})
		d.set(n + 1)
	}
	if got := strings.Count(l.String(), "cannot be written"); got != 1 {
		t.Errorf("complained %d times", got)
	}
}

// A status that could not be written is written as soon as that is possible
// again, whatever stood in the way.
func TestStatusIsWrittenLater(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			d, l := newDouble(t), &logs{}
			d.set(1)
			d.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPatch {
					return false
				}
				w.WriteHeader(status)
				return true
			})
			w := d.follow("me", l)
			eventually(t, "the resource", has(w, "1"))
			w.Report(Verdict{Reason: "Invalid", Lines: []string{"no"}})
			eventually(t, "the complaint", func() bool { return strings.Contains(l.String(), "cannot be written") })
			d.recover()
			eventually(t, "the status", func() bool { return d.status() == "False 1 by me" })
		})
	}
}

// A server that does not answer is called that, and not a context's deadline.
func TestServerThatHangs(t *testing.T) {
	d := newDouble(t)
	d.misbehave(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	w := d.follow("me", &logs{})
	a, err := w.access()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Wipe()
	client, done := a.Client()
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = w.list(ctx, client, a.Namespace)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "asking the API server: no answer in time") {
		t.Errorf("got %v", err)
	}
}

// A server that says something new in each watch and ends it at once is asked
// now and then, not all the time.
func TestServerThatEndsWatches(t *testing.T) {
	d := newDouble(t)
	d.set(1)
	var watches atomic.Int64
	d.misbehave(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("watch") == "" {
			return false
		}
		_, _ = fmt.Fprintf(rw, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"v%d"}}}`+"\n", watches.Add(1))
		return true
	})
	const pause = 50 * time.Millisecond
	d.followAt(pauses{pause, pause}, "me", &logs{})
	eventually(t, "a watch", func() bool { return watches.Load() > 0 })
	began, before := time.Now(), watches.Load()
	time.Sleep(200 * time.Millisecond)
	// Each pause is half of that at least.
	if got, most := watches.Load()-before, int64(time.Since(began)/(pause/2))+1; got > most {
		t.Errorf("%d watches, want %d at most", got, most)
	}
}

// What runs stays, where something runs: at the start the broker waits.
func TestCannotBeReadAtFirst(t *testing.T) {
	d, l := newDouble(t), &logs{}
	d.set(0)
	away := func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	d.misbehave(away)
	w := d.follow("me", l)
	eventually(t, "the wait", func() bool {
		return strings.Contains(l.String(), "the configuration cannot be read, and is waited for")
	})
	if strings.Contains(l.String(), "what runs stays") {
		t.Errorf("nothing runs:\n%s", l)
	}
	// The same trouble once something runs is told in its own words.
	d.misbehave(func(rw http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("watch") != "" && away(rw, r)
	})
	eventually(t, "the resource", has(w, "0"))
	eventually(t, "the trouble", func() bool { return strings.Contains(l.String(), "cannot be followed, what runs stays") })
}
