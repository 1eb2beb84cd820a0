package api

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// fetch is a set of partitions that are fetched from, and the one request on it
// that is under way. In a session it lives from request to request, stays
// registered with its partitions, and looks only at those that moved or were
// named; without one it serves a single request.
type fetch struct {
	b       *Broker
	waiter  *replica.Waiter
	session bool
	id      int32 // of the session

	mu     sync.Mutex // guards everything below
	epoch  int32      // the next request's
	closed bool       // evicted, or closed by its client
	busy   bool       // a reply is parked
	byID   bool
	parts  []*fetchPart // by slot; nil where one was forgotten
	free   []int32      // slots without a part
	slots  map[fetchKey]int32
	topics map[topicKey]int32 // an ordinal for each topic, so that a response groups its partitions
	queue  []int32            // slots to look at, in this order
	awake  bool               // registered with its partitions, and with those it finds from here on
	moved  []int32
	given  []int32 // slots that the response names

	// of the request under way
	version   int16
	conn      *rpc.Conn
	full      bool // the response names every partition
	committed bool
	follower  bool
	query     replica.ReadQuery
	minBytes  int
	maxBytes  int
	total     int
	held      int // bytes read into memory for the response, those given up counted too
	failed    bool
	deadline  time.Time
	writer    wire.FetchResponseWriter
	data      wire.FetchResponsePartitionData
}

type topicKey struct {
	name string
	id   wire.UUID
}

type fetchKey struct {
	topic topicKey
	index int32
}

// fetchPart is one partition of a fetch.
type fetchPart struct {
	key          fetchKey
	topic        int32 // ordinal of its topic
	offset       int64
	maxBytes     int32
	leaderEpoch  int32
	fetchedEpoch int32
	partition    *replica.Partition // nil while it is not known here
	watch        replica.Watch
	live         bool        // not forgotten
	queued       bool        // in fetch.queue
	denied       error       // what the authorizer said
	err          error       // of the last read
	result       *readResult // what the response will carry; nil when nothing was read
	size         int         // bytes of result
	toldHigh     int64       // the watermark and the log's start that the fetcher was last told
	toldStart    int64
}

// readResult is one read that a response refers to until it is sent.
type readResult struct {
	replica.ReadResult
	bytes []byte // what is sent in place of Data, for old fetchers
	pool  *sync.Pool
}

// Release implements rpc.Releaser.
func (r *readResult) Release() {
	r.Data.Release()
	r.bytes = nil
	r.pool.Put(r)
}

func newFetch(b *Broker) *fetch {
	return &fetch{b: b, waiter: replica.NewWaiter(), slots: make(map[fetchKey]int32), topics: make(map[topicKey]int32)}
}

// ask takes over what a request says: its limits, and the partitions it adds, changes and forgets.
func (f *fetch) ask(c *rpc.Call, q *wire.FetchReader) {
	f.version, f.conn = c.Header.Version, c.Conn
	f.committed, f.follower = q.IsolationLevel == 1, q.ReplicaID >= 0
	f.maxBytes = min(int(q.MaxBytes), f.b.maxFetch)
	f.minBytes = min(int(q.MinBytes), f.maxBytes)
	f.total, f.held, f.failed, f.given = 0, 0, false, f.given[:0]
	f.query = replica.ReadQuery{Committed: f.committed, Follower: f.follower, FollowerID: q.ReplicaID, FollowerEpoch: q.ReplicaEpoch, FileRanges: f.version >= oldestZstdFetch}
	for {
		p, ok := q.Next()
		if !ok {
			break
		}
		f.name(c, &p)
	}
	for {
		topic, id, index, ok := q.NextForgotten()
		if !ok {
			return
		}
		f.forget(fetchKey{topicKey{topic, id}, index})
	}
}

// name adds a partition or changes where it is read from; either way it is looked at.
func (f *fetch) name(c *rpc.Call, q *wire.FetchPartition) {
	key := fetchKey{topicKey{q.Topic, q.TopicID}, q.Partition}
	slot, known := f.slots[key]
	if !known {
		slot = f.add(key)
	}
	p := f.parts[slot]
	p.offset, p.maxBytes, p.leaderEpoch, p.fetchedEpoch = q.FetchOffset, q.MaxBytes, q.CurrentLeaderEpoch, q.LastFetchedEpoch
	if p.partition != nil {
		p.denied = f.b.readable(c.Conn, p.partition.Topic())
	} else if !f.byID {
		p.denied = f.b.readable(c.Conn, p.key.topic.name)
	}
	p.fetches(c.Conn)
	f.enqueue(slot, p)
}

