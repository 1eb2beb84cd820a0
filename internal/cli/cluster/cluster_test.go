package cluster

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
	"github.com/klamm/klamm/internal/cli/settings"
)

// nouns is the tree that these tests run.
func nouns(a *app.App) []*cobra.Command { return []*cobra.Command{Noun(a), Nodes(a)} }

// broken is a cluster of three brokers with everything wrong that can be.
func broken() (*survey, map[int32]version, map[string]int, kadm.DescribedAllLogDirs) {
	topic := func(name string, ps ...kadm.PartitionDetail) kadm.TopicDetail {
		t := kadm.TopicDetail{Topic: name, Partitions: kadm.PartitionDetails{}}
		for i, p := range ps {
			p.Topic, p.Partition = name, int32(i)
			t.Partitions[int32(i)] = p
		}
		return t
	}
	three := []int32{1, 2, 3}
	s := &survey{
		controller: -1,
		members:    []member{{ID: 1, Host: "a", Port: 1}, {ID: 2, Host: "b", Port: 2, Fenced: true}, {ID: 3, Host: "c", Port: 3}},
		topics: kadm.TopicDetails{
			"gone": topic("gone", kadm.PartitionDetail{Leader: -1, Replicas: three, ISR: three}),
			"thin": topic("thin", kadm.PartitionDetail{Leader: 1, Replicas: three, ISR: []int32{1}}, kadm.PartitionDetail{Leader: 1, Replicas: three, ISR: three}),
		},
	}
	dirs := kadm.DescribedAllLogDirs{
		1: {"/a": {Broker: 1, Dir: "/a", TotalBytes: 1000, UsableBytes: 10}, "/b": {Broker: 1, Dir: "/b", Err: kerr.KafkaStorageError}},
	}
	return s, map[int32]version{1: {software: "Kafka 4.4"}, 3: {err: errors.New("it hung up")}}, map[string]int{"thin": 2}, dirs
}

func TestHealthNamesWhatIsWrongAndWhereToLook(t *testing.T) {
	s, told, minISR, dirs := broken()
	checks := s.checks(told, minISR, dirs, 5)
	for i, want := range []check{
		{"brokers", statusBad, "2 of 3: broker 2 is fenced; broker 3 at c:3 does not answer: it hung up", "klamm node list"},
		{"controller", statusBad, "there is no active controller, so nothing can be changed and no leader be elected", "klamm node list"},
		{"offline_partitions", statusBad, "1 of 3 partitions without a leader: gone/0", "klamm topic describe gone"},
		{"under_replicated_partitions", statusBad, "1 of 3 partitions with replicas missing: thin/0", "klamm topic describe thin"},
		{"under_min_isr_partitions", statusBad, "1 of 3 partitions with fewer than min.insync.replicas in sync, which acks=all cannot write: thin/0", "klamm topic describe thin"},
		{"log_dirs", statusBad, "/b on broker 1: KAFKA_STORAGE_ERROR", "klamm node describe 1"},
		{"disk_space", statusBad, "/a on broker 1 has 10 B of 1.0 kB free (1.0 %)", "klamm topic list -o wide   # or delete elsewhere on that disk"},
	} {
		if checks[i] != want {
			t.Errorf("got  %+v\nwant %+v", checks[i], want)
		}
	}
	f := app.Explain(verdict(checks))
	if f.Exit != app.ExitUnhealthy || f.Code != app.CodeUnhealthy || f.What != "the cluster is not well: 7 of 7 checks" {
		t.Errorf("%+v", f)
	}
}

func TestWhatIsNotToldIsNoIllHealth(t *testing.T) {
	s := &survey{controller: 1, members: []member{{ID: 1}}}
	checks := s.checks(map[int32]version{1: {}}, nil, nil, 5)
	if err := verdict(checks); err != nil || checks[len(checks)-1].Status != statusUnknown {
		t.Errorf("%v: %+v", err, checks)
	}
}

func TestMinISRThatIsNotToldIsNotCalledWell(t *testing.T) {
	s, told, _, dirs := broken()
	for _, k := range s.checks(told, nil, dirs, 5) {
		if k.Check == "under_min_isr_partitions" && k.Status != statusUnknown {
			t.Errorf("%+v", k)
		}
	}
}

