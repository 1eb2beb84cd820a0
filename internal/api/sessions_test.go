package api

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A full cache of sessions gives a place to a new one only from a session that nobody used for two minutes, or
// that is two minutes old and smaller (KIP-227).
func TestFetchSessionsAreEvictedByAgeAndSize(t *testing.T) {
	s := newSessions(2, prometheus.NewRegistry())
	b := &Broker{}
	at := time.Unix(1_000_000, 0)
	older, younger := s.open(b, at, 5), s.open(b, at.Add(time.Second), 5)
	if older == nil || younger == nil || older.id == younger.id {
		t.Fatal("no sessions in an empty cache")
	}
	if s.open(b, at.Add(evictAfter-time.Second), 100) != nil {
		t.Error("a session was evicted within its two minutes")
	}
	// Both are in use; a larger fetcher displaces the one that was used longest ago, one of the same size none.
	later := at.Add(evictAfter + 2*time.Second)
	s.use(older.id, later)
	s.use(younger.id, later.Add(time.Second))
	if s.open(b, later.Add(2*time.Second), 5) != nil {
		t.Error("a session in use was evicted by one that is no larger")
	}
	larger := s.open(b, later.Add(2*time.Second), 6)
	if larger == nil || s.use(older.id, later) != nil || s.use(younger.id, later) == nil || !older.closed {
		t.Error("a larger fetcher does not displace the session that was used longest ago")
	}
	// Left alone for two minutes a session goes whatever its size.
	s.use(larger.id, later.Add(evictAfter))
	small := s.open(b, later.Add(evictAfter+3*time.Second), 1)
	if small == nil || s.use(younger.id, later) != nil || s.use(larger.id, later) == nil {
		t.Error("a session that nobody uses keeps its place")
	}
	s.close(small.id)
	if s.use(small.id, later) != nil || s.open(b, later, 1) == nil {
		t.Error("a session that ended keeps its place")
	}
}
