package replica

import (
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/isr"
	"github.com/klamm/klamm/internal/record"
)

func TestAppendGivesOffsetsAndReadGivesThemBack(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	e, err := appendTo(p, plain(), batch(record.BuilderOptions{}, "a", "b"), batch(record.BuilderOptions{Codec: record.Zstd}, "c"))
	must(t, err)
	same(t, []int64{e[0].Entry.BaseOffset, e[0].Entry.LastOffset, e[1].Entry.BaseOffset, e[1].Entry.LastOffset}, []int64{0, 1, 2, 2})
	equal(t, e[0].Entry.AppendTime, -1)
	equal(t, p.HighWatermark(), 3)
	equal(t, p.LastStable(), 3)
	same(t, values(t, p, ReadQuery{}), []string{"a", "b", "c"})
	same(t, values(t, p, ReadQuery{Offset: 1, Committed: true}), []string{"b", "c"})
	same(t, p.ISR(), sole)
	equal(t, p.Topic(), "t")
	equal(t, p.TopicID(), id(1))
	equal(t, p.Directory(), b.set.cfg.Dirs[0].Meta().DirectoryID)
}

func TestAppendRefusesSingleEntries(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole, "max.message.bytes=200")
	p := b.get("t", 0)
	damaged := batch(record.BuilderOptions{}, "x")
	damaged[len(damaged)-1] ^= 1
	producer := &record.Producer{ID: 7}
	cases := []struct {
		name string
		e    Produced
		want code.Error
	}{
		{"crc", Produced{Records: damaged}, code.CorruptMessage},
		{"short", Produced{Records: batch(record.BuilderOptions{}, "x")[:40]}, code.CorruptMessage},
		{"no batch at all", Produced{Records: []byte("nothing of the kind, but long enough")}, code.CorruptMessage},
		{"too short to be one", Produced{Records: []byte("nothing")}, code.InvalidRecord},
		{"nothing", Produced{}, code.InvalidRecord},
		{"two batches", Produced{Records: append(batch(record.BuilderOptions{}, "x"), batch(record.BuilderOptions{}, "y")...)}, code.InvalidRecord},
		{"old magic in a new request", Produced{Records: messageSet(1, "x")}, code.InvalidRecord},
		{"control", Produced{Records: batch(record.BuilderOptions{Control: true, Producer: producer}, "x")}, code.InvalidRecord},
		{"transactional", Produced{Records: batch(record.BuilderOptions{Transactional: true, Producer: producer}, "x")}, code.InvalidTxnState},
		{"too large", Produced{Records: batch(record.BuilderOptions{}, strings.Repeat("x", 300))}, code.MessageTooLarge},
		{"out of sequence", Produced{Records: batch(record.BuilderOptions{Producer: &record.Producer{ID: 8, Sequence: 3}}, "x")}, 0},
	}
	var entries []*Produced
	for i := range cases {
		entries = append(entries, &cases[i].e, &Produced{Records: batch(record.BuilderOptions{}, cases[i].name)})
	}
	must(t, p.Append(entries, plain()))
	var want []string
	for i := range cases {
		if c := &cases[i]; c.want == 0 {
			must(t, c.e.Entry.Err) // a producer that is not known may begin anywhere
			want = append(want, "x")
		} else if got := code.Of(c.e.Entry.Err); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.e.Entry.Err, c.want)
		} else if c.e.Entry.BaseOffset != -1 || c.e.Entry.LastOffset != -1 {
			t.Errorf("%s: has offsets %d to %d", c.name, c.e.Entry.BaseOffset, c.e.Entry.LastOffset)
		}
		must(t, entries[2*i+1].Entry.Err)
		want = append(want, cases[i].name)
	}
	same(t, values(t, p, ReadQuery{}), want)
}

