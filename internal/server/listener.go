package server

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/rpc"
)

// keys is the range of API keys that a listener may serve.
const keys = 256

// listener is a name, its sockets and the APIs it serves.
type listener struct {
	Listener
	s       *Server
	sockets []net.Listener
	apis    [keys]*servedAPI

	sent, opened, closed prometheus.Counter
	current              prometheus.Gauge
}

// servedAPI is a row of the table with its figures.
type servedAPI struct {
	*rpc.API
	stats  *requestStats
	oldest int16 // version that Apache Kafka still serves
}

func newListener(s *Server, cfg Listener, table rpc.Table) *listener {
	l := &listener{Listener: cfg, s: s}
	m := s.metrics
	l.sent = m.sent.WithLabelValues(l.Name)
	l.opened = m.opened.WithLabelValues(l.Name)
	l.closed = m.closed.WithLabelValues(l.Name)
	l.current = m.connections.WithLabelValues(l.Name)
	for key := range l.apis {
		if a := table.Lookup(l.Name, int16(key)); a != nil {
			l.apis[key] = &servedAPI{a, m.requests.stats(a, l.Internal), oldest(int16(key))}
		}
	}
	return l
}

// api returns the row of a key, or nil.
func (l *listener) api(key int16) *servedAPI {
	if uint16(key) >= keys {
		return nil
	}
	return l.apis[key]
}

// open opens the sockets of all addresses. An address of a protocol that this machine lacks (::1
// without IPv6) is passed over as long as another one works.
func (l *listener) open() error {
	var lacking error
	for _, addr := range l.Addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return portError(&l.Listener, addr, err)
		}
		if port == "0" && len(l.sockets) > 0 {
			_, chosen, _ := net.SplitHostPort(l.sockets[0].Addr().String())
			addr = net.JoinHostPort(host, chosen)
		}
		n, err := l.s.cfg.Listen("tcp", addr)
		switch {
		case err == nil:
			l.sockets = append(l.sockets, n)
		case len(l.Addrs) > 1 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)):
			lacking = portError(&l.Listener, addr, err)
		default:
			return portError(&l.Listener, addr, err)
		}
	}
	if len(l.sockets) == 0 && lacking != nil {
		return lacking
	}
	return nil
}

// accept takes connections until the socket is closed.
func (l *listener) accept(n net.Listener) {
	s := l.s
	const firstPause, lastPause = 5 * time.Millisecond, time.Second
	pause := firstPause
	for {
		nc, err := n.Accept()
		if s.stopping.Load() {
			if err == nil {
				nc.Close()
			}
			return
		}
		if err != nil {
			// Too many open files, most of all: it passes when a connection is closed.
			if errors.Is(err, net.ErrClosed) {
				s.log.Error("listening socket was closed", "event", "listener_closed", "listener", l.Name, "address", n.Addr().String())
				return
			}
			s.metrics.acceptErrors.Inc()
			if s.warnings.allow(time.Now()) {
				s.log.Warn("connection cannot be accepted; if files run out raise the limit (ulimit -n)", "event", "accept_failed", "listener", l.Name, "error", err, "pause", pause)
			}
			s.pause(pause)
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
		l.admit(nc)
	}
}

// admit serves a connection, waits until there is room for it, or refuses it.
func (l *listener) admit(nc net.Conn) {
	s := l.s
	ip := addrOf(nc.RemoteAddr())
	for {
		wait, verdict := s.admission.enter(ip, l.Internal, time.Now())
		switch verdict {
		case admitted:
			l.serve(nc, ip)
			return
		case refusedIP:
			s.metrics.refused.perIP.Inc()
			if s.warnings.allow(time.Now()) {
				s.log.Warn("connection refused: its address has as many as max.connections.per.ip allows", "event", "connection_refused", "listener", l.Name, "remote", nc.RemoteAddr().String())
			}
			nc.Close()
			return
		case crowded:
			if l.Internal && s.evict(l) {
				continue
			}
			if s.warnings.allow(time.Now()) {
				s.log.Warn("connections wait: there are as many as max.connections allows", "event", "connections_full", "listener", l.Name, "remote", nc.RemoteAddr().String())
			}
			select {
			case <-s.admission.left:
			case <-s.stopped:
				nc.Close()
				return
			}
		case tooFast:
			s.pause(wait)
			if s.stopping.Load() {
				nc.Close()
				return
			}
		}
	}
}

// pause lets d pass or the stop begin.
func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stopped:
	}
}

// evict closes the connection that is silent for longest on the client listeners, for one of a broker.
func (s *Server) evict(l *listener) bool {
	var oldest *conn
	s.each(func(c *conn) {
		if !c.l.Internal && (oldest == nil || c.active.Load() < oldest.active.Load()) {
			oldest = c
		}
	})
	if oldest == nil {
		return false
	}
	oldest.cause.CompareAndSwap(nil, &closing{reason: "max.connections is reached and a broker needs a connection", attrs: []any{"for_listener", l.Name}})
	oldest.nc.Close()
	select {
	case <-s.admission.left:
	case <-s.stopped:
	}
	return true
}

// serve begins a connection.
func (l *listener) serve(nc net.Conn, ip netip.Addr) {
	c := &conn{s: l.s, l: l, nc: nc, ip: ip, raw: rawConn(nc), since: time.Now(), fresh: true}
	c.ID = l.s.connections.Add(1)
	c.Listener, c.Internal = l.Name, l.Internal
	c.Local, c.Remote = nc.LocalAddr(), nc.RemoteAddr()
	c.Principal = auth.Anonymous
	if c.raw != nil {
		c.readFn = c.tryRead
	}
	c.want = c.least()
	c.state.Store(stateFresh)
	c.active.Store(time.Now().UnixNano())
	l.s.enter(c)
}

// addrOf returns the address of a peer without its port, or an invalid one when it has none.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
