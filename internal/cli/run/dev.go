// Package run is the commands that run a node in this process: for this machine alone, or from a file.
package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// Dev runs one node for this machine alone.
func Dev(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "dev", Short: "Run a broker here, for this machine alone", Args: app.Exactly(),
		Example: `  klamm dev
  klamm dev --ephemeral                          # everything in memory, gone at the end
  klamm dev --listen localhost:19092 --data-dir /tmp/try
  klamm dev --override num.partitions=6`,
		Long: "Run a broker for this machine alone. Its data stays in ./klamm-data. Topics are made when they are first used.",
	}
	f := c.Flags()
	d := dev{app: a}
	f.StringVar(&d.dir, "data-dir", "./klamm-data", "where the data is kept")
	f.BoolVar(&d.ephemeral, "ephemeral", false, "keep everything in memory; nothing is left at the end")
	f.StringVar(&d.listen, "listen", app.DefaultBroker, "host:port for clients; the host must be this machine's own loopback")
	overrides := f.StringArray("override", nil, "key=value in Kafka's names; may be given again")
	level := levelFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if d.ephemeral {
			if f.Changed("data-dir") {
				return app.Usage(c, "--ephemeral keeps nothing, and --data-dir %s says where to keep it", d.dir)
			}
			d.dir = "/memory" // a name in the node's own memory
		}
		cfg, err := node.Dev(d.dir, d.listen, *overrides)
		if err != nil {
			return &app.Failure{Exit: app.ExitUsage, Code: app.CodeConfig, What: "klamm dev cannot start like that", Why: err.Error(), Try: "klamm dev --help"}
		}
		lvl, err := parseLevel(c, *level)
		if err != nil {
			return err
		}
		d.interactive = app.IsTerminal(a.Err)
		logs, end, err := d.logs(lvl)
		if err != nil {
			return err
		}
		defer end()
		d.admin = cfg.AdminListener
		host := node.OSHost()
		if d.ephemeral {
			host = node.MemHost()
		}
		forget := func() {}
		defer func() { forget() }()
		if d.interactive {
			for _, w := range cfg.Warnings {
				a.Say("warning: %s", w)
			}
		}
		return runNode(c.Context(), cfg, host, slog.New(logs), d.elsewhere(f.Changed("data-dir")), "klamm dev --data-dir ANOTHER", func(i node.Info) {
			addr := clientAddr(d.listen, i.Addr)
			forget = a.Announce(addr, d.dir)
			if d.interactive && !a.Quiet() {
				d.readyBlock(a.Err, i, addr)
			}
		})
	}
	return c
}

// dev is one run of klamm dev.
type dev struct {
	app         *app.App
	dir, listen string
	admin       string // address that was asked for the admin listener, or ""
	ephemeral   bool
	interactive bool // a person reads along
}

// elsewhere is the same command at another port. said says that --data-dir was given.
func (d *dev) elsewhere(said bool) string {
	line := "klamm dev"
	switch {
	case d.ephemeral:
		line += " --ephemeral"
	case said:
		line += " --data-dir " + d.dir
	}
	return line + " --listen " + app.OtherPort(d.listen)
}

