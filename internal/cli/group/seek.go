package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// seek moves the committed offsets of a group.
func seek(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "seek NAME", Short: "Move a group to other offsets: the plan first, --apply acts", Args: app.Exactly("NAME"),
		Long: "Move a group to other offsets. Without --apply the plan is printed and nothing is done; with it, the command that\n" +
			"reverses it is printed too. The group must have no members. Without --topic all topics move that the group has\noffsets in.\n\n" +
			"--to is start, end, an offset (1000), a time (@2026-01-31T15:04, @1767225600000, 2026-01-31T15:04:05Z), a duration ago\n" +
			"(-1h), or offsets by partition (orders:0=5,orders:1=9,orders:2-4=0; none takes the offset away).",
		Example: "  klamm group seek billing --to start           # the plan\n  klamm group seek billing --to start --apply\n  klamm group seek billing --to -1h --topic orders\n" +
			"  klamm group seek billing --to 1000 --topic orders:0,3\n  klamm group seek billing --to @2026-01-31T15:04\n  klamm group seek billing --by -100            # 100 records back in each partition\n" +
			"  klamm group seek billing --by +30m            # on by half an hour of records\n  klamm group seek shadow --to-group billing --apply\n  klamm group seek billing --to 'orders:0=5,orders:1=9' --apply",
	}
	form := app.OutputFlag(c)
	f := c.Flags()
	to := f.String("to", "", "where to: start, end, an offset, a time (@...), a duration ago (-1h), or orders:0=5,orders:1=9")
	by := f.String("by", "", "shift by so many records (-100, +5) or by time (-1h, +30m) from where the group is")
	other := f.String("to-group", "", "where another group is")
	topics := f.StringArray("topic", nil, "only this topic, or these partitions of it (orders, orders:0,3); may be given again")
	all := f.Bool("all-topics", false, "all topics that the group has offsets in, as without --topic")
	apply := f.Bool("apply", false, "move the group, and do not only show the plan")
	dry := app.DryRunFlag(c)
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteGroups())
	_ = c.RegisterFlagCompletionFunc("to", app.CompleteValues("start", "end", "-1h", "-1d"))
	_ = c.RegisterFlagCompletionFunc("by", app.CompleteValues("-100", "+100", "-1h", "+1h"))
	_ = c.RegisterFlagCompletionFunc("to-group", a.CompleteGroups())
	_ = c.RegisterFlagCompletionFunc("topic", a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		g, err := parseGoal(c, *to, *by, *other, a.Time())
		if err != nil {
			return err
		}
		if g.only, err = parseTopics(c, *topics); err != nil {
			return err
		}
		if *all && len(*topics) > 0 {
			return app.Usage(c, "--all-topics and --topic: give one of them")
		}
		if g.offsets != nil && len(*topics) > 0 {
			return app.Usage(c, "--topic: --to %s names its partitions already", *to)
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			k := &cluster{cl: cl, adm: adm}
			p, err := k.plan(ctx, a, args[0], g)
			if err != nil {
				return err
			}
			return k.carryOut(ctx, a, c, form, []plan{p}, *apply && !*dry)
		})
	}
	return c
}

// goal is where a group is to go: one of the fields says.
type goal struct {
	start, end bool
	offset     *int64
	time       *time.Time
	offsets    map[partition]int64 // noOffset takes one away
	group      string
	records    *int64         // from where it is
	shift      *time.Duration // from the record where it is
	only       []selection    // topics and partitions; nil for all of the group
}

// noOffset is where a partition goes whose committed offset is taken away, and where it is without one.
const noOffset = -1

// selection is a topic, or partitions of it.
type selection struct {
	topic      string
	partitions []int32 // nil for all
}

// parseGoal reads --to, --by and --to-group.
func parseGoal(c *cobra.Command, to, by, group string, now time.Time) (goal, error) {
	given := 0
	for _, s := range []string{to, by, group} {
		if s != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return goal{}, app.Usage(c, "where to? give --to, --by or --to-group")
	case given > 1:
		return goal{}, app.Usage(c, "--to, --by and --to-group: give one of them")
	case group != "":
		return goal{group: group}, nil
	case by != "":
		return parseShift(c, by)
	}
	switch to {
	case "start", "earliest":
		return goal{start: true}, nil
	case "end", "latest":
		return goal{end: true}, nil
	}
	if n, err := strconv.ParseInt(to, 10, 64); err == nil && to[0] != '+' {
		if n < 0 {
			return goal{}, app.Usage(c, "--to %s: an offset is 0 or more; --by %s goes back by so many records", to, to)
		}
		return goal{offset: &n}, nil
	}
	if strings.Contains(to, "=") {
		offsets, err := parseOffsets(to)
		if err != nil {
			return goal{}, app.Usage(c, "--to: %s", err)
		}
		return goal{offsets: offsets}, nil
	}
	t, err := app.ParseTime(strings.TrimPrefix(to, "@"), now)
	if err != nil {
		return goal{}, app.Usage(c, "--to %s: allowed are start, end, an offset (1000), a time (@2026-01-31T15:04), a duration ago (-1h) and offsets by partition (orders:0=5); another group is --to-group", to)
	}
	return goal{time: &t}, nil
}

