package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTheRingKeepsTheLastLinesWholeWithinItsMemory(t *testing.T) {
	r := &logRing{}
	for i := range 20_000 {
		fmt.Fprintf(r, `{"n":%d,"pad":"%s"}`+"\n", i, strings.Repeat("x", i%300))
	}
	got := r.lines()
	if len(got) < ringHalf || len(got) > 2*ringHalf {
		t.Errorf("%d bytes are kept; want from %d to %d", len(got), ringHalf, 2*ringHalf)
	}
	next := -1
	for line := range bytes.Lines(got) {
		var m struct{ N int }
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if next >= 0 && m.N != next {
			t.Fatalf("line %d comes where %d should", m.N, next)
		}
		next = m.N + 1
	}
	if next != 20_000 {
		t.Errorf("the last line is %d; want 19999", next-1)
	}
}

func TestALineThatIsTooLongForTheRingLeavesOneThatSaysSo(t *testing.T) {
	r := &logRing{}
	if n, err := r.Write(bytes.Repeat([]byte("x"), 1<<20)); n != 1<<20 || err != nil {
		t.Errorf("Write returned %d, %v", n, err)
	}
	var m struct {
		Event string
		Bytes int
	}
	if err := json.Unmarshal(r.lines(), &m); err != nil || m.Event != "log_line_left_out" || m.Bytes != 1<<20 {
		t.Errorf("the ring has %q: %v", r.lines(), err)
	}
}

func TestALineBelowItsLevelCostsNothing(t *testing.T) {
	l := newLoggers(slog.NewJSONHandler(&bytes.Buffer{}, nil)).of("server")
	if n := testing.AllocsPerRun(100, func() { l.Debug("nobody hears it", "n", 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAHandlerThatTakesNothingStillFillsTheRing(t *testing.T) {
	logs := newLoggers(slog.DiscardHandler)
	logs.of("node").Info("heard")
	logs.of("node").Debug("not heard")
	logs.Set("klamm.node", "DEBUG")
	logs.of("node").With("a", 1).WithGroup("g").Debug("heard too", "b", 2)
	got := string(logs.ring.lines())
	if !strings.Contains(got, `"msg":"heard","logger":"klamm.node"`) || strings.Contains(got, "not heard") || !strings.Contains(got, `"a":1,"g":{"b":2}`) {
		t.Errorf("the ring has %s", got)
	}
}
