package topic

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Noun is the noun of topics.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("topic", "topics", "List, create, look at and delete topics", `  klamm topic create orders -p 6
  klamm topic list
  klamm topic describe orders
  klamm topic delete orders`,
		topicList(a), topicCreate(a), topicDescribe(a), topicDelete(a))
}

// topicRow is a topic in a list.
type topicRow struct {
	Name       string `json:"name"`
	TopicID    string `json:"topic_id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
	Internal   bool   `json:"internal"`
}

// topicList lists topics.
func topicList(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List topics", Args: app.Exactly(),
		Example: "  klamm topic list\n  klamm topic list -o json\n  klamm topic list -o name --internal",
	}
	form := app.OutputFlag(c)
	internal := c.Flags().Bool("internal", false, "also the topics that the broker keeps for itself")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			topics, err := adm.ListTopicsWithInternal(ctx)
			if err != nil {
				return app.Failed(err, "the topics could not be listed")
			}
			rows := []topicRow{}
			for _, t := range topics.Sorted() {
				if t.Err == nil && (*internal || !t.IsInternal) {
					rows = append(rows, topicRow{t.Topic, uuidText(t.ID), len(t.Partitions), t.Partitions.NumReplicas(), t.IsInternal})
				}
			}
			if len(rows) == 0 && form.Human() {
				a.Say("no topics yet; klamm topic create NAME makes one")
				return nil
			}
			return app.PrintList(a, form, listOf(rows))
		})
	}
	return c
}

// listOf is a list of topics.
func listOf(rows []topicRow) app.List[topicRow] {
	return app.List[topicRow]{
		Items: rows,
		ID:    func(t topicRow) string { return t.Name },
		Columns: []app.Column[topicRow]{
			{Name: "name", Text: func(t topicRow) string { return t.Name }},
			{Name: "partitions", Text: func(t topicRow) string { return fmt.Sprint(t.Partitions) }},
			{Name: "replicas", Text: func(t topicRow) string { return fmt.Sprint(t.Replicas) }},
			{Name: "topic_id", Wide: true, Text: func(t topicRow) string { return t.TopicID }},
			{Name: "internal", Wide: true, Text: func(t topicRow) string { return fmt.Sprint(t.Internal) }},
		},
	}
}

// topicCreate makes topics.
func topicCreate(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "create NAME...", Short: "Create topics", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic create orders -p 6\n  klamm topic create audit -c retention.ms=-1 -c compression.type=zstd\n  klamm topic create orders --dry-run",
	}
	form := app.OutputFlag(c)
	partitions := c.Flags().Int32P("partitions", "p", -1, "how many partitions (default: the broker's num.partitions)")
	replicas := c.Flags().Int16P("replicas", "r", -1, "how many replicas of each (default: the broker's default.replication.factor)")
	configs := c.Flags().StringArrayP("config", "c", nil, "key=value of the topic's configuration; may be given again")
	dry := app.DryRunFlag(c)
	exists := c.Flags().Bool("if-not-exists", false, "a topic that exists is no error")
	c.RunE = func(c *cobra.Command, names []string) error {
		values := map[string]*string{}
		for _, kv := range *configs {
			k, v, ok := strings.Cut(kv, "=")
			if !ok || k == "" {
				return app.Usage(c, "-c %s: not of the form key=value", kv)
			}
			values[k] = &v
		}
		if *partitions == 0 || *partitions < -1 {
			return app.Usage(c, "-p %d: a topic has at least one partition", *partitions)
		}
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			create := adm.CreateTopics
			if *dry {
				create = adm.ValidateCreateTopics
			}
			res, err := create(ctx, *partitions, *replicas, values, names...)
			if err != nil {
				return app.Failed(err, "the topics could not be created")
			}
			var done []topicRow
			var fails []*app.Failure
			for _, r := range res.Sorted() {
				switch {
				case r.Err == nil:
					done = append(done, topicRow{Name: r.Topic, TopicID: uuidText(r.ID), Partitions: int(r.NumPartitions), Replicas: int(r.ReplicationFactor)})
				case errors.Is(r.Err, kerr.TopicAlreadyExists) && *exists:
					a.Say("topic %s exists already", r.Topic)
				default:
					f := app.Refusal(r.Err, r.ErrMessage, "topic %s could not be created", r.Topic)
					if errors.Is(r.Err, kerr.TopicAlreadyExists) {
						f.What, f.Why, f.Try = fmt.Sprintf("topic %s exists already", r.Topic), "", "klamm topic describe "+r.Topic
					}
					fails = append(fails, f)
				}
			}
			if form.Human() {
				verb := "created"
				if *dry {
					verb = "would create"
				}
				for _, t := range done {
					a.Say("%s topic %s with %s and %s of each", verb, t.Name, app.CountText(t.Partitions, "partition"), strings.Replace(app.CountText(t.Replicas, "replica"), "1 replica", "1 copy", 1))
				}
			} else if err := app.PrintList(a, form, listOf(done)); err != nil {
				return err
			}
			return app.Partly(a, len(done), fails)
		})
	}
	return c
}

// topicPage is what topic describe tells of a topic.
type topicPage struct {
	Name       string         `json:"name"`
	TopicID    string         `json:"topic_id"`
	Internal   bool           `json:"internal"`
	Health     string         `json:"health"`
	Notes      []string       `json:"notes,omitempty"`
	Records    int64          `json:"records"` // end - start summed up: at most so many
	Bytes      int64          `json:"bytes"`   // -1 when the broker does not tell
	Partitions []partitionRow `json:"partitions"`
	Configs    []configRow    `json:"configs"` // those that are not default
}

// partitionRow is one partition of a topicPage.
type partitionRow struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	Start       int64   `json:"start_offset"`
	End         int64   `json:"end_offset"`
	Bytes       int64   `json:"bytes"`
}

// configRow is one configuration value of a topicPage.
type configRow struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"` // in the protocol's word
	from   string  // in ours
}

