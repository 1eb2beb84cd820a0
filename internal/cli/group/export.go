package group

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// line is a committed offset in a file.
type line struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// The forms of export.
const (
	formJSON = "jsonl"
	formCSV  = "csv"
)

// export writes committed offsets.
func export(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "export [NAME...]", Short: "Write the committed offsets of groups to standard output", Args: cobra.ArbitraryArgs,
		Long: "Write the committed offsets of groups to standard output, of all groups without a name. -f csv is the form that\n" +
			"kafka-consumer-groups --reset-offsets --from-file reads: topic,partition,offset of one group, and the group before\nthem of several.",
		Example: "  klamm group export billing > billing.jsonl   # klamm group import takes it back\n  klamm group export > all.jsonl\n  klamm group export billing -f csv",
	}
	layout := c.Flags().StringP("format", "f", formJSON, "form of the output: jsonl or csv")
	_ = c.RegisterFlagCompletionFunc("format", app.CompleteValues(formJSON, formCSV))
	c.ValidArgsFunction = a.CompleteGroups()
	c.RunE = func(c *cobra.Command, names []string) error {
		if *layout != formJSON && *layout != formCSV {
			return app.Usage(c, "-f %s: the forms are jsonl and csv", *layout)
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			asked := len(names)
			if asked == 0 {
				var err error
				if names, err = groupNames(ctx, cl); err != nil {
					return err
				}
			}
			pages, fails := (&cluster{cl: cl, adm: adm}).survey(ctx, a, names, offsetDepth)
			if asked == 0 {
				fails = stillThere(fails)
			}
			w := bufio.NewWriter(a.Out)
			enc, cw, n := app.Encoder(w), csv.NewWriter(w), 0
			for _, p := range pages {
				for _, o := range p.Offsets {
					if o.Committed < 0 {
						continue
					}
					n++
					var err error
					if *layout == formJSON {
						err = enc.Encode(line{p.Group, o.Topic, o.Partition, o.Committed})
					} else {
						cells := []string{p.Group, o.Topic, fmt.Sprint(o.Partition), fmt.Sprint(o.Committed)}
						if asked == 1 {
							cells = cells[1:]
						}
						err = cw.Write(cells)
					}
					if err != nil {
						return err
					}
				}
			}
			cw.Flush()
			if err := errors.Join(cw.Error(), w.Flush()); err != nil {
				return err
			}
			a.Say("%s of %s", app.CountText(n, "offset"), app.CountText(len(pages), "group"))
			return app.Partly(a, len(pages), fails)
		})
	}
	return c
}

// load commits offsets out of a file.
func load(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "import [FILE]", Short: "Move groups to the offsets of a file: the plan first, --apply acts", Args: cobra.MaximumNArgs(1),
		Long: "Move groups to the offsets of a file, or of standard input: JSON lines as klamm group export writes them, or the CSV of\n" +
			"kafka-consumer-groups --export. Without --apply the plan is printed and nothing is done.",
		Example: "  klamm group import billing.jsonl             # the plan\n  klamm group import billing.jsonl --apply\n  klamm group export billing | klamm group import --group shadow --apply\n  klamm group import offsets.csv --group billing",
	}
	form := app.OutputFlag(c)
	into := c.Flags().String("group", "", "the group to move, whatever group the file names")
	apply := c.Flags().Bool("apply", false, "move the groups, and do not only show the plan")
	dry := app.DryRunFlag(c)
	_ = c.RegisterFlagCompletionFunc("group", a.CompleteGroups())
	c.RunE = func(c *cobra.Command, args []string) error {
		in, name := a.In, "standard input"
		if len(args) > 0 && args[0] != "-" {
			file, err := os.Open(args[0])
			if errors.Is(err, os.ErrNotExist) {
				return app.NotFound("file", args[0], "")
			}
			if err != nil {
				return app.Input(err, "%s cannot be read", args[0])
			}
			defer file.Close()
			in, name = file, args[0]
		} else if app.IsTerminal(a.In) {
			a.Say("reading offsets from the terminal; Ctrl-D ends")
		}
		goals, groups, err := readLines(in, *into)
		if err != nil {
			return app.Input(err, "%s cannot be read as offsets", name)
		}
		if len(groups) == 0 {
			a.Say("there are no offsets in %s", name)
			return nil
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			k := &cluster{cl: cl, adm: adm}
			var plans []plan
			for _, g := range groups {
				p, err := k.plan(ctx, a, g, goal{offsets: goals[g]})
				if err != nil {
					return err
				}
				plans = append(plans, p)
			}
			return k.carryOut(ctx, a, c, form, plans, *apply && !*dry)
		})
	}
	return c
}

// readLines reads JSON lines or CSV, whichever the first line is. groups are in the order of the file. into is the
// group of all lines; empty for those that the lines name.
func readLines(r io.Reader, into string) (goals map[string]map[partition]int64, groups []string, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), 1<<20)
	goals = map[string]map[partition]int64{}
	for n := 1; s.Scan(); n++ {
		text := bytes.TrimSpace(s.Bytes())
		if len(text) == 0 {
			continue
		}
		if n > mostOffsets {
			return nil, nil, fmt.Errorf("more than %d lines", mostOffsets)
		}
		var l line
		if text[0] == '{' {
			err = l.parseJSON(text)
		} else {
			var header bool
			if header, err = l.parseCSV(text, n == 1); header {
				continue
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if into != "" {
			l.Group = into
		}
		switch key := (partition{l.Topic, l.Partition}); {
		case l.Group == "":
			return nil, nil, fmt.Errorf("line %d names no group; say it with --group", n)
		case l.Topic == "" || l.Partition < 0 || l.Offset < 0:
			return nil, nil, fmt.Errorf("line %d needs a topic, a partition and an offset of 0 or more", n)
		default:
			if goals[l.Group] == nil {
				goals[l.Group] = map[partition]int64{}
				groups = append(groups, l.Group)
			}
			if at, twice := goals[l.Group][key]; twice && at != l.Offset {
				return nil, nil, fmt.Errorf("line %d: %s of group %s is named twice, with other offsets", n, key, l.Group)
			}
			goals[l.Group][key] = l.Offset
		}
	}
	return goals, groups, s.Err()
}

// parseJSON reads a line of JSON. Partition and offset must be there.
func (l *line) parseJSON(text []byte) error {
	var v struct {
		Group, Topic string
		Partition    *int32
		Offset       *int64
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	if v.Partition == nil || v.Offset == nil {
		return errors.New("there is no partition or no offset in it")
	}
	*l = line{v.Group, v.Topic, *v.Partition, *v.Offset}
	return nil
}

// parseCSV reads a line of CSV: topic, partition and offset, with the group before them or without.
func (l *line) parseCSV(text []byte, first bool) (header bool, err error) {
	cells, err := csv.NewReader(bytes.NewReader(text)).Read()
	if err != nil {
		return false, err
	}
	switch {
	case len(cells) == 4:
		l.Group, cells = cells[0], cells[1:]
	case len(cells) != 3:
		return false, errors.New("it is neither topic,partition,offset nor group,topic,partition,offset")
	}
	if first && slices.Equal(cells, []string{"topic", "partition", "offset"}) {
		return true, nil
	}
	p, err := strconv.ParseInt(cells[1], 10, 32)
	if err != nil {
		return false, fmt.Errorf("%q is no number of a partition", cells[1])
	}
	if l.Offset, err = strconv.ParseInt(cells[2], 10, 64); err != nil {
		return false, fmt.Errorf("%q is no offset", cells[2])
	}
	l.Topic, l.Partition = cells[0], int32(p)
	return false, nil
}
