package run

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// Server runs a node from a file in Kafka's format.
func Server(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "server --config FILE", Short: "Run a broker from a server.properties", Args: app.Exactly(),
		Example: "  klamm server --config server.properties\n  klamm server --config server.properties --override num.partitions=6\n  klamm server --config server.properties --insecure-listen   # reachable from other machines, without authentication",
	}
	f := c.Flags()
	file := f.String("config", "", "the file, in Kafka's format and with Kafka's keys")
	overrides := f.StringArray("override", nil, "key=value that wins over the file; may be given again")
	insecure := f.Bool("insecure-listen", false, "allow listeners beyond this machine, though there is no authentication yet")
	level := levelFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := ReadConfig(c, node.Source{File: *file, Environment: a.Environ, Overrides: *overrides, InsecureListen: *insecure})
		if err != nil {
			return err
		}
		lvl, err := parseLevel(c, *level)
		if err != nil {
			return err
		}
		var h slog.Handler = slog.NewJSONHandler(a.Err, &slog.HandlerOptions{Level: lvl})
		if app.IsTerminal(a.Err) {
			h = slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: lvl})
		}
		return runNode(c.Context(), cfg, node.OSHost(), slog.New(h), "another port in listeners", "klamm config check "+*file+", and klamm doctor", func(node.Info) {})
	}
	return c
}

// ReadConfig reads the file that a source names into a node's configuration.
func ReadConfig(c *cobra.Command, s node.Source) (node.Config, error) {
	if s.File == "" {
		return node.Config{}, app.Usage(c, "--config is missing")
	}
	var err error
	if s.Data, err = ReadFile(s.File); err != nil {
		return node.Config{}, err
	}
	cfg, err := node.Read(s)
	if err != nil {
		return node.Config{}, &app.Failure{
			Exit: app.ExitFailed, Code: app.CodeConfig, What: fmt.Sprintf("the configuration in %s cannot be obeyed", s.File), Why: strings.TrimSpace(err.Error()),
			Try: "klamm config explain KEY",
		}
	}
	return cfg, nil
}

// ReadFile reads a file of configuration.
func ReadFile(name string) ([]byte, error) {
	data, err := readLimited(name)
	if os.IsNotExist(err) {
		return nil, app.NotFound("file", name, "klamm config init > "+name)
	}
	if err != nil {
		return nil, app.Input(err, "%s could not be read", name)
	}
	return data, nil
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
