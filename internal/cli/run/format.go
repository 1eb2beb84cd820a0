package run

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// formattedRow is a directory of klamm format.
type formattedRow struct {
	Dir         string `json:"directory"`
	ClusterID   string `json:"cluster_id"`
	NodeID      int32  `json:"node_id"`
	DirectoryID string `json:"directory_id"`
}

// Format makes directories ready with ids that are known beforehand.
func Format(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "format --config FILE", Short: "Prepare data directories with ids of your choice (not needed: the first start does it)", Args: app.Exactly(),
		Example: "  klamm format --config server.properties --cluster-id 4L6g3nShT-eMCtK--X86sw",
	}
	f := c.Flags()
	file := f.String("config", "", "the file, in Kafka's format and with Kafka's keys")
	overrides := f.StringArray("override", nil, "key=value that wins over the file; may be given again")
	cluster := f.String("cluster-id", "", "the cluster's id (default: drawn)")
	ids := f.StringArray("directory-id", nil, "the id of a directory, in the order of log.dirs (default: drawn); may be given again")
	form := app.OutputFlag(c)
	dry := app.DryRunFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		// Listeners do not matter to directories, so an address beyond loopback is no reason to refuse.
		cfg, err := ReadConfig(c, node.Source{File: *file, Environment: a.Environ, Overrides: *overrides, InsecureListen: true})
		if err != nil {
			return err
		}
		cfg.ClusterID = *cluster
		if *dry {
			for _, dir := range slices.Compact(append([]string{cfg.MetadataDir}, cfg.LogDirs...)) {
				state := "would be prepared"
				if _, err := os.Stat(filepath.Join(dir, "meta.properties")); err == nil {
					state = "is prepared already, and would be refused"
				}
				a.Say("%s %s", dir, state)
			}
			return nil
		}
		done, err := node.Format(cfg, node.OSHost(), *ids)
		rows := []formattedRow{}
		for _, d := range done {
			rows = append(rows, formattedRow{d.Dir, d.ClusterID, d.NodeID, d.DirectoryID})
		}
		if len(rows) > 0 {
			if err := app.PrintList(a, form, app.List[formattedRow]{
				Items: rows,
				ID:    func(r formattedRow) string { return r.DirectoryID },
				Columns: []app.Column[formattedRow]{
					{Name: "directory", Text: func(r formattedRow) string { return r.Dir }},
					{Name: "cluster_id", Text: func(r formattedRow) string { return r.ClusterID }},
					{Name: "node_id", Text: func(r formattedRow) string { return fmt.Sprint(r.NodeID) }},
					{Name: "directory_id", Text: func(r formattedRow) string { return r.DirectoryID }},
				},
			}); err != nil {
				return err
			}
		}
		if err != nil {
			f := &app.Failure{Exit: app.ExitFailed, Code: app.CodeConfig, What: "the directories could not be prepared", Why: err.Error()}
			if len(rows) > 0 {
				f.Exit, f.Code = app.ExitPartly, app.CodePartly
			}
			return f
		}
		return nil
	}
	return c
}