// topicDescribe tells all of topics.
func topicDescribe(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "describe NAME...", Short: "Show topics: health, partitions, configuration", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic describe orders\n  klamm topic describe orders -o json",
	}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			pages, fails, err := describeTopics(ctx, adm, names)
			if err != nil {
				return err
			}
			if err := app.PrintPages(a, form, len(names), app.List[topicPage]{
				Items: pages,
				ID:    func(p topicPage) string { return p.Name },
				Columns: []app.Column[topicPage]{
					{Name: "name", Text: func(p topicPage) string { return p.Name }},
					{Name: "partitions", Text: func(p topicPage) string { return fmt.Sprint(len(p.Partitions)) }},
					{Name: "records", Text: func(p topicPage) string { return fmt.Sprint(p.Records) }},
					{Name: "bytes", Text: func(p topicPage) string { return fmt.Sprint(p.Bytes) }},
					{Name: "health", Text: func(p topicPage) string { return p.Health }},
				},
			}, func(w io.Writer, p topicPage) { p.print(w) }); err != nil {
				return err
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	return c
}

// describeTopics asks for all that a page has. Sizes are left out where the broker does not tell them.
func describeTopics(ctx context.Context, adm *kadm.Client, names []string) ([]topicPage, []*app.Failure, error) {
	topics, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, nil, app.Failed(err, "the topics could not be described")
	}
	var found []string
	var fails []*app.Failure
	for _, n := range names {
		t, ok := topics[n]
		switch {
		case ok && t.Err == nil:
			if !slices.Contains(found, n) {
				found = append(found, n)
			}
		case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			fails = append(fails, &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("there is no topic %s", n), Try: "klamm topic list"})
		default:
			fails = append(fails, app.Failed(t.Err, "topic %s could not be described", n))
		}
	}
	if len(found) == 0 {
		return nil, fails, nil
	}
	configs, noConfigs := adm.DescribeTopicConfigs(ctx, found...)
	starts, err := adm.ListStartOffsets(ctx, found...)
	if err != nil && len(starts) == 0 {
		return nil, nil, app.Failed(err, "the topics' first offsets could not be read")
	}
	ends, err := adm.ListEndOffsets(ctx, found...)
	if err != nil && len(ends) == 0 {
		return nil, nil, app.Failed(err, "the topics' last offsets could not be read")
	}
	dirs, _ := adm.DescribeAllLogDirs(ctx, nil)
	var pages []topicPage
	for _, n := range found {
		p := topicPage{Name: n, TopicID: uuidText(topics[n].ID), Internal: topics[n].IsInternal, Bytes: -1}
		for _, d := range topics[n].Partitions.Sorted() {
			row := partitionRow{Partition: d.Partition, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch, Replicas: d.Replicas, ISR: d.ISR, Start: -1, End: -1, Bytes: -1}
			if o, ok := starts.Lookup(n, d.Partition); ok && o.Err == nil {
				row.Start = o.Offset
			}
			if o, ok := ends.Lookup(n, d.Partition); ok && o.Err == nil {
				row.End = o.Offset
			}
			if row.Start >= 0 && row.End >= 0 {
				p.Records += row.End - row.Start
			}
			if on, ok := dirs[d.Leader]; ok {
				if dp, ok := on.LookupPartition(n, d.Partition); ok {
					row.Bytes = dp.Size
					p.Bytes = max(p.Bytes, 0) + dp.Size
				}
			}
			p.Partitions = append(p.Partitions, row)
		}
		p.Health = health(topics[n].Partitions.Sorted())
		if rc, err := configs.On(n, nil); err == nil && rc.Err == nil {
			p.configured(rc.Configs)
		} else {
			p.Notes = append(p.Notes, fmt.Sprintf("the configuration could not be read: %v", cmp.Or(noConfigs, err, rc.Err)))
		}
		pages = append(pages, p)
	}
	return pages, fails, nil
}

