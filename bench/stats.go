package main

import (
	"cmp"
	"slices"
	"time"
)

// median returns the middle value, the mean of the two middle ones for an even
// number, and the zero value for none. It leaves values as they are.
func median[T ~float64 | ~int64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the value below which p of 100 sorted ones are, by the
// nearest rank, and zero for none.
func percentile[T any](sorted []T, p int) (value T) {
	if len(sorted) == 0 {
		return value
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// bounds returns the least and the greatest value, zero for none.
func bounds[T cmp.Ordered](values []T) (least, greatest T) {
	if len(values) == 0 {
		return least, greatest
	}
	return slices.Min(values), slices.Max(values)
}

// each projects the samples onto one of their figures.
func (s series) each(figure func(sample) float64) []float64 {
	values := make([]float64, 0, len(s.samples))
	for _, one := range s.samples {
		values = append(values, figure(one))
	}
	return values
}

func rateOf(s sample) float64 { return s.rate }
func costOf(s sample) float64 { return s.cost }

func medianLatencyOf(s sample) float64 { return float64(s.latency.median) / float64(time.Microsecond) }
func p99LatencyOf(s sample) float64    { return float64(s.latency.p99) / float64(time.Microsecond) }

// ratio compares two series round by round and returns the median of the
// quotients a/b: what drifts between rounds then weighs on both sides alike.
// ok is false when they have no round in common.
func ratio(a, b series, figure func(sample) float64) (quotient float64, ok bool) {
	base := make(map[int]float64, len(b.samples))
	for _, s := range b.samples {
		base[s.round] = figure(s)
	}
	var quotients []float64
	for _, s := range a.samples {
		if divisor := base[s.round]; divisor > 0 {
			quotients = append(quotients, figure(s)/divisor)
		}
	}
	return median(quotients), len(quotients) > 0
}

// rotated returns items starting with the one whose turn it is in that round,
// so that no contender always runs first or always after the same other.
func rotated[T any](items []T, round int) []T {
	if len(items) == 0 {
		return nil
	}
	start := round % len(items)
	return slices.Concat(items[start:], items[:start])
}
