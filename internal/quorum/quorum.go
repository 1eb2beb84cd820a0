package quorum

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// heartbeatsPerElection is how many heartbeats fit into an election timeout.
const heartbeatsPerElection = 10

// Quorum is this voter of the metadata log. Make it with New, and Run it.
type Quorum struct {
	opt     Options
	log     *slog.Logger
	metrics *metrics

	voters map[uint64]Voter // by raft id
	self   uint64

	image  atomic.Pointer[metadata.Image] // committed, and seen by all observers or about to be
	status atomic.Pointer[status]
	ready  chan struct{}

	// mu guards what callers leave for the loop.
	mu      sync.Mutex
	queue   []*proposal
	inbox   []*raftpb.Message
	calls   []func()
	stopped bool
	wake    chan struct{}

	// What follows belongs to the loop.

	rn     *raft.RawNode
	raft   *raftLog
	snaps  *snapshots
	encode encoder
	env    controller.Env

	term      uint64
	lead      uint64 // raft id, 0 is unknown
	leading   bool
	active    bool            // leading, and everything before the own term is applied
	current   bool            // an entry of the current term is applied: the replay is over
	announced bool            // the observers were told
	applied   uint64          // last index applied
	commit    uint64          // last index known committed
	committed *metadata.Image // after the entry at applied, but for held records
	held      []metadata.Record
	spec      *metadata.Image // the active leader's: committed and all that it proposed
	decided   []*decided      // proposed by this leader, in order
	parked    []*proposal     // for when the leader is active

	sinceBytes int64     // of records applied since the newest snapshot
	snapTime   time.Time // of the newest snapshot, or of the start
	snapping   bool
	snapDone   chan snapResult
	seen       map[uint64]time.Time // when a voter was heard of
	lastTick   time.Time

	applier applier
	work    sync.WaitGroup
}

// status is what callers may know at any time.
type status struct {
	leader  int32
	epoch   int32
	leading bool
	known   bool
}

type proposal struct {
	ctx      context.Context
	decision controller.Decision
	done     chan outcome // has room for one
}

type outcome struct {
	response any
	err      error
}

// decided is a decision on its way: it takes effect when the entry at last is committed.
type decided struct {
	first, last uint64 // first > last for one without records
	image       *metadata.Image
	delta       *metadata.Delta // nil without records
	p           *proposal       // nil when nobody waits
	out         outcome
}

type snapResult struct {
	snap  snapshot
	bytes int64
	err   error
}

// New opens the metadata log and the newest snapshot; a directory with neither
// becomes that of a new cluster with Options.Voters. Nothing runs before Run. A
// damaged snapshot or state, and a log that does not fit them, are errors.
func New(o Options) (*Quorum, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	q := &Quorum{opt: o, log: o.Logger.With("room", "quorum"), ready: make(chan struct{}), wake: make(chan struct{}, 1), snapDone: make(chan snapResult, 1),
		voters: map[uint64]Voter{}, seen: map[uint64]time.Time{}, snapTime: time.Now()}
	if err := q.open(); err != nil {
		return nil, err
	}
	seed := o.Seed
	if seed == 0 {
		var b [8]byte
		if _, err := crand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("quorum: random bytes: %w", err)
		}
		seed = binary.BigEndian.Uint64(b[:])
	}
	q.env = controller.Env{Rand: rand.New(rand.NewPCG(seed, 0)), Keys: o.Keys, Static: o.Static, Defaults: o.Defaults, Sessions: new(controller.Sessions)}
	q.applier.init()
	q.setStatus()
	var err error
	if q.metrics, err = newMetrics(q, o.Registerer); err != nil { // last: from here on it may be asked
		return nil, err
	}
	return q, nil
}

