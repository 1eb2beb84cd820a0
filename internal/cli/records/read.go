package records

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

const (
	// fetchBytes bounds an answer of a broker, and partitionBytes the share of one partition in it. A batch that
	// is larger comes whole nevertheless.
	fetchBytes     = 16 << 20
	partitionBytes = 2 << 20
	// chunkBytes is from where on a partition's share is cut, behind a batch, and ahead how many chunks may wait
	// to be handed over: unpacked they may be a hundred times as large.
	chunkBytes = 256 << 10
	ahead      = 16
	// fetchWait is how long a broker waits for something new; when all spans have an end, it is only asked
	// whether there is something.
	fetchWait, fetchWaitClosed = 500 * time.Millisecond, 50 * time.Millisecond
	// growEvery is how often Grow is asked.
	growEvery = 5 * time.Second
)

// ReadOptions say how Read reads. The zero value reads everything that is in the spans.
type ReadOptions struct {
	// Committed leaves out records of transactions that were aborted or are open (isolation.level).
	Committed bool
	// Filter says which records are wanted. It is called by several goroutines; nil wants all.
	Filter func(*kgo.Record) bool
	// Limit stops after so many records that Filter wants; 0 is no limit.
	Limit int64
	// PartitionBytes is how much of a partition is asked for at once: 0 is 2 MiB, and 1 is for those who read
	// here and there. A broker sends a whole batch at least.
	PartitionBytes int32
	// Progress is told of all records that were read, wanted or not. Nil is told nothing.
	Progress *app.Progress
	// Idle is called when all that is there was handed over and more may come; output is flushed there.
	Idle func() error
	// Grow is asked every few seconds for spans of partitions that came since; those that are known are left out.
	Grow func(context.Context) ([]Span, error)
	// Note is told what a person should know and what is no failure: records that were deleted meanwhile.
	Note func(format string, args ...any)
}

// ErrStop is what each returns to end Read without an error.
var ErrStop = errors.New("stop")

// Read hands the records of spans over to each, one after another: in order within a partition. It returns when
// every span is read to its end, after Limit records, when each returns an error, or when ctx ends, with ctx's
// error then. Control records and what compaction took away end a span as records do. Partitions whose topic is
// deleted meanwhile end too; that is the error in the end. Records and their bytes are the callee's.
func Read(ctx context.Context, a *app.App, cl *kgo.Client, spans []Span, o ReadOptions, each func(*kgo.Record) error) error {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	r := &reading{
		a: a, cl: cl, o: o, lanes: map[int32]*lane{}, known: map[partition]bool{},
		chunks: make(chan *chunk, ahead), work: make(chan *chunk, ahead), lost: make(chan *cursor, ahead), through: make(chan struct{}),
		failed: make(chan error, 1),
	}
	defer r.group.Wait()
	defer cancel()
	for range runtime.GOMAXPROCS(0) {
		r.group.Go(func() { r.decode(ctx) })
	}
	r.add(spans)
	r.group.Go(func() { r.lead(ctx) })
	err := r.deliver(ctx, each)
	if errors.Is(err, ErrStop) {
		return nil
	}
	if err == nil {
		err = outer.Err()
	}
	return err
}

// partition names a partition.
type partition struct {
	topic string
	index int32
}

// cursor is how far a span is read. It belongs to the lane that it is in, or to lead while it is lost.
type cursor struct {
	topic    string
	id       kadm.TopicID
	index    int32
	position int64     // what to ask for next
	from     int64     // what is handed over begins here
	end      int64     // or Open
	since    time.Time // when it was lost, until a leader answers for it; zero while it is read
	err      error     // why it was lost
	missing  int       // how often in a row the topic was not there when it was looked up
}

// chunk is a partition's share of an answer, on its way through decode to deliver.
type chunk struct {
	topic     string
	from, end int64
	raw       kmsg.FetchResponseTopicPartition
	read      int64 // records before the filter
	bytes     int64
	records   []*kgo.Record
	err       error
	ready     chan struct{}
}

// reading is one run of Read.
type reading struct {
	a       *app.App
	cl      *kgo.Client
	o       ReadOptions
	group   sync.WaitGroup
	chunks  chan *chunk   // in the order of arrival, to deliver
	work    chan *chunk   // the same, to decode
	lost    chan *cursor  // from lanes: the leader is another one
	through chan struct{} // closed when no cursor is left
	ended   sync.Once     // closes it
	failed  chan error

	mu    sync.Mutex // guards what follows
	lanes map[int32]*lane
	known map[partition]bool
	open  int       // cursors that are not through
	homes []*cursor // that have no lane yet
	gone  error     // the first error that ended a cursor alone
}

