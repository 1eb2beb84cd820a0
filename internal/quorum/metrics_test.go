package quorum

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/disk"
)

func TestTheMetricsOfRaftAreThoseOfItsLog(t *testing.T) {
	reg := prometheus.NewRegistry()
	n := newNode(t, disk.NewMem(1), "/data", 1)
	n.tweak = func(o *Options) { o.Registerer = reg }
	n.mustStart()
	defer n.stop()
	n.wait()
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
	}
	offset, _ := n.q.Image().Offset()
	for name, want := range map[string]float64{
		"current_leader": 1, "current_vote": 1, "high_watermark": float64(offset + 1), "log_end_offset": float64(offset + 1), "fetch_records_rate": 0,
	} {
		if v, ok := got["kafka_server_raftmetrics_"+name]; !ok || v != want {
			t.Errorf("%s is %v (there: %t), want %v", name, v, ok, want)
		}
	}
	if got["kafka_server_raftmetrics_append_records_rate"] <= 0 || got["kafka_server_raftmetrics_commit_latency_avg"] < 0 {
		t.Errorf("appends: %v records a second, %v ms each", got["kafka_server_raftmetrics_append_records_rate"], got["kafka_server_raftmetrics_commit_latency_avg"])
	}
}

// asking gathers as soon as it has been given something, as a program may that has its registry scraped while a broker starts.
type asking struct{ *prometheus.Registry }

func (a asking) Register(c prometheus.Collector) error {
	if err := a.Registry.Register(c); err != nil {
		return err
	}
	_, err := a.Gather()
	return err
}

func TestTheMetricsMayBeAskedForAsSoonAsTheyAreRegistered(t *testing.T) {
	n := newNode(t, disk.NewMem(1), "/data", 1)
	n.tweak = func(o *Options) { o.Registerer = asking{prometheus.NewRegistry()} }
	n.mustStart()
	defer n.stop()
	n.wait()
}

func TestAWindowForgetsWhatIsLongAgo(t *testing.T) {
	var w window
	begin := time.Unix(1000, 0)
	rate := func(after time.Duration, value float64) float64 {
		growth, took := w.since(begin.Add(after), value)
		return growth / took.Seconds()
	}
	if r := rate(0, 60); r != 2 {
		t.Errorf("at first the rate is %v, want 60 in 30 s", r)
	}
	if r := rate(30*time.Second, 60); r != 0 {
		t.Errorf("after 30 s without a change it is %v", r)
	}
	if r := rate(60*time.Second, 90); r != 1 {
		t.Errorf("after 30 in 30 s it is %v", r)
	}
	if r := rate(10*time.Minute, 90); r != 0 {
		t.Errorf("after ten minutes it is %v", r)
	}
}
