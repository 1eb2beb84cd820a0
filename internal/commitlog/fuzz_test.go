package commitlog

import (
	"bytes"
	"testing"

	"github.com/klamm/klamm/internal/disk"
)

func FuzzJournal(f *testing.F) {
	u := &unit{id: ID{Topic: "t", Partition: 3}, start: 1, hw: 2, point: 9,
		segs: []unitSegment{{base: 0, size: 100, greatest: stamp{1, 2}, firstTime: 1, appended: 2}},
		eps:  epochs{{1, 2}}, prod: []producer{{id: 4, n: 1, txnStart: -1, lastMarker: -1, coordinator: -1}}, ended: []endedTxn{{1, 2}}}
	whole := appendFrame(appendBegin(nil), frameOpen, nil)
	whole = appendFrame(whole, frameGroup, func(b []byte) []byte {
		return appendFrame(b, frameUnit, func(b []byte) []byte { return appendUnit(b, u) })
	})
	whole = appendFrame(whole, frameClean, nil)
	f.Add(whole)
	f.Add(appendUnit(nil, u))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := loadJournal(b)
		if err == nil {
			for name, r := range l.units {
				p, n := nextFrame(b[r.pos : r.pos+int64(r.n)])
				if n == 0 || p[0] != frameUnit {
					t.Fatalf("the unit of %s is no unit", name)
				}
			}
			if l.clean && l.end != int64(len(b)) {
				t.Fatal("clean with bytes behind")
			}
		}
		if u, err := parseUnit(b); err == nil {
			again, err := parseUnit(appendUnit(nil, u))
			if err != nil || !bytes.Equal(appendUnit(nil, again), appendUnit(nil, u)) {
				t.Fatalf("%+v is not what it encodes to: %v", u, err)
			}
		}
		// The bytes in a frame with a sum that holds.
		framed := appendFrame(appendBegin(nil), frameGroup, func(c []byte) []byte {
			return appendFrame(c, frameUnit, func(c []byte) []byte { return append(c, b...) })
		})
		if _, err := loadJournal(framed); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add(appendIndex(nil, 5, 1<<20, []indexEntry{{1, 20000, 5}, {7, 50000, 9}}), int64(5), int64(1<<20))
	f.Fuzz(func(t *testing.T, b []byte, base, size int64) {
		if index, err := parseIndex(b, base, size); err == nil {
			for i, e := range index {
				if int64(e.pos) >= size || i > 0 && e.pos <= index[i-1].pos {
					t.Fatalf("%+v", index)
				}
			}
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte("klamm.format=1\ncluster.id=a\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\n"))
	f.Add([]byte("version=1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMeta(b, "meta.properties", "data"); err == nil && m.ClusterID == "" {
			t.Fatal("no cluster")
		}
	})
}

// FuzzRecovery puts foreign bytes where a segment is after an unclean stop.
func FuzzRecovery(f *testing.F) {
	good := append(batch(f, plain(), 1, 2, 10), batch(f, idempotent(1, 0, 0), 1, 2, 10)...)
	f.Add([]byte(good), uint16(0))
	f.Add([]byte(good), uint16(30))
	f.Add(bytes.Repeat([]byte{0}, 700), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		m := disk.NewMem(1)
		initDir(t, m, "data")
		d := openTestDir(t, m, "data", DirOptions{BallastBytes: -1})
		l, err := d.Open(ID{Topic: "t"}, Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		appendOne(t, l, batch(t, plain(), 1, 2, 100), false)
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		size := l.Size()
		_ = d.Close()
		file, err := m.Open("data/t-0/00000000000000000000.log")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, max(0, size-int64(cut))); err != nil {
			t.Fatal(err)
		}
		d = openTestDir(t, m, "data", DirOptions{BallastBytes: -1})
		defer d.Close()
		if l, err = d.Open(ID{Topic: "t"}, Options{}, nil); err != nil {
			t.Fatal(err)
		}
		readAll(t, l)
		end := l.Bounds().End
		if e := appendOne(t, l, batch(t, plain(), 1, 1, 100), false); e.BaseOffset != end {
			t.Fatal(e)
		}
		readAll(t, l)
	})
}