func TestAppendTellsWhichRecordsAreWrong(t *testing.T) {
	b := startBroker(t)
	b.topic("compacted", 1, 1, sole, "cleanup.policy=compact")
	b.topic("timely", 2, 1, sole, "message.timestamp.before.max.ms=1")
	p := b.get("compacted", 0)
	e, err := appendTo(p, plain(), batch(record.BuilderOptions{}, "k:1", "without", "k:2", "without"))
	must(t, err)
	holds(t, e[0].Entry.Err, code.InvalidRecord)
	same(t, []int32{e[0].RecordErrors[0].Index, e[0].RecordErrors[1].Index}, []int32{1, 3})
	// The entry is used again, and nothing of before is left.
	e[0].Records = batch(record.BuilderOptions{}, "k:1")
	must(t, p.Append(e, plain()))
	must(t, e[0].Entry.Err)
	equal(t, len(e[0].RecordErrors), 0)

	o := plain()
	o.Now = now.Add(2 * time.Millisecond) // records are 0, 1 and 2 ms after now
	e, err = appendTo(b.get("timely", 0), o, batch(record.BuilderOptions{}, "a", "b", "c"))
	must(t, err)
	holds(t, e[0].Entry.Err, code.InvalidTimestamp)
	equal(t, len(e[0].RecordErrors), 1)
}

func messageSet(magic int8, values ...string) []byte {
	b := record.Batch(batch(record.BuilderOptions{}, values...))
	set, _, err := record.ConvertDown(nil, b, magic, 0, 1<<20, 1<<20, record.NewCodecs(1))
	if err != nil {
		panic(err)
	}
	return set
}

func TestAppendConvertsOldFormats(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	b.topic("stamped", 2, 1, sole, "message.timestamp.type=LogAppendTime")
	p := b.get("t", 0)
	entries := []*Produced{
		{Records: messageSet(0, "a", "b"), Multi: true},
		{Records: messageSet(1, "c"), Multi: true},
		{Multi: true}, // an empty set
		{Records: append(batch(record.BuilderOptions{}, "d"), batch(record.BuilderOptions{}, "e", "f")...), Multi: true},
		{Records: messageSet(1, "damaged")[:20], Multi: true},
	}
	o := plain()
	o.Acks = -1
	must(t, p.Append(entries, o))
	for i := range 4 {
		must(t, entries[i].Entry.Err)
		if last := entries[i].Entry.LastOffset; !p.Committed(-1, last) {
			t.Errorf("%d is not committed", last)
		}
	}
	same(t, []int64{entries[0].Entry.LastOffset, entries[1].Entry.LastOffset, entries[2].Entry.LastOffset, entries[3].Entry.LastOffset}, []int64{1, 2, -1, 5})
	holds(t, entries[4].Entry.Err, code.CorruptMessage)
	same(t, values(t, p, ReadQuery{}), []string{"a", "b", "c", "d", "e", "f"})

	e := []*Produced{{Records: messageSet(1, "x"), Multi: true}, {Records: batch(record.BuilderOptions{}, "y")}, {Records: messageSet(0, "z"), Multi: true}}
	must(t, b.get("stamped", 0).Append(e, plain()))
	for _, e := range e {
		must(t, e.Entry.Err)
		equal(t, e.Entry.AppendTime, now.UnixMilli())
	}
}

func TestAppendCompressesAnew(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole, "compression.type=lz4")
	p := b.get("t", 0)
	v := strings.Repeat("klamm ", 100)
	records := append(batch(record.BuilderOptions{Codec: record.LZ4}, "kept"), batch(record.BuilderOptions{Codec: record.Gzip}, v)...)
	records = append(records, batch(record.BuilderOptions{Codec: record.LZ4}, "last")...)
	e := []*Produced{{Records: records, Multi: true}}
	must(t, p.Append(e, plain()))
	must(t, e[0].Entry.Err)
	same(t, values(t, p, ReadQuery{}), []string{"kept", v, "last"})
	var r ReadResult
	must(t, p.Read(&ReadQuery{MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: -1, FetchedEpoch: -1}, &r))
	defer r.Data.Release()
	for rest := r.Data.Bytes(); len(rest) > 0; {
		b, after, err := record.Next(rest)
		must(t, err)
		equal(t, b.Codec(), record.LZ4)
		rest = after
	}
}

func TestDuplicatesGetTheirOldOffsets(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	mustAppend(t, p, "before")
	make := func(sequence int32) []byte {
		return batch(record.BuilderOptions{Producer: &record.Producer{ID: 7, Sequence: sequence}}, "a", "b")
	}
	e, err := appendTo(p, plain(), make(0), make(0), make(2), make(9))
	must(t, err)
	same(t, []any{e[1].Entry.Duplicate, e[1].Entry.BaseOffset, e[1].Entry.LastOffset}, []any{true, 1, 2})
	same(t, []any{e[2].Entry.Duplicate, e[2].Entry.BaseOffset}, []any{false, 3})
	holds(t, e[3].Entry.Err, code.OutOfOrderSequenceNumber)
	equal(t, p.HighWatermark(), 5)
}

