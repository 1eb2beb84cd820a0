package records

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// build is the commands of this package.
func build(a *app.App) []*cobra.Command { return []*cobra.Command{Produce(a), Consume(a), Tail(a)} }

// ok runs a command that is to succeed, and returns its output.
func (c *cluster) ok(t *testing.T, in string, args ...string) string {
	t.Helper()
	r := apptest.Run(t, build, c.addr, in, args...)
	if r.Exit != 0 {
		t.Fatalf("%v: exit %d\n%s%s", args, r.Exit, r.Out, r.Err)
	}
	return r.Out
}

func TestProduceWritesWhatConsumePrints(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 3, 0)
	c.topic(t, "b", 3, 0)
	c.ok(t, "k\t1\nk2\t\n", "produce", "a", "-f", `%k\t%v\n`, "-p", "1", "-H", "h=x", "--timestamp", "1767225600123", "--tombstone")
	want := `{"topic":"a","partition":1,"offset":0,"timestamp":"2026-01-01T00:00:00.123Z","key":"k","value":"1","headers":[{"key":"h","value":"x"}]}
{"topic":"a","partition":1,"offset":1,"timestamp":"2026-01-01T00:00:00.123Z","key":"k2","value":null,"headers":[{"key":"h","value":"x"}]}
`
	lines := c.ok(t, "", "consume", "a", "-o", "start:end", "-f", "json")
	if lines != want {
		t.Errorf("got %s", lines)
	}
	// The lines are an input, for the topic of the command line.
	c.ok(t, lines, "produce", "b", "-f", "json")
	if got := c.ok(t, "", "consume", "b", "-o", "start:end", "-f", "json"); got != strings.ReplaceAll(want, `"a"`, `"b"`) {
		t.Errorf("got %s", got)
	}
	c.ok(t, lines, "produce", "-f", "json")
	if got := c.ok(t, "", "consume", "a", "-o", "start:end", "-f", `%p %o %k\n`, "-p", "1"); got != "1 0 k\n1 1 k2\n1 2 k\n1 3 k2\n" {
		t.Errorf("got %s", got)
	}
	if got := c.ok(t, "", "consume", "a", "b", "-o", "+1:+1", "-f", `%t %k %v\n`, "--key", "hex", "--value", "base64"); got != "a 6b32 \nb 6b32 \n" && got != "b 6b32 \na 6b32 \n" {
		t.Errorf("got %s", got)
	}
}

func TestADryRunOfProduceTellsWhereRecordsWouldGo(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 3, 0)
	r := apptest.Run(t, build, c.addr, "k\t1\nk\t2\nl\t3\n", "produce", "a", "-f", `%k\t%v\n`, "--dry-run")
	if r.Exit != 0 || r.Out != "" || !strings.Contains(r.Err, "would write 3 records (6 B) to a (") {
		t.Errorf("%+v", r)
	}
	if got := c.ok(t, "", "consume", "a", "-o", "start:end"); got != "" {
		t.Errorf("it was written: %s", got)
	}
	// Kafka's own hash of "k" and "l" over 3 partitions.
	c.ok(t, "k\t1\nk\t2\nl\t3\n", "produce", "a", "-f", `%k\t%v\n`)
	for _, rec := range c.read(t, "start:end", ReadOptions{}, "a") {
		want, _ := (&ProducerFlags{partitioner: "murmur2"}).newPartitioner(nil)
		if p := (fixedTopicPartitioner{want.ForTopic("a")}).PartitionByBackup(&kgo.Record{Key: rec.Key, Partition: chosen}, 3, nil); rec.Partition != int32(p) {
			t.Errorf("%s is in partition %d, the dry run says %d", rec.Key, rec.Partition, p)
		}
	}
	r = apptest.Run(t, build, c.addr, `{"partition":9}`, "produce", "a", "-f", "json", "--dry-run")
	if r.Exit != app.ExitNotFound || !strings.Contains(r.Err, "partition 9 of topic a (record 1)") {
		t.Errorf("%+v", r)
	}
}

func TestARateOfProduceIsKept(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 1, 0)
	began := time.Now()
	c.ok(t, "1\n2\n3\n4\n5\n6\n", "produce", "a", "--rate", "20/s")
	if d := time.Since(began); d < 250*time.Millisecond {
		t.Errorf("6 records at 20 a second took %s", d)
	}
}

func TestAGroupGoesOnWhereItStopped(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 1, 10)
	if got := c.ok(t, "", "consume", "a", "-g", "g", "-o", "start", "-n", "4"); got != "0-0\n0-1\n0-2\n0-3\n" {
		t.Errorf("got %s", got)
	}
	if got := c.ok(t, "", "consume", "a", "-g", "g", "-n", "2"); got != "0-4\n0-5\n" {
		t.Errorf("got %s", got)
	}
}

