package records

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// RangeHelp is the paragraph of a command's help that tells what a range may be.
const RangeHelp = `A range is FROM, or FROM:TO without TO itself. FROM and TO are start, end, an offset N, +N from the start
(behind the colon: N after FROM), -N from the end, or a time @2026-01-31, @2026-01-31T15:04:05Z,
@1767225600000 (milliseconds), @-1h, now. start:end is all that is there now, @-1h:now the last hour,
@2026-01-31:1d one day.`

// kind is what a point counts from.
type kind int8

const (
	fromStart kind = iota // n after the first offset
	fromEnd               // n before the end
	absolute              // the offset n
	atTime                // the first record of n milliseconds since 1970 or later
	fromOther             // n after where the range begins
)

// Point is one side of a Range: a place in every partition.
type Point struct {
	kind kind
	n    int64
}

// Range is what -o tells: where to begin in each partition, and where to stop.
type Range struct {
	// From is where to begin. The zero value is the start.
	From Point
	// To is where to stop, which is not read itself; nil means that it goes on for ever.
	To *Point
	// Unset says that nothing was told.
	Unset bool
}

// Whole is all that is there when it is resolved.
func Whole() Range { return Range{To: &Point{kind: fromEnd}} }

// FromNow begins at the end and goes on for ever.
func FromNow() Range { return Range{From: Point{kind: fromEnd}} }

// Last is the last n offsets of each partition and what comes.
func Last(n int64) Range { return Range{From: Point{kind: fromEnd, n: n}} }

// errRange says what a range may be.
var errRange = errors.New("allowed are start, end, N, +N, -N and @TIME, alone or as FROM:TO")

// ParseRange reads -o. An empty text gives a Range that is Unset.
func ParseRange(s string, now time.Time) (Range, error) {
	if s == "" {
		return Range{Unset: true, From: Point{kind: fromEnd}}, nil
	}
	from, err := parsePoint(s, now)
	if err == nil {
		return Range{From: from}, nil
	}
	// A time may hold colons of its own, so every colon is tried, from the left.
	for i := range len(s) {
		if s[i] != ':' {
			continue
		}
		from := Point{}
		if i > 0 {
			var ferr error
			if from, ferr = parsePoint(s[:i], now); ferr != nil {
				continue
			}
		}
		to, terr := parseTo(s[i+1:], from, now)
		if terr != nil {
			err = terr
			continue
		}
		return Range{From: from, To: &to}, nil
	}
	return Range{}, err
}

// parsePoint reads one side.
func parsePoint(s string, now time.Time) (Point, error) {
	switch {
	case s == "":
		return Point{}, errRange
	case s == "start":
		return Point{}, nil
	case s == "end":
		return Point{kind: fromEnd}, nil
	case s == "now":
		return Point{kind: atTime, n: now.UnixMilli()}, nil
	case s[0] == '@':
		t, err := parseTime(s[1:], now)
		return Point{kind: atTime, n: t}, err
	}
	n, err := parseOffset(s)
	switch {
	case err != nil:
		return Point{}, errRange
	case s[0] == '+':
		return Point{kind: fromStart, n: n}, nil
	case s[0] == '-':
		return Point{kind: fromEnd, n: -n}, nil
	}
	return Point{kind: absolute, n: n}, nil
}

// parseTo reads what stands behind the colon: as parsePoint, but +N counts from where the range begins, and
// behind a time stand times without @ too, and durations, which count from that time.
func parseTo(s string, from Point, now time.Time) (Point, error) {
	if strings.HasPrefix(s, "+") {
		if n, err := parseOffset(s); err == nil {
			return Point{kind: fromOther, n: n}, nil
		}
	}
	if from.kind == atTime && s != "" {
		if d, err := app.ParseDuration(strings.TrimPrefix(s, "+")); err == nil && (s[len(s)-1] < '0' || s[len(s)-1] > '9') {
			return Point{kind: atTime, n: from.n + d.Milliseconds()}, nil
		}
		_, err := strconv.ParseInt(s, 10, 64)
		if number := err == nil; !number || len(s) == 10 || len(s) == 13 {
			if t, err := parseTime(s, now); err == nil {
				return Point{kind: atTime, n: t}, nil
			}
		}
	}
	return parsePoint(s, now)
}

// parseOffset reads an offset or a distance. Those that no log reaches are cut so that two of them can be added.
func parseOffset(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return max(min(n, 1<<62-1), -(1<<62 - 1)), err
}

// parseTime reads a time in milliseconds since 1970: as app.ParseTime does, and seconds where ten digits stand.
func parseTime(s string, now time.Time) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) == 10 && n > 0 {
		return n * 1000, nil
	}
	t, err := app.ParseTime(s, now)
	return t.UnixMilli(), err
}

// Span is a piece of one partition.
type Span struct {
	Topic     string
	Partition int32
	// Start is the first offset to read.
	Start int64
	// End is the first offset that is not read any more; Open means that the span goes on for ever.
	End int64
	// First and Next are the partition's first offset and its end when the span was made.
	First, Next int64
}

// Open is the End of a span that goes on for ever.
const Open = int64(-1)

// Len is how many offsets the span has as far as they exist; records are at most so many.
func (s Span) Len() int64 {
	if s.End == Open {
		return max(s.Next-s.Start, 0)
	}
	return max(s.End-s.Start, 0)
}

// Total is the Len of all spans.
func Total(spans []Span) (n int64) {
	for _, s := range spans {
		n += s.Len()
	}
	return n
}

