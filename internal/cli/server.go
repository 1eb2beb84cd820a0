package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/node"
)

// server runs a node from a file in Kafka's format.
func (a *app) server() *cobra.Command {
	c := &cobra.Command{
		Use: "server --config FILE", Short: "Run a broker from a server.properties", Args: exactly(),
		Example: "  klamm server --config server.properties\n  klamm server --config server.properties --override num.partitions=6\n  klamm server --config server.properties --insecure-listen   # reachable from other machines, without authentication",
	}
	f := c.Flags()
	file := f.String("config", "", "the file, in Kafka's format and with Kafka's keys")
	overrides := f.StringArray("override", nil, "key=value that wins over the file; may be given again")
	insecure := f.Bool("insecure-listen", false, "allow listeners beyond this machine, though there is no authentication yet")
	level := levelFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := readConfig(c, *file, *overrides, *insecure)
		if err != nil {
			return err
		}
		lvl, err := parseLevel(c, *level)
		if err != nil {
			return err
		}
		var h slog.Handler = slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: lvl})
		if terminal(a.err) {
			h = slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: lvl})
		}
		return a.runNode(c.Context(), cfg, slog.New(h), "another port in listeners", func(node.Info) {})
	}
	return c
}

// readConfig reads --config into a node's configuration.
func readConfig(c *cobra.Command, file string, overrides []string, insecure bool) (node.Config, error) {
	if file == "" {
		return node.Config{}, usage(c, "--config is missing")
	}
	data, err := readLimited(file)
	if err != nil {
		f := &failure{exit: exitFailed, code: codeConfig, what: fmt.Sprintf("%s could not be read", file), why: err.Error()}
		if os.IsNotExist(err) {
			f.exit, f.code, f.what, f.why = exitNotFound, codeNotFound, fmt.Sprintf("there is no file %s", file), ""
		}
		return node.Config{}, f
	}
	cfg, err := node.Read(node.Source{File: file, Data: data, Overrides: overrides, InsecureListen: insecure})
	if err != nil {
		return node.Config{}, &failure{exit: exitFailed, code: codeConfig, what: fmt.Sprintf("the configuration in %s cannot be obeyed", file), why: strings.TrimSpace(err.Error())}
	}
	return cfg, nil
}

// readLimited reads a small file, and no more of one that is large than it takes to refuse it.
func readLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 2<<20))
}

// formattedRow is a directory of klamm format.
type formattedRow struct {
	Dir         string `json:"directory"`
	ClusterID   string `json:"cluster_id"`
	NodeID      int32  `json:"node_id"`
	DirectoryID string `json:"directory_id"`
}

// format makes directories ready with ids that are known beforehand.
func (a *app) format() *cobra.Command {
	c := &cobra.Command{
		Use: "format --config FILE", Short: "Prepare data directories with ids of your choice (not needed: the first start does it)", Args: exactly(),
		Example: "  klamm format --config server.properties --cluster-id 4L6g3nShT-eMCtK--X86sw",
	}
	f := c.Flags()
	file := f.String("config", "", "the file, in Kafka's format and with Kafka's keys")
	overrides := f.StringArray("override", nil, "key=value that wins over the file; may be given again")
	cluster := f.String("cluster-id", "", "the cluster's id (default: drawn)")
	ids := f.StringArray("directory-id", nil, "the id of a directory, in the order of log.dirs (default: drawn); may be given again")
	form := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		// Listeners do not matter to directories, so an address beyond loopback is no reason to refuse.
		cfg, err := readConfig(c, *file, *overrides, true)
		if err != nil {
			return err
		}
		cfg.ClusterID = *cluster
		done, err := node.Format(cfg, node.OSHost(), *ids)
		rows := []formattedRow{}
		for _, d := range done {
			rows = append(rows, formattedRow{d.Dir, d.ClusterID, d.NodeID, d.DirectoryID})
		}
		if len(rows) > 0 {
			if err := printList(c, a.out, *form, list[formattedRow]{
				items: rows, header: []string{"directory", "cluster_id", "node_id", "directory_id"},
				row: func(r formattedRow) []string {
					return []string{r.Dir, r.ClusterID, fmt.Sprint(r.NodeID), r.DirectoryID}
				},
				name: func(r formattedRow) string { return r.DirectoryID },
			}); err != nil {
				return err
			}
		}
		if err != nil {
			f := &failure{exit: exitFailed, code: codeConfig, what: "the directories could not be prepared", why: err.Error()}
			if len(rows) > 0 {
				f.exit, f.code = exitPartly, codePartly
			}
			return f
		}
		return nil
	}
	return c
}
