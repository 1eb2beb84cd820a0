// Command kill9 kills a broker under load with SIGKILL, again and again, and
// holds it to what it had acknowledged.
//
// Several idempotent producers write with acks=all through every kill, a group's
// offsets are committed all the while, and a group of consumers reads along. A
// broker is killed at a random moment, often while it serves, sometimes while it
// starts, and started again on the same data. At the end every record must be
// there once, in its producer's order, at the offset that was acknowledged; after
// each start the committed offsets must be at least those acknowledged, and no
// partition may end before what was acknowledged.
//
// It prints a line `ok NAME ...` or `FAIL NAME: why` for each of these laws.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	launcher   string
	dir        string
	port       int
	rounds     int
	seed       uint64
	producers  int
	partitions int
	longest    time.Duration
	deadline   time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{rounds: 50}
	var klamm string
	if r, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil {
		o.rounds = r
	}
	flag.StringVar(&klamm, "klamm", "", "path of the klamm binary; empty for $KLAMM")
	flag.StringVar(&o.launcher, "broker", "bench/brokers/klamm", "launcher: is given a directory and a port and prints the broker's command, an argument a line")
	flag.StringVar(&o.dir, "dir", "", "where the broker keeps its data; empty for a temporary directory")
	flag.IntVar(&o.port, "port", 20990, "port of the broker's listener on loopback")
	flag.IntVar(&o.rounds, "rounds", o.rounds, "how often to kill")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the moments")
	flag.IntVar(&o.producers, "producers", 4, "idempotent producers")
	flag.IntVar(&o.partitions, "partitions", 8, "partitions of the topic")
	flag.DurationVar(&o.longest, "longest", 700*time.Millisecond, "the longest time that a broker serves before it is killed")
	flag.DurationVar(&o.deadline, "deadline", 4*time.Minute, "time that all may take")
	flag.Parse()
	if klamm != "" {
		os.Setenv("KLAMM", klamm)
	}
	if os.Getenv("CLASS") == "" {
		os.Setenv("CLASS", "durable")
	}
	ctx, cancel := context.WithTimeout(ctx, o.deadline)
	defer cancel()
	if err := run(ctx, o); errors.Is(err, errLaw) {
		fmt.Println(err)
		os.Exit(1)
	} else if err != nil {
		fmt.Printf("FAIL run: seed %d: %s\n", o.seed, strings.ReplaceAll(err.Error(), "\n", " | "))
		os.Exit(1)
	}
}

// errLaw says that the run was complete and one of its lines says FAIL.
var errLaw = errors.New("a law was broken")

const (
	topic     = "kill9"
	commitsOf = "kill9-commits" // a group whose offsets are committed by hand
	readers   = "kill9-readers" // a group that reads along
)

