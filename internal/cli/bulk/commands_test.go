package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// build is the commands of this package below topic.
func build(a *app.App) []*cobra.Command {
	return []*cobra.Command{app.Noun("topic", "", "topics", "  klamm topic", Commands(a)...)}
}

// broker is a broker with a client.
type broker struct {
	addr string
	cl   *kgo.Client
	adm  *kadm.Client
}

// newBroker runs a broker until the test ends.
func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{addr: apptest.Broker(t)}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	b.cl, b.adm = cl, kadm.NewClient(cl)
	return b
}

// topic makes a topic with n records in each of its partitions: key k0, k1 ... and value "partition number".
func (b *broker) topic(t *testing.T, name string, partitions int32, n int) {
	t.Helper()
	if _, err := b.adm.CreateTopic(context.Background(), partitions, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	b.write(t, name, partitions, n)
}

// write adds n records to each partition.
func (b *broker) write(t *testing.T, name string, partitions int32, n int) {
	t.Helper()
	var recs []*kgo.Record
	for p := range partitions {
		for i := range n {
			recs = append(recs, &kgo.Record{
				Topic: name, Partition: p, Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "%d %d", p, i),
				Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}}, Timestamp: time.UnixMilli(1767225600000 + int64(i)*60_000),
			})
		}
	}
	if err := b.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// ok runs a command that is to succeed.
func (b *broker) ok(t *testing.T, in string, args ...string) apptest.Result {
	t.Helper()
	r := apptest.Run(t, build, b.addr, in, append([]string{"topic"}, args...)...)
	if r.Exit != 0 {
		t.Fatalf("%v: exit %d\n%s%s", args, r.Exit, r.Out, r.Err)
	}
	return r
}

// fails runs a command that is to end with an exit code and to say something.
func (b *broker) fails(t *testing.T, exit int, says, in string, args ...string) {
	t.Helper()
	r := apptest.Run(t, build, b.addr, in, append([]string{"topic"}, args...)...)
	if r.Exit != exit || !strings.Contains(r.Err, says) {
		t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, r.Exit, exit, says, r.Out, r.Err)
	}
}

// content is a topic as export prints it, sorted, under the name t and without what may differ.
func (b *broker) content(t *testing.T, name string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(b.ok(t, "", "export", name).Out), "\n")
	slices.Sort(lines)
	return strings.ReplaceAll(strings.Join(lines, "\n"), `"topic":"`+name+`"`, `"topic":"t"`)
}

func TestGrepFindsInKeysValuesAndHeadersByTextExpressionAndCEL(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 3, 100)
	for _, c := range []struct {
		want int
		args []string
	}{
		{3, []string{"99"}}, // value and header of one record of each partition
		{3, []string{"99", "--in", "headers"}},
		{0, []string{"99", "--in", "key"}},
		{300, []string{"K", "-i"}},
		{1, []string{"-e", "^2 77$"}},
		{299, []string{"-e", "^2 77$", "--invert"}},
		{2, []string{"-e", "^[0-9]$", "--in", "headers", "-o", "8:12", "-p", "0"}},
		{5, []string{"k", "-n", "5"}},
		{3, []string{"--cel", `headers["n"] == "42" && key == "k0" && partition < 5 && offset == 42`}},
		{2, []string{"--cel", `value.startsWith("1 ") && timestamp > timestamp("2026-01-01T01:37:00Z")`}},
		{11, []string{"--cel", `json < 0.0 || value.matches("^0 5") `}},
	} {
		r := apptest.Run(t, build, b.addr, "", append([]string{"topic", "grep", "a"}, c.args...)...)
		if got := strings.Count(r.Out, "\n"); got != c.want || (r.Exit == 0) != (c.want > 0) || !strings.Contains(r.Err, fmt.Sprintf("found %d", c.want)) {
			t.Errorf("%v: exit %d, %d records, want %d\n%s", c.args, r.Exit, got, c.want, r.Err)
		}
	}
	if r := b.ok(t, "", "grep", "a", "99", "-c"); r.Out != "3\n" {
		t.Errorf("-c prints %q", r.Out)
	}
	if r := b.ok(t, "", "grep", "a", "1 42"); r.Out != "1@42\tk0\t1 42\n" {
		t.Errorf("got %q", r.Out)
	}
	if r := b.ok(t, "", "grep", "a", "--cel", `json.x == 1.0 || value == "0 1"`); !strings.Contains(r.Err, "the expression failed for 299 records") {
		t.Errorf("%s", r.Err)
	}
	b.fails(t, app.ExitUsage, "PATTERN is missing", "", "grep", "a")
	b.fails(t, app.ExitUsage, "not true or false", "", "grep", "a", "--cel", "offset + 1")
	b.fails(t, app.ExitUsage, "undeclared reference", "", "grep", "a", "--cel", "ofset == 1")
	b.fails(t, app.ExitUsage, "missing closing", "", "grep", "a", "-e", "(")
	b.fails(t, app.ExitNotFound, "there is no topic b", "", "grep", "b", "x")
}

