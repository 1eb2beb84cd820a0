package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// rig is a manager with a clock of its own and metadata that a test writes.
type rig struct {
	t     *testing.T
	m     *Manager
	image *metadata.Image
	now   time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	m := NewManager(Options{MaxBytes: 1000, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	return &rig{t, m, &metadata.Image{}, time.Unix(1_800_000_000, 0)}
}

// subscribe sets one config of a subscription; a nil value removes it.
func (r *rig) subscribe(name, key string, value *string) {
	r.t.Helper()
	offset, _ := r.image.Offset()
	image, delta, err := r.image.Apply([]metadata.Record{&wire.ConfigRecord{ResourceType: metadata.ClientMetricsResource, ResourceName: name, Name: key, Value: value}}, offset+1, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.image = image
	r.m.Observe(delta, image)
}

func (r *rig) ask(id wire.UUID, c Client) Terms {
	r.t.Helper()
	terms, err := r.m.Ask(id, c, r.now)
	if err != nil {
		r.t.Fatalf("ask: %v", err)
	}
	return terms
}

// push pushes metrics and returns the code that the client is told.
func (r *rig) push(p Push, c Client, plain []byte) code.Error {
	err := r.m.Admit(p, c, r.now)
	if err == nil {
		err = r.m.Keep(p, c, plain, r.now)
		r.m.Settle(p, err)
	}
	return code.Of(err)
}

func (r *rig) after(d time.Duration) { r.now = r.now.Add(d) }

func text(s string) *string { return &s }

var shop = Client{Connection: 1, ID: "shop", Software: "apache-kafka-java", Version: "4.4.0", Principal: "User:shop", Address: "10.0.0.7", Port: "40000"}

func TestAClientWithoutASubscriptionIsAskedForNothing(t *testing.T) {
	r := newRig(t)
	got := r.ask(wire.UUID{}, shop)
	if got.Instance.IsZero() || len(got.Metrics) != 0 || got.Interval != 5*time.Minute {
		t.Errorf("terms %+v", got)
	}
	if again := r.ask(wire.UUID{}, shop); again.Instance == got.Instance || again.Subscription == got.Subscription {
		t.Error("two clients have the same id or subscription")
	}
}

func TestTermsJoinTheSubscriptionsThatMatch(t *testing.T) {
	r := newRig(t)
	r.subscribe("a", "metrics", text("org.apache.kafka.producer.,org.apache.kafka.consumer."))
	r.subscribe("a", "interval.ms", text("60000"))
	r.subscribe("b", "metrics", text("org.apache.kafka.producer.,own."))
	r.subscribe("b", "interval.ms", text("30000"))
	r.subscribe("b", "match", text("client_id=sh.*, client_software_version=4\\..*"))
	r.subscribe("c", "metrics", text("never."))
	r.subscribe("c", "interval.ms", text("1000"))
	r.subscribe("c", "match", text("client_id=sho"))
	got := r.ask(wire.UUID{}, shop)
	if want := []string{"org.apache.kafka.consumer.", "org.apache.kafka.producer.", "own."}; !slices.Equal(got.Metrics, want) || got.Interval != 30*time.Second {
		t.Errorf("terms %+v, want %v every 30 s", got, want)
	}
	other := shop
	other.ID = "other"
	if got := r.ask(wire.UUID{}, other); len(got.Metrics) != 2 || got.Interval != time.Minute {
		t.Errorf("terms of another client %+v", got)
	}
	r.subscribe("d", "metrics", text("*"))
	if got := r.ask(wire.UUID{}, shop); !slices.Equal(got.Metrics, []string{"*"}) {
		t.Errorf("with a subscription to everything %v is asked for", got.Metrics)
	}
}

func TestPropertiesOfMatchAreThoseOfKafka(t *testing.T) {
	id := wire.UUID{1}
	for _, match := range []string{
		"client_instance_id=" + id.String(), "client_id=shop", "client_software_name=apache.*", "client_software_version=4.4.0",
		"client_source_address=10\\.0\\.0\\..+", "client_source_port=4....", " client_id = shop ", "",
	} {
		selectors, err := ParseMatch(match)
		s := Subscription{Match: selectors}
		if err != nil || !s.matches(id, shop) {
			t.Errorf("%q does not match: %v", match, err)
		}
		if len(selectors) > 0 && s.matches(wire.UUID{2}, Client{}) {
			t.Errorf("%q matches a client of which nothing is known", match)
		}
	}
	for _, match := range []string{"client_id", "client_id=", "=shop", "principal=x", "client_id=a=b", "client_id=(", "client_id=a,b"} {
		if _, err := ParseMatch(match); err == nil || !strings.Contains(err.Error(), "illegal client matching pattern") {
			t.Errorf("%q: %v", match, err)
		}
	}
}

func TestKeysOfASubscriptionAreValidated(t *testing.T) {
	for _, k := range ConfigKeys() {
		for value, want := range map[string]code.Error{"match client_id=a.*": 0, "match nobody=x": code.InvalidConfig, "match client_id=[": code.InvalidConfig,
			"match client_id=a,client_id=a": 0, "match client_id=a,": code.InvalidConfig, "metrics a.,b.": 0, "metrics a.,a.": 0, "metrics a.,,b.": code.InvalidConfig, "interval.ms 99": code.InvalidConfig, "interval.ms 100": 0} {
			key, value, _ := strings.Cut(value, " ")
			if key == k.Name && code.Of(k.Validate(value)) != want {
				t.Errorf("%s=%s: %v, want %v", key, value, k.Validate(value), want)
			}
		}
	}
}

func TestAskingTooEarlyIsThrottled(t *testing.T) {
	r := newRig(t)
	terms := r.ask(wire.UUID{}, shop)
	if _, err := r.m.Ask(terms.Instance, shop, r.now.Add(terms.Interval-1)); !errors.Is(err, code.ThrottlingQuotaExceeded) {
		t.Errorf("asked a moment too early: %v", err)
	}
	r.subscribe("a", "metrics", text("x."))
	changed := r.ask(terms.Instance, shop) // its subscriptions are others now
	if changed.Subscription == terms.Subscription || changed.Instance != terms.Instance {
		t.Errorf("terms %+v after %+v", changed, terms)
	}
	r.after(changed.Interval)
	r.ask(terms.Instance, shop)
}

func TestPushesAreCheckedInKafkasOrder(t *testing.T) {
	r := newRig(t)
	r.subscribe("a", "metrics", text("x."))
	r.subscribe("a", "interval.ms", text("10000"))
	terms := r.ask(wire.UUID{}, shop)
	p := Push{Instance: terms.Instance, Subscription: terms.Subscription, Compression: 4, Size: 10}
	with := func(change func(p *Push)) Push {
		q := p
		change(&q)
		return q
	}
	steps := []struct {
		what  string
		after time.Duration
		push  Push
		plain []byte
		want  code.Error
	}{
		{"nobody", 0, with(func(p *Push) { p.Instance = wire.UUID{} }), nil, code.InvalidRequest},
		{"the metadata topic", 0, with(func(p *Push) { p.Instance = wire.UUID{15: 1} }), nil, code.InvalidRequest},
		{"the first, early", time.Second, p, nil, 0},
		{"the second, early", time.Second, p, nil, code.ThrottlingQuotaExceeded},
		{"the second", 9 * time.Second, p, nil, 0},
		{"another subscription", 10 * time.Second, with(func(p *Push) { p.Subscription++; p.Compression = 9; p.Size = 1 << 20 }), nil, code.UnknownSubscriptionId},
		{"unknown codec", 10 * time.Second, with(func(p *Push) { p.Compression = 5; p.Size = 1 << 20 }), nil, code.UnsupportedCompressionType},
		{"too large", 10 * time.Second, with(func(p *Push) { p.Size = 1001 }), nil, code.TelemetryTooLarge},
		{"no protobuf", 10 * time.Second, p, []byte{0xff}, code.InvalidRecord},
		{"the last, early", time.Second, with(func(p *Push) { p.Terminating = true }), nil, 0},
		{"after the last", 10 * time.Second, p, nil, code.InvalidRequest},
	}
	for _, s := range steps {
		r.after(s.after)
		if got := r.push(s.push, shop, s.plain); got != s.want {
			t.Errorf("%s: %v, want %v", s.what, got, s.want)
		}
	}
}

func TestARefusedPushMayAskAgainAtOnce(t *testing.T) {
	r := newRig(t)
	terms := r.ask(wire.UUID{}, shop)
	if e := r.push(Push{Instance: terms.Instance, Subscription: terms.Subscription + 1}, shop, nil); e != code.UnknownSubscriptionId {
		t.Fatal(e)
	}
	if again := r.ask(terms.Instance, shop); again.Subscription != terms.Subscription {
		t.Errorf("subscription %d, want %d", again.Subscription, terms.Subscription)
	}
}

func TestAnInstanceGoesWithItsConnectionOrInTime(t *testing.T) {
	r := newRig(t)
	terms := r.ask(wire.UUID{}, shop)
	if id, ok := r.m.Instance(1); !ok || id != terms.Instance {
		t.Errorf("connection 1 has %v %v", id, ok)
	}
	r.m.Disconnected(1)
	r.ask(terms.Instance, shop) // a new one, so not too early
	r.after(3*terms.Interval - 1)
	r.m.expire(r.now)
	if len(r.m.instances) != 1 {
		t.Error("the instance went too early")
	}
	r.after(1)
	r.m.expire(r.now)
	if len(r.m.instances)+len(r.m.made)+r.m.recent.Len() != 0 {
		t.Error("a silent instance stays")
	}
}

func TestInstancesAreBounded(t *testing.T) {
	r := newRig(t)
	for n := range mostInstances + 10 {
		c := shop
		c.Connection = uint64(n)
		r.ask(wire.UUID{}, c)
	}
	if n := len(r.m.instances); n != mostInstances || len(r.m.made) != n || r.m.recent.Len() != n {
		t.Errorf("%d instances, %d connections", n, len(r.m.made))
	}
}

func TestClientsStringsAreCopied(t *testing.T) {
	r := newRig(t)
	frame := []byte("shop")
	c := shop
	c.ID = string(frame)
	terms := r.ask(wire.UUID{}, c)
	if e := r.push(Push{Instance: terms.Instance, Subscription: terms.Subscription}, c, otlp("a.b", gaugeOf(1))); e != 0 {
		t.Fatal(e)
	}
	copy(frame, "XXXX")
	if got := gather(t, r.m.Pushed()); !strings.Contains(got, `client_id="shop"`) {
		t.Errorf("got %s", got)
	}
}

// TestPushedMetricsAreShown follows one client's numbers from the push to what Prometheus reads.
func TestPushedMetricsAreShown(t *testing.T) {
	r := newRig(t)
	r.now = time.Now()
	terms := r.ask(wire.UUID{}, shop)
	p := Push{Instance: terms.Instance, Subscription: terms.Subscription}
	one := bytes.Join([][]byte{
		otlp("org.apache.kafka.producer.queue-time.avg", gaugeOf(2.5, "node_id", "1", "client_id", "not this one")),
		otlp("sent", sumOf(3, deltaTemporality, true)), otlp("open", sumOf(-4, 2, false)), otlp("all", sumOf(7, 2, true)),
		otlp("latency", histogram()), otlp("gone", gaugeOf(1)),
	}, nil)
	if e := r.push(p, shop, one); e != 0 {
		t.Fatal(e)
	}
	r.after(terms.Interval)
	two := bytes.Join([][]byte{otlp("sent", sumOf(5, deltaTemporality, true)), otlp("all", sumOf(9, 2, true))}, nil)
	if e := r.push(p, shop, two); e != 0 {
		t.Fatal(e)
	}
	who := fmt.Sprintf(`address="10.0.0.7" client_id="shop" client_instance_id="%s" library="apache-kafka-java" principal="User:shop" version="4.4.0"`, terms.Instance)
	want := "klamm_client_all{" + who + "} 9 COUNTER\nklamm_client_sent{" + who + "} 8 COUNTER\n"
	if got := gather(t, r.m.Pushed()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if e := r.push(Push{Instance: p.Instance, Subscription: p.Subscription, Terminating: true}, shop, one); e != 0 {
		t.Fatal(e)
	}
	got := gather(t, r.m.Pushed())
	for _, line := range []string{
		`klamm_client_org_apache_kafka_producer_queue_time_avg{` + strings.Replace(who, "library=\"apache-kafka-java\"", "library=\"apache-kafka-java\" node_id=\"1\"", 1) + "} 2.5 GAUGE\n",
		"klamm_client_sent{" + who + "} 11 COUNTER\n", "klamm_client_open{" + who + "} -4 GAUGE\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%s is missing in\n%s", line, got)
		}
	}
}

func TestClientsThatDoNotAgreeOnATypeAreShownAllTheSame(t *testing.T) {
	p := newPushed()
	now := time.Now()
	p.keep(wire.UUID{1}, shop, []point{{name: "x", kind: gauge, value: 1}}, 0, now)
	p.keep(wire.UUID{2}, shop, []point{{name: "x", kind: counter, value: 2}}, 0, now)
	if got := gather(t, p); strings.Count(got, "UNTYPED") != 2 {
		t.Errorf("got %s", got)
	}
}

func TestWhatWasPushedGoesAfterMinutes(t *testing.T) {
	p := newPushed()
	start := time.Now()
	p.keep(wire.UUID{1}, shop, []point{{name: "x"}}, time.Minute, start)
	if rows := p.rows(start.Add(time.Minute + keptFor)); len(rows) != 1 {
		t.Errorf("%d rows in time, want 1", len(rows))
	}
	if _, n, ok := p.Last(wire.UUID{1}); !ok || n != 1 {
		t.Errorf("last push has %d series", n)
	}
	if rows := p.rows(start.Add(time.Minute + keptFor + 1)); len(rows) != 0 {
		t.Errorf("%d rows too late, want 0", len(rows))
	}
	if clients, series := p.Size(); clients+series != 0 {
		t.Errorf("%d clients with %d series stay", clients, series)
	}
}

func TestPushedIsBounded(t *testing.T) {
	p := newPushed()
	now := time.Now()
	many := make([]point, mostOfOne+5)
	for i := range many {
		many[i].name = fmt.Sprint("m", i)
	}
	for n := range mostSeries/mostOfOne + 3 {
		if skipped := p.keep(wire.UUID{byte(n), 1}, shop, many, 0, now); skipped != 5 {
			t.Fatalf("%d points skipped, want 5", skipped)
		}
	}
	if clients, series := p.Size(); series != mostSeries || clients != mostSeries/mostOfOne {
		t.Errorf("%d series of %d clients", series, clients)
	}
	for n := range mostClients + 5 {
		p.keep(wire.UUID{byte(n), byte(n >> 8), 2}, shop, many[:1], 0, now)
	}
	if clients, series := p.Size(); clients != mostClients || series != mostClients || p.recent.Len() != clients {
		t.Errorf("%d series of %d clients", series, clients)
	}
	for i := range many {
		many[i].labels = []label{{"k", strings.Repeat("v", 3000)}}
	}
	for n := range 9 {
		p.keep(wire.UUID{byte(n), 3}, Client{ID: strings.Repeat("i", 1<<20)}, many, 0, now)
	}
	if clients, _ := p.Size(); p.bytes > mostBytes || clients < 2 {
		t.Errorf("%d bytes of %d clients", p.bytes, clients)
	}
	p.expire(now.Add(time.Hour))
	if clients, series := p.Size(); clients+series+p.bytes != 0 {
		t.Errorf("%d clients, %d series and %d bytes are left of nothing", clients, series, p.bytes)
	}
}
