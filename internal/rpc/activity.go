package rpc

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MostTopics is how many topics a connection remembers that it produced to, and as many that it fetched from.
	MostTopics = 32
	// MostGroups is how many groups a connection remembers that it was a member of.
	MostGroups = 8
	// rateWindow is the least time between two marks. A rate is taken over one to two of them.
	rateWindow = 30 * time.Second
	// longestGroup is how much of a group's name is kept.
	longestGroup = 256
)

// Activity counts what a connection did, for whoever looks at it from outside while it works. The zero value is
// ready, and takes no more memory until the connection produces, fetches or is a member of a group. What is
// counted may be read at any time; Called, Fetches, Produced and Member are for the handlers of the connection's
// calls, which run one after another.
type Activity struct {
	requests, in, out atomic.Int64
	last              atomic.Uint64 // time in milliseconds, key and version of the last call
	traffic           atomic.Pointer[traffic]
	marks             atomic.Pointer[marks]
}

// traffic is what only those connections have that carry records or belong to a group.
type traffic struct {
	producedRecords, producedBytes, fetchedRecords, fetchedBytes atomic.Int64

	// The handlers' own, so that names that were just seen cost no lock.
	lastProduced, lastFetched recent

	mu                        sync.Mutex // guards what follows
	produced, fetched, groups []string
}

// recent are the names that were added last.
type recent struct {
	names [4]string
	next  uint8
}

// has says that a name is there, and puts it there when it is not. Strings of the same memory are compared at once.
func (r *recent) has(name string) bool {
	for i := range r.names {
		if r.names[i] == name {
			return true
		}
	}
	r.names[r.next] = name
	r.next = (r.next + 1) % uint8(len(r.names))
	return false
}

// Totals is what a connection did since it was accepted.
type Totals struct {
	// Requests are those that were handed to a handler.
	Requests int64
	// BytesIn and BytesOut are all bytes that came and went.
	BytesIn, BytesOut int64
	// ProducedRecords and ProducedBytes are of batches that the logs took, FetchedRecords and FetchedBytes of
	// those in answers. Records that are fetched are counted by their offsets, so those that compaction took
	// count too.
	ProducedRecords, ProducedBytes, FetchedRecords, FetchedBytes int64
}

// Rates is Totals a second, over the last half to full minute.
type Rates struct {
	Requests, BytesIn, BytesOut, ProducedRecords, ProducedBytes, FetchedRecords, FetchedBytes float64
}

// marks are the totals of two moments before now.
type marks struct {
	at     [2]time.Time
	totals [2]Totals
}

// Received counts bytes that came.
func (a *Activity) Received(n int) { a.in.Add(int64(n)) }

// Sent counts bytes that went.
func (a *Activity) Sent(n int64) { a.out.Add(n) }

// Called counts n calls of one API that came together, the last of them with that version.
func (a *Activity) Called(key, version int16, n int, now time.Time) {
	a.requests.Add(int64(n))
	a.last.Store(uint64(now.UnixMilli())<<16 | uint64(uint8(key))<<8 | uint64(uint8(version)))
}

// Produced counts records that a log took. topic must stay as it is.
func (a *Activity) Produced(topic string, records, bytes int64) {
	t := a.carry()
	t.producedRecords.Add(records)
	t.producedBytes.Add(bytes)
	if !t.lastProduced.has(topic) {
		t.add(&t.produced, topic, MostTopics)
	}
}

// Fetches notes a topic that the connection asks for. topic must stay as it is.
func (a *Activity) Fetches(topic string) {
	if t := a.carry(); !t.lastFetched.has(topic) {
		t.add(&t.fetched, topic, MostTopics)
	}
}

// Fetched counts records that an answer has. It may be called beside the handlers.
func (a *Activity) Fetched(records, bytes int64) {
	t := a.carry()
	t.fetchedRecords.Add(records)
	t.fetchedBytes.Add(bytes)
}

