// Package server owns listeners, connections and the order of replies. It is
// handed a table of APIs and knows nothing of what they do.
//
// A connection is one goroutine that holds no buffer while it waits. It reads
// all that has arrived, hands runs of calls of one API to their handler, and
// sends the replies in one write. Replies that wait for something are parked:
// a second goroutine completes them in order and lives only while there are any.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/rpc"
)

// Config says what a Server listens on and what it allows. Zero values of numbers mean the default
// that is named.
type Config struct {
	Listeners []Listener
	// Listen opens a listening socket; nil means the operating system's.
	Listen func(network, addr string) (net.Listener, error)
	// SocketRequestMaxBytes is the most bytes that a request may have; default 100 MiB
	// (socket.request.max.bytes).
	SocketRequestMaxBytes int
	// ReadAheadBytes is how much is read of one connection at once, a larger request aside; default
	// 1 MiB, at least 64 KiB.
	ReadAheadBytes int
	// QueuedMaxRequestBytes is how much memory all connections together may use for what was read
	// and is not yet handled, one buffer more aside; default, also for -1, 512 MiB
	// (queued.max.request.bytes).
	QueuedMaxRequestBytes int64
	// ConnectionsMaxIdle is after how long a connection is closed that owes and sends nothing;
	// default 10 minutes, negative for never (connections.max.idle.ms).
	ConnectionsMaxIdle time.Duration
	// Limits are the ones that may change while the server runs.
	Limits Limits
	// DrainTimeout is how long a stop waits for the replies that are owed; default 2 s.
	DrainTimeout time.Duration
	// BudgetPatience is how long a connection may keep memory while nothing of its request comes or
	// of its reply goes and others wait for the common budget; default 10 s. Those are closed when
	// they have waited three times as long.
	BudgetPatience time.Duration
}

// Listener is one name with its addresses.
type Listener struct {
	Name string
	// Addrs are host:port. With port 0 the system chooses one for the first address, and the others
	// get the same.
	Addrs []string
	// Internal says that the listener is for brokers and controllers.
	Internal bool
}

// Limits bound connections and requests. Zero means no limit, a negative number of connections allows none.
type Limits struct {
	// MaxConnections is the most connections of all listeners. At the limit nothing is accepted, but
	// on internal listeners, where the connection that is silent for longest on the others makes
	// room (max.connections, KIP-402).
	MaxConnections int
	// MaxConnectionsPerIP is the most connections of one address; further ones are closed at once
	// (max.connections.per.ip).
	MaxConnectionsPerIP int
	// MaxConnectionsPerIPOverrides are other limits for some addresses, as ParseIPOverrides returns
	// them. 0 allows none.
	MaxConnectionsPerIPOverrides IPOverrides
	// ConnectionCreationRate is how many connections are accepted a second
	// (max.connection.creation.rate, KIP-612).
	ConnectionCreationRate int
	// SlowRequest is how long a request may take before a line is logged of it; 0 for as long as it takes
	// (klamm.slow.request.ms).
	SlowRequest time.Duration
}

const (
	defaultRequestMax = 100 << 20
	defaultReadAhead  = 1 << 20
	defaultQueued     = 512 << 20
	defaultIdle       = 10 * time.Minute
	defaultDrain      = 2 * time.Second
	defaultPatience   = 10 * time.Second
)

// Server serves a table of APIs on its listeners.
type Server struct {
	cfg            Config
	log            *slog.Logger
	metrics        *metrics
	listeners      []*listener
	maxRequest     int
	readAhead      int
	budgetPatience time.Duration

	buffers     *buffers
	works       sync.Pool // *work
	replies     sync.Pool // *rpc.Reply
	completers  sync.Pool // *completer
	gathers     sync.Pool // *[gathered]byte
	admission   *admission
	warnings    bucket
	connections atomic.Uint64 // ids given
	began       time.Time     // what clock counts from
	slow        slow
	clients     clients

	ctx      context.Context // of the handlers; ends when a drain does
	cancel   context.CancelFunc
	stopping atomic.Bool
	stopped  chan struct{}  // closed when a stop begins
	killed   chan struct{}  // closed when a stop waits no longer
	wg       sync.WaitGroup // connections

	mu    sync.Mutex // guards conns
	conns map[*conn]struct{}
}

var errStopped = errors.New("server stops")

