// Package records is the commands that read and write records, and the engine below all that read: ranges, spans
// and Read, the forms of records in text and JSON, and what produces.
package records

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// Consume reads records to standard output.
func Consume(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "consume TOPIC...", Short: "Read records to standard output", Args: app.AtLeastOne("TOPIC"),
		Example: `  klamm consume orders -o start                  # all, and then what comes, until Ctrl-C
  klamm consume orders -o start:end              # all that is there now
  klamm consume orders -o start -n 10 -f '%p %o %k %v\n'
  klamm consume orders -o @-1h:now -f json
  klamm consume orders -g billing -o start       # in a group, which remembers where it was
  klamm consume 'orders-.*' --regex -o -5 -p 0,1`,
		Long: "Read records to standard output, of each topic and partition in its order.\n\n" + RangeHelp +
			"\nWithout TO it goes on until Ctrl-C, or -n records.\n\n" + FormHelp,
	}
	f := c.Flags()
	o := consuming{app: a}
	from := f.StringP("offset", "o", "", "where to begin, or the range to read (default: end; in a group where it was, and start where it was not yet)")
	f.Int64VarP(&o.count, "num", "n", 0, "stop after so many records")
	f.StringVarP(&o.group, "group", "g", "", "consume as a member of this group, and commit what was printed")
	_ = c.RegisterFlagCompletionFunc("group", a.CompleteGroups())
	follow := f.Bool("follow", false, "go on when the range is read to its end")
	o.flags(c)
	form := NewFormFlags(c, `%v\n`)
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, topics []string) error {
		var err error
		if o.span, err = ParseRange(*from, a.Time()); err != nil {
			return app.Usage(c, "-o %s: %s", *from, err)
		}
		if o.count < 0 {
			return app.Usage(c, "-n %d: must be 1 or more", o.count)
		}
		if o.group != "" && o.span.To != nil {
			return app.Usage(c, "-o %s: a group reads on; stop it with -n", *from)
		}
		if o.group != "" && len(o.partitions) > 0 {
			return app.Usage(c, "-p with -g: the group decides who reads which partition")
		}
		if f.Changed("num") && o.count == 0 {
			return nil
		}
		if *follow {
			o.span.To = nil
		}
		if *from == "" && o.group == "" && o.count == 0 && a.Pretty() {
			a.Say("waiting for new records; -o start shows the old ones, Ctrl-C stops")
		}
		return o.run(c, form, topics)
	}
	return c
}

// Tail reads what comes from now on.
func Tail(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "tail TOPIC...", Short: "Read what is written from now on, until Ctrl-C", Args: app.AtLeastOne("TOPIC"),
		Example: `  klamm tail orders
  klamm tail orders -n 10 --offsets     # the last 10 of each partition first
  klamm tail orders payments -f '%t %k %v\n'
  klamm tail orders -o @-5m`,
		Long: "Read what is written from now on, until Ctrl-C.\n\n" + FormHelp,
	}
	f := c.Flags()
	o := consuming{app: a}
	from := f.StringP("offset", "o", "", "where to begin: an offset, -N from the end, a time @-5m (default: end)")
	last := f.Int64P("num", "n", 0, "begin with the last so many of each partition")
	f.BoolVar(&o.offsets, "offsets", false, "partition and offset before each record")
	o.flags(c)
	form := NewFormFlags(c, `%v\n`)
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, topics []string) error {
		var err error
		if o.span, err = ParseRange(*from, a.Time()); err != nil {
			return app.Usage(c, "-o %s: %s", *from, err)
		}
		switch {
		case o.span.To != nil:
			return app.Usage(c, "-o %s: tail goes on until Ctrl-C; klamm consume reads a range", *from)
		case *last < 0:
			return app.Usage(c, "-n %d: must be 0 or more", *last)
		case *last > 0 && *from != "":
			return app.Usage(c, "-n and -o both say where to begin")
		case *last > 0:
			o.span = Last(*last)
		}
		return o.run(c, form, topics)
	}
	return c
}

// consuming is what consume and tail are asked for.
type consuming struct {
	app        *app.App
	span       Range
	count      int64 // stop after so many; 0 for no limit
	group      string
	partitions []int32
	regex      bool
	offsets    bool
	isolation  string
}