func (q *Quorum) open() error {
	o := &q.opt
	if err := o.FS.MkdirAll(o.Path); err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	var err error
	if q.snaps, err = openSnapshots(o.FS, o.Path); err != nil {
		return err
	}
	hard, err := readState(o.FS, o.Path)
	if err != nil {
		return err
	}
	start, end := o.Log.Bounds()
	if len(q.snaps.list) == 0 {
		if hard != nil || end > start {
			return fmt.Errorf("quorum: %s has a metadata log from %d to %d and no snapshot; it was removed by hand, bring it back or let this voter join anew from an empty directory", o.Path, start, end)
		}
		if err := q.bootstrap(); err != nil {
			return err
		}
	}
	newest := q.snaps.newest()
	image, voters, err := q.snaps.load(newest, o.ClusterID)
	if err != nil {
		return err
	}
	if hard == nil {
		if end > int64(newest.index)+1 {
			return fmt.Errorf("quorum: %s has a metadata log up to %d and no %s; this voter no longer knows whom it voted for: let it join anew from an empty directory", o.Path, end, stateFile)
		}
		hard = &raftpb.HardState{Term: &newest.term, Commit: &newest.index}
	}
	if hard.GetCommit() < newest.index {
		hard.Commit = &newest.index
	}
	if hard.GetTerm() < newest.term {
		hard.Term, hard.Vote = &newest.term, nil
	}
	q.self = Voter{Directory: o.Directory}.raftID()
	var ids []uint64
	for _, v := range voters {
		q.voters[v.raftID()] = v
		ids = append(ids, v.raftID())
	}
	slices.Sort(ids)
	if me, ok := q.voters[q.self]; !ok || me.ID != o.NodeID {
		return fmt.Errorf("quorum: node %d with directory id %s is no voter of this metadata log; its voters are %v", o.NodeID, o.Directory, votersString(voters))
	}
	if len(ids) > 1 && o.Transport == nil {
		return errors.New("quorum: there are several voters, and Options has no Transport")
	}
	if q.raft, err = openLog(o.Log, q.snaps, hard, &raftpb.ConfState{Voters: ids}); err != nil {
		return err
	}
	q.term, q.applied, q.commit, q.committed = hard.GetTerm(), newest.index, hard.GetCommit(), image
	q.rn, err = raft.NewRawNode(&raft.Config{
		ID: q.self, ElectionTick: heartbeatsPerElection, HeartbeatTick: 1, Storage: q.raft, Applied: newest.index,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 64 << 20, MaxInflightMsgs: 256,
		PreVote: true, CheckQuorum: true, StepDownOnRemoval: true, DisableProposalForwarding: true, Logger: raftLogger{q.log},
	})
	if err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	return nil
}

// bootstrap writes the first snapshot, which every voter of a new cluster writes alike.
// It stands at index 1, as raft has no index 0.
func (q *Quorum) bootstrap() error {
	first := snapshot{index: 1, term: 1}
	recs, _, err := controller.Bootstrap()(metadata.New(q.opt.ClusterID), &q.env)
	if err != nil {
		return err
	}
	image, _, err := metadata.New(q.opt.ClusterID).Apply(recs, int64(first.index), int32(first.term))
	if err != nil {
		return err
	}
	if err := q.snaps.write(first, encodeSnapshot(image, q.opt.Voters, time.UnixMilli(0))); err != nil {
		return err
	}
	q.log.Info("began a new metadata log", "event", "metadata_log_created", "cluster", q.opt.ClusterID, "voters", votersString(q.opt.Voters))
	return q.snaps.add(first)
}

func votersString(voters []Voter) (s []string) {
	for _, v := range voters {
		s = append(s, fmt.Sprintf("%d@%s", v.ID, v.Directory))
	}
	return s
}

// Subscribe adds an observer behind those of Options. It must be called before Run.
func (q *Quorum) Subscribe(o Observer) { q.opt.Observers = append(q.opt.Observers, o) }

// Image returns the latest committed image. The observers have seen it, or are about to.
func (q *Quorum) Image() *metadata.Image {
	if i := q.image.Load(); i != nil {
		return i
	}
	return metadata.New(q.opt.ClusterID)
}

// Ready is closed when the committed log has been replayed and the observers have seen all of it.
func (q *Quorum) Ready() <-chan struct{} { return q.ready }

// Leader returns the node id and the epoch of the leader; ok is false when none is known.
func (q *Quorum) Leader() (id, epoch int32, ok bool) {
	s := q.status.Load()
	return s.leader, s.epoch, s.known
}

