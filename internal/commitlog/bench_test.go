package commitlog

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/disk"
)

// benchDir opens a directory on the real disk and runs it.
func benchDir(b *testing.B, o DirOptions) *Dir {
	b.Helper()
	dir := filepath.ToSlash(b.TempDir())
	initDir(b, disk.OS(), dir)
	o.Logger = quiet
	d, err := OpenDir(disk.OS(), dir, o)
	if err != nil {
		b.Fatal(err)
	}
	stop := run(b, d)
	b.Cleanup(func() { _ = stop() })
	return d
}

func benchOptions(durable bool) Options {
	o := DefaultOptions()
	o.FlushBeforeAck = durable
	o.SegmentBytes = 64 << 20
	o.RetentionBytes = 128 << 20
	return o
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
		for _, tail := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/tail=%v", size>>10, tail), func(b *testing.B) {
				d := benchDir(b, DirOptions{})
				l, err := d.Open(ID{Topic: "t"}, benchOptions(false), nil)
				if err != nil {
					b.Fatal(err)
				}
				e := &Entry{Records: batch(b, plain(), 1, 1, size-75), Client: true}
				entries := []*Entry{e}
				b.SetBytes(int64(len(e.Records)))
				b.ReportAllocs()
				var s Slice
				now := time.Now()
				for i := 0; b.Loop(); i++ {
					if err := l.Append(entries, 0, now); err != nil {
						b.Fatal(err)
					}
					if tail {
						if err := l.Read(&s, e.BaseOffset, e.LastOffset+1, 1<<20, true, ReadBytes); err != nil {
							b.Fatal(err)
						}
						s.Release()
					}
					if i%1024 == 1023 {
						l.SetHighWatermark(e.LastOffset + 1)
						if err := l.retain(now); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, mode := range []ReadMode{ReadBytes, ReadRanges} {
			b.Run(fmt.Sprintf("%dKiB/mode=%d", size>>10, mode), func(b *testing.B) {
				d := benchDir(b, DirOptions{})
				l, err := d.Open(ID{Topic: "t"}, benchOptions(false), nil)
				if err != nil {
					b.Fatal(err)
				}
				e := &Entry{Records: batch(b, plain(), 1, 1, 949)}
				for range 32 << 10 {
					if err := l.Append([]*Entry{e}, 0, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
				end := e.LastOffset + 1
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var s Slice
				o := int64(0)
				for b.Loop() {
					if err := l.Read(&s, o, end, size, true, mode); err != nil {
						b.Fatal(err)
					}
					if o = s.NextOffset(); o > end-2000 {
						o = 0
					}
					s.Release()
				}
			})
		}
	}
}

// BenchmarkGroupCommit has writers wait for their 4 KB to be durable, as producers
// with acks=all do, over 16 logs.
func BenchmarkGroupCommit(b *testing.B) {
	for _, writers := range []int{1, 16, 128} {
		for _, most := range []int{4, 8, 1000} {
			b.Run(fmt.Sprintf("writers=%d/syncfs=%d", writers, most), func(b *testing.B) {
				d := benchDir(b, DirOptions{SyncAllMin: most})
				const logs = 16
				type part struct {
					l    *Log
					mu   sync.Mutex
					cond sync.Cond
					end  int64
				}
				parts := make([]*part, min(logs, writers))
				for i := range parts {
					p := &part{}
					p.cond.L = &p.mu
					l, err := d.Open(ID{Topic: "t", Partition: int32(i)}, benchOptions(true), func(end int64) {
						p.mu.Lock()
						p.end = max(p.end, end)
						p.mu.Unlock()
						p.cond.Broadcast()
					})
					if err != nil {
						b.Fatal(err)
					}
					p.l = l
					parts[i] = p
				}
				var left atomic.Int64
				left.Store(int64(b.N))
				b.SetBytes(4096)
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for w := range writers {
					p := parts[w%len(parts)]
					e := &Entry{Records: batch(b, plain(), 1, 1, 4096-75), Client: true}
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := p.l.Append([]*Entry{e}, 0, time.Now()); err != nil {
								b.Error(err)
								return
							}
							p.mu.Lock()
							for p.end <= e.LastOffset {
								p.cond.Wait()
							}
							p.mu.Unlock()
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			})
		}
	}
}

// BenchmarkDirtyLogs makes many dirty logs durable at once.
func BenchmarkDirtyLogs(b *testing.B) {
	for _, n := range []int{1, 16, 500} {
		for _, most := range []int{8, 100_000} {
			b.Run(fmt.Sprintf("logs=%d/syncfs=%d", n, most), func(b *testing.B) {
				d := benchDir(b, DirOptions{SyncAllMin: most})
				var flushed atomic.Int64
				logs := make([]*Log, n)
				for i := range logs {
					l, err := d.Open(ID{Topic: "t", Partition: int32(i)}, benchOptions(true), func(int64) { flushed.Add(1) })
					if err != nil {
						b.Fatal(err)
					}
					logs[i] = l
				}
				e := []*Entry{{Records: batch(b, plain(), 1, 1, 4096-75)}}
				now := time.Now()
				for b.Loop() {
					for _, l := range logs {
						if err := l.Append(e, 0, now); err != nil {
							b.Fatal(err)
						}
					}
					for _, l := range logs {
						if err := l.Sync(); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// BenchmarkRecover opens a directory with 1 GiB of log in 16 partitions that was not
// stopped clean.
func BenchmarkRecover(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("batch=%dKiB", size>>10), func(b *testing.B) {
			dir := filepath.ToSlash(b.TempDir())
			initDir(b, disk.OS(), dir)
			d := openTestDir(b, disk.OS(), dir, DirOptions{CheckpointBytes: 1 << 40})
			e := []*Entry{{Records: batch(b, plain(), 1, 1, size-75)}}
			for p := range 16 {
				l, err := d.Open(ID{Topic: "t", Partition: int32(p)}, benchOptions(false), nil)
				if err != nil {
					b.Fatal(err)
				}
				for range 64 << 20 / size {
					if err := l.Append(e, 0, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
			}
			_ = d.Close()
			b.SetBytes(1 << 30)
			for b.Loop() {
				d := openTestDir(b, disk.OS(), dir, DirOptions{})
				if d.clean {
					b.Fatal("clean")
				}
				b.StopTimer()
				_ = d.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkManyLogs starts with 9,900 partitions: idle ones, and ones that hold a
// batch and were stopped clean.
func BenchmarkManyLogs(b *testing.B) {
	const logs = 9900
	for _, filled := range []bool{false, true} {
		b.Run(fmt.Sprintf("filled=%v", filled), func(b *testing.B) {
			dir := filepath.ToSlash(b.TempDir())
			initDir(b, disk.OS(), dir)
			open := func() *Dir {
				d := openTestDir(b, disk.OS(), dir, DirOptions{})
				for i := range logs {
					l, err := d.Open(ID{Topic: "topic", Partition: int32(i)}, benchOptions(true), nil)
					if err != nil {
						b.Fatal(err)
					}
					if filled && l.Bounds().End == 0 {
						if err := l.Append([]*Entry{{Records: batch(b, plain(), 1, 1, 100)}}, 0, time.Now()); err != nil {
							b.Fatal(err)
						}
					}
				}
				return d
			}
			stop := run(b, open())
			began := time.Now()
			if err := stop(); err != nil {
				b.Fatal(err)
			}
			b.Logf("clean stop took %v", time.Since(began))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var d *Dir
			for b.Loop() {
				b.StopTimer()
				if d != nil {
					if err := run(b, d)(); err != nil {
						b.Fatal(err)
					}
					d = nil
				}
				b.StartTimer()
				d = open()
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/logs, "B/log")
			_ = d.Close()
		})
	}
}