// New returns a server for the APIs of table, which is asked now and not again. It opens nothing.
func New(cfg Config, table rpc.Table, log *slog.Logger, reg prometheus.Registerer) *Server {
	if cfg.SocketRequestMaxBytes <= 0 {
		cfg.SocketRequestMaxBytes = defaultRequestMax
	}
	if cfg.ReadAheadBytes <= 0 {
		cfg.ReadAheadBytes = defaultReadAhead
	}
	if cfg.QueuedMaxRequestBytes <= 0 {
		cfg.QueuedMaxRequestBytes = defaultQueued
	}
	if cfg.ConnectionsMaxIdle == 0 {
		cfg.ConnectionsMaxIdle = defaultIdle
	}
	if cfg.DrainTimeout <= 0 {
		cfg.DrainTimeout = defaultDrain
	}
	if cfg.BudgetPatience <= 0 {
		cfg.BudgetPatience = defaultPatience
	}
	if cfg.Listen == nil {
		lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Minute, Interval: time.Minute, Count: 3}}
		cfg.Listen = func(network, addr string) (net.Listener, error) {
			return lc.Listen(context.Background(), network, addr)
		}
	}
	s := &Server{
		cfg: cfg, log: log, metrics: newMetrics(reg),
		maxRequest: cfg.SocketRequestMaxBytes, readAhead: max(cfg.ReadAheadBytes, normal), budgetPatience: cfg.BudgetPatience,
		buffers:   newBuffers(cfg.QueuedMaxRequestBytes),
		admission: newAdmission(cfg.Limits),
		warnings:  bucket{rate: 20},
		stopped:   make(chan struct{}), killed: make(chan struct{}),
		began: time.Now(), clients: clients{known: defects(), seen: map[warned]struct{}{}},
		conns: map[*conn]struct{}{},
	}
	s.slow.set(cfg.Limits.SlowRequest)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.works.New = func() any { return new(work) }
	s.replies.New = func() any { return new(rpc.Reply) }
	s.gathers.New = func() any { return new([gathered]byte) }
	s.completers.New = func() any { return newCompleter() }
	for _, l := range cfg.Listeners {
		s.listeners = append(s.listeners, newListener(s, l, table))
	}
	return s
}

// SetLimits changes the limits. Connections that are beyond the new ones stay.
func (s *Server) SetLimits(l Limits) {
	s.admission.set(l)
	s.slow.set(l.SlowRequest)
}

// clock is the time in nanoseconds since the server was made, which no change of the system's clock moves.
func (s *Server) clock() int64 { return int64(time.Since(s.began)) }

// Listen opens all listening sockets, or none. Its error names the address, the reason and, where the
// system tells, the process that holds a taken port.
func (s *Server) Listen() error {
	for _, l := range s.listeners {
		if err := l.open(); err != nil {
			s.closeListeners()
			return err
		}
	}
	return nil
}

// Addr returns the first address that a listener is bound to; nil when there is no such listener or it
// is not open.
func (s *Server) Addr(name string) net.Addr {
	for _, l := range s.listeners {
		if l.Name == name && len(l.sockets) > 0 {
			return l.sockets[0].Addr()
		}
	}
	return nil
}

// Close closes the listening sockets of a server that will not run.
func (s *Server) Close() { s.closeListeners() }

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		for _, n := range l.sockets {
			n.Close()
		}
	}
}

// Run serves until ctx ends: then it accepts nothing more, ends the waits that clients asked for, sends the
// replies that are owed for at most DrainTimeout, and returns when every connection is closed. Listen comes before it, and it runs once.
// The context of handlers ends when the drain does.
func (s *Server) Run(ctx context.Context) error {
	defer s.cancel()
	var own sync.WaitGroup
	for _, l := range s.listeners {
		for _, n := range l.sockets {
			own.Go(func() { l.accept(n) })
		}
	}
	own.Go(s.sweepUntilStopped)

	<-ctx.Done()
	s.stopping.Store(true)
	close(s.stopped)
	s.closeListeners()
	own.Wait()
	s.each(func(c *conn) { c.nc.SetReadDeadline(time.Unix(1, 0)) })
	ended := make(chan struct{})
	own.Go(func() { s.wg.Wait(); close(ended) })
	t := time.NewTimer(s.cfg.DrainTimeout)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		close(s.killed)
		s.cancel()
		s.each(func(c *conn) {
			c.cause.CompareAndSwap(nil, &closing{reason: "server stopped before everything was answered", quiet: true})
			c.nc.Close()
		})
	}
	own.Wait()
	return nil
}

// each calls f for every connection, without a lock.
func (s *Server) each(f func(c *conn)) {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// enter begins to serve a connection that was admitted.
func (s *Server) enter(c *conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	c.l.opened.Inc()
	c.l.current.Inc()
	s.wg.Add(1)
	go c.run()
}

// leave forgets a connection that has ended.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.admission.leave(c.ip)
	c.l.closed.Inc()
	c.l.current.Dec()
	s.wg.Done()
}

// recycle keeps a reply for reuse whose ranges are released.
func (s *Server) recycle(r *rpc.Reply) {
	r.Reset()
	if cap(r.Buf) > mostKept {
		r.Buf = nil
	}
	s.replies.Put(r)
}

// portError explains why an address cannot be listened on.
func portError(l *Listener, addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	if !isTaken(err) {
		return fmt.Errorf("listener %s cannot listen on %s: %w; change its address in listeners", l.Name, addr, err)
	}
	by := "another process"
	if who := holder(port); who != "" {
		by = who
	}
	return fmt.Errorf("listener %s cannot listen on %s: port %s is taken by %s; stop it, or give the listener another port in listeners: %w", l.Name, addr, port, by, err)
}
