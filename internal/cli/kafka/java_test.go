package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// Where the command lines are, and what Java's tools printed for them.
const (
	casesDir   = "../../../interop/kafka-tools/"
	goldenFile = casesDir + "golden.txtar"
)

// The environment of the comparison: the class path of Java's tools, which are then run beside these; whether
// what they print is kept; and a broker to use instead of one in this process, klamm=HOST:PORT or kafka=HOST:PORT.
const (
	javaTools   = "KLAMM_JAVA_TOOLS"
	recordJava  = "KLAMM_RECORD_JAVA_TOOLS"
	otherBroker = "KLAMM_TEST_BROKER"
)

// toolCase is one command line of the comparison.
type toolCase struct {
	name, tool string
	tags, args []string
	stdin      string
	file       string
}

// is says that a case has a tag.
func (c toolCase) is(tag string) bool { return slices.Contains(c.tags, tag) }

// printed is what a command line came to.
type printed struct {
	exit     string
	out, err string
}

// javaClasses are the classes of Java's tools.
func javaClasses() map[string]string {
	return map[string]string{
		"kafka-topics": "org.apache.kafka.tools.TopicCommand", "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
		"kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer", "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
		"kafka-configs": "kafka.admin.ConfigCommand", "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
		"kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand", "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
		"kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand", "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
		"kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance", "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
	}
}

// readCases reads the file of command lines.
func readCases(t *testing.T) (cases []toolCase) {
	b, err := os.ReadFile(casesDir + "cases")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.ReplaceAll(line, `\t`, "\t")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '<':
			cases[len(cases)-1].stdin += strings.TrimPrefix(line[1:], " ") + "\n"
		case line[0] == '>':
			cases[len(cases)-1].file += strings.TrimPrefix(line[1:], " ") + "\n"
		default:
			head, command, ok := strings.Cut(line, " = ")
			words := splitWords(command)
			if !ok || len(words) == 0 {
				t.Fatalf("cases:%d: not of the form NAME [TAG]... = TOOL ARG...", i+1)
			}
			h := strings.Fields(head)
			cases = append(cases, toolCase{name: h[0], tags: h[1:], tool: words[0], args: words[1:]})
		}
	}
	return cases
}

// splitWords splits at spaces that do not stand between single quotes.
func splitWords(s string) (words []string) {
	for _, m := range regexp.MustCompile(`(?:'[^']*'|[^ ])+`).FindAllString(s, -1) {
		words = append(words, strings.ReplaceAll(m, "'", ""))
	}
	return words
}

