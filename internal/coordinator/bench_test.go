package coordinator

import (
	"context"
	"testing"

	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/wire"
)

// BenchmarkCommit is one offset committed by one client and by many at a time.
func BenchmarkCommit(b *testing.B) {
	run := func(b *testing.B, parallel int, d func() group.Decision) {
		c := newCluster(b, 1)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error)
		go func() { done <- c.g.Run(ctx) }()
		c.elect(self, 1)
		c.call("g", commit("g", "t", 0, 1))
		b.ReportAllocs()
		b.SetParallelism(parallel)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			w := NewPending()
			for pb.Next() {
				c.g.Do("g", d(), w)
				<-w.Ready()
				if _, failed := w.Take().(error); failed {
					b.Error("failed")
				}
			}
		})
		b.StopTimer()
		b.ReportMetric(float64(c.parts[0].appends)/float64(b.N), "writes/op")
		cancel()
		<-done
	}
	one := func() group.Decision { return commit("g", "t", 0, 1) }
	beat := func() group.Decision {
		return group.Heartbeat(&wire.HeartbeatRequest{GroupId: "g", MemberId: "m", GenerationId: 1})
	}
	b.Run("commit/1", func(b *testing.B) { run(b, 1, one) })
	b.Run("commit/64", func(b *testing.B) { run(b, 64, one) })
	b.Run("heartbeat/64", func(b *testing.B) { run(b, 64, beat) })
}