// Member notes a group that the connection belongs to. The name is copied; the empty one is none.
func (a *Activity) Member(group string) {
	if group == "" {
		return
	}
	t := a.carry()
	group = group[:min(len(group), longestGroup)]
	t.mu.Lock()
	known := slices.Contains(t.groups, group) || len(t.groups) >= MostGroups
	t.mu.Unlock()
	if !known {
		t.add(&t.groups, strings.Clone(group), MostGroups)
	}
}

// carry returns the connection's traffic, made when it is needed first.
func (a *Activity) carry() *traffic {
	if t := a.traffic.Load(); t != nil {
		return t
	}
	a.traffic.CompareAndSwap(nil, new(traffic))
	return a.traffic.Load()
}

// add puts a name at the end of a list that does not have it, unless it is full.
func (t *traffic) add(list *[]string, name string, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(*list) < most && !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
}

// Totals returns what was counted so far.
func (a *Activity) Totals() Totals {
	all := Totals{Requests: a.requests.Load(), BytesIn: a.in.Load(), BytesOut: a.out.Load()}
	if t := a.traffic.Load(); t != nil {
		all.ProducedRecords, all.ProducedBytes = t.producedRecords.Load(), t.producedBytes.Load()
		all.FetchedRecords, all.FetchedBytes = t.fetchedRecords.Load(), t.fetchedBytes.Load()
	}
	return all
}

// Last returns the API's key, the version and the time of the last call; not ok before the first.
func (a *Activity) Last() (key, version int16, at time.Time, ok bool) {
	last := a.last.Load()
	return int16(uint8(last >> 8)), int16(uint8(last)), time.UnixMilli(int64(last >> 16)), last != 0
}

// Names returns the topics that were produced to and fetched from and the groups, each in the order in which they
// came first, up to MostTopics and MostGroups. The slices are the caller's.
func (a *Activity) Names() (produced, fetched, groups []string) {
	t := a.traffic.Load()
	if t == nil {
		return nil, nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.produced), slices.Clone(t.fetched), slices.Clone(t.groups)
}

// Mark remembers the totals now and then, so that rates can be told. It is called every few seconds, by one
// goroutine; since is when the connection was accepted. A connection that is idle keeps no marks.
func (a *Activity) Mark(now, since time.Time) {
	m := a.marks.Load()
	if m == nil {
		if _, _, at, ok := a.Last(); !ok || now.Sub(at) > rateWindow {
			return
		}
		if now.Sub(since) < 2*rateWindow {
			a.marks.Store(&marks{at: [2]time.Time{since, since}})
			return
		}
		t := a.Totals()
		a.marks.Store(&marks{[2]time.Time{now, now}, [2]Totals{t, t}})
		return
	}
	if now.Sub(m.at[1]) < rateWindow {
		return
	}
	t := a.Totals()
	if t == m.totals[0] && t == m.totals[1] {
		a.marks.Store(nil)
		return
	}
	a.marks.Store(&marks{[2]time.Time{m.at[1], now}, [2]Totals{m.totals[1], t}})
}

// Rates returns what was done a second in the time before now; since is as in Mark.
func (a *Activity) Rates(now, since time.Time) Rates {
	var from Totals
	begin := since
	if m := a.marks.Load(); m != nil {
		begin, from = m.at[0], m.totals[0]
	} else if now.Sub(since) > 2*rateWindow {
		return Rates{}
	}
	t := a.Totals()
	s := max(now.Sub(begin), time.Second).Seconds()
	rate := func(now, before int64) float64 { return float64(now-before) / s }
	return Rates{
		rate(t.Requests, from.Requests), rate(t.BytesIn, from.BytesIn), rate(t.BytesOut, from.BytesOut),
		rate(t.ProducedRecords, from.ProducedRecords), rate(t.ProducedBytes, from.ProducedBytes),
		rate(t.FetchedRecords, from.FetchedRecords), rate(t.FetchedBytes, from.FetchedBytes),
	}
}