func TestASampleIsSpreadAndComesAgainWithItsSeed(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 4, 100)
	r := b.ok(t, "", "sample", "a", "-n", "8", "-f", `%p %o\n`)
	seen := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(r.Out), "\n") {
		seen[line[:1]]++
	}
	if len(seen) != 4 || seen["0"] != 2 || seen["3"] != 2 {
		t.Errorf("8 of 4 partitions are %v", seen)
	}
	first := b.ok(t, "", "sample", "a", "-n", "5", "--seed", "9", "-f", "json").Out
	if again := b.ok(t, "", "sample", "a", "-n", "5", "--seed", "9", "-f", "json").Out; again != first || strings.Count(first, "\n") != 5 {
		t.Errorf("%s\nand then\n%s", first, again)
	}
	if r := b.ok(t, "", "sample", "a", "-n", "1000", "-f", `%p %o\n`); strings.Count(r.Out, "\n") != 400 || !strings.HasPrefix(r.Out, "0 0\n0 1\n") {
		t.Errorf("all of it is %d records", strings.Count(r.Out, "\n"))
	}
	b.fails(t, app.ExitUsage, "from 1 to", "", "sample", "a", "-n", "0")
}

func TestRecordsAreCountedByOffsetsAndByReading(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 2, 100)
	b.topic(t, "none", 2, 0)
	type row struct {
		Topic, Hour string
		Key         *string
		Partition   *int32
		Records     int64
		Bytes       *int64
		AtMost      bool `json:"at_most"`
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"a", "none"}, "a//200 none//0"},
		{[]string{"a", "none", "--exact"}, "a//200 none//0"},
		{[]string{"a", "none", "--by", "partition"}, "a/0/100 a/1/100 none/0/0 none/1/0"},
		{[]string{"a", "--range", "10:20", "--by", "partition", "--exact"}, "a/0/10 a/1/10"},
		{[]string{"a", "--by", "hour"}, "a/2026-01-01T00:00Z/120 a/2026-01-01T01:00Z/80"},
		{[]string{"a", "--by", "key", "-n", "2"}, "a/k0/30 a/k1/30"},
		{[]string{"a", "--range", "@2026-01-01T00:10:00Z:5m"}, "a//10"},
	} {
		var rows []row
		if err := json.Unmarshal([]byte(b.ok(t, "", append(append([]string{"count"}, c.args...), "-o", "json")...).Out), &rows); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			by := r.Hour
			if r.Partition != nil {
				by = fmt.Sprint(*r.Partition)
			}
			if r.Key != nil {
				by = *r.Key
			}
			got = append(got, fmt.Sprintf("%s/%s/%d", r.Topic, by, r.Records))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.args, got, c.want)
		}
	}
}

