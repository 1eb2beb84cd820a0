package node_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/klamm/klamm/internal/disk"
)

// watched is a node in memory with its admin listener.
type watched struct {
	addr, admin string
	cl          *kgo.Client
	adm         *kadm.Client
}

// watch starts a node whose metrics can be asked for.
func watch(t testing.TB, overrides ...string) *watched {
	t.Helper()
	n := boot(t, plan{dir: "/data", disk: disk.NewMem(1), overrides: append([]string{"admin.listener=127.0.0.1:0"}, overrides...),
		others: []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}})
	var err error
	w := &watched{addr: n.addr, admin: n.AdminAddr()}
	if w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.adm = kadm.NewClient(w.cl)
	return w
}

// exposed is one page: each series, as it stands, with its value.
type exposed struct {
	series map[string]float64
	types  map[string]string // by name of a family
	bytes  int
}

// page reads one of the node's pages.
func (w *watched) page(t testing.TB, path string) exposed {
	t.Helper()
	resp, err := http.Get("http://" + w.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	e := exposed{series: make(map[string]float64), types: make(map[string]string)}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		e.bytes += len(line) + 1
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			e.types[name] = kind
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		e.series[line[:i]] = v
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return e
}

// want compares one series.
func (e exposed) want(t testing.TB, series string, value float64) {
	t.Helper()
	if got, ok := e.series[series]; !ok || got != value {
		t.Errorf("%s is %v (there: %t), want %v", series, got, ok, value)
	}
}

// topic creates a topic.
func (w *watched) topic(t testing.TB, name string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r, err := w.adm.CreateTopic(ctx, partitions, 1, nil, name); err != nil || r.Err != nil {
		t.Fatalf("create %s: %v %v", name, err, r.Err)
	}
}

// produce sends n records to a partition, one batch each, stamped at.
func (w *watched) produce(t testing.TB, topic string, partition int32, n int, at time.Time) {
	t.Helper()
	for range n {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v"), Timestamp: at}
		if err := w.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// commit commits a group's offset from outside, as a tool does.
func (w *watched) commit(t testing.TB, group, topic string, partition int32, offset int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := make(kadm.Offsets)
	o.AddOffset(topic, partition, offset, -1)
	if err := w.adm.CommitAllOffsets(ctx, group, o); err != nil {
		t.Fatal(err)
	}
}

// drain reads n records of a topic with a group of one member, which stays a member.
func (w *watched) drain(t testing.TB, group, topic string, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for got := 0; got < n; {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		got += f.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsTellOfTopicsPartitionsAndGroups(t *testing.T) {
	w := watch(t)
	w.topic(t, "orders", 2)
	hour := time.Now().Add(-time.Hour)
	w.produce(t, "orders", 0, 5, hour)
	w.produce(t, "orders", 1, 3, hour)
	w.drain(t, "reads", "orders", 8)
	w.commit(t, "lags", "orders", 0, 2)
	m := w.page(t, "/metrics")
	for series, value := range map[string]float64{
		`kafka_server_brokertopicmetrics_messagesin_total{topic="orders"}`:               8,
		`kafka_server_brokertopicmetrics_messagesin_total`:                               8,
		`kafka_server_brokertopicmetrics_totalproducerequests_total{topic="orders"}`:     8,
		`kafka_server_brokertopicmetrics_failedproducerequests_total{topic="orders"}`:    0,
		`kafka_log_log_logendoffset{partition="0",topic="orders"}`:                       5,
		`kafka_log_log_logstartoffset{partition="0",topic="orders"}`:                     0,
		`kafka_log_log_numlogsegments{partition="0",topic="orders"}`:                     1,
		`kafka_cluster_partition_atminisr{partition="0",topic="orders"}`:                 1,
		`kafka_cluster_partition_underminisr{partition="0",topic="orders"}`:              0,
		`kafka_cluster_partition_replicascount{partition="0",topic="orders"}`:            1,
		`kafka_topic_partitions{topic="orders"}`:                                         2,
		`kafka_topic_partition_current_offset{partition="1",topic="orders"}`:             3,
		`kafka_topic_partition_oldest_offset{partition="1",topic="orders"}`:              0,
		`kafka_topic_partition_in_sync_replica{partition="1",topic="orders"}`:            1,
		`kafka_topic_partition_leader{partition="1",topic="orders"}`:                     1,
		`kafka_topic_partition_leader_is_preferred{partition="1",topic="orders"}`:        1,
		`kafka_topic_partition_replicas{partition="1",topic="orders"}`:                   1,
		`kafka_topic_partition_under_replicated_partition{partition="1",topic="orders"}`: 0,
		`kafka_brokers`: 1,
		`kafka_controller_kafkacontroller_activecontrollercount`:                                1,
		`kafka_controller_kafkacontroller_offlinepartitionscount`:                               0,
		`kafka_server_kafkaserver_brokerstate`:                                                  3,
		`kafka_consumergroup_current_offset{consumergroup="lags",partition="0",topic="orders"}`: 2,
		`kafka_consumergroup_lag{consumergroup="lags",partition="0",topic="orders"}`:            3,
		`kafka_consumergroup_lag_sum{consumergroup="lags",topic="orders"}`:                      3,
		`kafka_consumergroup_members{consumergroup="lags"}`:                                     0,
		`kafka_consumergroup_lag{consumergroup="reads",partition="1",topic="orders"}`:           0,
		`kafka_consumergroup_current_offset_sum{consumergroup="reads",topic="orders"}`:          8,
		`kafka_consumergroup_members{consumergroup="reads"}`:                                    1,
		`klamm_consumergroup_lag_seconds{consumergroup="reads",partition="0",topic="orders"}`:   0,
		`klamm_partition_series_on_metrics`:                                                     1,
		`klamm_group_series_on_metrics`:                                                         1,
		`klamm_log_directory_failed{directory="/data"}`:                                         0,
	} {
		m.want(t, series, value)
	}
	if s := m.series[`klamm_consumergroup_lag_seconds{consumergroup="lags",partition="0",topic="orders"}`]; s < 3590 || s > 3700 {
		t.Errorf("the lag of a record of an hour ago is %v s", s)
	}
	if size := m.series[`kafka_log_log_size{partition="0",topic="orders"}`]; size < 5*61 {
		t.Errorf("five batches take %v bytes", size)
	}
	if in, out := m.series[`kafka_server_brokertopicmetrics_bytesin_total{topic="orders"}`], m.series[`kafka_server_brokertopicmetrics_bytesout_total{topic="orders"}`]; in <= 0 || out != in {
		t.Errorf("%v bytes came in and %v went out once", in, out)
	}
	if _, ok := m.series[fmt.Sprintf(`kafka_broker_info{address=%q,id="1"}`, w.addr)]; !ok {
		t.Error("the broker's address is not told")
	}
	if d := w.page(t, "/metrics/detail"); len(d.series) > 0 && d.types["kafka_log_log_size"] != "" {
		t.Error("the partitions are on both pages")
	}
}

func TestTheLagInSecondsIsThatOfTheFirstRecordNotCommitted(t *testing.T) {
	w := watch(t)
	w.topic(t, "t", 1)
	now := time.Now()
	rs := make([]*kgo.Record, 3) // in one batch, an hour apart
	for i := range rs {
		rs[i] = &kgo.Record{Topic: "t", Value: []byte("v"), Timestamp: now.Add(time.Duration(i-3) * time.Hour)}
	}
	if err := w.cl.ProduceSync(context.Background(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		w.commit(t, fmt.Sprint("g", i), "t", 0, int64(i))
	}
	m := w.page(t, "/metrics")
	for i, hours := range []float64{3, 2, 1, 0} {
		series := fmt.Sprintf(`klamm_consumergroup_lag_seconds{consumergroup="g%d",partition="0",topic="t"}`, i)
		if s, ok := m.series[series]; !ok || s < hours*3600 || s > hours*3600+60 {
			t.Errorf("%s is %v, want %v hours", series, s, hours)
		}
	}
}

func TestBeyondTwoThousandPartitionsTheDetailPageHasTheirSeries(t *testing.T) {
	w := watch(t)
	w.topic(t, "many", 2001)
	w.produce(t, "many", 7, 1, time.Now())
	m, d := w.page(t, "/metrics"), w.page(t, "/metrics/detail")
	m.want(t, `klamm_partition_series_on_metrics`, 0)
	d.want(t, `kafka_log_log_logendoffset{partition="7",topic="many"}`, 1)
	d.want(t, `kafka_server_brokertopicmetrics_messagesin_total{topic="many"}`, 1)
	m.want(t, `kafka_server_brokertopicmetrics_messagesin_total`, 1)
	for series := range m.series {
		if strings.Contains(series, "partition=") || strings.Contains(series, "topic=") {
			t.Fatalf("%s is on /metrics", series)
		}
	}
	w.commit(t, "g", "many", 7, 0)
	until(t, "the group's lag on /metrics", func() bool {
		return w.page(t, "/metrics").series[`kafka_consumergroup_lag{consumergroup="g",partition="7",topic="many"}`] == 1
	})
}

func TestBeyondTwoThousandOffsetsTheDetailPageHasTheGroups(t *testing.T) {
	w := watch(t)
	w.topic(t, "t", 1)
	w.produce(t, "t", 0, 2, time.Now().Add(-time.Minute))
	w.topic(t, "many", 2000)
	offsets := make(kadm.Offsets)
	for p := range int32(2000) {
		offsets.AddOffset("many", p, 0, -1)
	}
	if err := w.adm.CommitAllOffsets(t.Context(), "g", offsets); err != nil {
		t.Fatal(err)
	}
	w.commit(t, "g", "t", 0, 1)
	m, d := w.page(t, "/metrics"), w.page(t, "/metrics/detail")
	m.want(t, `klamm_group_series_on_metrics`, 0)
	d.want(t, `kafka_consumergroup_lag{consumergroup="g",partition="0",topic="t"}`, 1)
	d.want(t, `kafka_consumergroup_current_offset{consumergroup="g",partition="1999",topic="many"}`, 0)
	d.want(t, `kafka_consumergroup_members{consumergroup="g"}`, 0)
	if s := d.series[`klamm_consumergroup_lag_seconds{consumergroup="g",partition="0",topic="t"}`]; s < 60 || s > 120 {
		t.Errorf("the lag of a record of a minute ago is %v s", s)
	}
	for series := range m.series {
		if strings.Contains(series, "consumergroup=") {
			t.Fatalf("%s is on /metrics", series)
		}
	}
	if kind := d.types["kafka_consumergroup_lag"]; kind != "gauge" {
		t.Errorf("the lag is of type %q", kind)
	}
}

func TestALookAtManyGroupsReadsSoManyTimestampsAndTheNextOneGoesOn(t *testing.T) {
	w := watch(t)
	w.topic(t, "t", 1)
	w.produce(t, "t", 0, 1, time.Now().Add(-time.Hour))
	const groups = 700
	var wg errgroup.Group
	wg.SetLimit(8)
	for i := range groups {
		wg.Go(func() error {
			o := make(kadm.Offsets)
			o.AddOffset("t", 0, 0, -1)
			return w.adm.CommitAllOffsets(t.Context(), fmt.Sprint("g", i), o)
		})
	}
	if err := wg.Wait(); err != nil {
		t.Fatal(err)
	}
	timed := func() (n int) {
		for series, value := range w.page(t, "/metrics").series {
			if strings.HasPrefix(series, "klamm_consumergroup_lag_seconds{") {
				if n++; value < 3600 || value > 3700 {
					t.Fatalf("%s is %v", series, value)
				}
			}
		}
		return n
	}
	if n := timed(); n == 0 || n > 500 {
		t.Errorf("the first look tells the time of %d groups, want at most 500", n)
	}
	until(t, "each group's time", func() bool { return timed() == groups })
}

// BenchmarkScrape asks for both pages of a node with many partitions, a hundredth of them written to.
func BenchmarkScrape(b *testing.B) {
	for _, topics := range []int{19, 99} {
		w := watch(b)
		for i := range topics {
			w.topic(b, fmt.Sprint("topic-", i), 100)
			w.produce(b, fmt.Sprint("topic-", i), 1, 10, time.Now())
		}
		for _, path := range []string{"/metrics", "/metrics/detail"} {
			b.Run(fmt.Sprintf("partitions=%d%s", topics*100, path), func(b *testing.B) {
				packed := 0
				b.ReportAllocs()
				for b.Loop() {
					packed = w.size(b, path)
				}
				b.ReportMetric(float64(w.page(b, path).bytes), "text-bytes")
				b.ReportMetric(float64(packed), "packed-bytes")
			})
		}
	}
}

// size reads a page as Prometheus does, packed, and returns how many bytes came.
func (w *watched) size(t testing.TB, path string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+w.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}
