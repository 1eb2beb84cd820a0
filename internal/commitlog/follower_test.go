package commitlog

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
)

func TestAFollowersLogIsByteForByteTheLeaders(t *testing.T) {
	o := DefaultOptions()
	o.SegmentBytes = 3000
	_, _, leader := memLog(t, o)
	_, _, follower := memLog(t, o)
	for i := range 60 {
		epoch := int32(i / 20 * 2)
		if i%20 == 0 {
			if err := leader.StartEpoch(epoch); err != nil {
				t.Fatal(err)
			}
		}
		b := batch(t, idempotent(int64(i%3), 0, int32(i/3)*2), int64(i), 2, 100)
		if err := leader.Append([]*Entry{{Records: b, Client: true}}, epoch, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	all := readAll(t, leader)
	half := len(all) / 60 * 25
	for _, part := range [][]byte{all[:half], all[half:]} {
		if err := follower.AppendAsFollower(part); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(readAll(t, follower), all) {
		t.Fatal("other bytes")
	}
	if err := follower.AppendAsFollower(all[:half]); !errors.Is(err, code.CorruptMessage) {
		t.Fatal(err)
	}
	for _, l := range []*Log{leader, follower} {
		for _, c := range []struct {
			epoch, found int32
			end          int64
		}{{-1, -1, -1}, {0, 0, 40}, {1, 0, 40}, {2, 2, 80}, {3, 2, 80}, {4, 4, 120}, {5, -1, -1}} {
			if found, end := l.EndOffsetFor(c.epoch); found != c.found || end != c.end {
				t.Errorf("epoch %d: %d %d", c.epoch, found, end)
			}
		}
		if l.EpochAt(39) != 0 || l.EpochAt(40) != 2 || l.LastEpoch() != 4 {
			t.Error(l.EpochAt(39), l.EpochAt(40), l.LastEpoch())
		}
		if len(l.Producers()) != 3 || l.Producers()[0].LastSequence != 39 {
			t.Errorf("%+v", l.Producers())
		}
	}
	// A truncation at the end cleans the history too (KAFKA-10706).
	if err := follower.StartEpoch(9); err != nil {
		t.Fatal(err)
	}
	if err := follower.Truncate(120); err != nil || follower.LastEpoch() != 4 {
		t.Fatal(err, follower.LastEpoch())
	}
	if err := follower.Truncate(81); err != nil || follower.Bounds().End != 80 || follower.LastEpoch() != 2 {
		t.Fatal(err, follower.Bounds(), follower.LastEpoch())
	}
	if p := follower.Producers(); p[0].LastOffset != 79 && p[1].LastOffset != 79 && p[2].LastOffset != 79 {
		t.Fatalf("%+v", p)
	}
}

func TestLookupsByTime(t *testing.T) {
	o := DefaultOptions()
	o.SegmentBytes = 40 << 10
	_, _, l := memLog(t, o)
	for i := range 200 {
		ts := int64(1000 + i*10)
		if i == 150 {
			ts = 9000 // one that is ahead of all
		}
		appendOne(t, l, batch(t, plain(), ts, 3, 300), true)
	}
	for _, c := range []struct{ ts, limit, offset, time int64 }{
		{0, 600, 0, 1000}, {1000, 600, 0, 1000}, {1001, 600, 1, 1001}, {1003, 600, 3, 1010}, {1500, 600, 150, 1500},
		{2992, 600, 450, 9000}, {9001, 600, 451, 9001}, {9003, 600, -1, -1}, {1500, 150, -1, -1}, {1500, 151, 150, 1500},
	} {
		offset, at, _, err := l.OffsetForTime(c.ts, c.limit)
		if err != nil || offset != c.offset || at != c.time {
			t.Errorf("%+v: %d %d %v", c, offset, at, err)
		}
	}
	for _, c := range []struct{ limit, offset, time int64 }{{600, 452, 9002}, {450, 449, 2492}, {0, -1, -1}} {
		offset, at, _, err := l.MaxTimestamp(c.limit)
		if err != nil || offset != c.offset || at != c.time {
			t.Errorf("%+v: %d %d %v", c, offset, at, err)
		}
	}
}

func TestALostJournalIsAScan(t *testing.T) {
	m, d, l := memLog(t, DefaultOptions())
	for i := range 20 {
		appendOne(t, l, batch(t, idempotent(1, 0, int32(i)), int64(i), 1, 300), true)
	}
	want := readAll(t, l)
	if err := run(t, d)(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(f disk.File){
		"lost": func(disk.File) {
			if err := m.Remove("data/" + journalFile); err != nil {
				t.Fatal(err)
			}
		},
		"a bit in its middle": func(f disk.File) {
			var b [1]byte
			if _, err := f.ReadAt(b[:], 30); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{b[0] ^ 4}, 30); err != nil {
				t.Fatal(err)
			}
		},
		"its head": func(f disk.File) {
			if _, err := f.WriteAt([]byte("garbage"), 0); err != nil {
				t.Fatal(err)
			}
		},
		"its end": func(f disk.File) {
			n, _ := f.Size()
			if err := f.Truncate(n - 3); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := m.Open("data/" + journalFile)
			if err != nil {
				t.Fatal(err)
			}
			spoil(f)
			d := openTestDir(t, m, "data", DirOptions{})
			if d.clean {
				t.Fatal("it is taken for clean")
			}
			l, err := d.Open(ID{Topic: "t"}, DefaultOptions(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(readAll(t, l), want) || l.Producers()[0].LastSequence != 19 {
				t.Fatal("other content")
			}
			if err := run(t, d)(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
