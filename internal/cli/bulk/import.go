package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// importCommand writes an export into a topic.
func importCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "import TOPIC", Short: "Write an export into a topic, which is made when it is not there", Args: app.Exactly("TOPIC"),
		Example: `  klamm topic import copy < orders.jsonl
  klamm topic import orders --file orders.klamm
  klamm topic import orders --file orders.klamm --resume    # goes on where it was interrupted
  klamm topic import orders -p 12 --repartition < orders.jsonl
  klamm topic import orders --file orders.klamm --dry-run`,
		Long: `Write what topic export wrote, in either form, into a topic: with partitions, timestamps, keys, values and headers;
offsets are new ones. A topic that is not there is made, with the partitions of the export. A pipe is copied into a
temporary file for that first, unless -p says how many.

With --file, FILE.klamm-import notes at which offsets the import began. When it is interrupted, by a crash too,
--resume finds out from the ends of the partitions what is written already, and writes the rest: each record is there
exactly once, as long as nobody else writes to the topic meanwhile. It compares the last record that it finds, and
refuses when that is not the one of the export. With --resume from the beginning the note stays when all is done,
and the same command again writes nothing.`,
	}
	f := c.Flags()
	i := importing{app: a}
	f.StringVar(&i.file, "file", "", "read this file and not standard input")
	f.Int32VarP(&i.partitions, "partitions", "p", 0, "how many partitions a topic that is made has (default: as the export)")
	f.BoolVar(&i.repartition, "repartition", false, "by key and not into the partitions of the export; those without a key in turn")
	f.BoolVar(&i.resume, "resume", false, "go on where an import of the same input was interrupted")
	f.StringVar(&i.state, "state", "", "where to note the beginning (default: FILE.klamm-import)")
	i.dry = app.DryRunFlag(c)
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		i.topic = args[0]
		if i.state == "" && i.file != "" {
			i.state = i.file + ".klamm-import"
		}
		switch {
		case i.resume && i.state == "":
			return app.Usage(c, "--resume with standard input needs --state FILE, to know where it began")
		case f.Changed("partitions") && i.partitions < 1:
			return app.Usage(c, "-p %d: a topic has at least one partition", i.partitions)
		}
		return i.run(c)
	}
	return c
}

// importing is one run of import.
type importing struct {
	app         *app.App
	topic       string
	file, state string
	partitions  int32
	repartition bool
	resume      bool
	dry         *bool

	cl     *kgo.Client
	adm    *kadm.Client
	detail kadm.TopicDetail
	size   int32 // partitions of the topic
	total  int64 // records of the input, 0 when that is not known
	route  router
	begun  began
	skip   map[int32]int64       // how many of each partition are written already
	last   map[int32]*kgo.Record // the last of them, as the topic has it
}

// began is the note of where an import began. Its names stay, as a later klamm may go on with it.
type began struct {
	Version     int              `json:"version"`
	Topic       string           `json:"topic"`
	TopicID     string           `json:"topic_id"`
	Repartition bool             `json:"repartition"`
	Partitions  int32            `json:"partitions"`
	Ends        map[string]int64 `json:"ends"` // of the partitions, before the first record was written
	Done        bool             `json:"done"`
}

// router chooses partitions in a way that only depends on the records and their order: an import that goes on
// must choose as it did before.
type router struct {
	keep  bool
	size  int32
	turn  int32
	byKey kgo.TopicPartitioner
}

// newRouter keeps the partitions that records name, or chooses all by key.
func newRouter(keep bool, size int32) router {
	return router{keep: keep, size: size, byKey: kgo.StickyKeyPartitioner(nil).ForTopic("")}
}

// to is the partition of a record: -1 when the record names one that is not there.
func (o *router) to(r *records.JSONRecord) int32 {
	switch {
	case o.keep && r.HasPartition && r.Partition >= o.size:
		return -1
	case o.keep && r.HasPartition:
		return r.Partition
	case r.Key != nil:
		return int32(o.byKey.Partition(&r.Record, int(o.size)))
	}
	o.turn = (o.turn + 1) % o.size
	return o.turn
}

