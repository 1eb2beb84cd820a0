package replica

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klamm/klamm/internal/record"
)

// stamped is a batch of records with the given timestamps.
func stamped(o record.BuilderOptions, times ...int64) []byte {
	w := record.NewBuilder(record.NewCodecs(1), o)
	for _, ms := range times {
		w.Append(ms, nil, []byte("v"))
	}
	b, err := w.Finish()
	if err != nil {
		panic(err)
	}
	return bytes.Clone(b)
}

func TestTheTimestampOfAnOffsetIsThatOfTheFirstRecordFromThereOn(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	at := now.UnixMilli()
	_, err := appendTo(p, plain(), stamped(record.BuilderOptions{}, at-9000, at-6000, at-3000), stamped(record.BuilderOptions{Codec: record.Zstd}, at-2000, at), stamped(record.BuilderOptions{}, at+1, at+2))
	must(t, err)
	for offset, want := range []int64{at - 9000, at - 6000, at - 3000, at - 2000, at, at + 1, at + 1} { // the last batch is too short to be looked into
		ms, err := p.TimestampAt(int64(offset))
		must(t, err)
		if ms != want {
			t.Errorf("offset %d is of %d, want %d", offset, ms-at, want-at)
		}
	}
	ms, err := p.TimestampAt(7)
	must(t, err)
	equal(t, ms, -1)
	_, err = p.DeleteRecords(5)
	must(t, err)
	ms, err = p.TimestampAt(0)
	must(t, err)
	equal(t, ms, at+1)
}

func TestTheTimestampOfALogsOwnTimeIsItsBatchs(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole, "message.timestamp.type=LogAppendTime")
	p := b.get("t", 0)
	_, err := appendTo(p, plain(), stamped(record.BuilderOptions{}, 1, now.UnixMilli()))
	must(t, err)
	for offset := range int64(2) {
		ms, err := p.TimestampAt(offset)
		must(t, err)
		equal(t, ms, now.UnixMilli())
	}
}

func TestTheFiguresOfALogAreOfOneMoment(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	mustAppend(t, p, "a", "b")
	f := p.Log().Figures()
	same(t, fmt.Sprint(f.Start, f.HighWatermark, f.End, f.Segments, f.Size == p.Log().Size(), f.Size > 0), "0 2 2 1 true true")
	if n := testing.AllocsPerRun(10, func() { p.Log().Figures(); p.Replication() }); n != 0 {
		t.Errorf("looking at a partition allocates %v times", n)
	}
}
