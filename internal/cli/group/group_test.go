package group

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// nouns is the tree that these tests run.
func nouns(a *app.App) []*cobra.Command { return []*cobra.Command{Noun(a)} }

func TestMistakesAreRefusedBeforeABrokerIsAsked(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"group describe", "NAME is missing"},
		{"group seek", "NAME is missing"},
		{"group seek a b --to start", "one argument too many"},
		{"group seek a", "where to?"},
		{"group seek a --to start --by 1", "give one of them"},
		{"group seek a --to -1", "--by -1 goes back"},
		{"group seek a --to soon", "allowed are"},
		{"group seek a --to @soon", "allowed are"},
		{"group seek a --to t:0=5,t:0=6", "named twice"},
		{"group seek a --to t=5", "not of the form orders:0=5"},
		{"group seek a --to t:x=5", "no number of a partition"},
		{"group seek a --to t:4-2=5", "no number of a partition"},
		{"group seek a --to t:0=-5", "no offset"},
		{"group seek a --to t:0-2000000=5", "more than 1000000"},
		{"group seek a --to t:0=5 --topic t", "names its partitions already"},
		{"group seek a --to start --topic t:", "no number of a partition"},
		{"group seek a --to start --topic :1", "not of the form"},
		{"group seek a --to start --topic t --all-topics", "give one of them"},
		{"group seek a --by much", "allowed are a number of records"},
		{"group forget a", "TOPIC is missing"},
		{"group forget a t:x", "no number of a partition"},
		{"group export -f xml", "jsonl and csv"},
		{"group watch -n -1", "above zero"},
	} {
		r := apptest.Run(t, nouns, "127.0.0.1:1", "", strings.Fields(c.line)...)
		if r.Exit != app.ExitUsage || r.Out != "" || !strings.Contains(r.Err, c.want) {
			t.Errorf("%s: exit %d, %s; want %s", c.line, r.Exit, r.Err, c.want)
		}
	}
}

func TestWhatReversesIsReadAsWhatItTells(t *testing.T) {
	a := &app.App{Env: func(string) string { return "" }}
	p := plan{page: page{Group: "it's g"}, exists: true}
	want := map[partition]int64{}
	var moved []move
	for i := range int32(20_000) {
		m := move{Topic: fmt.Sprintf("topic-%d", i/5000), Partition: i % 5000, From: int64(i / 3), To: 1}
		if i%7 == 0 {
			m.From = noOffset
		}
		want[m.key()] = m.From
		moved = append(moved, m)
	}
	got := map[partition]int64{}
	lines := reversing(a, &cobra.Command{}, p, moved)
	for _, l := range lines {
		text, ok := strings.CutPrefix(l, `klamm group seek 'it'\''s g' --to `)
		text, too := strings.CutSuffix(text, " --apply")
		offsets, err := parseOffsets(text)
		if !ok || !too || err != nil || len(l) > 2*mostLine {
			t.Fatalf("%v: %.200s", err, l)
		}
		for key, o := range offsets {
			got[key] = o
		}
	}
	if !reflect.DeepEqual(got, want) || len(lines) < 2 {
		t.Errorf("%d of %d offsets came back in %d lines", len(got), len(want), len(lines))
	}
}

func TestAGoalOutsideOfTheLogIsBroughtInsideAndSaid(t *testing.T) {
	for _, c := range []struct {
		from, to       int64
		end            int64
		again, skipped int64
		note           string
	}{
		{50, 20, 20, 30, 0, ""},
		{50, 5, 10, 40, 0, "5 is before the start"},
		{50, 500, 100, 0, 50, "500 is after the end"},
		{5, 20, 20, 0, 10, "it was out of range at 5"},
		{500, 20, 20, 80, 0, "it was out of range at 500"},
		{noOffset, 20, 20, 0, 0, "no offset yet"},
		{50, noOffset, noOffset, 0, 0, "the offset is taken away"},
	} {
		m := move{From: c.from, To: c.to, Start: 10, End: 100}
		m.bound()
		if m.To != c.end || m.Again != c.again || m.Skipped != c.skipped || m.Note != c.note {
			t.Errorf("%+v: %+v", c, m)
		}
	}
}

func TestFilesOfOffsetsAreReadOrRefusedByLine(t *testing.T) {
	for _, c := range []struct{ text, into, want string }{
		{"{\"group\":\"g\",\"topic\":\"t\",\"partition\":0,\"offset\":5}\n\n{\"group\":\"h\",\"topic\":\"t\",\"partition\":1,\"offset\":6,\"more\":1}\n", "", "map[g:map[t:0:5] h:map[t:1:6]]"},
		{"g,t,0,5\ng,t,1,6\n", "", "map[g:map[t:0:5 t:1:6]]"},
		{"\"t\",0,5\n", "g", "map[g:map[t:0:5]]"},
		{"topic,partition,offset\nt,0,5", "g", "map[g:map[t:0:5]]"},
		{"group,topic,partition,offset\nx,t,0,5", "g", "map[g:map[t:0:5]]"},
		{"", "", "map[]"},
		{"t,0,5", "", "line 1 names no group"},
		{"g,t,0,5\ng,t,0,6", "", "line 2: t:0 of group g is named twice"},
		{"g,t,x,5", "", "line 1: \"x\" is no number"},
		{"g,t,0,-5", "", "line 1 needs"},
		{"a,b", "", "line 1: it is neither"},
		{"{\"group\":\"g\",\"topic\":\"t\",\"partition\":0}", "", "no offset in it"},
		{"{", "", "line 1: unexpected end"},
		{"{\"group\":\"g\",\"topic\":\"t\",\"partition\":4294967296,\"offset\":5}", "", "line 1"},
		{strings.Repeat("x", 2<<20), "", "too long"},
	} {
		goals, _, err := readLines(strings.NewReader(c.text), c.into)
		got := fmt.Sprint(goals)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%.60q: %s, want %s", c.text, got, c.want)
		}
	}
}