// flags are those that consume and tail share.
func (o *consuming) flags(c *cobra.Command) {
	PartitionsFlag(c, &o.partitions, "the partitions of these `numbers` alone: 0,1")
	c.Flags().BoolVar(&o.regex, "regex", false, "TOPIC is a regular expression; topics that come later count too")
	IsolationFlag(c, &o.isolation, "read_uncommitted")
}

// PartitionsFlag gives a command -p, numbers of partitions.
func PartitionsFlag(c *cobra.Command, v *[]int32, usage string) {
	c.Flags().Int32SliceVarP(v, "partitions", "p", nil, usage)
	c.Flags().Lookup("partitions").DefValue = ""
}

// IsolationFlag gives a command --isolation, with a default of Kafka's words. Committed reads it.
func IsolationFlag(c *cobra.Command, v *string, def string) {
	c.Flags().StringVar(v, "isolation", def, "read_committed leaves out what open and aborted transactions wrote")
	_ = c.RegisterFlagCompletionFunc("isolation", app.CompleteValues("read_uncommitted", "read_committed"))
}

// Committed reads --isolation.
func Committed(c *cobra.Command, isolation string) (bool, error) {
	switch strings.ReplaceAll(isolation, "-", "_") {
	case "read_committed", "committed":
		return true, nil
	case "read_uncommitted", "uncommitted":
		return false, nil
	}
	return false, app.Usage(c, "--isolation %s: allowed are read_uncommitted and read_committed", isolation)
}

// run prints until enough is printed, all is read, or the person stops it.
func (o *consuming) run(c *cobra.Command, flags *FormFlags, topics []string) error {
	a := o.app
	form, err := flags.Form(c, a.Pretty())
	if err != nil {
		return err
	}
	committed, err := Committed(c, o.isolation)
	if err != nil {
		return err
	}
	match, err := matcher(c, o.regex, topics)
	if err != nil {
		return err
	}
	ctx := c.Context()
	if a.TimeoutSet() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Timeout())
		defer cancel()
	}
	sink := NewSink(a, form)
	if o.offsets {
		sink.prefix = func(b []byte, r *kgo.Record) []byte {
			if o.regex || len(topics) > 1 {
				b = append(append(b, r.Topic...), '/')
			}
			b = strconv.AppendInt(b, int64(r.Partition), 10)
			b = strconv.AppendInt(append(b, '@'), r.Offset, 10)
			return append(b, ' ', ' ')
		}
	}
	began := time.Now()
	if o.group != "" {
		err = o.asMember(ctx, c, topics, committed, sink)
	} else {
		err = o.alone(ctx, c, topics, match, committed, sink)
	}
	if ferr := sink.Flush(); err == nil {
		err = ferr
	}
	switch {
	case app.ClosedPipe(err):
		return nil
	case err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())):
		var f *app.Failure
		if errors.As(err, &f) {
			return f
		}
		return app.Failed(err, "%s could not be read any further", strings.Join(topics, ", "))
	case o.count > 0 && sink.Records < o.count && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &app.Failure{Exit: app.ExitTimeout, Code: app.CodeTimeout, What: fmt.Sprintf("%d of %s in %s", sink.Records, app.CountText(o.count, "record"), a.Timeout())}
	}
	a.Say("%s", app.Summary(sink.Records, sink.Bytes, time.Since(began)))
	return nil
}

// matcher says which topics are meant.
func matcher(c *cobra.Command, regex bool, topics []string) (func(string) bool, error) {
	if !regex {
		return func(t string) bool { return slices.Contains(topics, t) }, nil
	}
	var all []*regexp.Regexp
	for _, t := range topics {
		re, err := regexp.Compile("^(?:" + t + ")$")
		if err != nil {
			return nil, app.Usage(c, "%s: %s", t, err)
		}
		all = append(all, re)
	}
	return func(t string) bool {
		return slices.ContainsFunc(all, func(re *regexp.Regexp) bool { return re.MatchString(t) })
	}, nil
}

