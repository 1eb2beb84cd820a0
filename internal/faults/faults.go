// Package faults is what shall go wrong with the requests of a node: delays, errors, lost requests and lost answers, for the tests of clients.
// It stands between the server and the APIs as a node.Interceptor, and is linked into package klamm alone.
package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// Keys of the APIs that a fault treats in a way of their own.
const (
	produceKey         = 0
	fetchKey           = 1
	metadataKey        = 3
	findCoordinatorKey = 10
	apiVersionsKey     = 18
)

// anyAPI is the key of a fault that strikes every API.
const anyAPI = -1

// Fault is what shall go wrong with which requests. Everything that is set has to hold for a request
// to be struck; one fault strikes a request at most, the oldest that does.
type Fault struct {
	// API is Kafka's name of an API, Produce for example, or its key as a number; empty for every one.
	API string
	// Topic, Group and ClientID strike requests that name the topic or the group, among others perhaps,
	// or whose client gave itself that id; empty for all.
	Topic, Group, ClientID string
	// Times is how many requests are struck before the fault is over; 0 for as many as come.
	Times int
	// Probability is the chance of a request to be struck, above 0 and up to 1; 0 means 1. It is drawn from Seed.
	Probability float64
	// Seed is where the chances begin; the same requests in the same order are struck by the same seed.
	Seed uint64
	// Delay holds the answer back, or what comes in its place.
	Delay time.Duration
	// Error is the code that the request is answered with, by Kafka's name or as a number, wherever the
	// response has a place for one. The request itself is not handled, but Metadata, which is answered
	// with the code on every topic.
	Error string
	// DropRequest closes the connection in place of handling the request.
	DropRequest bool
	// DropAnswer handles the request and closes the connection in place of answering.
	DropAnswer bool
}

// Faults are the faults of one node. The zero value has none; a node that has Faults in its Host asks
// them about every request. They are safe for concurrent use.
type Faults struct {
	mu   sync.Mutex // guards changes of list
	list atomic.Pointer[[]*fault]
}

// fault is a Fault that is in force.
type fault struct {
	Fault
	key  int16 // anyAPI for all
	code code.Error

	mu   sync.Mutex // guards what follows
	rng  *rand.Rand // nil when every request is struck
	left int        // strikes to come; -1 without end
}

// Add puts a fault in force and returns what takes it away again, which may be called more than once.
// The error names the field that cannot be, and why.
func (f *Faults) Add(what Fault) (remove func(), err error) {
	s, err := newFault(what)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := append(slices.Clone(f.all()), s)
	f.list.Store(&list)
	return func() { f.remove(s) }, nil
}

// newFault checks a Fault.
func newFault(what Fault) (*fault, error) {
	s := &fault{Fault: what, key: anyAPI, left: -1}
	if what.API != "" {
		served := api.Services()
		i := slices.IndexFunc(served, func(a api.Service) bool {
			return strings.EqualFold(a.Name, what.API) || strconv.Itoa(int(a.Key)) == what.API
		})
		if i < 0 {
			return nil, fmt.Errorf("fault with API=%q: no such API is served; write Kafka's name of it, Produce or Fetch for example, or its key", what.API)
		}
		s.key = served[i].Key
	}
	switch {
	case what.Times < 0:
		return nil, fmt.Errorf("fault with Times=%d: a fault strikes once or more; 0 is without end", what.Times)
	case what.Times > 0:
		s.left = what.Times
	}
	switch p := what.Probability; {
	case !(p >= 0 && p <= 1):
		return nil, fmt.Errorf("fault with Probability=%v: a chance is above 0 and at most 1", p)
	case p > 0 && p < 1:
		s.rng = rand.New(rand.NewPCG(what.Seed, 0x6661756c74))
	}
	if what.Error != "" {
		all := code.All()
		i := slices.IndexFunc(all, func(c code.Error) bool {
			return c != code.None && (strings.EqualFold(c.Error(), what.Error) || strconv.Itoa(int(c)) == what.Error)
		})
		if i < 0 {
			return nil, fmt.Errorf("fault with Error=%q: Kafka has no such error code; write its name, NOT_LEADER_OR_FOLLOWER for example, or its number", what.Error)
		}
		s.code = all[i]
	}
	ends := 0
	for _, set := range []bool{what.Error != "", what.DropRequest, what.DropAnswer} {
		if set {
			ends++
		}
	}
	switch {
	case what.Delay < 0:
		return nil, fmt.Errorf("fault with Delay=%s: an answer cannot come before its request", what.Delay)
	case ends > 1:
		return nil, errors.New("a fault ends a request in one way only: set one of Error, DropRequest and DropAnswer")
	case ends == 0 && what.Delay == 0:
		return nil, errors.New("a fault without an effect: set Delay, Error, DropRequest or DropAnswer")
	}
	return s, nil
}

