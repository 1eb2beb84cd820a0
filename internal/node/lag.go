package node

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/replica"
)

// The bounds of one survey of the groups.
const (
	// surveyAge is how old a survey may be to be served again.
	surveyAge = time.Second
	// surveyWait bounds the wait for the shards of groups, and for a survey that another page has begun.
	surveyWait = 2 * time.Second
	// surveyReads and surveyTime bound how many batches are read for timestamps of records, and for how
	// long. What is left keeps the timestamp of an older record, or has none, until a later survey.
	surveyReads = 500
	surveyTime  = 100 * time.Millisecond
)

// groupLag says how far consumer groups are behind, in records and in time. A survey copies the
// offsets out of the shards, compares them with the partitions and reads the timestamps that it does not
// know yet: the record at a committed offset stays the same until the group commits another.
type groupLag struct {
	n *Node
	// turn holds a token while nobody makes a survey; whoever has it owns the rest.
	turn  chan struct{}
	last  groupSurvey
	times map[groupPartition]recordTime
	next  int // where the reads of the next survey begin among those that it needs
}

// groupPartition names a committed offset.
type groupPartition struct {
	group, topic string
	partition    int32
}

// recordTime is the timestamp in ms of the first record that a group has not committed; -1 when it has none.
type recordTime struct {
	from   int64 // the first offset that is not committed and not deleted
	oldest int64
	seen   bool // by the survey under way
}

// groupSurvey is how all groups stand at a moment. It is shared and not changed.
type groupSurvey struct {
	at      time.Time
	offsets int // committed, of all groups
	groups  []groupFigures
}

// groupFigures are one group's, its topics and their partitions in order.
type groupFigures struct {
	id      string
	members int
	topics  []groupTopic
}

type groupTopic struct {
	name       string
	partitions []groupOffsets
}

// offsets is the sum of the committed offsets.
func (t *groupTopic) offsets() (n int64) {
	for i := range t.partitions {
		n += t.partitions[i].offset
	}
	return n
}

// records is the lag over all partitions of which it is known.
func (t *groupTopic) records() (n int64) {
	for i := range t.partitions {
		n += t.partitions[i].records
	}
	return n
}

// groupOffsets is one partition in a group.
type groupOffsets struct {
	index   int32
	offset  int64 // committed
	known   bool  // this broker leads the partition and knows the rest
	records int64 // behind the high watermark
	timed   bool  // oldest is known
	oldest  int64 // ms, of the first record that is not committed
}

func newGroupLag(n *Node) *groupLag {
	l := &groupLag{n: n, turn: make(chan struct{}, 1), times: make(map[groupPartition]recordTime)}
	l.turn <- struct{}{}
	return l
}

// survey returns how the groups stand, as of the last second. While another page waits for the
// shards for too long there is nothing to tell.
func (l *groupLag) survey() groupSurvey {
	ctx, cancel := context.WithTimeout(context.Background(), surveyWait)
	defer cancel()
	select {
	case <-l.turn:
	case <-ctx.Done():
		return groupSurvey{at: time.Now()}
	}
	defer func() { l.turn <- struct{}{} }()
	if now := time.Now(); l.last.at.IsZero() || now.Sub(l.last.at) >= surveyAge {
		summaries, _ := l.n.groups.Summaries(ctx)
		l.last = l.compare(summaries, time.Now())
	}
	return l.last
}

// unread is a partition whose record's time has to be read.
type unread struct {
	to        *groupOffsets
	from      int64
	key       groupPartition
	partition *replica.Partition
}

// compare sets the groups' offsets beside the partitions.
func (l *groupLag) compare(summaries []group.Summary, now time.Time) groupSurvey {
	s := groupSurvey{at: now, groups: make([]groupFigures, 0, len(summaries))}
	var reads []unread
	slices.SortFunc(summaries, func(a, b group.Summary) int { return strings.Compare(a.ID, b.ID) })
	for i := range summaries {
		sum := &summaries[i]
		s.offsets += len(sum.Offsets)
		slices.SortFunc(sum.Offsets, func(a, b group.CommittedOffset) int {
			return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
		g := groupFigures{id: label(sum.ID), members: sum.Members}
		for rest := sum.Offsets; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].Topic == rest[0].Topic {
				n++
			}
			t := groupTopic{name: label(rest[0].Topic), partitions: make([]groupOffsets, n)}
			for j := range t.partitions {
				o := &t.partitions[j]
				o.index, o.offset = rest[j].Partition, rest[j].Offset
				if p, from := l.look(o, rest[j].Topic); p != nil {
					reads = l.timed(reads, unread{o, from, groupPartition{sum.ID, rest[j].Topic, o.index}, p})
				}
			}
			g.topics = append(g.topics, t)
			rest = rest[n:]
		}
		s.groups = append(s.groups, g)
	}
	l.read(reads, now)
	for key, t := range l.times {
		if !t.seen {
			delete(l.times, key)
			continue
		}
		t.seen = false
		l.times[key] = t
	}
	return s
}

// look fills in the lag in records where this broker leads the partition. When there is a lag it returns
// the partition and from where on.
func (l *groupLag) look(o *groupOffsets, topic string) (*replica.Partition, int64) {
	p, err := l.n.replicas.Partition(topic, o.index)
	if err != nil {
		return nil, 0
	}
	if _, leads := p.Leading(); !leads {
		return nil, 0
	}
	b := p.Log().Bounds()
	from := max(o.offset, b.Start)
	o.known = true
	if o.records = b.HighWatermark - from; o.records > 0 {
		return p, from
	}
	o.records = 0
	return nil, 0
}

// timed takes the time of a partition's record from what is known, or adds it to what is to be read.
func (l *groupLag) timed(reads []unread, u unread) []unread {
	t, ok := l.times[u.key]
	if ok {
		t.seen = true
		l.times[u.key] = t
		u.to.oldest, u.to.timed = t.oldest, t.oldest >= 0
	}
	if ok && t.from == u.from {
		return reads
	}
	return append(reads, u)
}

// read reads times as long as the bounds allow, and goes on there the next time.
func (l *groupLag) read(reads []unread, now time.Time) {
	if len(reads) == 0 {
		l.next = 0
		return
	}
	from := l.next % len(reads)
	for i := range min(len(reads), surveyReads) {
		if i > 0 && time.Since(now) > surveyTime {
			break
		}
		u := &reads[(from+i)%len(reads)]
		l.next = (from + i + 1) % len(reads)
		ms, err := u.partition.TimestampAt(u.from)
		if err != nil {
			continue // the log says so itself
		}
		l.times[u.key] = recordTime{from: u.from, oldest: ms, seen: true}
		u.to.oldest, u.to.timed = ms, ms >= 0
	}
}