func (f *fetch) add(key fetchKey) int32 {
	var slot int32
	var p *fetchPart
	if n := len(f.free); n > 0 {
		slot = f.free[n-1]
		f.free = f.free[:n-1]
		p = f.parts[slot]
	} else {
		slot = int32(len(f.parts))
		p = new(fetchPart)
		f.parts = append(f.parts, p)
	}
	*p = fetchPart{key: key, live: true, toldHigh: -1, toldStart: -1}
	f.resolve(slot, p)
	if p.partition != nil && !f.byID {
		p.key.topic.name = p.partition.Topic() // the request's own bytes are gone when it has been answered
	} else {
		p.key.topic.name = strings.Clone(key.topic.name)
	}
	topic, known := f.topics[p.key.topic]
	if !known {
		topic = int32(len(f.topics))
		f.topics[p.key.topic] = topic
	}
	p.topic = topic
	f.slots[p.key] = slot
	return slot
}

// resolve finds the partition on this broker, and registers with it where the fetch may wait for it.
func (f *fetch) resolve(slot int32, p *fetchPart) {
	var err error
	if f.byID {
		p.partition, err = f.b.Replicas.PartitionByID(p.key.topic.id, p.key.index)
	} else {
		p.partition, err = f.b.Replicas.Partition(p.key.topic.name, p.key.index)
	}
	if p.err = err; err == nil && f.awake {
		p.watch.Start(p.partition, f.waiter, slot, f.events())
	}
}

func (f *fetch) events() replica.Events {
	if f.follower {
		return replica.OnEnd | replica.OnWatermark
	}
	return replica.OnWatermark
}

func (f *fetch) forget(key fetchKey) {
	slot, known := f.slots[key]
	if !known {
		return
	}
	p := f.parts[slot]
	p.watch.Stop()
	f.drop(p)
	p.partition, p.live = nil, false
	delete(f.slots, key)
	f.free = append(f.free, slot)
	if p.queued {
		f.queue = slices.DeleteFunc(f.queue, func(s int32) bool { return s == slot })
		p.queued = false
	}
}

func (f *fetch) enqueue(slot int32, p *fetchPart) {
	if !p.queued {
		p.queued = true
		f.queue = append(f.queue, slot)
	}
}

// drop gives up what was read of p, which is read again.
func (f *fetch) drop(p *fetchPart) {
	if p.result != nil {
		f.total -= p.size
		p.result.Release()
		p.result, p.size = nil, 0
	}
}

func (f *fetch) watchOf(slot int32) *replica.Watch { return &f.parts[slot].watch }

// watchAll registers a fetch without a session with its partitions, and has all of them looked at
// again, as they may have moved since.
func (f *fetch) watchAll() {
	f.awake = true
	for slot, p := range f.parts {
		if p.partition != nil {
			p.watch.Start(p.partition, f.waiter, int32(slot), f.events())
		}
		if p.live {
			f.enqueue(int32(slot), p)
		}
	}
}

// poll reads what is queued and what moved, as far as the limits of the request allow.
func (f *fetch) poll() {
	f.moved = f.waiter.Moved(f.moved[:0], f.watchOf)
	for _, slot := range f.moved {
		if p := f.parts[slot]; p.partition != nil {
			f.enqueue(slot, p)
		}
	}
	n := 0
	for ; n < len(f.queue); n++ {
		slot := f.queue[n]
		p := f.parts[slot]
		f.drop(p)
		if f.total >= f.maxBytes && f.total > 0 {
			break
		}
		f.read(slot, p)
		f.given = append(f.given, slot)
		if f.cut(p) {
			break // it is the first of the next request
		}
		p.queued = false
	}
	f.queue = append(f.queue[:0], f.queue[n:]...)
}

// heldMost is how many bytes of one response are read into memory before files are sent from where they lie.
const heldMost = 1 << 20

// cut says that there was something to read and no room left for its first batch.
func (f *fetch) cut(p *fetchPart) bool {
	if p.err != nil || p.result == nil || p.size > 0 || p.result.Diverging {
		return false
	}
	end := p.result.HighWatermark
	if f.committed {
		end = p.result.LastStable
	}
	return p.offset < end
}