func TestAnExportOfEitherFormIsImportedAsItWas(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 3, 500)
	want := b.content(t, "a")
	dir := t.TempDir()
	jsonl, bin := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "a.klamm")
	b.ok(t, "", "export", "a", "--file", jsonl)
	b.ok(t, "", "export", "a", "--file", bin, "--binary")
	b.fails(t, app.ExitFailed, "there is a file", "", "export", "a", "--file", bin, "--binary")
	b.ok(t, "", "import", "j", "--file", jsonl)
	b.ok(t, "", "import", "b", "--file", bin)
	lines, err := os.ReadFile(jsonl)
	if err != nil {
		t.Fatal(err)
	}
	b.ok(t, string(lines), "import", "p")
	for _, name := range []string{"j", "b", "p"} {
		if got := b.content(t, name); got != want {
			t.Errorf("topic %s has other records", name)
		}
	}
	// A dry run reads it and says so, and makes nothing.
	r := b.ok(t, "", "import", "dry", "--file", bin, "--dry-run")
	if !strings.Contains(r.Err, "would write 1500 records") || !strings.Contains(r.Err, "made with 3 partitions (0: 500, 1: 500, 2: 500)") {
		t.Errorf("%s", r.Err)
	}
	b.fails(t, app.ExitNotFound, "there is no topic dry", "", "count", "dry")
	// By key, each key is in one partition.
	b.ok(t, string(lines), "import", "keyed", "-p", "5", "--repartition")
	where := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(b.ok(t, "", "grep", "keyed", "", "-f", `%k %p\n`).Out), "\n") {
		k, p, _ := strings.Cut(line, " ")
		if where[k] != "" && where[k] != p {
			t.Errorf("key %s is in partitions %s and %s", k, where[k], p)
		}
		where[k] = p
	}
	b.topic(t, "small", 1, 0)
	b.fails(t, app.ExitNotFound, "of topic small, which has 1", string(lines), "import", "small")
	b.fails(t, app.ExitFailed, "record 2", "{\"value\":\"1\"}\n{\"valeu\":1}\n", "import", "bad")
	b.fails(t, app.ExitNotFound, "there is no topic bad", "", "count", "bad")
	torn := packed(t, someRecords(5))
	b.fails(t, app.ExitFailed, "the file ends within a block", string(torn[:100]), "import", "torn", "-p", "3")
	b.fails(t, app.ExitFailed, "the export is not whole", string(torn[:len(torn)-blockHeader]), "import", "torn", "-p", "3")
}

func TestAnExportGoesOnWhereItWasInterrupted(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 3, 500)
	dir := t.TempDir()
	for _, form := range [][]string{{"--file", filepath.Join(dir, "a.jsonl")}, {"--file", filepath.Join(dir, "a.klamm"), "--binary"}} {
		args := append([]string{"export", "a"}, form...)
		b.ok(t, "", args...)
		whole, err := os.ReadFile(form[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 5, 30, len(whole) / 2, len(whole) - 1} {
			_ = os.Remove(form[1])
			if err := os.WriteFile(form[1]+".part", whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			b.ok(t, "", append(args, "--resume")...)
			into := fmt.Sprintf("%s-%d", filepath.Base(form[1]), n)
			b.ok(t, "", "import", into, "--file", form[1])
			if b.content(t, into) != b.content(t, "a") {
				t.Errorf("%v, cut at %d of %d bytes: other records", form, n, len(whole))
			}
		}
		// What came since comes behind it.
		b.write(t, "a", 3, 10)
		if r := b.ok(t, "", append(args, "--resume")...); !strings.Contains(r.Err, ": 30 records") {
			t.Errorf("%s", r.Err)
		}
	}
	b.topic(t, "other", 1, 1)
	b.fails(t, app.ExitFailed, "it is of topic a", "", "export", "other", "--file", filepath.Join(dir, "a.klamm"), "--binary", "--resume")
}

func TestAnImportGoesOnWhereItWasInterruptedAndWritesNothingTwice(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 3, 500)
	dir := t.TempDir()
	file := filepath.Join(dir, "a.klamm")
	b.ok(t, "", "export", "a", "--file", file, "--binary")
	b.ok(t, "", "import", "c", "--file", file, "--resume")
	r := b.ok(t, "", "import", "c", "--file", file, "--resume")
	if !strings.Contains(r.Err, "nothing to do") {
		t.Errorf("%s", r.Err)
	}
}

