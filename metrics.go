package klamm

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metrics is what a broker registers its metrics with. It keeps in mind what it was given, to take it away
// again when the broker has ended, and does not panic where two brokers have one Registerer.
type metrics struct {
	to prometheus.Registerer

	mu   sync.Mutex // guards what follows
	list []*gate
	err  error // the first that MustRegister had
}

// Register implements prometheus.Registerer.
func (m *metrics) Register(c prometheus.Collector) error {
	g := &gate{c: c}
	if err := m.to.Register(g); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, g)
	return nil
}

// MustRegister implements prometheus.Registerer, but that it keeps the error for failure.
func (m *metrics) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if err := m.Register(c); err != nil {
			m.mu.Lock()
			if m.err == nil {
				m.err = err
			}
			m.mu.Unlock()
		}
	}
}

// Unregister implements prometheus.Registerer.
func (m *metrics) Unregister(c prometheus.Collector) bool { return m.to.Unregister(c) }

// Gather implements prometheus.Gatherer, which the admin listener needs.
func (m *metrics) Gather() ([]*dto.MetricFamily, error) {
	g, ok := m.to.(prometheus.Gatherer)
	if !ok {
		return nil, fmt.Errorf("klamm: Options.Registerer: %T cannot be gathered; give a *prometheus.Registry", m.to)
	}
	return g.Gather()
}

// failure says that the metrics of this broker could not be registered.
func (m *metrics) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		return nil
	}
	return registered(m.err)
}

// registered explains an error of registering metrics.
func registered(err error) error {
	return fmt.Errorf("klamm: Options.Registerer: %w; it has the metrics of another broker: give each a registry of its own", err)
}

// forget takes the broker's metrics away.
func (m *metrics) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.list {
		m.to.Unregister(g)
		g.shut()
	}
	m.list = nil
}

// gate is a collector until it is shut. One that does not say beforehand what it collects cannot be taken
// out of a registry, and would hold on to a broker that has ended.
type gate struct {
	mu sync.RWMutex // guards c
	c  prometheus.Collector
}

// Describe implements prometheus.Collector.
func (g *gate) Describe(to chan<- *prometheus.Desc) {
	if c := g.open(); c != nil {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (g *gate) Collect(to chan<- prometheus.Metric) {
	if c := g.open(); c != nil {
		c.Collect(to)
	}
}

// open is the collector, or nil.
func (g *gate) open() prometheus.Collector {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.c
}

// shut makes the gate collect nothing.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.c = nil
}
