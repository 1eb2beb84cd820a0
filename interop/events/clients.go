package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Sessions are short, so that the killed member's partitions move soon, and
// still longer than a busy machine of two cores delays a heartbeat.
const (
	session   = 3 * time.Second
	heartbeat = 300 * time.Millisecond
)

// consumer is the command of one member of the group: kcat, or this program
// again. Each prints a line a record: partition, offset, key, value. A line is
// out before the record's offset can be committed by a later poll.
func consumer(ctx context.Context, o options, topic string, franz bool) *exec.Cmd {
	if franz {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		return exec.CommandContext(ctx, self, "member", "-bootstrap", o.bootstrap, "-topic", topic)
	}
	return exec.CommandContext(ctx, "stdbuf", "-oL", o.kcat, "-b", o.bootstrap, "-q", "-f", `%p\t%o\t%k\t%s\n`,
		"-X", "auto.offset.reset=earliest", "-X", fmt.Sprintf("session.timeout.ms=%d", session.Milliseconds()),
		"-X", fmt.Sprintf("heartbeat.interval.ms=%d", heartbeat.Milliseconds()), "-X", "broker.address.family=v4", "-G", groupOf(topic), topic)
}

// member reads a topic in a group with franz-go and prints what it reads; it
// commits what it has printed, and once more when it leaves or is told to give
// partitions up.
func member(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("member", flag.ContinueOnError)
	bootstrap := fs.String("bootstrap", "", "brokers")
	topic := fs.String("topic", "", "topic")
	if err := fs.Parse(args); err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*bootstrap, ",")...), kgo.ConsumeTopics(*topic), kgo.ConsumerGroup(groupOf(*topic)),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(heartbeat), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.FetchMaxPartitionBytes(256<<10),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, _ map[string][]int32) { c.CommitUncommittedOffsets(ctx) }),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	var line []byte
	for {
		fetches := client.PollRecords(ctx, 2000)
		if ctx.Err() == nil && fetches.Err() != nil {
			return fetches.Err()
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			line = strconv.AppendInt(line[:0], int64(r.Partition), 10)
			line = append(line, '\t')
			line = strconv.AppendInt(line, r.Offset, 10)
			line = append(line, '\t')
			line = append(line, r.Key...)
			line = append(line, '\t')
			line = append(line, r.Value...)
			line = append(line, '\n')
			out.Write(line)
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("print records: %w", err)
		}
		commitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := client.CommitUncommittedOffsets(commitCtx)
		cancel()
		client.AllowRebalance()
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("commit on leaving: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// pace spreads the data set over a time at least, in a hundred steps, so that
// the member is killed while records still come.
type pace struct {
	step, n int
	over    time.Duration
	begun   time.Time
}

func newPace(events int, over time.Duration) *pace {
	return &pace{step: max(events/100, 1), over: over, begun: time.Now()}
}

// wait returns when the next event is due, or ctx ends.
func (p *pace) wait(ctx context.Context) {
	if p.n++; p.n%p.step != 0 {
		return
	}
	due := time.NewTimer(time.Until(p.begun.Add(p.over * time.Duration(p.n/p.step) / 100)))
	defer due.Stop()
	select {
	case <-ctx.Done():
	case <-due.C:
	}
}

// produceFranz writes the data set with an idempotent franz-go producer.
func produceFranz(ctx context.Context, o options, topic string, over time.Duration, codec kgo.CompressionCodec) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(o.bootstrap, ",")...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(20000))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	gen := newGenerator(o.seed)
	pace := newPace(o.events, over)
	for range o.events {
		pace.wait(ctx)
		key, value := gen.append(make([]byte, 0, 32), make([]byte, 0, 512))
		client.Produce(ctx, &kgo.Record{Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return context.Cause(ctx)
	}
	return context.Cause(ctx)
}

// produceKcat writes the data set with an idempotent kcat, compressed with lz4.
func produceKcat(ctx context.Context, o options, topic string, over time.Duration) error {
	cmd := exec.CommandContext(ctx, o.kcat, "-b", o.bootstrap, "-q", "-P", "-t", topic, "-K", `\t`, "-z", "lz4", "-X", "broker.address.family=v4",
		"-X", "enable.idempotence=true", "-X", "topic.partitioner=murmur2_random")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", o.kcat, err)
	}
	w := bufio.NewWriterSize(in, 1<<16)
	gen := newGenerator(o.seed)
	pace := newPace(o.events, over)
	var key, value []byte
	for range o.events {
		pace.wait(ctx)
		key, value = gen.append(key[:0], value[:0])
		w.Write(key)
		w.WriteByte('\t')
		w.Write(value)
		if err := w.WriteByte('\n'); err != nil {
			break
		}
	}
	werr := w.Flush()
	in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %.200s", o.kcat, err, complaints.String())
	}
	return werr
}
