package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
)

// phase is where a shard stands.
type phase uint8

const (
	waiting phase = iota // its log is to be read
	active               // it decides
	broken               // its log cannot be read
	ended                // this broker leads it no more
)

// The wait before a shard whose append failed is loaded again, the first and the longest.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// shard is one partition's machine. What many goroutines touch is guarded by mu;
// the rest belongs to its goroutine, which is there only while something is to do.
type shard struct {
	g     *Groups
	index int32
	epoch int32
	p     Partition

	mu      sync.Mutex
	phase   phase
	queue   []task
	running bool            // its goroutine is there
	waiter  *replica.Waiter // of that goroutine

	m        *group.Machine
	rand     *rand.Rand
	tickets  machine.Ticket
	callers  map[machine.Ticket]caller // decided, not answered by the machine yet
	replies  []reply                   // answered, not replicated yet; in the order of end
	end      int64                     // of the log, as far as this shard knows
	spare    []task
	builder  record.Builder
	buf      []byte
	records  []machine.Record // of the decisions since the last append
	stats    group.Stats      // as last told to metrics
	retry    time.Duration    // the next wait before loading again
	retryAt  time.Time
	rolled   atomic.Bool // the log has begun a segment
	written  int64       // bytes since the last snapshot
	snapshot snapshot
}

// task is one decision to run.
type task struct {
	d group.Decision
	c caller
}

// reply is an answer that waits for its records, and those that it saw, to be replicated.
type reply struct {
	end  int64
	at   time.Time
	c    caller
	body any
}

func newShard(g *Groups, index, epoch int32, p Partition) *shard {
	return &shard{g: g, index: index, epoch: epoch, p: p, retry: firstRetry}
}

func (s *shard) logger() *slog.Logger {
	return s.g.log.With("topic", OffsetsTopic, "partition", s.index, "epoch", s.epoch)
}

// begin makes the shard ready: one with an empty log at once, others when their log is read.
func (s *shard) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if start, end := s.p.Bounds(); start == end && s.phase == waiting {
		s.end, s.phase = end, active
		s.p.OnRoll(s.onRoll)
		return
	}
	s.kickLocked()
}

func (s *shard) onRoll() { s.rolled.Store(true) }

// do queues a decision, or answers why not.
func (s *shard) do(d group.Decision, c caller) {
	s.mu.Lock()
	var err error
	switch s.phase {
	case waiting:
		err = code.CoordinatorLoadInProgress
		if c.p == nil { // the broker's own: it is to reach the shard
			err = nil
		}
	case broken, ended:
		err = code.NotCoordinator
	}
	if c.p == nil && s.phase == active && !s.running && s.m == nil {
		s.mu.Unlock()
		return // it holds nothing that the broker's own decisions could be about
	}
	if err == nil {
		s.queue = append(s.queue, task{d, c})
		s.kickLocked()
	}
	s.mu.Unlock()
	if err != nil {
		c.answer(err)
	}
}

// resign ends the shard: this broker leads it no more.
func (s *shard) resign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = ended
	s.kickLocked()
}

func (s *shard) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kickLocked()
}

// kickLocked wakes the shard's goroutine, or starts it when there is something to do.
func (s *shard) kickLocked() {
	if s.running {
		s.waiter.Wake()
		return
	}
	if s.phase == active && len(s.queue) == 0 || s.phase == broken {
		return
	}
	s.waiter = replica.NewWaiter()
	s.running = s.g.spawn(s.run)
}

// run is the shard's goroutine. It ends with ctx, and when nothing is to do.
func (s *shard) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	s.p.Watch(s.waiter)
	for {
		next, done := s.step(ctx)
		if done {
			return
		}
		var tick <-chan time.Time
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			tick = timer.C
		}
		select {
		case <-ctx.Done():
			s.stop()
			return
		case <-s.waiter.Ready():
		case <-tick:
		}
	}
}

// stop ends the shard with the broker.
func (s *shard) stop() {
	s.mu.Lock()
	s.phase = ended
	s.mu.Unlock()
	s.drop(code.NotCoordinator)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
}

// leave ends the goroutine; mu is held. The next one may start at once, so
// nothing of the shard is touched after it.
func (s *shard) leave() {
	s.p.Watch(nil)
	s.running = false
}

