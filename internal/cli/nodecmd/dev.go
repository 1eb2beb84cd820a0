package nodecmd

import (
	"context"
	"errors"
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
		Example: "  klamm dev\n  klamm dev --listen localhost:19092 --data-dir /tmp/try\n  klamm dev --override num.partitions=6",
		Long:    "Run a broker for this machine alone. Its data stays in ./klamm-data. Topics are made when they are first used.",
	}
	f := c.Flags()
	dir := f.String("data-dir", "./klamm-data", "where the data is kept")
	listen := f.String("listen", app.DefaultBroker, "host:port for clients; the host must be this machine's own loopback")
	overrides := f.StringArray("override", nil, "key=value in Kafka's names; may be given again")
	level := levelFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := node.Dev(*dir, *listen, *overrides)
		if err != nil {
			return &app.Failure{Exit: app.ExitUsage, Code: app.CodeConfig, What: "klamm dev cannot start like that", Why: err.Error(), Try: "klamm dev --help"}
		}
		interactive := app.IsTerminal(a.Err)
		logs := a.Err
		if interactive {
			if err := os.MkdirAll(*dir, 0o700); err != nil {
				return &app.Failure{Exit: app.ExitFailed, Code: app.CodeStart, What: "the data directory could not be made", Why: err.Error(), Try: "klamm dev --data-dir ANOTHER"}
			}
			file, err := os.OpenFile(filepath.Join(*dir, "klamm.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return &app.Failure{Exit: app.ExitFailed, Code: app.CodeStart, What: "the log file could not be opened", Why: err.Error(), Try: "klamm dev --data-dir ANOTHER"}
			}
			defer file.Close()
			logs = file
		}
		lvl, err := parseLevel(c, *level)
		if err != nil {
			return err
		}
		log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: lvl}))
		forget := func() {}
		defer func() { forget() }()
		return runNode(c.Context(), a, cfg, log, "klamm dev --listen localhost:19092", func(i node.Info) {
			forget = a.Announce(clientAddr(*listen, i.Addr), *dir)
			if interactive {
				readyBlock(a.Err, i, clientAddr(*listen, i.Addr), *dir, cfg.AdminListener)
			}
		})
	}
	return c
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

// readyBlock says once what runs, where, what stays, and what to type next.
func readyBlock(w io.Writer, i node.Info, addr, dir, admin string) {
	cluster := fmt.Sprintf("new cluster %q", i.ClusterID)
	if !i.New {
		cluster = fmt.Sprintf("restarted cluster %q, %s, %s", i.ClusterID, app.CountText(i.Topics, "topic"), app.BytesText(i.Bytes))
	}
	fmt.Fprintf(w, "\n  klamm %s  %s  node 1  ready in %d ms\n\n", app.Version, cluster, i.ReadyIn.Milliseconds())
	fmt.Fprintf(w, "  Kafka       %-20s  any client, no authentication, this machine only\n", addr)
	if admin != "" {
		fmt.Fprintf(w, "  Metrics     http://%s/metrics\n", admin)
	}
	fmt.Fprintf(w, "  Data        %s  (kept after Ctrl-C; %s free)\n\n", dir, app.BytesText(i.Free))
	fmt.Fprintln(w, "  Next:")
	if addr != app.DefaultBroker {
		fmt.Fprintf(w, "    export KLAMM_BROKERS=%s\n", addr)
	}
	fmt.Fprint(w, "    klamm topic create orders -p 6\n    echo 'hello' | klamm produce orders\n    klamm consume orders -o start\n\n")
	fmt.Fprintf(w, "  Development mode: do not expose. Logs: %s   Stop: Ctrl-C\n", filepath.Join(dir, "klamm.log"))
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

// runNode runs a node until ctx ends. other is the command to try when a port is taken. ready is called once clients are served.
func runNode(ctx context.Context, a *app.App, cfg node.Config, log *slog.Logger, other string, ready func(node.Info)) error {
	began := time.Now()
	tuneRuntime()
	n, err := node.New(cfg, node.OSHost(), log, newRegistry())
	if err != nil {
		return startFailure(err, other)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case err := <-ended:
		if err != nil {
			return startFailure(err, other)
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
		return &app.Failure{Exit: app.ExitFailed, Code: app.CodeStopped, What: "the node stopped by an error", Why: err.Error()}
	}
	log.Info("stopped", "event", "stopped")
	return nil
}

// startFailure says why a node did not start, and who has its port.
func startFailure(err error, other string) error {
	f := &app.Failure{Exit: app.ExitFailed, Code: app.CodeStart, What: "the node could not start", Why: err.Error()}
	var op *net.OpError
	if errors.As(err, &op) && addrInUse(err) {
		f.What, f.Try = "an address is taken", other
		if tcp, ok := op.Addr.(*net.TCPAddr); ok {
			f.What = fmt.Sprintf("port %d is taken", tcp.Port)
			if who := portHolder(tcp.Port); who != "" {
				f.What += " by " + who
			}
		}
	}
	return f
}
