package server

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/klamm/klamm/internal/rpc"
)

// phase is a part of a request's life. They follow one another and add up to its whole.
type phase int

const (
	inQueue   phase = iota // arrived, and behind what its connection sent before
	inHandler              // its handler works
	inWait                 // parked: a long poll, other replicas, the disk, a group's members
	inOrder                // answered, and behind the answers that its connection has to get before
	inSend                 // on its way to the socket
	inAll                  // all of it
	phases
)

// names of the phases: as klamm_request_seconds has them, and as Kafka calls their metrics.
var phaseNames = [phases]struct{ ours, kafkas string }{
	{"queue", "requestqueue"}, {"local", "local"}, {"wait", "remote"}, {"order", "responsequeue"}, {"send", "responsesend"}, {"total", "total"},
}

// quantiles are those of Kafka's metrics by the names that the JMX exporter's rules give them.
var quantiles = []struct {
	share float64
	label string
}{{0.5, "0.50"}, {0.75, "0.75"}, {0.95, "0.95"}, {0.98, "0.98"}, {0.99, "0.99"}, {0.999, "0.999"}}

// windowTurn is how often the window of the quantiles moves on: they are of the last one or two turns.
const windowTurn = 150 * time.Second

// timing says when a request passed from phase to phase, in nanoseconds of its server's clock.
type timing struct {
	api               *servedAPI
	who               *identity
	waits             string // what it waited for, where that is known
	version           int16
	arrived, began    int64
	handled, answered int64
	allowed           int64 // until when the client lets it wait; 0 for as long as it takes, where it may at all
}

// identity is who sends requests, in memory of its own. It does not change.
type identity struct {
	client   string // the client's id
	software rpc.ClientSoftware
}

// outgoing is a reply on its way with when its request did what.
type outgoing struct {
	*rpc.Reply
	t timing
}

// requestStats are the figures of one API on the listeners of clients, or on those of brokers.
type requestStats struct {
	name     string
	internal bool
	versions []atomic.Uint64 // calls, by version; the last one counts versions that are not served
	phases   atomic.Pointer[[phases]latency]
}

// times returns where durations are counted. The memory for an API is taken when it is first called.
func (s *requestStats) times() *[phases]latency {
	if p := s.phases.Load(); p != nil {
		return p
	}
	s.phases.CompareAndSwap(nil, new([phases]latency))
	return s.phases.Load()
}

// called counts n calls.
func (s *requestStats) called(version int16, n int) {
	if i := int(version); i >= 0 && i < len(s.versions)-1 {
		s.versions[i].Add(uint64(n))
	} else {
		s.versions[len(s.versions)-1].Add(uint64(n))
	}
}

// requests are the figures of all APIs. They are a prometheus.Collector, under Kafka's names as Strimzi's
// rules for the JMX exporter turn them, and under our own.
type requests struct {
	octave octave

	mu   sync.Mutex // guards what follows, and the windows
	list []*requestStats
	next time.Time // when the window turns

	calls, seconds *prometheus.Desc
	count, gauge   [phases]*prometheus.Desc
}

func newRequests() *requests {
	r := &requests{octave: bounds()}
	r.calls = prometheus.NewDesc("kafka_network_requestmetrics_requests_total", "Requests handled, by API and version.", []string{"request", "version"}, nil)
	r.seconds = prometheus.NewDesc("klamm_request_seconds", "How long requests took, by API and phase: queue (behind others of its connection), local (its handler), wait (a long poll, other replicas, the disk, a group's members), order (answered, behind the answers before it), send (to the socket), and total.", []string{"api", "phase"}, nil)
	for p, n := range phaseNames {
		help := "Milliseconds that requests spent in the phase " + n.ours + ", by API"
		r.gauge[p] = prometheus.NewDesc("kafka_network_requestmetrics_"+n.kafkas+"timems", help+": quantiles of the last minutes.", []string{"request", "quantile"}, nil)
		r.count[p] = prometheus.NewDesc("kafka_network_requestmetrics_"+n.kafkas+"timems_count", help+": how many there were.", []string{"request"}, nil)
	}
	return r
}

// stats returns where the calls of an API are counted.
func (r *requests) stats(api *rpc.API, internal bool) *requestStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.list {
		if s.name == api.Name && s.internal == internal {
			return s
		}
	}
	s := &requestStats{name: api.Name, internal: internal, versions: make([]atomic.Uint64, int(api.Max)+2)}
	r.list = append(r.list, s)
	return s
}

// turn moves the windows on when it is time.
func (r *requests) turn(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() {
		r.next = now.Add(windowTurn)
	}
	if now.Before(r.next) {
		return
	}
	r.next = now.Add(windowTurn)
	for _, s := range r.list {
		if p := s.phases.Load(); p != nil {
			for i := range p {
				p[i].turn()
			}
		}
	}
}

// record counts replies that were sent: from began on they were on their way, and at ended they were gone.
// Those that went through all of it together are counted together.
func (r *requests) record(sent []outgoing, began, ended int64) {
	for i := 0; i < len(sent); {
		t := &sent[i].t
		n := 1
		for i+n < len(sent) && sent[i+n].t.api == t.api && sent[i+n].t.handled == t.handled && sent[i+n].t.answered == t.answered && sent[i+n].t.arrived == t.arrived {
			n++
		}
		p := t.api.stats.times()
		for ph, d := range t.phases(began, ended) {
			// What takes no time is counted by inAll alone.
			if d > 0 || phase(ph) == inAll {
				p[ph].add(&r.octave, d, uint64(n))
			}
		}
		i += n
	}
}

