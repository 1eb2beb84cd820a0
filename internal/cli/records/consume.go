package records

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Consume reads records to standard output.
func Consume(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "consume TOPIC...", Short: "Read records to standard output", Args: app.AtLeastOne("TOPIC"),
		Example: `  klamm consume orders -o start                  # all, and then what comes, until Ctrl-C
  klamm consume orders -o start:end              # all that is there now
  klamm consume orders -o start -n 10 -f '%p %o %k %v\n'
  klamm consume orders -o @-1h -f json
  klamm consume orders -g billing -o start       # in a group, which remembers where it was`,
		Long: "Read records to standard output. -o tells where to begin: start, end, an offset N, +N from the start,\n-N from the end, or a time @2026-01-31, @2026-01-31T15:04:05Z, @1767225600000 (ms), @-1h; with :end behind it,\nto stop at what is now the end. -f tells the form: json, or %v value, %k key, %t topic, %p partition, %o offset,\n%d timestamp, %h headers.",
	}
	f := c.Flags()
	from := f.StringP("offset", "o", "", "where to begin (default: end; in a group where it was, and start where it was not yet)")
	count := f.Int64P("num", "n", 0, "stop after so many records")
	group := f.StringP("group", "g", "", "consume as a member of this group, and commit what was printed")
	layout := f.StringP("format", "f", `%v\n`, `form of the output, or json (default "%v\n")`)
	f.Lookup("format").DefValue = "" // the library would print it with its backslash doubled
	c.RunE = func(c *cobra.Command, topics []string) error {
		o, err := parseStart(*from, a.Time())
		if err != nil {
			return app.Usage(c, "-o %s: %s", *from, err)
		}
		if *count < 0 {
			return app.Usage(c, "-n %d: must be 1 or more", *count)
		}
		if *group != "" && o.toEnd {
			return app.Usage(c, "-o %s: a group reads on; stop it with -n", *from)
		}
		form, err := recordForm(*layout)
		if err != nil {
			return app.Usage(c, "-f %s: %s", *layout, err)
		}
		ctx := c.Context()
		if f.Changed("num") && *count == 0 {
			return nil
		}
		if a.TimeoutSet() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, a.Timeout())
			defer cancel()
		}
		r := consuming{app: a, form: form, left: *count, group: *group != ""}
		if err := r.open(ctx, c, topics, *group, o); err != nil {
			return err
		}
		defer r.cl.CloseAllowingRebalance()
		if *from == "" && *group == "" && *count == 0 && app.IsTerminal(a.Out) {
			a.Say("waiting for new records; -o start shows the old ones, Ctrl-C stops")
		}
		if err := r.run(ctx); err != nil {
			return app.Failed(err, "%s could not be read any further", strings.Join(topics, ", "))
		}
		if *count > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &app.Failure{Exit: app.ExitTimeout, Code: app.CodeTimeout, What: fmt.Sprintf("%d of %s in %s", r.printed, app.CountText(int(*count), "record"), a.Timeout())}
		}
		if app.IsTerminal(a.Err) {
			a.Say("%s", app.CountText(int(r.printed), "record"))
		}
		return nil
	}
	return c
}

// start is where consumption begins, and whether it stops at the end of now.
type start struct {
	offset kgo.Offset
	unset  bool
	toEnd  bool
	// resolve gives a partition's first offset to read, of its start and end and of what a time lookup gave.
	resolve func(first, end, timed int64) int64
	milli   int64 // of a time; -1 otherwise
}

