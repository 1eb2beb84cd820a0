// Package demo is klamm demo: a broker in memory with something in it and something going on, to try commands on.
package demo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

const (
	// past is how many events have happened when the shop opens.
	past = 1500
	// pace is how many events a second happen then, unless --load says otherwise.
	pace = 40
	// groupBilling reads on time; groupAnalytics lags on purpose.
	groupBilling   = "billing"
	groupAnalytics = "analytics"
	// settled is how long the demo waits for its groups before it shows itself.
	settled = 10 * time.Second
)

// Command is klamm demo. run is one command line of klamm, for the prompt.
func Command(a *app.App, run func(ctx context.Context, a *app.App, args []string) int) *cobra.Command {
	c := &cobra.Command{
		Use: "demo [shop]", Short: "A broker in memory with live traffic, to try commands on",
		Example: "  klamm demo shop\n  klamm demo shop --load 500 --seed 7\n  klamm demo shop --listen localhost:19092",
		Long: "Run a broker in memory with five topics of a made-up shop, two consumer groups (analytics lags on purpose) and\n" +
			"live traffic, and a prompt for klamm's commands. Nothing is saved. Any Kafka client can connect meanwhile.",
		ValidArgs: []string{"shop"},
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return app.Usage(c, "%q is one argument too many", args[1])
			case len(args) == 1 && args[0] != "shop":
				return app.Usage(c, "there is no demo %q; there is shop", args[0])
			}
			return nil
		},
	}
	d := demo{app: a, run: run}
	c.Flags().StringVar(&d.listen, "listen", app.DefaultBroker, "host:port for clients, on this machine")
	c.Flags().Uint64Var(&d.seed, "seed", 1, "what happens depends on it alone")
	load := c.Flags().Int("load", pace, "events a second; 0 for a quiet shop")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *load < 0 || *load > 1_000_000 {
			return app.Usage(c, "--load %d: from 0 to 1000000 events a second", *load)
		}
		d.load.Store(int64(*load))
		return d.main(c.Context())
	}
	return c
}

// demo is one run of klamm demo.
type demo struct {
	app    *app.App
	run    func(ctx context.Context, a *app.App, args []string) int
	listen string
	seed   uint64
	load   atomic.Int64 // events a second

	addr     string       // of the broker
	happened atomic.Int64 // events since the shop opened
}

// main runs the shop until the person has enough of it.
func (d *demo) main(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	n, ended, err := d.start(ctx)
	if err != nil {
		return err
	}
	if err := n.CreateTopics(ctx, topics()); err != nil {
		cancel()
		return errors.Join(app.Failed(err, "the shop could not be opened"), <-ended)
	}
	defer d.app.Announce(d.addr, "in memory")()
	s := newShop(d.seed, d.app.Time().Add(-past*50*time.Millisecond))
	if err := d.history(ctx, s); err != nil {
		cancel()
		return errors.Join(app.Failed(err, "the shop could not be opened"), <-ended)
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.trade(ctx, s) })
	wg.Go(func() { d.consume(ctx, groupBilling, time.Millisecond, topicOrders, topicPayments) })
	wg.Go(func() { d.consume(ctx, groupAnalytics, 150*time.Millisecond, topicClicks, topicOrders) })
	d.waitForGroups(ctx)
	d.block(time.Since(began))
	d.prompt(ctx)
	cancel()
	wg.Wait()
	d.app.Say("  %s; nothing was saved.", app.CountText(d.happened.Load()+past, "event"))
	return <-ended
}

// topics are those of the shop.
func topics() []node.Topic {
	compact := map[string]string{"cleanup.policy": "compact"}
	return []node.Topic{
		{Name: topicOrders, Partitions: 6}, {Name: topicPayments, Partitions: 3}, {Name: topicClicks, Partitions: 6},
		{Name: topicCustomers, Partitions: 3, Configs: compact}, {Name: topicInventory, Partitions: 3, Configs: compact},
	}
}

// start runs a node in memory until ctx ends, and then tells ended how. What clicks and orders leave behind is
// bounded, as a demo may run for days.
func (d *demo) start(ctx context.Context) (n *node.Node, ended chan error, err error) {
	cfg, err := node.Dev("/memory", d.listen, []string{"admin.listener=", "log.retention.bytes=16777216", "log.segment.bytes=4194304"})
	if err != nil {
		return nil, nil, &app.Failure{Exit: app.ExitUsage, Code: app.CodeConfig, What: "the demo cannot start like that", Why: err.Error(), Try: "klamm demo --help"}
	}
	log := slog.New(slog.NewTextHandler(d.app.Err, &slog.HandlerOptions{Level: slog.LevelError}))
	if n, err = node.New(cfg, node.MemHost(), log, prometheus.NewRegistry()); err != nil {
		return nil, nil, d.notStarted(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		return nil, nil, d.notStarted(cmp.Or(err, ctx.Err()))
	}
	d.addr = n.Info().Addr
	return n, ended, nil
}

// notStarted says why there is no broker, and who has its port.
func (d *demo) notStarted(err error) error {
	return app.StartFailure(err, "the demo", "klamm demo shop --listen "+app.OtherPort(d.listen), "klamm demo shop --help")
}

// client connects to the shop.
func (d *demo) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(d.addr), kgo.DisableClientMetrics(), kgo.ClientID("shop")}, opts...)...)
}