// step does all that can be done now and returns when to look again, the zero
// time for when it is woken; done says that the goroutine may end.
func (s *shard) step(ctx context.Context) (next time.Time, done bool) {
	now := time.Now()
	s.mu.Lock()
	at := s.phase
	s.mu.Unlock()
	if at == waiting && !now.Before(s.retryAt) {
		s.load(ctx)
		now = time.Now()
	}
	s.mu.Lock()
	at = s.phase
	tasks := s.queue
	if at == waiting {
		s.mu.Unlock()
		return s.retryAt, false
	}
	s.queue, s.spare = s.spare[:0], nil
	s.mu.Unlock()
	if at != active {
		for _, t := range tasks {
			t.c.answer(code.NotCoordinator)
		}
		s.drop(code.NotCoordinator)
		s.mu.Lock()
		defer s.mu.Unlock()
		if done = len(s.queue) == 0; done {
			s.leave()
		}
		return time.Now(), done
	}
	var err error
	if len(s.replies) > 0 {
		if s.release(now); len(s.replies) > 0 { // what waits for a failed log waits in vain
			err = s.p.Failed()
		}
	}
	if err == nil && (len(tasks) > 0 || s.m != nil) {
		err = s.decide(tasks, now)
	}
	if err != nil {
		s.fail(err, tasks)
	}
	clear(tasks)
	s.spare = tasks[:0]
	return s.rest()
}

