package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/klamm/klamm/internal/rpc"
)

// figures are the metrics of a rig's requests by name and labels.
func (r *rig) figures() map[string]*dto.Metric {
	r.tb.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(r.s.metrics.requests)
	families, err := reg.Gather()
	if err != nil {
		r.tb.Fatal(err)
	}
	all := map[string]*dto.Metric{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			all[name] = m
		}
	}
	return all
}

// lines are the lines of the log with an event.
func (r *rig) lines(event string) (list []string) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, " event="+event+" ") {
			list = append(list, line)
		}
	}
	return list
}

func TestRequestsAreCountedAndTimedByAPIAndPhase(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	for i := range 10 {
		c.send(frame(toyRun, 3, int32(i), []byte("x")))
		c.expect(int32(i), []byte("x"))
	}
	c.send(frame(toyRun, 2, 10, []byte("x")))
	c.expect(10, []byte("x"))
	c.send(frame(toyPark, 3, 11, []byte("a")))
	r.toys.finish(t, "a")
	c.expect(11, []byte("a"))
	c.send(frame(toyRanges, 3, 12, nil))
	c.expect(12, nil)
	// What is recorded after the bytes have gone out may come a moment later than these.
	eventually(t, "all are counted", func() bool {
		m := r.figures()
		return m["kafka_network_requestmetrics_totaltimems_count request=Produce"].GetCounter().GetValue() == 11 &&
			m["kafka_network_requestmetrics_totaltimems_count request=FetchConsumer"].GetCounter().GetValue() == 1
	})
	m := r.figures()
	for name, want := range map[string]float64{
		"kafka_network_requestmetrics_requests_total request=Produce version=3":       10,
		"kafka_network_requestmetrics_requests_total request=Produce version=2":       1,
		"kafka_network_requestmetrics_requests_total request=JoinGroup version=3":     1,
		"kafka_network_requestmetrics_requests_total request=Fetch version=3":         1,
		"kafka_network_requestmetrics_requests_total request=FetchConsumer version=3": 1,
		"kafka_network_requestmetrics_totaltimems_count request=Fetch":                1,
		"kafka_network_requestmetrics_remotetimems_count request=Produce":             11,
		"kafka_network_requestmetrics_requestqueuetimems_count request=Produce":       11,
		"kafka_network_requestmetrics_localtimems_count request=Produce":              11,
		"kafka_network_requestmetrics_responsequeuetimems_count request=Produce":      11,
		"kafka_network_requestmetrics_responsesendtimems_count request=Produce":       11,
	} {
		if m[name] == nil || m[name].GetCounter().GetValue() != want {
			t.Errorf("%s is %v; want %g", name, m[name], want)
		}
	}
	for _, q := range []string{"0.50", "0.75", "0.95", "0.98", "0.99", "0.999"} {
		name := "kafka_network_requestmetrics_totaltimems quantile=" + q + " request=Produce"
		if got := m[name].GetGauge().GetValue(); got <= 0 || got > 30_000 {
			t.Errorf("%s is %v ms", name, got)
		}
	}
	if got := m["kafka_network_requestmetrics_remotetimems quantile=0.99 request=Produce"].GetGauge().GetValue(); got != 0 {
		t.Errorf("Produce waited %g ms; it was never parked", got)
	}
	if got := m["klamm_request_seconds api=JoinGroup phase=wait"].GetHistogram(); got.GetSampleCount() != 1 || got.GetSampleSum() <= 0 || got.Schema == nil || len(got.Bucket) == 0 {
		t.Errorf("the wait of JoinGroup is %v", got)
	}
	if m["klamm_request_seconds api=Produce phase=wait"] != nil {
		t.Error("there is a histogram of a phase that never was")
	}
	if m["klamm_request_seconds api=FetchConsumer phase=total"] != nil {
		t.Error("a Fetch is in klamm_request_seconds twice")
	}
}

