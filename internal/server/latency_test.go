package server

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

func TestABucketHoldsWhatItsEndsSay(t *testing.T) {
	o := octave(bounds())
	rng := rand.New(rand.NewPCG(1, 2))
	values := []int64{-5, 0, 1, 953, 954, 1000, int64(time.Second), int64(time.Second) + 1, 2 * int64(time.Second), int64(time.Hour), math.MaxInt64}
	for range 10_000 {
		values = append(values, int64(math.Exp(rng.Float64()*math.Log(2e12))))
	}
	for _, d := range values {
		n := o.bucket(d)
		seconds := float64(d) / 1e9
		if seconds > upper(n) || n > 0 && seconds <= upper(n-1) {
			t.Errorf("%d ns is in bucket %d, from %g to %g s", d, n, upper(max(n-1, 0)), upper(n))
		}
	}
}

func TestQuantilesAreWithinABucketOfTheTruth(t *testing.T) {
	o, l := octave(bounds()), &latency{}
	rng := rand.New(rand.NewPCG(3, 4))
	var all []int64
	for range 20_000 {
		d := int64(math.Exp(rng.NormFloat64()) * 1e6)
		all = append(all, d)
		l.add(&o, d, 1)
	}
	slices.Sort(all)
	r := &reading{}
	r.read(l)
	qs := []float64{0.5, 0.75, 0.95, 0.98, 0.99, 0.999}
	for i, got := range r.quantiles(qs, r.recently()) {
		want := float64(all[int(qs[i]*float64(len(all)))]) / 1e9
		if got < want/1.1 || got > want*1.1 {
			t.Errorf("quantile %g is %g s; want %g s", qs[i], got, want)
		}
	}
	if got := r.quantiles(qs, 1<<40); got[5] != 0 {
		t.Errorf("among many that took no time the quantiles are %v", got)
	}
}

func TestQuantilesForgetWhatIsOlderThanTheWindow(t *testing.T) {
	o, l := octave(bounds()), &latency{}
	l.add(&o, int64(time.Minute), 1000)
	median := func() float64 {
		r := &reading{}
		r.read(l)
		return r.quantiles([]float64{0.5}, r.recently())[0]
	}
	l.turn()
	if got := median(); got < 50 {
		t.Errorf("after one turn the median is %g s", got)
	}
	l.turn()
	l.add(&o, int64(time.Millisecond), 1)
	if got := median(); got > 0.0011 {
		t.Errorf("after two turns the median is %g s; want that of what came last, 0.001", got)
	}
	r := &reading{}
	r.read(l)
	if r.count() != 1001 {
		t.Errorf("%d are counted since the start; want 1001", r.count())
	}
}

func TestTheNativeHistogramHasWhatWasCounted(t *testing.T) {
	o, l := octave(bounds()), &latency{}
	for i := range 60 {
		l.add(&o, int64(1)<<i, uint64(i+1))
	}
	r := &reading{}
	r.read(l)
	var m dto.Metric
	if err := (&secondsHistogram{reading: r, classic: classicOf(inAll)}).Write(&m); err != nil {
		t.Fatal(err)
	}
	h := m.Histogram
	got := map[int32]int64{}
	at, count, n := int32(0), int64(0), 0
	for _, span := range h.PositiveSpan {
		at += span.GetOffset()
		for range span.GetLength() {
			count += h.PositiveDelta[n]
			got[at] = count
			at, n = at+1, n+1
		}
	}
	sum := h.GetZeroCount()
	for k, c := range got {
		if want := r.counts[int(k)-leastExp*perOctave]; uint64(c) != want {
			t.Errorf("bucket %d has %d; want %d", k, c, want)
		}
		sum += uint64(c)
	}
	if sum != h.GetSampleCount() || sum != 60*61/2 {
		t.Errorf("the buckets have %d and the histogram says %d; want %d", sum, h.GetSampleCount(), 60*61/2)
	}
	var last uint64
	for _, b := range h.Bucket {
		var want uint64
		for i, c := range r.counts {
			if upper(i) <= b.GetUpperBound() {
				want += c
			}
		}
		if b.GetCumulativeCount() != want || want < last {
			t.Errorf("up to %g s there are %d; want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
		last = want
	}
	if len(h.Bucket) != 21 {
		t.Errorf("there are %d classic buckets; want 21", len(h.Bucket))
	}
}

func BenchmarkLatency(b *testing.B) {
	o, l := octave(bounds()), &latency{}
	for i := range b.N {
		l.add(&o, int64(i)*100, 1)
	}
}

// BenchmarkRecord is all that the phases of a request cost, its readings of the clock aside.
func BenchmarkRecord(b *testing.B) {
	q := newRequests()
	toys := newToys()
	api := &servedAPI{toys.table[toyRun], q.stats(toys.table[toyRun], false), 0}
	sent := []outgoing{{t: timing{api: api, arrived: 1000, began: 2000, handled: 12_000, answered: 12_000}}}
	b.ReportAllocs()
	for b.Loop() {
		q.record(sent, 13_000, 20_000)
	}
}
