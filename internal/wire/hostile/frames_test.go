package hostile

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// Every attack is refused with an error that names a field, and costs no more than 8 x body + 64 KiB.
func TestHostileFramesAreRefusedWithinTheBudget(t *testing.T) {
	frames := Frames()
	refused, parsed := 0, 0
	var worst float64
	for _, f := range frames {
		if f.Body == nil {
			continue
		}
		h, body, err := wire.ReadHeader(f.Bytes[4:])
		if err != nil || h.Key != f.Key || h.Version != f.Version || len(body) != len(f.Body) {
			t.Errorf("%s: the header is good and yet %v", f.Name, err)
			continue
		}
		m := wire.NewRequest(f.Key)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := wire.NewDecoder(f.Body)
		m.Decode(&d, f.Version)
		err = d.Done()
		runtime.ReadMemStats(&after)
		spent, limit := after.TotalAlloc-before.TotalAlloc, uint64(8*len(f.Body)+64<<10)
		if spent > limit {
			t.Errorf("%s: %d bytes allocated for a body of %d", f.Name, spent, len(f.Body))
		}
		worst = max(worst, float64(spent)/float64(limit))
		switch {
		case err == nil && !f.Cost:
			t.Errorf("%s: accepted: %x", f.Name, f.Body)
		case err == nil:
			parsed++
		default:
			refused++
			if !strings.HasPrefix(err.Error(), "wire: "+strings.TrimSuffix(f.Name[:strings.IndexByte(f.Name, ' ')], ":")) {
				t.Errorf("%s: the error names no field: %v", f.Name, err)
			}
		}
	}
	t.Logf("%d frames: %d bodies refused, %d that only cost; the dearest took %.0f %% of its limit", len(frames), refused, parsed, 100*worst)
	if refused < 300 {
		t.Errorf("only %d hostile bodies", refused)
	}
}

// Every attack on a header is refused.
func TestHostileHeadersAreRefused(t *testing.T) {
	n := 0
	for _, f := range Frames() {
		if f.Body != nil || f.Key == 0 && f.Version == 0 && !strings.HasPrefix(f.Name, "Produce") {
			continue
		}
		n++
		if _, _, err := wire.ReadHeader(f.Bytes[4:]); err == nil {
			t.Errorf("%s: accepted", f.Name)
		}
	}
	if n < 50 {
		t.Errorf("only %d headers", n)
	}
}

// A filled request is good before it is spoilt, so that what is refused is refused for the attack.
func TestFilledRequestsAreAccepted(t *testing.T) {
	for _, api := range wire.APIs() {
		for v := api.Min; v <= api.Max; v++ {
			m := wire.NewRequest(api.Key)
			fillMessage(m)
			d := wire.NewDecoder(m.Append(nil, v))
			m.Decode(&d, v)
			if err := d.Done(); err != nil {
				t.Errorf("%s v%d: %v", api.Name, v, err)
			}
		}
	}
}

func fillMessage(m wire.Message) { fill(reflect.ValueOf(m).Elem()) }

// The table is small enough to be made and sent in a test of a live server.
func TestTableIsSmall(t *testing.T) {
	total := 0
	for _, f := range Frames() {
		total += len(f.Bytes)
	}
	t.Logf("%d frames, %d KiB", len(Frames()), total>>10)
	if total > 64<<20 {
		t.Errorf("the table has %d bytes", total)
	}
}
