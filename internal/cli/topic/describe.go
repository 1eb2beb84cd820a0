package topic

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// page is what describe tells of a topic.
type page struct {
	Name     string   `json:"name"`
	TopicID  string   `json:"topic_id"`
	Internal bool     `json:"internal"`
	Healthy  bool     `json:"healthy"`
	Health   string   `json:"health"`
	Notes    []string `json:"notes,omitempty"`
	Records  int64    `json:"records"` // end - start summed up: at most so many
	Bytes    int64    `json:"bytes"`   // -1 when the broker does not tell
	// Rates are of the last minute by the records' timestamps, or measured with --rate; null when not known.
	RecordRate *float64  `json:"records_per_second"`
	ByteRate   *float64  `json:"bytes_per_second"` // only with --rate
	LastRecord *string   `json:"last_record_time"` // the greatest timestamp; null when there is none or it is not told
	Partitions []index   `json:"partitions"`
	Configs    []setting `json:"configs"` // those that are not default
	Groups     []lag     `json:"groups"`  // those that have committed offsets in it; null with --no-groups
	last       int64
	window     string // what the rates are over, for people
}

// index is one partition of a page.
type index struct {
	Partition   int32    `json:"partition"`
	Leader      int32    `json:"leader"`
	LeaderEpoch int32    `json:"leader_epoch"`
	Replicas    []int32  `json:"replicas"`
	ISR         []int32  `json:"isr"`
	Start       int64    `json:"start_offset"`
	End         int64    `json:"end_offset"`
	Bytes       int64    `json:"bytes"`
	RecordRate  *float64 `json:"records_per_second"`
	ByteRate    *float64 `json:"bytes_per_second"`
	LastRecord  *string  `json:"last_record_time"`
	last        int64
}

// setting is one configuration value of a page.
type setting struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"` // in the protocol's word
	from   string  // in ours
}

// describe tells all of topics.
func describe(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "describe NAME...", Short: "Show topics: health, partitions, configuration, groups", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic describe orders\n  klamm topic describe orders --watch\n  klamm topic describe orders --rate 5s      # measure records/s and bytes/s for 5 seconds\n  klamm topic describe 'shop-*' -o json",
	}
	form := app.OutputFlag(c)
	noGroups := c.Flags().Bool("no-groups", false, "do not ask for the groups that read it")
	rate := app.DurationFlag(c, "rate", 0, "measure records/s and bytes/s for so long (1s, 10s) instead of counting the last minute's records by timestamp")
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			topics, fails, err := find(ctx, a, c, adm, args)
			if err != nil {
				return err
			}
			pages := look(ctx, cl, adm, topics, a.Time(), *rate)
			if !*noGroups && len(pages) > 0 {
				addGroups(ctx, cl, adm, topics, pages)
			}
			if err := app.PrintPages(a, form, asked(args), app.List[page]{
				Items: pages,
				ID:    func(p page) string { return p.Name },
				Columns: []app.Column[page]{
					{Name: "name", Text: func(p page) string { return p.Name }},
					{Name: "partitions", Text: func(p page) string { return fmt.Sprint(len(p.Partitions)) }},
					{Name: "records", Text: func(p page) string { return fmt.Sprint(p.Records) }},
					{Name: "bytes", Text: func(p page) string { return fmt.Sprint(p.Bytes) }},
					{Name: "health", Text: func(p page) string { return p.Health }},
				},
			}, func(w io.Writer, p page) { p.print(w, a.Time(), form.Wide()) }); err != nil {
				return err
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	a.Watchable(c)
	return c
}

// asked is how many things arguments ask for: a pattern asks for a list even when it finds one.
func asked(args []string) int {
	if slices.ContainsFunc(args, isPattern) {
		return len(args) + 1
	}
	return len(args)
}

// measured is what look learns of a topic's logs at one moment.
type measured struct {
	at    time.Time
	ends  map[partition]place
	err   error // why an end is missing
	bytes map[partition]int64
}