// on is the case for one side, k or j, with its file in dir.
func (c toolCase) on(t *testing.T, side, broker, dir string) toolCase {
	mine := strings.NewReplacer("kt-S-", "kt-"+side+"-", "BROKER", broker, "SEGMENTS", filepath.Join(dir, "segments"))
	c.args = slices.Clone(c.args)
	for i, a := range c.args {
		c.args[i] = mine.Replace(a)
		if a == "@FILE" {
			c.args[i] = filepath.Join(dir, c.name+".file")
			if err := os.WriteFile(c.args[i], []byte(mine.Replace(c.file)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !c.is("bare") {
		c.args = append([]string{"--bootstrap-server", broker}, c.args...)
	}
	c.stdin = mine.Replace(c.stdin)
	return c
}

// run runs a case in this process.
func (c toolCase) run(t *testing.T) printed {
	var out, text bytes.Buffer
	a := &app.App{In: strings.NewReader(c.stdin), Out: &out, Err: &text, Env: func(string) string { return "" }}
	exit := apptest.RunApp(t, a, Commands, "", append([]string{c.tool}, c.args...)...)
	return printed{fmt.Sprint(exit), out.String(), text.String()}
}

// runJava runs cases by Java's tools, all in one virtual machine.
func runJava(t *testing.T, classPath string, cases []toolCase) map[string]printed {
	dir := t.TempDir()
	var jobs strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&jobs, "case %s\nclass %s\n", c.name, javaClasses()[c.tool])
		for _, a := range c.args {
			fmt.Fprintf(&jobs, "arg %s\n", a)
		}
		if c.stdin != "" {
			in := filepath.Join(dir, c.name+".in")
			if err := os.WriteFile(in, []byte(c.stdin), 0o600); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&jobs, "in %s\n", in)
		}
		jobs.WriteString("run\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "jobs"), []byte(jobs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	java := exec.CommandContext(ctx, "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classPath, casesDir+"Driver.java", filepath.Join(dir, "jobs"), dir)
	if b, err := java.CombinedOutput(); err != nil {
		t.Fatalf("the driver of Java's tools: %v\n%s", err, b)
	}
	all := map[string]printed{}
	for _, c := range cases {
		read := func(ext string) string {
			b, err := os.ReadFile(filepath.Join(dir, c.name+ext))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		all[c.name] = printed{read(".exit"), read(".out"), read(".err")}
	}
	return all
}

// replacement is one rule of what does not count in a comparison.
type replacement struct {
	re *regexp.Regexp
	by string
}

// normal writes what a command line came to without what differs from run to run: the side's names, ids, ports,
// Java's stack traces; of the options behind an error their names are kept.
func (c toolCase) normal(p printed, broker string) string {
	rules := []replacement{
		{regexp.MustCompile(`kt-[jk]-`), "kt-S-"},
		{regexp.MustCompile(regexp.QuoteMeta(broker)), "BROKER"},
		{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
		{regexp.MustCompile(`TopicId: [-_0-9A-Za-z]{22}\t`), "TopicId: ID\t"},
		{regexp.MustCompile(`CreateTime:1[0-9]{12}\b`), "CreateTime:NOW"},
		{regexp.MustCompile(`"logDir":"[^"]*"`), `"logDir":"DIR"`},
		{regexp.MustCompile(`"size":[0-9]+`), `"size":N`},
		{regexp.MustCompile(`\[usable: [0-9]+\]`), "[usable: N]"},
		{regexp.MustCompile(`(?m)^(\t\w+\(\d+\): .*),$`), "$1"},
		{regexp.MustCompile(`/[^ ]*/((?:[-a-z]+\.file|[0-9]{20}\.[a-z]+)\b)`), "$1"},
		{regexp.MustCompile(`(?m)^Exception in thread "main" (?:[a-z]\w*(?:\.\w+)*\.\w+: )?`), ""},
		{regexp.MustCompile(`(?m)^(\tat |Caused by: |\t\.\.\. |Suppressed: ).*\n`), ""},
	}
	stacks := regexp.MustCompile(`^(?:[a-z]\w*\.)+[A-Z]\w*(?:Exception|Error)\b(: .*)?$`)
	clean := func(s string) []string {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		for _, r := range rules {
			s = r.re.ReplaceAllString(s, r.by)
		}
		lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
		return slices.DeleteFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "console-consumer-") || strings.HasPrefix(l, "perf-consumer-")
		})
	}
	out, text := clean(p.out), optionNames(clean(p.err))
	if c.is("sorted") {
		slices.Sort(out)
	}
	if c.is("perf") {
		number := regexp.MustCompile(`[0-9]+(\.[0-9]+)?|NaN|Infinity`)
		for i, l := range out {
			out[i] = number.ReplaceAllString(l, "N")
		}
	}
	for i, l := range out {
		if c.is("loose") {
			out[i] = strings.Join(strings.Fields(l), " ")
		}
		if strings.HasPrefix(l, `{"brokers":`) {
			partition := regexp.MustCompile(`\{"partition":[^}]*\}`)
			all := partition.FindAllString(l, -1)
			slices.Sort(all)
			out[i] = partition.ReplaceAllStringFunc(l, func(string) string { first := all[0]; all = all[1:]; return first })
		}
		if head, configs, ok := strings.Cut(l, "\tConfigs: "); ok {
			all := strings.Split(configs, ",")
			slices.Sort(all)
			out[i] = head + "\tConfigs: " + strings.Join(all, ",")
		}
	}
	text = slices.DeleteFunc(text, func(l string) bool {
		return l == "" || strings.HasPrefix(l, "usage: ") || strings.HasPrefix(l, "       ") || stacks.MatchString(l) && (len(text) > 1 || strings.Contains(p.out, "Error"))
	})
	for i, l := range text {
		if stacks.MatchString(l) { // the only line of an error is an exception's: its message counts
			_, text[i], _ = strings.Cut(l, ": ")
		}
	}
	if c.tool == "kafka-producer-perf-test" && c.is("bare") && !c.is("perf") { // its parser breaks lines
		text = []string{strings.ReplaceAll(strings.Join(strings.Fields(strings.Join(text, " ")), " "), "-- ", "--")}
	}
	return fmt.Sprintf("exit %s\n%s\n%s", p.exit, prefixed("out", out), prefixed("err", text))
}

// optionNames keeps of the options behind an error only their names.
func optionNames(lines []string) []string {
	i := slices.IndexFunc(lines, regexp.MustCompile(`^Option +(\(.*\) +)?Description *$`).MatchString)
	if i < 0 {
		return lines
	}
	var names []string
	for _, l := range lines[i:] {
		if f := strings.Fields(strings.TrimPrefix(l, "* ")); len(f) > 0 && strings.HasPrefix(l, "--") {
			names = append(names, f[0])
		}
	}
	slices.Sort(names)
	return append(lines[:i:i], "options: "+strings.Join(names, " "))
}

// prefixed writes lines with what stands before each.
func prefixed(what string, lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s|%s\n", what, l)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// mine leaves out of a list what is the other side's.
func mine(p printed, side string) printed {
	other := "kt-" + map[string]string{"j": "k", "k": "j"}[side] + "-"
	var b strings.Builder
	for l := range strings.Lines(p.out) {
		if !strings.HasPrefix(l, other) {
			b.WriteString(l)
		}
	}
	p.out = b.String()
	return p
}

// acceptance is a difference that is meant.
type acceptance struct {
	name string
	re   *regexp.Regexp
}

// readAccepted reads the differences that are meant.
func readAccepted(t *testing.T) (all []acceptance) {
	b, err := os.ReadFile(casesDir + "accepted")
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range strings.Split(string(b), "\n") {
		if l == "" || l[0] == '#' {
			continue
		}
		rule, reason, ok := strings.Cut(l, "  # ")
		name, re, ok2 := strings.Cut(rule, " ")
		if !ok || !ok2 || reason == "" {
			t.Fatalf("accepted:%d: not of the form NAME REGEX  # reason", i+1)
		}
		all = append(all, acceptance{name, regexp.MustCompile(re)})
	}
	return all
}

// without leaves the accepted lines of a case out.
func without(accepted []acceptance, name, text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool {
		return l == "" || slices.ContainsFunc(accepted, func(a acceptance) bool {
			ok, _ := path.Match(a.name, name)
			return ok && a.re.MatchString(l)
		})
	})
}

// difference is the first line in which two texts differ, empty for none.
func difference(java, klamm []string) string {
	for i := range max(len(java), len(klamm)) {
		at := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return "nothing more"
		}
		if at(java) != at(klamm) {
			return fmt.Sprintf("java %q, klamm %q", at(java), at(klamm))
		}
	}
	return ""
}