func TestAnImportThatWasStoppedAnywhereEndsWithEachRecordOnce(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 3, 500)
	dir := t.TempDir()
	file := filepath.Join(dir, "a.klamm")
	b.ok(t, "", "export", "a", "--file", file, "--binary")
	want := b.content(t, "a")
	b.topic(t, "c", 3, 0)
	// What a run leaves that ended with the machine: the note, and some records of each partition.
	a := &app.App{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Env: func(string) string { return "" }}
	i := importing{app: a, topic: "c", state: file + ".klamm-import", cl: b.cl, adm: b.adm}
	if there, err := i.look(t.Context()); err != nil || !there {
		t.Fatal(there, err)
	}
	if over, err := i.begin(t.Context(), true); err != nil || over {
		t.Fatal(over, err)
	}
	var some []*kgo.Record
	for p, n := range []int{0, 1, 77} {
		for k := range n {
			some = append(some, &kgo.Record{Topic: "c", Partition: int32(p), Key: fmt.Appendf(nil, "k%d", k%7), Value: fmt.Appendf(nil, "%d %d", p, k), Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, k)}}, Timestamp: time.UnixMilli(1767225600000 + int64(k)*60_000)})
		}
	}
	if err := b.cl.ProduceSync(t.Context(), some...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.fails(t, app.ExitFailed, "was begun already", "", "import", "c", "--file", file)
	r := b.ok(t, "", "import", "c", "--file", file, "--resume")
	if !strings.Contains(r.Err, "78 records are written already") {
		t.Errorf("%s", r.Err)
	}
	if got := b.content(t, "c"); got != want {
		t.Errorf("topic c has other records:\n%s", got)
	}
	// When somebody else wrote meanwhile, it refuses.
	if err := os.WriteFile(i.state, []byte(`{"version":1,"topic":"c","topic_id":"`+i.detail.ID.String()+`","partitions":3,"ends":{"0":499,"1":500,"2":500}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(t, app.ExitRefused, "partition 0 of c does not have what this input has", "", "import", "c", "--file", file, "--resume")
	_ = os.Remove(i.state)
	b.fails(t, app.ExitRefused, "it is not known what", "", "import", "c", "--file", file, "--resume")
}

func TestAReplayKeepsWhatRecordsAre(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 3, 100)
	b.ok(t, "", "replay", "a", "b")
	if b.content(t, "b") != b.content(t, "a") {
		t.Error("the copy has other records")
	}
	r := b.ok(t, "", "replay", "a", "b", "--dry-run")
	if !strings.Contains(r.Err, "would copy at most 300 records of a into b, keeping the 3 partitions") {
		t.Errorf("%s", r.Err)
	}
	// Into itself: the end is that of the beginning.
	b.ok(t, "", "replay", "b", "b", "--range", "start:end")
	if r := b.ok(t, "", "count", "b", "-o", "name"); r.Out != "600\n" {
		t.Errorf("b has %s", r.Out)
	}
	// To another number of partitions, chosen ones alone, on another cluster.
	other := newBroker(t)
	other.topic(t, "few", 2, 0)
	b.ok(t, "", "replay", "a", "few", "--to-brokers", other.addr, "--grep", "1 7", "--range", "start:end")
	if r := other.ok(t, "", "count", "few", "-o", "name"); r.Out != "11\n" {
		t.Errorf("few has %s", r.Out)
	}
	b.ok(t, "", "replay", "a", "cel", "--to-brokers", other.addr, "--cel", "offset >= 90 && partition == 2", "--rate", "1000")
	if r := other.ok(t, "", "count", "cel", "--by", "partition", "-o", "csv"); r.Out != "topic,partition,records\ncel,0,0\ncel,1,0\ncel,2,10\n" {
		t.Errorf("cel has %s", r.Out)
	}
}

func TestAReplayWithANoteGoesOnAndIsDoneOnce(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 2, 100)
	state := filepath.Join(t.TempDir(), "note")
	b.ok(t, "", "replay", "a", "b", "--state", state, "--range", "start:50")
	var n replayed
	read := func() {
		t.Helper()
		raw, err := os.ReadFile(state)
		if err == nil {
			err = json.Unmarshal(raw, &n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if read(); !n.Done || n.Next["0"] != 50 || n.Ends["1"] != 50 {
		t.Errorf("%+v", n)
	}
	if r := b.ok(t, "", "replay", "a", "b", "--state", state); !strings.Contains(r.Err, "nothing to do") {
		t.Errorf("%s", r.Err)
	}
	// As a run leaves it that was stopped.
	n.Done, n.Next["0"] = false, 30
	raw, _ := json.Marshal(n)
	if err := os.WriteFile(state, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := b.ok(t, "", "replay", "a", "b", "--state", state); !strings.Contains(r.Err, "copied into b: 20 records") {
		t.Errorf("%s", r.Err)
	}
	b.fails(t, app.ExitFailed, "cannot be gone on with", "", "replay", "a", "c", "--state", state)
}

func TestWhatIsWrittenOutOfOrderIsNotedUpToTheFirstThatIsNot(t *testing.T) {
	r := &replaying{marks: map[int32]*mark{0: {next: 5, written: map[int64]bool{}}}}
	for _, o := range []int64{5, 7, 9} {
		r.sent(0, o)
	}
	for _, c := range []struct{ wrote, next int64 }{{7, 5}, {9, 5}, {5, 10}} {
		if r.wrote(0, c.wrote); r.marks[0].next != c.next {
			t.Errorf("after %d the next is %d, want %d", c.wrote, r.marks[0].next, c.next)
		}
	}
}

func TestAReplayGoesToTheClusterOfAProfile(t *testing.T) {
	b, other := newBroker(t), newBroker(t)
	b.topic(t, "a", 1, 10)
	home := t.TempDir()
	env := func(k string) string {
		return map[string]string{"XDG_CONFIG_HOME": home, "HOME": home, "KLAMM_BROKERS": b.addr}[k]
	}
	if err := os.MkdirAll(filepath.Join(home, "klamm"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "klamm", "config.yaml"), []byte("version: 1\nprofiles:\n  far:\n    brokers: ["+other.addr+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, text bytes.Buffer
	a := &app.App{In: strings.NewReader(""), Out: &out, Err: &text, Env: env}
	if exit := apptest.RunApp(t, a, build, "", "topic", "replay", "a", "copy", "--to-profile", "far"); exit != 0 {
		t.Fatalf("exit %d: %s", exit, text.String())
	}
	if r := other.ok(t, "", "count", "copy", "-o", "name"); r.Out != "10\n" {
		t.Errorf("copy has %s", r.Out)
	}
}

func TestAPipeIsImportedAndAnInterruptionEndsIt(t *testing.T) {
	b := newBroker(t)
	b.topic(t, "a", 2, 100)
	lines := b.ok(t, "", "export", "a").Out
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, lines)
		_ = w.Close()
	}()
	a := &app.App{In: r, Out: io.Discard, Err: io.Discard, Env: func(string) string { return "" }}
	if exit := apptest.RunApp(t, a, build, b.addr, "topic", "import", "piped"); exit != 0 || b.content(t, "piped") != b.content(t, "a") {
		t.Errorf("exit %d, or other records", exit)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w = io.Pipe()
	defer func() { _ = w.Close() }()
	go func() {
		_, _ = io.WriteString(w, lines)
		cancel()
	}()
	i := &interruptible{ctx: ctx, r: r}
	if n, err := io.Copy(io.Discard, i); !errors.Is(err, context.Canceled) || n > int64(len(lines)) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
