package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// infoPage is what info tells.
type infoPage struct {
	ClusterID       string  `json:"cluster_id"`
	Controller      int32   `json:"controller"` // -1 when there is none
	Brokers         []int32 `json:"brokers"`
	Fenced          []int32 `json:"fenced_brokers"`
	Version         string  `json:"version"`          // Klamm, or Kafka and the version that the APIs look like
	MetadataVersion string  `json:"metadata_version"` // empty when it is not told
	Topics          int     `json:"topics"`
	InternalTopics  int     `json:"internal_topics"`
	Partitions      int     `json:"partitions"`
	Bytes           *int64  `json:"bytes"` // of all replicas; null when it is not told
}

// info tells what a cluster is.
func info(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "info", Short: "Show the cluster: id, controller, brokers, version, topics, bytes", Args: app.Exactly(),
		Example: "  klamm cluster info\n  klamm cluster info -o json",
	}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			s, err := look(ctx, cl, adm, true)
			if err != nil {
				return err
			}
			p := infoPage{ClusterID: s.id, Controller: s.controller, Brokers: s.active(), Fenced: []int32{}}
			for _, m := range s.members {
				if m.Fenced {
					p.Fenced = append(p.Fenced, m.ID)
				}
			}
			for _, t := range s.topics {
				if t.IsInternal {
					p.InternalTopics++
				} else {
					p.Topics++
				}
				p.Partitions += len(t.Partitions)
			}
			p.Version, p.MetadataVersion = together(versions(ctx, cl, adm, p.Brokers))
			if dirs := logDirs(ctx, adm); len(dirs) > 0 {
				n := int64(0)
				dirs.Each(func(d kadm.DescribedLogDir) { n += d.Size() })
				p.Bytes = &n
			}
			return app.PrintPages(a, form, 1, app.List[infoPage]{
				Items: []infoPage{p},
				ID:    func(p infoPage) string { return p.ClusterID },
				Columns: []app.Column[infoPage]{
					{Name: "cluster_id", Text: func(p infoPage) string { return p.ClusterID }},
					{Name: "controller", Text: func(p infoPage) string { return fmt.Sprint(p.Controller) }},
					{Name: "brokers", Text: func(p infoPage) string { return fmt.Sprint(len(p.Brokers)) }},
					{Name: "version", Text: func(p infoPage) string { return p.Version }},
					{Name: "topics", Text: func(p infoPage) string { return fmt.Sprint(p.Topics) }},
					{Name: "partitions", Text: func(p infoPage) string { return fmt.Sprint(p.Partitions) }},
				},
			}, func(w io.Writer, p infoPage) { p.print(w) })
		})
	}
	a.Watchable(c)
	return c
}

// together is the version of all brokers: one where they agree, otherwise each with its ids.
func together(all map[int32]version) (software, metadata string) {
	by := map[string][]int32{}
	for id, v := range all {
		if v.software != "" {
			by[v.software] = append(by[v.software], id)
		}
		metadata = max(metadata, v.metadata)
	}
	var words []string
	for name, ids := range by {
		if len(by) == 1 {
			return name, metadata
		}
		slices.Sort(ids)
		words = append(words, fmt.Sprintf("%s (%s)", name, app.IDsText(ids)))
	}
	slices.Sort(words)
	return strings.Join(words, ", "), metadata
}

// print writes the page for people.
func (p *infoPage) print(w io.Writer) {
	t := app.NewTable(w)
	t.Row("Cluster", app.OrDash(p.ClusterID))
	brokers := fmt.Sprintf("%d (%s)", len(p.Brokers), app.IDsText(p.Brokers))
	if len(p.Fenced) > 0 {
		brokers += fmt.Sprintf(", and %d fenced (%s)", len(p.Fenced), app.IDsText(p.Fenced))
	}
	t.Row("Brokers", brokers)
	if p.Controller >= 0 {
		t.Row("Controller", fmt.Sprint(p.Controller))
	} else {
		t.Row("Controller", "none")
	}
	t.Row("Version", app.OrDash(p.Version))
	t.Row("Metadata version", app.OrDash(p.MetadataVersion))
	topics := fmt.Sprint(p.Topics)
	if p.InternalTopics > 0 {
		topics += fmt.Sprintf(" and %d internal", p.InternalTopics)
	}
	t.Row("Topics", topics)
	t.Row("Partitions", fmt.Sprint(p.Partitions))
	if p.Bytes != nil {
		t.Row("Bytes", app.BytesText(*p.Bytes)+" in all replicas")
	}
	_ = t.Flush()
	fmt.Fprintln(w, "\nMore: klamm cluster health   klamm node list   klamm topic list")
}

// clusterID is what id tells.
type clusterID struct {
	ClusterID string `json:"cluster_id"`
}

// id tells the id alone.
func id(a *app.App) *cobra.Command {
	c := &cobra.Command{Use: "id", Short: "Print the id of the cluster", Args: app.Exactly(), Example: "  klamm cluster id"}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			meta, err := adm.BrokerMetadata(ctx)
			if err != nil {
				return app.Failed(err, "the cluster could not be asked for its id")
			}
			if meta.Cluster == "" {
				return &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotHere, What: "this cluster has no id", Why: "brokers before Kafka 0.10.1 have none"}
			}
			return app.PrintPages(a, form, 1, app.List[clusterID]{
				Items:   []clusterID{{meta.Cluster}},
				ID:      func(c clusterID) string { return c.ClusterID },
				Columns: []app.Column[clusterID]{{Name: "cluster_id", Text: func(c clusterID) string { return c.ClusterID }}},
			}, func(w io.Writer, c clusterID) { fmt.Fprintln(w, c.ClusterID) })
		})
	}
	return c
}