// Leading reports whether this voter is the leader, and so the active controller.
func (q *Quorum) Leading() bool { return q.status.Load().leading }

// Propose runs a decision on the leader. It returns the response when the
// decision's records are committed and all observers here have applied them; for
// one without records, when that holds of everything the decision saw. The error is
// NOT_CONTROLLER when this is not the leader or ceases to be it, the context's when
// that ends first, or the decision's own. After NOT_CONTROLLER and the context's
// error the decision may take effect all the same.
func (q *Quorum) Propose(ctx context.Context, d controller.Decision) (response any, err error) {
	p := &proposal{ctx: ctx, decision: d, done: make(chan outcome, 1)}
	q.mu.Lock()
	if q.stopped {
		q.mu.Unlock()
		return nil, errStopped
	}
	q.queue = append(q.queue, p)
	q.mu.Unlock()
	q.poke()
	select {
	case out := <-p.done:
		return out.response, out.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var (
	errStopped   = &code.Detail{Code: code.NotController, Message: "The controller of this node is stopping; ask another one."}
	errNotLeader = &code.Detail{Code: code.NotController, Message: "This node is not the active controller; ask the one that DescribeQuorum names."}
)

// Step hands over a message that another voter sent. The message is the quorum's afterwards.
func (q *Quorum) Step(m *raftpb.Message) {
	q.mu.Lock()
	if !q.stopped {
		q.inbox = append(q.inbox, m)
	}
	q.mu.Unlock()
	q.poke()
}

func (q *Quorum) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run keeps the log until ctx ends, and returns nil then; it returns an error when
// the log's storage failed, after which this voter must not go on.
func (q *Quorum) Run(ctx context.Context) error {
	q.work.Go(func() { q.applier.run(q) })
	err := q.loop(ctx)
	q.stop()
	if err == nil {
		err = q.finish()
	}
	q.applier.close()
	q.work.Wait()
	return err
}

func (q *Quorum) loop(ctx context.Context) error {
	q.lastTick = time.Now()
	if len(q.voters) == 1 {
		if err := q.rn.Campaign(); err != nil {
			return fmt.Errorf("quorum: campaign: %w", err)
		}
	}
	tick := q.opt.ElectionTimeout / heartbeatsPerElection
	if len(q.voters) == 1 {
		tick = q.opt.ElectionTimeout / 2 // there is nobody to send heartbeats to; sessions and snapshots are looked after
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := q.advance(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if len(q.voters) > 1 {
				q.rn.Tick()
			}
			if err := q.expire(now); err != nil {
				return err
			}
			q.maybeSnapshot(now)
		case r := <-q.snapDone:
			if err := q.snapshotWritten(r); err != nil {
				return err
			}
		case <-q.wake:
		}
		if err := q.take(); err != nil {
			return err
		}
	}
}

// take handles what callers left.
func (q *Quorum) take() error {
	q.mu.Lock()
	queue, inbox, calls := q.queue, q.inbox, q.calls
	q.queue, q.inbox, q.calls = nil, nil, nil
	q.mu.Unlock()
	for _, m := range inbox {
		q.seen[m.GetFrom()] = time.Now()
		if err := q.rn.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
			q.log.Warn("refused a message of raft", "event", "raft_message_refused", "from", m.GetFrom(), "type", m.GetType().String(), "err", err)
		}
	}
	for _, f := range calls {
		f()
	}
	return q.admitAll(queue)
}

// admitAll admits proposals; on an error the rest is parked, for stop to answer.
func (q *Quorum) admitAll(queue []*proposal) error {
	for i, p := range queue {
		if err := q.admit(p); err != nil {
			q.parked = append(q.parked, queue[i+1:]...)
			return err
		}
	}
	return nil
}

func (q *Quorum) admit(p *proposal) error {
	switch {
	case !q.leading && len(q.voters) > 1:
		p.done <- outcome{err: errNotLeader}
	case p.ctx.Err() != nil:
		p.done <- outcome{err: p.ctx.Err()}
	case !q.active:
		q.parked = append(q.parked, p)
	default:
		return q.decide(p.decision, p)
	}
	return nil
}

// decide runs a decision and proposes its records. The error is the storage's.
func (q *Quorum) decide(d controller.Decision, p *proposal) error {
	last := q.raft.written
	q.env.Now = time.Now()
	q.env.NextOffset = int64(last) + 1
	recs, response, err := d(q.spec, &q.env)
	item := &decided{first: last + 1, last: last, image: q.spec, p: p, out: outcome{response, err}}
	if err == nil && len(recs) > 0 {
		if err := q.propose(item, recs); err != nil {
			q.decided = append(q.decided, item) // stop answers it
			return err
		}
	}
	if item.delta == nil && p == nil {
		return nil
	}
	q.decided = append(q.decided, item)
	q.settle()
	return nil
}

// propose writes records and hands them to raft. A refusal becomes the item's
// outcome; the error is of storage that failed.
func (q *Quorum) propose(item *decided, recs []metadata.Record) error {
	if len(recs) > 1 {
		framed := make([]metadata.Record, 0, len(recs)+2)
		framed = append(framed, wire.NewBeginTransactionRecord())
		framed = append(framed, recs...)
		recs = append(framed, wire.NewEndTransactionRecord())
	}
	last := q.raft.written + uint64(len(recs))
	image, delta, err := q.spec.Apply(recs, int64(last), int32(q.term))
	if err != nil {
		item.out = outcome{err: fmt.Errorf("quorum: a decision's records do not fit the image: %w", err)}
		return nil
	}
	if item.out.err, err = q.write(recs); item.out.err != nil || err != nil {
		return err
	}
	q.spec = image
	item.last, item.image, item.delta = last, image, delta
	q.metrics.proposed.Add(float64(len(recs)))
	return nil
}

// write appends records to the log and to raft's. refused says why that was not
// done, while the log stays as it was; err is of storage that failed.
func (q *Quorum) write(recs []metadata.Record) (refused, err error) {
	entries := make([]*raftpb.Entry, len(recs))
	now := time.Now().UnixMilli()
	arena := make([]byte, 0, len(recs)*192)
	for i, r := range recs {
		from := len(arena)
		arena = q.encode.entry(arena, r, now)
		entries[i] = newEntry(q.raft.written+1+uint64(i), q.term, arena[from:len(arena):len(arena)])
	}
	// The records are written before raft hears of them: a full disk then refuses one
	// decision, where an entry that raft has taken can no longer be refused.
	before := q.raft.written
	if err := q.raft.write(entries); err != nil {
		if errors.Is(err, disk.ErrFull) {
			q.log.Warn("the metadata log's disk is full; refused a decision", "event", "metadata_disk_full", "records", len(recs), "err", err)
			return code.Errorf(code.KafkaStorageError, "The disk of the metadata log is full, so nothing was changed; make room and try again."), nil
		}
		return nil, err
	}
	proposed := make([]*raftpb.Entry, len(entries))
	for i, e := range entries {
		proposed[i] = &raftpb.Entry{Type: e.Type, Data: e.Data}
	}
	kind := raftpb.MsgProp
	if err := q.rn.Step(&raftpb.Message{Type: &kind, From: &q.self, To: &q.self, Entries: proposed}); err != nil {
		return errNotLeader, q.raft.truncate(before + 1)
	}
	return nil, nil
}

// advance does what raft wants done until there is nothing left.
func (q *Quorum) advance() error {
	for q.rn.HasReady() {
		rd := q.rn.Ready()
		if rd.SoftState != nil {
			q.role(rd.SoftState)
		}
		if err := q.persist(rd); err != nil {
			return err
		}
		if q.opt.Transport != nil {
			for _, m := range rd.Messages {
				if to, ok := q.voters[m.GetTo()]; ok {
					q.opt.Transport.Send(to, m)
				}
			}
		}
		if h := rd.HardState; h != nil {
			q.commit = max(q.commit, h.GetCommit())
		}
		if err := q.apply(rd.CommittedEntries); err != nil {
			return err
		}
		q.rn.Advance(rd)
		if err := q.settleRole(); err != nil {
			return err
		}
	}
	return nil
}

// persist makes durable what must be before any message leaves.
func (q *Quorum) persist(rd raft.Ready) error {
	begin := time.Now()
	if h := rd.HardState; h != nil && (h.GetTerm() != q.raft.hard.GetTerm() || h.GetVote() != q.raft.hard.GetVote()) {
		// The log must hold what is called committed here, for the check at the next start.
		if err := q.raft.sync(); err != nil {
			return err
		}
		if err := writeState(q.opt.FS, q.opt.Path, h); err != nil {
			return err
		}
		q.raft.hard = h
	}
	if h := rd.HardState; h != nil {
		q.term = h.GetTerm()
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := q.install(rd.Snapshot); err != nil {
			return err
		}
	}
	if err := q.raft.append(rd.Entries); err != nil {
		return err
	}
	if len(rd.Entries) > 0 || rd.MustSync {
		if err := q.raft.sync(); err != nil {
			return err
		}
	}
	took := time.Since(begin)
	if len(rd.Entries) > 0 {
		q.metrics.append.Observe(took.Seconds())
	}
	if took > q.opt.WriteTimeout {
		return fmt.Errorf("quorum: a write of the metadata log took %s, more than the %s that are allowed; its disk hangs", took, q.opt.WriteTimeout)
	}
	return nil
}

// role notes who leads.
func (q *Quorum) role(s *raft.SoftState) {
	q.lead = s.Lead
	leading := s.RaftState == raft.StateLeader
	if q.leading && !leading {
		q.resign()
	}
	q.leading = leading
}

// resign throws away what this leader decided and did not see committed.
func (q *Quorum) resign() {
	q.log.Info("resigned as the active controller", "event", "controller_resigned", "epoch", q.term)
	q.active, q.spec = false, nil
	for _, d := range q.decided {
		if d.p != nil {
			d.p.done <- outcome{err: errNotLeader}
		}
	}
	for _, p := range q.parked {
		p.done <- outcome{err: errNotLeader}
	}
	q.decided, q.parked = nil, nil
}

// settleRole makes a leader active when it has applied an entry of its own term.
func (q *Quorum) settleRole() error {
	q.setStatus()
	if !q.leading || q.active || !q.current {
		return nil
	}
	q.active = true
	q.spec = q.committed
	q.env.Sessions.Reset(q.spec, time.Now())
	q.log.Info("became the active controller", "event", "controller_elected", "epoch", q.term, "offset", q.applied)
	if len(q.held) > 0 {
		// The leader before ended inside a decision; nobody was answered.
		q.held = nil
		if refused, err := q.write([]metadata.Record{wire.NewAbortTransactionRecord()}); err != nil || refused != nil {
			return errors.Join(err, refused)
		}
	}
	parked := q.parked
	q.parked = nil
	return q.admitAll(parked)
}

func (q *Quorum) setStatus() {
	s := status{leader: -1, epoch: int32(q.term), leading: q.leading}
	if v, ok := q.voters[q.lead]; ok {
		s.leader, s.known = v.ID, true
	}
	if old := q.status.Load(); old == nil || *old != s {
		q.status.Store(&s)
	}
}

// apply takes committed entries into the image.
func (q *Quorum) apply(entries []*raftpb.Entry) error {
	if len(entries) == 0 {
		q.settle()
		return nil
	}
	for i := 0; i < len(entries); {
		if len(q.decided) > 0 && q.decided[0].delta != nil && q.decided[0].first <= entries[i].GetIndex() {
			// This leader's own: the image was made when it was decided.
			d := q.decided[0]
			for i < len(entries) && entries[i].GetIndex() <= d.last {
				q.sinceBytes += int64(len(entries[i].GetData()))
				q.applied = entries[i].GetIndex()
				i++
			}
			q.settle()
			continue
		}
		end := len(entries)
		if len(q.decided) > 0 {
			next := slices.IndexFunc(q.decided, func(d *decided) bool { return d.delta != nil })
			if next >= 0 {
				end = min(end, i+int(q.decided[next].first-entries[i].GetIndex()))
			}
		}
		if err := q.replay(entries[i:end]); err != nil {
			return err
		}
		i = end
		q.settle()
	}
	q.raft.applied(q.applied)
	q.opt.Log.SetHighWatermark(int64(q.commit) + 1)
	q.metrics.applied.Set(float64(q.applied))
	return nil
}

// replay applies entries that are not of this leader's own decisions.
func (q *Quorum) replay(entries []*raftpb.Entry) error {
	recs := q.held
	q.held = nil
	open := -1 // where a transaction begins that does not end here
	if len(recs) > 0 {
		open = 0
	}
	var last *raftpb.Entry
	for _, e := range entries {
		q.applied, last = e.GetIndex(), e
		q.sinceBytes += int64(len(e.GetData()))
		if len(e.GetData()) == 0 {
			continue
		}
		rec, err := decode(e.GetData())
		if err != nil {
			return fmt.Errorf("at offset %d: %w", e.GetIndex(), err)
		}
		switch rec.(type) {
		case *wire.BeginTransactionRecord:
			open = len(recs)
		case *wire.EndTransactionRecord:
			open = -1
		case *wire.AbortTransactionRecord:
			if open < 0 {
				continue // its transaction was let go when this voter became leader
			}
			open = -1
		}
		recs = append(recs, rec)
	}
	if open >= 0 {
		q.held = slices.Clone(recs[open:])
		recs = recs[:open]
	}
	image, delta, err := q.committed.Apply(recs, int64(last.GetIndex()), int32(last.GetTerm()))
	if err != nil {
		return fmt.Errorf("quorum: metadata log up to offset %d: %w", last.GetIndex(), err)
	}
	q.committed = image
	if last.GetTerm() == q.term {
		q.current = true
	}
	q.publish(delta, nil)
	return nil
}

// settle publishes the decisions that are committed.
func (q *Quorum) settle() {
	for len(q.decided) > 0 && q.decided[0].last <= q.applied {
		d := q.decided[0]
		q.decided[0] = nil
		q.decided = q.decided[1:]
		if d.delta != nil {
			q.committed = d.image
		}
		q.publish(d.delta, d)
	}
	if len(q.decided) == 0 {
		q.decided = nil
	}
}

// publish hands a committed change to the observers. Before the replay is over they hear nothing.
func (q *Quorum) publish(delta *metadata.Delta, d *decided) {
	c := committed{image: q.committed, delta: delta}
	if d != nil && d.p != nil {
		c.done, c.out = d.p.done, d.out
	}
	if !q.announced {
		if !q.current {
			return
		}
		q.announced = true
		c.delta, c.ready = q.committed.Whole(), true
	}
	q.applier.push(c)
}

// expire fences brokers whose sessions ended.
func (q *Quorum) expire(now time.Time) error {
	paused := now.Sub(q.lastTick) > q.env.Defaults.SessionTimeout/2
	q.lastTick = now
	if !q.active {
		return nil
	}
	if paused {
		// Nobody was heard because nobody listened: this process was stopped, or its disk hung.
		q.env.Sessions.Reset(q.spec, now)
	}
	at, ok := q.env.Sessions.NextExpiry(q.env.Defaults.SessionTimeout)
	if !ok || now.Before(at) {
		return nil
	}
	return q.decide(func(img *metadata.Image, env *controller.Env) ([]metadata.Record, any, error) {
		recs, fenced, err := controller.Expire()(img, env)
		if ids, _ := fenced.([]int32); len(ids) > 0 {
			q.log.Warn("fenced brokers that were not heard of", "event", "brokers_fenced", "brokers", ids, "timeout", env.Defaults.SessionTimeout)
		}
		return recs, nil, err
	}, nil)
}

// maybeSnapshot begins a snapshot when enough is new.
func (q *Quorum) maybeSnapshot(now time.Time) {
	due := q.sinceBytes >= q.opt.SnapshotBytes || q.opt.SnapshotInterval > 0 && q.sinceBytes > 0 && now.Sub(q.snapTime) >= q.opt.SnapshotInterval
	if !due || q.snapping || !q.current || len(q.held) > 0 {
		return
	}
	q.snapping = true
	q.snapTime = now
	image, bytes, voters := q.committed, q.sinceBytes, q.voterList()
	q.work.Go(func() { q.snapDone <- q.writeSnapshot(image, voters, bytes, now) })
}

func (q *Quorum) voterList() (voters []Voter) {
	for _, v := range q.voters {
		voters = append(voters, v)
	}
	slices.SortFunc(voters, func(a, b Voter) int { return int(a.ID) - int(b.ID) })
	return voters
}

func (q *Quorum) writeSnapshot(image *metadata.Image, voters []Voter, bytes int64, now time.Time) snapResult {
	offset, epoch := image.Offset()
	snap := snapshot{uint64(offset), uint64(epoch)}
	return snapResult{snap, bytes, q.snaps.write(snap, encodeSnapshot(image, voters, now))}
}

func (q *Quorum) snapshotWritten(r snapResult) error {
	q.snapping = false
	if errors.Is(r.err, disk.ErrFull) {
		q.log.Warn("no room for a snapshot of the metadata; will try again", "event", "metadata_snapshot_failed", "err", r.err)
		return nil
	}
	if r.err != nil {
		return r.err
	}
	if r.snap.index <= q.snaps.newest().index {
		return nil // a snapshot of the leader came in between
	}
	q.sinceBytes -= r.bytes
	q.metrics.snapshots.Inc()
	q.log.Info("wrote a snapshot of the metadata", "event", "metadata_snapshot", "offset", r.snap.index+1, "epoch", r.snap.term)
	if err := q.snaps.add(r.snap); err != nil {
		return err
	}
	return q.raft.compact()
}

// install takes over a snapshot that the leader sent.
func (q *Quorum) install(s *raftpb.Snapshot) error {
	snap := snapshot{s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()}
	image, voters, err := parseSnapshot(s.GetData(), snap, q.opt.ClusterID)
	if err != nil {
		return fmt.Errorf("quorum: snapshot %s that the leader sent: %w", snap.name(), err)
	}
	if err := q.snaps.write(snap, s.GetData()); err != nil {
		return err
	}
	if err := q.snaps.add(snap); err != nil {
		return err
	}
	if err := q.raft.install(snap); err != nil {
		return err
	}
	clear(q.voters)
	for _, v := range voters {
		q.voters[v.raftID()] = v
	}
	delta := metadata.Diff(q.committed, image)
	q.committed, q.applied, q.held, q.sinceBytes = image, snap.index, nil, 0
	q.commit = max(q.commit, snap.index)
	if q.announced {
		q.publish(delta, nil)
	}
	q.log.Info("took over a snapshot of the metadata", "event", "metadata_snapshot_loaded", "offset", snap.index+1, "epoch", snap.term)
	return nil
}

// stop answers everybody who still waits.
func (q *Quorum) stop() {
	q.mu.Lock()
	q.stopped = true
	queue, calls := q.queue, q.calls
	q.queue, q.inbox, q.calls = nil, nil, nil
	q.mu.Unlock()
	for _, f := range calls {
		f()
	}
	for _, d := range q.decided {
		if d.p != nil {
			d.p.done <- outcome{err: errStopped}
		}
	}
	for _, p := range append(queue, q.parked...) {
		p.done <- outcome{err: errStopped}
	}
	q.decided, q.parked = nil, nil
}

// finish ends a clean stop: what is new since the last snapshot goes into one, so
// that the next start has little to replay.
func (q *Quorum) finish() error {
	if q.snapping {
		q.snapping = false
		if err := q.snapshotWritten(<-q.snapDone); err != nil {
			return err
		}
	}
	if q.sinceBytes >= q.opt.StopSnapshotBytes && q.current && len(q.held) == 0 {
		if err := q.snapshotWritten(q.writeSnapshot(q.committed, q.voterList(), q.sinceBytes, time.Now())); err != nil {
			return err
		}
	}
	return q.raft.sync()
}
