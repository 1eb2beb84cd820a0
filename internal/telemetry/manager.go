// Package telemetry is clients' own metrics (KIP-714): which a client is asked for, whether a push of them is
// taken, and what the last pushes said. It hosts no goroutine: time comes in with each call.
package telemetry

import (
	"container/list"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

const (
	// mostInstances is how many client instances are remembered; the one that was silent for longest makes room.
	mostInstances = 16384
	// leastMemory is how long an instance that says nothing is remembered at least; else it is three push intervals.
	leastMemory = time.Minute
	// longestText is how many bytes of a client's id, or of its library's name, are looked at and kept.
	longestText = 256
	// highestCodec is the greatest number of a compression type (zstd).
	highestCodec = 4
)

// Client is who asks or pushes. Its strings may alias a request: what is kept is copied.
type Client struct {
	// Connection is the number of the connection; see [Manager.Disconnected].
	Connection uint64
	// ID is the client.id, Software and Version are what ApiVersions told; empty when it told nothing.
	ID, Software, Version string
	// Principal is who the connection is, User:alice for example.
	Principal string
	// Address is the peer's without its port, Port the port; empty when it has none.
	Address, Port string
}

// Terms is what a client is told to push, as GetTelemetrySubscriptions answers it.
type Terms struct {
	// Instance is the client's id, given here when it had none.
	Instance wire.UUID
	// Subscription stands for everything the client is asked for; a push names it.
	Subscription int32
	// Metrics are prefixes of names, sorted; "*" alone is all, and none asks for nothing.
	Metrics []string
	// Interval is the time between two pushes.
	Interval time.Duration
}

// Push is what a PushTelemetry says beside its metrics.
type Push struct {
	Instance     wire.UUID
	Subscription int32
	// Terminating says that it is the client's last.
	Terminating bool
	// Compression is the number of a codec.
	Compression int8
	// Size is how many bytes the metrics have as they came.
	Size int
}

// Accepted are the compression types that clients may push with, the preferred one first: zstd, lz4, gzip, snappy.
func Accepted() []int8 { return []int8{4, 3, 1, 2} }

// Options is what a Manager is made of.
type Options struct {
	// MaxBytes is telemetry.max.bytes: how large a push may be as it comes, and how large when it is decompressed.
	MaxBytes   int
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Manager decides what clients push and keeps the last of it. It observes the metadata, where the subscriptions
// are. It may be used by many goroutines.
type Manager struct {
	maxBytes int
	log      *slog.Logger
	metrics  *metrics
	pushed   *Pushed

	mu            sync.Mutex // guards what follows
	subscriptions []Subscription
	version       uint64 // of the subscriptions
	observed      bool
	instances     map[wire.UUID]*list.Element // of *instance
	recent        *list.List                  // of *instance, the last heard of in front
	made          map[uint64]wire.UUID        // by connection, the instance that it made last
}

// instance is one client as KIP-714 counts them, with what it was told.
type instance struct {
	Terms
	client     Client
	version    uint64 // of the subscriptions that the terms were made of
	heard      time.Time
	got        time.Time // last GetTelemetrySubscriptions that was taken
	pushed     time.Time // last PushTelemetry that was taken
	terminated bool
	last       code.Error
}

// NewManager returns a manager without subscriptions: it asks clients for nothing.
func NewManager(o Options) *Manager {
	m := &Manager{maxBytes: o.MaxBytes, log: o.Logger, pushed: newPushed(), instances: map[wire.UUID]*list.Element{}, recent: list.New(), made: map[uint64]wire.UUID{}}
	m.metrics = newMetrics(o.Registerer, m)
	return m
}

// MaxBytes is telemetry.max.bytes.
func (m *Manager) MaxBytes() int { return m.maxBytes }

// Pushed is what clients pushed in the last minutes, a collector of Prometheus.
func (m *Manager) Pushed() *Pushed { return m.pushed }

// Observe takes the subscriptions over from the metadata.
func (m *Manager) Observe(delta *metadata.Delta, image *metadata.Image) {
	ours := func(r metadata.ConfigResource) bool { return r.Type == metadata.ClientMetricsResource }
	m.mu.Lock()
	observed := m.observed
	m.observed = true
	m.mu.Unlock()
	if observed && !slices.ContainsFunc(delta.Configs, ours) {
		return
	}
	var all []Subscription
	for r, values := range image.ConfigResources() {
		if !ours(r) {
			continue
		}
		s, err := parseSubscription(r.Name, values)
		if err != nil {
			m.log.Warn("a subscription to clients' metrics cannot be used and is left out", "event", "telemetry_subscription_invalid", "subscription", r.Name, "error", err)
			continue
		}
		all = append(all, s)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subscriptions = all
	m.version++
}

// Ask answers GetTelemetrySubscriptions. A client without an id is given one. Its error is
// code.ThrottlingQuotaExceeded when the client asked or pushed less than a push interval ago, unless its
// subscriptions changed since or its last push was refused for them.
func (m *Manager) Ask(id wire.UUID, c Client, now time.Time) (Terms, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id.IsZero() {
		id = m.newID()
	}
	i := m.instance(id, c, now)
	last := i.got
	if i.pushed.After(last) {
		last = i.pushed
	}
	if now.Sub(last) < i.Interval {
		if i.last != code.UnknownSubscriptionId && i.last != code.UnsupportedCompressionType {
			m.metrics.throttled.Inc()
			return Terms{}, code.ThrottlingQuotaExceeded
		}
	} else {
		i.got = now
	}
	i.last = code.None
	return i.Terms, nil
}

// Admit says whether a push is taken:
//
//	code.InvalidRequest              without the id of an instance, or after the instance's last push
//	code.ThrottlingQuotaExceeded     less than a push interval after the one before, the last push aside
//	code.UnknownSubscriptionId       the instance's subscriptions are others
//	code.UnsupportedCompressionType  no codec has that number
//	code.TelemetryTooLarge           more than telemetry.max.bytes
//
// Whoever was admitted is settled, when its metrics have been kept or refused.
func (m *Manager) Admit(p Push, c Client, now time.Time) error {
	if p.Instance.IsZero() || reserved(p.Instance) {
		m.metrics.refused(code.InvalidRequest)
		return code.Errorf(code.InvalidRequest, "%s is not the id of a client instance; ask for one by GetTelemetrySubscriptions", p.Instance)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.instance(p.Instance, c, now)
	err := m.check(i, p, now)
	i.terminated = p.Terminating
	if err != nil {
		i.last = code.Of(err)
		m.metrics.refused(i.last)
		if i.last == code.ThrottlingQuotaExceeded {
			m.metrics.throttled.Inc()
		}
	}
	return err
}

// check says what is wrong with a push, in Kafka's order.
func (m *Manager) check(i *instance, p Push, now time.Time) error {
	if i.terminated {
		return code.Errorf(code.InvalidRequest, "client instance %s said that its previous push was its last", p.Instance)
	}
	// The first push after the terms were asked for may come early, as clients spread it at random.
	if !i.got.After(i.pushed) && now.Sub(i.pushed) < i.Interval {
		if !p.Terminating {
			return code.ThrottlingQuotaExceeded
		}
	} else {
		i.pushed = now
	}
	switch {
	case p.Subscription != i.Subscription:
		return code.UnknownSubscriptionId
	case p.Compression < 0 || p.Compression > highestCodec:
		return code.Errorf(code.UnsupportedCompressionType, "compression type %d is unknown; there are 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) and 4 (zstd)", p.Compression)
	case p.Size > m.maxBytes:
		return code.Errorf(code.TelemetryTooLarge, "a push of %d bytes is larger than telemetry.max.bytes (%d); push fewer metrics, or raise it", p.Size, m.maxBytes)
	}
	return nil
}

// Keep takes the metrics of a push that was admitted: plain is OTLP's MetricsData, decompressed, and is not
// kept. Its error is code.InvalidRecord when plain is no such message.
func (m *Manager) Keep(p Push, c Client, plain []byte, now time.Time) error {
	points, skipped, err := decode(plain)
	m.metrics.skipped.Add(float64(skipped))
	if err != nil {
		return err
	}
	m.mu.Lock()
	interval := defaultInterval
	if e := m.instances[p.Instance]; e != nil {
		interval = e.Value.(*instance).Interval
	}
	m.mu.Unlock()
	if p.Terminating {
		interval = 0
	}
	m.metrics.skipped.Add(float64(m.pushed.keep(p.Instance, c, points, interval, now)))
	return nil
}

// Settle ends a push that was admitted: err is what became of its metrics, nil for all well.
func (m *Manager) Settle(p Push, err error) {
	if err == nil {
		m.metrics.pushes.Inc()
	} else {
		m.metrics.refused(code.Of(err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.instances[p.Instance]; e != nil {
		e.Value.(*instance).last = code.Of(err)
	}
}

// Disconnected forgets the instance that a connection made. What it pushed stays for its minutes.
func (m *Manager) Disconnected(connection uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ok := m.made[connection]
	if !ok {
		return
	}
	delete(m.made, connection)
	if e := m.instances[id]; e != nil && e.Value.(*instance).client.Connection == connection {
		m.forget(e)
	}
}

// Instance returns the instance that a connection made last; false when it made none.
func (m *Manager) Instance(connection uint64) (wire.UUID, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ok := m.made[connection]
	return id, ok
}

// instance returns the instance of that id, made or made anew where the subscriptions have changed.
func (m *Manager) instance(id wire.UUID, c Client, now time.Time) *instance {
	m.expire(now)
	e := m.instances[id]
	if e != nil {
		i := e.Value.(*instance)
		if i.version == m.version {
			i.heard = now
			m.recent.MoveToFront(e)
			return i
		}
		by := c.Connection
		c = i.client // who it is was settled when it was first heard of
		c.Connection = by
		m.forget(e)
	} else {
		c = Client{Connection: c.Connection, ID: strings.Clone(clip(c.ID)), Software: strings.Clone(clip(c.Software)), Version: strings.Clone(clip(c.Version)),
			Principal: c.Principal, Address: c.Address, Port: c.Port}
	}
	i := &instance{Terms: m.terms(id, c), client: c, version: m.version, heard: now}
	m.instances[id] = m.recent.PushFront(i)
	m.made[c.Connection] = id
	if m.recent.Len() > mostInstances {
		m.forget(m.recent.Back())
	}
	return i
}

// expire forgets the instances that have been silent for too long, a few at a time.
func (m *Manager) expire(now time.Time) {
	for range 4 {
		e := m.recent.Back()
		if e == nil {
			return
		}
		i := e.Value.(*instance)
		if now.Sub(i.heard) < max(leastMemory, 3*i.Interval) {
			return
		}
		m.forget(e)
	}
}

// forget removes an instance.
func (m *Manager) forget(e *list.Element) {
	i := m.recent.Remove(e).(*instance)
	delete(m.instances, i.Instance)
	if m.made[i.client.Connection] == i.Instance {
		delete(m.made, i.client.Connection)
	}
}

// terms joins what the subscriptions that match a client ask for.
func (m *Manager) terms(id wire.UUID, c Client) Terms {
	t := Terms{Instance: id, Interval: defaultInterval}
	all := false
	for _, s := range m.subscriptions {
		if s.matches(id, c) {
			t.Metrics = append(t.Metrics, s.Metrics...)
			t.Interval = min(t.Interval, s.Interval)
			all = all || slices.Contains(s.Metrics, allMetrics)
		}
	}
	slices.Sort(t.Metrics)
	t.Metrics = slices.Compact(t.Metrics)
	if all {
		t.Metrics = []string{allMetrics}
	}
	t.Subscription = subscriptionID(t)
	return t
}

// subscriptionID is the CRC-32C of what is asked for, mixed with who is asked.
func subscriptionID(t Terms) int32 {
	text := fmt.Appendf(nil, "[%s]%d", strings.Join(t.Metrics, ", "), t.Interval.Milliseconds())
	sum := crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))
	for n := 0; n < len(t.Instance); n += 4 {
		sum ^= uint32(t.Instance[n])<<24 | uint32(t.Instance[n+1])<<16 | uint32(t.Instance[n+2])<<8 | uint32(t.Instance[n+3])
	}
	return int32(sum)
}

// clip shortens a text of a client to what is kept of it.
func clip(text string) string { return text[:min(len(text), longestText)] }

// newID is an id that no instance has.
func (m *Manager) newID() wire.UUID {
	for {
		var id wire.UUID
		_, _ = rand.Read(id[:])                              // it never fails
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80      // a random UUID, version 4
		if m.instances[id] == nil && id.String()[0] != '-' { // which a command line would take for a flag
			return id
		}
	}
}

// reserved says that an id is not zero and still names no client: it is that of the metadata topic.
func reserved(id wire.UUID) bool {
	return id == wire.UUID{15: 1}
}
