package node_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// page reads a page of the admin listener.
func (r *running) page(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + r.AdminAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return string(b)
}

// listed is one element of what GET /clients lists.
type listed map[string]any

func (l listed) names(key string) (names []string) {
	for _, n := range l[key].([]any) {
		names = append(names, n.(string))
	}
	return names
}

// clients reads GET /clients: those with a client id, by connection.
func (r *running) clients(t *testing.T, id string) (list []listed) {
	t.Helper()
	var p struct {
		ClusterID string   `json:"cluster_id"`
		NodeID    int      `json:"node_id"`
		Clients   []listed `json:"clients"`
	}
	if err := json.Unmarshal([]byte(r.page(t, "/clients")), &p); err != nil {
		t.Fatal(err)
	}
	if p.ClusterID != r.Info().ClusterID || p.NodeID != 1 {
		t.Fatalf("page of cluster %s node %d", p.ClusterID, p.NodeID)
	}
	for _, c := range p.Clients {
		if c["client_id"] == id {
			list = append(list, c)
		}
	}
	return list
}

// TestClientsThatPushTheirMetricsAreSeen has franz-go, which pushes as KIP-714 says, asked for its metrics.
func TestClientsThatPushTheirMetricsAreSeen(t *testing.T) {
	r := boot(t, plan{dir: t.TempDir(), overrides: []string{"admin.listener=127.0.0.1:0"}})
	c := dialRaw(t, r.addr)
	c.alter(metadata.ClientMetricsResource, "all", "interval.ms", "1000")
	c.alter(metadata.ClientMetricsResource, "all", "metrics", "org.apache.kafka.,shop.")
	c.alter(metadata.ClientMetricsResource, "all", "match", "client_software_name=kgo,client_id=sh.*")

	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addr), kgo.ClientID("shop"), kgo.AllowAutoTopicCreation(), kgo.UserMetricsFn(func() iter.Seq[kgo.Metric] {
		return slices.Values([]kgo.Metric{
			{Name: "shop.orders", Type: kgo.MetricTypeSum, ValueInt: 42, Attrs: map[string]any{"region": "eu"}},
			{Name: "shop.queue", Type: kgo.MetricTypeGauge, ValueFloat: 1.5},
		})
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("one")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	until(t, "the client's metrics are on /metrics/detail", func() bool {
		lines = lines[:0]
		for line := range strings.Lines(r.page(t, "/metrics/detail")) {
			if strings.HasPrefix(line, "klamm_client_") {
				lines = append(lines, line)
			}
		}
		return len(lines) > 2
	})
	all := strings.Join(lines, "")
	for _, want := range []string{"klamm_client_shop_orders{", `region="eu"`, "} 42\n", "klamm_client_shop_queue{", "} 1.5\n", "klamm_client_org_apache_kafka_producer_connection_creation_total{",
		`client_id="shop"`, `principal="User:ANONYMOUS"`, `library="kgo"`, `address="127.0.0.1"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is missing in\n%s", want, all)
		}
	}
	until(t, "the client's connection tells of its pushes", func() bool {
		return slices.ContainsFunc(r.clients(t, "shop"), func(l listed) bool {
			return l["client_instance_id"] != "" && l["metrics_pushed_at"] != nil && l["metrics_series"].(float64) > 2
		})
	})
	if got := r.page(t, "/metrics"); strings.Contains(got, "klamm_telemetry_pushes_total 0\n") || !strings.Contains(got, `klamm_clients{library="kgo"`) {
		t.Error("/metrics does not count pushes or clients")
	}
}

// subscription asks what a new instance is to push.
func (r *raw) subscription() *wire.GetTelemetrySubscriptionsResponse {
	r.t.Helper()
	a := ask[*wire.GetTelemetrySubscriptionsResponse](r, wire.NewGetTelemetrySubscriptionsRequest(), 0)
	if a.ErrorCode != 0 {
		r.t.Fatal(code.Error(a.ErrorCode))
	}
	return a
}

// push pushes metrics as a subscription says.
func (r *raw) push(s *wire.GetTelemetrySubscriptionsResponse, codec int8, metrics []byte) code.Error {
	r.t.Helper()
	req := wire.NewPushTelemetryRequest()
	req.ClientInstanceId, req.SubscriptionId, req.CompressionType, req.Metrics = s.ClientInstanceId, s.SubscriptionId, codec, metrics
	return code.Error(ask[*wire.PushTelemetryResponse](r, req, 0).ErrorCode)
}

func TestPushesAreTakenInEveryCompression(t *testing.T) {
	r := boot(t, plan{dir: t.TempDir(), overrides: []string{"telemetry.max.bytes=4096"}})
	c := dialRaw(t, r.addr)
	if s := c.subscription(); s.TelemetryMaxBytes != 4096 || !slices.Equal(s.AcceptedCompressionTypes, []int8{4, 3, 1, 2}) || !s.DeltaTemporality || s.PushIntervalMs != 300_000 || len(s.RequestedMetrics) != 0 {
		t.Fatalf("subscription %+v", s)
	}
	codecs := record.NewCodecs(1)
	for _, p := range []struct {
		what  string
		codec record.Codec
		plain []byte
		want  code.Error
	}{
		{"plain", record.None, []byte{0x0a, 0}, 0},
		{"gzip", record.Gzip, []byte{0x0a, 0}, 0},
		{"snappy", record.Snappy, []byte{0x0a, 0}, 0},
		{"lz4", record.LZ4, []byte{0x0a, 0}, 0},
		{"zstd", record.Zstd, []byte{0x0a, 0}, 0},
		{"no OpenTelemetry", record.Zstd, []byte{0xff}, code.InvalidRecord},
		{"too large", record.None, make([]byte, 4097), code.TelemetryTooLarge},
		{"too large when decompressed", record.Gzip, make([]byte, 4097), code.TelemetryTooLarge},
	} {
		metrics, err := codecs.Compress(nil, p.plain, p.codec, record.DefaultLevel, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.push(c.subscription(), int8(p.codec), metrics); got != p.want {
			t.Errorf("%s: %v, want %v", p.what, got, p.want)
		}
	}
	if got := c.push(c.subscription(), 1, []byte("no gzip")); got != code.InvalidRecord {
		t.Errorf("malformed gzip: %v", got)
	}
	if got := c.push(c.subscription(), 5, nil); got != code.UnsupportedCompressionType {
		t.Errorf("an unknown codec: %v", got)
	}
}

func TestAnInstanceIsForgottenWithItsConnection(t *testing.T) {
	r := boot(t, plan{dir: t.TempDir()})
	c, d := dialRaw(t, r.addr), dialRaw(t, r.addr)
	early := wire.NewGetTelemetrySubscriptionsRequest()
	early.ClientInstanceId = c.subscription().ClientInstanceId
	if a := ask[*wire.GetTelemetrySubscriptionsResponse](d, early, 0); code.Error(a.ErrorCode) != code.ThrottlingQuotaExceeded || !a.ClientInstanceId.IsZero() {
		t.Errorf("asked again at once: %+v", a)
	}
	if err := c.c.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the instance is new again", func() bool { return ask[*wire.GetTelemetrySubscriptionsResponse](d, early, 0).ErrorCode == 0 })
}

// TestClientsAreListedWithWhatTheyDo looks at a producer and at a consumer in a group.
func TestClientsAreListedWithWhatTheyDo(t *testing.T) {
	r := boot(t, plan{dir: t.TempDir(), overrides: []string{"admin.listener=127.0.0.1:0"}})
	dialRaw(t, r.addr).createTopic("orders", 2)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addr), kgo.ClientID("worker"), kgo.SoftwareNameAndVersion("my-app", "1.2.3"), kgo.DefaultProduceTopic("orders"),
		kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("workers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for range 100 {
		cl.Produce(ctx, kgo.StringRecord(strings.Repeat("x", 100)), nil)
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 100; {
		f := cl.PollFetches(ctx)
		if err := f.Err0(); err != nil {
			t.Fatal(err)
		}
		n += f.NumRecords()
	}
	var produced, fetched, bytes, fetchedBytes float64
	var topicsProduced, topicsFetched, groups []string
	list := r.clients(t, "worker")
	for _, l := range list {
		produced, bytes = produced+l["records_produced"].(float64), bytes+l["bytes_produced"].(float64)
		fetched, fetchedBytes = fetched+l["records_fetched"].(float64), fetchedBytes+l["bytes_fetched"].(float64)
		topicsProduced = append(topicsProduced, l.names("topics_produced")...)
		topicsFetched = append(topicsFetched, l.names("topics_fetched")...)
		groups = append(groups, l.names("groups")...)
		if l["records_produced"].(float64) > 0 && (l["records_produced_per_second"].(float64) <= 0 || l["bytes_in_per_second"].(float64) <= 0) {
			t.Errorf("rates of %v", l)
		}
		if l["library"] != "my-app" || l["version"] != "1.2.3" || l["principal"] != "User:ANONYMOUS" || !strings.HasPrefix(l["address"].(string), "127.0.0.1:") ||
			l["listener"] != "PLAINTEXT" || l["last_request"] == "" || l["last_request_at"] == nil || l["requests"].(float64) < 1 || l["bytes_in"].(float64) < 20 || l["bytes_out"].(float64) < 20 {
			t.Errorf("client %v", l)
		}
	}
	if produced != 100 || fetched != 100 || bytes < 500 || fetchedBytes != bytes {
		t.Errorf("produced %v records in %v bytes, fetched %v in %v, want 100", produced, bytes, fetched, fetchedBytes)
	}
	if !slices.Equal(topicsProduced, []string{"orders"}) || !slices.Equal(topicsFetched, []string{"orders"}) || !slices.Equal(groups, []string{"workers"}) {
		t.Errorf("produced to %v, fetched from %v, in groups %v; of %d connections", topicsProduced, topicsFetched, groups, len(list))
	}
	if got := r.page(t, "/metrics"); !strings.Contains(got, `klamm_clients{library="my-app",version="1.2.3"} `) {
		t.Error("/metrics does not count the client")
	}
}

func TestSubscriptionsThatCannotWorkAreRefused(t *testing.T) {
	r := boot(t, plan{dir: t.TempDir()})
	c := dialRaw(t, r.addr)
	for _, s := range []struct {
		key, value string
		want       code.Error
	}{
		{"match", "client_id=[", code.InvalidConfig}, {"match", "who=me", code.InvalidConfig}, {"match", "client_id", code.InvalidConfig}, {"match", "client_id=a.*", 0},
		{"interval.ms", "99", code.InvalidRequest}, {"interval.ms", "x", code.InvalidConfig}, {"interval.ms", "100", 0}, {"metrics", "*", 0}, {"nothing", "x", code.InvalidRequest},
	} {
		req := wire.NewIncrementalAlterConfigsRequest()
		req.Resources = []wire.IncrementalAlterConfigsRequestAlterConfigsResource{{ResourceType: metadata.ClientMetricsResource, ResourceName: "s",
			Configs: []wire.IncrementalAlterConfigsRequestAlterableConfig{{Name: s.key, Value: &s.value}}}}
		a := ask[*wire.IncrementalAlterConfigsResponse](c, req, 1)
		if got := code.Error(a.Responses[0].ErrorCode); got != s.want {
			t.Errorf("%s=%s: %v %s, want %v", s.key, s.value, got, text(a.Responses[0].ErrorMessage), s.want)
		}
	}
}
