package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// slowLines is how many lines of slow requests are logged in a second at most.
	slowLines = 5
	// mostOfClientID is how many bytes of a client's id are kept and logged.
	mostOfClientID = 256
)

// slow is from when on a request is slow, and what was logged of those.
type slow struct {
	least atomic.Int64 // nanoseconds; 0 for never
	lines bucket
	left  atomic.Int64 // slow requests since the last line that had none
}

func (s *slow) set(least time.Duration) {
	s.lines.setRate(slowLines)
	s.least.Store(int64(least))
}

// excess returns how long a request took beyond what its client asked it to wait, and the phase that took
// the most of that. The time behind answers that come before it is theirs.
func (t *timing) excess(d *[phases]int64) (int64, phase) {
	counted := *d
	counted[inOrder], counted[inAll] = 0, 0
	if t.api.LongPoll {
		counted[inWait] = 0
		if t.allowed != 0 {
			counted[inWait] = max(t.answered-max(t.allowed, t.handled), 0)
		}
	}
	worst := inQueue
	var sum int64
	for p, n := range counted {
		sum += n
		if n > counted[worst] {
			worst = phase(p)
		}
	}
	return sum, worst
}

// tellSlow logs the replies that took too long.
func (c *conn) tellSlow(sent []outgoing, began, ended int64) {
	s := &c.s.slow
	least := s.least.Load()
	if least == 0 {
		return
	}
	for i := range sent {
		t := &sent[i].t
		if ended-t.arrived < least {
			continue
		}
		d := t.phases(began, ended)
		excess, worst := t.excess(&d)
		if excess < least {
			continue
		}
		if !s.lines.allow(time.Now()) {
			s.left.Add(1)
			continue
		}
		ms := func(p phase) slog.Attr { return slog.Float64(phaseNames[p].ours+"_ms", float64(d[p]/1000)/1000) }
		c.s.log.LogAttrs(context.Background(), slog.LevelWarn, "a request was slow", slog.String("event", "slow_request"),
			slog.String("api", t.api.Name), slog.Int("version", int(t.version)), slog.String("client_id", t.who.client),
			slog.String("software", t.who.software.Name), slog.String("software_version", t.who.software.Version),
			slog.String("remote", fmt.Sprint(c.Remote)), slog.String("listener", c.Listener), slog.String("reason", t.reason(worst)),
			ms(inAll), ms(inQueue), ms(inHandler), ms(inWait), ms(inOrder), ms(inSend), slog.Int64("left_out", s.left.Swap(0)))
	}
}

// reason says what a slow request waited for.
func (t *timing) reason(p phase) string {
	switch p {
	case inQueue:
		return "waited for requests before it on its connection"
	case inWait:
		if t.waits != "" {
			return "waited for " + t.waits
		}
		return "waited for the disk"
	case inSend:
		return "the client reads slowly"
	}
	if t.api.Blocks {
		return "waited for the controller or the disk"
	}
	return "its handler took long"
}
