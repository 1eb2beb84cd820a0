package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// create makes topics.
func create(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "create NAME...", Short: "Create topics", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic create orders -p 6\n  klamm topic create audit -c retention.ms=-1 -c compression.type=zstd\n  klamm topic create ledger --assign 1:2,2:3,3:1   # the brokers of partitions 0, 1 and 2\n  klamm topic create orders --dry-run",
	}
	form := app.OutputFlag(c)
	partitions := c.Flags().Int32P("partitions", "p", -1, "how many partitions (default: the broker's num.partitions)")
	replicas := c.Flags().Int16P("replicas", "r", -1, "how many replicas of each (default: the broker's default.replication.factor)")
	configs := c.Flags().StringArrayP("config", "c", nil, "key=value of the topic's configuration; may be given again")
	assign := c.Flags().String("assign", "", "the brokers of each partition, the leader first: 1:2,2:3 are two partitions")
	exists := c.Flags().Bool("if-not-exists", false, "a topic that exists is no error")
	dry := app.DryRunFlag(c)
	wait := app.WaitFlag(c)
	_ = c.RegisterFlagCompletionFunc("config", a.CompleteTopicConfigs(false))
	c.ValidArgsFunction = cobra.NoFileCompletions
	c.RunE = func(c *cobra.Command, names []string) error {
		spec := newTopic{partitions: *partitions, replicas: *replicas}
		var err error
		if spec.configs, err = keyValues(c, *configs); err != nil {
			return err
		}
		if *partitions == 0 || *partitions < -1 {
			return app.Usage(c, "-p %d: a topic has at least one partition", *partitions)
		}
		if *replicas == 0 || *replicas < -1 {
			return app.Usage(c, "-r %d: a partition has at least one replica", *replicas)
		}
		if *assign != "" {
			if *partitions != -1 || *replicas != -1 {
				return app.Usage(c, "--assign says how many partitions and replicas there are; leave -p and -r away")
			}
			if spec.assign, err = assignment(*assign); err != nil {
				return app.Usage(c, "--assign %s: %s", *assign, err)
			}
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			done, fails, err := spec.create(ctx, a, cl, adm, names, *exists, *dry)
			if err != nil {
				return err
			}
			if form.Human() {
				say(a, *dry, done)
			} else if err := app.PrintList(a, form, listOf(done)); err != nil {
				return err
			}
			if *wait && !*dry {
				if err := everywhere(ctx, a, cl, expected(done)); err != nil {
					return err
				}
			}
			return app.Partly(a, len(done), fails)
		})
	}
	return c
}

// expected is how many partitions with a leader each topic that was made is to have; see settle.
func expected(done []row) map[string]int {
	wanted := map[string]int{}
	for _, t := range done {
		wanted[t.Name] = max(t.Partitions, 1)
	}
	return wanted
}

// say tells of topics that were made, or would be.
func say(a *app.App, dry bool, done []row) {
	verb := "created"
	if dry {
		verb = "would create"
	}
	for _, t := range done {
		switch {
		case t.Partitions <= 0: // who may not describe a topic's configuration is not told
			a.Say("%s topic %s", verb, t.Name)
		default:
			a.Say("%s topic %s with %s and %s of each", verb, t.Name, app.CountText(t.Partitions, "partition"), strings.Replace(app.CountText(t.Replicas, "replica"), "1 replica", "1 copy", 1))
		}
	}
}

// keyValues reads key=value arguments of -c.
func keyValues(c *cobra.Command, args []string) (map[string]*string, error) {
	values := map[string]*string{}
	for _, kv := range args {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, app.Usage(c, "-c %s: not of the form key=value", kv)
		}
		values[k] = &v
	}
	return values, nil
}

// assignment reads the brokers of each partition: partitions apart by commas, brokers by colons.
func assignment(s string) ([][]int32, error) {
	var list [][]int32
	for i, part := range strings.Split(s, ",") {
		var brokers []int32
		for _, id := range strings.Split(part, ":") {
			n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("%q is no broker's id; two partitions of two replicas are 1:2,2:3", id)
			}
			if slices.Contains(brokers, int32(n)) {
				return nil, fmt.Errorf("partition %d is on broker %d twice", i, n)
			}
			brokers = append(brokers, int32(n))
		}
		if len(list) > 0 && len(brokers) != len(list[0]) {
			return nil, fmt.Errorf("partition %d has %d replicas and partition 0 has %d", i, len(brokers), len(list[0]))
		}
		list = append(list, brokers)
	}
	return list, nil
}

// newTopic is what topics are created as.
type newTopic struct {
	partitions int32 // -1 for the broker's default
	replicas   int16 // -1 for the broker's default
	assign     [][]int32
	configs    map[string]*string
}

// create makes topics, or with dry lets the broker check whether it would. It returns those that it made, and a
// failure for each other.
func (n newTopic) create(ctx context.Context, a *app.App, cl *kgo.Client, adm *kadm.Client, names []string, exists, dry bool) ([]row, []*app.Failure, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(min(a.Timeout().Milliseconds(), 15_000))
	req.ValidateOnly = dry
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, n.partitions, n.replicas
		for p, brokers := range n.assign {
			ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			ra.Partition, ra.Replicas = int32(p), brokers
			t.NumPartitions, t.ReplicationFactor = -1, -1
			t.ReplicaAssignment = append(t.ReplicaAssignment, ra)
		}
		for k, v := range n.configs {
			kv := kmsg.NewCreateTopicsRequestTopicConfig()
			kv.Name, kv.Value = k, v
			t.Configs = append(t.Configs, kv)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, nil, app.Failed(err, "the topics could not be created")
	}
	app.Sort(resp.Topics, func(x, y kmsg.CreateTopicsResponseTopic) int {
		return slices.Index(names, x.Topic) - slices.Index(names, y.Topic)
	})
	var done []row
	var fails []*app.Failure
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		var message string
		if t.ErrorMessage != nil {
			message = *t.ErrorMessage
		}
		switch {
		case err == nil:
			done = append(done, row{Name: t.Topic, TopicID: uuidText(t.TopicID), Partitions: int(t.NumPartitions), Replicas: int(t.ReplicationFactor)})
		case errors.Is(err, kerr.TopicAlreadyExists) && exists:
			a.Say("topic %s exists already", t.Topic)
		default:
			f := app.Refusal(err, message, "topic %s could not be created", t.Topic)
			switch {
			case errors.Is(err, kerr.TopicAlreadyExists):
				f.What, f.Why, f.Try = fmt.Sprintf("topic %s exists already", t.Topic), "", "klamm topic describe "+t.Topic
			case errors.Is(err, kerr.InvalidConfig):
				n.suggest(ctx, cl, adm, f)
			}
			fails = append(fails, f)
		}
	}
	if !dry {
		settle(ctx, cl, expected(done))
	}
	return done, fails, nil
}

// suggest adds the key that was perhaps meant to a refusal of configuration, from the keys of any topic there is.
func (n newTopic) suggest(ctx context.Context, cl *kgo.Client, adm *kadm.Client, f *app.Failure) {
	f.Code = app.CodeConfig
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil || len(topics) == 0 {
		return
	}
	name := topics.Names()[0]
	of := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: []string{name}})[name]
	for k := range n.configs {
		if _, ok := of.Row(k); !ok && of.Err == nil {
			f.Try = of.Unknown("topic", k).Try
		}
	}
}