// parseStart reads -o.
func parseStart(s string, now time.Time) (start, error) {
	body, toEnd := strings.CutSuffix(s, ":end")
	o := start{toEnd: toEnd, milli: -1}
	switch {
	case body == "" && !toEnd:
		o.unset = true
		fallthrough
	case body == "end":
		o.offset = kgo.NewOffset().AtEnd()
		o.resolve = func(_, end, _ int64) int64 { return end }
	case body == "start" || body == "":
		o.offset = kgo.NewOffset().AtStart()
		o.resolve = func(first, _, _ int64) int64 { return first }
	case body[0] == '@':
		ms, err := app.ParseTime(body[1:], now)
		if err != nil {
			return start{}, err
		}
		o.milli = ms.UnixMilli()
		o.offset = kgo.NewOffset().AfterMilli(o.milli)
		o.resolve = func(_, end, timed int64) int64 {
			if timed < 0 {
				return end
			}
			return timed
		}
	default:
		n, err := strconv.ParseInt(body, 10, 64)
		switch {
		case err != nil:
			return start{}, errors.New("allowed are start, end, N, +N, -N and @TIME, each with :end behind it or not")
		case body[0] == '+':
			o.offset = kgo.NewOffset().AtStart().Relative(n)
			o.resolve = func(first, end, _ int64) int64 { return min(first+n, end) }
		case n < 0:
			o.offset = kgo.NewOffset().AtEnd().Relative(n)
			o.resolve = func(first, end, _ int64) int64 { return max(end+n, first) }
		default:
			o.offset = kgo.NewOffset().At(n)
			o.resolve = func(first, _, _ int64) int64 { return max(n, first) }
		}
	}
	return o, nil
}

// parseTime reads what stands behind @: milliseconds since 1970, a date, a time, or a duration before now.
// recordForm returns what writes one record.
func recordForm(layout string) (func([]byte, *kgo.Record) []byte, error) {
	if layout == "json" {
		return appendJSON, nil
	}
	f, err := kgo.NewRecordFormatter(layout)
	if err != nil {
		return nil, err
	}
	return f.AppendRecord, nil
}

// jsonRecord is a record of -f json. Bytes that are not UTF-8 stand in base64 under names of their own.
type jsonRecord struct {
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Timestamp string       `json:"timestamp"`
	Key       *string      `json:"key"`
	KeyB64    string       `json:"key_base64,omitempty"`
	Value     *string      `json:"value"`
	ValueB64  string       `json:"value_base64,omitempty"`
	Headers   []JSONHeader `json:"headers,omitempty"`
}

// JSONHeader is one header of a jsonRecord.
type JSONHeader struct {
	Key      string  `json:"key"`
	Value    *string `json:"value"`
	ValueB64 string  `json:"value_base64,omitempty"`
}

// appendJSON writes a record as a line of JSON.
func appendJSON(b []byte, r *kgo.Record) []byte {
	j := jsonRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: app.TimeText(r.Timestamp.UnixMilli())}
	j.Key, j.KeyB64 = TextOrBase64(r.Key)
	j.Value, j.ValueB64 = TextOrBase64(r.Value)
	for _, h := range r.Headers {
		v, v64 := TextOrBase64(h.Value)
		j.Headers = append(j.Headers, JSONHeader{h.Key, v, v64})
	}
	line, err := json.Marshal(j)
	if err != nil {
		panic(fmt.Sprintf("cli: a record does not become JSON: %v", err))
	}
	return append(append(b, line...), '\n')
}

// TextOrBase64 is b as a text, or in base64 when it is none; both are nothing for nil.
func TextOrBase64(b []byte) (*string, string) {
	if b == nil {
		return nil, ""
	}
	if !utf8.Valid(b) {
		return nil, base64.StdEncoding.EncodeToString(b)
	}
	s := string(b)
	return &s, ""
}

// consuming is one run of consume.
type consuming struct {
	app     *app.App
	cl      *kgo.Client
	form    func([]byte, *kgo.Record) []byte
	group   bool
	left    int64 // records still to print; 0 for no limit
	printed int64
	ends    map[string]map[int32]int64 // of :end: the partitions that are not read through
}

// open checks that the topics exist, and begins to read.
func (r *consuming) open(ctx context.Context, c *cobra.Command, topics []string, group string, o start) error {
	opts := []kgo.Opt{kgo.KeepControlRecords(), kgo.FetchMaxWait(500 * time.Millisecond)}
	switch {
	case group != "":
		if o.unset {
			o.offset = kgo.NewOffset().AtStart()
		}
		opts = append(opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(o.offset), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll())
	case !o.toEnd:
		opts = append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(o.offset))
	}
	cl, err := r.app.Client(ctx, c, opts...)
	if err != nil {
		return err
	}
	r.cl = cl
	if err := r.prepare(ctx, topics, o); err != nil {
		cl.CloseAllowingRebalance()
		return err
	}
	return nil
}