// Resolve asks the cluster what a range is in each partition of topics, of which only those in partitions are
// taken when there are any: at most one request for each broker and side. Spans are in the order of topics and
// partitions, and one that is closed may be empty. With committed, the end is that of finished transactions.
func Resolve(ctx context.Context, a *app.App, cl *kgo.Client, topics []string, partitions []int32, r Range, committed bool) ([]Span, error) {
	adm := a.AdminOf(cl)
	ctx, cancel := context.WithTimeout(ctx, a.Timeout())
	defer cancel()
	details, err := adm.ListTopicsWithInternal(ctx, topics...)
	for range 3 { // a broker that stops at this moment is not asked again by the library
		if err == nil || !app.Sleep(ctx, 200*time.Millisecond) {
			break
		}
		details, err = adm.ListTopicsWithInternal(ctx, topics...)
	}
	if err != nil {
		return nil, app.Failed(err, "the topics could not be looked up")
	}
	var spans []Span
	for _, t := range topics {
		d, ok := details[t]
		if !ok || d.Err != nil {
			f := app.Failed(d.Err, "topic %s cannot be read", t)
			if f.Code == app.CodeNotFound {
				f = a.MissingTopic(ctx, adm, t)
			}
			return nil, f
		}
		for _, p := range partitions {
			if _, ok := d.Partitions[p]; !ok {
				return nil, app.NotFound("partition", fmt.Sprintf("%d of topic %s", p, t), "klamm topic describe "+t)
			}
		}
		for _, p := range d.Partitions.Numbers() {
			if len(partitions) == 0 || slices.Contains(partitions, p) {
				spans = append(spans, Span{Topic: t, Partition: p})
			}
		}
	}
	if len(spans) == 0 {
		return nil, nil
	}
	list := adm.ListEndOffsets
	if committed {
		list = adm.ListCommittedOffsets
	}
	firsts, err := everywhere(ctx, topics, spans, adm.ListStartOffsets, "the first offsets could not be read")
	if err != nil {
		return nil, err
	}
	ends, err := everywhere(ctx, topics, spans, list, "the last offsets could not be read")
	if err != nil {
		return nil, err
	}
	from, err := timed(ctx, adm, topics, spans, &r.From)
	if err != nil {
		return nil, err
	}
	to, err := timed(ctx, adm, topics, spans, r.To)
	if err != nil {
		return nil, err
	}
	for i := range spans {
		s := &spans[i]
		first, _ := firsts.Lookup(s.Topic, s.Partition)
		end, _ := ends.Lookup(s.Topic, s.Partition)
		f, _ := from.Lookup(s.Topic, s.Partition)
		t, _ := to.Lookup(s.Topic, s.Partition)
		s.First, s.Next = first.Offset, end.Offset
		s.resolve(r, f.Offset, t.Offset)
	}
	return spans, nil
}

// everywhere lists offsets until every partition of spans has told its own: while a leader changes, some do not.
func everywhere(ctx context.Context, topics []string, spans []Span, list func(context.Context, ...string) (kadm.ListedOffsets, error), fails string) (kadm.ListedOffsets, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		listed, err := list(ctx, topics...)
		var missing error
		for _, s := range spans {
			switch o, ok := listed.Lookup(s.Topic, s.Partition); {
			case !ok:
				missing = cmp.Or(missing, err, error(kerr.LeaderNotAvailable))
			case o.Err != nil && !kerr.IsRetriable(o.Err):
				return nil, app.Failed(o.Err, "partition %d of %s does not tell its offsets", s.Partition, s.Topic)
			case o.Err != nil:
				missing = cmp.Or(missing, o.Err)
			}
		}
		if missing == nil {
			return listed, nil
		}
		if ctx.Err() != nil || !app.Sleep(ctx, pause) {
			return nil, app.Failed(missing, "%s", fails)
		}
	}
}

// timed asks for the offsets of a point that is a time; nothing for others.
func timed(ctx context.Context, adm *kadm.Client, topics []string, spans []Span, p *Point) (kadm.ListedOffsets, error) {
	if p == nil || p.kind != atTime {
		return nil, nil
	}
	return everywhere(ctx, topics, spans, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return adm.ListOffsetsAfterMilli(ctx, p.n, topics...)
	}, "the offsets at "+app.TimeText(p.n)+" could not be read")
}

// resolve sets Start and End of r, of what the partition has and of what the time lookups gave.
func (s *Span) resolve(r Range, from, to int64) {
	s.Start = max(r.From.offset(s, 0, from), s.First)
	if r.From.kind != absolute || r.To != nil { // an offset that is still to come is waited for
		s.Start = min(s.Start, s.Next)
	}
	s.End = Open
	if r.To != nil {
		s.End = max(min(r.To.offset(s, s.Start, to), s.Next), s.Start)
	}
}

// offset is where the point lies; other is where the range begins, and timed what a lookup by time gave.
func (p Point) offset(s *Span, other, timed int64) int64 {
	switch p.kind {
	case fromStart:
		return s.First + p.n
	case fromEnd:
		return s.Next - p.n
	case absolute:
		return p.n
	case fromOther:
		return other + p.n
	}
	if timed < 0 {
		return s.Next
	}
	return timed
}

// resetOffset is the point for a group that has no offset yet.
func (p Point) resetOffset() kgo.Offset {
	switch p.kind {
	case fromEnd:
		return kgo.NewOffset().AtEnd().Relative(-p.n)
	case absolute:
		return kgo.NewOffset().At(p.n)
	case atTime:
		return kgo.NewOffset().AfterMilli(p.n)
	}
	return kgo.NewOffset().AtStart().Relative(p.n)
}
