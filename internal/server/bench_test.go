//go:build unix

package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/rpc"
)

// shrink makes the run toy answer as Produce does: by a few bytes.
func (t *toys) shrink() {
	t.table[toyRun].Run = func(_ context.Context, calls []rpc.Call, replies []*rpc.Reply) {
		for i := range calls {
			r := replies[i]
			r.Buf = append(r.Buf, "forty bytes, as a Produce response has..."...)
		}
	}
}

// exchange sends b and reads n bytes, without allocation.
func exchange(tb testing.TB, c net.Conn, b, in []byte) {
	if _, err := c.Write(b); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(c, in); err != nil {
		tb.Fatal(err)
	}
}

func TestWarmRequestsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	r := start(t, nil)
	r.toys.shrink()
	r.toys.fill(t, 4<<20)
	c := r.dial()
	produce := frame(toyRun, 3, 1, make([]byte, 1024))
	ranges := func(kinds string, n int) []byte {
		var body []byte
		for i := range kinds {
			body = append(body, kinds[i])
			body = binary.BigEndian.AppendUint32(body, uint32(i))
			body = binary.BigEndian.AppendUint32(body, uint32(n))
		}
		return frame(toyRanges, 3, 1, body)
	}
	for _, p := range []struct {
		name    string
		request []byte
		reply   int
	}{
		{"produce", produce, 49},
		{"32 produces", bytes.Repeat(produce, 32), 32 * 49},
		{"fetch from memory", ranges("mmmm", 1000), 8 + 4*1002},
		{"fetch of large pieces from memory", ranges("mmmm", 100_000), 8 + 4*100_002},
		{"fetch from a file", ranges("ff", 5000), 8 + 2*5002},
		{"fetch by sendfile", ranges("ff", 1<<20), 8 + 2*(1<<20+2)},
		{"produce of 1 MB", frame(toyRun, 3, 1, make([]byte, 1_030_000)), 49},
	} {
		in := make([]byte, p.reply)
		for range 20 {
			exchange(t, c, p.request, in)
		}
		old := debug.SetGCPercent(-1)
		n := testing.AllocsPerRun(200, func() { exchange(t, c, p.request, in) })
		debug.SetGCPercent(old)
		if n > 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

// BenchmarkRequests has connections x requests in flight of one record of 1 KB. The client runs in the
// same process: its own system calls are in the figures.
func BenchmarkRequests(b *testing.B) {
	for _, p := range []struct{ conns, flight int }{{1, 1}, {1, 32}, {16, 5}, {100, 1}} {
		b.Run(fmt.Sprintf("%dx%d", p.conns, p.flight), func(b *testing.B) {
			r := start(b, nil)
			r.toys.shrink()
			one := frame(toyRun, 3, 1, make([]byte, 1024))
			var clients []*client
			for range p.conns {
				clients = append(clients, r.dial())
				clients[len(clients)-1].SetDeadline(time.Time{})
			}
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			var wg sync.WaitGroup
			for _, c := range clients {
				wg.Go(func() {
					out, in := bytes.Repeat(one, p.flight), make([]byte, 49*p.flight)
					for n := b.N / p.conns; n > 0; n -= p.flight {
						exchange(b, c, out, in)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkProduceMegabyte is bulk produce: what one large frame costs.
func BenchmarkProduceMegabyte(b *testing.B) {
	r := start(b, nil)
	r.toys.shrink()
	c := r.dial()
	c.SetDeadline(time.Time{})
	one := frame(toyRun, 3, 1, make([]byte, 1_030_000))
	in := make([]byte, 49)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			c.Write(one)
		}
	}()
	for range b.N {
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPieces is one reply of many pieces from memory.
func BenchmarkPieces(b *testing.B) {
	for _, p := range []struct{ pieces, size int }{{100, 1 << 10}, {100, 2 << 10}, {100, 4 << 10}, {50, 8 << 10}, {10, 64 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", p.pieces, p.size), func(b *testing.B) {
			r := start(b, nil)
			r.toys.fill(b, 1<<20)
			c := r.dial()
			c.SetDeadline(time.Time{})
			var body []byte
			for i := range p.pieces {
				body = append(body, 'm')
				body = binary.BigEndian.AppendUint32(body, uint32(i*1000))
				body = binary.BigEndian.AppendUint32(body, uint32(p.size))
			}
			in := make([]byte, 8+p.pieces*(p.size+2))
			out := frame(toyRanges, 3, 1, body)
			b.SetBytes(int64(len(in)))
			cpu := cpuTime()
			for b.Loop() {
				exchange(b, c, out, in)
			}
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkIdle tells the resident memory of an idle connection after an exchange, the client's own
// included.
func BenchmarkIdle(b *testing.B) {
	const n = 4000
	for range b.N {
		r := start(b, nil)
		before := resident()
		var clients []net.Conn
		for range n {
			c := r.dial()
			exchange(b, c, frame(apiVersions, 0, 1, nil), make([]byte, 10))
			clients = append(clients, c)
		}
		with := resident()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(with-before)/n, "B/pair")
		b.ReportMetric(float64(m.StackInuse)/n, "stack-B/pair")
		for _, c := range clients {
			c.Close()
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resident() int {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kib int
	fmt.Sscan(rest, &kib)
	return kib << 10
}