func TestAppendIsFencedByEpochsAndLeadership(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2})
	p := b.get("t", 0)
	o := plain()
	o.Epoch = 0
	e, err := appendTo(p, o, batch(record.BuilderOptions{}, "a"))
	must(t, err)
	must(t, e[0].Entry.Err)
	b.lead(1, self, nil)
	_, err = appendTo(p, o, batch(record.BuilderOptions{}, "b"))
	holds(t, err, code.FencedLeaderEpoch)
	holds(t, p.CheckEpoch(0), code.FencedLeaderEpoch)
	holds(t, p.CheckEpoch(2), code.UnknownLeaderEpoch)
	must(t, p.CheckEpoch(1))
	must(t, p.CheckEpoch(-1))

	b.lead(1, 2, nil)
	_, err = appendTo(p, plain(), batch(record.BuilderOptions{}, "b"))
	holds(t, err, code.NotLeaderOrFollower)
	leader, epoch := p.Leader()
	same(t, []int32{leader, epoch}, []int32{2, 2})
	b.lead(1, -1, nil)
	if leader, epoch := p.Leader(); leader != -1 || epoch != 3 {
		t.Fatalf("leader %d in epoch %d", leader, epoch)
	}
	holds(t, p.Read(&ReadQuery{MaxBytes: 1, LeaderEpoch: -1, FetchedEpoch: -1}, new(ReadResult)), code.NotLeaderOrFollower)
}

func TestAcksAllWantsEnoughInSync(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2, 3}, "min.insync.replicas=2")
	p := b.get("t", 0)
	b.lead(1, self, []int32{self})
	o := plain()
	o.Acks = -1
	_, err := appendTo(p, o, batch(record.BuilderOptions{}, "a"))
	holds(t, err, code.NotEnoughReplicas)
	equal(t, p.Log().Bounds().End, 0)
	mustAppend(t, p, "b") // acks=1 goes on, and nobody sees it
	equal(t, p.HighWatermark(), 0)
	// The topic is content with less: seen at once.
	b.apply(b.configs("t", "min.insync.replicas=1")...)
	equal(t, p.HighWatermark(), 1)
}

func TestEveryEpochIsNotedAtItsStart(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2})
	p := b.get("t", 0)
	mustAppend(t, p, "a", "b")
	b.lead(1, 2, nil)
	b.lead(1, self, nil) // epoch 2, nothing appended in it
	equal(t, p.Log().LastEpoch(), 2)
	epoch, end := p.Log().EndOffsetFor(1)
	same(t, []int64{int64(epoch), end}, []int64{0, 2})
	b.lead(1, self, nil) // leads on, in a new epoch (KAFKA-7164)
	equal(t, p.Log().LastEpoch(), 3)
}

// leaderLog makes a partition whose log has the given epochs, one record each.
func leaderLog(t *testing.T, epochs ...int32) (*broker, *Partition) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2, 3})
	p := b.get("t", 0)
	for _, e := range epochs {
		for {
			if _, now := p.Leader(); now == e {
				break
			} else if now > e {
				t.Fatal("epochs must rise")
			}
			b.lead(1, self, nil)
		}
		mustAppend(t, p, "x")
	}
	return b, p
}

