package benchcmd

import (
	"math/bits"
	"time"
)

// The shape of a histogram: every power of two is cut into so many buckets, so that a bucket is at most 1/64 of its
// value wide.
const (
	cutBits = 6
	cuts    = 1 << cutBits
	buckets = (63 - cutBits + 1) * cuts
)

// histogram counts durations in buckets of fixed places, which grow with the duration. It is for one goroutine;
// several are added up. The zero value is empty.
type histogram struct {
	counts [buckets]int64
	n      int64
	sum    time.Duration
	most   time.Duration
}

// bucket is where a duration is counted.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < cuts {
		return int(v)
	}
	shift := bits.Len64(v) - cutBits - 1
	return shift*cuts + int(v>>shift)
}

// highest is the greatest duration of a bucket.
func highest(i int) time.Duration {
	if i < 2*cuts {
		return time.Duration(i)
	}
	shift := i/cuts - 1
	return time.Duration((uint64(i-shift*cuts)+1)<<shift - 1)
}

// add counts a duration; one below zero as none.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)]++
	h.n++
	h.sum += d
	h.most = max(h.most, d)
}

// merge counts what another has counted.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.sum += o.sum
	h.most = max(h.most, o.most)
}

// quantile is a duration that the part q of all do not exceed, at most 1/64 too great and never above the greatest.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := max(int64(q*float64(h.n)+0.9999999), 1)
	seen := int64(0)
	for i, n := range h.counts {
		if seen += n; seen >= want {
			return min(highest(i), h.most)
		}
	}
	return h.most
}

// latency is a histogram as it is told, in milliseconds.
type latency struct {
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
	Mean float64 `json:"mean_ms"`
}

// told sums a histogram up; nil for an empty one.
func (h *histogram) told() *latency {
	if h.n == 0 {
		return nil
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return &latency{ms(h.quantile(0.5)), ms(h.quantile(0.95)), ms(h.quantile(0.99)), ms(h.quantile(0.999)), ms(h.most), ms(h.sum / time.Duration(h.n))}
}
