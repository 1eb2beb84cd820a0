package kafka

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
	"github.com/klamm/klamm/internal/record"
)

// runTool runs one command line with an environment, and returns what came of it.
func runTool(t testing.TB, env map[string]string, in string, args ...string) printed {
	t.Helper()
	var out, text bytes.Buffer
	a := &app.App{In: strings.NewReader(in), Out: &out, Err: &text, Env: func(k string) string { return env[k] }}
	exit := apptest.RunApp(t, a, Commands, "", args...)
	return printed{string(rune('0' + exit)), out.String(), text.String()}
}

func TestTheEnvironmentNamesTheBrokersWhereTheCommandLineDoesNot(t *testing.T) {
	addr := apptest.Broker(t)
	for _, name := range []string{"KLAMM_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"} {
		if p := runTool(t, map[string]string{name: addr}, "", "kafka-topics", "--list"); p.exit != "0" || p.err != "" {
			t.Errorf("%s: exit %s, %s", name, p.exit, p.err)
		}
	}
}

func TestNobodyAtTheAddressIsAnErrorOfTheToolWithinSeconds(t *testing.T) {
	for tool, line := range map[string][]string{
		"kafka-topics": {"--list"}, "kafka-get-offsets": {}, "kafka-consumer-groups": {"--list"}, "kafka-configs": {"--describe", "--topic", "a"}, "kafka-log-dirs": {"--describe"},
		"kafka-console-producer": {"--topic", "a"}, "kafka-console-consumer": {"--topic", "a"}, "kafka-consumer-perf-test": {"--topic", "a", "--num-records", "1"},
	} {
		begun := time.Now()
		p := runTool(t, nil, "", append([]string{tool, "--bootstrap-server", "127.0.0.1:1"}, line...)...)
		if p.exit != "1" || !strings.Contains(p.out+p.err, "no broker answers at 127.0.0.1:1") || time.Since(begun) > 10*time.Second {
			t.Errorf("%s: exit %s after %s\n%s%s", tool, p.exit, time.Since(begun), p.out, p.err)
		}
	}
}

func TestATopicIsDescribedByItsID(t *testing.T) {
	addr := apptest.Broker(t)
	on := func(args ...string) printed {
		return runTool(t, nil, "", append([]string{"kafka-topics", "--bootstrap-server", addr}, args...)...)
	}
	on("--create", "--topic", "orders", "--partitions", "1")
	m := regexp.MustCompile(`TopicId: (\S+)`).FindStringSubmatch(on("--describe", "--topic", "orders").out)
	if m == nil {
		t.Fatal("no id")
	}
	if p := on("--describe", "--topic-id", m[1]); p.exit != "0" || !strings.HasPrefix(p.out, "Topic: orders\tTopicId: "+m[1]) {
		t.Errorf("exit %s, %s%s", p.exit, p.out, p.err)
	}
}

func TestPropertiesThatNoClientKnowsAreLeftOut(t *testing.T) {
	addr := apptest.Broker(t)
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte("client.id=me\nmy.own.interceptor=x\nsecurity.protocol=PLAINTEXT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := runTool(t, nil, "", "kafka-topics", "--bootstrap-server", addr, "--command-config", file, "--list"); p.exit != "0" {
		t.Errorf("exit %s, %s%s", p.exit, p.out, p.err)
	}
	if p := runTool(t, nil, "", "kafka-topics", "--bootstrap-server", addr, "--command-config", file+".no", "--list"); p.exit != "1" || !strings.Contains(p.err, "No such file") {
		t.Errorf("exit %s, %s%s", p.exit, p.out, p.err)
	}
}

func TestOptionsOfKafka3AreTakenAndNotShown(t *testing.T) {
	addr := apptest.Broker(t)
	if p := runTool(t, nil, "one\n", "kafka-console-producer", "--broker-list", addr, "--topic", "orders"); p.exit != "0" {
		t.Fatalf("exit %s, %s", p.exit, p.err)
	}
	if p := runTool(t, nil, "", "kafka-get-offsets", "--broker-list", addr, "--topic", "orders", "--partitions", "0,1,2,3"); p.exit != "0" || !strings.Contains(p.out, ":1\n") {
		t.Errorf("exit %s, %s%s", p.exit, p.out, p.err)
	}
	if p := runTool(t, nil, "", "kafka-console-producer", "--help"); p.exit != "0" || strings.Contains(p.out, "--broker-list") {
		t.Errorf("exit %s, %s", p.exit, p.out)
	}
}

func TestOptionsAndTheirTopicsAreCompleted(t *testing.T) {
	addr := apptest.Broker(t)
	runTool(t, nil, "", "kafka-topics", "--bootstrap-server", addr, "--create", "--topic", "orders")
	a := &app.App{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Env: func(string) string { return "" }}
	complete := topicsTool().complete(a)
	c := &cobra.Command{}
	if words, _ := complete(c, nil, "--part"); len(words) != 2 || !strings.HasPrefix(words[1], "--partitions\t") && !strings.HasPrefix(words[0], "--partitions\t") {
		t.Errorf("%q", words)
	}
	if words, _ := complete(c, []string{"--bootstrap-server", addr, "--topic"}, "or"); len(words) != 1 || words[0] != "orders" {
		t.Errorf("%q", words)
	}
}