func run(ctx context.Context, o options) error {
	rng := rand.New(rand.NewPCG(o.seed, 9))
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "kill9-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	b, err := prepareBroker(o.launcher, filepath.Join(o.dir, "broker"), o.port)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.start(); err != nil {
		return err
	}
	dial := func() []kgo.Opt {
		return []kgo.Opt{kgo.SeedBrokers(b.addr), kgo.DialTimeout(2 * time.Second), kgo.MetadataMinAge(20 * time.Millisecond),
			kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RetryTimeout(time.Minute)}
	}
	client, err := kgo.NewClient(dial()...)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := retry(ctx, b, func(ctx context.Context) error {
		_, err := adm.CreateTopic(ctx, int32(o.partitions), 1, nil, topic)
		return err
	}); err != nil {
		return fmt.Errorf("create topic: %w", err)
	}

	l := newLoad(o.producers, o.partitions)
	stop, stopLoad := context.WithCancel(ctx)
	runCtx, cancel := context.WithCancel(ctx)
	var running, producing sync.WaitGroup
	defer running.Wait()
	defer producing.Wait()
	defer cancel()
	defer stopLoad()
	var flushed sync.Map // producer -> error
	for p := range o.producers {
		producing.Go(func() {
			if err := l.run(runCtx, stop, p, dial(), topic); err != nil {
				flushed.Store(p, err)
			}
		})
	}
	r := newReader(o.partitions)
	for range 2 {
		running.Go(func() { r.run(runCtx, dial()) })
	}
	c := newCommitter(o.partitions)
	running.Go(func() { c.run(runCtx, stop, dial()) })

	// The rounds.
	begun, restarts, slowest, early := time.Now(), 0, time.Duration(0), 0
	var offsetsWrong, endsWrong []string
	for round := range o.rounds {
		if round%5 == 4 { // while it starts
			early++
			if err := pause(ctx, time.Duration(rng.Int64N(int64(30*time.Millisecond)))); err != nil {
				return err
			}
		} else {
			if err := l.progress(ctx, b); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
			if err := pause(ctx, time.Duration(rng.Int64N(int64(o.longest)))); err != nil {
				return err
			}
		}
		if err := b.kill(); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		start := time.Now()
		floor, ends := c.acknowledged(), l.acknowledgedEnds()
		if err := b.start(); err != nil {
			return err
		}
		if round%5 == 3 && round+1 < o.rounds {
			continue // the next round kills it while it starts
		}
		restarts++
		if err := retry(ctx, b, func(ctx context.Context) error {
			wrong, err := c.check(ctx, adm, floor)
			if err == nil && wrong != "" {
				offsetsWrong = append(offsetsWrong, fmt.Sprintf("round %d: %s", round, wrong))
			}
			return err
		}); err != nil {
			return fmt.Errorf("round %d: read the committed offsets: %w", round, err)
		}
		slowest = max(slowest, time.Since(start))
		if err := retry(ctx, b, func(ctx context.Context) error {
			wrong, err := checkEnds(ctx, adm, ends)
			if err == nil && wrong != "" {
				endsWrong = append(endsWrong, fmt.Sprintf("round %d: %s", round, wrong))
			}
			return err
		}); err != nil {
			return fmt.Errorf("round %d: list the ends: %w", round, err)
		}
	}

	// Let everything be answered, then read it all.
	stopLoad()
	producing.Wait()
	took := time.Since(begun)
	v, err := verify(ctx, l, dial())
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	report("restarted", nil, "%d kills, %d of them while it started, seed %d, %.1f s, slowest start to answered offsets %d ms", o.rounds, early, o.seed, took.Seconds(), slowest.Milliseconds())
	var refused []string
	if f := l.failed.Load(); f != nil {
		refused = append(refused, *f)
	}
	flushed.Range(func(p, err any) bool { refused = append(refused, fmt.Sprintf("producer %v: %v", p, err)); return true })
	failed := report("accepted", refused, "%d records by %d producers", l.acked.Load(), o.producers)
	failed = report("kept", append(endsWrong, v.lost...), "every acknowledged record, at its offset") || failed
	failed = report("once", v.twice, "%d records, none twice", v.records) || failed
	failed = report("ordered", v.disordered, "in each producer's order") || failed
	failed = report("offsets-committed", offsetsWrong, "%d commits, checked after %d starts", c.commits.Load(), restarts) || failed
	failed = report("group-reads-all", r.await(ctx, v.ends), "%d records delivered to a group through all kills", r.delivered.Load()) || failed
	if failed {
		return fmt.Errorf("%w; what the broker said last:\n%s", errLaw, b.tail())
	}
	return nil
}

// report prints a law's result; it returns whether the law was broken.
func report(law string, wrong []string, format string, args ...any) bool {
	if len(wrong) == 0 {
		fmt.Printf("ok %s %s\n", law, fmt.Sprintf(format, args...))
		return false
	}
	fmt.Printf("FAIL %s: %d times: %s\n", law, len(wrong), strings.Join(wrong[:min(3, len(wrong))], "; "))
	return true
}

// pause waits, or returns the reason why all must end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// retry does what a broker that starts cannot answer yet, until it succeeds.
func retry(ctx context.Context, b *broker, do func(context.Context) error) error {
	for {
		tryCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := do(tryCtx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case end := <-b.done:
			b.done <- end
			return fmt.Errorf("the broker ended on its own: %w: %s", errors.Join(end, err), b.tail())
		default:
		}
		if perr := pause(ctx, 20*time.Millisecond); perr != nil {
			return fmt.Errorf("%w: %w", perr, err)
		}
	}
}

// progress waits until something more is acknowledged.
func (l *load) progress(ctx context.Context, b *broker) error {
	before := l.acked.Load()
	for l.acked.Load() == before {
		select {
		case end := <-b.done:
			b.done <- end
			return fmt.Errorf("the broker ended on its own: %v: %s", end, b.tail())
		default:
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("nothing is acknowledged: %w", err)
		}
	}
	return nil
}

func (l *load) acknowledgedEnds() []int64 {
	ends := make([]int64, len(l.ends))
	for p := range ends {
		ends[p] = l.ends[p].Load()
	}
	return ends
}