// parseShift reads --by.
func parseShift(c *cobra.Command, by string) (goal, error) {
	if n, err := strconv.ParseInt(by, 10, 64); err == nil {
		return goal{records: &n}, nil
	}
	text, back := strings.CutPrefix(by, "-")
	d, err := app.ParseDuration(strings.TrimPrefix(text, "+"))
	if err != nil {
		return goal{}, app.Usage(c, "--by %s: allowed are a number of records (-100, +5) and a time (-1h, +30m)", by)
	}
	if back {
		d = -d
	}
	return goal{shift: &d}, nil
}

// mostOffsets bounds the offsets of one command line or one file.
const mostOffsets = 1_000_000

// parseOffsets reads orders:0=5,orders:1-3=9,payments:0=none.
func parseOffsets(s string) (map[partition]int64, error) {
	got := map[partition]int64{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		i := strings.LastIndexByte(name, ':')
		if !ok || i <= 0 {
			return nil, fmt.Errorf("%q is not of the form orders:0=5", part)
		}
		topic, numbers := name[:i], name[i+1:]
		low, high, ranged := strings.Cut(numbers, "-")
		first, err := strconv.ParseInt(low, 10, 32)
		last := first
		if err == nil && ranged {
			last, err = strconv.ParseInt(high, 10, 32)
		}
		if err != nil || first < 0 || last < first {
			return nil, fmt.Errorf("%q: %q is no number of a partition, and no range as in 0-3", part, numbers)
		}
		offset := int64(noOffset)
		if value != "none" {
			if offset, err = strconv.ParseInt(value, 10, 64); err != nil || offset < 0 {
				return nil, fmt.Errorf("%q: %q is no offset", part, value)
			}
		}
		if int64(len(got))+last-first >= mostOffsets {
			return nil, fmt.Errorf("more than %d partitions", mostOffsets)
		}
		for n := first; n <= last; n++ {
			key := partition{topic, int32(n)}
			if _, twice := got[key]; twice {
				return nil, fmt.Errorf("%s is named twice", key)
			}
			got[key] = offset
		}
	}
	return got, nil
}

// parseTopics reads orders and orders:0,3.
func parseTopics(c *cobra.Command, args []string) ([]selection, error) {
	var list []selection
	for _, arg := range args {
		topic, numbers, some := strings.Cut(arg, ":")
		s := selection{topic: topic}
		if topic == "" {
			return nil, app.Usage(c, "%q is not of the form orders or orders:0,3", arg)
		}
		if some {
			for n := range strings.SplitSeq(numbers, ",") {
				i, err := strconv.ParseInt(n, 10, 32)
				if err != nil || i < 0 {
					return nil, app.Usage(c, "%s: %q is no number of a partition; the form is orders:0,3", arg, n)
				}
				s.partitions = append(s.partitions, int32(i))
			}
		}
		list = append(list, s)
	}
	return list, nil
}

// plan is what is to happen to a group.
type plan struct {
	page
	exists bool
	moves  []move
}

// move is what is to happen to a partition of a group.
type move struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from_offset"` // -1 for none
	To        int64  `json:"to_offset"`   // -1 for none
	Start     int64  `json:"start_offset"`
	End       int64  `json:"end_offset"`
	Again     int64  `json:"records_again"`   // that are read a second time
	Skipped   int64  `json:"records_skipped"` // that are not read
	Note      string `json:"note,omitempty"`
}

// key is the partition.
func (m move) key() partition { return partition{m.Topic, m.Partition} }

// find looks one group up with its offsets. One that is not there is an empty page and not an error; near is then
// the failure that says which name is like it.
func (c *cluster) find(ctx context.Context, a *app.App, name string) (p page, near *app.Failure, err error) {
	pages, fails := c.survey(ctx, a, []string{name}, offsetDepth)
	switch {
	case len(pages) > 0:
		return pages[0], nil, nil
	case len(fails) > 0 && fails[0].Exit == app.ExitNotFound:
		return page{Group: name, Members: []member{}, Offsets: []offset{}}, fails[0], nil
	case len(fails) > 0:
		return page{}, nil, fails[0]
	}
	return page{}, nil, errors.New("the broker did not tell of group " + name)
}

