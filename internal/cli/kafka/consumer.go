package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consoleConsumerTool prints records.
func consoleConsumerTool() tool {
	formatter := option{name: "formatter", takes: takesOne, kind: "String", of: "class", def: "org.apache.kafka.tools.consumer.DefaultMessageFormatter", help: "What prints the records: DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter."}
	const printed = "A property of what prints the records, key=value: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers and print.value are true or false; key.separator, line.separator, headers.separator and null.literal are texts; key.deserializer, value.deserializer and headers.deserializer are the names of Java's classes."
	isolation := text("isolation-level", "", "read_committed leaves out records of transactions that were not committed; read_uncommitted reads all.")
	isolation.def = "read_uncommitted"
	offset := text("offset", "consume offset", "Where to begin in --partition: a number, earliest or latest.")
	offset.def = "latest"
	return tool{
		name: "kafka-console-consumer", short: "Print records, as kafka-console-consumer.sh does it",
		about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
		example: `  klamm kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --from-beginning
  klamm kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --from-beginning --max-messages 10 --formatter-property print.key=true
  klamm kafka-console-consumer --bootstrap-server localhost:9092 --topic orders --partition 0 --offset 5 --timeout-ms 1000`,
		onParse: true,
		options: []option{
			text("topic", "topic", "The topic to read."),
			text("include", "Java regex (String)", "The topics to read, as a regular expression for whole names."),
			formerly("whitelist", text("include", "", "")),
			whole("partition", "partition", "", "The partition to read, from its end unless --offset says otherwise."),
			offset,
			texts("consumer-property", "consumer_prop", "Deprecated: --command-property."),
			texts("command-property", "consumer_prop", "A property of the consumer, key=value."),
			text("consumer.config", "config file", "Deprecated: --command-config."),
			text("command-config", "config file", "A file of properties of the consumer; --command-property wins."),
			formatter,
			texts("property", "prop", "Deprecated: --formatter-property."),
			texts("formatter-property", "prop", printed),
			text("formatter-config", "config file", "A file of properties of what prints the records; --formatter-property wins."),
			flag("from-beginning", "Begin at the first record where the group has no offset yet, and not at the end."),
			whole("max-messages", "num_messages", "", "Stop after so many records."),
			long("timeout-ms", "timeout_ms", "", "Stop when no record comes for so long."),
			flag("skip-message-on-error", "Go on behind a record that cannot be printed."),
			bootstrap(),
			text("key-deserializer", "deserializer for keys", "The name of Java's class for keys."),
			text("value-deserializer", "deserializer for values", "The name of Java's class for values."),
			flag("enable-systest-events", "Print shutdown_complete at the end."),
			isolation,
			text("group", "consumer group id", "The group to be a member of, which remembers where it was."),
		},
		run: runConsoleConsumer,
	}
}

// runConsoleConsumer is kafka-console-consumer.
func runConsoleConsumer(r *run) error {
	if err := r.checkConsumer(); err != nil {
		return err
	}
	r.deprecated("consumer-property", "command-property")
	r.deprecated("consumer.config", "command-config")
	r.deprecated("property", "formatter-property")
	pairs := append(r.all("command-property"), r.all("consumer-property")...)
	props, err := r.properties(r.either("command-config", "consumer.config"), pairs)
	if err != nil {
		return err
	}
	group, err := r.consumerGroup(props, pairs)
	if err != nil {
		return err
	}
	if props["client.id"] == "" {
		props["client.id"] = "console-consumer"
	}
	if _, ok := props["isolation.level"]; !ok || r.has("isolation-level") {
		props["isolation.level"] = r.text("isolation-level")
	}
	start, err := r.startOffset(props)
	if err != nil {
		return err
	}
	form, err := r.formatter()
	if err != nil {
		return usageError{err.Error()}
	}
	opts := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1), kgo.ConsumeResetOffset(resetOffset(props))}
	switch {
	case r.has("partition"):
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.text("topic"): {int32(r.number("partition")): start}}))
	case r.has("include"):
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+r.text("include")+")$"))
	default:
		opts = append(opts, kgo.ConsumeTopics(r.text("topic")))
	}
	commits := group != "" && props["enable.auto.commit"] != "false"
	var mine assigned
	if group != "" {
		opts = append(opts, kgo.ConsumerGroup(group), kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsAssigned(mine.add), kgo.OnPartitionsRevoked(mine.remove), kgo.OnPartitionsLost(mine.remove))
		if commits {
			opts = append(opts, kgo.AutoCommitMarks())
		} else {
			opts = append(opts, kgo.DisableAutoCommit())
		}
	}
	cl, err := r.connect(props, opts...)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	n, err := r.consume(cl, form, commits)
	if commits {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
		defer cancel()
		if cerr := mine.commit(ctx, cl, props["auto.offset.reset"]); cerr != nil && err == nil {
			err = cerr
		}
	}
	fmt.Fprintf(r.err, "Processed a total of %d messages\n", n)
	if r.has("enable-systest-events") {
		r.println("shutdown_complete")
	}
	if err == nil && r.ctx.Err() != nil {
		return silent(130)
	}
	return err
}

