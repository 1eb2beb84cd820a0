package kafka

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// consoleProducerTool sends the lines of standard input.
func consoleProducerTool() tool {
	codec := option{name: "compression-codec", takes: takesMaybe, kind: "String", of: "compression-codec", help: "none, gzip, snappy, lz4 or zstd; gzip when it stands alone."}
	const reader = "A property of what reads the lines, key=value: parse.key=false, parse.headers=false, ignore.error=false, key.separator=\\t, headers.delimiter=\\t, headers.separator=, headers.key.separator=: and null.marker, which stands for null where a field equals it. With both keys and headers a line is h1:v1,h2:v2, a tabulator, the key, a tabulator and the value."
	return tool{
		name: "kafka-console-producer", short: "Send lines, as kafka-console-producer.sh does it",
		about: "This tool helps to read data from standard input and publish it to Kafka.",
		example: `  seq 10 | klamm kafka-console-producer --bootstrap-server localhost:9092 --topic orders
  printf 'k:v\n' | klamm kafka-console-producer --bootstrap-server localhost:9092 --topic orders --reader-property parse.key=true --reader-property key.separator=:`,
		onParse: true,
		options: []option{
			text("topic", "topic", "The topic to send to."),
			bootstrap(),
			formerly("broker-list", bootstrap()),
			flag("sync", "Send a record when the one before it is acknowledged."),
			codec,
			whole("batch-size", "size", "16384", "How many bytes are gathered for a partition; without effect here."),
			whole("message-send-max-retries", "", "3", "How often a record is tried again."),
			long("retry-backoff-ms", "", "100", "How long to wait before that; without effect here."),
			long("timeout", "timeout_ms", "1000", "How long to wait for more records of a batch, in milliseconds."),
			{name: "request-required-acks", takes: takesOne, kind: "String", of: "request required acks", def: "-1", help: "The acks of the requests: all, -1, 1 or 0."},
			whole("request-timeout-ms", "request timeout ms", "1500", "How long the brokers may take for a request."),
			long("metadata-expiry-ms", "metadata expiration interval", "300000", "How long metadata is taken for true."),
			long("max-block-ms", "max block on send", "60000", "How long a send may wait; without effect here."),
			long("max-memory-bytes", "total memory in bytes", "33554432", "How many bytes may wait to be sent."),
			whole("max-partition-memory-bytes", "memory in bytes per partition", "16384", "Deprecated: the same as --batch-size."),
			{name: "line-reader", takes: takesOne, kind: "String", of: "reader_class", def: "org.apache.kafka.tools.LineMessageReader", help: "What reads the lines; there is only this one."},
			whole("socket-buffer-size", "size", "102400", "The size of the socket's buffer; without effect here."),
			texts("property", "prop", "Deprecated: --reader-property."),
			texts("reader-property", "prop", reader),
			text("reader-config", "config file", "A file of properties of what reads the lines; --reader-property wins."),
			texts("producer-property", "producer_prop", "Deprecated: --command-property."),
			texts("command-property", "producer_prop", "A property of the producer, key=value."),
			text("producer.config", "config file", "Deprecated: --command-config."),
			text("command-config", "config file", "A file of properties of the producer; --command-property wins."),
		},
		run: runConsoleProducer,
	}
}

// deprecated tells of an option that has another name now. Java's tools say it on standard output, in the
// middle of data; here it is talk.
func (r *run) deprecated(old, now string) {
	if r.has(old) {
		fmt.Fprintf(r.err, "Option --%s is deprecated and will be removed in a future version. Use --%s instead.\n", old, now)
	}
}

// either is the argument of an option, or of the one that it replaces.
func (r *run) either(now, old string) string {
	if r.has(old) {
		return r.text(old)
	}
	return r.text(now)
}

