package topic

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The timestamps of ListOffsets that ask for a place and not for a time.
const (
	atEnd    = -1
	atStart  = -2
	atNewest = -3 // the record with the greatest timestamp (KIP-734)
)

// place is an offset of a partition, and the timestamp of the record there where the question was about time.
type place struct{ offset, timestamp int64 }

// partition names a partition.
type partition struct {
	topic string
	index int32
}

// offsets asks for the places that a timestamp means, of all partitions that have a leader: one request for each
// broker. What is not answered is left out; the error is the first of those. A time after the last record is the
// offset -1.
func offsets(ctx context.Context, cl *kgo.Client, topics []kadm.TopicDetail, timestamp int64) (map[partition]place, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	n := 0
	for _, t := range topics {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			if p.Leader < 0 {
				continue
			}
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = p.Partition, timestamp
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(rt.Partitions) > 0 {
			req.Topics = append(req.Topics, rt)
			n += len(rt.Partitions)
		}
	}
	got := make(map[partition]place, n)
	if n == 0 {
		return got, nil
	}
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			note(shard.Err)
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					note(err)
					continue
				}
				got[partition{t.Topic, p.Partition}] = place{p.Offset, p.Timestamp}
			}
		}
	}
	return got, first
}

// sizes asks the brokers for the bytes of each partition on its leader. What they do not tell is left out.
func sizes(ctx context.Context, adm *kadm.Client, topics []kadm.TopicDetail, all bool) map[partition]int64 {
	// A broker that does not answer must not hold up what the others know.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var ask kadm.TopicsSet
	leaders := map[partition]int32{}
	for _, t := range topics {
		for _, p := range t.Partitions {
			leaders[partition{t.Topic, p.Partition}] = p.Leader
			if !all {
				ask.Add(t.Topic, p.Partition)
			}
		}
	}
	dirs, _ := adm.DescribeAllLogDirs(ctx, ask)
	got := make(map[partition]int64, len(leaders))
	for broker, on := range dirs {
		on.EachPartition(func(d kadm.DescribedLogDirPartition) {
			key := partition{d.Topic, d.Partition}
			if leader, ok := leaders[key]; ok && leader == broker && !d.IsFuture {
				got[key] += d.Size
			}
		})
	}
	return got
}
