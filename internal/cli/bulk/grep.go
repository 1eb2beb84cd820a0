package bulk

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// Commands are the commands on records that stand below topic.
func Commands(a *app.App) []*cobra.Command {
	return []*cobra.Command{grep(a), sample(a), count(a), export(a), importCommand(a), replay(a)}
}

// placed is the default form of what is found here and there: the place, the key, the value.
const placed = `%p@%o\t%k\t%v\n`

// grep finds records.
func grep(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "grep TOPIC [PATTERN]", Short: "Find records by a text, a regular expression or CEL",
		Example: `  klamm topic grep orders 777
  klamm topic grep orders -e '^(GET|PUT) ' --in value -o @-1h:now
  klamm topic grep orders --cel 'json.total > 100.0 && headers["source"] == "shop"'
  klamm topic grep orders error -i -n 10 -f json
  klamm topic grep orders error -c`,
		Long: "Find records in the keys, values and headers of a topic: all partitions at once, in the order in which they\nare found. As grep does, it exits with 0 when something was found and with 1 when nothing was; other codes are\nfailures (and 1 too, then with a line that begins with error).\n\n" +
			celHelp + "\n\n" + records.RangeHelp + "\n\n" + records.FormHelp,
	}
	f := c.Flags()
	from := f.StringP("offset", "o", "start:end", "the range to look in")
	count := f.BoolP("count", "c", false, "print how many there are, and nothing else")
	limit := f.Int64P("num", "n", 0, "stop after so many")
	partitions := new([]int32)
	records.PartitionsFlag(c, partitions, "the partitions of these `numbers` alone: 0,1")
	var isolation string
	records.IsolationFlag(c, &isolation, "read_uncommitted")
	var m matchFlags
	m.add(c)
	flags := records.NewFormFlags(c, placed)
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.Args = func(c *cobra.Command, args []string) error {
		if m.cel != "" {
			return app.Exactly("TOPIC")(c, args)
		}
		return app.Exactly("TOPIC", "PATTERN")(c, args)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		pattern := ""
		if m.cel == "" {
			pattern = args[1]
		}
		w, err := m.matcher(c, pattern)
		if err != nil {
			return err
		}
		form, err := flags.Form(c, a.Pretty())
		if err != nil {
			return err
		}
		if *limit < 0 {
			return app.Usage(c, "-n %d: must be 1 or more", *limit)
		}
		s := scan{app: a, topics: args[:1], partitions: *partitions, isolation: isolation, label: "searched", prints: !*count}
		if s.span, err = records.ParseRange(*from, a.Time()); err != nil {
			return app.Usage(c, "-o %s: %s", *from, err)
		}
		sink := records.NewSink(a, form)
		print := sink.Print
		if *count {
			print = func(*kgo.Record) error { sink.Records++; return nil }
		}
		began := time.Now()
		err = s.run(c, records.ReadOptions{Filter: w.match, Limit: *limit, Idle: sink.Flush}, print)
		if ferr := sink.Flush(); err == nil {
			err = ferr
		}
		switch {
		case app.ClosedPipe(err):
			return nil
		case err != nil:
			return err
		}
		if *count {
			fmt.Fprintln(a.Out, sink.Records)
		}
		w.tell(a)
		if *limit > 0 && sink.Records >= *limit {
			a.Say("found %d, and looked no further", sink.Records) // what was fetched and not looked at does not count
		} else {
			a.Say("found %d in %s", sink.Records, app.Summary(s.read, s.bytes, time.Since(began)))
		}
		if sink.Records == 0 {
			return app.Said(app.ExitFailed)
		}
		return nil
	}
	return c
}
