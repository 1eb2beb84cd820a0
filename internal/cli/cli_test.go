package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/record"
)

// run runs one command line without a terminal and without environment.
func run(t *testing.T, in string, args ...string) (exit int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(in), out: &o, err: &e, env: func(string) string { return "" }}
	exit = a.main(context.Background(), append([]string{"klamm"}, args...))
	return exit, o.String(), e.String()
}

// walk calls f with every command of the tree.
func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			walk(sub, f)
		}
	}
}

func TestEveryCommandHasAnExampleAShortTextAndHelpThatBeginsWithThem(t *testing.T) {
	a := &app{env: func(string) string { return "" }}
	walk(a.root(), func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s lacks a short text or an example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "klamm ") {
				t.Errorf("%s: the example %q is not an indented command", c.CommandPath(), line)
			}
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		exit, out, _ := run(t, "", args...)
		if exit != 0 || strings.Index(out, "Examples") > strings.Index(out, "Usage") || !strings.Contains(out, "Examples") {
			t.Errorf("%s --help: exit %d\n%s", c.CommandPath(), exit, out)
		}
	})
}

func TestMistakesOfTheCommandLineExitWith2AndSayWhatToTry(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"topc"}, "try: klamm topic\n"},
		{[]string{"topic", "lst"}, "try: klamm topic list\n"},
		{[]string{"topic", "create"}, "NAME is missing"},
		{[]string{"produce"}, "TOPIC is missing"},
		{[]string{"produce", "a", "b"}, `"b" is one argument too many`},
		{[]string{"topic", "list", "--what"}, "unknown flag: --what"},
		{[]string{"topic", "create", "a", "-c", "x"}, "key=value"},
		{[]string{"topic", "create", "a", "-p", "0"}, "at least one partition"},
		{[]string{"consume", "a", "-o", "yesterday"}, "allowed are start, end"},
		{[]string{"consume", "a", "-o", "@soon"}, "is not a time"},
		{[]string{"consume", "a", "-g", "g", "-o", ":end"}, "a group reads on"},
		{[]string{"consume", "a", "-f", "%"}, "-f %"},
		{[]string{"produce", "a", "-z", "brotli"}, "none, gzip, snappy, lz4 and zstd"},
		{[]string{"produce", "a", "--acks", "2"}, "all, 1 and 0"},
		{[]string{"produce", "a", "-H", "x"}, "key=value"},
		{[]string{"topic", "list", "--timeout", "soon"}, "not a duration"},
		{[]string{"server"}, "--config is missing"},
		{[]string{"dev", "--listen", "0.0.0.0:9092"}, "this machine alone"},
		{[]string{"dev", "--override", "num.partitions=x"}, "not a number"},
		{[]string{"log", "dump", "-o", "csv", "x"}, "table, json, jsonl"},
		{[]string{"version", "-o", "yaml"}, "the forms are"},
	} {
		exit, out, err := run(t, "", c.args...)
		if exit != exitUsage || out != "" || !strings.Contains(err, c.want) || !strings.Contains(err, "error K") {
			t.Errorf("%v: exit %d, out %q, err %q; want %q", c.args, exit, out, err, c.want)
		}
	}
}

func TestNobodyListensIsSaidAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	began := time.Now()
	for _, args := range [][]string{{"topic", "list"}, {"produce", "t"}, {"consume", "t"}, {"group", "describe", "g"}} {
		exit, _, text := run(t, "", append(args, "-b", addr)...)
		if exit != exitFailed || !strings.Contains(text, "error K1002") || !strings.Contains(text, addr) || !strings.Contains(text, "klamm dev") {
			t.Errorf("%v: exit %d, %s", args, exit, text)
		}
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestServerRefusesAFileThatItCannotObey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("node.id=1\nlisteners=SSL://:9092\nnum.io.threads=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exit, _, text := run(t, "", "server", "--config", file)
	if exit != exitFailed || !strings.Contains(text, file+":2:") || !strings.Contains(text, file+":3:") || !strings.Contains(text, "K1007") {
		t.Errorf("exit %d: %s", exit, text)
	}
	if exit, _, text = run(t, "", "server", "--config", file+".not"); exit != exitNotFound || !strings.Contains(text, "there is no file") {
		t.Errorf("exit %d: %s", exit, text)
	}
}

func TestSeedsComeFromFlagEnvironmentOrDefault(t *testing.T) {
	env := map[string]string{}
	for _, c := range []struct{ flag, klamm, kafka, want, from string }{
		{"", "", "", "localhost:9092", "the default"},
		{"", "", "k:1", "k:1", "KAFKA_BOOTSTRAP_SERVERS"},
		{"", "e:1, e:2", "k:1", "e:1 e:2", "KLAMM_BROKERS"},
		{"f", "e:1", "k:1", "f:9092", "--brokers"},
		{"[::1]:9092", "", "", "[::1]:9092", "--brokers"},
	} {
		env["KLAMM_BROKERS"], env["KAFKA_BOOTSTRAP_SERVERS"] = c.klamm, c.kafka
		a := &app{env: func(k string) string { return env[k] }, brokers: c.flag}
		if addrs, from := a.seeds(); strings.Join(addrs, " ") != c.want || from != c.from {
			t.Errorf("%+v: %v from %s", c, addrs, from)
		}
	}
}

func TestParseStartResolvesToOffsets(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text  string
		toEnd bool
		want  int64 // of a partition 10..100 whose time lookup gave 50
		milli int64
	}{
		{"start", false, 10, -1}, {"start:end", true, 10, -1}, {":end", true, 10, -1}, {"end", false, 100, -1}, {"", false, 100, -1},
		{"42", false, 42, -1}, {"3:end", true, 10, -1}, {"+5", false, 15, -1}, {"+500", false, 100, -1}, {"-5", false, 95, -1}, {"-500", false, 10, -1},
		{"@-1h", false, 50, now.Add(-time.Hour).UnixMilli()}, {"@-2d:end", true, 50, now.Add(-48 * time.Hour).UnixMilli()},
		{"@1767225600000", false, 50, 1767225600000}, {"@2026-01-01", false, 50, 1767225600000},
		{"@2026-01-01T00:00:01Z", false, 50, 1767225601000}, {"@now", false, 50, now.UnixMilli()},
	} {
		o, err := parseStart(c.text, now)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := o.resolve(10, 100, 50); got != c.want || o.toEnd != c.toEnd || o.milli != c.milli {
			t.Errorf("%s: %d to end %v at %d; want %+v", c.text, got, o.toEnd, o.milli, c)
		}
	}
	for _, bad := range []string{"middle", "@", "@-x", "1.5", "@2026-13-01", "--1"} {
		if _, err := parseStart(bad, now); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestInputWithoutItsLastNewlineIsWhole(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a\n", "a\n": "a\n", "a\nb": "a\nb\n"} {
		got, err := io.ReadAll(&finalNewline{r: strings.NewReader(in), add: true})
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	r, err := kgo.NewRecordReader(&finalNewline{r: strings.NewReader("a\t1\nb\t2"), add: true}, `%k\t%v\n`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a=1", "b=2"} {
		rec, err := r.ReadRecord()
		if err != nil || string(rec.Key)+"="+string(rec.Value) != want {
			t.Errorf("%v, %v; want %s", rec, err, want)
		}
	}
	if _, err := r.ReadRecord(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

func TestRecordsAsJSONKeepNullEmptyAndBytes(t *testing.T) {
	at := time.UnixMilli(1767225600123)
	got := string(appendJSON(nil, &kgo.Record{Topic: "t", Partition: 1, Offset: 2, Timestamp: at, Key: nil, Value: []byte(""), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0xff}}}}))
	want := `{"topic":"t","partition":1,"offset":2,"timestamp":"2026-01-01T00:00:00.123Z","key":null,"value":"","headers":[{"key":"h","value":null,"value_base64":"/w=="}]}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestPrintListHasEveryForm(t *testing.T) {
	l := list[topicRow]{
		items: []topicRow{{Name: "a", Partitions: 1, Replicas: 2}, {Name: "b,c", Partitions: 3, Replicas: 1}}, header: []string{"name", "partitions"},
		row:  func(r topicRow) []string { return []string{r.Name, strings.Repeat("x", r.Partitions)} },
		name: func(r topicRow) string { return r.Name },
	}
	for form, want := range map[string]string{
		"table": "NAME  PARTITIONS\na     x\nb,c   xxx\n",
		"csv":   "name,partitions\na,x\n\"b,c\",xxx\n",
		"name":  "a\nb,c\n",
		"jsonl": `{"name":"a","topic_id":"","partitions":1,"replicas":2,"internal":false}` + "\n" + `{"name":"b,c","topic_id":"","partitions":3,"replicas":1,"internal":false}` + "\n",
	} {
		var b bytes.Buffer
		if err := printList(&cobra.Command{}, &b, form, l); err != nil || b.String() != want {
			t.Errorf("%s: %v\n%s", form, err, b.String())
		}
	}
	var b bytes.Buffer
	if err := printList(&cobra.Command{}, &b, "json", list[topicRow]{}); err != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("an empty list is %q, %v", b.String(), err)
	}
}

func TestDescribeSaysHealthConfigurationAndThatNothingIsCompacted(t *testing.T) {
	ok := kadm.PartitionDetail{Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}
	thin := kadm.PartitionDetail{Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1}}
	none := kadm.PartitionDetail{Leader: -1, Replicas: []int32{1}, ISR: []int32{1}}
	for _, c := range []struct {
		ps   []kadm.PartitionDetail
		want string
	}{
		{[]kadm.PartitionDetail{ok}, "healthy: 1 partition,"},
		{[]kadm.PartitionDetail{ok, thin}, "degraded: 1 of 2 partitions"},
		{[]kadm.PartitionDetail{none, thin}, "unhealthy: 1 of 2 partitions without a leader, 1 with"},
	} {
		if got := health(c.ps); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	p := topicPage{Name: "t", Health: "healthy", Bytes: 1234, Partitions: []partitionRow{{Replicas: []int32{1}, ISR: []int32{1}, Bytes: -1}}}
	p.configured([]kadm.Config{
		{Key: "retention.ms", Value: kmsg.StringPtr("5"), Source: kmsg.ConfigSourceDynamicTopicConfig},
		{Key: "cleanup.policy", Value: kmsg.StringPtr("compact,delete"), Source: kmsg.ConfigSourceDynamicTopicConfig},
		{Key: "flush.before.ack", Value: kmsg.StringPtr("true"), Source: kmsg.ConfigSourceDefaultConfig},
	})
	var b bytes.Buffer
	p.print(&app{out: &b})
	for _, want := range []string{"1.2 kB", "does not compact yet and keeps every record", "retention.ms    5               topic", "cleanup.policy  compact,delete  topic"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "flush.before.ack") {
		t.Errorf("shows a default:\n%s", b.String())
	}
}

func TestExplainKnowsKindsOfErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit int
		code string
	}{
		{kerr.UnknownTopicOrPartition, exitNotFound, codeNotFound},
		{kerr.GroupIDNotFound, exitNotFound, codeNotFound},
		{kerr.InvalidConfig, exitFailed, codeBroker},
		{kerr.RequestTimedOut, exitTimeout, codeTimeout},
		{context.DeadlineExceeded, exitTimeout, codeTimeout},
		{&net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}, exitFailed, codeUnreachable},
		{&failure{exit: 6, code: "K1"}, 6, "K1"},
	} {
		if f := explain(c.err); f.exit != c.exit || f.code != c.code {
			t.Errorf("%v: %d %s", c.err, f.exit, f.code)
		}
	}
}

func TestSizesAreSaidAsPeopleSayThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9999: "10 kB", 1_234_567: "1.2 MB", 999_999_999: "1.0 GB", 61_000_000_000: "61 GB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestReadyBlockSaysWhatIsTrue(t *testing.T) {
	var b bytes.Buffer
	readyBlock(&b, node.Info{ClusterID: "abc", New: true, Addr: "127.0.0.1:9092", Free: 61e9, ReadyIn: 12 * time.Millisecond}, "localhost:9092", "./klamm-data", "")
	for _, want := range []string{`new cluster "abc"`, "ready in 12 ms", "localhost:9092", "61 GB free", "klamm topic create orders -p 6", "./klamm-data"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "Metrics") || strings.Contains(b.String(), "export") {
		t.Errorf("says too much:\n%s", b.String())
	}
	b.Reset()
	readyBlock(&b, node.Info{ClusterID: "abc", Topics: 3, Bytes: 1.2e9}, clientAddr("localhost:0", "127.0.0.1:4711"), "d", "127.0.0.1:9644")
	for _, want := range []string{`restarted cluster "abc", 3 topics, 1.2 GB`, "export KLAMM_BROKERS=localhost:4711", "http://127.0.0.1:9644/metrics"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

func TestATakenPortNamesItsHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = net.Listen("tcp", l.Addr().String())
	f := explain(startFailure(err, "klamm dev --listen localhost:19092"))
	if !strings.Contains(f.what, "is taken") || !strings.Contains(f.try, "--listen") {
		t.Errorf("%+v", f)
	}
}

func TestLogDumpShowsBatchesRecordsAndDamage(t *testing.T) {
	codecs := record.NewCodecs(1)
	segment := testSegment(t, codecs)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.log", append(bytes.Clone(segment), make([]byte, 4096)...))
	exit, out, text := run(t, "", "log", "dump", good)
	if exit != 0 || strings.Count(out, "batch at") != 2 || !strings.Contains(out, `  0  2026-01-01T00:00:00.000Z  k  "hello world"`) || !strings.Contains(out, "null") {
		t.Errorf("exit %d %s\n%s", exit, text, out)
	}
	exit, out, _ = run(t, "", "log", "dump", "-o", "json", good)
	var rows []batchRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || exit != 0 || len(rows) != 2 || !rows[1].Valid || len(rows[0].Records) != 2 || rows[1].BaseOffset != 2 {
		t.Errorf("exit %d, %v: %+v", exit, err, rows)
	}
	if exit, out, _ = run(t, "", "log", "dump", "--batches", "-n", "1", good); exit != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("exit %d: %s", exit, out)
	}
	broken := bytes.Clone(segment)
	broken[len(broken)-1] ^= 1
	if exit, out, _ = run(t, "", "log", "dump", write("crc.log", broken)); exit != 0 || !strings.Contains(out, "BROKEN") {
		t.Errorf("exit %d: %s", exit, out)
	}
	torn := write("torn.log", segment[:len(segment)-3])
	exit, out, text = run(t, "", "log", "dump", torn)
	if exit != exitFailed || strings.Count(out, "batch at") != 1 || !strings.Contains(text, "torn") {
		t.Errorf("exit %d %s\n%s", exit, text, out)
	}
	if exit, _, text = run(t, "", "log", "dump", good, filepath.Join(dir, "none")); exit != exitPartly || !strings.Contains(text, "there is no file") {
		t.Errorf("exit %d %s", exit, text)
	}
	if exit, _, text = run(t, "", "log", "dump", dir); exit != exitFailed || !strings.Contains(text, "directory") {
		t.Errorf("exit %d %s", exit, text)
	}
}

// testSegment is two batches: two records at 0 and one at 2.
func testSegment(t *testing.T, codecs *record.Codecs) []byte {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	b := record.NewBuilder(codecs, record.BuilderOptions{Codec: record.Gzip})
	b.Append(at, []byte("k"), []byte("hello world"))
	b.Append(at, nil, []byte("x"))
	first, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	segment := bytes.Clone(first)
	b.Reset(codecs, record.BuilderOptions{BaseOffset: 2})
	b.Append(at, []byte("k2"), nil, record.Header{Key: []byte("h"), Value: []byte("v")})
	second, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return append(segment, second...)
}