// read reads one partition. An error that the reader did not know of yet ends the wait.
func (f *fetch) read(slot int32, p *fetchPart) {
	if p.partition == nil {
		if f.resolve(slot, p); p.partition != nil && f.byID { // nobody could be asked about it before
			p.denied = f.b.readable(f.conn, p.partition.Topic())
		}
	}
	if p.denied != nil {
		p.err = p.denied
		return
	}
	if p.partition == nil {
		// What another broker has, or could not be opened, ends the wait as any error does, but not what nobody knows.
		f.failed = f.failed || !errors.Is(p.err, code.UnknownTopicOrPartition) && !errors.Is(p.err, code.UnknownTopicId)
		return
	}
	r := f.b.results.Get().(*readResult)
	q := &f.query
	q.Offset, q.MaxBytes, q.MinOne = p.offset, min(int(p.maxBytes), f.maxBytes-f.total), f.total == 0
	q.LeaderEpoch, q.FetchedEpoch = p.leaderEpoch, p.fetchedEpoch
	q.SmallRanges = f.held >= heldMost
	err := p.partition.Read(q, &r.ReadResult)
	if f.follower && err == nil && !r.Diverging {
		err = p.partition.Followed(q, time.Now())
	}
	if errors.Is(err, code.NotLeaderOrFollower) { // gone from here, or for good
		p.watch.Stop()
		if f.resolve(slot, p); p.partition != nil {
			err = p.partition.Read(q, &r.ReadResult)
		} else {
			err = p.err
		}
	}
	size := r.Data.Len()
	if err == nil && size > 0 && f.version < oldestZstdFetch {
		if r.bytes, err = f.older(p, r.Data.Bytes()); len(r.bytes) == 0 && err == nil {
			r.bytes = noRecords
		}
		size = len(r.bytes)
	}
	p.err = err
	p.looked()
	p.result, p.size = r, size
	f.total += size
	if r.bytes != nil || r.Data.Bytes() != nil {
		f.held += size
	}
	f.failed = f.failed || err != nil || r.Diverging
}

// enough says that the request can be answered now.
func (f *fetch) enough() bool {
	return f.total >= f.minBytes || f.failed || f.hopeless()
}

// hopeless says that nothing can come: no partition of the fetch is known here and allowed to its reader. One that
// is makes the others wait with it, as in Kafka.
func (f *fetch) hopeless() bool {
	for _, p := range f.parts {
		if p.live && p.partition != nil && p.denied == nil {
			return false
		}
	}
	return true
}

// news says whether a response within a session has to name the partition.
func (f *fetch) news(p *fetchPart) bool {
	r := p.result
	return f.full || p.err != nil || r != nil && (p.size > 0 || r.Diverging || r.HighWatermark != p.toldHigh || r.LogStart != p.toldStart)
}

// answer writes the response. Partitions that gave something are looked at again by the next request.
func (f *fetch) answer(r *rpc.Reply) {
	given := f.collect()
	topics := 0
	for i, slot := range given {
		if i == 0 || f.parts[slot].topic != f.parts[given[i-1]].topic {
			topics++
		}
	}
	var endpoints []wire.FetchResponseNodeEndpoint
	w := &f.writer
	w.Begin(r.Buf, f.version, 0, 0, f.id, topics)
	for i, slot := range given {
		p := f.parts[slot]
		if i == 0 || p.topic != f.parts[given[i-1]].topic {
			n := 1
			for i+n < len(given) && f.parts[given[i+n]].topic == p.topic {
				n++
			}
			w.Topic(p.key.topic.name, p.key.topic.id, n)
		}
		more := p.size > 0 || p.err != nil
		if endpoints = f.write(r, p, endpoints); more {
			f.enqueue(slot, p)
		}
	}
	r.Buf = w.End(endpoints)
	f.given = f.given[:0]
	f.rest()
}

// collect returns the slots that the response names, the partitions of a topic side by side.
func (f *fetch) collect() []int32 {
	if f.full {
		f.given = f.given[:0]
		for slot, p := range f.parts {
			if p.live {
				f.given = append(f.given, int32(slot))
			}
		}
	} else {
		slices.Sort(f.given)
		f.given = slices.Compact(f.given)
		kept := f.given[:0]
		for _, slot := range f.given {
			if p := f.parts[slot]; f.news(p) {
				kept = append(kept, slot)
			} else {
				f.drop(p)
			}
		}
		f.given = kept
	}
	byTopic := func(a, b int32) int { return int(f.parts[a].topic - f.parts[b].topic) }
	if !slices.IsSortedFunc(f.given, byTopic) {
		slices.SortStableFunc(f.given, byTopic)
	}
	return f.given
}

// copyLimit is up to how many bytes records are copied into the response rather than referred to:
// one piece more of a vectored write costs about as much as copying so many.
const copyLimit = 4 << 10

