package commitlog

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// TestReadersShareALogThatIsAppendedTo has appenders, readers at the end and from
// the start, retention, and a tail cache that is far too small.
func TestReadersShareALogThatIsAppendedTo(t *testing.T) {
	dir := filepath.ToSlash(t.TempDir())
	initDir(t, disk.OS(), dir)
	cache := NewTailCache(200 << 10)
	d := openTestDir(t, disk.OS(), dir, DirOptions{TailCache: cache, MaxOpenSealed: 2, CheckpointBytes: 64 << 10, hot: 1000})
	stop := run(t, d)
	const logs, appends = 4, 500
	var wg sync.WaitGroup
	for p := range logs {
		o := DefaultOptions()
		o.SegmentBytes = 100 << 10
		o.FlushBeforeAck = p%2 == 0
		o.FileDeleteDelayMs = 0
		if p == 1 {
			o.SegmentBytes = 1 << 20 // so that ranges of files are read
		}
		if p == 3 {
			o.RetentionBytes = 300 << 10
		}
		l, err := d.Open(ID{Topic: "t", Partition: int32(p)}, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range appends {
				b := batch(t, plain(), int64(i), 1, 100+i%1500*2)
				// The producer's id tells the offset; without a sequence it is not checked.
				binary.BigEndian.PutUint64(b[43:], uint64(i))
				b.Seal()
				if err := l.Append([]*Entry{{Records: b}}, int32(i/100), time.Now()); err != nil {
					t.Error(err)
					return
				}
				if i%50 == 0 {
					l.SetHighWatermark(l.Bounds().End)
					d.Retain(context.Background(), time.Now())
				}
			}
		})
		for r := range 3 {
			wg.Go(func() {
				var s Slice
				defer s.Release()
				mode := ReadMode(r % 2)
				for o := int64(0); o < appends; {
					b := l.Bounds()
					o = max(o, b.Start)
					if o >= b.End {
						runtime.Gosched()
						continue
					}
					if err := l.Read(&s, o, b.End, 16<<10<<(6*r), true, mode); err != nil {
						if l.Bounds().Start > o {
							continue // retention was faster
						}
						t.Error(err)
						return
					}
					next := s.NextOffset()
					if f, off, n := s.File(); f != nil {
						buf := make([]byte, n)
						if _, err := f.ReadAt(buf, off); err != nil {
							t.Error(err)
							return
						}
						checkBatches(t, buf, o)
						next = max(next, o+1)
					} else {
						checkBatches(t, s.Bytes(), o)
					}
					o = next
				}
			})
		}
	}
	wg.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := cache.Used(); n != 0 {
		t.Errorf("%d bytes of the tail cache are lost", n)
	}
}

func checkBatches(t *testing.T, b []byte, offset int64) {
	for len(b) > 0 {
		c, rest, err := record.Next(b)
		if err != nil {
			return // a range may end inside a batch
		}
		if err := c.Check(); err != nil || c.ProducerID() != c.BaseOffset() || c.BaseOffset() < offset {
			t.Errorf("at %d: batch %d of %d: %v", offset, c.BaseOffset(), c.ProducerID(), err)
			return
		}
		offset, b = c.NextOffset(), rest
	}
}
