package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// nodeRow is a broker in a list.
type nodeRow struct {
	ID         int32  `json:"node_id"`
	Host       string `json:"host"`
	Port       int32  `json:"port"`
	Rack       string `json:"rack"` // empty for none
	Controller bool   `json:"controller"`
	Fenced     bool   `json:"fenced"`
	Leads      int    `json:"partitions_led"`
	Replicas   int    `json:"replicas"`
	OutOfSync  int    `json:"replicas_out_of_sync"`
	Bytes      *int64 `json:"bytes"` // null when the broker does not tell
}

// rows are the brokers with what lies on each.
func (s *survey) rows(dirs kadm.DescribedAllLogDirs) []nodeRow {
	rows := make([]nodeRow, len(s.members))
	at := map[int32]*nodeRow{}
	for i, m := range s.members {
		rows[i] = nodeRow{ID: m.ID, Host: m.Host, Port: m.Port, Rack: m.Rack, Controller: m.ID == s.controller, Fenced: m.Fenced}
		at[m.ID] = &rows[i]
		if on, told := dirs[m.ID]; told {
			n := on.Size()
			rows[i].Bytes = &n
		}
	}
	s.topics.EachPartition(func(p kadm.PartitionDetail) {
		if r := at[p.Leader]; r != nil {
			r.Leads++
		}
		for _, id := range p.Replicas {
			if r := at[id]; r != nil {
				r.Replicas++
				if !slices.Contains(p.ISR, id) {
					r.OutOfSync++
				}
			}
		}
	})
	return rows
}

// bytesOrDash is a size for people.
func bytesOrDash(n *int64) string {
	if n == nil {
		return "-"
	}
	return app.BytesText(*n)
}

// yesOr is yes, or a dash.
func yesOr(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

// nodeColumns are the columns of a list of brokers.
func nodeColumns() []app.Column[nodeRow] {
	return []app.Column[nodeRow]{
		{Name: "node_id", Text: func(r nodeRow) string { return fmt.Sprint(r.ID) }},
		{Name: "host", Text: func(r nodeRow) string { return app.OrDash(r.Host) }},
		{Name: "port", Text: func(r nodeRow) string { return fmt.Sprint(r.Port) }},
		{Name: "rack", Text: func(r nodeRow) string { return app.OrDash(r.Rack) }},
		{Name: "controller", Text: func(r nodeRow) string { return yesOr(r.Controller) }},
		{Name: "fenced", Text: func(r nodeRow) string { return yesOr(r.Fenced) }},
		{Name: "partitions_led", Text: func(r nodeRow) string { return fmt.Sprint(r.Leads) }},
		{Name: "replicas", Wide: true, Text: func(r nodeRow) string { return fmt.Sprint(r.Replicas) }},
		{Name: "replicas_out_of_sync", Wide: true, Text: func(r nodeRow) string { return fmt.Sprint(r.OutOfSync) }},
		{Name: "bytes", Text: func(r nodeRow) string { return bytesOrDash(r.Bytes) }},
	}
}

// nodeList lists the brokers.
func nodeList(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the brokers", Args: app.Exactly(),
		Example: "  klamm node list\n  klamm node list -o wide\n  klamm node list -o json",
	}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			s, err := look(ctx, cl, adm, true)
			if err != nil {
				return err
			}
			return app.PrintList(a, form, app.List[nodeRow]{
				Items: s.rows(logDirs(ctx, adm)), Columns: nodeColumns(), ID: func(r nodeRow) string { return fmt.Sprint(r.ID) },
			})
		})
	}
	a.Watchable(c)
	return c
}

// nodePage is what describe tells of a broker.
type nodePage struct {
	nodeRow
	Version    string    `json:"version"` // empty when it did not answer
	Dirs       []logDir  `json:"log_dirs"`
	Configs    []setting `json:"configs"` // those that are not default
	Notes      []string  `json:"notes,omitempty"`
	unanswered error
}

// logDir is a log directory of a broker.
type logDir struct {
	Dir        string `json:"directory"`
	Partitions int    `json:"partitions"`
	Bytes      int64  `json:"bytes"`
	Total      *int64 `json:"total_bytes"`  // of its disk; null when it is not told
	Usable     *int64 `json:"usable_bytes"` // of its disk; null when it is not told
	Error      string `json:"error"`        // empty when it is online
}