// TestDivergenceIsFoundByEpochs is rule R3: one row for each shape of a follower's log beside the leader's.
func TestDivergenceIsFoundByEpochs(t *testing.T) {
	// The leader has 0: offsets 0, 1; 2: offsets 2, 3, 4; 5: offsets 5, 6.
	_, p := leaderLog(t, 0, 0, 2, 2, 2, 5, 5)
	cases := []struct {
		name          string
		fetched       int32
		offset        int64
		diverges      bool
		epoch         int32
		end           int64
		err           code.Error
		records, from int64 // what is given when it does not diverge
	}{
		{name: "empty follower", fetched: -1, offset: 0, records: 7},
		{name: "known epoch, shorter", fetched: 2, offset: 3, records: 4},
		{name: "known epoch, as long", fetched: 2, offset: 5, records: 2},
		{name: "known epoch, longer", fetched: 2, offset: 6, diverges: true, epoch: 2, end: 5},
		{name: "known epoch, longer than the leader's log", fetched: 0, offset: 20, diverges: true, epoch: 0, end: 2},
		{name: "last epoch, shorter", fetched: 5, offset: 6, records: 1},
		{name: "last epoch, as long", fetched: 5, offset: 7, records: 0},
		{name: "last epoch, longer", fetched: 5, offset: 9, diverges: true, epoch: 5, end: 7},
		{name: "unknown epoch between two", fetched: 3, offset: 6, diverges: true, epoch: 2, end: 5},
		{name: "unknown epoch between the first two, several apart", fetched: 1, offset: 4, diverges: true, epoch: 0, end: 2},
		{name: "newer than all", fetched: 6, offset: 7, err: code.OffsetOutOfRange},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := ReadQuery{Offset: c.offset, MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: 5, FetchedEpoch: c.fetched, Follower: true, FollowerID: 2}
			var r ReadResult
			defer r.Data.Release()
			err := p.Read(&q, &r)
			if c.err != 0 {
				holds(t, err, c.err)
				equal(t, r.HighWatermark, -1)
				return
			}
			must(t, err)
			equal(t, r.Diverging, c.diverges)
			if c.diverges {
				same(t, []int64{int64(r.DivergingEpoch), r.DivergingEnd, int64(r.Data.Len())}, []int64{int64(c.epoch), c.end, 0})
				return
			}
			n := int64(0)
			for rest := r.Data.Bytes(); len(rest) > 0; n++ {
				_, after, err := record.Next(rest)
				must(t, err)
				rest = after
			}
			equal(t, n, c.records)
		})
	}
	t.Run("empty leader", func(t *testing.T) {
		_, p := leaderLog(t)
		var r ReadResult
		must(t, p.Read(&ReadQuery{Offset: 3, MaxBytes: 1, LeaderEpoch: 0, FetchedEpoch: 0, Follower: true, FollowerID: 2}, &r))
		same(t, []any{r.Diverging, r.DivergingEpoch, r.DivergingEnd}, []any{true, 0, 0})
	})
	t.Run("older than all that is kept", func(t *testing.T) {
		_, p := leaderLog(t, 0, 0, 2, 2, 2, 5, 5)
		for _, id := range []int32{2, 3} {
			must(t, p.Followed(&ReadQuery{FollowerID: id, FollowerEpoch: 9, LeaderEpoch: 5, Offset: 7}, now))
		}
		start, err := p.DeleteRecords(3)
		must(t, err)
		equal(t, start, 3)
		holds(t, p.Read(&ReadQuery{Offset: 1, MaxBytes: 1, LeaderEpoch: 5, FetchedEpoch: 0, Follower: true, FollowerID: 2}, new(ReadResult)), code.OffsetOutOfRange)
	})
}

func TestFollowersMoveTheWatermark(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2, 3})
	p := b.get("t", 0)
	mustAppend(t, p, "a", "b", "c")
	equal(t, p.HighWatermark(), 0)
	same(t, values(t, p, ReadQuery{}), []string{})
	var r ReadResult
	must(t, p.Read(&ReadQuery{MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: 0, FetchedEpoch: -1, Follower: true, FollowerID: 2}, &r))
	if r.Data.Len() == 0 {
		t.Fatal("a follower sees nothing of what is not committed")
	}
	r.Data.Release()
	fetched := func(from int32, offset int64) error {
		return p.Followed(&ReadQuery{FollowerID: from, FollowerEpoch: 9, LeaderEpoch: 0, Offset: offset}, now)
	}
	must(t, fetched(2, 3))
	equal(t, p.HighWatermark(), 0)
	must(t, fetched(3, 2))
	equal(t, p.HighWatermark(), 2)
	equal(t, p.Committed(-1, 1), true)
	equal(t, p.Committed(-1, 2), false)
	holds(t, fetched(9, 3), code.UnknownLeaderEpoch)
	equal(t, p.HighWatermark(), 2)

	// An election between a read and what it proves: it proves nothing any more.
	b.lead(1, self, nil)
	holds(t, fetched(3, 3), code.FencedLeaderEpoch)
	equal(t, p.HighWatermark(), 2)

	// Who no longer leads answers nothing for committed, though its watermark may pass.
	b.lead(1, 2, nil)
	equal(t, p.Committed(-1, 0), false)
	holds(t, fetched(3, 3), code.NotLeaderOrFollower)
	q := ReadQuery{LeaderEpoch: -1, FetchedEpoch: -1, MaxBytes: 1, Follower: true, FollowerID: 3}
	holds(t, p.Read(&q, &r), code.NotLeaderOrFollower)
	same(t, values(t, p, ReadQuery{}), []string{"a", "b", "c"}) // one batch: the watermark lies within
}

