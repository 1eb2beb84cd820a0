package generate

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// Noun is the noun generate: files for the programs that watch a node.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("generate", "", "Boards, scrape configuration and alert rules for the metrics that a node serves", `  klamm generate grafana --dir boards
  klamm generate prometheus > prometheus.yml
  klamm generate alerts > klamm-alerts.yml`,
		grafana(a), prometheus(a), alerts(a))
}

// grafana prints one board, or writes all of them.
func grafana(a *app.App) *cobra.Command {
	boards := func() []string {
		var names []string
		for _, file := range slices.Sorted(maps.Keys(Grafana())) {
			names = append(names, strings.TrimSuffix(file, ".json"))
		}
		return names
	}
	c := &cobra.Command{
		Use: "grafana [BOARD]", Short: "Print a Grafana board, or write all of them to a directory",
		Example: "  klamm generate grafana                      # which boards there are\n  klamm generate grafana klamm-overview > overview.json\n  klamm generate grafana --dir /etc/grafana/boards",
		ValidArgsFunction: app.CompleteOnce(func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return boards(), cobra.ShellCompDirectiveNoFileComp
		}),
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return app.Usage(c, "%q is one argument too many", args[1])
			}
			return nil
		},
	}
	form := app.OutputFlag(c)
	dry := app.DryRunFlag(c)
	dir := c.Flags().String("dir", "", "write all boards here, over those that are there")
	c.RunE = func(c *cobra.Command, args []string) error {
		all := Grafana()
		switch {
		case len(args) == 1:
			b, ok := all[strings.TrimSuffix(args[0], ".json")+".json"]
			if !ok {
				f := app.NotFound("board", args[0], "klamm generate grafana")
				if near := app.Nearest(args[0], boards()); near != "" {
					f.Try = "klamm generate grafana " + near
				}
				return f
			}
			_, err := a.Out.Write(b)
			return err
		case *dir == "":
			type board struct {
				Name string `json:"name"`
			}
			var rows []board
			for _, n := range boards() {
				rows = append(rows, board{n})
			}
			return app.PrintList(a, form, app.List[board]{
				Items: rows, ID: func(b board) string { return b.Name },
				Columns: []app.Column[board]{{Name: "name", Text: func(b board) string { return b.Name }}},
			})
		}
		if !*dry {
			if err := os.MkdirAll(*dir, 0o755); err != nil {
				return app.Input(err, "%s could not be made", *dir)
			}
		}
		for _, file := range slices.Sorted(maps.Keys(all)) {
			path := filepath.Join(*dir, file)
			if *dry {
				a.Say("would write %s", path)
				continue
			}
			if err := app.WriteFile(path, all[file], 0o644); err != nil {
				return app.Input(err, "%s could not be written", path)
			}
			a.Say("wrote %s", path)
		}
		return nil
	}
	return c
}

// prometheus prints a scrape configuration.
func prometheus(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "prometheus", Short: "Print a Prometheus scrape configuration", Args: app.Exactly(),
		Example: "  klamm generate prometheus > prometheus.yml\n  klamm generate prometheus --target klamm-1:9644 --target klamm-2:9644",
	}
	targets := c.Flags().StringArray("target", []string{"localhost:9644"}, "host:port of a node's admin listener; may be given again")
	c.RunE = func(*cobra.Command, []string) error {
		_, err := a.Out.Write(Prometheus(*targets))
		return err
	}
	return c
}

// alerts prints alert rules.
func alerts(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "alerts", Short: "Print Prometheus alert rules", Args: app.Exactly(),
		Example: "  klamm generate alerts > klamm-alerts.yml",
	}
	c.RunE = func(*cobra.Command, []string) error {
		_, err := a.Out.Write(Alerts())
		return err
	}
	return c
}
