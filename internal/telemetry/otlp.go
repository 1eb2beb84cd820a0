package telemetry

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/klamm/klamm/internal/code"
)

// What one push may bring. Points beyond it are counted and skipped.
const (
	mostPoints     = 4096
	mostAttributes = 16 // a point's, its resource's included
	longestName    = 255
	longestKey     = 64
	longestValue   = 128
)

// kind is what a point's value means.
type kind uint8

const (
	gauge   kind = iota // a value of now
	counter             // the sum since the client began
	delta               // what has come to such a sum since the last push
	change              // the same of a sum that may fall
)

// label is a name and a value as Prometheus takes them.
type label struct{ name, value string }

// point is one number of a push, in memory of its own.
type point struct {
	name   string  // with the letters that Prometheus allows, without prefix
	labels []label // sorted by name, each once
	value  float64
	kind   kind
}

// The field numbers of OTLP's metrics, version 1.
const (
	dataResource     = 1 // MetricsData.resource_metrics
	resourceResource = 1 // ResourceMetrics.resource
	resourceScope    = 2 // ResourceMetrics.scope_metrics
	attributesOf     = 1 // Resource.attributes
	scopeMetric      = 2 // ScopeMetrics.metrics
	metricName       = 1
	metricGauge      = 5
	metricSum        = 7
	metricHistogram  = 9 // 10 is an exponential one, 11 a summary
	metricSummary    = 11
	sumPoint         = 1 // of a gauge too
	sumTemporality   = 2
	sumMonotonic     = 3
	pointDouble      = 4
	pointInt         = 6
	pointAttribute   = 7
	pointFlags       = 8
	deltaTemporality = 1
	noRecordedValue  = 1
)

// decode reads OTLP's MetricsData. It returns the numbers of sums and gauges, and how many points it skipped:
// histograms and summaries, points without a number, and what is over the budgets. Its error is
// code.InvalidRecord when b is no such message.
func decode(b []byte) (points []point, skipped int, err error) {
	d := decoder{}
	d.message(b, func(f field) {
		if f.number == dataResource {
			d.resource(f.bytes)
		}
	})
	if d.bad {
		return nil, 0, code.Errorf(code.InvalidRecord, "the metrics of %d bytes are no message of OpenTelemetry's protocol (MetricsData)", len(b))
	}
	return d.points, d.skipped, nil
}

// decoder is the state of reading one push.
type decoder struct {
	points  []point
	skipped int
	bad     bool
}

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bytes  []byte // of a message or a text; nil for numbers
	n      uint64 // of a varint or a fixed number
}

// message calls visit for each field of b. Groups, which no version of the protocol has, are refused.
func (d *decoder) message(b []byte, visit func(f field)) {
	for len(b) > 0 && !d.bad {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			d.bad = true
			return
		}
		b = b[n:]
		f := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.n, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.n = uint64(v)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = -1
		}
		if n < 0 {
			d.bad = true
			return
		}
		b = b[n:]
		visit(f)
	}
}

// resource reads a ResourceMetrics: its attributes belong to each of its points, wherever they stand.
func (d *decoder) resource(b []byte) {
	var common []label
	d.message(b, func(f field) {
		if f.number == resourceResource {
			d.message(f.bytes, func(f field) {
				if f.number == attributesOf {
					common = d.attribute(common, f.bytes)
				}
			})
		}
	})
	d.message(b, func(f field) {
		if f.number == resourceScope {
			d.message(f.bytes, func(f field) {
				if f.number == scopeMetric {
					d.metric(f.bytes, common)
				}
			})
		}
	})
}

// metric reads a Metric.
func (d *decoder) metric(b []byte, common []label) {
	var name string
	d.message(b, func(f field) {
		if f.number == metricName && len(f.bytes) <= longestName {
			name = letters(string(f.bytes))
		}
	})
	d.message(b, func(f field) {
		switch {
		case f.number == metricGauge, f.number == metricSum:
			d.numbers(f, name, common)
		case f.number >= metricHistogram && f.number <= metricSummary:
			d.skipped++
		}
	})
}

// numbers reads the points of a Sum or a Gauge.
func (d *decoder) numbers(f field, name string, common []label) {
	of := gauge
	if f.number == metricSum {
		monotonic, temporality := false, uint64(0)
		d.message(f.bytes, func(f field) {
			switch f.number {
			case sumMonotonic:
				monotonic = f.n != 0
			case sumTemporality:
				temporality = f.n
			}
		})
		switch {
		case temporality == deltaTemporality && monotonic:
			of = delta
		case temporality == deltaTemporality:
			of = change
		case monotonic:
			of = counter
		}
	}
	d.message(f.bytes, func(f field) {
		if f.number != sumPoint {
			return
		}
		if p, ok := d.number(f.bytes, common); ok && name != "" && len(d.points) < mostPoints {
			p.name, p.kind = name, of
			d.points = append(d.points, p)
		} else {
			d.skipped++
		}
	})
}

// number reads a NumberDataPoint.
func (d *decoder) number(b []byte, common []label) (p point, ok bool) {
	p.labels = slices.Clone(common)
	d.message(b, func(f field) {
		switch {
		case f.number == pointDouble && f.kind == protowire.Fixed64Type:
			p.value, ok = math.Float64frombits(f.n), true
		case f.number == pointInt && f.kind == protowire.Fixed64Type:
			p.value, ok = float64(int64(f.n)), true
		case f.number == pointAttribute:
			p.labels = d.attribute(p.labels, f.bytes)
		case f.number == pointFlags && f.n&noRecordedValue != 0:
			p.value = math.NaN()
		}
	})
	slices.SortFunc(p.labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return p, ok && !math.IsNaN(p.value)
}

// attribute adds a KeyValue to labels. Of a key that stands there twice the last counts; a value that is no
// text, truth or number is left out.
func (d *decoder) attribute(labels []label, b []byte) []label {
	var l label
	ok := false
	d.message(b, func(f field) {
		switch f.number {
		case 1:
			if len(f.bytes) <= longestKey {
				l.name = letters(string(f.bytes))
			}
		case 2:
			d.message(f.bytes, func(f field) {
				ok = true
				switch f.number {
				case 1:
					l.value = strings.ToValidUTF8(string(f.bytes[:min(len(f.bytes), longestValue)]), "\uFFFD")
				case 2:
					l.value = strconv.FormatBool(f.n != 0)
				case 3:
					l.value = strconv.FormatInt(int64(f.n), 10)
				case 4:
					l.value = strconv.FormatFloat(math.Float64frombits(f.n), 'g', -1, 64)
				default:
					ok = false
				}
			})
		}
	})
	if !ok || l.name == "" || fixed(l.name) {
		return labels
	}
	if l.name[0] >= '0' && l.name[0] <= '9' || strings.HasPrefix(l.name, "__") {
		l.name = "attribute_" + l.name
	}
	if i := slices.IndexFunc(labels, func(o label) bool { return o.name == l.name }); i >= 0 {
		labels[i] = l
		return labels
	}
	if len(labels) >= mostAttributes {
		return labels
	}
	return append(labels, l)
}

// letters is a name with the letters that Prometheus allows, and _ in place of the others.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}