// phases are how long each phase took, of a reply that was sent between began and ended.
func (t *timing) phases(began, ended int64) [phases]int64 {
	return [phases]int64{
		inQueue: t.began - t.arrived, inHandler: t.handled - t.began, inWait: t.answered - t.handled,
		inOrder: began - t.answered, inSend: ended - began, inAll: ended - t.arrived,
	}
}

// timing begins the timing of calls that are about to be handled, which are of one API, and counts them.
func (c *conn) timing(api *servedAPI) timing {
	calls := c.work.calls
	who := c.identify(clip(calls[len(calls)-1].Header.ClientID))
	for i := 0; i < len(calls); {
		n, v := 1, calls[i].Header.Version
		for i+n < len(calls) && calls[i+n].Header.Version == v {
			n++
		}
		api.stats.called(v, n)
		if v < api.oldest || len(c.defects) > 0 {
			c.judge(who, api, v)
		}
		i += n
	}
	return timing{api: api, who: who, arrived: c.arrived, began: c.clock}
}

// identify returns who sends requests, as its last one and its ApiVersions say.
func (c *conn) identify(client string) *identity {
	who := c.who.Load()
	if who == nil || who.client != client || who.software != c.Client {
		if who == nil || who.software != c.Client {
			c.defects = c.s.clients.of(c.Client)
		}
		who = &identity{strings.Clone(client), c.Client}
		c.who.Store(who)
	}
	return who
}

// clip shortens a client's id to what is kept of it.
func clip(id string) string { return id[:min(len(id), mostOfClientID)] }

// tick reads the clock after calls were handled.
func (c *conn) tick() int64 {
	c.clock = c.s.clock()
	return c.clock
}

// until returns the timing of one reply, with until when it may wait.
func (t timing) until(r *rpc.Reply) timing {
	t.answered = t.handled
	if p := r.Parked(); p != nil && t.api.LongPoll {
		if d := p.Deadline(); !d.IsZero() {
			t.allowed = t.handled + int64(time.Until(d))
		}
	}
	return t
}

// Describe implements prometheus.Collector.
func (r *requests) Describe(ch chan<- *prometheus.Desc) {
	ch <- r.calls
	ch <- r.seconds
	for p := range phases {
		ch <- r.gauge[p]
		ch <- r.count[p]
	}
}

// classicOf are the powers of two, in seconds, at which the classic buckets of a phase end.
func classicOf(p phase) []int {
	step := 4 // few: the native histogram has the rest
	if p == inAll {
		step = 1
	}
	var list []int
	for e := -14; e <= 6; e += step {
		list = append(list, e)
	}
	return list
}

// Collect implements prometheus.Collector. Fetch is shown three times, as Kafka does: as itself, and apart
// by who asked, clients (FetchConsumer) and brokers (FetchFollower).
func (r *requests) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	named := map[string][]*requestStats{}
	for _, s := range r.list {
		named[s.name] = append(named[s.name], s)
		if s.name == "Fetch" {
			name := "FetchConsumer"
			if s.internal {
				name = "FetchFollower"
			}
			named[name] = append(named[name], s)
		}
	}
	for name, list := range named {
		r.collectCalls(ch, name, list)
		r.collectTimes(ch, name, list)
	}
}

func (r *requests) collectCalls(ch chan<- prometheus.Metric, name string, list []*requestStats) {
	longest := slices.MaxFunc(list, func(a, b *requestStats) int { return cmp.Compare(len(a.versions), len(b.versions)) })
	calls := make([]uint64, len(longest.versions))
	for _, s := range list {
		for v := range s.versions {
			at := v
			if v == len(s.versions)-1 {
				at = len(calls) - 1
			}
			calls[at] += s.versions[v].Load()
		}
	}
	for v, n := range calls {
		version := strconv.Itoa(v)
		if v == len(calls)-1 {
			version = "other"
		}
		if n > 0 {
			ch <- prometheus.MustNewConstMetric(r.calls, prometheus.CounterValue, float64(n), name, version)
		}
	}
}

func (r *requests) collectTimes(ch chan<- prometheus.Metric, name string, list []*requestStats) {
	var all, recent uint64
	shares := make([]float64, len(quantiles))
	for i, q := range quantiles {
		shares[i] = q.share
	}
	for p := phases - 1; p >= 0; p-- { // inAll first: it counts every request
		got := &reading{}
		for _, s := range list {
			if times := s.phases.Load(); times != nil {
				got.read(&times[p])
			}
		}
		if p == inAll {
			all, recent = got.count(), got.recently()
			if all == 0 {
				return
			}
		}
		occurs := got.count() > 0
		got.nothing(all)
		ch <- prometheus.MustNewConstMetric(r.count[p], prometheus.CounterValue, float64(got.count()), name)
		for i, seconds := range got.quantiles(shares, recent) {
			ch <- prometheus.MustNewConstMetric(r.gauge[p], prometheus.GaugeValue, seconds*1000, name, quantiles[i].label)
		}
		if occurs && name == list[0].name {
			labels := []*dto.LabelPair{{Name: new("api"), Value: new(name)}, {Name: new("phase"), Value: new(phaseNames[p].ours)}}
			ch <- &secondsHistogram{r.seconds, labels, got, classicOf(p)}
		}
	}
}