// checkConsumer refuses command lines as Java's tool does.
func (r *run) checkConsumer() error {
	if err := r.oneOf("topic", "include"); err != nil {
		return err
	}
	switch {
	case r.has("partition") && !r.has("topic"):
		return usagef("The topic is required when partition is specified.")
	case r.has("partition") && r.has("from-beginning") && r.has("offset"):
		return usagef("Options from-beginning and offset cannot be specified together.")
	case !r.has("partition") && r.has("offset"):
		return usagef("The partition is required when offset is specified.")
	}
	return first(r.need("bootstrap-server"), r.together("consumer-property", "command-property"), r.together("consumer.config", "command-config"), r.together("property", "formatter-property"))
}

// consumerGroup is the group of --group or of the properties, which must agree.
func (r *run) consumerGroup(props map[string]string, pairs []string) (string, error) {
	var named []string
	add := func(s string) {
		if s != "" && !slices.Contains(named, s) {
			named = append(named, s)
		}
	}
	add(r.text("group"))
	file, err := r.properties(r.either("command-config", "consumer.config"), nil)
	if err != nil {
		return "", err
	}
	add(file["group.id"])
	for _, p := range pairs {
		if id, ok := strings.CutPrefix(p, "group.id="); ok {
			add(id)
		}
	}
	delete(props, "group.id")
	switch {
	case len(named) > 1:
		return "", usagef("The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '%s'", strings.Join(named, "', '"))
	case len(named) == 0:
		return "", nil
	case r.has("partition"):
		return "", usagef("Options group and partition cannot be specified together.")
	}
	return named[0], nil
}

// startOffset is where to begin in a partition; it sets auto.offset.reset in the properties.
func (r *run) startOffset(props map[string]string) (kgo.Offset, error) {
	if reset, ok := props["auto.offset.reset"]; !ok {
		props["auto.offset.reset"] = map[bool]string{true: "earliest", false: "latest"}[r.has("from-beginning")]
	} else if r.has("from-beginning") && reset != "earliest" {
		return kgo.Offset{}, plainf("Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', please remove one option", reset)
	}
	at := kgo.NewOffset().AtEnd()
	if r.has("from-beginning") {
		at = kgo.NewOffset().AtStart()
	}
	if r.has("offset") {
		switch s := r.text("offset"); strings.ToLower(s) {
		case "earliest":
			at = kgo.NewOffset().AtStart()
		case "latest":
			at = kgo.NewOffset().AtEnd()
		default:
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < 0 {
				return kgo.Offset{}, usagef("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", s)
			}
			at = kgo.NewOffset().At(n)
		}
	}
	return at, nil
}

// resetOffset is what auto.offset.reset says.
func resetOffset(props map[string]string) kgo.Offset {
	switch props["auto.offset.reset"] {
	case "earliest":
		return kgo.NewOffset().AtStart()
	case "none":
		return kgo.NoResetOffset()
	}
	return kgo.NewOffset().AtEnd()
}

// consume prints records until there are enough, none comes for too long, or the run ends.
func (r *run) consume(cl *kgo.Client, form *formatter, marks bool) (n int64, err error) {
	most := int64(-1)
	if r.has("max-messages") {
		most = r.number("max-messages")
	}
	for most < 0 || n < most {
		ctx, cancel := r.ctx, func() {}
		if r.has("timeout-ms") && r.number("timeout-ms") >= 0 {
			ctx, cancel = context.WithTimeout(r.ctx, time.Duration(r.number("timeout-ms"))*time.Millisecond)
		}
		fetches := cl.PollFetches(ctx)
		ended := ctx.Err() != nil
		cancel()
		var fail error
		fetches.EachError(func(_ string, _ int32, err error) {
			if fatal(err) {
				fail = err
			}
		})
		for it := fetches.RecordIter(); !it.Done() && fail == nil && (most < 0 || n < most); {
			rec := it.Next()
			n++
			if ferr := form.write(r, rec); ferr != nil && !r.has("skip-message-on-error") {
				fail = ferr
			}
			if marks {
				cl.MarkCommitRecords(rec)
			}
		}
		empty := fetches.NumRecords() == 0
		cl.AllowRebalance()
		if err := r.out.Flush(); err != nil {
			fmt.Fprintln(r.app.Err, "Unable to write to standard out, closing consumer.")
			return n, nil
		}
		if fail != nil || ended && empty || r.ctx.Err() != nil {
			return n, fail
		}
	}
	return n, nil
}