// add begins to read spans.
func (r *reading) add(spans []Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range spans {
		r.known[partition{s.Topic, s.Partition}] = true
		if s.End != Open && s.Start >= s.End {
			continue
		}
		position := s.Start
		if s.End == Open {
			position = min(s.Start, s.Next)
		}
		r.open++
		r.homes = append(r.homes, &cursor{topic: s.Topic, index: s.Partition, position: position, from: s.Start, end: s.End, since: time.Now()})
	}
	if r.open == 0 && r.o.Grow == nil {
		r.ended.Do(func() { close(r.through) })
	}
}

// finish takes a cursor away, with the error that ended it.
func (r *reading) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone == nil {
		r.gone = err
	}
	if r.open--; r.open == 0 {
		r.ended.Do(func() { close(r.through) })
	}
}

// fail ends the whole reading.
func (r *reading) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// lead finds the leaders of cursors that have none, and asks for new partitions.
func (r *reading) lead(ctx context.Context) {
	var grow <-chan time.Time
	if r.o.Grow != nil {
		t := time.NewTicker(growEvery)
		defer t.Stop()
		grow = t.C
	}
	pause := time.Duration(0)
	for {
		var wait <-chan time.Time
		if len(r.homes) > 0 {
			wait = time.After(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.through:
			return
		case c := <-r.lost:
			r.homes = append(r.homes, c)
			continue
		case <-grow:
			if spans, err := r.o.Grow(ctx); err == nil {
				spans = r.unknown(spans)
				if len(spans) > 0 {
					r.add(spans)
				}
			}
			continue
		case <-wait:
		}
		before := len(r.homes)
		if err := r.settle(ctx); err != nil {
			r.fail(err)
			return
		}
		pause = min(max(2*pause, 50*time.Millisecond), time.Second)
		if len(r.homes) < before {
			pause = 50 * time.Millisecond
		}
	}
}

// unknown are the spans of partitions that are not read yet.
func (r *reading) unknown(spans []Span) (fresh []Span) {
	for _, s := range spans {
		if !r.known[partition{s.Topic, s.Partition}] {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// settle asks who leads, and gives cursors to the lanes of their brokers. Those without a leader stay.
func (r *reading) settle(ctx context.Context) error {
	seen := map[string]bool{}
	var topics []string
	for _, c := range r.homes {
		if !seen[c.topic] {
			seen[c.topic] = true
			topics = append(topics, c.topic)
		}
	}
	details, err := r.a.AdminOf(r.cl).ListTopicsWithInternal(ctx, topics...)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	var stay []*cursor
	for _, c := range r.homes {
		d, ok := details[c.topic]
		p, led := d.Partitions[c.index]
		deleted := err == nil && (!ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) || c.id != (kadm.TopicID{}) && d.Err == nil && d.ID != c.id)
		switch {
		case deleted:
			if c.missing++; c.missing > 3 {
				r.finish(&app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("topic %s was deleted while it was read", c.topic), Try: "klamm topic list"})
				continue
			}
			stay = append(stay, c)
		case err == nil && led && p.Err == nil && p.Leader >= 0:
			c.id, c.missing = d.ID, 0
			r.laneOf(ctx, p.Leader).take(c)
			continue
		default:
			c.err = firstError(err, d.Err, p.Err, c.err, kerr.LeaderNotAvailable)
			stay = append(stay, c)
		}
		if c.end != Open && time.Since(c.since) > r.a.Timeout() {
			return app.Failed(firstError(c.err, kerr.LeaderNotAvailable), "partition %d of %s could not be read from offset %d on for %s", c.index, c.topic, c.position, app.DurationText(r.a.Timeout()))
		}
	}
	r.homes = stay
	return nil
}

// firstError is the first error that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// laneOf is the lane of a broker, which is begun when it is new.
func (r *reading) laneOf(ctx context.Context, broker int32) *lane {
	l, ok := r.lanes[broker]
	if !ok {
		l = &lane{r: r, broker: broker, wake: make(chan struct{}, 1)}
		r.lanes[broker] = l
		r.group.Go(func() { l.run(ctx) })
	}
	return l
}

// lane asks one broker for the records of all cursors that it leads.
type lane struct {
	r      *reading
	broker int32
	wake   chan struct{}

	mu       sync.Mutex // guards incoming
	incoming []*cursor

	cursors []*cursor
}

// take gives a cursor to the lane.
func (l *lane) take(c *cursor) {
	l.mu.Lock()
	l.incoming = append(l.incoming, c)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run asks until ctx ends or nothing is left to read anywhere.
func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		l.cursors = append(l.cursors, l.incoming...)
		l.incoming = nil
		l.mu.Unlock()
		if len(l.cursors) == 0 {
			select {
			case <-l.wake:
				continue
			case <-l.r.through:
				return
			case <-ctx.Done():
				return
			}
		}
		l.fetch(ctx)
	}
}

// fetch asks once, and hands over what came.
func (l *lane) fetch(ctx context.Context) {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes = 1, fetchBytes
	wait := fetchWaitClosed
	if l.r.o.Committed {
		req.IsolationLevel = 1
	}
	at := map[kadm.TopicID]int{}
	names := map[string]int{}
	asked := map[partition]*cursor{}
	topics := map[kadm.TopicID]string{}
	for _, c := range l.cursors {
		if c.end == Open {
			wait = fetchWait
		}
		if asked[partition{c.topic, c.index}] != nil {
			continue // of two spans of a partition one waits for the other
		}
		i, ok := names[c.topic]
		if !ok {
			i = len(req.Topics)
			names[c.topic], at[c.id], topics[c.id] = i, i, c.topic
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = c.topic, c.id
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = c.index, c.position, cmp.Or(l.r.o.PartitionBytes, partitionBytes)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
		asked[partition{c.topic, c.index}] = c
	}
	req.MaxWaitMillis = int32(wait.Milliseconds())
	// A request that fails is not tried again here: perhaps another broker leads by now.
	kresp, err := l.r.cl.Broker(int(l.broker)).Request(ctx, req)
	if ctx.Err() != nil {
		return
	}
	resp, _ := kresp.(*kmsg.FetchResponse)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		for _, c := range l.cursors {
			l.lose(ctx, c, err)
		}
		l.cursors = nil
		return
	}
	var bytes int
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			bytes += len(p.RecordBatches)
		}
	}
	leave := map[*cursor]bool{}
	advanced := map[*cursor]bool{}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		name := t.Topic
		if name == "" {
			name = topics[t.TopicID]
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			c := asked[partition{name, p.Partition}]
			if c == nil {
				continue
			}
			before := c.position
			if l.part(ctx, c, p, bytes == 0) {
				leave[c] = true
			}
			advanced[c] = c.position != before
		}
	}
	// Who got something goes to the end of the line, so that everyone has a turn.
	first, last := make([]*cursor, 0, len(l.cursors)), []*cursor(nil)
	for _, c := range l.cursors {
		switch {
		case leave[c]:
		case advanced[c]:
			last = append(last, c)
		default:
			first = append(first, c)
		}
	}
	l.cursors = append(first, last...)
}

