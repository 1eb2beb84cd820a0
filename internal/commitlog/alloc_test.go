package commitlog

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

func TestWarmAppendAndReadAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	for _, durable := range []bool{false, true} {
		dir := filepath.ToSlash(t.TempDir())
		initDir(t, disk.OS(), dir)
		d := openTestDir(t, disk.OS(), dir, DirOptions{})
		o := DefaultOptions()
		o.FlushBeforeAck, o.FlushByCaller = durable, durable
		l, err := d.Open(ID{Topic: "t"}, o, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		entries := []*Entry{
			{Records: batch(t, idempotent(1, 0, 0), 1, 1, 900), Client: true},
			{Records: batch(t, plain(), 1, 3, 300), Client: true},
			{Records: batch(t, plain(), 1, 3, 300), Client: true},
		}
		now := time.Now()
		seq := int32(0)
		write := func() {
			b := record.Batch(entries[0].Records)
			b[53], b[54], b[55], b[56] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
			b.Seal()
			seq++
			if err := l.Append(entries, 0, now); err != nil || entries[0].Err != nil {
				t.Fatal(err, entries[0].Err)
			}
			if durable {
				l.FlushAlone()
			}
		}
		var s Slice
		read := func() {
			for _, mode := range []ReadMode{ReadBytes, ReadRanges} {
				if err := l.Read(&s, l.Bounds().End-7, 1<<60, 1<<20, true, mode); err != nil || s.Len() == 0 {
					t.Fatal(err)
				}
				s.Release()
			}
			if err := l.Read(&s, 3, 1<<60, 1<<19, true, ReadRanges); err != nil || s.Len() == 0 {
				t.Fatal(err)
			}
			s.Release()
			if err := l.Read(&s, 3, 1<<60, 1<<14, true, ReadBytes); err != nil || s.Len() == 0 {
				t.Fatal(err)
			}
			s.Release()
		}
		for range 2000 {
			write()
		}
		for range 100 {
			read()
			write()
		}
		if n := testing.AllocsPerRun(1000, write); n != 0 {
			t.Errorf("durable=%v: an append allocates %v", durable, n)
		}
		if n := testing.AllocsPerRun(1000, read); n != 0 {
			t.Errorf("durable=%v: four reads allocate %v", durable, n)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