// runConsoleProducer is kafka-console-producer.
func runConsoleProducer(r *run) error {
	if err := first(
		r.need("topic"), r.together("command-config", "producer.config"), r.together("command-property", "producer-property"), r.together("reader-property", "property"),
		checkBrokers(r.text("bootstrap-server")),
	); err != nil {
		return err
	}
	r.deprecated("producer-property", "command-property")
	r.deprecated("producer.config", "command-config")
	r.deprecated("property", "reader-property")
	r.deprecated("max-partition-memory-bytes", "batch-size")
	reader, err := r.lineReader()
	if err != nil {
		return err
	}
	props, err := r.properties(r.either("command-config", "producer.config"), append(r.all("command-property"), r.all("producer-property")...))
	if err != nil {
		return err
	}
	props["compression.type"] = "none"
	if r.has("compression-codec") {
		if props["compression.type"] = r.text("compression-codec"); props["compression.type"] == "" {
			props["compression.type"] = "gzip"
		}
	}
	if props["client.id"] == "" {
		props["client.id"] = "console-producer"
	}
	for o, p := range map[string]string{
		"timeout": "linger.ms", "request-required-acks": "acks", "request-timeout-ms": "request.timeout.ms", "message-send-max-retries": "retries",
		"max-memory-bytes": "buffer.memory", "metadata-expiry-ms": "metadata.max.age.ms",
	} {
		if _, ok := props[p]; !ok || r.has(o) {
			props[p] = r.text(o)
		}
	}
	cl, err := r.connect(props, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer cl.Close()
	return r.produceLines(cl, reader)
}

// produceLines sends the lines of standard input until it ends.
func (r *run) produceLines(cl *kgo.Client, reader *lineReader) error {
	in := bufio.NewReaderSize(r.app.In, 64<<10)
	prompt := r.app.Interactive() && app.IsTerminal(r.app.Out)
	var mu sync.Mutex // guards standard error, to which records that failed are told
	failed := func(rec *kgo.Record, err error) {
		if err == nil {
			return
		}
		size := func(b []byte) string {
			if b == nil {
				return "null"
			}
			return fmt.Sprintf("%d bytes", len(b))
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(r.app.Err, "ERROR Error when sending message to topic %s with key: %s, value: %s with error: %s\n", rec.Topic, size(rec.Key), size(rec.Value), wrapped(err))
	}
	var fail error
	for fail == nil && r.ctx.Err() == nil {
		if prompt {
			r.printf(">")
			if err := r.out.Flush(); err != nil {
				return err
			}
		}
		line, err := readLine(in)
		if err != nil && len(line) == 0 {
			if !errors.Is(err, io.EOF) {
				fail = err
			}
			break
		}
		rec, err := reader.record(line)
		if err != nil {
			fail = err
			break
		}
		if r.has("sync") {
			fail = cl.ProduceSync(r.ctx, rec).FirstErr()
			continue
		}
		cl.Produce(r.ctx, rec, failed)
	}
	if err := cl.Flush(context.WithoutCancel(r.ctx)); err != nil && fail == nil {
		fail = err
	}
	mu.Lock() // what fails from here on is of no interest
	defer mu.Unlock()
	if fail != nil {
		return plainError{wrapped(fail)}
	}
	return nil
}

// readLine reads a line without its end. The line is the caller's.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), err
}

// lineReader makes records of lines.
type lineReader struct {
	topic                 string
	key, headers, lenient bool
	keySep, headersEnd    string
	headersSep            *regexp.Regexp
	headerKeySep          string
	null                  *string
	n                     int // the line's number, from 1
}

// lineReader makes the reader of --reader-property and --reader-config.
func (r *run) lineReader() (*lineReader, error) {
	if c := r.text("line-reader"); !strings.HasSuffix(c, "LineMessageReader") {
		return nil, plainf("java.lang.ClassNotFoundException: %s", c)
	}
	props, err := r.properties(r.text("reader-config"), append(r.all("reader-property"), r.all("property")...))
	if err != nil {
		return nil, err
	}
	is := func(k string) bool { return strings.EqualFold(strings.TrimSpace(props[k]), "true") }
	all := map[string]string{"key.separator": "\t", "headers.delimiter": "\t", "headers.separator": ",", "headers.key.separator": ":"}
	maps.Copy(all, props)
	l := &lineReader{
		topic: r.text("topic"), key: is("parse.key"), headers: is("parse.headers"), lenient: is("ignore.error"),
		keySep: all["key.separator"], headersEnd: all["headers.delimiter"], headerKeySep: all["headers.key.separator"],
	}
	if l.headersSep, err = regexp.Compile(all["headers.separator"]); err != nil {
		return nil, plainf("java.util.regex.PatternSyntaxException: %s", err)
	}
	if marker, ok := props["null.marker"]; ok {
		l.null = &marker
	}
	for _, pair := range [][2]string{{"headers.delimiter", "headers.separator"}, {"headers.delimiter", "headers.key.separator"}, {"headers.separator", "headers.key.separator"}} {
		if all[pair[0]] == all[pair[1]] {
			return nil, plainf("org.apache.kafka.common.KafkaException: %s and %s may not be equal", pair[0], pair[1])
		}
	}
	for _, k := range []string{"key.separator", "headers.separator", "headers.delimiter", "headers.key.separator"} {
		if l.null != nil && all[k] == *l.null {
			return nil, plainf("org.apache.kafka.common.KafkaException: null.marker and %s may not be equal", k)
		}
	}
	return l, nil
}

// cut takes the part of a line before a separator, when it is to be there.
func (l *lineReader) cut(wanted bool, line []byte, sep, what string) (part, rest []byte, ok bool, err error) {
	if !wanted {
		return nil, line, false, nil
	}
	part, rest, ok = bytes.Cut(line, []byte(sep))
	if !ok && !l.lenient {
		return nil, nil, false, l.error("No %s found on line number %d: '%s'", what, l.n, line)
	}
	if !ok {
		return nil, line, false, nil
	}
	return part, rest, true, nil
}

// error is an exception of the reader.
func (l *lineReader) error(format string, args ...any) error {
	return saysf("org.apache.kafka.common.KafkaException: "+format, args...)
}

// field is the bytes of a field, nil when it is the marker of null.
func (l *lineReader) field(b []byte) []byte {
	if l.null != nil && string(b) == *l.null {
		return nil
	}
	return b
}

// record makes the record of a line, whose bytes it keeps.
func (l *lineReader) record(line []byte) (*kgo.Record, error) {
	l.n++
	headers, rest, hasHeaders, err := l.cut(l.headers, line, l.headersEnd, "headers delimiter")
	if err != nil {
		return nil, err
	}
	key, value, hasKey, err := l.cut(l.key, rest, l.keySep, "key separator")
	if err != nil {
		return nil, err
	}
	if value == nil {
		value = []byte{}
	}
	rec := &kgo.Record{Topic: l.topic, Value: l.field(value)}
	if hasKey {
		rec.Key = l.field(key)
	}
	if hasHeaders && l.field(headers) != nil {
		rec.Headers, err = l.split(string(headers))
	}
	return rec, err
}

// split reads the headers of a line.
func (l *lineReader) split(s string) (all []kgo.RecordHeader, err error) {
	for _, pair := range l.headersSep.Split(s, -1) {
		k, v, ok := strings.Cut(pair, l.headerKeySep)
		switch {
		case !ok && l.lenient:
			all = append(all, kgo.RecordHeader{Key: pair})
			continue
		case !ok:
			return nil, l.error("No header key separator found in pair '%s' on line number %d", pair, l.n)
		case l.null != nil && k == *l.null:
			return nil, l.error("Header keys should not be equal to the null marker '%s' as they can't be null", *l.null)
		}
		all = append(all, kgo.RecordHeader{Key: k, Value: l.field([]byte(v))})
	}
	return all, nil
}