// look asks for all that a page has but the groups, with a few requests for all topics together, at once. What
// the brokers do not tell is left out. A window above zero measures rates for so long.
func look(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail, now time.Time, window time.Duration) []page {
	if len(topics) == 0 {
		return nil
	}
	var starts, newest, recent map[partition]place
	var configs map[string]*settings.Resource
	var m measured
	var wg sync.WaitGroup
	wg.Go(func() { m = measure(ctx, cl, adm, topics) })
	wg.Go(func() { starts, _ = offsets(ctx, cl, topics, atStart) })
	wg.Go(func() { newest, _ = offsets(ctx, cl, topics, atNewest) })
	wg.Go(func() { recent, _ = offsets(ctx, cl, topics, now.Add(-time.Minute).UnixMilli()) })
	wg.Go(func() {
		configs = settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: names(topics)})
	})
	wg.Wait()
	var later *measured
	if window > 0 && app.Sleep(ctx, window) {
		l := measure(ctx, cl, adm, topics)
		later = &l
	}
	var pages []page
	for _, t := range topics {
		p := page{Name: t.Topic, TopicID: uuidText(t.ID), Internal: t.IsInternal, Bytes: -1, last: -1, window: "in the last minute"}
		if window > 0 {
			p.window = "for " + app.DurationText(window)
		}
		silent := 0
		for _, d := range t.Partitions.Sorted() {
			i := index{Partition: d.Partition, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch, Replicas: d.Replicas, ISR: d.ISR, Start: -1, End: -1, Bytes: -1, last: -1}
			key := partition{t.Topic, d.Partition}
			if o, ok := starts[key]; ok {
				i.Start = o.offset
			}
			if o, ok := m.ends[key]; ok {
				i.End = o.offset
			} else if d.Leader >= 0 {
				silent++
			}
			if n, ok := m.bytes[key]; ok {
				i.Bytes = n
			}
			if o, ok := newest[key]; ok && o.offset >= 0 && o.timestamp >= 0 {
				i.last, i.LastRecord = o.timestamp, timestamp(o.timestamp)
			}
			if later != nil {
				i.RecordRate, i.ByteRate = m.rates(*later, key)
			} else if o, ok := recent[key]; ok && i.End >= 0 {
				i.RecordRate = lastMinute(o, i, now)
			}
			p.add(i)
		}
		if silent > 0 && m.err != nil {
			p.Notes = append(p.Notes, fmt.Sprintf("the offsets of %s could not be read: %v", app.CountText(silent, "partition"), m.err))
		}
		minISR := 1
		of := configs[t.Topic]
		if n, ok := of.Int("min.insync.replicas"); ok {
			minISR = int(n)
		}
		p.Healthy, p.Health = health(t.Partitions.Sorted(), minISR)
		if of.Err == nil {
			p.configured(of)
		} else {
			p.Notes = append(p.Notes, fmt.Sprintf("the configuration could not be read: %v", of.Err))
		}
		if t.Partitions != nil && p.Partitions == nil {
			p.Partitions = []index{}
		}
		pages = append(pages, p)
	}
	return pages
}

// measure takes the ends and sizes of all partitions at one moment.
func measure(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail) measured {
	m := measured{at: time.Now()}
	m.ends, m.err = offsets(ctx, cl, topics, atEnd)
	m.bytes = sizes(ctx, adm, topics, false)
	return m
}

// rates are records and bytes a second between two moments. A log that became shorter because its oldest part
// was deleted tells nothing of what was written.
func (m measured) rates(later measured, key partition) (records, bytes *float64) {
	took := later.at.Sub(m.at).Seconds()
	from, ok := m.ends[key]
	to, too := later.ends[key]
	if ok && too && took > 0 && to.offset >= from.offset {
		r := float64(to.offset-from.offset) / took
		records = &r
	}
	before, ok := m.bytes[key]
	after, too := later.bytes[key]
	if ok && too && took > 0 && after >= before {
		r := float64(after-before) / took
		bytes = &r
	}
	return records, bytes
}

// lastMinute is the rate of the records with timestamps of the last minute; nil when timestamps run ahead of the
// clock, as they then say nothing of when a record came.
func lastMinute(first place, i index, now time.Time) *float64 {
	if i.last > now.Add(10*time.Second).UnixMilli() {
		return nil
	}
	r := 0.0
	if first.offset >= 0 {
		r = float64(max(i.End-first.offset, 0)) / 60
	}
	return &r
}

// timestamp is a time for JSON.
func timestamp(ms int64) *string {
	s := app.TimeText(ms)
	return &s
}

// add takes a partition into the page and its sums.
func (p *page) add(i index) {
	if i.Start >= 0 && i.End >= 0 {
		p.Records += i.End - i.Start
	}
	if i.Bytes >= 0 {
		p.Bytes = max(p.Bytes, 0) + i.Bytes
	}
	sum := func(to, n *float64) *float64 {
		if n == nil {
			return to
		}
		s := *n
		if to != nil {
			s += *to
		}
		return &s
	}
	p.RecordRate, p.ByteRate = sum(p.RecordRate, i.RecordRate), sum(p.ByteRate, i.ByteRate)
	if i.last > p.last {
		p.last, p.LastRecord = i.last, i.LastRecord
	}
	p.Partitions = append(p.Partitions, i)
}

// health says in a line whether all partitions can be written and are replicated as they should be.
func health(partitions []kadm.PartitionDetail, minISR int) (bool, string) {
	leaderless, thin, few := 0, 0, 0
	for _, p := range partitions {
		if p.Leader < 0 {
			leaderless++
		}
		if len(p.ISR) < len(p.Replicas) {
			thin++
		}
		if len(p.ISR) < minISR && p.Leader >= 0 {
			few++
		}
	}
	all := app.CountText(len(partitions), "partition")
	switch {
	case leaderless > 0:
		return false, fmt.Sprintf("unhealthy: %d of %s without a leader, %d with replicas missing", leaderless, all, thin)
	case few > 0:
		return false, fmt.Sprintf("unhealthy: %d of %s with fewer than min.insync.replicas=%d in sync, which acks=all cannot write", few, all, minISR)
	case thin > 0:
		return false, fmt.Sprintf("degraded: %d of %s with replicas missing", thin, all)
	}
	return true, fmt.Sprintf("healthy: %s, each with a leader and all replicas in sync", all)
}

