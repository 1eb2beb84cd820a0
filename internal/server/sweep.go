package server

import "time"

const (
	// sweepEvery is how often all connections are looked at.
	sweepEvery = 5 * time.Second
	// settled is after how long an idle connection changes to a fresh goroutine and forgets how much it
	// used to read, once: the stack that its work has grown is not kept, nor, where the wait itself
	// needs a buffer, a large one.
	settled = 10 * time.Second
)

// sweepUntilStopped looks at all connections now and then.
func (s *Server) sweepUntilStopped() {
	every := sweepEvery
	if idle := s.cfg.ConnectionsMaxIdle; idle > 0 {
		every = max(min(every, idle/4), 10*time.Millisecond)
	}
	t := time.NewTicker(min(every, s.budgetPatience))
	defer t.Stop()
	for {
		select {
		case <-t.C:
			now := time.Now()
			s.sweep(now)
			s.metrics.requests.turn(now)
		case <-s.stopped:
			return
		}
	}
}

// sweep closes connections that are idle for too long, or keep memory that others wait for, and has
// idle ones give up their stacks.
func (s *Server) sweep(now time.Time) {
	waited := s.buffers.waiting.Load() > 0
	s.mu.Lock()
	var expired, stalled, rest []*conn
	for c := range s.conns {
		c.Did.Mark(now, c.since)
		silent := now.Sub(time.Unix(0, c.active.Load()))
		state := c.state.Load()
		switch {
		case s.cfg.ConnectionsMaxIdle > 0 && silent > s.cfg.ConnectionsMaxIdle:
			if c.sending.Load() || state != stateBusy {
				expired = append(expired, c)
			}
		case waited && (state == statePartial || c.sending.Load()) && silent > s.budgetPatience:
			stalled = append(stalled, c)
		case state == stateIdle && silent > settled:
			rest = append(rest, c)
		}
	}
	s.mu.Unlock()
	for _, c := range expired {
		// Looked at again in this order: who begins to send sets active first.
		if (c.sending.Load() || !c.owes()) && now.Sub(time.Unix(0, c.active.Load())) > s.cfg.ConnectionsMaxIdle {
			c.cause.CompareAndSwap(nil, &closing{reason: "idle for longer than connections.max.idle.ms", quiet: true, count: s.metrics.expired})
			c.nc.Close()
		}
	}
	for _, c := range stalled {
		c.cause.CompareAndSwap(nil, &closing{reason: "it stopped in the middle of a request or a reply while others wait for the memory; see queued.max.request.bytes", count: s.metrics.refused.budget})
		c.nc.Close()
	}
	for _, c := range rest {
		if !s.stopping.Load() {
			c.nc.SetReadDeadline(time.Unix(1, 0))
		}
	}
}

// owes reports whether replies are outstanding.
func (c *conn) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.comp != nil
}