// assigned are the partitions that a member of a group has. The zero value is of use.
type assigned struct {
	mu     sync.Mutex // guards places
	places map[place]bool
}

// add is for partitions that the member gets.
func (a *assigned) add(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	a.set(parts, true)
}

// remove is for partitions that the member gives away. What was read of them is committed.
func (a *assigned) remove(ctx context.Context, cl *kgo.Client, parts map[string][]int32) {
	a.set(parts, false)
	cl.CommitMarkedOffsets(ctx) //nolint:errcheck // the next member reads them again
}

// set adds or removes partitions.
func (a *assigned) set(parts map[string][]int32, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.places == nil {
		a.places = map[place]bool{}
	}
	for t, all := range parts {
		for _, p := range all {
			if a.places[place{t, p}] = on; !on {
				delete(a.places, place{t, p})
			}
		}
	}
}

// commit commits what was read, and, as Java's consumer does at its end, where reading would begin in the
// partitions of which nothing was read and nothing is committed.
func (a *assigned) commit(ctx context.Context, cl *kgo.Client, reset string) error {
	if err := cl.CommitMarkedOffsets(ctx); err != nil {
		return err
	}
	at := latest
	if reset == "earliest" {
		at = earliest
	}
	group, _ := cl.GroupMetadata()
	known, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	ask := map[place]int64{}
	a.mu.Lock()
	for p := range a.places {
		if c, ok := known.Lookup(p.topic, p.partition); !ok || c.At < 0 {
			ask[p] = at
		}
	}
	a.mu.Unlock()
	if len(ask) == 0 || reset == "none" {
		return nil
	}
	starts, err := listOffsets(ctx, cl, ask)
	if err != nil {
		return err
	}
	commit := map[string]map[int32]kgo.EpochOffset{}
	for p, f := range starts {
		if f.err == nil {
			if commit[p.topic] == nil {
				commit[p.topic] = map[int32]kgo.EpochOffset{}
			}
			commit[p.topic][p.partition] = kgo.EpochOffset{Epoch: -1, Offset: f.offset}
		}
	}
	var fail error
	cl.CommitOffsetsSync(ctx, commit, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) { fail = err })
	return fail
}

// fatal says that reading cannot go on behind an error: Java's consumer goes on behind all but a few.
func fatal(err error) bool {
	for _, k := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.InvalidTopicException, kerr.FencedInstanceID, kerr.InvalidGroupID, kerr.InconsistentGroupProtocol} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// formatter prints records as Java's DefaultMessageFormatter does.
type formatter struct {
	silent                                                             bool
	timestamp, key, value, partition, offset, delivery, epoch, headers bool
	keySep, lineSep, headersSep, null                                  string
	keyText, valueText, headerText                                     func([]byte) (string, error)
}

// formatter makes the formatter of the command line.
func (r *run) formatter() (*formatter, error) {
	class := r.text("formatter")
	switch class[strings.LastIndexAny(class, ".$")+1:] {
	case "DefaultMessageFormatter", "LoggingMessageFormatter", "NoOpMessageFormatter":
	default:
		return nil, saysf("%s", class)
	}
	props, err := r.properties(r.text("formatter-config"), nil)
	if err != nil {
		return nil, err
	}
	for option, prop := range map[string]string{"key-deserializer": "key.deserializer", "value-deserializer": "value.deserializer"} {
		if r.text(option) != "" {
			props[prop] = r.text(option)
		}
	}
	for _, pair := range append(r.all("formatter-property"), r.all("property")...) {
		k, v, _ := strings.Cut(pair, "=")
		props[k] = v
	}
	is := func(k string, otherwise bool) bool {
		if v, ok := props[k]; ok {
			return strings.EqualFold(strings.TrimSpace(v), "true")
		}
		return otherwise
	}
	or := func(k, otherwise string) string {
		if v, ok := props[k]; ok {
			return v
		}
		return otherwise
	}
	return &formatter{
		silent:    strings.HasSuffix(class, "NoOpMessageFormatter"),
		timestamp: is("print.timestamp", false), key: is("print.key", false), value: is("print.value", true), partition: is("print.partition", false),
		offset: is("print.offset", false), delivery: is("print.delivery", false), epoch: is("print.epoch", false), headers: is("print.headers", false),
		keySep: or("key.separator", "\t"), lineSep: or("line.separator", "\n"), headersSep: or("headers.separator", ","), null: or("null.literal", "null"),
		keyText: deserializer(props["key.deserializer"]), valueText: deserializer(props["value.deserializer"]), headerText: deserializer(props["headers.deserializer"]),
	}, nil
}