// run imports.
func (i *importing) run(c *cobra.Command) error {
	a, ctx := i.app, c.Context()
	in, where := a.In, "standard input"
	if i.file != "" {
		f, err := os.Open(i.file)
		if errors.Is(err, fs.ErrNotExist) {
			return app.NotFound("file", i.file, "")
		}
		if err != nil {
			return app.Input(err, "%s cannot be read", i.file)
		}
		defer func() { _ = f.Close() }()
		in, where = f, i.file
	} else if !canSeek(in) {
		in = &interruptible{ctx: ctx, r: in}
	}
	cl, err := a.Client(ctx, c, append(records.WriterOptions(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	i.cl, i.adm = cl, a.AdminOf(cl)
	there, err := i.look(ctx)
	if err != nil {
		return err
	}
	if !there && i.partitions == 0 || *i.dry {
		twice, remove, err := seekable(in)
		if err != nil {
			return app.Input(err, "%s cannot be read", where)
		}
		defer remove()
		from, err := twice.Seek(0, io.SeekCurrent)
		if err != nil {
			return app.Input(err, "%s cannot be read", where)
		}
		if err := i.survey(ctx, twice, where, there); err != nil || *i.dry {
			return err
		}
		if _, err := twice.Seek(from, io.SeekStart); err != nil {
			return app.Input(err, "%s cannot be read again", where)
		}
		in = twice
	}
	if !there {
		if err := i.create(ctx); err != nil {
			return err
		}
	}
	i.route = newRouter(!i.repartition, i.size)
	over, err := i.begin(ctx, there)
	if err != nil || over {
		return err
	}
	return i.write(ctx, in, where)
}

// look finds out whether the topic is there.
func (i *importing) look(ctx context.Context) (there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, i.app.Timeout())
	defer cancel()
	found, err := i.adm.ListTopicsWithInternal(ctx, i.topic)
	if err != nil {
		return false, app.Failed(err, "topic %s could not be looked up", i.topic)
	}
	i.detail = found[i.topic]
	switch err := i.detail.Err; {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return false, nil
	case err != nil:
		return false, app.Failed(err, "topic %s cannot be written", i.topic)
	}
	i.size = int32(len(i.detail.Partitions))
	return true, nil
}

// survey reads the whole input: how many partitions it has, and for a dry run what would be written.
func (i *importing) survey(ctx context.Context, r io.Reader, where string, there bool) error {
	in, err := newInput(r)
	if err != nil {
		return app.Input(err, "%s is no export", where)
	}
	size, bytes := in.of.partitions, int64(0)
	if size > 0 && !*i.dry {
		i.size = size
		return nil
	}
	counts := map[int32]int64{}
	for ctx.Err() == nil {
		rec, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return app.Input(err, "%s cannot be imported; nothing was written", where)
		}
		if rec.HasPartition {
			size = max(size, rec.Partition+1)
			counts[rec.Partition]++
		}
		bytes += int64(len(rec.Key) + len(rec.Value))
	}
	if ctx.Err() != nil {
		return app.Explain(ctx.Err())
	}
	switch {
	case i.partitions > 0:
		size = i.partitions
	case there:
		size = i.size
	}
	i.total = in.read
	if i.size = size; !*i.dry {
		return nil
	}
	what := fmt.Sprintf("would write %s (%s) to topic %s", app.CountText(in.read, "record"), app.BytesText(bytes), i.topic)
	switch {
	case there:
		what += fmt.Sprintf(", which has %s", app.CountText(size, "partition"))
	case size > 0:
		what += fmt.Sprintf(", which would be made with %s", app.CountText(size, "partition"))
	default:
		what += ", which would be made with the broker's num.partitions"
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(counts)) {
		if p >= size && size > 0 && !i.repartition {
			return i.noPartition(p)
		}
		parts = append(parts, fmt.Sprintf("%d: %d", p, counts[p]))
	}
	if len(parts) > 0 && !i.repartition {
		what += " (" + strings.Join(parts, ", ") + ")"
	}
	i.app.Say("%s", what)
	return nil
}

// noPartition is the failure for a partition that the topic does not have.
func (i *importing) noPartition(p int32) *app.Failure {
	f := app.NotFound("partition", fmt.Sprintf("%d of topic %s, which has %d; the export has it", p, i.topic, i.size), "")
	f.Try = fmt.Sprintf("--repartition, or: klamm topic add-partitions %s %d", i.topic, p+1)
	return f
}

// create makes the topic, and waits until the brokers know it.
func (i *importing) create(ctx context.Context) error {
	size := i.partitions
	if size == 0 {
		size = i.size
	}
	if size == 0 {
		size = -1
	}
	ctx, cancel := context.WithTimeout(ctx, i.app.Timeout())
	defer cancel()
	res, err := i.adm.CreateTopic(ctx, size, -1, nil, i.topic)
	if err != nil {
		return app.Refusal(err, res.ErrMessage, "topic %s could not be created", i.topic)
	}
	err = i.app.Wait(ctx, "topic "+i.topic+" was created, and not every broker knows it", func(ctx context.Context) (bool, error) {
		there, err := i.look(ctx)
		return there && i.size > 0 && !slices.ContainsFunc(i.detail.Partitions.Sorted(), func(p kadm.PartitionDetail) bool { return p.Leader < 0 }), err
	})
	if err != nil {
		return err
	}
	i.app.Say("created topic %s with %s", i.topic, app.CountText(i.size, "partition"))
	return nil
}

// begin notes where the import begins, or finds out from the note of one that was interrupted what is written.
// over says that all of it is.
func (i *importing) begin(ctx context.Context, there bool) (over bool, err error) {
	if i.state == "" {
		return false, nil
	}
	note, err := os.ReadFile(i.state)
	if err == nil {
		err = json.Unmarshal(note, &i.begun)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, app.Input(err, "%s cannot be read as the note of an import", i.state)
	}
	if err == nil && !i.resume && !i.begun.Done {
		return false, &app.Failure{
			Exit: app.ExitFailed, Code: app.CodeExists, What: fmt.Sprintf("an import of this file into topic %s was begun already", i.begun.Topic),
			Why: i.state + " notes it", Try: "--resume to go on with it, or remove that file to begin again",
		}
	}
	if err == nil && i.resume {
		return i.goOn(ctx, there)
	}
	ends, err := i.ends(ctx)
	if err != nil {
		return false, err
	}
	if i.resume {
		if err := i.mustBeEmpty(ctx, ends); err != nil {
			return false, err
		}
	}
	i.begun = began{Version: 1, Topic: i.topic, TopicID: i.detail.ID.String(), Repartition: i.repartition, Partitions: i.size, Ends: map[string]int64{}}
	for p, end := range ends {
		i.begun.Ends[strconv.Itoa(int(p))] = end
	}
	return false, i.note()
}

// mustBeEmpty refuses to go on without a note in a topic that has records, which may be those of the input.
func (i *importing) mustBeEmpty(ctx context.Context, ends map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, i.app.Timeout())
	defer cancel()
	firsts, err := i.adm.ListStartOffsets(ctx, i.topic)
	if err != nil {
		return app.Failed(err, "the first offsets of topic %s could not be read", i.topic)
	}
	for p, end := range ends {
		if first, ok := firsts.Lookup(i.topic, p); ok && first.Offset < end {
			return &app.Failure{
				Exit: app.ExitRefused, Code: app.CodeRefused, What: fmt.Sprintf("it is not known what of this input topic %s has already", i.topic),
				Why: fmt.Sprintf("there is no note %s, and the topic has records", i.state), Try: "the command without --resume, which writes all of the input",
			}
		}
	}
	return nil
}