func TestPhasesAddUpToTheWhole(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	var all []byte
	for i := range 20 {
		all = append(all, frame(toyRun, 3, int32(3*i), []byte("x"))...)
		all = append(all, frame(toyPark, 3, int32(3*i+1), name(i))...)
		all = append(all, frame(toyEcho, 3, int32(3*i+2), []byte("x"))...)
	}
	c.send(all)
	for i := range 20 {
		r.toys.finish(t, string(name(i)))
	}
	for range 60 {
		c.reply()
	}
	var whole, parts float64
	eventually(t, "all are recorded", func() bool {
		whole, parts = 0, 0
		var n uint64
		for name, m := range r.figures() {
			switch {
			case !strings.HasPrefix(name, "klamm_request_seconds"):
			case strings.HasSuffix(name, "phase=total"):
				whole += m.GetHistogram().GetSampleSum()
				n += m.GetHistogram().GetSampleCount()
			default:
				parts += m.GetHistogram().GetSampleSum()
			}
		}
		return n == 60
	})
	if whole <= 0 || parts < whole*0.999 || parts > whole*1.001 {
		t.Errorf("the phases add up to %g s and the whole is %g s", parts, whole)
	}
}

func TestASlowRequestIsLoggedWithWhatItWaitedFor(t *testing.T) {
	for _, p := range []struct {
		name, api, reason, phase string
		ask                      func(t *testing.T, r *rig, c *client)
	}{
		{"parked", "JoinGroup", "waited for the disk", "wait_ms", func(t *testing.T, r *rig, c *client) {
			c.send(frame(toyPark, 3, 1, []byte("late50ms")))
			c.reply()
		}},
		{"blocked", "CreateTopics", "waited for the controller or the disk", "local_ms", func(t *testing.T, r *rig, c *client) {
			c.send(frame(toyBlock, 3, 1, nil))
			time.AfterFunc(50*time.Millisecond, func() { r.toys.unblock <- struct{}{} })
			c.reply()
		}},
		{"not read", "Fetch", "the client reads slowly", "send_ms", func(t *testing.T, r *rig, c *client) {
			r.toys.fill(t, 64<<20)
			var body []byte
			body = append(body, 'm')
			body = binary.BigEndian.AppendUint32(body, 0)
			body = binary.BigEndian.AppendUint32(body, 64<<20)
			c.send(frame(toyRanges, 3, 1, body))
			began := time.Now()
			eventually(t, "it is being sent for some time", func() (sending bool) {
				r.s.each(func(c *conn) { sending = c.sending.Load() })
				return sending && time.Since(began) > 50*time.Millisecond
			})
			if _, err := io.CopyN(io.Discard, c, 8+64<<20+2); err != nil {
				t.Fatal(err)
			}
		}},
		{"behind another", "Metadata", "waited for requests before it on its connection", "queue_ms", func(t *testing.T, r *rig, c *client) {
			c.send(append(frame(toyBlock, 3, 1, nil), frame(toyEcho, 3, 2, nil)...))
			time.AfterFunc(50*time.Millisecond, func() { r.toys.unblock <- struct{}{} })
			c.reply()
			c.reply()
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.Limits.SlowRequest = 20 * time.Millisecond })
			c := r.dial()
			p.ask(t, r, c)
			var line string
			eventually(t, "a line", func() bool {
				for _, l := range r.lines("slow_request") {
					if strings.Contains(l, " api="+p.api+" ") {
						line = l
					}
				}
				return line != ""
			})
			for _, want := range []string{"level=WARN", "version=3", "client_id=c", "listener=PLAINTEXT", "remote=127.0.0.1:", `reason="` + p.reason + `"`, "left_out=0"} {
				if !strings.Contains(line, want) {
					t.Errorf("%s is missing in %s", want, line)
				}
			}
			ms := func(name string) float64 {
				f, err := strconv.ParseFloat(regexp.MustCompile(" " + name + `=(\S+)`).FindStringSubmatch(line)[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			if ms(p.phase) < ms("total_ms")/2 {
				t.Errorf("%s is not most of it: %s", p.phase, line)
			}
		})
	}
}

func TestWaitingAsTheClientAskedIsNotSlow(t *testing.T) {
	for _, longPoll := range []bool{true, false} {
		r := start(t, func(c *Config) { c.Limits.SlowRequest = 100 * time.Millisecond })
		r.toys.table[toyPark].LongPoll = longPoll
		c := r.dial()
		c.send(append(frame(toyPark, 3, 1, []byte("late150ms")), frame(toyEcho, 3, 2, nil)...)) // and what is behind it
		c.reply()
		c.reply()
		c.Close()
		eventually(t, "the connection is gone", func() bool { return len(r.lines("disconnect")) == 1 })
		got := r.lines("slow_request")
		if longPoll && len(got) != 0 {
			t.Errorf("a long poll is slow: %q", got)
		}
		if !longPoll && (len(got) != 1 || !strings.Contains(got[0], "api=JoinGroup")) {
			t.Errorf("slow are %q; want the one that nobody asked to wait", got)
		}
	}
}

func TestExcessIsWhatTheClientDidNotAllow(t *testing.T) {
	second := int64(time.Second)
	for _, c := range []struct {
		name     string
		longPoll bool
		t        timing
		began    int64
		ended    int64
		excess   int64
		worst    phase
	}{
		{"a long poll within its time", true, timing{answered: 5 * second, allowed: 5 * second}, 5 * second, 5 * second, 0, inQueue},
		{"a long poll beyond its time", true, timing{answered: 8 * second, allowed: 5 * second}, 8 * second, 8 * second, 3 * second, inWait},
		{"a join without an end", true, timing{answered: 60 * second}, 60 * second, 60 * second, 0, inQueue},
		{"a write that waits", false, timing{answered: 2 * second}, 2 * second, 2 * second, 2 * second, inWait},
		{"behind another's answer", false, timing{}, 9 * second, 10 * second, second, inSend},
		{"a handler", true, timing{began: second, handled: 3 * second, answered: 3 * second}, 3 * second, 3 * second, 3 * second, inHandler},
	} {
		c.t.api = &servedAPI{API: &rpc.API{LongPoll: c.longPoll}}
		d := c.t.phases(c.began, c.ended)
		if excess, worst := c.t.excess(&d); excess != c.excess || worst != c.worst {
			t.Errorf("%s: %d ns, phase %d; want %d ns, phase %d", c.name, excess, worst, c.excess, c.worst)
		}
	}
}

func TestOnlyAFewSlowRequestsASecondAreLogged(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.SlowRequest = 1 })
	c := r.dial()
	began := time.Now()
	for i := 0; ; i++ {
		c.send(frame(toyEcho, 3, int32(i), nil))
		c.expect(int32(i), nil)
		if lines := r.lines("slow_request"); len(lines) > slowLines && !strings.Contains(lines[len(lines)-1], "left_out=0") {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("no line says how many were left out:\n%s", r.log)
		}
	}
	if most := slowLines + 1 + int(time.Since(began).Seconds()*slowLines); len(r.lines("slow_request")) > most {
		t.Errorf("%d lines in %s; want at most %d", len(r.lines("slow_request")), time.Since(began), most)
	}
	r.s.SetLimits(Limits{})
	before := len(r.lines("slow_request"))
	for i := range 10 {
		c.send(frame(toyEcho, 3, int32(i), nil))
		c.expect(int32(i), nil)
	}
	if got := len(r.lines("slow_request")); got != before {
		t.Errorf("%d more lines came when they were turned off", got-before)
	}
}