// nodeDescribe tells all of brokers.
func nodeDescribe(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "describe ID...", Short: "Show brokers: where, version, what lies on them, disks, configuration", Args: app.AtLeastOne("ID"),
		Example: "  klamm node describe 1\n  klamm node describe 1 2 3 -o json",
	}
	form := app.OutputFlag(c)
	c.ValidArgsFunction = a.CompleteNodes()
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := nodeIDs(c, args)
		if err != nil {
			return err
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			s, err := look(ctx, cl, adm, true)
			if err != nil {
				return err
			}
			pages, fails := s.pages(ctx, cl, adm, ids)
			if err := app.PrintPages(a, form, len(args), app.List[nodePage]{
				Items: pages,
				ID:    func(p nodePage) string { return fmt.Sprint(p.ID) },
				Columns: []app.Column[nodePage]{
					{Name: "node_id", Text: func(p nodePage) string { return fmt.Sprint(p.ID) }},
					{Name: "host", Text: func(p nodePage) string { return p.Host }},
					{Name: "port", Text: func(p nodePage) string { return fmt.Sprint(p.Port) }},
					{Name: "version", Text: func(p nodePage) string { return p.Version }},
					{Name: "partitions_led", Text: func(p nodePage) string { return fmt.Sprint(p.Leads) }},
					{Name: "replicas", Text: func(p nodePage) string { return fmt.Sprint(p.Replicas) }},
				},
			}, func(w io.Writer, p nodePage) { p.print(w) }); err != nil {
				return err
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	a.Watchable(c)
	return c
}

// nodeIDs reads ids of brokers, each once.
func nodeIDs(c *cobra.Command, args []string) (ids []int32, err error) {
	for _, arg := range args {
		n, err := strconv.ParseInt(arg, 10, 32)
		if err != nil || n < 0 {
			return nil, app.Usage(c, "%s is no id of a node; klamm node list shows them", arg)
		}
		if !slices.Contains(ids, int32(n)) {
			ids = append(ids, int32(n))
		}
	}
	return ids, nil
}

// pages asks for all that the pages of brokers have.
func (s *survey) pages(ctx context.Context, cl *kgo.Client, adm *kadm.Client, ids []int32) (pages []nodePage, fails []*app.Failure) {
	dirs := logDirs(ctx, adm)
	rows := s.rows(dirs)
	active := slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return !slices.Contains(s.active(), id) })
	told := versions(ctx, cl, adm, active)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	configs := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeBroker, Names: names(active)})
	for _, id := range ids {
		i := slices.IndexFunc(rows, func(r nodeRow) bool { return r.ID == id })
		if i < 0 {
			fails = append(fails, missingNode(id))
			continue
		}
		p := nodePage{nodeRow: rows[i], Version: told[id].software, unanswered: told[id].err, Dirs: []logDir{}, Configs: []setting{}}
		on := dirs[id]
		for _, d := range on.Sorted() {
			row := logDir{Dir: d.Dir, Bytes: d.Size()}
			d.Topics.Each(func(kadm.DescribedLogDirPartition) { row.Partitions++ })
			if d.TotalBytes >= 0 && d.UsableBytes >= 0 {
				row.Total, row.Usable = &d.TotalBytes, &d.UsableBytes
			}
			if d.Err != nil {
				row.Error = errorText(d.Err)
			}
			p.Dirs = append(p.Dirs, row)
		}
		if of := configs[strconv.Itoa(int(id))]; of != nil {
			if of.Err != nil && p.unanswered == nil {
				p.Notes = append(p.Notes, "the configuration could not be read: "+errorText(of.Err))
			}
			for _, row := range of.Rows {
				if !row.IsDefault() {
					p.Configs = append(p.Configs, setting{&id, row})
				}
			}
		}
		pages = append(pages, p)
	}
	return pages, fails
}

// print writes the page for people.
func (p *nodePage) print(w io.Writer) {
	fmt.Fprintf(w, "node %d   %s", p.ID, member{Host: p.Host, Port: p.Port}.addr())
	if p.Rack != "" {
		fmt.Fprintf(w, ", rack %s", p.Rack)
	}
	if p.Version != "" {
		fmt.Fprintf(w, ", %s", p.Version)
	}
	if p.Controller {
		fmt.Fprint(w, ", the active controller")
	}
	fmt.Fprintln(w)
	switch {
	case p.Fenced:
		fmt.Fprintln(w, "fenced: it is registered and serves nobody")
	case p.unanswered != nil:
		fmt.Fprintf(w, "it does not answer: %s\n", errorText(p.unanswered))
	}
	fmt.Fprintf(w, "leads %s, holds %s, ", app.CountText(p.Leads, "partition"), app.CountText(p.Replicas, "replica"))
	if p.OutOfSync == 0 {
		fmt.Fprintln(w, "all in sync")
	} else {
		fmt.Fprintf(w, "%d not in sync\n", p.OutOfSync)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(w, n)
	}
	if len(p.Dirs) > 0 {
		fmt.Fprintln(w)
		t := app.NewTable(w)
		t.Row("LOG DIRECTORY", "REPLICAS", "SIZE", "FREE", "OF", "STATE")
		for _, d := range p.Dirs {
			state := "online"
			if d.Error != "" {
				state = d.Error
			}
			t.Row(d.Dir, fmt.Sprint(d.Partitions), app.BytesText(d.Bytes), bytesOrDash(d.Usable), bytesOrDash(d.Total), state)
		}
		_ = t.Flush()
	}
	if len(p.Configs) > 0 {
		fmt.Fprintln(w)
		t := app.NewTable(w)
		t.Row("CONFIGURATION", "VALUE", "FROM")
		for _, c := range p.Configs {
			t.Row(c.Key, c.Text(), c.FromText())
		}
		_ = t.Flush()
	}
	if p.Fenced || p.unanswered != nil {
		fmt.Fprintln(w, "\nMore: klamm cluster health")
		return
	}
	fmt.Fprintf(w, "\nMore: klamm cluster config --broker %d --all   klamm node log-level %d\n", p.ID, p.ID)
}