// plan finds out where each partition of a group goes.
func (c *cluster) plan(ctx context.Context, a *app.App, name string, g goal) (plan, error) {
	of, near, err := c.find(ctx, a, name)
	if err != nil {
		return plan{}, err
	}
	p := plan{page: of, exists: near == nil}
	if near != nil {
		hint := ""
		if s, _, ok := strings.Cut(near.Try, "? "); ok {
			hint = " (" + s + "?)"
		}
		a.Say("warning: there is no group %s yet%s; this makes one", name, hint)
	}
	committed := map[partition]int64{}
	for _, o := range of.Offsets {
		if o.Committed >= 0 {
			committed[o.key()] = o.Committed
		}
	}
	var theirs map[partition]int64
	if g.group != "" {
		if theirs, err = c.theirs(ctx, a, g.group); err != nil {
			return plan{}, err
		}
	}
	keys, err := c.scope(ctx, a, name, g, committed, theirs)
	if err != nil {
		return plan{}, err
	}
	starts, ends := c.bounds(ctx, keys)
	want, notes, err := c.wanted(ctx, g, keys, committed, theirs, starts, ends, a.Time())
	if err != nil {
		return plan{}, err
	}
	for _, key := range keys {
		from, ok := committed[key]
		if !ok {
			from = noOffset
		}
		start, ok := starts[key]
		end, too := ends[key]
		m := move{Group: name, Topic: key.topic, Partition: key.index, From: from, To: want[key], Start: noOffset, End: noOffset, Note: notes[key]}
		switch _, exists := c.leader(key); {
		case ok && too:
			m.Start, m.End = start.offset, end.offset
			m.bound()
		case m.To == noOffset:
		case !exists && g.offsets == nil:
			return plan{}, missingPartition(key, len(c.topics[key.topic].Partitions))
		case !exists:
			if len(c.topics[key.topic].Partitions) == 0 {
				return plan{}, a.MissingTopic(ctx, c.adm, key.topic)
			}
			return plan{}, missingPartition(key, len(c.topics[key.topic].Partitions))
		default:
			return plan{}, &app.Failure{
				Exit: app.ExitFailed, Code: app.CodeBroker, What: fmt.Sprintf("partition %d of topic %s has no leader, so nothing was planned", key.index, key.topic),
				Try: "klamm topic describe " + key.topic,
			}
		}
		p.moves = append(p.moves, m)
	}
	return p, nil
}

// missingPartition is the failure for a partition that a topic does not have.
func missingPartition(p partition, count int) *app.Failure {
	return &app.Failure{
		Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("topic %s has no partition %d", p.topic, p.index),
		Why: fmt.Sprintf("it has %s, counted from 0", app.CountText(count, "partition")), Try: "klamm topic describe " + p.topic,
	}
}

// theirs are the committed offsets of another group.
func (c *cluster) theirs(ctx context.Context, a *app.App, group string) (map[partition]int64, error) {
	other, near, err := c.find(ctx, a, group)
	switch {
	case err != nil:
		return nil, err
	case near != nil:
		return nil, near
	}
	theirs := map[partition]int64{}
	for _, o := range other.Offsets {
		if o.Committed >= 0 {
			theirs[o.key()] = o.Committed
		}
	}
	if len(theirs) == 0 {
		return nil, &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("group %s has no committed offsets", group), Try: "klamm group describe " + group}
	}
	return theirs, nil
}

