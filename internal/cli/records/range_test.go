package records

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/app"
)

// at resolves a range for a partition that has the offsets 100 to 199, in which every time lookup gives from and to.
func at(t *testing.T, text string, from, to int64) Span {
	t.Helper()
	r, err := ParseRange(text, testNow)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s := Span{First: 100, Next: 200}
	s.resolve(r, from, to)
	return s
}

var testNow = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func TestARangeIsCutToWhatThePartitionHas(t *testing.T) {
	for _, c := range []struct {
		text       string
		start, end int64
	}{
		{"start", 100, Open}, {"end", 200, Open}, {"150", 150, Open}, {"+10", 110, Open}, {"-10", 190, Open}, {"-1000", 100, Open}, {"+1000", 200, Open},
		{"300", 300, Open}, {"7", 100, Open},
		{"start:end", 100, 200}, {":end", 100, 200}, {"150:160", 150, 160}, {"150:1000", 150, 200}, {":150", 100, 150}, {"-10:-5", 190, 195},
		{"150:+5", 150, 155}, {"+5:+5", 105, 110}, {"160:150", 160, 160}, {"300:400", 200, 200}, {"-10:end", 190, 200}, {"end:end", 200, 200},
		{"9223372036854775807:end", 200, 200}, {"+9223372036854775807", 200, Open}, {"start:+9223372036854775807", 100, 200},
	} {
		if s := at(t, c.text, -1, -1); s.Start != c.start || s.End != c.end {
			t.Errorf("%s is %d to %d, want %d to %d", c.text, s.Start, s.End, c.start, c.end)
		}
	}
	if s := at(t, "@-1h:now", 120, 180); s.Start != 120 || s.End != 180 {
		t.Errorf("@-1h:now is %d to %d", s.Start, s.End)
	}
	if s := at(t, "@-1h", -1, -1); s.Start != 200 || s.End != Open {
		t.Errorf("a time after the last record begins at %d", s.Start)
	}
	if s := at(t, "@-1h:150", 120, -1); s.Start != 120 || s.End != 150 {
		t.Errorf("@-1h:150 is %d to %d", s.Start, s.End)
	}
}

func TestTimesStandOnBothSidesOfARange(t *testing.T) {
	ms := func(year, month, day, hour, minute, sec int) int64 {
		return time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.UTC).UnixMilli()
	}
	for _, c := range []struct {
		text     string
		from, to int64
	}{
		{"@2026-01-31", ms(2026, 1, 31, 0, 0, 0), 0},
		{"@2026-01-31:@2026-02-01", ms(2026, 1, 31, 0, 0, 0), ms(2026, 2, 1, 0, 0, 0)},
		{"@2026-01-31:2026-02-01", ms(2026, 1, 31, 0, 0, 0), ms(2026, 2, 1, 0, 0, 0)},
		{"@2026-01-31:1d", ms(2026, 1, 31, 0, 0, 0), ms(2026, 2, 1, 0, 0, 0)},
		{"@2026-01-31T15:04:05Z", ms(2026, 1, 31, 15, 4, 5), 0},
		{"@2026-01-31T15:04:05Z:@2026-01-31T16:04:05Z", ms(2026, 1, 31, 15, 4, 5), ms(2026, 1, 31, 16, 4, 5)},
		{"@2026-01-31T15:04:now", ms(2026, 1, 31, 15, 4, 0), testNow.UnixMilli()},
		{"@-1h:-30m", testNow.UnixMilli() - 3600_000, testNow.UnixMilli() - 1800_000},
		{"@-1h:@-30m", testNow.UnixMilli() - 3600_000, testNow.UnixMilli() - 1800_000},
		{"@1767225600:@1767225601000", 1767225600_000, 1767225601_000},
		{"@1767225600000:1767225601000", 1767225600_000, 1767225601_000},
	} {
		r, err := ParseRange(c.text, testNow)
		if err != nil || r.From != (Point{atTime, c.from}) || (r.To == nil) != (c.to == 0) || r.To != nil && *r.To != (Point{atTime, c.to}) {
			t.Errorf("%s is %+v to %+v, %v", c.text, r.From, r.To, err)
		}
	}
}

func TestWhatIsNoRangeIsRefused(t *testing.T) {
	for _, s := range []string{"yesterday", "@soon", "@", "1:2:3", "100:", "start:never", "@-1h:@soon", ":", "1e3", "@-1y"} {
		if r, err := ParseRange(s, testNow); err == nil {
			t.Errorf("%s was taken for %+v", s, r)
		}
	}
}

func FuzzRangesNeverLeaveThePartition(f *testing.F) {
	for _, s := range []string{"start:end", "@-1h:now", "100:+5", "-5", "@2026-01-31T15:04:05Z:end", ":@1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text, testNow)
		if err != nil {
			return
		}
		s := Span{First: 100, Next: 200}
		s.resolve(r, 120, 180)
		if s.Start < 100 || r.To != nil && (s.Start > 200 || s.End < s.Start || s.End > 200) {
			t.Errorf("%q is %d to %d of 100 to 200", text, s.Start, s.End)
		}
	})
}

func TestARangeWaitsUntilEveryPartitionTellsItsOffsets(t *testing.T) {
	spans := []Span{{Topic: "a"}, {Topic: "a", Partition: 1}}
	answers := []kadm.ListedOffsets{
		{"a": {0: {Offset: 5}}}, // the broker of the other one is away
		{"a": {0: {Offset: 5}, 1: {Err: kerr.NotLeaderForPartition}}},
		{"a": {0: {Offset: 6}, 1: {Offset: 7}}},
	}
	list := func(context.Context, ...string) (kadm.ListedOffsets, error) {
		l := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		return l, nil
	}
	got, err := everywhere(t.Context(), []string{"a"}, spans, list, "no offsets")
	if o, ok := got.Lookup("a", 1); err != nil || !ok || o.Offset != 7 {
		t.Errorf("%v, %v", got, err)
	}
	answers = []kadm.ListedOffsets{{"a": {0: {Offset: 5}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err = everywhere(ctx, []string{"a"}, spans, list, "no offsets"); err == nil {
		t.Errorf("a partition is missing: %v", got)
	}
	answers = []kadm.ListedOffsets{{"a": {0: {Offset: 5}, 1: {Err: kerr.TopicAuthorizationFailed}}}}
	if _, err = everywhere(t.Context(), []string{"a"}, spans, list, "no offsets"); err == nil || app.Explain(err).Code != app.CodeAuth {
		t.Errorf("%v", err)
	}
}