func FuzzFilesOfOffsetsAreReadWithoutHarm(f *testing.F) {
	f.Add("g,t,0,5\n", "")
	f.Add("{\"group\":\"g\",\"topic\":\"t\",\"partition\":0,\"offset\":5}", "g")
	f.Fuzz(func(t *testing.T, text, into string) {
		goals, groups, err := readLines(strings.NewReader(text), into)
		if err != nil {
			return
		}
		if len(goals) != len(groups) {
			t.Errorf("%d groups and %d goals", len(groups), len(goals))
		}
		for g, offsets := range goals {
			for key, o := range offsets {
				if g == "" || key.topic == "" || key.index < 0 || o < 0 {
					t.Errorf("%s %v %d was taken", g, key, o)
				}
			}
		}
	})
}

func TestLagIsCountedFromWhatIsThere(t *testing.T) {
	for _, c := range []struct {
		committed, lag int64
		known, exists  bool
		note           string
	}{
		{50, 50, true, true, ""}, {100, 0, true, true, ""}, {-1, -1, true, true, ""},
		{5, 90, true, true, "before the start: out of range"}, {101, 0, true, true, "after the end: out of range"},
		{50, -1, false, true, "the partition has no leader"}, {50, -1, false, false, "there is no such partition now"},
	} {
		o := offset{Committed: c.committed, Start: -1, End: -1, Lag: -1}
		o.place(10, 100, c.known, c.exists)
		if o.Lag != c.lag || o.Note != c.note {
			t.Errorf("%+v: %+v", c, o)
		}
	}
}

func TestRatesAndTheTimeToCatchUpAreOfTwoLooks(t *testing.T) {
	at := time.Unix(1000, 0)
	look := func(committed, end int64) []page {
		return []page{{Group: "g", Offsets: []offset{{Topic: "t", Committed: committed, End: end, Lag: end - committed}}}}
	}
	rows, marks := paces(look(100, 1000), nil, at)
	if rows[0].Consumed != nil || rows[0].CaughtUp != nil || rows[0].Lag != 900 {
		t.Errorf("%+v", rows[0])
	}
	rows, _ = paces(look(300, 1100), marks, at.Add(2*time.Second))
	if r := rows[0]; *r.Consumed != 100 || *r.Produced != 50 || *r.CaughtUp != 16 {
		t.Errorf("%v %v %v", *r.Consumed, *r.Produced, *r.CaughtUp)
	}
	if rows, _ = paces(look(110, 1100), marks, at.Add(2*time.Second)); rows[0].CaughtUp != nil {
		t.Errorf("it falls behind and is said to catch up in %v s", *rows[0].CaughtUp)
	}
}

// requests counts the requests of a client by key.
type requests struct{ byKey map[int16]int }

func (r *requests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		r.byKey[key]++
	}
}

func TestTheTimeBehindOfManyPartitionsIsReadWithFewRequests(t *testing.T) {
	const partitions = 200
	broker := apptest.Broker(t, fmt.Sprintf("num.partitions=%d", partitions))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("many"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	old := time.Now().Add(-time.Hour)
	var records []*kgo.Record
	for p := range int32(partitions) {
		records = append(records,
			&kgo.Record{Partition: p, Timestamp: old, Value: make([]byte, 40_000)}, // more than a first round takes
			&kgo.Record{Partition: p, Timestamp: old.Add(time.Duration(p) * time.Second)})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "many:0-%d=1", partitions-1)
	if r := apptest.Run(t, nouns, broker, "", "group", "seek", "g", "--to", text.String(), "--apply"); r.Exit != 0 {
		t.Fatal(r.Err)
	}
	count := &requests{map[int16]int{}}
	a := &app.App{Env: func(string) string { return "" }, Now: func() time.Time { return old.Add(time.Hour) }}
	a.SetConnection(broker, nil)
	var pages []page
	c := &cobra.Command{Use: "x"}
	c.SetContext(ctx)
	ask, err := a.Client(ctx, c, kgo.WithHooks(count))
	if err != nil {
		t.Fatal(err)
	}
	defer ask.Close()
	pages, fails := (&cluster{cl: ask, adm: a.AdminOf(ask)}).survey(ctx, a, []string{"g"}, timeDepth)
	if len(fails) > 0 || len(pages) != 1 || len(pages[0].Offsets) != partitions {
		t.Fatalf("%v, %d pages", errors.Join(failures(fails)...), len(pages))
	}
	for _, o := range pages[0].Offsets {
		want := 3600 - float64(o.Partition)
		if o.Lag != 1 || o.LagSeconds == nil || *o.LagSeconds != want {
			t.Fatalf("partition %d: %d records, %s, want 1 and %v s", o.Partition, o.Lag, floatText(o.LagSeconds), want)
		}
	}
	total := 0
	for key, n := range count.byKey {
		total += n
		if n > 6 {
			t.Errorf("%d requests with key %d", n, key)
		}
	}
	if total > 20 {
		t.Errorf("%d requests for %d partitions: %v", total, partitions, count.byKey)
	}
}

// failures are failures as errors.
func failures(fails []*app.Failure) (errs []error) {
	for _, f := range fails {
		errs = append(errs, f)
	}
	return errs
}