func TestTextsAreWrittenAsJavaWritesThem(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", 1: "1.0", 1048576: "1048576.0", 1e7: "1.0E7", 104857600: "1.048576E8", 0.5: "0.5", 0.0001: "1.0E-4", -3: "-3.0"} {
		if got := javaDouble(f); got != want {
			t.Errorf("%v is %s, want %s", f, got, want)
		}
	}
	at := time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC)
	for form, want := range map[string]string{"yyyy-MM-dd HH:mm:ss:SSS": "2026-02-03 04:05:06:007", "d MMM ''yy": "3 Feb 26", "HH'h'mm": "04h05"} {
		if got := javaDate(form)(at); got != want {
			t.Errorf("%s is %s, want %s", form, got, want)
		}
	}
	for name, want := range map[string]string{"orders": "orders", "my-orders.1": "my-orders.1", "a,b": `"a,b"`, "a b": `"a b"`, strings.Repeat("x", 25): `"` + strings.Repeat("x", 25) + `"`} {
		if got := csvField(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for code, want := range map[int16]string{3: "UnknownTopicOrPartitionException", 29: "TopicAuthorizationException", 36: "TopicExistsException", 56: "KafkaStorageException", 68: "GroupNotEmptyException", 69: "GroupIdNotFoundException", 87: "InvalidRecordException", 13: "NetworkException", -1: "UnknownServerException"} {
		if got := exception(code); got != want {
			t.Errorf("%d is %s, want %s", code, got, want)
		}
	}
}

func TestDurationsAreReadAsISOWritesThem(t *testing.T) {
	for s, want := range map[string]time.Duration{"PT1H": time.Hour, "P1DT2H": 26 * time.Hour, "PT0.5S": 500 * time.Millisecond, "-PT10M": -10 * time.Minute, "P2D": 48 * time.Hour, "PT1M-3S": 57 * time.Second} {
		if got, err := parseISODuration(s); err != nil || got != want {
			t.Errorf("%s is %s and %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "P", "PT", "1h", "P1H", "PT1D"} {
		if got, err := parseISODuration(s); err == nil {
			t.Errorf("%s is %s", s, got)
		}
	}
}

func TestNumbersAreDeserialized(t *testing.T) {
	for class, c := range map[string]struct {
		b    []byte
		want string
	}{
		"org.apache.kafka.common.serialization.LongDeserializer":    {binary.BigEndian.AppendUint64(nil, 1<<40), "1099511627776"},
		"org.apache.kafka.common.serialization.IntegerDeserializer": {[]byte{255, 255, 255, 254}, "-2"},
		"org.apache.kafka.common.serialization.ShortDeserializer":   {[]byte{1, 0}, "256"},
		"org.apache.kafka.common.serialization.DoubleDeserializer":  {binary.BigEndian.AppendUint64(nil, 0x3ff8000000000000), "1.5"},
		"org.apache.kafka.common.serialization.FloatDeserializer":   {[]byte{0x40, 0x20, 0, 0}, "2.5"},
		"org.apache.kafka.common.serialization.BooleanDeserializer": {[]byte{1}, "true"},
		"org.apache.kafka.common.serialization.StringDeserializer":  {[]byte("ä"), "ä"},
	} {
		if got, err := deserializer(class)(c.b); err != nil || got != c.want {
			t.Errorf("%s: %s and %v, want %s", class, got, err, c.want)
		}
	}
	if _, err := deserializer("LongDeserializer")([]byte{1}); err == nil || !strings.Contains(err.Error(), "is not 8") {
		t.Errorf("%v", err)
	}
}

func TestCommasAndEqualSignsInBracketsDoNotSplit(t *testing.T) {
	got := splitOutside("a=1,b=[x,y=z],c=[p=q]", ',')
	if strings.Join(got, "|") != "a=1|b=[x,y=z]|c=[p=q]" {
		t.Errorf("%q", got)
	}
	if got := splitOutside("b=[x,y=z]", '='); strings.Join(got, "|") != "b|[x,y=z]" {
		t.Errorf("%q", got)
	}
}

// FuzzLogFiles shows files of any bytes: no panic, and no batch behind the end.
func FuzzLogFiles(f *testing.F) {
	f.Add([]byte("KLIX\x01\x00\x00\x00"), ".index")
	f.Add(make([]byte, 80), ".log")
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 1}, ".snapshot")
	b := record.NewBuilder(record.NewCodecs(1), record.BuilderOptions{})
	b.Append(1, []byte{0, 1, 0, 1}, []byte{0, 3})
	good, err := b.Finish()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(good), ".log")
	f.Fuzz(func(t *testing.T, b []byte, ext string) {
		dir := t.TempDir()
		for _, e := range []string{".log", ".index", ".timeindex", ".snapshot", ".txnindex"} {
			if e != ext && e != ".log" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, "00000000000000000000"+e), b, 0o600); err != nil {
				t.Fatal(err)
			}
			runTool(t, nil, "", "kafka-dump-log", "--offsets-decoder", "--files", filepath.Join(dir, "00000000000000000000"+e))
		}
	})
}

// FuzzCommandLines reads any words.
func FuzzCommandLines(f *testing.F) {
	f.Add("--list --group=a --")
	f.Fuzz(func(t *testing.T, line string) {
		for _, tool := range tools() {
			if o, err := parse(tool.options, strings.Fields(line)); err == nil {
				_ = o.check()
			}
		}
		splitOutside(line, ',')
	})
}