// all are the faults in force.
func (f *Faults) all() []*fault {
	if list := f.list.Load(); list != nil {
		return *list
	}
	return nil
}

// remove takes a fault away.
func (f *Faults) remove(s *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(f.all()), func(o *fault) bool { return o == s })
	if len(list) == 0 {
		f.list.Store(nil)
		return
	}
	f.list.Store(&list)
}

// Over returns the APIs of table with the faults over them. topic finds the name of a topic, "" where there is none.
func (f *Faults) Over(table rpc.Table, topic func(wire.UUID) string, log *slog.Logger) rpc.Table {
	return &faultyTable{rpc: table, faults: f, topic: topic, log: log}
}

// faultyTable is a table of APIs that go wrong.
type faultyTable struct {
	rpc    rpc.Table
	faults *Faults
	topic  func(id wire.UUID) string
	log    *slog.Logger
}

// Lookup implements rpc.Table.
func (t *faultyTable) Lookup(listener string, key int16) *rpc.API {
	a := t.rpc.Lookup(listener, key)
	if a == nil {
		return nil
	}
	faulty := *a
	if a.Run != nil {
		faulty.Run = func(ctx context.Context, calls []rpc.Call, replies []*rpc.Reply) { t.run(ctx, a, calls, replies) }
	} else {
		faulty.Handle = func(ctx context.Context, c *rpc.Call, r *rpc.Reply) { t.handle(ctx, a, c, r) }
	}
	return &faulty
}

// handle answers one call, as the API does or as a fault wants it.
func (t *faultyTable) handle(ctx context.Context, a *rpc.API, c *rpc.Call, r *rpc.Reply) {
	if t.faults.list.Load() == nil {
		a.Handle(ctx, c, r)
		return
	}
	if a.Key == fetchKey && t.outOfSession(c, r) {
		return
	}
	if s := t.strike(c); s != nil {
		s.answer(c, r, func() { a.Handle(ctx, c, r) })
		return
	}
	a.Handle(ctx, c, r)
}

// run answers a run of calls: those between two that are struck stay together.
func (t *faultyTable) run(ctx context.Context, a *rpc.API, calls []rpc.Call, replies []*rpc.Reply) {
	from := 0
	if t.faults.list.Load() != nil {
		for i := range calls {
			s := t.strike(&calls[i])
			if s == nil {
				continue
			}
			if from < i {
				a.Run(ctx, calls[from:i], replies[from:i])
			}
			from = i + 1
			s.answer(&calls[i], replies[i], func() { a.Run(ctx, calls[i:i+1], replies[i:i+1]) })
			if replies[i].Close {
				return // what stands behind it on the connection is not handled
			}
		}
	}
	if from < len(calls) {
		a.Run(ctx, calls[from:], replies[from:])
	}
}

// strike returns the fault that strikes a call, or nil.
func (t *faultyTable) strike(c *rpc.Call) *fault {
	var names *named
	for _, s := range t.faults.all() {
		if s.key != anyAPI && s.key != c.Header.Key || s.ClientID != "" && s.ClientID != c.Header.ClientID {
			continue
		}
		if s.Topic != "" || s.Group != "" {
			if names == nil {
				names = t.read(c)
			}
			if s.Topic != "" && !slices.Contains(names.topics, s.Topic) || s.Group != "" && !slices.Contains(names.groups, s.Group) {
				continue
			}
		}
		hit, last := s.roll()
		if last {
			t.faults.remove(s)
		}
		if hit {
			t.log.Debug("a request was struck by a fault", "event", "fault_injected", "api_key", c.Header.Key, "correlation_id", c.Header.CorrelationID, "connection", c.Conn.ID, "fault", s.Fault)
			return s
		}
	}
	return nil
}

