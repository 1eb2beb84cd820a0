package commitlog

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

func memLog(t testing.TB, o Options) (*disk.Mem, *Dir, *Log) {
	t.Helper()
	m := disk.NewMem(1)
	initDir(t, m, "data")
	d := openTestDir(t, m, "data", DirOptions{})
	l, err := d.Open(ID{Topic: "t"}, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, d, l
}

func TestProducerSequences(t *testing.T) {
	_, _, l := memLog(t, DefaultOptions())
	send := func(epoch int16, seq int32, n int) *Entry {
		e := &Entry{Records: batch(t, idempotent(9, epoch, seq), 5, n, 10), Client: true}
		if err := l.Append([]*Entry{e}, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		return e
	}
	for i, c := range []struct {
		epoch     int16
		seq       int32
		n         int
		base      int64
		err       error
		duplicate bool
	}{
		{0, 7, 3, 0, nil, false}, // unknown: may begin anywhere
		{0, 10, 1, 3, nil, false},
		{0, 12, 1, -1, code.OutOfOrderSequenceNumber, false},
		{0, 7, 3, 0, nil, true},
		{0, 7, 2, -1, code.OutOfOrderSequenceNumber, false},
		{0, 10, 1, 3, nil, true},
		{0, 11, 1, 4, nil, false},
		{1, 5, 1, -1, code.OutOfOrderSequenceNumber, false},
		{1, 0, 2, 5, nil, false},
		{0, 12, 1, -1, code.InvalidProducerEpoch, false},
		{1, 2, 1, 7, nil, false},
		{1, 3, 1, 8, nil, false},
		{1, 4, 1, 9, nil, false},
		{1, 5, 1, 10, nil, false},
		{1, 6, 1, 11, nil, false},
		{1, 0, 2, -1, code.OutOfOrderSequenceNumber, false}, // the sixth last is forgotten
		{1, 2, 1, 7, nil, true},
	} {
		e := send(c.epoch, c.seq, c.n)
		if !errors.Is(e.Err, c.err) || e.Duplicate != c.duplicate || c.err == nil && (e.BaseOffset != c.base || e.LastOffset != c.base+int64(c.n)-1) {
			t.Fatalf("%d: %+v", i, e)
		}
	}
	if b := l.Bounds(); b.End != 12 {
		t.Fatalf("%+v", b)
	}
}

func TestProducerSequenceWraps(t *testing.T) {
	_, _, l := memLog(t, DefaultOptions())
	appendOne(t, l, batch(t, idempotent(9, 0, math.MaxInt32-1), 5, 2, 10), true)
	if e := appendOne(t, l, batch(t, idempotent(9, 0, 0), 5, 1, 10), true); e.Err != nil {
		t.Fatal(e.Err)
	}
	appendOne(t, l, batch(t, idempotent(8, 0, math.MaxInt32), 5, 3, 10), true)
	if e := appendOne(t, l, batch(t, idempotent(8, 0, 2), 5, 1, 10), true); e.Err != nil {
		t.Fatal(e.Err)
	}
}

func TestEntriesOfOneAppendSeeEachOther(t *testing.T) {
	_, _, l := memLog(t, DefaultOptions())
	a := &Entry{Records: batch(t, idempotent(1, 0, 0), 5, 2, 10), Client: true}
	bad := &Entry{Records: batch(t, idempotent(1, 0, 9), 5, 2, 10), Client: true}
	torn := &Entry{Records: append(batch(t, idempotent(1, 0, 2), 5, 2, 10), 1, 2, 3), Client: true}
	again := &Entry{Records: batch(t, idempotent(1, 0, 0), 5, 2, 10), Client: true}
	b := &Entry{Records: batch(t, idempotent(1, 0, 2), 5, 1, 10), Client: true}
	if err := l.Append([]*Entry{a, bad, torn, again, b}, 3, time.Now()); err != nil {
		t.Fatal(err)
	}
	if a.Err != nil || !errors.Is(bad.Err, code.OutOfOrderSequenceNumber) || !errors.Is(torn.Err, code.CorruptMessage) || b.Err != nil || b.BaseOffset != 2 || b.LastOffset != 2 {
		t.Fatal(a, bad, torn, again, b)
	}
	if !again.Duplicate || again.BaseOffset != 0 || again.LastOffset != 1 {
		t.Fatal(again)
	}
	if l.LastEpoch() != 3 || l.Bounds().End != 3 {
		t.Fatal(l.LastEpoch(), l.Bounds())
	}
}

func TestProducersExpireAndSurviveRestart(t *testing.T) {
	m, d, l := memLog(t, DefaultOptions())
	appendOne(t, l, batch(t, idempotent(5, 2, 0), 5, 2, 10), true)
	appendOne(t, l, batch(t, idempotent(6, 0, 0), 5, 2, 10), true)
	if err := run(t, d)(); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, m, "data", DirOptions{})
	l, err := d.Open(ID{Topic: "t"}, DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	e := appendOne(t, l, batch(t, idempotent(5, 2, 0), 5, 2, 10), true)
	if !e.Duplicate || e.BaseOffset != 0 {
		t.Fatalf("%+v", e)
	}
	if n := len(l.Producers()); n != 2 {
		t.Fatal(n)
	}
	l.ExpireProducers(time.Now().Add(25 * time.Hour))
	if n := len(l.Producers()); n != 0 {
		t.Fatal(n)
	}
}

func TestOpenTransactionsHoldTheFirstUnstableOffset(t *testing.T) {
	_, _, l := memLog(t, DefaultOptions())
	txn := func(id int64, seq int32) record.BuilderOptions {
		o := idempotent(id, 0, seq)
		o.Transactional = true
		return o
	}
	marker := func(id int64) []byte {
		o := txn(id, -1)
		o.Control = true
		w := record.NewBuilder(nil, o)
		w.AppendEndTxn(9, record.ControlCommit, 4)
		b, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte(nil), b...)
	}
	appendOne(t, l, batch(t, plain(), 1, 2, 10), true)
	appendOne(t, l, batch(t, txn(1, 0), 1, 1, 10), true)
	appendOne(t, l, batch(t, txn(2, 0), 1, 1, 10), true)
	if b := l.Bounds(); b.FirstUnstable != 2 {
		t.Fatalf("%+v", b)
	}
	appendOne(t, l, marker(1), false)
	if b := l.Bounds(); b.FirstUnstable != 2 { // the marker is not below the high watermark
		t.Fatalf("%+v", b)
	}
	l.SetHighWatermark(5)
	if b := l.Bounds(); b.FirstUnstable != 3 {
		t.Fatalf("%+v", b)
	}
	appendOne(t, l, marker(2), false)
	l.SetHighWatermark(6)
	if b := l.Bounds(); b.FirstUnstable != -1 {
		t.Fatalf("%+v", b)
	}
	if p := l.Producers()[0]; p.CoordinatorEpoch != 4 || p.TxnStart != -1 {
		t.Fatalf("%+v", p)
	}
	if err := l.Truncate(5); err != nil {
		t.Fatal(err)
	}
	if b := l.Bounds(); b.FirstUnstable != 3 {
		t.Fatalf("%+v", b)
	}
}
