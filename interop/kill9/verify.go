package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// verdict is what reading everything back found.
type verdict struct {
	records                 int
	ends                    []int64 // by partition
	lost, twice, disordered []string
}

// checkEnds compares the partitions' ends with what was acknowledged.
func checkEnds(ctx context.Context, adm *kadm.Client, acknowledged []int64) (wrong string, err error) {
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return "", err
	}
	if err := ends.Error(); err != nil {
		return "", err
	}
	for p, want := range acknowledged {
		if e, ok := ends.Lookup(topic, int32(p)); !ok || e.Offset < want {
			wrong = fmt.Sprintf("partition %d ends at %d, acknowledged was up to %d", p, e.Offset, want)
		}
	}
	return wrong, nil
}

// verify reads the topic from its start and compares it with what the producers
// sent and were told. Everything was acknowledged when it is called.
func verify(ctx context.Context, l *load, options []kgo.Opt) (*verdict, error) {
	client, err := kgo.NewClient(append(options, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := listed.Error(); err != nil {
		return nil, err
	}
	v := &verdict{ends: make([]int64, l.partitions)}
	left := l.partitions
	listed.Each(func(o kadm.ListedOffset) {
		v.ends[o.Partition] = o.Offset
		if o.Offset == 0 {
			left--
		}
	})
	next := make([]int, len(l.acks)) // the sequence number that must come next
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			v.records++
			if r.Offset == v.ends[r.Partition]-1 {
				left--
			}
			producer, partition, seq, ok := decodeValue(r.Value)
			if !ok || partition != int(r.Partition) || producer >= l.producers {
				v.lost = append(v.lost, fmt.Sprintf("%d:%d holds bytes that nobody produced", r.Partition, r.Offset))
				continue
			}
			i := producer*l.partitions + partition
			offsets := l.acks[i].offsets
			switch {
			case seq >= len(offsets):
				v.lost = append(v.lost, fmt.Sprintf("%d:%d holds record %d of producer %d, which was never sent", r.Partition, r.Offset, seq, producer))
				continue
			case offsets[seq] >= 0 && offsets[seq] != r.Offset && seq < next[i]:
				v.twice = append(v.twice, fmt.Sprintf("record %d of producer %d, acknowledged at %d:%d, is at offset %d too", seq, producer, r.Partition, offsets[seq], r.Offset))
				continue
			case offsets[seq] >= 0 && offsets[seq] != r.Offset:
				v.lost = append(v.lost, fmt.Sprintf("record %d of producer %d, acknowledged at %d:%d, is at offset %d", seq, producer, r.Partition, offsets[seq], r.Offset))
			case seq < next[i]:
				v.disordered = append(v.disordered, fmt.Sprintf("%d:%d holds record %d of producer %d after record %d", r.Partition, r.Offset, seq, producer, next[i]-1))
				continue
			case seq > next[i]:
				v.lost = append(v.lost, fmt.Sprintf("records %d to %d of producer %d are not in partition %d before %d", next[i], seq-1, producer, r.Partition, seq))
			}
			next[i] = seq + 1
		}
	}
	for i := range l.acks {
		if sent := len(l.acks[i].offsets); next[i] < sent {
			v.lost = append(v.lost, fmt.Sprintf("records %d to %d of producer %d are not in partition %d", next[i], sent-1, i/l.partitions, i%l.partitions))
		}
	}
	return v, nil
}

// committer commits growing offsets for a group that has no members, and knows
// the last ones that were acknowledged.
type committer struct {
	partitions int
	commits    atomic.Int64
	tried      atomic.Int64 // the largest offset ever sent
	kept       atomic.Int64 // the largest offset acknowledged
}

func newCommitter(partitions int) *committer { return &committer{partitions: partitions} }

func (c *committer) acknowledged() int64 { return c.kept.Load() }

func (c *committer) run(ctx, stop context.Context, options []kgo.Opt) {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	for n := int64(1); stop.Err() == nil && ctx.Err() == nil; n++ {
		var os kadm.Offsets
		for p := range c.partitions {
			os.AddOffset(topic, int32(p), n, -1)
		}
		c.tried.Store(n)
		tryCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		resp, err := adm.CommitOffsets(tryCtx, commitsOf, os)
		cancel()
		if err == nil {
			err = resp.Error()
		}
		if err == nil {
			c.kept.Store(n)
			c.commits.Add(1)
		}
		if pause(stop, 3*time.Millisecond) != nil {
			return
		}
	}
}

// check reads the committed offsets: none may be older than floor, or newer than
// what was ever sent.
func (c *committer) check(ctx context.Context, adm *kadm.Client, floor int64) (wrong string, err error) {
	resp, err := adm.FetchOffsets(ctx, commitsOf)
	if err != nil {
		return "", err
	}
	if err := resp.Error(); err != nil {
		return "", err
	}
	tried := c.tried.Load()
	for p := range c.partitions {
		o, ok := resp.Lookup(topic, int32(p))
		at := int64(0)
		if ok {
			at = o.At
		}
		if at < floor || at > tried {
			wrong = fmt.Sprintf("partition %d is committed at %d, acknowledged was %d, sent up to %d", p, at, floor, tried)
		}
	}
	return wrong, nil
}

// reader is a group that reads along through every kill and commits.
type reader struct {
	mu        sync.Mutex // guards ends
	ends      []int64    // by partition: the offset after the last delivered in an unbroken row
	gaps      []string
	delivered atomic.Int64
}

func newReader(partitions int) *reader { return &reader{ends: make([]int64, partitions)} }

func (r *reader) run(ctx context.Context, options []kgo.Opt) {
	client, err := kgo.NewClient(append(options, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(readers), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(200*time.Millisecond), kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.BlockRebalanceOnPoll())...) // what was polled is booked before another member may go on from there
	if err != nil {
		return
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		r.mu.Lock()
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			r.delivered.Add(1)
			if rec.Offset > r.ends[rec.Partition] { // less is a second delivery, which at-least-once permits
				r.gaps = append(r.gaps, fmt.Sprintf("partition %d: %d was delivered after %d", rec.Partition, rec.Offset, r.ends[rec.Partition]-1))
			}
			r.ends[rec.Partition] = max(r.ends[rec.Partition], rec.Offset+1)
		}
		r.mu.Unlock()
		client.AllowRebalance()
	}
}

// await waits until the group has delivered everything up to ends, and returns
// what is wrong.
func (r *reader) await(ctx context.Context, ends []int64) []string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		var missing []string
		r.mu.Lock()
		for p, end := range ends {
			if r.ends[p] < end {
				missing = append(missing, fmt.Sprintf("partition %d was delivered up to %d of %d", p, r.ends[p], end))
			}
		}
		gaps := r.gaps
		r.mu.Unlock()
		if len(gaps) > 0 || len(missing) == 0 {
			return gaps
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return missing
		}
	}
}