func TestReadRefusesWhatIsOutside(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	mustAppend(t, p, "a")
	mustAppend(t, p, "b")
	_, err := p.DeleteRecords(1)
	must(t, err)
	var r ReadResult
	q := ReadQuery{MaxBytes: 1 << 20, LeaderEpoch: -1, FetchedEpoch: -1}
	for offset, want := range map[int64]error{0: code.OffsetOutOfRange, 1: nil, 2: nil, 3: code.OffsetOutOfRange, -1: code.OffsetOutOfRange} {
		q.Offset = offset
		err := p.Read(&q, &r)
		if code.Of(err) != code.Of(want) {
			t.Errorf("offset %d: %v", offset, err)
		}
		if got := r.HighWatermark == -1; got != (err != nil) {
			t.Errorf("offset %d: watermark %d with %v", offset, r.HighWatermark, err)
		}
		r.Data.Release()
	}
	q.Offset, q.LeaderEpoch = 1, 4
	holds(t, p.Read(&q, &r), code.UnknownLeaderEpoch)
	b.lead(1, self, nil)
	q.LeaderEpoch = 0
	holds(t, p.Read(&q, &r), code.FencedLeaderEpoch)
}

func TestDurableClassShowsWhatIsFlushed(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole, "flush.before.ack=true")
	p := b.get("t", 0)
	b.disk.stall.Lock()
	mustAppend(t, p, "a", "b")
	equal(t, p.HighWatermark(), 0)
	equal(t, p.Committed(-1, 1), false)
	equal(t, p.Committed(1, 1), true) // acks=1 does not wait
	same(t, values(t, p, ReadQuery{}), []string{})
	b.disk.stall.Unlock()
	until(t, p, OnWatermark, "flushed", func() bool { return p.Committed(-1, 1) })
	same(t, values(t, p, ReadQuery{}), []string{"a", "b"})
}

func TestPageCacheClassShowsWhatIsWritten(t *testing.T) {
	b := startBroker(t)
	b.disk.stall.Lock()
	defer b.disk.stall.Unlock()
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	mustAppend(t, p, "a", "b")
	equal(t, p.Committed(-1, 1), true)
	same(t, values(t, p, ReadQuery{}), []string{"a", "b"})
	// The class changes while it runs, either way.
	b.apply(b.configs("t", "flush.before.ack=true")...)
	mustAppend(t, p, "c")
	equal(t, p.Committed(-1, 1), true)
	equal(t, p.Committed(-1, 2), false)
	equal(t, p.HighWatermark(), 2)
	woken := NewWaiter()
	var h Watch
	h.Start(p, woken, 0, OnWatermark)
	defer h.Stop()
	b.apply(b.configs("t", "flush.before.ack=false")...)
	equal(t, p.Committed(-1, 2), true)
	same(t, values(t, p, ReadQuery{}), []string{"a", "b", "c"})
	<-woken.Ready()
}

func TestFlushMessagesHoldsBackEveryAnswer(t *testing.T) {
	b := startBroker(t)
	b.topic("one", 1, 1, sole, "flush.messages=1")
	b.topic("three", 2, 1, sole, "flush.messages=3")
	p := b.get("one", 0)
	b.disk.stall.Lock()
	last := mustAppend(t, p, "a")
	equal(t, p.Committed(1, last), false)
	equal(t, p.Committed(-1, last), false)
	b.disk.stall.Unlock()
	until(t, p, OnFlush, "flushed", func() bool { return p.Committed(1, last) && p.Committed(-1, last) })

	p = b.get("three", 0)
	b.disk.stall.Lock()
	last = mustAppend(t, p, "a", "b")
	equal(t, p.Committed(1, last), true)
	equal(t, p.Committed(-1, last), true)
	last = mustAppend(t, p, "c")
	equal(t, p.Committed(1, last), false)
	// Without the key it waits for nothing.
	b.apply(b.configs("three", "flush.messages=9223372036854775807")...)
	equal(t, p.Committed(1, last), true)
	b.disk.stall.Unlock()
}

