package server

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A latency's buckets are those of a Prometheus native histogram of schema 3: eight to a power of two,
// so that a value is known to 9 per cent.
const (
	latencySchema = 3
	perOctave     = 1 << latencySchema
	// leastExp and mostExp are the powers of two, in seconds, between which values are told apart:
	// from one microsecond to seventeen minutes.
	leastExp = -20
	mostExp  = 10
	// latencyBuckets are one for all that is shorter, the octaves', and one for all that is longer.
	latencyBuckets = (mostExp-leastExp)*perOctave + 2
)

// latency counts durations. Any number of goroutines add to it, without a lock and without memory;
// the windows belong to who reads it.
type latency struct {
	counts [latencyBuckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
	// before are the counts as they were at the last two turns of the window, the older ones first.
	before [2][latencyBuckets]uint32
}

// bounds are the upper ends of the buckets of one octave, as fractions of its end: 2^(i/8)/2.
func bounds() (b [perOctave]float64) {
	for i := range b {
		b[i] = math.Exp2(float64(i)/perOctave) / 2
	}
	return b
}

// octave is bounds, computed once per latencies.
type octave [perOctave]float64

// bucket returns the place of d in counts. A bucket holds what is greater than its lower end and at
// most its upper one.
func (o *octave) bucket(d int64) int {
	if d <= 0 {
		return 0
	}
	fraction, exp := math.Frexp(float64(d) / float64(time.Second))
	i := 0
	if fraction > o[4] {
		i = 5
	}
	for i < perOctave && fraction > o[i] {
		i++
	}
	// fraction lies in [1/2, 1): the bucket i of the octave that ends at 2^exp, where 0 is the last of the one before.
	n := (exp-1-leastExp)*perOctave + i
	return min(max(n, 0), latencyBuckets-1)
}

// upper returns the upper end of a bucket in seconds.
func upper(bucket int) float64 {
	if bucket == latencyBuckets-1 {
		return math.Inf(1)
	}
	return math.Exp2(leastExp + float64(bucket)/perOctave)
}

// add counts n durations of d nanoseconds.
func (l *latency) add(o *octave, d int64, n uint64) {
	l.counts[o.bucket(d)].Add(n)
	l.sum.Add(max(d, 0) * int64(n))
}

// turn moves the window on.
func (l *latency) turn() {
	l.before[0] = l.before[1]
	for i := range l.counts {
		l.before[1][i] = uint32(l.counts[i].Load())
	}
}

// reading is what a latency, or several together, said at one moment.
type reading struct {
	counts [latencyBuckets]uint64 // since the start
	recent [latencyBuckets]uint32 // within the window
	sum    time.Duration
}

// read adds what l says.
func (r *reading) read(l *latency) {
	for i := range l.counts {
		n := l.counts[i].Load()
		r.counts[i] += n
		r.recent[i] += uint32(n) - l.before[0][i] // it wraps as the counts do
	}
	r.sum += time.Duration(l.sum.Load())
}

// count is how many durations were counted.
func (r *reading) count() (n uint64) {
	for _, c := range r.counts {
		n += c
	}
	return n
}

// nothing counts durations of no length up to n altogether: phases that a request does not have are not
// recorded, and are 0 to who reads.
func (r *reading) nothing(n uint64) {
	if have := r.count(); have < n {
		r.counts[0] += n - have
	}
}

// quantiles returns the durations in seconds below which the shares qs, in rising order, of the recent
// ones are, and 0 where there are none. total is how many recent ones there are, those of no length included.
func (r *reading) quantiles(qs []float64, total uint64) []float64 {
	out := make([]float64, len(qs))
	var recorded uint64
	for _, c := range r.recent {
		recorded += uint64(c)
	}
	total = max(total, recorded)
	below := total - recorded // of no length
	at := 0
	for i, c := range r.recent {
		upTo := below + uint64(c)
		for at < len(qs) && float64(upTo) >= qs[at]*float64(total) {
			if c > 0 && i > 0 && i < latencyBuckets-1 {
				low := upper(i - 1)
				out[at] = low + (upper(i)-low)*(qs[at]*float64(total)-float64(below))/float64(c)
			} else if c > 0 && i > 0 {
				out[at] = math.Exp2(mostExp)
			}
			out[at] = max(out[at], 0)
			at++
		}
		below = upTo
	}
	return out
}

// recently is how many durations of the window were counted.
func (r *reading) recently() (n uint64) {
	for _, c := range r.recent {
		n += uint64(c)
	}
	return n
}

// secondsHistogram is a reading as a histogram in Prometheus' two forms, with classic buckets at the powers
// of two that classic names.
type secondsHistogram struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair
	reading *reading
	classic []int
}

// Desc implements prometheus.Metric.
func (h *secondsHistogram) Desc() *prometheus.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h *secondsHistogram) Write(m *dto.Metric) error {
	r := h.reading
	var below uint64
	d := &dto.Histogram{
		SampleCount: new(r.count()), SampleSum: new(r.sum.Seconds()),
		Schema: new(int32(latencySchema)), ZeroThreshold: new(math.Exp2(leastExp)), ZeroCount: new(r.counts[0]),
	}
	next, last, gap := 0, int64(0), int32(0)
	for i, c := range r.counts {
		below += c
		if next < len(h.classic) && i == (h.classic[next]-leastExp)*perOctave {
			d.Bucket = append(d.Bucket, &dto.Bucket{UpperBound: new(math.Exp2(float64(h.classic[next]))), CumulativeCount: new(below)})
			next++
		}
		switch {
		case i == 0:
		case c == 0:
			gap++
		default:
			// A native bucket k ends at 2^(k/8).
			if len(d.PositiveSpan) == 0 {
				d.PositiveSpan = append(d.PositiveSpan, &dto.BucketSpan{Offset: new(int32(leastExp*perOctave + i)), Length: new(uint32(0))})
			} else if gap > 0 {
				d.PositiveSpan = append(d.PositiveSpan, &dto.BucketSpan{Offset: new(gap), Length: new(uint32(0))})
			}
			*d.PositiveSpan[len(d.PositiveSpan)-1].Length++
			d.PositiveDelta = append(d.PositiveDelta, int64(c)-last)
			last, gap = int64(c), 0
		}
	}
	if len(d.PositiveSpan) == 0 { // says that it is a native one
		d.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
	m.Label, m.Histogram = h.labels, d
	return nil
}