// write appends one partition's answer.
func (f *fetch) write(r *rpc.Reply, p *fetchPart, endpoints []wire.FetchResponseNodeEndpoint) []wire.FetchResponseNodeEndpoint {
	d := &f.data
	d.Default()
	d.PartitionIndex, d.HighWatermark, d.Records = p.key.index, -1, noRecords
	res := p.result
	if res != nil {
		d.HighWatermark, d.LastStableOffset, d.LogStartOffset = res.HighWatermark, res.LastStable, res.LogStart
		p.toldHigh, p.toldStart = res.HighWatermark, res.LogStart
		if res.Diverging {
			d.DivergingEpoch.Epoch, d.DivergingEpoch.EndOffset = res.DivergingEpoch, res.DivergingEnd
		}
	} else if p.err == nil && p.partition != nil { // not looked at in this request
		d.HighWatermark, d.LastStableOffset, d.LogStartOffset = p.partition.HighWatermark(), p.partition.LastStable(), p.partition.Log().Bounds().Start
	}
	d.AbortedTransactions = noAborted
	if !f.committed && p.partition != nil {
		d.AbortedTransactions = nil // Kafka's own null, where it has a partition to speak of
	}
	if p.err != nil {
		endpoints = f.fail(d, p, endpoints)
	}
	if p.size == 0 {
		f.writer.Partition(d)
		if res != nil {
			p.result = nil
			res.Release()
		}
		return endpoints
	}
	p.sent(f.follower)
	p.fetched(f.conn)
	bytes := res.bytes
	if bytes == nil {
		bytes = res.Data.Bytes()
	}
	if bytes != nil && len(bytes) <= copyLimit {
		d.Records = bytes
		f.writer.Partition(d)
		res.Release()
	} else {
		g := rpc.Range{At: f.writer.PartitionGap(d, p.size), Bytes: bytes, Hold: res}
		if bytes == nil {
			g.File, g.Offset, g.Len = res.Data.File()
		}
		r.Ranges = append(r.Ranges, g)
	}
	p.result, p.size = nil, 0
	return endpoints
}

// noAborted is the list of aborted transactions of a read_committed answer without any.
var noAborted = []wire.FetchResponseAbortedTransaction{}

// fail fills in the error of a partition, and who leads it where that helps (KIP-951).
func (f *fetch) fail(d *wire.FetchResponsePartitionData, p *fetchPart, endpoints []wire.FetchResponseNodeEndpoint) []wire.FetchResponseNodeEndpoint {
	d.ErrorCode, _ = f.b.failure(p.err)
	d.ErrorCode = olderStorageError(d.ErrorCode, f.version, 6)
	f.b.errors.count(keyFetch, d.ErrorCode)
	if f.version < 12 || p.partition == nil {
		return endpoints
	}
	if c := code.Error(d.ErrorCode); c == code.NotLeaderOrFollower || c == code.FencedLeaderEpoch {
		d.CurrentLeader.LeaderId, d.CurrentLeader.LeaderEpoch = p.partition.Leader()
		if e, ok := f.b.leaderEndpoint(d.CurrentLeader.LeaderId, f.conn); ok {
			endpoints = append(endpoints, wire.FetchResponseNodeEndpoint{NodeId: d.CurrentLeader.LeaderId, Host: e.host, Port: e.port, Rack: e.rack})
		}
	}
	return endpoints
}

// rest ends the request: a session waits for its next one, anything else goes back to the pool.
func (f *fetch) rest() {
	f.busy, f.conn = false, nil
	if f.session && !f.closed {
		return
	}
	f.clear()
	if !f.session {
		f.b.fetches.Put(f)
	}
}

// clear lets go of every partition.
func (f *fetch) clear() {
	for _, p := range f.parts {
		p.watch.Stop()
		f.drop(p)
		p.partition, p.queued, p.live = nil, false, false
	}
	clear(f.slots)
	clear(f.topics)
	f.queue, f.given, f.free = f.queue[:0], f.given[:0], f.free[:0]
	for i := range f.parts {
		f.free = append(f.free, int32(i))
	}
	f.awake = f.session
	f.waiter.Reset()
}

// Ready implements rpc.Parked.
func (f *fetch) Ready() <-chan struct{} { return f.waiter.Ready() }

// Deadline implements rpc.Parked.
func (f *fetch) Deadline() time.Time { return f.deadline }

// Finish implements rpc.Parked.
func (f *fetch) Finish(r *rpc.Reply, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.poll()
	if !f.enough() && now.Before(f.deadline) && !f.closed {
		return false
	}
	f.answer(r)
	return true
}

// End implements rpc.Ending: the answer is what there is, as at the deadline.
func (f *fetch) End(r *rpc.Reply) bool { return f.Finish(r, f.deadline) }

// Drop implements rpc.Parked.
func (f *fetch) Drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for slot, p := range f.parts {
		if p.result != nil {
			f.drop(p)
			f.enqueue(int32(slot), p)
		}
	}
	f.rest()
}