// TestTheToolsPrintWhatJavasPrint runs every case by klamm's tools and compares it with what Java's tools print:
// now, where their class path is given, or as it was kept.
func TestTheToolsPrintWhatJavasPrint(t *testing.T) {
	kind, broker, other := strings.Cut(os.Getenv(otherBroker), "=")
	classPath := os.Getenv(javaTools)
	if !other {
		kind, broker = "klamm", apptest.Broker(t, "group.initial.rebalance.delay.ms=0", "num.partitions=4")
	} else if classPath == "" {
		t.Skip("what is kept was printed for a broker in this process")
	}
	t.Logf("broker: %s at %s", kind, broker)
	sides := []string{"k"}
	if classPath != "" {
		sides = append(sides, "j")
	}
	prepare(t, broker, sides)
	cases, accepted := readCases(t), readAccepted(t)
	dir := t.TempDir()
	segments(t, filepath.Join(dir, "segments"))
	java := map[string]string{}
	if classPath != "" {
		var jobs []toolCase
		for _, c := range cases {
			jobs = append(jobs, c.on(t, "j", broker, dir))
		}
		begun := time.Now()
		for name, p := range runJava(t, classPath, jobs) {
			i := slices.IndexFunc(cases, func(c toolCase) bool { return c.name == name })
			java[name] = cases[i].normal(mine(p, "j"), broker)
		}
		t.Logf("Java's tools took %s", time.Since(begun).Round(time.Millisecond))
	} else {
		for _, f := range readGolden(t).Files {
			java[f.Name] = strings.TrimSuffix(string(f.Data), "\n")
		}
	}
	if os.Getenv(recordJava) != "" {
		writeGolden(t, cases, java)
	}
	for _, c := range cases {
		if classPath == "" && c.is("live") {
			continue
		}
		got := c.normal(mine(c.on(t, "k", broker, dir).run(t), "k"), broker)
		want, ok := java[c.name]
		if !ok {
			t.Errorf("%s: nothing is kept of Java's; record it", c.name)
			continue
		}
		if d := difference(without(accepted, c.name, want), without(accepted, c.name, got)); d != "" {
			t.Errorf("%s: %s\n--- java\n%s\n--- klamm\n%s", c.name, d, want, got)
			if classPath != "" {
				fmt.Printf("FAIL %s: %s\n", c.name, d)
			}
		} else if classPath != "" {
			fmt.Printf("ok %s\n", c.name)
		}
	}
}

