package telemetry

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/wire"
)

const (
	// keptFor is how long what a client pushed stays, from when its next push was due.
	keptFor = 5 * time.Minute
	// mostClients is how many clients' metrics are kept; those of the one that pushed longest ago make room.
	mostClients = 4096
	// mostSeries is how many series all clients have together, and mostOfOne how many one has.
	mostSeries = 50_000
	mostOfOne  = 1000
	// mostBytes is how much memory all series may take, about, and seriesBytes what one takes beside its texts.
	mostBytes   = 32 << 20
	seriesBytes = 256
	// prefix is what the names of clients' metrics begin with here.
	prefix = "klamm_client_"
)

// Pushed is what clients pushed last, as a collector of Prometheus: each number of a client is a series
// klamm_client_NAME, NAME with _ for what no name may have, with the labels client_id, client_instance_id,
// principal, library, version, address and the number's own attributes. Sums that come as differences are added up.
// A client's series stay until five minutes after its next push was due.
type Pushed struct {
	mu      sync.Mutex // guards what follows
	clients map[wire.UUID]*list.Element
	recent  *list.List // of *pushes, who pushed last in front
	series  int        // of all clients
	bytes   int        // of all series, about
}

// pushes is what one client pushed.
type pushes struct {
	id     wire.UUID
	labels []string // in the order of fixedLabels
	series map[string]*series
	bytes  int // of its series, about
	until  time.Time
	last   time.Time
	turn   uint64 // number of its last push
}

// series is one number of a client.
type series struct {
	point
	turn uint64 // of the push that had it last
}

// cost is about what a series with that key takes: the key, and the texts that it is made of.
func cost(key string) int { return 2*len(key) + seriesBytes }

// newPushed returns a Pushed that holds nothing.
func newPushed() *Pushed {
	return &Pushed{clients: map[wire.UUID]*list.Element{}, recent: list.New()}
}

// fixedLabels are the labels of every series.
func fixedLabels() []string {
	return []string{"client_id", "client_instance_id", "principal", "library", "version", "address"}
}

// fixed says that a name is one of fixedLabels.
func fixed(name string) bool { return slices.Contains(fixedLabels(), name) }

// key is what tells a series of a client from its others.
func (p *point) key() string {
	var b strings.Builder
	b.WriteString(p.name)
	for _, l := range p.labels {
		b.WriteByte(0xff) // stands in no text
		b.WriteString(l.name)
		b.WriteByte(0xfe)
		b.WriteString(l.value)
	}
	return b.String()
}

// keep takes a push over and returns how many of its points there was no room for. Gauges that the client
// has stopped to push are gone; sums stay as they were.
func (p *Pushed) keep(id wire.UUID, c Client, points []point, interval time.Duration, now time.Time) (skipped int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	e := p.clients[id]
	if e == nil {
		if p.recent.Len() >= mostClients {
			p.forget(p.recent.Back())
		}
		e = p.recent.PushFront(&pushes{id: id, series: map[string]*series{}})
		p.clients[id] = e
	}
	p.recent.MoveToFront(e)
	of := e.Value.(*pushes)
	of.labels = []string{c.ID, id.String(), c.Principal, c.Software, c.Version, c.Address}
	for i, text := range of.labels { // which may be a request's
		of.labels[i] = strings.Clone(strings.ToValidUTF8(clip(text), "\uFFFD"))
	}
	of.turn++
	of.last, of.until = now, now.Add(interval+keptFor)
	for _, n := range points {
		key := n.key()
		s := of.series[key]
		if s == nil {
			full := func() bool { return p.series >= mostSeries || p.bytes+cost(key) > mostBytes }
			for len(of.series) < mostOfOne && full() && p.recent.Len() > 1 {
				p.forget(p.recent.Back())
			}
			if len(of.series) >= mostOfOne || full() {
				skipped++
				continue
			}
			s = &series{}
			of.series[key] = s
			p.count(of, key, 1)
		}
		if n.kind == delta || n.kind == change {
			n.value += s.value
		}
		s.point, s.turn = n, of.turn
	}
	for key, s := range of.series {
		if s.kind == gauge && s.turn != of.turn {
			delete(of.series, key)
			p.count(of, key, -1)
		}
	}
	return skipped
}

// forget removes what a client pushed.
func (p *Pushed) forget(e *list.Element) {
	of := p.recent.Remove(e).(*pushes)
	delete(p.clients, of.id)
	p.series -= len(of.series)
	p.bytes -= of.bytes
}

// count notes that a client has a series more (1) or less (-1).
func (p *Pushed) count(of *pushes, key string, n int) {
	p.series += n
	p.bytes += n * cost(key)
	of.bytes += n * cost(key)
}

// expire removes what is too old.
func (p *Pushed) expire(now time.Time) {
	var next *list.Element
	for e := p.recent.Back(); e != nil; e = next {
		next = e.Prev()
		if now.After(e.Value.(*pushes).until) {
			p.forget(e)
		}
	}
}

// Last returns when an instance pushed last and how many series are kept of it; false when there are none.
func (p *Pushed) Last(id wire.UUID) (at time.Time, series int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.clients[id]
	if e == nil {
		return time.Time{}, 0, false
	}
	of := e.Value.(*pushes)
	return of.last, len(of.series), true
}

// Size returns how many clients' metrics are kept, and how many series they have.
func (p *Pushed) Size() (clients, series int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.clients), p.series
}

// Describe implements prometheus.Collector: which metrics there are is the clients' to say.
func (p *Pushed) Describe(chan<- *prometheus.Desc) {}

// row is a series with its client's labels.
type row struct {
	point
	client []string
}

// Collect implements prometheus.Collector.
func (p *Pushed) Collect(ch chan<- prometheus.Metric) {
	rows := p.rows(time.Now())
	names := fixedLabels()
	for first := 0; first < len(rows); {
		end := first + 1
		for end < len(rows) && rows[end].name == rows[first].name {
			end++
		}
		of := rows[first].typeOf()
		for _, r := range rows[first:end] {
			if r.typeOf() != of {
				of = prometheus.UntypedValue // clients do not agree on what it is
			}
		}
		for _, r := range rows[first:end] {
			keys, values := slices.Clone(names), slices.Clone(r.client)
			for _, l := range r.labels {
				keys, values = append(keys, l.name), append(values, l.value)
			}
			desc := prometheus.NewDesc(prefix+r.name, "Pushed by clients (KIP-714).", keys, nil)
			if m, err := prometheus.NewConstMetric(desc, of, r.value, values...); err == nil {
				ch <- m
			}
		}
		first = end
	}
}

// typeOf is the type that Prometheus is told.
func (r *row) typeOf() prometheus.ValueType {
	if r.kind == gauge || r.kind == change {
		return prometheus.GaugeValue
	}
	return prometheus.CounterValue
}

// rows returns a copy of all series, by name.
func (p *Pushed) rows(now time.Time) []row {
	p.mu.Lock()
	p.expire(now)
	all := make([]row, 0, p.series)
	for _, e := range p.clients {
		of := e.Value.(*pushes)
		for _, s := range of.series {
			all = append(all, row{s.point, of.labels})
		}
	}
	p.mu.Unlock()
	slices.SortFunc(all, func(a, b row) int { return cmp.Compare(a.name, b.name) })
	return all
}