func TestDeleteRecordsStaysBelowTheWatermark(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2})
	b.topic("c", 2, 1, sole, "cleanup.policy=compact")
	b.topic("cd", 3, 1, sole, "cleanup.policy=compact,delete")
	p := b.get("t", 0)
	mustAppend(t, p, "a")
	mustAppend(t, p, "b")
	mustAppend(t, p, "c")
	must(t, p.Followed(&ReadQuery{FollowerID: 2, LeaderEpoch: 0, Offset: 2}, now))
	_, err := p.DeleteRecords(3)
	holds(t, err, code.OffsetOutOfRange)
	_, err = p.DeleteRecords(-2)
	holds(t, err, code.OffsetOutOfRange)
	start, err := p.DeleteRecords(-1)
	must(t, err)
	equal(t, start, 2)
	start, err = p.DeleteRecords(1)
	must(t, err)
	equal(t, start, 2)
	_, err = b.get("c", 0).DeleteRecords(0)
	holds(t, err, code.PolicyViolation)
	_, err = b.get("cd", 0).DeleteRecords(0)
	must(t, err)
	b.lead(1, 2, nil)
	_, err = p.DeleteRecords(-1)
	holds(t, err, code.NotLeaderOrFollower)
}

func TestFullDiskRefusesAndGoesOn(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	mustAppend(t, p, "a")
	b.disk.SetCapacity(1)
	e, err := appendTo(p, plain(), batch(record.BuilderOptions{}, "b"))
	holds(t, err, code.KafkaStorageError)
	holds(t, e[0].Entry.Err, code.KafkaStorageError)
	equal(t, p.HighWatermark(), 1)
	same(t, values(t, p, ReadQuery{}), []string{"a"})
}

func TestAWatermarkThatWasLostIsTheLogsStart(t *testing.T) {
	d := &slowDisk{Mem: disk.NewMem(1)}
	b := startBrokerOn(t, d, 1)
	b.topic("t", 1, 1, sole, "flush.before.ack=true")
	p := b.get("t", 0)
	for range 5 {
		last := mustAppend(t, p, "x")
		until(t, p, OnWatermark, "flushed", func() bool { return p.Committed(-1, last) })
	}
	_, err := p.DeleteRecords(3)
	must(t, err)
	must(t, b.stop())
	b = startBrokerOn(t, d, 1)
	b.topic("t", 1, 1, sole, "flush.before.ack=true")
	p = b.get("t", 0)
	until(t, p, OnWatermark, "recovered", func() bool { return p.HighWatermark() == 5 })
	equal(t, len(values(t, p, ReadQuery{Offset: 3})), 2)
	equal(t, mustAppend(t, p, "y"), 5)
}

func TestStateNeverMovesBeforeTheLogIsOpen(t *testing.T) {
	p := &Partition{}
	p.flushed(7) // a flusher may be faster than Open
	p.state = isr.New(self, 0, 0)
	equal(t, p.state.Watermark(), 0)
}

// TestAFollowerWithoutAJournalBeginsAtItsStart is KAFKA-9491: the watermark is never before the log's start.
func TestAFollowerWithoutAJournalBeginsAtItsStart(t *testing.T) {
	d := &slowDisk{Mem: disk.NewMem(1)}
	b := startBrokerOn(t, d, 1)
	b.topic("t", 1, 1, sole, "segment.bytes=100")
	p := b.get("t", 0)
	for range 4 {
		mustAppend(t, p, strings.Repeat("x", 20)) // each fills a segment
	}
	_, err := p.DeleteRecords(2)
	must(t, err)
	must(t, b.stop())
	must(t, d.Remove("/data0/klamm.journal"))
	b = startBrokerOn(t, d, 1)
	b.topic("t", 1, 1, []int32{2, self})
	p = b.get("t", 0)
	if l := p.Log().Bounds(); l.Start != 2 || l.HighWatermark != 2 || p.HighWatermark() != 2 {
		t.Fatalf("watermark %d and bounds %+v", p.HighWatermark(), l)
	}
}
