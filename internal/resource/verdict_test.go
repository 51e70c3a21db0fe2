package resource

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	yes, no := &Verdict{Accepted: true}, &Verdict{Lines: []string{"bad"}}
	is := func(status string, generation int64, reporter string, age time.Duration) had {
		return had{status, generation, reporter, age}
	}
	for name, c := range map[string]struct {
		have    had
		verdict *Verdict
		judged  int64
		write   bool
		wait    time.Duration
	}{
		"nothing judged":                     {is("", 0, "", 0), nil, 2, false, 0},
		"an older one judged":                {is("", 0, "", 0), yes, 1, false, 0},
		"first, accepted":                    {is("", 0, "", 0), yes, 2, true, spread},
		"first, rejected":                    {is("", 0, "", 0), no, 2, true, 0},
		"older, accepted":                    {is("True", 1, "other", 0), yes, 2, true, spread},
		"older, rejected":                    {is("False", 1, "other", 0), no, 2, true, 0},
		"said already":                       {is("True", 2, "other", 0), yes, 2, false, 0},
		"rejected over another's acceptance": {is("True", 2, "other", 0), no, 2, true, 0},
		"rejected by another too":            {is("False", 2, "other", 0), no, 2, false, 0},
		"rejected by me for another reason":  {is("False", 2, "me", 0), no, 2, true, 0},
		"I have changed my mind":             {is("False", 2, "me", 0), yes, 2, true, 0},
		"another rejects, lately":            {is("False", 2, "other", time.Minute), yes, 2, true, grace - time.Minute},
		"another rejected long ago":          {is("False", 2, "other", time.Hour), yes, 2, true, spread},
		"a generation to come":               {is("False", 3, "other", time.Hour), yes, 2, false, 0},
	} {
		o := &Object{UID: "u", Generation: 2}
		if c.have.status != "" {
			o.status = status{Reporter: c.have.reporter, Reported: now.Add(-c.have.age), Conditions: []condition{
				{Type: "Other", Status: "True"},
				{Type: accepted, Status: c.have.status, ObservedGeneration: c.have.generation, Message: "old"},
			}}
		}
		write, wait := due(o, c.verdict, identity{"u", c.judged}, "me", written{}, now)
		if write != c.write || write && wait != c.wait {
			t.Errorf("%s: %v after %v, want %v after %v", name, write, wait, c.write, c.wait)
		}
		if !write {
			continue
		}
		// Once it is written there is nothing left to do, and others' conditions stay.
		o.status = o.status.with(c.verdict, 2, "me", now)
		if again, _ := due(o, c.verdict, identity{"u", 2}, "me", written{}, now); again {
			t.Errorf("%s: would be written again", name)
		}
		if c.have.status != "" && (len(o.status.Conditions) != 2 || o.status.Conditions[0].Type != "Other") {
			t.Errorf("%s: conditions %v", name, o.status.Conditions)
		}
	}
	if write, _ := due(nil, yes, identity{}, "me", written{}, now); write {
		t.Error("written to a resource that is not there")
	}
}

// Two brokers of one name that disagree do not contradict each other for ever.
func TestTwins(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	yes, no, other := &Verdict{Accepted: true}, &Verdict{Lines: []string{"taken"}}, &Verdict{Lines: []string{"another reason"}}
	o := &Object{UID: "u", Generation: 2}
	var wrote [2]written
	step := func(who int, v *Verdict) (bool, time.Duration) {
		write, wait := due(o, v, o.identity(), "me", wrote[who], now)
		if write && wait <= spread {
			o.status = o.status.with(v, o.Generation, "me", now)
			c, _ := o.status.accepted()
			wrote[who] = written{o.identity(), c.Status, c.Message}
		}
		return write, wait
	}
	for _, c := range []struct {
		who   int
		v     *Verdict
		write bool
		wait  time.Duration
	}{
		{0, yes, true, spread},
		{1, no, true, 0},      // rejected: worth more
		{0, yes, true, grace}, // as over any other's rejection
		{1, no, false, 0},     // said already
		{0, other, false, 0},  // it is rejected, for some reason
		{1, other, true, 0},   // its own has changed
		{1, yes, true, 0},     // and passed
		{0, yes, false, 0},    // agreed
		{0, other, true, 0},   // another time
		{1, yes, true, grace}, // not at once
		{0, yes, true, 0},     // its own again
	} {
		if write, wait := step(c.who, c.v); write != c.write || wait != c.wait {
			t.Errorf("%+v: %v after %v", c, write, wait)
		}
	}
	// Of a new generation each may speak again.
	o.Generation = 3
	if write, wait := step(1, no); !write || wait != 0 {
		t.Errorf("a new generation: %v after %v", write, wait)
	}
}

// had is what the status says before.
type had struct {
	status     string
	generation int64
	reporter   string
	age        time.Duration
}

func TestMessageIsBounded(t *testing.T) {
	long := strings.Repeat("é", maxMessage)
	for name, lines := range map[string][]string{
		"one long line": {long}, "many": strings.Split(strings.Repeat("some line\n", 1<<14), "\n"), "odd": {"x" + long}, "none": nil,
	} {
		got := (&Verdict{Lines: lines}).message("me")
		if len(got) > maxMessage+64 || !utf8.ValidString(got) || !strings.HasPrefix(got, "me:\n") {
			t.Errorf("%s: %d bytes", name, len(got))
		}
		if name != "none" && !strings.HasSuffix(got, "and more; the broker's log has everything") {
			t.Errorf("%s ends in %q", name, got[len(got)-50:])
		}
	}
}
