package debug

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/app"
)

// clusterPage is the metadata that clients are told.
type clusterPage struct {
	ClusterID  string       `json:"cluster_id"`
	Controller int32        `json:"controller"`
	Brokers    []brokerLine `json:"brokers"`
	Topics     []topicLine  `json:"topics"`
}

// brokerLine is a broker and the address that clients are told of it.
type brokerLine struct {
	NodeID int32   `json:"node_id"`
	Host   string  `json:"host"`
	Port   int32   `json:"port"`
	Rack   *string `json:"rack"`
}

// topicLine is a topic.
type topicLine struct {
	Name       string          `json:"name"`
	TopicID    string          `json:"topic_id"`
	Internal   bool            `json:"internal"`
	Error      string          `json:"error,omitempty"`
	Partitions []partitionLine `json:"partitions"`
}

// partitionLine is a partition.
type partitionLine struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	Offline     []int32 `json:"offline_replicas"`
	Error       string  `json:"error,omitempty"`
}

// metadata shows what clients are told of a cluster.
func metadata(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "metadata [TOPIC...]", Short: "Show the metadata that clients are told, as they are told it", Args: cobra.ArbitraryArgs,
		Example: "  klamm debug metadata\n  klamm debug metadata orders\n  klamm debug metadata -o json",
	}
	form := app.OutputFlag(c)
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, topics []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			md, err := adm.Metadata(ctx, topics...)
			if err != nil {
				return app.Failed(err, "the metadata could not be read")
			}
			var fails []*app.Failure
			for _, n := range topics {
				if t, ok := md.Topics[n]; !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
					delete(md.Topics, n)
					fails = append(fails, a.MissingTopic(ctx, adm, n))
				}
			}
			if len(topics) > 0 && len(fails) == len(topics) {
				return app.Partly(a, 0, fails)
			}
			p := newClusterPage(md)
			if err := app.PrintPages(a, form, 1, app.List[clusterPage]{
				Items: []clusterPage{p},
				ID:    func(p clusterPage) string { return p.ClusterID },
				Columns: []app.Column[clusterPage]{
					{Name: "cluster_id", Text: func(p clusterPage) string { return p.ClusterID }},
					{Name: "controller", Text: func(p clusterPage) string { return fmt.Sprint(p.Controller) }},
					{Name: "brokers", Text: func(p clusterPage) string { return fmt.Sprint(len(p.Brokers)) }},
					{Name: "topics", Text: func(p clusterPage) string { return fmt.Sprint(len(p.Topics)) }},
				},
			}, func(w io.Writer, p clusterPage) { p.print(w) }); err != nil {
				return err
			}
			return app.Partly(a, len(topics)-len(fails), fails)
		})
	}
	return c
}

// newClusterPage takes metadata over.
func newClusterPage(md kadm.Metadata) clusterPage {
	p := clusterPage{ClusterID: md.Cluster, Controller: md.Controller, Brokers: []brokerLine{}, Topics: []topicLine{}}
	for _, b := range md.Brokers {
		p.Brokers = append(p.Brokers, brokerLine{b.NodeID, b.Host, b.Port, b.Rack})
	}
	for _, t := range md.Topics.Sorted() {
		l := topicLine{Name: t.Topic, TopicID: base64.RawURLEncoding.EncodeToString(t.ID[:]), Internal: t.IsInternal, Error: errorName(t.Err), Partitions: []partitionLine{}}
		for _, d := range t.Partitions.Sorted() {
			l.Partitions = append(l.Partitions, partitionLine{d.Partition, d.Leader, d.LeaderEpoch, list(d.Replicas), list(d.ISR), list(d.OfflineReplicas), errorName(d.Err)})
		}
		p.Topics = append(p.Topics, l)
	}
	return p
}

// list is ids, empty and not null where there are none.
func list(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

// errorName is an error in the protocol's word; empty for none.
func errorName(err error) string {
	if err == nil {
		return ""
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Message
	}
	return err.Error()
}

// print writes the page for people.
func (p *clusterPage) print(w io.Writer) {
	fmt.Fprintf(w, "cluster %s   controller %d\n\n", app.OrDash(p.ClusterID), p.Controller)
	t := app.NewTable(w)
	t.Row("NODE", "TOLD TO CLIENTS", "RACK")
	for _, b := range p.Brokers {
		rack := "-"
		if b.Rack != nil {
			rack = *b.Rack
		}
		t.Row(fmt.Sprint(b.NodeID), fmt.Sprintf("%s:%d", b.Host, b.Port), rack)
	}
	_ = t.Flush()
	if len(p.Topics) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = app.NewTable(w)
	t.Row("TOPIC", "ID", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "OFFLINE", "ERROR")
	for _, topic := range p.Topics {
		if len(topic.Partitions) == 0 {
			t.Row(topic.Name, topic.TopicID, "-", "-", "-", "-", "-", "-", app.OrDash(topic.Error))
		}
		for _, l := range topic.Partitions {
			t.Row(topic.Name, topic.TopicID, fmt.Sprint(l.Partition), fmt.Sprint(l.Leader), fmt.Sprint(l.LeaderEpoch), app.OrDash(app.IDsText(l.Replicas)),
				app.OrDash(app.IDsText(l.ISR)), app.OrDash(app.IDsText(l.Offline)), app.OrDash(l.Error))
		}
	}
	_ = t.Flush()
}

// codeName is an error code in the protocol's word; empty for none.
func codeName(code int16) string { return errorName(kerr.ErrorForCode(code)) }