// alone reads without a group.
func (o *consuming) alone(ctx context.Context, c *cobra.Command, topics []string, match func(string) bool, committed bool, sink *Sink) error {
	a := o.app
	cl, err := a.Client(ctx, c)
	if err != nil {
		return err
	}
	defer cl.Close()
	named := topics
	if o.regex {
		found, err := a.AdminOf(cl).ListTopics(ctx)
		if err != nil {
			return app.Failed(err, "the topics could not be listed")
		}
		topics = slices.DeleteFunc(found.Names(), func(t string) bool { return !match(t) })
		if len(topics) == 0 && o.span.To != nil {
			return app.NotFound("topic", "like "+strings.Join(named, ", "), "klamm topic list")
		}
	}
	spans, err := Resolve(ctx, a, cl, topics, o.partitions, o.span, committed)
	if err != nil {
		return err
	}
	opts := ReadOptions{Committed: committed, Limit: o.count, Idle: sink.Flush, Note: a.Say}
	if o.span.To == nil {
		opts.Grow = func(ctx context.Context) ([]Span, error) { return o.grown(ctx, cl, named, match) }
	}
	return Read(ctx, a, cl, spans, opts, sink.Print)
}

// grown are the partitions that there are by now, from their beginnings.
func (o *consuming) grown(ctx context.Context, cl *kgo.Client, topics []string, match func(string) bool) ([]Span, error) {
	if o.regex {
		topics = nil
	}
	found, err := o.app.AdminOf(cl).ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	var spans []Span
	for _, t := range found.Sorted() {
		if t.Err != nil || !match(t.Topic) {
			continue
		}
		for _, p := range t.Partitions.Numbers() {
			if len(o.partitions) == 0 || slices.Contains(o.partitions, p) {
				spans = append(spans, Span{Topic: t.Topic, Partition: p, End: Open})
			}
		}
	}
	return spans, nil
}

// asMember reads as a member of the group, and commits what was printed.
func (o *consuming) asMember(ctx context.Context, c *cobra.Command, topics []string, committed bool, sink *Sink) error {
	a := o.app
	reset := kgo.NewOffset().AtStart()
	if !o.span.Unset {
		reset = o.span.From.resetOffset()
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(o.group), kgo.ConsumeResetOffset(reset), kgo.FetchMaxWait(fetchWait), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
		// What ends a transaction is committed too, or the group would never be at the end.
		kgo.KeepControlRecords(),
	}
	if o.regex {
		patterns := make([]string, len(topics))
		for i, t := range topics {
			patterns[i] = "^(?:" + t + ")$"
		}
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(patterns...))
	} else {
		opts = append(opts, kgo.ConsumeTopics(topics...))
	}
	if committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	cl, err := a.Client(ctx, c, opts...)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	if !o.regex {
		// Of a topic that is not there the library would say nothing and wait.
		look, cancel := context.WithTimeout(ctx, a.Timeout())
		defer cancel()
		found, err := a.AdminOf(cl).ListTopicsWithInternal(look, topics...)
		if err != nil {
			return app.Failed(err, "the topics could not be looked up")
		}
		for _, t := range topics {
			if d, ok := found[t]; !ok || d.Err != nil {
				f := app.Failed(d.Err, "topic %s cannot be read", t)
				if f.Code == app.CodeNotFound {
					f = a.MissingTopic(look, a.AdminOf(cl), t)
				}
				return f
			}
		}
	}
	err = o.poll(ctx, cl, sink)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if cerr := cl.CommitMarkedOffsets(end); cerr != nil && err == nil {
		err = app.Failed(cerr, "%s were printed, but group %s could not commit that", app.CountText(sink.Records, "record"), o.group)
	}
	return err
}

// poll prints what the group gives this member, and marks it for the next commit once it is flushed.
func (o *consuming) poll(ctx context.Context, cl *kgo.Client, sink *Sink) error {
	for ctx.Err() == nil && (o.count == 0 || sink.Records < o.count) {
		fetches := cl.PollFetches(ctx)
		var fail error
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				fail = cmp.Or(fail, err)
			}
		})
		var printed []*kgo.Record
		for it := fetches.RecordIter(); fail == nil && !it.Done() && (o.count == 0 || sink.Records < o.count); {
			r := it.Next()
			if !r.Attrs.IsControl() {
				fail = sink.Print(r)
			}
			if fail == nil {
				printed = append(printed, r)
			}
		}
		if err := sink.Flush(); fail == nil {
			fail = err
		}
		if fail != nil {
			return fail
		}
		cl.MarkCommitRecords(printed...)
		cl.AllowRebalance()
	}
	return nil
}
