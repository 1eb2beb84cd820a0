package api

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// evictAfter is how long a session is safe from being evicted by another: since
// its last use from anybody, since it was made from a larger one (KIP-227).
const evictAfter = 2 * time.Minute

// sessions are the fetch sessions of this broker, at most slots of them (KIP-227).
type sessions struct {
	slots   int64
	evicted prometheus.Counter

	mu   sync.Mutex // guards byID and the times and sizes in it; never held together with a fetch's lock
	byID map[int32]*sessionEntry
}

type sessionEntry struct {
	fetch      *fetch
	made, used time.Time
	size       int // partitions at the start: more of them are worth more
}

func newSessions(slots int64, r prometheus.Registerer) *sessions {
	s := &sessions{slots: slots, byID: make(map[int32]*sessionEntry)}
	s.evicted = prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_fetchsessioncache_incrementalfetchsessionevictionspersec_total", Help: "Fetch sessions that had to make room for others."})
	r.MustRegister(s.evicted, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kafka_server_fetchsessioncache_numincrementalfetchsessions", Help: "Fetch sessions that are open."}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(len(s.byID))
	}))
	return s
}

// open makes a session for a fetcher of that many partitions, or returns nil when there is no room for it.
func (s *sessions) open(b *Broker, now time.Time, size int) *fetch {
	s.mu.Lock()
	if int64(len(s.byID)) >= s.slots {
		victim, id := s.victim(now, size)
		if victim == nil {
			s.mu.Unlock()
			return nil
		}
		delete(s.byID, id)
		s.evicted.Inc()
		defer victim.close()
	}
	defer s.mu.Unlock()
	f := newFetch(b)
	for f.id == 0 || s.byID[f.id] != nil {
		f.id = rand.Int32()
	}
	f.session, f.awake, f.epoch = true, true, 1
	s.byID[f.id] = &sessionEntry{fetch: f, made: now, used: now, size: size}
	return f
}

// victim is the session that may be evicted and was used longest ago; mu is held.
func (s *sessions) victim(now time.Time, size int) (victim *fetch, id int32) {
	var oldest time.Time
	for k, e := range s.byID {
		if now.Sub(e.used) < evictAfter && (now.Sub(e.made) < evictAfter || e.size >= size) {
			continue
		}
		if victim == nil || e.used.Before(oldest) {
			victim, id, oldest = e.fetch, k, e.used
		}
	}
	return victim, id
}

// use returns the session and notes that it is in use; nil when there is none of that id.
func (s *sessions) use(id int32, now time.Time) *fetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil {
		return nil
	}
	e.used = now
	return e.fetch
}

// close ends the session of that id, if there is one.
func (s *sessions) close(id int32) {
	s.mu.Lock()
	e := s.byID[id]
	delete(s.byID, id)
	s.mu.Unlock()
	if e != nil {
		e.fetch.close()
	}
}

// close ends a session: a reply that waits is answered with what there is, and its next request finds none.
func (f *fetch) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.busy {
		f.waiter.Wake()
		return
	}
	f.clear()
}
