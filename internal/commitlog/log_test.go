package commitlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// batch builds a batch of n records of size bytes each.
func batch(t testing.TB, o record.BuilderOptions, ts int64, n, size int) record.Batch {
	t.Helper()
	w := record.NewBuilder(nil, o)
	for i := range n {
		w.Append(ts+int64(i), nil, bytes.Repeat([]byte{byte('a' + i%26)}, size))
	}
	b, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return append(record.Batch(nil), b...)
}

func plain() record.BuilderOptions {
	return record.BuilderOptions{LeaderEpoch: -1}
}

func idempotent(id int64, epoch int16, seq int32) record.BuilderOptions {
	o := plain()
	o.Producer = &record.Producer{ID: id, Epoch: epoch, Sequence: seq}
	return o
}

func initDir(t testing.TB, f disk.FS, dir string) {
	t.Helper()
	if err := InitDir(f, dir, Meta{ClusterID: "test", NodeID: 1}); err != nil {
		t.Fatal(err)
	}
}

func openTestDir(t testing.TB, f disk.FS, dir string, o DirOptions) *Dir {
	t.Helper()
	o.Logger = quiet
	d, err := OpenDir(f, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func run(t testing.TB, d *Dir) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func appendOne(t testing.TB, l *Log, b []byte, client bool) *Entry {
	t.Helper()
	e := &Entry{Records: b, Client: client}
	if err := l.Append([]*Entry{e}, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	return e
}

func readAll(t testing.TB, l *Log) []byte {
	t.Helper()
	var out []byte
	var s Slice
	defer s.Release()
	b := l.Bounds()
	for o := b.Start; o < b.End; o = s.NextOffset() {
		if err := l.Read(&s, o, b.End, 1<<20, true, ReadBytes); err != nil {
			t.Fatal(err)
		}
		if s.Len() == 0 {
			t.Fatalf("nothing at %d of %+v", o, b)
		}
		out = append(out, s.Bytes()...)
	}
	return out
}

func TestAppendReadRollReopen(t *testing.T) {
	for _, name := range []string{"os", "mem"} {
		t.Run(name, func(t *testing.T) {
			var f disk.FS = disk.OS()
			dir := t.TempDir()
			if name == "mem" {
				f, dir = disk.NewMem(1), "data"
			}
			initDir(t, f, dir)
			d := openTestDir(t, f, dir, DirOptions{})
			stop := run(t, d)
			var flushed atomic.Int64
			o := DefaultOptions()
			o.SegmentBytes = 64 << 10
			id := ID{Topic: "t", Partition: 3, TopicID: [16]byte{1}}
			l, err := d.Open(id, o, func(end int64) { flushed.Store(end) })
			if err != nil {
				t.Fatal(err)
			}
			if list, _ := f.List(dir + "/t-3"); len(list) != 0 {
				t.Fatal("files before the first append")
			}
			var want []byte
			for i := range 300 {
				b := batch(t, plain(), int64(1000+i), 3, 100+i)
				e := appendOne(t, l, b, true)
				if e.BaseOffset != int64(3*i) || e.LastOffset != int64(3*i+2) {
					t.Fatalf("%d: %+v", i, e)
				}
				want = append(want, b...)
			}
			if got := readAll(t, l); !bytes.Equal(got, want) {
				t.Fatal("other bytes")
			}
			if len(l.Segments()) < 3 {
				t.Fatalf("%+v", l.Segments())
			}
			for i, ts := range []int64{0, 1000, 1150, 1301, 1302} {
				off, at, _, err := l.OffsetForTime(ts, 900)
				if err != nil {
					t.Fatal(err)
				}
				t.Log(i, ts, off, at)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if flushed.Load() != 900 {
				t.Fatalf("flushed %d", flushed.Load())
			}
			d = openTestDir(t, f, dir, DirOptions{})
			if !d.clean {
				t.Fatal("not clean")
			}
			stop = run(t, d)
			l, err = d.Open(id, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, l); !bytes.Equal(got, want) {
				t.Fatal("other bytes after reopen")
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCrashRecovery(t *testing.T) {
	for seed := range uint64(50) {
		m := disk.NewMem(seed)
		initDir(t, m, "data")
		d := openTestDir(t, m, "data", DirOptions{})
		o := DefaultOptions()
		o.SegmentBytes = 8 << 10
		l, err := d.Open(ID{Topic: "t"}, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		acked := 0
		for i := range 60 {
			b := batch(t, plain(), int64(i), 1, 300)
			appendOne(t, l, b, true)
			want = append(want, b...)
			if i%7 == 0 {
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				acked = len(want)
			}
		}
		m.Crash()
		d = openTestDir(t, m, "data", DirOptions{})
		if l, err = d.Open(ID{Topic: "t"}, o, nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Failed(); err != nil {
			t.Fatal(seed, err)
		}
		got := readAll(t, l)
		if len(got) < acked || !bytes.Equal(got, want[:len(got)]) {
			t.Fatalf("seed %d: %d bytes of %d acked", seed, len(got), acked)
		}
		d.Close()
	}
}

func TestTruncateAndReset(t *testing.T) {
	m := disk.NewMem(1)
	initDir(t, m, "data")
	d := openTestDir(t, m, "data", DirOptions{})
	o := DefaultOptions()
	o.SegmentBytes = 2 << 10
	l, _ := d.Open(ID{Topic: "t"}, o, nil)
	for i := range 40 {
		appendOne(t, l, batch(t, plain(), int64(i), 1, 300), true)
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(30)
	for _, to := range []int64{35, 20, 20, 0} {
		if err := l.Truncate(to); err != nil {
			t.Fatal(err)
		}
		if b := l.Bounds(); b.End != to || b.HighWatermark > to {
			t.Fatalf("%+v", b)
		}
		e := appendOne(t, l, batch(t, plain(), 1, 1, 300), true)
		if e.BaseOffset != to {
			t.Fatal(e)
		}
	}
	if err := l.ResetTo(100); err != nil {
		t.Fatal(err)
	}
	if b := l.Bounds(); b.Start != 100 || b.End != 100 {
		t.Fatalf("%+v", b)
	}
	appendOne(t, l, batch(t, plain(), 1, 2, 300), true)
	var s Slice
	if err := l.Read(&s, 99, math.MaxInt64, 100, true, ReadBytes); !errors.Is(err, code.OffsetOutOfRange) {
		t.Fatal(err)
	}
	if err := l.Read(&s, 101, math.MaxInt64, 100, true, ReadBytes); err != nil || s.FirstOffset() != 100 || s.NextOffset() != 102 {
		t.Fatal(err, s.FirstOffset(), s.NextOffset())
	}
	s.Release()
}
