package main

import (
	"slices"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"none", nil, 0},
		{"one", []float64{3}, 3},
		{"odd, unsorted", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
		{"an outlier", []float64{1, 1, 1000}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.values)
			if got := median(test.values); got != test.want {
				t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
			}
			if !slices.Equal(before, test.values) {
				t.Errorf("median changed its argument to %v", test.values)
			}
		})
	}
	if got := median([]time.Duration{3 * time.Second, time.Second}); got != 2*time.Second {
		t.Errorf("median of durations = %v, want 2s", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, test := range []struct {
		sorted  []int
		p, want int
	}{
		{nil, 50, 0},
		{[]int{7}, 99, 7},
		{[]int{7}, 1, 7},
		{[]int{1, 2, 3}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred[:50], 99, 50},
	} {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("%d %% of %d values: %d, want %d", test.p, len(test.sorted), got, test.want)
		}
	}
}

func TestBounds(t *testing.T) {
	if least, greatest := bounds([]float64{2, 7, 1}); least != 1 || greatest != 7 {
		t.Errorf("bounds = %v, %v, want 1, 7", least, greatest)
	}
	if least, greatest := bounds([]float64(nil)); least != 0 || greatest != 0 {
		t.Errorf("bounds of nothing = %v, %v, want zeros", least, greatest)
	}
}

func rates(contender string, values ...float64) series {
	s := series{contender: contender}
	for round, value := range values {
		s.samples = append(s.samples, sample{round: round, rate: value, cost: value / 10})
	}
	return s
}

func TestRatioComparesRoundByRound(t *testing.T) {
	// The machine slows down tenfold; ours is always 0.9 of theirs.
	ours, theirs := rates(broker, 900, 90, 9), rates(direct, 1000, 100, 10)
	if got, ok := ratio(ours, theirs, rateOf); !ok || got != 0.9 {
		t.Errorf("ratio = %v, %v, want 0.9, true", got, ok)
	}
	// Of theirs, the first round is missing: only common rounds count.
	theirs.samples = theirs.samples[2:]
	theirs.samples[0].rate = 18
	if got, ok := ratio(ours, theirs, rateOf); !ok || got != 0.5 {
		t.Errorf("ratio of one common round = %v, %v, want 0.5, true", got, ok)
	}
	if _, ok := ratio(ours, series{}, rateOf); ok {
		t.Error("a ratio to nothing is known")
	}
	if _, ok := ratio(ours, rates(direct, 0, 0, 0), rateOf); ok {
		t.Error("a ratio to zero is known")
	}
}

func TestRotatedGivesEveryoneEveryTurn(t *testing.T) {
	items := []string{"a", "b", "c"}
	for round, want := range [][]string{{"a", "b", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"a", "b", "c"}} {
		if got := rotated(items, round); !slices.Equal(got, want) {
			t.Errorf("round %d: %v, want %v", round, got, want)
		}
	}
	if got := rotated([]string{}, 3); len(got) != 0 {
		t.Errorf("rotated nothing = %v", got)
	}
}