// write prints a record.
func (f *formatter) write(r *run, rec *kgo.Record) error {
	if f.silent {
		return nil
	}
	part := func(s string, more ...bool) {
		r.out.WriteString(s)
		if slices.Contains(more, true) {
			r.out.WriteString(f.keySep)
		} else {
			r.out.WriteString(f.lineSep)
		}
	}
	text := func(b []byte, of func([]byte) (string, error)) (string, error) {
		if b == nil {
			b = []byte(f.null)
		}
		return of(b)
	}
	if f.timestamp {
		s := "NO_TIMESTAMP"
		switch rec.Attrs.TimestampType() {
		case 0:
			s = fmt.Sprintf("CreateTime:%d", rec.Timestamp.UnixMilli())
		case 1:
			s = fmt.Sprintf("LogAppendTime:%d", rec.Timestamp.UnixMilli())
		}
		part(s, f.partition, f.offset, f.delivery, f.epoch, f.headers, f.key, f.value)
	}
	if f.partition {
		part(fmt.Sprintf("Partition:%d", rec.Partition), f.offset, f.delivery, f.epoch, f.headers, f.key, f.value)
	}
	if f.offset {
		part(fmt.Sprintf("Offset:%d", rec.Offset), f.delivery, f.epoch, f.headers, f.key, f.value)
	}
	if f.delivery {
		part("Delivery:NOT_PRESENT", f.epoch, f.headers, f.key, f.value)
	}
	if f.epoch {
		part("Epoch:NOT_PRESENT", f.headers, f.key, f.value)
	}
	if f.headers {
		all := make([]string, len(rec.Headers))
		for i, h := range rec.Headers {
			v, err := text(h.Value, f.headerText)
			if err != nil {
				return err
			}
			all[i] = h.Key + ":" + v
		}
		if len(all) == 0 {
			all = []string{"NO_HEADERS"}
		}
		part(strings.Join(all, f.headersSep), f.key, f.value)
	}
	if f.key {
		s, err := text(rec.Key, f.keyText)
		if err != nil {
			return err
		}
		part(s, f.value)
	}
	if f.value {
		s, err := text(rec.Value, f.valueText)
		if err != nil {
			return err
		}
		part(s)
	}
	return nil
}

// deserializer makes texts of bytes as one of Java's classes does; without a class they are taken as they are.
func deserializer(class string) func([]byte) (string, error) {
	number := func(name string, size int, text func([]byte) string) func([]byte) (string, error) {
		return func(b []byte) (string, error) {
			if len(b) != size {
				return "", saysf("org.apache.kafka.common.errors.SerializationException: Size of data received by %s is not %d", name, size)
			}
			return text(b), nil
		}
	}
	switch name := class[strings.LastIndexByte(class, '.')+1:]; name {
	case "LongDeserializer":
		return number(name, 8, func(b []byte) string { return fmt.Sprint(int64(binary.BigEndian.Uint64(b))) })
	case "IntegerDeserializer":
		return number(name, 4, func(b []byte) string { return fmt.Sprint(int32(binary.BigEndian.Uint32(b))) })
	case "ShortDeserializer":
		return number(name, 2, func(b []byte) string { return fmt.Sprint(int16(binary.BigEndian.Uint16(b))) })
	case "DoubleDeserializer":
		return number("Deserializer", 8, func(b []byte) string { return javaDouble(math.Float64frombits(binary.BigEndian.Uint64(b))) })
	case "FloatDeserializer":
		return number("Deserializer", 4, func(b []byte) string {
			s := strconv.FormatFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 'f', -1, 32)
			if !strings.Contains(s, ".") {
				s += ".0"
			}
			return s
		})
	case "BooleanDeserializer":
		return number(name, 1, func(b []byte) string { return fmt.Sprint(b[0] != 0) })
	}
	return func(b []byte) (string, error) { return string(b), nil } // StringDeserializer, UUIDDeserializer of texts
}