// ends are the ends of the topic's partitions.
func (i *importing) ends(ctx context.Context) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, i.app.Timeout())
	defer cancel()
	listed, err := i.adm.ListEndOffsets(ctx, i.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, app.Failed(err, "the ends of topic %s could not be read", i.topic)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// note writes the note, so that it is there after a crash.
func (i *importing) note() error {
	b, err := json.MarshalIndent(i.begun, "", "  ")
	if err == nil {
		err = replaceFile(i.state, append(b, '\n'))
	}
	if err != nil {
		return app.Input(err, "%s cannot be written", i.state)
	}
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, b []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// goOn finds out what of the import is written.
func (i *importing) goOn(ctx context.Context, there bool) (over bool, err error) {
	n := i.begun
	refuse := func(format string, args ...any) (bool, error) {
		return false, &app.Failure{Exit: app.ExitFailed, Code: app.CodeExists, What: fmt.Sprintf("the import that %s notes cannot be gone on with", i.state), Why: fmt.Sprintf(format, args...), Try: "remove that file to begin again"}
	}
	switch {
	case n.Version != 1:
		return refuse("it is a note of version %d", n.Version)
	case n.Topic != i.topic:
		return refuse("it is of topic %s", n.Topic)
	case !there || n.TopicID != i.detail.ID.String():
		return refuse("topic %s was deleted since", i.topic)
	case n.Repartition != i.repartition:
		return refuse("--repartition was not as it is now")
	case n.Partitions != i.size:
		return refuse("topic %s had %s and has %d now", i.topic, app.CountText(n.Partitions, "partition"), i.size)
	case n.Done:
		i.app.Say("this file was imported into %s before; nothing to do", i.topic)
		return true, nil
	}
	// What the interrupted run had sent may arrive still.
	ends, err := i.ends(ctx)
	for err == nil && app.Sleep(ctx, time.Second) {
		var again map[int32]int64
		if again, err = i.ends(ctx); err == nil && maps.Equal(ends, again) {
			break
		}
		ends = again
	}
	if err != nil {
		return false, err
	}
	i.skip, i.last = map[int32]int64{}, map[int32]*kgo.Record{}
	var spans []records.Span
	total := int64(0)
	for p, end := range ends {
		begun := n.Ends[strconv.Itoa(int(p))]
		if end < begun {
			return refuse("partition %d ends before the import began", p)
		}
		if end > begun {
			i.skip[p] = end - begun
			total += end - begun
			spans = append(spans, records.Span{Topic: i.topic, Partition: p, Start: end - 1, End: end, Next: end})
		}
	}
	err = records.Read(ctx, i.app, i.cl, spans, records.ReadOptions{PartitionBytes: 1}, func(r *kgo.Record) error {
		i.last[r.Partition] = r
		return nil
	})
	if err != nil {
		return false, app.Failed(err, "the last records of topic %s could not be read", i.topic)
	}
	i.app.Say("%s are written already", app.CountText(total, "record"))
	return false, nil
}

// write writes the input, without what is written already.
func (i *importing) write(ctx context.Context, r io.Reader, where string) error {
	a := i.app
	in, err := newInput(r)
	if err != nil {
		return app.Input(err, "%s is no export", where)
	}
	bar := a.Progress("imported", i.total)
	start := time.Now()
	w := records.NewWriter(ctx, a, i.cl, bar)
	var fail error
	for fail == nil && w.Err() == nil && ctx.Err() == nil {
		rec, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fail = app.Input(err, "%s cannot be read any further", where)
			break
		}
		fail = i.one(w, rec)
	}
	w.Flush()
	w.Close()
	bar.Done()
	n, bytes := w.Written()
	if f := w.Failure(i.topic); f != nil {
		fail = f
	}
	if fail == nil && ctx.Err() != nil {
		fail = app.Failed(ctx.Err(), "stopped after %s", app.CountText(n, "record"))
	}
	for p, left := range i.skip {
		if fail == nil && left > 0 {
			fail = i.other(p)
		}
	}
	if fail != nil {
		f := app.Explain(fail)
		if f.Try == "" && i.state != "" {
			f.Try = "--resume goes on with the rest"
		}
		return f
	}
	if i.state != "" {
		if i.begun.Done = true; i.resume {
			err = i.note()
		} else {
			err = os.Remove(i.state)
		}
		if err != nil {
			return app.Input(err, "all is imported, but %s could not be changed to say so", i.state)
		}
	}
	a.Say("imported into %s: %s", i.topic, app.Summary(n, bytes, time.Since(start)))
	return nil
}

// one writes a record, unless it is written already.
func (i *importing) one(w *records.Writer, rec *records.JSONRecord) error {
	named := rec.Partition
	p := i.route.to(rec)
	if p < 0 {
		return i.noPartition(named)
	}
	rec.Partition = p
	if left := i.skip[p]; left > 0 {
		i.skip[p]--
		if last := i.last[p]; left == 1 && last != nil && !sameRecord(last, &rec.Record, rec.HasTime) {
			return i.other(p)
		}
		return nil
	}
	rec.Topic = i.topic
	w.Write(&rec.Record, nil)
	return nil
}

// other is the failure when the topic has what the input has not.
func (i *importing) other(p int32) *app.Failure {
	return &app.Failure{
		Exit: app.ExitRefused, Code: app.CodeRefused, What: fmt.Sprintf("partition %d of %s does not have what this input has", p, i.topic),
		Why: "somebody else wrote to it since the import began, or the input is another one", Try: fmt.Sprintf("klamm topic export %s to look at it; remove %s to import all of the input again", i.topic, i.state),
	}
}

// sameRecord says that two records have the same content, and timestamp where that is known.
func sameRecord(x, y *kgo.Record, timed bool) bool {
	same := func(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
	if timed && x.Attrs.TimestampType() == 0 && x.Timestamp.UnixMilli() != y.Timestamp.UnixMilli() {
		return false
	}
	return same(x.Key, y.Key) && same(x.Value, y.Value) && slices.EqualFunc(x.Headers, y.Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) })
}
