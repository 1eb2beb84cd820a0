// Command events replays a real-shaped data set end to end: a million seeded
// events like Wikipedia's edits, keyed by page, are produced under each codec by
// one client and consumed by another in a group of three processes, of which one
// is killed midway. Every event is accounted for: none lost, none written twice,
// delivered twice only where the killed member had it and could not commit, the
// events of each key in their order, and the group's commits at the end of every
// partition.
//
// Five runs produce with franz-go and consume with kcat, that is librdkafka: two
// implementations that share nothing, and both do their codecs on their own. A
// sixth turns the roles around. kcat commits every 5 s, which cannot be changed:
// one of its runs is slow enough that the killed member had committed, and there
// less than all of what it had read may come again; in the quick ones it had not.
//
// It prints a line `ok NAME ...` or `FAIL NAME: why` a run.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	bootstrap  string
	events     int
	seed       uint64
	partitions int
	replicas   int
	kcat       string
	deadline   time.Duration
}

// plan is one run.
type plan struct {
	name         string
	codec        kgo.CompressionCodec
	kcatProduces bool          // and franz-go consumes; else the other way round
	over         time.Duration // how long producing takes at least
	killAt       float64       // share of its records after which the member is killed
	commits      bool          // the killed member must have committed before
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "member" {
		if err := member(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "events member:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	var total int
	var only string
	flag.StringVar(&o.bootstrap, "bootstrap", "127.0.0.1:9092", "brokers, separated by commas")
	flag.IntVar(&total, "n", 1_000_000, "events in the five runs of franz-go to kcat together")
	flag.Uint64Var(&o.seed, "seed", 20240229, "seed of the data set")
	flag.IntVar(&o.partitions, "partitions", 12, "partitions of each topic")
	flag.IntVar(&o.replicas, "replicas", 1, "replicas of each topic")
	flag.StringVar(&o.kcat, "kcat", "kcat", "the kcat command")
	flag.StringVar(&only, "only", "", "the one run to do, e.g. zstd")
	flag.DurationVar(&o.deadline, "deadline", time.Minute, "time a run may take")
	flag.Parse()
	o.events = total / 5
	failed := false
	for _, r := range []plan{
		{name: "none", codec: kgo.NoCompression(), over: 8 * time.Second, killAt: .8, commits: true},
		{name: "gzip", codec: kgo.GzipCompression(), over: 1500 * time.Millisecond, killAt: .5},
		{name: "snappy", codec: kgo.SnappyCompression(), over: 1500 * time.Millisecond, killAt: .5},
		{name: "lz4", codec: kgo.Lz4Compression(), over: 1500 * time.Millisecond, killAt: .5},
		{name: "zstd", codec: kgo.ZstdCompression(), over: 1500 * time.Millisecond, killAt: .5},
		{name: "kcat-to-franz-go", kcatProduces: true, over: 1500 * time.Millisecond, killAt: .5, commits: true},
	} {
		if only != "" && only != r.name {
			continue
		}
		start := time.Now()
		runCtx, cancel := context.WithTimeout(ctx, o.deadline)
		summary, err := run(runCtx, o, r)
		cancel()
		if err != nil {
			failed = true
			fmt.Printf("FAIL %s: %s\n", r.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Printf("ok %s %s in %.1f s\n", r.name, summary, time.Since(start).Seconds())
	}
	if failed {
		os.Exit(1)
	}
}

// news is what a process of a run has to tell: deliveries, or that it ended.
type news struct {
	from       int // member, or producer
	deliveries []delivery
	ended      bool
	err        error // why it ended; nil when it ended as it should
}

const (
	members  = 3
	victim   = 1 // the member that is killed
	producer = members
)

// run does one codec: make the topic, start the group, produce, kill, account.
func run(ctx context.Context, o options, r plan) (string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...))
	if err != nil {
		return "", fmt.Errorf("connect to %s: %w", o.bootstrap, err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	topic := fmt.Sprintf("events-%s-%d", r.name, time.Now().UnixNano())
	if _, err := adm.CreateTopic(ctx, int32(o.partitions), int16(o.replicas), nil, topic); err != nil {
		return "", fmt.Errorf("create topic %s: %w", topic, err)
	}
	defer adm.DeleteTopics(context.WithoutCancel(ctx), topic)

	// The ledger is written first: a record may come back before the last is made.
	led := newLedger(o.events, o.partitions)
	gen, keyNumbers := newGenerator(o.seed), make(map[string]uint32)
	var key, value []byte
	for range o.events {
		key, value = gen.append(key[:0], value[:0])
		n, ok := keyNumbers[string(key)]
		if !ok {
			n = uint32(len(keyNumbers))
			keyNumbers[string(key)] = n
		}
		led.prints, led.keys = append(led.prints, fingerprint(key, value)), append(led.keys, n)
	}

	runCtx, cancel := context.WithCancel(ctx)
	all := make(chan news, 64)
	var running sync.WaitGroup
	defer func() { // end what still runs, and wait for it
		cancel()
		go func() {
			running.Wait()
			close(all)
		}()
		for range all {
		}
	}()

	// The group stands before the first record, so that each member has its share.
	var procs [members]*exec.Cmd
	for i := range procs {
		cmd := consumer(runCtx, o, topic, r.kcatProduces)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return "", err
		}
		complaints := new(bytes.Buffer)
		cmd.Stderr = complaints
		if err := cmd.Start(); err != nil {
			return "", fmt.Errorf("start member %d: %w", i, err)
		}
		procs[i] = cmd
		running.Go(func() {
			err := readLines(i, out, all)
			if werr := cmd.Wait(); err == nil && werr != nil {
				err = fmt.Errorf("member %d ended: %w: %.200s", i, werr, complaints.String())
			}
			all <- news{from: i, ended: true, err: err}
		})
	}
	if err := awaitMembers(ctx, adm, topic); err != nil {
		return "", err
	}
	running.Go(func() {
		var err error
		if r.kcatProduces {
			err = produceKcat(runCtx, o, topic, r.over)
		} else {
			err = produceFranz(runCtx, o, topic, r.over, r.codec)
		}
		all <- news{from: producer, ended: true, err: err}
	})

	var counts, over [members + 1]int
	leaving := false
	for over[0]+over[1]+over[2]+over[producer] < members+1 {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("time is up: %d of %d events delivered, by member %v; killed: %t", led.unique, o.events, counts[:members], led.killed >= 0)
		case n := <-all:
			for _, d := range n.deliveries {
				led.deliver(n.from, d)
			}
			counts[n.from] += len(n.deliveries)
			if n.ended {
				over[n.from] = 1
				if n.err != nil && n.from != led.killed {
					return "", n.err
				}
				if n.from < members && !leaving && n.from != led.killed {
					return "", fmt.Errorf("member %d ended on its own", n.from)
				}
			}
		}
		// Midway: the member has delivered a good part of its share.
		if led.killed < 0 && float64(counts[victim]) > r.killAt*float64(o.events/members) {
			led.killed = victim
			procs[victim].Process.Kill()
		}
		// All is there: the others leave in an orderly way, with their commits.
		if !leaving && led.unique == o.events && over[producer] == 1 {
			if led.killed < 0 {
				return "", fmt.Errorf("no member could be killed midway: they delivered %v", counts[:members])
			}
			leaving = true
			for i, p := range procs {
				if i != victim {
					p.Process.Signal(syscall.SIGTERM)
				}
			}
		}
	}
	led.close()
	if err := checkCommits(ctx, adm, topic, led); err != nil {
		led.fault("%v", err)
	}
	if r.commits && led.allowed >= counts[victim] {
		led.fault("all %d events that the killed member had read came again: none of its commits counted", led.allowed)
	}
	if led.faultCount > 0 {
		return "", fmt.Errorf("%d faults: %s", led.faultCount, strings.Join(led.faults, "; "))
	}
	return fmt.Sprintf("%d events of %d keys, by member %v, %d delivered again after the kill", o.events, len(keyNumbers), counts[:members], led.allowed), nil
}

// readLines parses what a member prints until it ends.
func readLines(member int, r io.Reader, all chan<- news) error {
	br := bufio.NewReaderSize(r, 1<<18)
	var batch []delivery
	flush := func() {
		if len(batch) > 0 {
			all <- news{from: member, deliveries: batch}
			batch = nil
		}
	}
	defer flush()
	for {
		l, err := br.ReadSlice('\n')
		if err != nil {
			return nil // the pipe ended, perhaps within the last line of the one that was killed
		}
		d, err := parseLine(l[:len(l)-1])
		if err != nil {
			return fmt.Errorf("member %d: %w", member, err)
		}
		batch = append(batch, d)
		if len(batch) == 512 || br.Buffered() == 0 {
			flush()
		}
	}
}

// groupOf names the group that reads topic.
func groupOf(topic string) string { return "group-" + topic }

// awaitMembers waits until the group is stable and every member has partitions.
func awaitMembers(ctx context.Context, adm *kadm.Client, topic string) error {
	for {
		described, err := adm.DescribeGroups(ctx, groupOf(topic))
		if err != nil {
			return fmt.Errorf("describe group: %w", err)
		}
		g := described[groupOf(topic)]
		assigned := 0
		for _, m := range g.Members {
			if c, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range c.Topics {
					assigned += min(len(t.Partitions), 1)
				}
			}
		}
		if g.State == "Stable" && assigned == members {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the group did not come together: state %q, %d of %d members with partitions: %w", g.State, assigned, members, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// checkCommits compares the group's commits with the end of each partition.
func checkCommits(ctx context.Context, adm *kadm.Client, topic string, led *ledger) error {
	commits, err := adm.FetchOffsets(ctx, groupOf(topic))
	if err != nil {
		return fmt.Errorf("fetch commits: %w", err)
	}
	for p, end := range led.ends {
		at := int64(0)
		if c, ok := commits.Lookup(topic, int32(p)); ok {
			at = c.At
		}
		if at != end {
			return fmt.Errorf("partition %d is committed at %d, its records end at %d", p, at, end)
		}
	}
	return nil
}