// lose gives a cursor back, for lead to find its leader.
func (l *lane) lose(ctx context.Context, c *cursor, err error) {
	if c.since.IsZero() {
		c.since = time.Now()
	}
	c.err = err
	select {
	case l.r.lost <- c:
	case <-ctx.Done():
	}
}

// part takes one partition's share of an answer, and says whether the cursor leaves the lane. nothing says that
// the answer has no bytes at all: what it lacks then is not there.
func (l *lane) part(ctx context.Context, c *cursor, p *kmsg.FetchResponseTopicPartition, nothing bool) (leaves bool) {
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		return l.outOfRange(ctx, c)
	case kerr.IsRetriable(err), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		l.lose(ctx, c, err)
		return true
	default:
		l.r.fail(app.Failed(err, "partition %d of %s cannot be read from offset %d on", c.index, c.topic, c.position))
		return true
	}
	c.since = time.Time{}
	next := afterBatches(p.RecordBatches)
	if next > c.position {
		if !l.send(ctx, c, p) {
			return true
		}
		c.position = next
	}
	limit := p.HighWatermark
	if l.r.o.Committed && p.LastStableOffset >= 0 {
		limit = p.LastStableOffset
	}
	// Where compaction took the last records before the end away, the log ends in nothing.
	if c.end != Open && (c.position >= c.end || nothing && limit >= c.end) {
		l.r.finish(nil)
		return true
	}
	return false
}

// send sends a partition's share on its way in chunks, and says whether ctx went on that long.
func (l *lane) send(ctx context.Context, c *cursor, p *kmsg.FetchResponseTopicPartition) bool {
	for rest := p.RecordBatches; len(rest) > 0; {
		n := len(rest)
		// Which batches were aborted is told for the whole answer, and is known only by who reads it from its beginning.
		if len(p.AbortedTransactions) == 0 {
			n = wholeBatches(rest, chunkBytes)
		}
		ch := &chunk{topic: c.topic, from: max(c.position, c.from), end: c.end, raw: *p, ready: make(chan struct{})}
		ch.raw.RecordBatches, rest = rest[:n:n], rest[n:]
		for _, to := range []chan *chunk{l.r.work, l.r.chunks} {
			select {
			case to <- ch:
			case <-ctx.Done():
				return false
			}
		}
	}
	return true
}