// named makes ApiVersions of the toys tell the library, as name/version in its body.
func (r *rig) named() {
	r.toys.table[apiVersions].Handle = func(_ context.Context, c *rpc.Call, reply *rpc.Reply) {
		name, version, _ := strings.Cut(string(c.Body), "/")
		c.Conn.Client = rpc.ClientSoftware{Name: name, Version: version}
		reply.Buf = append(reply.Buf, 0, 0)
	}
}

func TestAnOutdatedClientIsWarnedOfOncePerLibrary(t *testing.T) {
	r := start(t, nil)
	r.named()
	connect := func(library string) *client {
		c := r.dial()
		c.send(frame(apiVersions, 3, 0, []byte(library)))
		c.reply()
		return c
	}
	for range 3 {
		c := connect("old/1.0")
		for i := range 3 {
			c.send(frame(toyRun, 2, int32(i), nil))
			c.reply()
		}
	}
	c := connect("new/1.0")
	c.send(frame(toyRun, 3, 1, nil))
	c.reply()
	c = connect("old/1.1")
	c.send(frame(toyRanges, 3, 1, nil))
	c.reply()
	nameless := r.dial()
	nameless.send(frame(toyRun, 0, 1, nil))
	nameless.reply()
	lines := r.lines("outdated_client")
	if len(lines) != 3 {
		t.Fatalf("there are %d lines; want 3:\n%s", len(lines), strings.Join(lines, ""))
	}
	for i, want := range []string{"api=Produce version=2 event=outdated_client software=old software_version=1.0 ", "api=Fetch version=3 event=outdated_client software=old software_version=1.1 ", `api=Produce version=0 event=outdated_client software=unknown software_version="" client_id=c `} {
		if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], "level=WARN") {
			t.Errorf("line %d is %s; want %s in it", i, lines[i], want)
		}
	}
}