// readGolden reads what is kept of Java's tools.
func readGolden(t *testing.T) *txtar.Archive {
	ar, err := txtar.ParseFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// writeGolden keeps what Java's tools printed.
func writeGolden(t *testing.T, cases []toolCase, java map[string]string) {
	ar := &txtar.Archive{Comment: []byte("What Apache Kafka's tools print for the command lines of cases, but for ids, times and stack traces.\nWritten by the suite kafka-tools with KLAMM_RECORD_JAVA_TOOLS=yes.\n")}
	for _, c := range cases {
		if !c.is("live") {
			ar.Files = append(ar.Files, txtar.File{Name: c.name, Data: []byte(java[c.name] + "\n")})
		}
	}
	if err := os.WriteFile(goldenFile, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

// prepare makes the topics and groups that the cases count on, for each side, and takes away what is left of
// another run, now and at the end. A member of kt-S-classic stays until the end.
func prepare(t *testing.T, broker string, sides []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	cl := client()
	t.Cleanup(cl.Close)
	adm := kadm.NewClient(cl)
	clean := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		groups, err := adm.ListGroups(ctx)
		if err == nil {
			adm.DeleteGroups(ctx, slices.DeleteFunc(groups.Groups(), func(g string) bool { return !strings.HasPrefix(g, "kt-") })...)
		}
		topics, err := adm.ListTopics(ctx)
		if err == nil {
			adm.DeleteTopics(ctx, slices.DeleteFunc(topics.Names(), func(n string) bool { return !strings.HasPrefix(n, "kt-") })...)
		}
	}
	clean()
	t.Cleanup(clean)
	for _, s := range sides {
		name := func(n string) string { return "kt-" + s + "-" + n }
		kept := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
		for topic, partitions := range map[string]int32{"live": 2, "in": 3, "longs": 1} {
			if _, err := adm.CreateTopic(ctx, partitions, 1, kept, name(topic)); err != nil {
				t.Fatal(err)
			}
		}
		var recs []*kgo.Record
		for i := range 6 {
			recs = append(recs, &kgo.Record{Topic: name("live"), Partition: int32(i % 2), Value: fmt.Appendf(nil, "live %d", i)})
		}
		for i := range 5 {
			r := &kgo.Record{Topic: name("in"), Partition: int32(i % 3), Value: fmt.Appendf(nil, "value %d", i), Timestamp: time.UnixMilli(1767225600000 + int64(i)*1000)}
			if i != 2 {
				r.Key = fmt.Appendf(nil, "key %d", i)
			}
			if i == 3 {
				r.Value = nil
			}
			for h := range i % 3 {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: fmt.Sprintf("h%d", h), Value: fmt.Appendf(nil, "v%d", i)})
			}
			recs = append(recs, r)
		}
		for _, n := range []uint64{7, 1 << 40} {
			recs = append(recs, &kgo.Record{Topic: name("longs"), Value: binary.BigEndian.AppendUint64(nil, n)})
		}
		if err := cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		idle := kadm.Offsets{}
		idle.AddOffset(name("live"), 0, 2, -1)
		idle.AddOffset(name("live"), 1, 2, -1)
		if err := adm.CommitAllOffsets(ctx, name("idle"), idle); err != nil {
			t.Fatal(err)
		}
		joined := make(chan struct{})
		member := client(kgo.ClientID("member"), kgo.ConsumerGroup(name("classic")), kgo.ConsumeTopics(name("live")), kgo.Balancers(kgo.RangeBalancer()),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, a map[string][]int32) {
				if len(a) > 0 {
					close(joined)
				}
			}), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		t.Cleanup(member.Close)
		for n := 0; n < 6; {
			f := member.PollFetches(ctx)
			if err := f.Err0(); err != nil {
				t.Fatal(err)
			}
			n += f.NumRecords()
		}
		<-joined
		if err := member.CommitUncommittedOffsets(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