// logs is where the node's logs go: to a file beside the data when a person reads along, as JSON to standard
// error otherwise. A node that keeps nothing has no file; a person sees its warnings. end is called at the end.
func (d *dev) logs(level slog.Level) (h slog.Handler, end func(), err error) {
	o := &slog.HandlerOptions{Level: level}
	switch {
	case !d.interactive:
		return slog.NewJSONHandler(d.app.Err, o), func() {}, nil
	case d.ephemeral:
		return slog.NewTextHandler(d.app.Err, &slog.HandlerOptions{Level: max(level, slog.LevelWarn)}), func() {}, nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, nil, &app.Failure{Exit: app.ExitFailed, Code: app.CodeStart, What: "the data directory could not be made", Why: err.Error(), Try: "klamm dev --data-dir ANOTHER"}
	}
	file, err := os.OpenFile(filepath.Join(d.dir, "klamm.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, &app.Failure{Exit: app.ExitFailed, Code: app.CodeStart, What: "the log file could not be opened", Why: err.Error(), Try: "klamm dev --data-dir ANOTHER"}
	}
	return slog.NewJSONHandler(file, o), func() { _ = file.Close() }, nil
}

// clientAddr is the address to tell people: what they asked for, with the port that was bound.
func clientAddr(asked, bound string) string {
	host, port, err := net.SplitHostPort(asked)
	if err != nil {
		return bound
	}
	if host == "" {
		host = "localhost"
	}
	if _, p, err := net.SplitHostPort(bound); err == nil {
		port = p
	}
	return net.JoinHostPort(host, port)
}

// readyBlock says once what runs, where, what stays, and what to type next: three commands that work as they stand.
func (d *dev) readyBlock(w io.Writer, i node.Info, addr string) {
	bold := func(s string) string { return d.app.Paint(w, "bold", s) }
	cluster := fmt.Sprintf("new cluster %q", i.ClusterID)
	if !i.New {
		cluster = fmt.Sprintf("restarted cluster %q, %s, %s", i.ClusterID, app.CountText(i.Topics, "topic"), app.BytesText(i.Bytes))
	}
	fmt.Fprintf(w, "\n  %s  %s  node 1  ready in %d ms\n\n", bold("klamm "+app.Version), cluster, i.ReadyIn.Milliseconds())
	fmt.Fprintf(w, "  Kafka       %s  any client, no authentication, this machine only\n", bold(fmt.Sprintf("%-20s", addr)))
	switch {
	case i.Admin != "":
		fmt.Fprintf(w, "  Metrics     http://%s/metrics\n", i.Admin)
	case d.admin != "":
		fmt.Fprintf(w, "  Metrics     none, as %s is taken; --override admin.listener=127.0.0.1:9645 is another\n", d.admin)
	}
	if d.ephemeral {
		fmt.Fprintf(w, "  Data        in memory  (gone after Ctrl-C; %s free)\n\n", app.BytesText(i.Free))
	} else {
		fmt.Fprintf(w, "  Data        %s  (kept after Ctrl-C; %s free)\n\n", d.dir, app.BytesText(i.Free))
	}
	fmt.Fprintf(w, "  Clients are told to connect to the address they used: %s or any other name of this machine.\n\n", addr)
	fmt.Fprintln(w, "  Next, in another terminal:")
	if said := d.app.Env("KLAMM_BROKERS"); said != "" && said != addr {
		fmt.Fprintf(w, "    export KLAMM_BROKERS=%s   # it says %s\n", addr, said)
	}
	fmt.Fprintf(w, "    %s\n    %s\n    %s\n\n", bold("klamm topic create orders -p 6"), bold("echo 'hello' | klamm produce orders"), bold("klamm consume orders -o start"))
	logs := "Logs: " + filepath.Join(d.dir, "klamm.log") + "   "
	if d.ephemeral {
		logs = ""
	}
	fmt.Fprintf(w, "  Development mode: do not expose. %sStop: Ctrl-C\n", logs)
}

// levelFlag gives a command --log-level.
func levelFlag(c *cobra.Command) *string {
	return c.Flags().String("log-level", "info", "debug, info, warn or error")
}

// parseLevel reads --log-level.
func parseLevel(c *cobra.Command, s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, app.Usage(c, "--log-level %s: the levels are debug, info, warn and error", s)
	}
	return l, nil
}

// runNode runs a node until ctx ends. otherPort is the command to try when a port is taken, and otherwise what to try
// when it does not start for another reason. ready is called once clients are served.
func runNode(ctx context.Context, cfg node.Config, host node.Host, log *slog.Logger, otherPort, otherwise string, ready func(node.Info)) error {
	began := time.Now()
	tuneRuntime()
	n, err := node.New(cfg, host, log, newRegistry())
	if err != nil {
		return app.StartFailure(err, "the node", otherPort, otherwise)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			return app.StartFailure(err, "the node", otherPort, otherwise)
		}
		return nil
	case <-n.Ready():
	}
	i := n.Info()
	log.Info("ready", "event", "ready", "version", app.Version, "cluster_id", i.ClusterID, "node_id", cfg.NodeID, "new", i.New, "topics", i.Topics,
		"bytes", i.Bytes, "addr", i.Addr, "ready_ms", i.ReadyIn.Milliseconds(), "process_ms", time.Since(began).Milliseconds())
	ready(i)
	if err := <-ended; err != nil {
		log.Error("stopped by an error", "event", "stopped", "err", err)
		return &app.Failure{Exit: app.ExitFailed, Code: app.CodeStopped, What: "the node stopped by an error", Why: err.Error(), Try: "klamm doctor, and what its log says before"}
	}
	log.Info("stopped", "event", "stopped")
	return nil
}