// history writes what happened before, and lets the group that lags begin at the beginning.
func (d *demo) history(ctx context.Context, s *shop) error {
	cl, err := d.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	records := s.furnish()
	for range past {
		records = append(records, s.next())
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	// billing has read all of it; analytics has not begun, and never catches up with what comes.
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, topicOrders, topicPayments)
	if err != nil {
		return err
	}
	if err := adm.CommitAllOffsets(ctx, groupBilling, ends.Offsets()); err != nil {
		return err
	}
	// Without a commit a group has no lag to show, and the first look at it would find none.
	starts, err := adm.ListStartOffsets(ctx, topicClicks, topicOrders)
	if err != nil {
		return err
	}
	return adm.CommitAllOffsets(ctx, groupAnalytics, starts.Offsets())
}

// trade lets the shop go on at the pace of load.
func (d *demo) trade(ctx context.Context, s *shop) {
	cl, err := d.client(kgo.ProducerLinger(5 * time.Millisecond))
	if err != nil {
		return
	}
	defer cl.Close()
	due := 0.0
	const tick = 25 * time.Millisecond
	for app.Sleep(ctx, tick) {
		s.clock = d.app.Time()
		for due += float64(d.load.Load()) * tick.Seconds(); due >= 1; due-- {
			r := s.next()
			r.Timestamp = s.clock
			cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err == nil {
					d.happened.Add(1)
				}
			})
		}
		due = math.Min(due, 1)
	}
}

// consume is one member of a group, which takes its time with each record.
func (d *demo) consume(ctx context.Context, group string, each time.Duration, topics ...string) {
	cl, err := d.client(kgo.ClientID(group), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(500*time.Millisecond))
	if err != nil {
		return
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, 10)
		if fetches.IsClientClosed() {
			return
		}
		records := fetches.Records()
		cl.MarkCommitRecords(records...)
		if len(records) > 0 {
			app.Sleep(ctx, each*time.Duration(len(records)))
		}
	}
}

// waitForGroups waits until both groups read, so that the first command of the person finds them.
func (d *demo) waitForGroups(ctx context.Context) {
	cl, err := d.client()
	if err != nil {
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	for ctx.Err() == nil {
		groups, err := adm.DescribeGroups(ctx, groupBilling, groupAnalytics)
		if err == nil && groups[groupBilling].State == "Stable" && groups[groupAnalytics].State == "Stable" {
			return
		}
		app.Sleep(ctx, 20*time.Millisecond)
	}
}

// block says what there is.
func (d *demo) block(took time.Duration) {
	a := d.app
	bold := func(s string) string { return a.Paint(a.Err, "bold", s) }
	a.Say("\n  %s  temporary broker, all in memory; nothing will be saved.  ready in %d ms\n", bold("klamm demo"), took.Milliseconds())
	a.Say("  Kafka     %s  any client, no authentication, this machine only", bold(fmt.Sprintf("%-16s", d.addr)))
	a.Say("  Dataset   shop: 5 topics, 2 consumer groups (analytics lags on purpose), %d events/s of live traffic", d.load.Load())
	a.Say("\n  Try:  topic list · topic describe orders · tail orders -n 3 · group lag · topic grep payments refused")
	a.Say("        any command of klamm, or: load 500 · load 0 · help · quit\n")
}

// prompt runs what the person types until there is no more, and tells of it nothing but what the commands say.
func (d *demo) prompt(ctx context.Context) {
	lines := make(chan string)
	// A read of a terminal cannot be interrupted: this goroutine alone may outlive the command, until the process ends.
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(d.app.In); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		if d.app.Interactive() {
			fmt.Fprint(d.app.Err, "demo> ")
		}
		select {
		case <-ctx.Done():
			return
		case line, ok := <-lines:
			if !ok || !d.command(ctx, line) {
				return
			}
		}
	}
}

// command runs one line, and says whether to go on.
func (d *demo) command(ctx context.Context, line string) bool {
	words, err := split(line)
	switch {
	case err != nil:
		d.app.Say("%s", err)
		return true
	case len(words) == 0:
		return true
	}
	if words[0] == "klamm" && len(words) > 1 {
		words = words[1:]
	}
	switch words[0] {
	case "quit", "exit", "q":
		return false
	case "help", "?":
		d.app.Say("any command of klamm: topic, group, produce, consume, tail, cluster, node, client, ...\nload N   N events a second; 0 for a quiet shop\nquit     end it; nothing is saved")
		return true
	case "load":
		n, err := strconv.Atoi(strings.TrimSuffix(strings.Join(words[1:], ""), "/s"))
		if err != nil || n < 0 || n > 1_000_000 {
			d.app.Say("load N: from 0 to 1000000 events a second")
			return true
		}
		d.load.Store(int64(n))
		d.app.Say("%d events/s", n)
		return true
	case "demo", "dev", "server":
		d.app.Say("this is a demo already; quit ends it")
		return true
	}
	inner := &app.App{In: strings.NewReader(""), Out: d.app.Out, Err: d.app.Err, Env: d.app.Env, Now: d.app.Now}
	if d.app.Interactive() {
		inner.In = io.MultiReader() // what is typed belongs to the prompt
	}
	inner.SetConnection(d.addr, nil)
	d.run(ctx, inner, append([]string{"klamm"}, words...))
	return true
}

// split takes a line apart as a shell does: blanks between words, quotes around blanks.
func split(line string) (words []string, err error) {
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ' || r == '\t':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		case r == '#' && !begun:
			return words, nil
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c has no end", quote)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