// prepare finds missing topics, and for :end what there is to read.
func (r *consuming) prepare(ctx context.Context, topics []string, o start) error {
	adm := kadm.NewClient(r.cl)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	found, err := adm.ListTopicsWithInternal(ctx, topics...)
	if err != nil {
		return app.Failed(err, "the topics could not be looked up")
	}
	for _, t := range topics {
		if d, ok := found[t]; !ok || d.Err != nil {
			f := app.Failed(d.Err, "topic %s cannot be read", t)
			if f.Code == app.CodeNotFound {
				f.What, f.Why, f.Try = fmt.Sprintf("there is no topic %s", t), "", "klamm topic list"
			}
			return f
		}
	}
	if !o.toEnd {
		return nil
	}
	firsts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return app.Failed(err, "the topics' first offsets could not be read")
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return app.Failed(err, "the topics' last offsets could not be read")
	}
	timed := kadm.ListedOffsets{}
	if o.milli >= 0 {
		if timed, err = adm.ListOffsetsAfterMilli(ctx, o.milli, topics...); err != nil {
			return app.Failed(err, "the topics' offsets by time could not be read")
		}
	}
	r.ends = map[string]map[int32]int64{}
	begin := map[string]map[int32]kgo.Offset{}
	var fail error
	ends.Each(func(end kadm.ListedOffset) {
		first, _ := firsts.Lookup(end.Topic, end.Partition)
		at := kadm.ListedOffset{Offset: -1}
		if o.milli >= 0 {
			at, _ = timed.Lookup(end.Topic, end.Partition)
		}
		if err := errors.Join(end.Err, first.Err, at.Err); err != nil {
			fail = app.Failed(err, "partition %d of %s has no offsets to tell", end.Partition, end.Topic)
			return
		}
		from := o.resolve(first.Offset, end.Offset, at.Offset)
		if from >= end.Offset {
			return
		}
		if r.ends[end.Topic] == nil {
			r.ends[end.Topic], begin[end.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		r.ends[end.Topic][end.Partition] = end.Offset
		begin[end.Topic][end.Partition] = kgo.NewOffset().At(from)
	})
	if fail != nil {
		return fail
	}
	r.cl.AddConsumePartitions(begin)
	return nil
}

// run prints until enough is printed, all is read, or ctx ends, and commits what was printed.
func (r *consuming) run(ctx context.Context) error {
	w := bufio.NewWriterSize(r.app.Out, 64<<10)
	var line []byte
	var fail error
	for fail == nil && ctx.Err() == nil && !r.through() {
		fetches := r.cl.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			if fail == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				fail = err
			}
		})
		var printed []*kgo.Record
		fetches.EachRecord(func(rec *kgo.Record) {
			wanted := r.wanted(rec)
			if !wanted || fail != nil {
				return
			}
			if !rec.Attrs.IsControl() {
				line = r.form(line[:0], rec)
				if _, err := w.Write(line); err != nil {
					fail = err
					return
				}
				r.printed++
				if r.left > 0 {
					if r.left--; r.left == 0 {
						r.left = -1
					}
				}
			}
			printed = append(printed, rec)
		})
		if err := w.Flush(); err != nil && fail == nil {
			fail = err
		}
		if r.group && fail == nil {
			r.cl.MarkCommitRecords(printed...)
			r.cl.AllowRebalance()
		}
	}
	if r.group {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := r.cl.CommitMarkedOffsets(end); err != nil && fail == nil {
			fail = err
		}
	}
	return fail
}

// through says that there is nothing left to print.
func (r *consuming) through() bool { return r.left < 0 || r.ends != nil && len(r.ends) == 0 }

// wanted says whether a record is to be printed, and notes partitions that are read through.
func (r *consuming) wanted(rec *kgo.Record) bool {
	if r.left < 0 {
		return false
	}
	if r.ends == nil {
		return true
	}
	end, ok := r.ends[rec.Topic][rec.Partition]
	if ok && rec.Offset >= end-1 {
		delete(r.ends[rec.Topic], rec.Partition)
		if len(r.ends[rec.Topic]) == 0 {
			delete(r.ends, rec.Topic)
		}
	}
	return ok && rec.Offset < end
}