func TestNodesAreCountedByWhatTheyLeadAndHold(t *testing.T) {
	s, _, _, dirs := broken()
	rows := s.rows(dirs)
	if r := rows[0]; r.Leads != 2 || r.Replicas != 3 || r.OutOfSync != 0 || r.Bytes == nil {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; r.Leads != 0 || r.OutOfSync != 1 || !r.Fenced || r.Bytes != nil {
		t.Errorf("%+v", r)
	}
}

func TestVersionsAreToldTogetherWhereTheyAgree(t *testing.T) {
	for want, all := range map[string]map[int32]version{
		"Kafka 4.4":                  {1: {software: "Kafka 4.4"}, 2: {software: "Kafka 4.4"}, 3: {}},
		"Kafka 3.9 (2), Klamm (1,3)": {1: {software: "Klamm"}, 2: {software: "Kafka 3.9"}, 3: {software: "Klamm"}},
		"":                           {1: {}},
	} {
		if got, _ := together(all); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBrokersThatDifferHaveARowEach(t *testing.T) {
	row := func(key, value string) settings.Row {
		return settings.Row{Key: key, Value: &value, Source: "STATIC_BROKER_CONFIG"}
	}
	got := map[string]*settings.Resource{
		"1": {Name: "1", Rows: []settings.Row{row("log.dirs", "/a"), row("same", "x")}},
		"2": {Name: "2", Rows: []settings.Row{row("log.dirs", "/b"), row("same", "x")}},
		"3": {Name: "3", Err: kerr.BrokerNotAvailable},
	}
	var rows []setting
	var out strings.Builder
	a := apptest.Discard()
	a.Out = &out
	form := &app.Form{}
	if err := form.Set("json"); err != nil {
		t.Fatal(err)
	}
	err := show(a, form, got, []int32{1, 2, 3}, nil, nil, false)
	if f := app.Explain(err); f.Exit != app.ExitPartly || json.Unmarshal([]byte(out.String()), &rows) != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	var text []string
	for _, r := range rows {
		text = append(text, brokerText(r.Broker)+" "+r.Key+"="+*r.Value)
	}
	if s := strings.Join(text, ", "); s != "1 log.dirs=/a, 2 log.dirs=/b, all same=x" {
		t.Error(s)
	}
}

func TestMistakesAreRefusedBeforeABrokerIsAsked(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"cluster health --exit-when soon", "it can be ready"},
		{"cluster health --min-free 101", "0 to 100"},
		{"cluster config --broker -2", "not an id"},
		{"cluster config a --set b=c", "either show keys or change them"},
		{"cluster config --dry-run", "nothing is to be changed"},
		{"cluster info x", "one argument too many"},
		{"node describe", "ID is missing"},
		{"node describe one", "no id of a node"},
		{"node log-level server=LOUD", "the levels are TRACE"},
		{"node log-level server root=INFO", "either show rooms"},
		{"node log-level =INFO", "ROOM=LEVEL"},
		{"node log-level --dry-run", "nothing is to be changed"},
	} {
		r := apptest.Run(t, nouns, "127.0.0.1:1", "", strings.Fields(c.line)...)
		if r.Exit != app.ExitUsage || r.Out != "" || !strings.Contains(r.Err, c.want) {
			t.Errorf("%s: exit %d, %s; want %s", c.line, r.Exit, r.Err, c.want)
		}
	}
}

func TestWaitingForAClusterEndsInTime(t *testing.T) {
	began := time.Now()
	r := apptest.Run(t, nouns, "127.0.0.1:1", "", "cluster", "health", "--exit-when", "ready", "--timeout", "300ms")
	if r.Exit != app.ExitTimeout || !strings.Contains(r.Err, "not ready after 300 ms") || !strings.Contains(r.Err, "no broker answers") {
		t.Errorf("%+v", r)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
	broker := apptest.Broker(t)
	if r = apptest.Run(t, nouns, broker, "", "cluster", "health", "--exit-when", "ready", "--min-free", "0", "-o", "name"); r.Exit != 0 || !strings.HasPrefix(r.Out, "brokers\n") {
		t.Errorf("%+v", r)
	}
	if r = apptest.Run(t, nouns, broker, "", "cluster", "health", "--min-free", "100"); r.Exit != app.ExitUnhealthy || !strings.Contains(r.Err, "K1012") {
		t.Errorf("%+v", r)
	}
}
