package benchcmd

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
	"github.com/klamm/klamm/internal/cli/topic"
)

// nouns is the tree that these tests run.
func nouns(a *app.App) []*cobra.Command { return []*cobra.Command{Noun(a), topic.Noun(a)} }

func TestBucketsFollowOneAnotherWithoutAGap(t *testing.T) {
	for i := range buckets - 1 {
		high := highest(i)
		if bucket(high) != i || bucket(high+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is counted in %d, and %d in %d", i, high, bucket(high), high+1, bucket(high+1))
		}
	}
	if got := bucket(1<<63 - 1); got != buckets-1 {
		t.Errorf("the greatest duration is in bucket %d of %d", got, buckets)
	}
	if bucket(-1) != 0 {
		t.Error("a duration below zero is not counted as none")
	}
}

func TestQuantilesAreThoseOfTheSortedDurations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, n := range []int{1, 2, 3, 100, 10_000} {
		var one, two histogram
		var all []time.Duration
		for i := range n {
			d := time.Duration(random.ExpFloat64() * float64(random.IntN(1e9)+1))
			all = append(all, d)
			if i%2 == 0 {
				one.add(d)
			} else {
				two.add(d)
			}
		}
		one.merge(&two)
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 0.99, 0.999, 1} {
			i := max(int(q*float64(n)+0.9999999), 1) - 1
			want, got := all[i], one.quantile(q)
			if got < want || float64(got) > float64(want)*(1+1.0/cuts)+1 {
				t.Errorf("%v of %d: %s, want %s", q, n, got, want)
			}
		}
		if one.most != all[n-1] || one.n != int64(n) {
			t.Errorf("%d: %s of %d", n, one.most, one.n)
		}
	}
	var none histogram
	if none.told() != nil || none.quantile(0.5) != 0 {
		t.Error("an empty histogram has quantiles")
	}
	var h histogram
	if allocs := testing.AllocsPerRun(1000, func() { h.add(12345) }); allocs != 0 {
		t.Errorf("counting allocates %v times", allocs)
	}
}

func TestMistakesAreRefusedBeforeABrokerIsAsked(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"bench produce --size x", "not a size"},
		{"bench produce --size 1GiB", "allowed are 0 to"},
		{"bench produce -n -1", "must be 1 or more"},
		{"bench produce --producers 0", "allowed are 1 to"},
		{"bench produce --acks 2", "all, 1 and 0"},
		{"bench produce -z brotli", "none, gzip, snappy"},
		{"bench produce --keys -1", "--keys"},
		{"bench produce --rate -1", "--rate"},
		{"bench produce -p 0", "at least one partition"},
		{"bench produce orders -p 3", "for the topic that is made"},
		{"bench produce a b", "one argument too many"},
		{"bench consume --consumers 0", "allowed are 1 to"},
		{"bench latency --size 8", "allowed are 16 to"},
		{"bench latency --rate 0", "steady rate"},
	} {
		r := apptest.Run(t, nouns, "127.0.0.1:1", "", strings.Fields(c.line)...)
		if r.Exit != app.ExitUsage || r.Out != "" || !strings.Contains(r.Err, c.want) {
			t.Errorf("%s: exit %d, %s; want %s", c.line, r.Exit, r.Err, c.want)
		}
	}
}

func TestWhatIsMeasuredIsWhatWasSentAndTheTopicGoes(t *testing.T) {
	broker := apptest.Broker(t)
	run := func(line string) (result, apptest.Result) {
		t.Helper()
		r := apptest.Run(t, nouns, broker, "", strings.Fields(line)...)
		var got result
		if r.Exit == 0 && r.Out != "" {
			if err := json.Unmarshal([]byte(r.Out), &got); err != nil {
				t.Fatalf("%s: %v: %s", line, err, r.Out)
			}
		}
		return got, r
	}
	got, r := run("bench produce -n 1001 --size 200 --producers 3 --keys 10 -z lz4 -o json")
	if r.Exit != 0 || got.Records != 1001 || got.Bytes != 1001*208 || got.Clients != 3 || got.Partitions != 6 || got.Latency == nil || got.Latency.P50 <= 0 || got.Latency.Max < got.Latency.P999 ||
		got.Latency.P999 < got.Latency.P50 || got.EndToEnd != nil || got.PerSecond <= 0 {
		t.Errorf("%+v, %+v", got, r)
	}
	got, r = run("bench produce --duration 200ms --rate 500 -o json")
	if r.Exit != 0 || got.Records < 50 || got.Records > 110 {
		t.Errorf("%+v, %+v", got, r)
	}
	got, r = run("bench consume -n 2000 --size 50 --consumers 9 -p 3 -o json")
	if r.Exit != 0 || got.Records != 2000 || got.Bytes != 2000*50 || got.Clients > 3 || got.Latency != nil || got.RecordBytes != 50 {
		t.Errorf("%+v, %+v", got, r)
	}
	got, r = run("bench latency -n 50 --rate 1000 -o json")
	if r.Exit != 0 || got.Records != 50 || got.Lost != 0 || got.EndToEnd == nil || got.Latency == nil || got.EndToEnd.P50 < got.Latency.P50/4 {
		t.Errorf("%+v, %+v", got, r)
	}
	if _, r := run("bench produce --dry-run"); r.Exit != 0 || r.Out != "" || !strings.Contains(r.Err, "would use a topic of its own with 6 partitions") {
		t.Errorf("%+v", r)
	}
	if _, r := run("topic list -o name"); r.Out != "" {
		t.Errorf("topics were left: %s", r.Out)
	}

	// A topic that was named stays, with its records.
	if _, r := run("topic create mine -p 2"); r.Exit != 0 {
		t.Fatal(r.Err)
	}
	if got, r = run("bench produce mine -n 100 --acks 1 -o json"); r.Exit != 0 || got.Topic != "mine" || got.Partitions != 2 {
		t.Errorf("%+v, %+v", got, r)
	}
	if got, r = run("bench latency mine -n 20 -o json"); r.Exit != 0 || got.Records != 20 {
		t.Errorf("%+v, %+v", got, r)
	}
	if got, r = run("bench consume mine -o json"); r.Exit != 0 || got.Records != 120 {
		t.Errorf("%+v, %+v", got, r)
	}
	if _, r = run("bench consume none"); r.Exit != app.ExitNotFound {
		t.Errorf("%+v", r)
	}
	if _, r = run("topic create empty"); r.Exit != 0 {
		t.Fatal(r.Err)
	}
	if _, r = run("bench consume empty"); r.Exit != app.ExitNotFound || !strings.Contains(r.Err, "there are no records in topic empty") {
		t.Errorf("%+v", r)
	}
}

func TestFailuresAreToldByHowManyThereWere(t *testing.T) {
	for _, c := range []struct {
		r    result
		exit int
	}{
		{result{Records: 5}, 0}, {result{Errors: 5, FirstError: "x"}, app.ExitFailed}, {result{Records: 1, Errors: 5}, app.ExitPartly}, {result{Records: 5, Lost: 1}, app.ExitPartly},
	} {
		err := c.r.verdict()
		if (err == nil) != (c.exit == 0) || err != nil && app.Explain(err).Exit != c.exit {
			t.Errorf("%+v: %v", c.r, err)
		}
	}
}
