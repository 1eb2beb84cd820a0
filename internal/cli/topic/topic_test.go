package topic

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// nouns is the tree that these tests run.
func nouns(a *app.App) []*cobra.Command { return []*cobra.Command{Noun(a)} }

func TestHealthSaysWhatKeepsATopicFromBeingWritten(t *testing.T) {
	ok := kadm.PartitionDetail{Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}
	thin := kadm.PartitionDetail{Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1}}
	none := kadm.PartitionDetail{Leader: -1, Replicas: []int32{1}, ISR: []int32{1}}
	for _, c := range []struct {
		ps   []kadm.PartitionDetail
		min  int
		well bool
		want string
	}{
		{[]kadm.PartitionDetail{ok}, 1, true, "healthy: 1 partition,"},
		{[]kadm.PartitionDetail{ok, thin}, 1, false, "degraded: 1 of 2 partitions"},
		{[]kadm.PartitionDetail{ok, thin}, 2, false, "unhealthy: 2 of 2 partitions with fewer than min.insync.replicas=2"},
		{[]kadm.PartitionDetail{none, thin}, 1, false, "unhealthy: 1 of 2 partitions without a leader, 1 with"},
	} {
		if well, got := health(c.ps, c.min); well != c.well || !strings.HasPrefix(got, c.want) {
			t.Errorf("%v %s, want %s", well, got, c.want)
		}
	}
}

