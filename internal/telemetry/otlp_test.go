package telemetry

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/klamm/klamm/internal/wire"
)

// nested is a message in a field of another.
func nested(n protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), bytes.Join(parts, nil))
}

func varint(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func fixed64(n protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), v)
}

// attributes are KeyValues of texts in a field.
func attributes(n protowire.Number, pairs ...string) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, nested(n, nested(1, []byte(pairs[i])), nested(2, nested(1, []byte(pairs[i+1]))))...)
	}
	return b
}

// gaugeOf is the field of a Metric with one gauge.
func gaugeOf(v float64, pairs ...string) []byte {
	return nested(metricGauge, nested(sumPoint, fixed64(3, 1), fixed64(pointDouble, math.Float64bits(v)), attributes(pointAttribute, pairs...)))
}

// sumOf is the field of a Metric with one sum.
func sumOf(v int64, temporality uint64, monotonic bool) []byte {
	return nested(metricSum, nested(sumPoint, fixed64(pointInt, uint64(v))), varint(sumTemporality, temporality), varint(sumMonotonic, protowire.EncodeBool(monotonic)))
}

func histogram() []byte { return nested(metricHistogram, nested(1, fixed64(4, 3))) }

// otlp is a MetricsData of one metric.
func otlp(name string, data []byte) []byte {
	return nested(dataResource, nested(resourceScope, nested(1, nested(1, []byte("scope"))), nested(scopeMetric, nested(metricName, []byte(name)), nested(2, []byte("what it is")), data)))
}

// gather is what Prometheus reads of a collector, a line a series.
func gather(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
			fmt.Fprintf(&b, "%s{%s} %v %s\n", f.GetName(), strings.Join(labels, " "), v, f.GetType())
		}
	}
	return b.String()
}

func TestAttributesOfResourceAndPointBecomeLabels(t *testing.T) {
	b := nested(dataResource,
		nested(resourceScope, nested(scopeMetric, gaugeOf(1, "node.id", "1", "group_id", "the point's", "7", "x", "__name__", "y", "version", "own"), nested(metricName, []byte("m")))),
		nested(resourceResource, attributes(attributesOf, "group_id", "g", "client_rack", "r1")))
	points, skipped, err := decode(b)
	if err != nil || skipped != 0 || len(points) != 1 {
		t.Fatalf("%d points, %d skipped: %v", len(points), skipped, err)
	}
	want := []label{{"attribute_7", "x"}, {"attribute___name__", "y"}, {"client_rack", "r1"}, {"group_id", "the point's"}, {"node_id", "1"}}
	if !slices.Equal(points[0].labels, want) {
		t.Errorf("labels %v, want %v", points[0].labels, want)
	}
}

func TestValuesOfAttributesAreTextTruthOrNumber(t *testing.T) {
	value := func(key string, v []byte) []byte { return nested(pointAttribute, nested(1, []byte(key)), nested(2, v)) }
	point := nested(sumPoint, fixed64(pointInt, math.MaxUint64), value("b", varint(2, 1)), value("i", varint(3, uint64(12))), value("d", fixed64(4, math.Float64bits(.5))),
		value("list", nested(5, nested(1))), value("long", nested(1, bytes.Repeat([]byte("x"), 1000))), value(strings.Repeat("k", 65), varint(2, 1)), value("bad", nested(1, []byte{0xff})))
	points, _, err := decode(nested(1, nested(2, nested(2, nested(1, []byte("m")), nested(metricGauge, point)))))
	if err != nil || len(points) != 1 || points[0].value != -1 {
		t.Fatalf("%v: %v", points, err)
	}
	want := []label{{"b", "true"}, {"bad", "\uFFFD"}, {"d", "0.5"}, {"i", "12"}, {"long", strings.Repeat("x", longestValue)}}
	if !slices.Equal(points[0].labels, want) {
		t.Errorf("labels %v, want %v", points[0].labels, want)
	}
}

func TestWhatIsOverTheBudgetIsSkipped(t *testing.T) {
	one := nested(sumPoint, fixed64(pointInt, 1))
	var pairs []string
	for i := range mostAttributes + 5 {
		pairs = append(pairs, fmt.Sprint("k", i), "v")
	}
	for _, c := range []struct {
		what            string
		b               []byte
		points, skipped int
	}{
		{"points", otlp("m", nested(metricGauge, bytes.Repeat(one, mostPoints+7))), mostPoints, 7},
		{"a long name", otlp(strings.Repeat("n", 256), gaugeOf(1)), 0, 1},
		{"no name", otlp("", gaugeOf(1)), 0, 1},
		{"histograms", otlp("m", histogram()), 0, 1},
		{"no number", otlp("m", nested(metricGauge, nested(sumPoint, fixed64(3, 1)))), 0, 1},
		{"no recorded value", otlp("m", nested(metricGauge, nested(sumPoint, fixed64(pointInt, 1), varint(pointFlags, 1)))), 0, 1},
		{"attributes", otlp("m", gaugeOf(1, pairs...)), 1, 0},
		{"nothing", nil, 0, 0},
	} {
		points, skipped, err := decode(c.b)
		if err != nil || len(points) != c.points || skipped != c.skipped {
			t.Errorf("%s: %d points, %d skipped, %v", c.what, len(points), skipped, err)
		}
		if c.what == "attributes" && len(points[0].labels) != mostAttributes {
			t.Errorf("%d attributes", len(points[0].labels))
		}
	}
	for _, b := range [][]byte{{0xff}, {0x0b, 0x0c}, nested(1, []byte{0x0a, 5}), nested(1, nested(2, []byte{0x13}))} {
		if _, _, err := decode(b); err == nil {
			t.Errorf("%x was taken", b)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(otlp("a.b", gaugeOf(1, "k", "v")))
	f.Add(otlp("a.b", sumOf(1, 1, true)))
	f.Add(otlp("a.b", histogram()))
	f.Fuzz(func(t *testing.T, b []byte) {
		points, _, err := decode(b)
		if err != nil {
			return
		}
		if len(points) > mostPoints {
			t.Fatalf("%d points", len(points))
		}
		p := newPushed()
		p.keep(wire.UUID{1}, Client{ID: string(b)}, points, 0, time.Now())
		gather(t, p) // what Prometheus cannot read fails
	})
}