// configured takes over what is not default, and notes what a person should know of it.
func (p *page) configured(of *settings.Resource) {
	p.Configs = []setting{}
	for _, r := range of.Rows {
		if !r.IsDefault() {
			p.Configs = append(p.Configs, setting{r.Key, r.Value, r.Source, r.FromText()})
		}
	}
	// Only Klamm has this key.
	if _, klamm := of.Row("flush.before.ack"); klamm && strings.Contains(of.Value("cleanup.policy"), "compact") && p.Name != "__consumer_offsets" {
		p.Notes = append(p.Notes, "cleanup.policy has compact: this version of Klamm does not compact yet and keeps every record")
	}
}

// print writes the page for people.
func (p *page) print(w io.Writer, now time.Time, wide bool) {
	fmt.Fprintf(w, "%s   %s, about %s", p.Name, app.CountText(len(p.Partitions), "partition"), app.CountText(p.Records, "record"))
	if p.Bytes >= 0 {
		fmt.Fprintf(w, ", %s", app.BytesText(p.Bytes))
	}
	if p.RecordRate != nil {
		fmt.Fprintf(w, ", %s", rateText(p.RecordRate))
		if p.ByteRate != nil {
			fmt.Fprintf(w, " and %s/s", app.BytesText(int64(*p.ByteRate)))
		}
		fmt.Fprintf(w, " %s", p.window)
	}
	fmt.Fprintf(w, "\n%s\n", p.Health)
	if p.LastRecord != nil {
		fmt.Fprintf(w, "last record %s, %s\n", *p.LastRecord, ago(now.Sub(time.UnixMilli(p.last))))
	}
	for _, n := range p.Notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
	p.printPartitions(w, wide)
	if p.Configs != nil {
		p.printConfigs(w)
	}
	if len(p.Groups) > 0 {
		fmt.Fprintln(w)
		t := app.NewTable(w)
		t.Row("GROUP", "STATE", "LAG")
		for _, g := range p.Groups {
			t.Row(g.Group, cmp.Or(g.State, "-"), fmt.Sprint(g.Lag))
		}
		_ = t.Flush()
	}
	fmt.Fprintf(w, "\nMore: klamm topic config %s --all", p.Name)
	if len(p.Groups) > 0 {
		fmt.Fprintf(w, "   klamm group describe %s", p.Groups[0].Group)
	}
	if p.Records > 0 {
		fmt.Fprintf(w, "   klamm consume %s -o start -n 10", p.Name)
	}
	fmt.Fprintln(w)
}

// printPartitions is a row for each partition.
func (p *page) printPartitions(w io.Writer, wide bool) {
	t := app.NewTable(w)
	cells := []string{"PARTITION", "LEADER", "REPLICAS", "IN SYNC", "START", "END", "SIZE", "RATE", "LAST RECORD"}
	if wide {
		cells = append(cells, "EPOCH")
	}
	t.Row(cells...)
	for _, i := range p.Partitions {
		size, last := "-", "-"
		if i.Bytes >= 0 {
			size = app.BytesText(i.Bytes)
		}
		if i.LastRecord != nil {
			last = *i.LastRecord
		}
		cells = append(cells[:0], fmt.Sprint(i.Partition), numberText(int64(i.Leader)), app.IDsText(i.Replicas), app.OrDash(app.IDsText(i.ISR)),
			app.OffsetText(i.Start), app.OffsetText(i.End), size, rateText(i.RecordRate), last)
		if wide {
			cells = append(cells, fmt.Sprint(i.LeaderEpoch))
		}
		t.Row(cells...)
	}
	_ = t.Flush()
}

// printConfigs is a row for each value that is not default.
func (p *page) printConfigs(w io.Writer) {
	if len(p.Configs) == 0 {
		fmt.Fprintln(w, "\nConfiguration: all default")
		return
	}
	fmt.Fprintln(w)
	t := app.NewTable(w)
	t.Row("CONFIGURATION", "VALUE", "FROM")
	for _, c := range p.Configs {
		t.Row(c.Key, settings.ValueText(c.Value, false), c.from)
	}
	_ = t.Flush()
}

// rateText is records a second for people, a dash for unknown.
func rateText(r *float64) string {
	switch {
	case r == nil:
		return "-"
	case *r == 0:
		return "0/s"
	case *r < 10:
		return fmt.Sprintf("%.2g/s", *r)
	}
	return fmt.Sprintf("%.0f/s", *r)
}

// ago says how long ago something was.
func ago(d time.Duration) string {
	if d < 0 {
		return app.DurationText(-d) + " ahead of this clock"
	}
	return app.DurationText(d) + " ago"
}
