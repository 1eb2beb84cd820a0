package group

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// The timestamps of ListOffsets that ask for a place and not for a time.
const (
	atEnd   = -1
	atStart = -2
)

// partition names a partition.
type partition struct {
	topic string
	index int32
}

// String is the name in the form orders:3.
func (p partition) String() string { return fmt.Sprintf("%s:%d", p.topic, p.index) }

// compare orders partitions by topic and number.
func (p partition) compare(o partition) int {
	return cmp.Or(strings.Compare(p.topic, o.topic), cmp.Compare(p.index, o.index))
}

// sortedKeys are the partitions of a map in order.
func sortedKeys[V any](m map[partition]V) []partition {
	keys := make([]partition, 0, len(m))
	for p := range m {
		keys = append(keys, p)
	}
	app.Sort(keys, partition.compare)
	return keys
}

// topicsOf are the topics of partitions, each once, in order.
func topicsOf(keys []partition) []string {
	var names []string
	for _, p := range keys {
		names = append(names, p.topic)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// place is an offset of a partition, and the timestamp of the record there where the question was about time.
type place struct{ offset, timestamp int64 }

// cluster is what this package asks a cluster for partitions: topics are looked up once.
type cluster struct {
	cl     *kgo.Client
	adm    *kadm.Client
	topics kadm.TopicDetails
}

// know looks topics up; those that are known already are not asked for again.
func (c *cluster) know(ctx context.Context, names []string) error {
	var ask []string
	for _, n := range names {
		if _, ok := c.topics[n]; !ok {
			ask = append(ask, n)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	md, err := c.adm.Metadata(ctx, ask...)
	if err != nil {
		return app.Failed(err, "the topics could not be looked up")
	}
	if c.topics == nil {
		c.topics = kadm.TopicDetails{}
	}
	for n, t := range md.Topics {
		c.topics[n] = t
	}
	return nil
}

// leader is the node that leads a partition, below zero for none, and whether there is such a partition.
func (c *cluster) leader(p partition) (node int32, exists bool) {
	d, ok := c.topics[p.topic].Partitions[p.index]
	if !ok {
		return -1, false
	}
	return d.Leader, true
}

// bounds are where the logs of partitions begin and end. What is not answered is left out.
func (c *cluster) bounds(ctx context.Context, keys []partition) (starts, ends map[partition]place) {
	ask := func(timestamp int64) map[partition]place {
		m := make(map[partition]int64, len(keys))
		for _, p := range keys {
			m[p] = timestamp
		}
		got, _ := c.places(ctx, m)
		return got
	}
	var wg sync.WaitGroup
	wg.Go(func() { starts = ask(atStart) })
	wg.Go(func() { ends = ask(atEnd) })
	wg.Wait()
	return starts, ends
}

// places asks for the offsets that timestamps mean, of partitions that are known and have a leader: one request
// for each broker. What is not answered is left out; the error is the first of those. A time after the last
// record is the offset -1.
func (c *cluster) places(ctx context.Context, ask map[partition]int64) (map[partition]place, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for _, p := range sortedKeys(ask) {
		if node, _ := c.leader(p); node < 0 {
			continue
		}
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != p.topic {
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = p.topic
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p.index, ask[p]
		rt := &req.Topics[len(req.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	}
	got := make(map[partition]place, len(ask))
	if len(req.Topics) == 0 {
		return got, nil
	}
	var first error
	for _, shard := range c.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			first = cmp.Or(first, shard.Err)
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					first = cmp.Or(first, err)
					continue
				}
				got[partition{t.Topic, p.Partition}] = place{p.Offset, p.Timestamp}
			}
		}
	}
	return got, first
}

// The bounds of reading timestamps.
const (
	timesWithin    = 5 * time.Second // what is not read by then is not known
	timesAtOne     = 8 << 20         // bytes of one answer
	timesPartition = 32 << 10        // bytes of a partition in the first round; each later round has four times as many
)

// times reads the timestamps of records: of each partition the first record at its offset or behind it. Every
// broker gets one request for all its partitions, and more for those whose batches did not fit. What cannot be
// had before ctx ends is left out.
func (c *cluster) times(ctx context.Context, at map[partition]int64) map[partition]int64 {
	byNode := map[int32]map[partition]int64{}
	for p, offset := range at {
		node, ok := c.leader(p)
		if !ok || node < 0 {
			continue
		}
		if byNode[node] == nil {
			byNode[node] = map[partition]int64{}
		}
		byNode[node][p] = offset
	}
	var mu sync.Mutex // guards got
	got := make(map[partition]int64, len(at))
	var wg sync.WaitGroup
	for node, left := range byNode {
		wg.Go(func() {
			for size := int32(timesPartition); len(left) > 0 && ctx.Err() == nil; size = min(size*4, timesAtOne) {
				found, failed := c.timesAt(ctx, node, left, size)
				mu.Lock()
				for p, ms := range found {
					got[p] = ms
					delete(left, p)
				}
				mu.Unlock()
				for _, p := range failed {
					delete(left, p)
				}
				if len(found) == 0 && len(failed) == 0 && size == timesAtOne {
					return // nothing more comes of asking again
				}
			}
		})
	}
	wg.Wait()
	return got
}

// timesAt is one round of times with one broker. failed are partitions that need not be asked for again.
func (c *cluster) timesAt(ctx context.Context, node int32, at map[partition]int64, size int32) (found map[partition]int64, failed []partition) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 0, 0, timesAtOne, -1
	names := map[kadm.TopicID]string{}
	for _, p := range sortedKeys(at) {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != p.topic {
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = p.topic, c.topics[p.topic].ID
			names[rt.TopicID] = p.topic
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.index, at[p], size
		rt := &req.Topics[len(req.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	}
	found = map[partition]int64{}
	res, err := req.RequestWith(ctx, c.cl.Broker(int(node)))
	if err != nil || res.ErrorCode != 0 {
		return found, sortedKeys(at)
	}
	unpack := kgo.DefaultDecompressor()
	for i := range res.Topics {
		t := &res.Topics[i]
		name := cmp.Or(t.Topic, names[t.TopicID])
		for j := range t.Partitions {
			rp := &t.Partitions[j]
			p := partition{name, rp.Partition}
			offset, asked := at[p]
			switch {
			case !asked:
			case rp.ErrorCode != 0:
				failed = append(failed, p)
			case len(rp.RecordBatches) > 0:
				fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: offset, Topic: name, Partition: p.index}, rp, unpack, nil)
				if len(fp.Records) > 0 {
					found[p] = fp.Records[0].Timestamp.UnixMilli()
				} else if fp.Err != nil || int(size) > len(rp.RecordBatches) {
					failed = append(failed, p)
				}
			case rp.HighWatermark <= offset:
				failed = append(failed, p)
			}
		}
	}
	return found, failed
}