func TestAClientWithAKnownDefectIsWarnedOfWhenItMatters(t *testing.T) {
	r := start(t, nil)
	r.named()
	connect := func(library string) *client {
		c := r.dial()
		c.send(frame(apiVersions, 3, 0, []byte(library)))
		c.reply()
		return c
	}
	consumer := connect("apache-kafka-java/3.7.1")
	consumer.send(frame(toyRanges, 4, 1, nil)) // it has nothing to fear
	consumer.reply()
	if n := len(r.lines("outdated_client")); n > 0 {
		t.Fatalf("%d lines before it produces", n)
	}
	for range 2 {
		c := connect("apache-kafka-java/3.7.1")
		for i := range 2 {
			c.send(frame(toyRun, 3, int32(i), nil))
			c.reply()
		}
	}
	lines := r.lines("outdated_client")
	if len(lines) != 1 || !strings.Contains(lines[0], "KAFKA-19012") || !strings.Contains(lines[0], "software_version=3.7.1") {
		t.Errorf("the lines are %q", lines)
	}
}

func TestKnownDefectsAreThoseOfTheVersion(t *testing.T) {
	k := clients{known: defects()}
	for library, want := range map[string]int{
		"apache-kafka-java/2.7.2": 0, "apache-kafka-java/2.8.0": 1, "apache-kafka-java/3.9.1": 1, "apache-kafka-java/3.9.2": 0, "apache-kafka-java/4.0.1": 1,
		"apache-kafka-java/4.1.1-SNAPSHOT": 1, "apache-kafka-java/4.1.2": 0, "apache-kafka-java/4.2.0": 0, "apache-kafka-java/7.5.0-ccs": 0, "apache-kafka-java/unknown": 0,
		"librdkafka/2.2.0": 3, "librdkafka/2.4.0": 1, "librdkafka/v2.5.0": 0, "librdkafka/2.1.0": 2, "librdkafka/2.14.2": 0,
		"confluent-kafka-javascript/1.0.0-librdkafka-2.2.0": 3, "karafka/v2.5.0-rdkafka-ruby-v0.19.5-librdkafka-v2.8.0": 0, "librdkafka/": 0, "/": 0, "librdkafka/2": 1,
		"librdkafka/99999999999999999999.1": 0,
	} {
		name, version, _ := strings.Cut(library, "/")
		if got := k.of(rpc.ClientSoftware{Name: name, Version: version}); len(got) != want {
			t.Errorf("%s has %d defects; want %d", library, len(got), want)
		}
	}
}

func TestOnlySoManyClientsAreRemembered(t *testing.T) {
	k := clients{seen: map[warned]struct{}{}}
	told := 0
	for i := range 3 * mostClients {
		if k.first(warned{name: fmt.Sprint(i)}) {
			told++
		}
	}
	if told != mostClients || len(k.seen) != mostClients {
		t.Errorf("%d were warned of and %d are remembered; want %d", told, len(k.seen), mostClients)
	}
}
