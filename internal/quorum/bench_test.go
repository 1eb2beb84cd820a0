package quorum

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

func TestFiguresOnTheOperatingSystem(t *testing.T) {
	if testing.Short() {
		t.Skip("writes to the disk")
	}
	n := newNode(t, disk.OS(), t.TempDir()+"/data", 1)
	n.tweak = func(o *Options) { o.Defaults = controller.DefaultDefaults() }
	begin := time.Now()
	n.mustStart()
	n.wait()
	fresh := time.Since(begin)
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	begin = time.Now()
	resp, err := n.propose(create("t", 9900))
	created(t, resp, err)
	big := time.Since(begin)
	begin = time.Now()
	n.stop()
	stop := time.Since(begin)
	begin = time.Now()
	n.mustStart()
	n.wait()
	again := time.Since(begin)
	n.stop()
	n.tweak = func(o *Options) { o.StopSnapshotBytes = 1 << 40 }
	n.mustStart()
	n.wait()
	if _, err := n.propose(controllerDelete("t")); err != nil {
		t.Fatal(err)
	}
	resp, err = n.propose(create("t", 9900))
	created(t, resp, err)
	n.stop()
	begin = time.Now()
	n.mustStart()
	n.wait()
	replay := time.Since(begin)
	if got := n.q.Image().NumPartitions(); got != 9900 {
		t.Fatalf("%d partitions", got)
	}
	begin = time.Now()
	if _, err := n.propose(func(img *metadata.Image, env *controller.Env) ([]metadata.Record, any, error) {
		recs, resp, err := controller.RegisterBroker(controller.Registration{Serving: true, Request: &wire.BrokerRegistrationRequest{
			BrokerId: 1, ClusterId: "cluster", IncarnationId: wire.UUID{7}, LogDirs: []wire.UUID{directory(1)}, PreviousBrokerEpoch: -1,
			Features: []wire.BrokerRegistrationRequestFeature{{Name: metadata.VersionFeature, MinSupportedVersion: 7, MaxSupportedVersion: metadata.MaxVersion}}}})(img, env)
		if len(recs) != 9901 {
			t.Errorf("an unclean restart took %d records", len(recs))
		}
		return recs, resp, err
	}); err != nil {
		t.Fatal(err)
	}
	crashed := time.Since(begin)
	n.stop()
	t.Logf("registered after a crash in %s", crashed)
	t.Logf("fresh start %s, 9,900 partitions created in %s, stop %s, start from the snapshot %s, by replay %s", fresh, big, stop, again, replay)
}

func BenchmarkPropose(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			n := newNode(b, disk.OS(), b.TempDir()+"/data", 1)
			n.mustStart()
			n.wait()
			if _, err := n.propose(register(1)); err != nil {
				b.Fatal(err)
			}
			var names atomic.Int64
			b.SetParallelism(callers)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := n.q.Propose(context.Background(), create(fmt.Sprintf("t%d", names.Add(1)), 1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			n.stop()
		})
	}
}