func TestRatesAreOfWhatWasWrittenAndNotGuessed(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	for _, c := range []struct {
		first place
		last  int64
		want  float64 // below zero for none
	}{
		{place{40, 1}, now.UnixMilli(), 1},
		{place{-1, -1}, now.UnixMilli() - 90_000, 0},
		{place{40, 1}, now.UnixMilli() + 3_600_000, -1}, // timestamps of the future tell nothing
	} {
		got := lastMinute(c.first, index{End: 100, last: c.last}, now)
		if (got == nil) != (c.want < 0) || got != nil && *got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	p := partition{"t", 0}
	first := measured{at: now, ends: map[partition]place{p: {10, -1}}, bytes: map[partition]int64{p: 1000}}
	later := measured{at: now.Add(2 * time.Second), ends: map[partition]place{p: {30, -1}}, bytes: map[partition]int64{p: 900}}
	if records, bytes := first.rates(later, p); records == nil || *records != 10 || bytes != nil {
		t.Errorf("records %v, bytes %v; a log that became shorter has no rate", records, bytes)
	}
}

func TestRetentionIsSaidAsPeopleSayIt(t *testing.T) {
	for _, c := range []struct {
		policy string
		ms     int64
		want   string
	}{
		{"delete", 604_800_000, "7 d"}, {"delete", -1, "for ever"}, {"compact", 604_800_000, "compacted"}, {"compact,delete", 3_600_000, "1 h, compacted"}, {"delete", 1<<63 - 1, "for ever"},
	} {
		if got := (row{Policy: &c.policy, RetentionMS: &c.ms}).retention(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestAssignmentsAreReadOrRefusedWithAReason(t *testing.T) {
	if got, err := assignment("1:2,2:3,3:1"); err != nil || len(got) != 3 || got[2][0] != 3 || got[2][1] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{"": "no broker's id", "1:x": `"x"`, "1:1": "twice", "1:2,3": "1 replicas"[2:], "-1": "no broker's id"} {
		if _, err := assignment(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestMistakesAreRefusedBeforeABrokerIsAsked(t *testing.T) {
	for _, c := range []struct {
		line, want string
	}{
		{"topic list --regex (", "no regular expression"},
		{"topic list a[", "no pattern"},
		{"topic create a -c x", "key=value"},
		{"topic create a -p 0", "at least one partition"},
		{"topic create a -r 0", "at least one replica"},
		{"topic create a --assign 1 -p 1", "leave -p and -r away"},
		{"topic alter a", "nothing is to be changed"},
		{"topic alter a --set x", "key=value"},
		{"topic alter a --unset x=1", "the key alone"},
		{"topic alter a --set x=1 --unset x", "two ways"},
		{"topic alter a -p 0", "at least one partition"},
		{"topic add-partitions a", "N is missing"},
		{"topic add-partitions a 0", "no number of partitions"},
		{"topic add-partitions a --to 0", "at least one partition"},
		{"topic add-partitions a 1 --to 2", "one argument too many"},
		{"topic trim a", "--before is missing"},
		{"topic trim a --before soon", "allowed are"},
		{"topic trim a --before @soon", "is not a time"},
		{"topic trim a --partition x --before 1", "not of the form"},
		{"topic trim a --partition 1", "give --before too"},
		{"topic empty a*", "is a pattern"},
		{"topic clone a", "NEW is missing"},
		{"topic describe", "NAME is missing"},
		{"topic config", "NAME is missing"},
	} {
		r := apptest.Run(t, nouns, "127.0.0.1:1", "", strings.Fields(c.line)...)
		if r.Exit != app.ExitUsage || r.Out != "" || !strings.Contains(r.Err, c.want) {
			t.Errorf("%s: exit %d, %s; want %s", c.line, r.Exit, r.Err, c.want)
		}
	}
}

func TestDataIsWholeInJSON(t *testing.T) {
	broker := apptest.Broker(t)
	run := func(line string) apptest.Result { return apptest.Run(t, nouns, broker, "", strings.Fields(line)...) }
	if r := run("topic create orders -p 2 -c retention.ms=3600000"); r.Exit != 0 {
		t.Fatal(r.Err)
	}
	var rows []row
	if r := run("topic list -o json"); r.Exit != 0 || json.Unmarshal([]byte(r.Out), &rows) != nil || len(rows) != 1 ||
		rows[0].Records == nil || *rows[0].Records != 0 || rows[0].RetentionMS == nil || *rows[0].RetentionMS != 3_600_000 || rows[0].Bytes == nil {
		t.Errorf("%+v", r)
	}
	var p page
	if r := run("topic describe orders -o json"); r.Exit != 0 || json.Unmarshal([]byte(r.Out), &p) != nil || !p.Healthy || len(p.Partitions) != 2 ||
		len(p.Configs) != 1 || p.Groups == nil || p.LastRecord != nil {
		t.Errorf("%+v", r)
	}
	var cuts []cutRow
	if r := run("topic trim orders --before end --dry-run -o json"); r.Exit != 0 || json.Unmarshal([]byte(r.Out), &cuts) != nil || len(cuts) != 2 {
		t.Errorf("%+v", r)
	}
	var steps []step
	if r := run("topic alter orders --set retention.ms=1 -p 3 --dry-run -o json"); r.Exit != 0 || json.Unmarshal([]byte(r.Out), &steps) != nil || len(steps) != 2 ||
		*steps[0].Old != "3600000" || *steps[1].New != "3" {
		t.Errorf("%+v", r)
	}
}

func TestWhatAPatternFindsIsDestroyedByNameAlone(t *testing.T) {
	broker := apptest.Broker(t)
	run := func(line string) apptest.Result { return apptest.Run(t, nouns, broker, "", strings.Fields(line)...) }
	if r := run("topic create tmp-1 tmp-2 keep"); r.Exit != 0 {
		t.Fatal(r.Err)
	}
	if r := run("topic delete tmp-* -y --confirm tmp-1"); r.Exit != app.ExitRefused || !strings.Contains(r.Err, "try: --confirm tmp-1 --confirm tmp-2\n") {
		t.Errorf("%+v", r)
	}
	if r := run("topic delete tmp-* --confirm tmp-1 --confirm tmp-2"); r.Exit != 0 {
		t.Errorf("%+v", r)
	}
	if r := run("topic list -o name"); r.Out != "keep\n" {
		t.Errorf("%+v", r)
	}
	if r := run("topic delete keep none"); r.Exit != app.ExitRefused {
		t.Errorf("%+v", r)
	}
	if r := run("topic delete keep none -y"); r.Exit != app.ExitPartly || !strings.Contains(r.Err, "there is no topic none") {
		t.Errorf("%+v", r)
	}
}

func TestAPatternOfVeryManyTopicsSaysHowToNameThem(t *testing.T) {
	var topics []kadm.TopicDetail
	for i := range 3000 {
		topics = append(topics, kadm.TopicDetail{Topic: fmt.Sprintf("bulk-%d", i)})
	}
	refused := &app.Failure{Code: app.CodeRefused, Why: "a pattern found bulk-0", Try: "--confirm bulk-0"}
	if f := app.Explain(confirmAll(refused, []string{"bulk-*"}, topics)); f.Try != "klamm topic delete $(klamm topic list 'bulk-*' -o name) -y, when all 3000 may go" {
		t.Errorf("%+v", f)
	}
	refused.Why = "profile prod is protected: to delete it needs its name"
	if f := app.Explain(confirmAll(refused, []string{"bulk-*"}, topics)); f.Try != "--confirm NAME for each of the 3000 topics" {
		t.Errorf("%+v", f)
	}
	if f := app.Explain(confirmAll(refused, []string{"bulk-*"}, topics[:2])); f.Try != "--confirm bulk-0 --confirm bulk-1" {
		t.Errorf("%+v", f)
	}
}