func TestTailBeginsWithTheLastOfEachPartition(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 2, 10)
	r := apptest.Run(t, build, c.addr, "", "tail", "a", "-n", "2", "--offsets", "--timeout", "1s")
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	if r.Exit != 0 || len(lines) != 4 || !strings.Contains(r.Out, "1@8  1-8\n1@9  1-9\n") || !strings.HasPrefix(r.Err, "4 records") {
		t.Errorf("%+v", r)
	}
}

func TestAPipeThatIsClosedEndsConsumeQuietly(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 1, 10)
	var text bytes.Buffer
	a := &app.App{In: strings.NewReader(""), Out: closedPipe{}, Err: &text, Env: func(string) string { return "" }}
	if exit := apptest.RunApp(t, a, build, c.addr, "consume", "a", "-o", "start"); exit != 0 || text.String() != "" {
		t.Errorf("exit %d, %s", exit, text.String())
	}
}

// closedPipe is a pipe that nobody reads any more.
type closedPipe struct{}

// Write is io.Writer.
func (closedPipe) Write([]byte) (int, error) { return 0, errClosed{} }

// errClosed is the error of a closed pipe, within another.
type errClosed struct{}

// Error is error.
func (errClosed) Error() string { return "write |1: broken pipe" }

// Unwrap is what the operating system says.
func (errClosed) Unwrap() error { return syscall.EPIPE }

func TestWhatATerminalWouldObeyIsShown(t *testing.T) {
	var c cobra.Command
	flags := NewFormFlags(&c, `%k %v\n`)
	form, err := flags.Form(&c, true)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Key: []byte("a\x1b[2J"), Value: []byte("é\t\xff\u009b1")}
	if got := string(form.Append(nil, r)); got != `a\x1b[2J é`+"\t"+`\xff\xc2\x9b1`+"\n" {
		t.Errorf("%q", got)
	}
	flags = NewFormFlags(&cobra.Command{}, "json")
	if form, err = flags.Form(&c, true); err != nil {
		t.Fatal(err)
	}
	r = &kgo.Record{Topic: "t", Value: []byte(`{"a":1}`), Timestamp: time.UnixMilli(0)}
	want := "{\n  \"topic\": \"t\",\n  \"partition\": 0,\n  \"offset\": 0,\n  \"timestamp\": \"1970-01-01T00:00:00.000Z\",\n  \"key\": null,\n  \"value\": {\n    \"a\": 1\n  }\n}\n"
	if got := string(form.Append(nil, r)); got != want {
		t.Errorf("%s", got)
	}
}

// start runs a command until ctx ends, and returns its exit code and what it said.
func start(ctx context.Context, in io.Reader, out io.Writer, addr string, args ...string) <-chan string {
	ended := make(chan string, 1)
	go func() {
		var text bytes.Buffer
		a := &app.App{In: in, Out: out, Err: &text, Env: func(string) string { return "" }}
		root := &cobra.Command{Use: "klamm", SilenceErrors: true, SilenceUsage: true}
		a.Flags(root)
		root.AddCommand(build(a)...)
		root.SetArgs(append(args, "-b", addr))
		if err := root.ExecuteContext(ctx); err != nil {
			app.Explain(err).Print(&text)
		}
		ended <- text.String()
	}()
	return ended
}

func TestWhatWasReadIsWrittenAndPrintedWhenAPersonStopsIt(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 1, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	shown, out := io.Pipe()
	tail := start(ctx, strings.NewReader(""), out, c.addr, "consume", "a", "-o", "start")
	context.AfterFunc(ctx, func() { _ = out.Close() })
	in, typed := io.Pipe()
	producer, stop := context.WithCancel(t.Context())
	produce := start(producer, in, io.Discard, c.addr, "produce", "a", "--linger", "30s")
	for i := range 3 {
		fmt.Fprintf(typed, "line %d\n", i)
	}
	// The fourth line being taken says that the three before are read; nothing is flushed by itself that soon.
	fmt.Fprintln(typed, "line 3")
	fmt.Fprintln(typed, "line 4")
	stop()
	_ = typed.Close()
	if text := <-produce; !strings.Contains(text, " records (") || !strings.Contains(text, "written to a") {
		t.Errorf("produce said %s", text)
	}
	lines := bufio.NewScanner(shown)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d is %q", i, lines.Text())
		}
	}
	cancel()
	if text := <-tail; !strings.Contains(text, "records (") || strings.Contains(text, "error") {
		t.Errorf("consume said %s", text)
	}
}