// uuidText writes a topic's id as Kafka's tools do.
func uuidText(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// health says in a line whether all partitions can be written and are replicated as they should be.
func health(partitions []kadm.PartitionDetail) string {
	leaderless, thin := 0, 0
	for _, p := range partitions {
		if p.Leader < 0 {
			leaderless++
		}
		if len(p.ISR) < len(p.Replicas) {
			thin++
		}
	}
	switch {
	case leaderless > 0:
		return fmt.Sprintf("unhealthy: %d of %s without a leader, %d with replicas missing", leaderless, app.CountText(len(partitions), "partition"), thin)
	case thin > 0:
		return fmt.Sprintf("degraded: %d of %s with replicas missing", thin, app.CountText(len(partitions), "partition"))
	}
	return fmt.Sprintf("healthy: %s, each with a leader and all replicas in sync", app.CountText(len(partitions), "partition"))
}

// configured takes over what is not default, and notes what a person should know of it.
func (p *topicPage) configured(configs []kadm.Config) {
	p.Configs = []configRow{}
	klamm, compact := false, false
	for _, c := range configs {
		if c.Key == "flush.before.ack" {
			klamm = true
		}
		if c.Key == "cleanup.policy" {
			compact = strings.Contains(c.MaybeValue(), "compact")
		}
		if c.Source != kmsg.ConfigSourceDefaultConfig {
			p.Configs = append(p.Configs, configRow{c.Key, c.Value, c.Source.String(), sourceText(c.Source)})
		}
	}
	slices.SortFunc(p.Configs, func(x, y configRow) int { return strings.Compare(x.Key, y.Key) })
	if klamm && compact && p.Name != "__consumer_offsets" {
		p.Notes = append(p.Notes, "cleanup.policy has compact: this version of Klamm does not compact yet and keeps every record")
	}
}

// sourceText names the layer of a value for people.
func sourceText(s kmsg.ConfigSource) string {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return "topic"
	case kmsg.ConfigSourceDynamicBrokerConfig:
		return "broker, while running"
	case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
		return "all brokers, while running"
	case kmsg.ConfigSourceStaticBrokerConfig:
		return "the broker's file"
	case kmsg.ConfigSourceDefaultConfig:
		return "default"
	}
	return strings.ToLower(s.String())
}

// print writes the page for people.
func (p *topicPage) print(w io.Writer) {
	fmt.Fprintf(w, "%s   %s, about %s", p.Name, app.CountText(len(p.Partitions), "partition"), app.CountText(int(p.Records), "record"))
	if p.Bytes >= 0 {
		fmt.Fprintf(w, ", %s", app.BytesText(p.Bytes))
	}
	fmt.Fprintf(w, "\n%s\n", p.Health)
	for _, n := range p.Notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "PARTITION\tLEADER\tEPOCH\tREPLICAS\tIN SYNC\tSTART\tEND\tSIZE")
	for _, r := range p.Partitions {
		size := "-"
		if r.Bytes >= 0 {
			size = app.BytesText(r.Bytes)
		}
		fmt.Fprintf(tw, "%d\t%d\t%d\t%s\t%s\t%d\t%d\t%s\n", r.Partition, r.Leader, r.LeaderEpoch, app.IDsText(r.Replicas), app.IDsText(r.ISR), r.Start, r.End, size)
	}
	_ = tw.Flush()
	switch {
	case p.Configs == nil:
		return
	case len(p.Configs) == 0:
		fmt.Fprintln(w, "\nConfiguration: all default")
		return
	}
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "CONFIGURATION\tVALUE\tFROM")
	for _, c := range p.Configs {
		v := "null"
		if c.Value != nil {
			v = *c.Value
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", c.Key, v, c.from)
	}
	_ = tw.Flush()
}

// topicDelete deletes topics for good.
func topicDelete(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME...", Short: "Delete topics and all their records", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic delete orders                    # asks for the name\n  klamm topic delete orders --confirm orders   # in scripts\n  klamm topic delete orders payments -y",
	}
	harm := app.HarmFlags(c)
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			pages, fails, err := describeTopics(ctx, adm, names)
			if err != nil {
				return err
			}
			for _, p := range pages {
				a.Say("delete topic %s: %s, about %s", p.Name, app.CountText(len(p.Partitions), "partition"), app.CountText(int(p.Records), "record"))
			}
			if *harm.DryRun || len(pages) == 0 {
				return app.Partly(a, len(pages), fails)
			}
			for _, p := range pages {
				if err := harm.Ask(a, p.Name, "delete it"); err != nil {
					return err
				}
			}
			gone := make([]string, len(pages))
			for i, p := range pages {
				gone[i] = p.Name
			}
			res, err := adm.DeleteTopics(ctx, gone...)
			if err != nil {
				return app.Failed(err, "the topics could not be deleted")
			}
			done := 0
			for _, r := range res.Sorted() {
				if r.Err != nil {
					fails = append(fails, app.Refusal(r.Err, r.ErrMessage, "topic %s could not be deleted", r.Topic))
					continue
				}
				done++
				a.Say("deleted topic %s", r.Topic)
			}
			return app.Partly(a, done, fails)
		})
	}
	return c
}