// roll says whether the fault strikes now, and whether that was its last time.
func (s *fault) roll() (hit, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 || s.rng != nil && s.rng.Float64() >= s.Probability {
		return false, s.left == 0
	}
	if s.left > 0 {
		s.left--
	}
	return true, s.left == 0
}

// answer does to a call what the fault wants; handle handles it as the API would.
func (s *fault) answer(c *rpc.Call, r *rpc.Reply, handle func()) {
	switch {
	case s.DropRequest:
		cut(r)
	case s.DropAnswer:
		handle()
		cut(r)
	case s.code != code.None:
		s.fail(c, r, handle)
	default:
		handle()
	}
	if s.Delay > 0 {
		r.Park(newDelayed(r.Parked(), s.Delay))
	}
}

// cut ends the connection in place of an answer.
func cut(r *rpc.Reply) {
	r.Close, r.Silent, r.Reason = true, true, "a fault that was injected"
}

// delayed is a reply that waits for a time to come, and then for what it waits for anyway.
type delayed struct {
	inner rpc.Parked // nil for a reply that is complete
	until time.Time
	ready chan struct{}
	timer *time.Timer
	over  bool // until has come
}

// newDelayed holds a reply back that waits for inner, which may be nil.
func newDelayed(inner rpc.Parked, d time.Duration) *delayed {
	w := &delayed{inner: inner, until: time.Now().Add(d), ready: make(chan struct{})}
	w.timer = time.AfterFunc(d, func() { close(w.ready) })
	return w
}

// Ready implements rpc.Parked.
func (w *delayed) Ready() <-chan struct{} {
	if w.over && w.inner != nil {
		return w.inner.Ready()
	}
	return w.ready
}

// Deadline implements rpc.Parked.
func (w *delayed) Deadline() time.Time {
	if w.inner == nil {
		return w.until
	}
	if d := w.inner.Deadline(); d.IsZero() || d.After(w.until) {
		return d
	}
	return w.until
}

// Finish implements rpc.Parked.
func (w *delayed) Finish(r *rpc.Reply, now time.Time) bool {
	if w.over = w.over || !now.Before(w.until); !w.over {
		return false
	}
	w.timer.Stop()
	return w.inner == nil || w.inner.Finish(r, now)
}

// End implements rpc.Ending: a broker that stops holds nothing back any more, and what it owes it still waits for.
func (w *delayed) End(r *rpc.Reply) bool {
	w.timer.Stop()
	w.over = true
	if long, ok := w.inner.(rpc.Ending); ok {
		return long.End(r)
	}
	return w.inner == nil || w.inner.Finish(r, time.Now())
}

// Drop implements rpc.Parked.
func (w *delayed) Drop() {
	w.timer.Stop()
	if w.inner != nil {
		w.inner.Drop()
	}
}

// WaitsFor says what the reply waits for, for the log of slow requests.
func (w *delayed) WaitsFor() string { return "a fault that was injected" }

// outOfSession makes a Fetch name its partitions where a fault asks for them: in a fetch session it
// names only what has changed (KIP-227). A client that begins a session is answered without one, and
// one that is in a session is told that it is gone and begins anew; that was answered then.
func (t *faultyTable) outOfSession(c *rpc.Call, r *rpc.Reply) (answered bool) {
	asks := func(s *fault) bool {
		return (s.key == fetchKey || s.key == anyAPI) && (s.Topic != "" || s.code != code.None)
	}
	if c.Header.Version < 7 || !slices.ContainsFunc(t.faults.all(), asks) {
		return false
	}
	at := 4 + 4 + 4 + 1 + 4 // MaxWaitMs, MinBytes, MaxBytes, IsolationLevel, SessionId
	if c.Header.Version <= 14 {
		at += 4 // ReplicaId
	}
	if len(c.Body) < at+4 {
		return false
	}
	const initial, final = 0, 0xffffffff
	switch epoch := binary.BigEndian.Uint32(c.Body[at:]); epoch {
	case final:
	case initial:
		binary.BigEndian.PutUint32(c.Body[at:], final)
	default:
		a := wire.NewFetchResponse()
		a.ErrorCode = int16(code.FetchSessionIdNotFound)
		r.Buf = a.Append(r.Buf, c.Header.Version)
		return true
	}
	return false
}