// wholeBatches is the length of the first batches of b that together have at least enough bytes, and of all of b
// when there are none.
func wholeBatches(b []byte, enough int) int {
	n := 0
	for n < enough && len(b)-n >= 17 {
		size := int64(binary.BigEndian.Uint32(b[n+8:])) + 12
		if size < 17 || size > int64(len(b)-n) {
			return len(b)
		}
		n += int(size)
	}
	if n < enough {
		return len(b)
	}
	return n
}

// outOfRange moves a cursor whose records were deleted to the first that is there.
func (l *lane) outOfRange(ctx context.Context, c *cursor) (leaves bool) {
	firsts, err := l.r.a.AdminOf(l.r.cl).ListStartOffsets(ctx, c.topic)
	first, ok := firsts.Lookup(c.topic, c.index)
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil || !ok || first.Err != nil:
		l.lose(ctx, c, firstError(first.Err, err, kerr.OffsetOutOfRange))
		return true
	case first.Offset > c.position:
		if n := min(first.Offset, max(c.end, first.Offset)) - c.position; l.r.o.Note != nil && n > 0 {
			l.r.o.Note("offsets %d to %d of %s partition %d were deleted before they could be read", c.position, first.Offset-1, c.topic, c.index)
		}
		c.position = first.Offset
		if c.end != Open && c.position >= c.end {
			l.r.finish(nil)
			return true
		}
		return false
	}
	// The log became shorter than what was read of it: an unclean election, or the topic is another one.
	l.r.fail(&app.Failure{
		Exit: app.ExitFailed, Code: app.CodeBroker, What: fmt.Sprintf("partition %d of %s ends before offset %d", c.index, c.topic, c.position),
		Why: "it lost records, or the topic was deleted and made anew", Try: "klamm topic describe " + c.topic,
	})
	return true
}

// afterBatches is the offset behind the last whole batch, and -1 when there is none.
func afterBatches(b []byte) int64 {
	next := int64(-1)
	for len(b) >= 17 {
		size := int64(binary.BigEndian.Uint32(b[8:])) + 12
		if size < 17 || size > int64(len(b)) {
			break
		}
		last := int64(binary.BigEndian.Uint64(b))
		if b[16] >= 2 {
			if size < 27 {
				break
			}
			last += int64(int32(binary.BigEndian.Uint32(b[23:])))
		}
		next = max(next, last+1)
		b = b[size:]
	}
	return next
}

// decode makes records of chunks.
func (r *reading) decode(ctx context.Context) {
	isolation := kgo.ReadUncommitted()
	if r.o.Committed {
		isolation = kgo.ReadCommitted()
	}
	unpack := kgo.DefaultDecompressor()
	for {
		var ch *chunk
		select {
		case ch = <-r.work:
		case <-ctx.Done():
			return
		}
		o := kgo.ProcessFetchPartitionOpts{Offset: ch.from, IsolationLevel: isolation, Topic: ch.topic, Partition: ch.raw.Partition}
		got, next := kgo.ProcessFetchPartition(o, &ch.raw, unpack, nil)
		ch.bytes = int64(len(ch.raw.RecordBatches))
		ch.raw.RecordBatches = nil
		if got.Err != nil {
			ch.err = &app.Failure{
				Exit: app.ExitFailed, Code: app.CodeInput, What: fmt.Sprintf("partition %d of %s cannot be read from offset %d on", ch.raw.Partition, ch.topic, next),
				Why: got.Err.Error(), Try: fmt.Sprintf("klamm consume %s -p %d -o %d   # to go on behind it", ch.topic, ch.raw.Partition, next+1),
			}
		}
		keep := got.Records[:0]
		for _, rec := range got.Records {
			if ch.end != Open && rec.Offset >= ch.end {
				break
			}
			ch.read++
			if r.o.Filter == nil || r.o.Filter(rec) {
				keep = append(keep, rec)
			}
		}
		ch.records = keep
		close(ch.ready)
	}
}

// deliver hands records over until nothing is left.
func (r *reading) deliver(ctx context.Context, each func(*kgo.Record) error) error {
	left := r.o.Limit
	for {
		var ch *chunk
		select {
		case ch = <-r.chunks:
		default:
			if r.o.Idle != nil {
				if err := r.o.Idle(); err != nil {
					return err
				}
			}
			select {
			case ch = <-r.chunks:
			case err := <-r.failed:
				return err
			case <-ctx.Done():
				return nil
			case <-r.through:
				// What the last cursors sent before they were through is there already.
				select {
				case ch = <-r.chunks:
				default:
					r.mu.Lock()
					defer r.mu.Unlock()
					return r.gone
				}
			}
		}
		select {
		case <-ch.ready:
		case <-ctx.Done():
			return nil
		}
		for _, rec := range ch.records {
			if err := each(rec); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
		if r.o.Progress != nil {
			r.o.Progress.Add(ch.read, ch.bytes)
		}
		if ch.err != nil {
			return ch.err
		}
	}
}
