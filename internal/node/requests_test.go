package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRequestsAreSeenFromOutside has a real client work, and looks at the metrics and the log.
func TestRequestsAreSeenFromOutside(t *testing.T) {
	admin := freeAddr(t)
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"admin.listener=" + admin}})
	r := dialRaw(t, n.addr)
	r.createTopic("seen", 1)
	r.alter(4, "", "klamm.slow.request.ms", "0")
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.ConsumeTopics("seen"), kgo.ClientID("watcher"), kgo.DefaultProduceTopic("seen"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range 10 {
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for got := 0; got < 10; {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		got += f.NumRecords()
	}
	until(t, "the Produce requests are counted", func() bool {
		return strings.Contains(get(t, admin, "/metrics"), `kafka_network_requestmetrics_totaltimems_count{request="Produce"} 10`)
	})
	page := get(t, admin, "/metrics")
	for _, want := range []string{
		"# TYPE kafka_network_requestmetrics_totaltimems gauge", "# TYPE kafka_network_requestmetrics_totaltimems_count counter",
		`kafka_network_requestmetrics_totaltimems{quantile="0.99",request="Produce"} `, `kafka_network_requestmetrics_totaltimems{quantile="0.50",request="FetchConsumer"} `,
		`kafka_network_requestmetrics_requests_total{request="Produce",version="13"} 10`,
		`kafka_network_requestmetrics_requestqueuetimems{quantile="0.999",request="Fetch"} `, `kafka_network_requestmetrics_localtimems{quantile="0.75",request="Metadata"} `,
		`kafka_network_requestmetrics_remotetimems{quantile="0.95",request="Fetch"} `, `kafka_network_requestmetrics_responsequeuetimems{quantile="0.98",request="Fetch"} `,
		`kafka_network_requestmetrics_responsesendtimems{quantile="0.99",request="Fetch"} `, `kafka_network_requestmetrics_responsesendtimems_count{request="Fetch"} `,
		`klamm_request_seconds_count{api="Produce",phase="total"} 10`, `klamm_request_seconds_bucket{api="Fetch",phase="send",le="`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	until(t, "a slow Produce is logged", func() bool {
		for _, m := range logged(t, admin) {
			if m["event"] == "slow_request" && m["client_id"] == "watcher" && m["software"] == "kgo" {
				return m["listener"] == "PLAINTEXT" && m["reason"] != "" && m["total_ms"] != nil && m["send_ms"] != nil && m["level"] == "WARN"
			}
		}
		// At most some lines a second: one of this client's comes with the next.
		if err := cl.ProduceSync(ctx, kgo.StringRecord("more")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return false
	})
}

// TestAnOldClientIsWarnedOf speaks as one of 2016 does.
func TestAnOldClientIsWarnedOf(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir()})
	for range 2 {
		r := dialRaw(t, n.addr)
		r.createTopic("old", 1)
		r.send(fetchRequest("old", 0, 0, 0), 3)
		r.receive(1, 3)
		r.deleteTopic("old")
	}
	if got := strings.Count(n.said.String(), "outdated_client"); got != 1 {
		t.Errorf("it is warned of %d times; want once:\n%s", got, n.said)
	}
}

func TestErrorsInAnswersAreCounted(t *testing.T) {
	admin := freeAddr(t)
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"admin.listener=" + admin}})
	r := dialRaw(t, n.addr)
	r.produce("nowhere", 1, 9, plain(t, "x"))
	r.fetch("nowhere", 0, 0, 0)
	r.createTopic("some", 1)
	r.fetch("some", 1000, 0, 0)
	r.alterLoggers("7", false)
	page := get(t, admin, "/metrics")
	for _, want := range []string{
		`{error="UNKNOWN_TOPIC_OR_PARTITION",request="Produce"} 1`, `{error="UNKNOWN_TOPIC_OR_PARTITION",request="Fetch"} 1`,
		`{error="OFFSET_OUT_OF_RANGE",request="Fetch"} 1`, `{error="INVALID_REQUEST",request="IncrementalAlterConfigs"} 1`,
	} {
		if !strings.Contains(page, "kafka_network_requestmetrics_errors_total"+want) {
			t.Errorf("/metrics lacks kafka_network_requestmetrics_errors_total%s", want)
		}
	}
}