// scope are the partitions that move.
func (c *cluster) scope(ctx context.Context, a *app.App, name string, g goal, committed, theirs map[partition]int64) ([]partition, error) {
	named := committed
	switch {
	case g.offsets != nil:
		named = g.offsets
	case theirs != nil:
		named = theirs
	}
	topics := topicsOf(sortedKeys(named))
	if g.only != nil {
		topics = nil
		for _, s := range g.only {
			topics = append(topics, s.topic)
		}
	}
	if len(topics) == 0 {
		return nil, &app.Failure{
			Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("group %s has no committed offsets, so it is not known what to move", name),
			Try: fmt.Sprintf("klamm group seek %s --topic TOPIC ...", quote(name)),
		}
	}
	if err := c.know(ctx, topics); err != nil {
		return nil, err
	}
	switch {
	case g.offsets != nil:
		return sortedKeys(g.offsets), nil
	case g.only == nil && theirs != nil:
		return slices.DeleteFunc(sortedKeys(theirs), func(p partition) bool { _, ok := c.leader(p); return !ok }), nil
	}
	keys := map[partition]bool{}
	if g.only == nil {
		for _, t := range topics {
			for i := range c.topics[t].Partitions {
				keys[partition{t, i}] = true
			}
		}
		return sortedKeys(keys), nil
	}
	for _, s := range g.only {
		of := c.topics[s.topic].Partitions
		if len(of) == 0 {
			return nil, a.MissingTopic(ctx, c.adm, s.topic)
		}
		if s.partitions == nil {
			s.partitions = slices.Collect(maps.Keys(of))
		}
		for _, i := range s.partitions {
			if _, ok := of[i]; !ok {
				return nil, missingPartition(partition{s.topic, i}, len(of))
			}
			keys[partition{s.topic, i}] = true
		}
	}
	return sortedKeys(keys), nil
}

// wanted is where the goal takes each partition, not yet bounded by its log, with a note where a person should
// know why.
func (c *cluster) wanted(ctx context.Context, g goal, keys []partition, committed, theirs map[partition]int64, starts, ends map[partition]place, now time.Time) (want map[partition]int64, notes map[partition]string, err error) {
	want, notes = make(map[partition]int64, len(keys)), map[partition]string{}
	stay := func(p partition, why string) {
		want[p], notes[p] = noOffset, why
		if at, ok := committed[p]; ok {
			want[p] = at
		}
	}
	ask := map[partition]int64{} // timestamps
	var read map[partition]int64 // timestamps of the records where the group is
	if g.shift != nil {
		at := map[partition]int64{}
		for _, p := range keys {
			if from, ok := committed[p]; ok && from < ends[p].offset {
				at[p] = max(from, starts[p].offset)
			}
		}
		within, cancel := context.WithTimeout(ctx, timesWithin)
		read = c.times(within, at)
		cancel()
	}
	for _, p := range keys {
		from, has := committed[p]
		switch {
		case g.start:
			want[p] = starts[p].offset
		case g.end:
			want[p] = ends[p].offset
		case g.offset != nil:
			want[p] = *g.offset
		case g.offsets != nil:
			want[p] = g.offsets[p]
		case theirs != nil:
			if at, ok := theirs[p]; ok {
				want[p] = at
			} else {
				stay(p, "the other group has no offset here")
			}
		case g.time != nil:
			ask[p] = g.time.UnixMilli()
		case !has:
			stay(p, "no offset to shift from")
		case g.records != nil:
			want[p] = from + *g.records
			if want[p] < 0 {
				want[p] = 0
			}
		case from >= ends[p].offset:
			ask[p] = now.Add(*g.shift).UnixMilli() // it has read all, so it stands at the present
		default:
			ms, ok := read[p]
			if !ok {
				return nil, nil, &app.Failure{
					Exit: app.ExitTimeout, Code: app.CodeTimeout, What: fmt.Sprintf("the time of the record at offset %d of partition %d of topic %s could not be read", from, p.index, p.topic),
					Try: "again, or --to with a time",
				}
			}
			ask[p] = time.UnixMilli(ms).Add(*g.shift).UnixMilli()
		}
	}
	// The smallest timestamps are questions of other kinds.
	for p, ms := range ask {
		ask[p] = max(ms, 0)
	}
	places, err := c.places(ctx, ask)
	if err != nil {
		return nil, nil, app.Failed(err, "the offsets at the time that was asked for could not be read")
	}
	for p := range ask {
		want[p] = places[p].offset
		if want[p] < 0 {
			want[p], notes[p] = ends[p].offset, "no record since then: the end"
		}
	}
	return want, notes, nil
}

// bound keeps the goal within the log, and counts the records.
func (m *move) bound() {
	if m.To == noOffset {
		if m.Note == "" {
			m.Note = "the offset is taken away"
		}
		return
	}
	switch {
	case m.To < m.Start:
		m.Note = fmt.Sprintf("%d is before the start", m.To)
		m.To = m.Start
	case m.To > m.End:
		m.Note = fmt.Sprintf("%d is after the end", m.To)
		m.To = m.End
	}
	if m.From == noOffset {
		if m.Note == "" {
			m.Note = "no offset yet"
		}
		return
	}
	at := max(m.Start, min(m.From, m.End))
	m.Again, m.Skipped = max(at-m.To, 0), max(m.To-at, 0)
	if m.Note == "" && at != m.From {
		m.Note = fmt.Sprintf("it was out of range at %d", m.From)
	}
}
