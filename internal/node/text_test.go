package node

import (
	"bufio"
	"bytes"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// made is a table of series that a test makes up.
type made []struct {
	f     *family
	l     labels
	value float64
}

func (m made) few() bool { return true }
func (m made) series(s sink) {
	for i := range m {
		s.add(m[i].f, &m[i].l, m[i].value)
	}
}

// lines are a text's lines in order.
func lines(text string) []string {
	list := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(list)
	return list
}

func TestBothPagesWriteSeriesAlike(t *testing.T) {
	a, b := gaugeFamily("a", "What a is."), counterFamily("b_total", "What b is.")
	table := made{
		{a, labels{topic: "t", partition: 7}, 12345678},
		{a, labels{group: `quotes " and \ and` + "\nlines", topic: "t", partition: noPartition}, 0.5},
		{a, labels{group: "g", topic: "t", partition: 0}, -1},
		{b, labels{group: "g", partition: noPartition}, 3},
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(fewSeries{table})
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var own bytes.Buffer
	s := &text{w: bufio.NewWriter(&own)}
	table.series(s)
	if err := s.w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(w.Body.String(), "1.2345678e+07", "12345678", 1) // the same number
	if got := own.String(); !slices.Equal(lines(got), lines(want)) {
		t.Errorf("/metrics/detail writes\n%s\nand /metrics\n%s", got, want)
	}
}

func TestWritingASeriesAllocatesNothing(t *testing.T) {
	s := &text{w: bufio.NewWriter(new(bytes.Buffer))}
	f, l := gaugeFamily("a", "What a is."), &labels{group: "g", topic: "t", partition: 7}
	s.add(f, l, 1)
	if n := testing.AllocsPerRun(10, func() { s.add(f, l, 1.5) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}