// rest says when to look again. A goroutine without anything to wait for ends.
func (s *shard) rest() (next time.Time, done bool) {
	if s.m != nil {
		next = s.m.NextExpiry()
	}
	if len(s.replies) > 0 {
		if late := s.replies[0].at.Add(s.g.cfg.CommitTimeout); next.IsZero() || late.Before(next) {
			next = late
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != active || len(s.queue) > 0 {
		return time.Now(), false
	}
	if next.IsZero() && len(s.callers) == 0 && !s.snapshot.pending() {
		s.callers, s.replies, s.spare, s.records, s.buf = nil, nil, nil, nil, nil
		s.builder = record.Builder{}
		if s.m != nil && s.m.Idle() {
			s.m, s.rand = nil, nil
			s.g.metrics.forget(&s.stats)
		}
		s.leave()
		return next, true
	}
	return next, false
}

// decide runs tasks and what time has brought, keeps their records with one
// write, and lets go of the answers that are replicated.
func (s *shard) decide(tasks []task, now time.Time) (err error) {
	defer func() {
		// A mistake in a decision costs its shard a reload, and not the broker.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if s.m == nil { // its log is empty
		s.m = group.New(s.g.cfg.Options)
	}
	if s.rand == nil {
		s.rand = newRand()
	}
	if s.callers == nil {
		s.callers = make(map[machine.Ticket]caller)
	}
	first := len(s.replies)
	for _, t := range tasks {
		env := machine.Env{Now: now, Rand: s.rand}
		if t.c.p != nil {
			s.tickets++
			env.Ticket = s.tickets
			s.callers[env.Ticket] = t.c
		}
		if err := s.apply(t.d(s.m, env), now); err != nil {
			return err
		}
	}
	if due := s.m.NextExpiry(); !due.IsZero() && !due.After(now) {
		if err := s.apply(s.m.Expire(now, s.rand), now); err != nil {
			return err
		}
	}
	if err := s.append(now); err != nil {
		return err
	}
	for i := first; i < len(s.replies); i++ {
		s.replies[i].end = s.end
	}
	if s.rolled.Swap(false) {
		s.snapshotDue()
	}
	if err := s.keepShort(now); err != nil {
		return err
	}
	s.tell()
	s.release(now)
	return nil
}

// apply takes over what was decided before it is written, so that the next
// decision of the same write sees it. Nobody else does until it is replicated: a
// failed append drops the whole machine.
func (s *shard) apply(out machine.Output, now time.Time) error {
	for _, r := range out.Records {
		if err := s.m.Apply(r); err != nil {
			return fmt.Errorf("apply a record of its own: %w", err)
		}
	}
	s.records = append(s.records, out.Records...)
	for _, r := range out.Replies {
		c := s.callers[r.To]
		delete(s.callers, r.To)
		s.replies = append(s.replies, reply{at: now, c: c, body: r.Body})
	}
	return nil
}

// append writes the records in batches of at most BatchBytes, a record that is
// larger in one of its own.
func (s *shard) append(now time.Time) error {
	if len(s.records) == 0 {
		if epoch, ok := s.p.Leading(); !ok || epoch != s.epoch {
			return code.NotLeaderOrFollower
		}
		return nil
	}
	w := s.writer(now)
	for _, r := range s.records {
		if err := w.add(r); err != nil {
			return err
		}
	}
	clear(s.records)
	s.records = s.records[:0]
	if cap(s.records) > 4096 {
		s.records = nil
	}
	return w.flush()
}

// release lets go of the answers whose records are replicated, and gives up on
// those that take too long.
func (s *shard) release(now time.Time) {
	hw := s.p.HighWatermark()
	n := 0
	for ; n < len(s.replies); n++ {
		r := &s.replies[n]
		if r.end > hw {
			if now.Sub(r.at) < s.g.cfg.CommitTimeout {
				break
			}
			r.body = code.Errorf(code.CoordinatorNotAvailable, "partition %d of %s has not replicated a record within offsets.commit.timeout.ms (%v)", s.index, OffsetsTopic, s.g.cfg.CommitTimeout)
		}
		r.c.answer(r.body)
	}
	if n == 0 {
		return
	}
	left := copy(s.replies, s.replies[n:])
	clear(s.replies[left:])
	s.replies = s.replies[:left]
}

// fail drops the machine after an append that failed, or after leadership was
// lost without the metadata log saying so yet. It is loaded again. What the broker
// itself asked for is not forgotten.
func (s *shard) fail(err error, tasks []task) {
	s.mu.Lock()
	if s.phase == active {
		s.phase = waiting
	}
	tasks = append(slices.Clone(tasks), s.queue...)
	s.queue = nil
	for _, t := range tasks {
		if t.c.p == nil {
			s.queue = append(s.queue, t)
		}
	}
	s.mu.Unlock()
	s.retryAt = time.Now().Add(s.retry)
	level := slog.LevelWarn
	if errors.Is(err, code.NotLeaderOrFollower) || errors.Is(err, code.FencedLeaderEpoch) {
		level = slog.LevelDebug // leadership moved; the metadata log is about to say so
	}
	s.logger().Log(context.Background(), level, "a shard of groups is dropped and read again from its log", "event", "groups_reloaded", "error", err, "again_in", s.retry)
	s.retry = min(2*s.retry, lastRetry)
	answer := clientError(err)
	for _, t := range tasks {
		t.c.answer(answer)
	}
	s.drop(answer)
}

// drop forgets the machine; everybody who waits is told err.
func (s *shard) drop(err code.Error) {
	for i := range s.replies {
		s.replies[i].c.answer(err)
	}
	for _, c := range s.callers {
		c.answer(err)
	}
	s.mu.Lock()
	queue := s.queue
	if s.phase == ended {
		s.queue = nil
	} else {
		queue = nil
	}
	s.mu.Unlock()
	for _, t := range queue {
		t.c.answer(err)
	}
	s.replies, s.callers, s.records, s.m = nil, nil, nil, nil
	s.snapshot = snapshot{}
	s.g.metrics.forget(&s.stats)
}

func (s *shard) tell() { s.g.metrics.add(&s.stats, s.m.Stats()) }

// clientError is what clients are told of an error of the log, as Kafka's
// coordinator translates them: they retry here or look for another coordinator.
func clientError(err error) code.Error {
	switch c := code.Of(err); c {
	case code.UnknownTopicOrPartition, code.NotEnoughReplicas, code.NotEnoughReplicasAfterAppend, code.RequestTimedOut:
		return code.CoordinatorNotAvailable
	case code.NotLeaderOrFollower, code.FencedLeaderEpoch, code.KafkaStorageError, code.UnknownServerError:
		return code.NotCoordinator
	case code.MessageTooLarge, code.RecordListTooLarge, code.InvalidFetchSize:
		return code.UnknownServerError
	default:
		return c
	}
}
