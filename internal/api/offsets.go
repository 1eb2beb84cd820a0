package api

import (
	"context"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// The timestamps of ListOffsets that ask for a place and not for a time.
const (
	latestTimestamp         = -1
	earliestTimestamp       = -2
	maxTimestamp            = -3 // the record with the greatest time (KIP-734)
	earliestLocalTimestamp  = -4 // the first offset on this broker's disk (KIP-405)
	latestTieredTimestamp   = -5 // the last offset in tiered storage (KIP-1005)
	earliestPendingUploadTs = -6 // the first offset that is not in tiered storage yet (KIP-1023)
)

// listOffsets finds offsets by time, and the ends of logs.
func (b *Broker) listOffsets(_ context.Context, c *rpc.Call, q *wire.ListOffsetsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.ListOffsetsResponse{}
	asked := make(map[tp]int)
	for i := range q.Topics {
		for k := range q.Topics[i].Partitions {
			asked[tp{q.Topics[i].Name, q.Topics[i].Partitions[k].PartitionIndex}]++
		}
	}
	answered := make(map[tp]bool)
	for i := range q.Topics {
		t := &q.Topics[i]
		r := wire.ListOffsetsResponseListOffsetsTopicResponse{Name: t.Name}
		for k := range t.Partitions {
			p := &t.Partitions[k]
			key := tp{t.Name, p.PartitionIndex}
			twice := c.Header.Version >= 1 && asked[key] > 1
			if twice && answered[key] {
				continue
			}
			answered[key] = true
			d := wire.ListOffsetsResponseListOffsetsPartitionResponse{}
			d.Default()
			d.PartitionIndex = p.PartitionIndex
			err := b.listOffset(c, q, t.Name, p, &d, twice)
			if err != nil {
				d.ErrorCode, _ = b.failure(err)
				d.ErrorCode = olderStorageError(d.ErrorCode, c.Header.Version, 3)
				d.Offset, d.Timestamp, d.LeaderEpoch = -1, -1, -1
			}
			r.Partitions = append(r.Partitions, d)
		}
		if len(r.Partitions) > 0 {
			a.Topics = append(a.Topics, r)
		}
	}
	return a
}

// tp names a partition within one request.
type tp struct {
	topic string
	index int32
}

func (b *Broker) listOffset(c *rpc.Call, q *wire.ListOffsetsRequest, topic string, asked *wire.ListOffsetsRequestListOffsetsPartition, d *wire.ListOffsetsResponseListOffsetsPartitionResponse, twice bool) error {
	if !b.allowed(c, auth.Describe, auth.Topic, topic) {
		return code.TopicAuthorizationFailed
	}
	switch {
	case q.ReplicaId >= 0 && !c.Conn.Internal:
		return code.ClusterAuthorizationFailed
	case twice:
		return code.InvalidRequest
	case tooNew(asked.Timestamp, c.Header.Version):
		return code.UnsupportedVersion
	}
	p, err := b.Replicas.Partition(topic, asked.PartitionIndex)
	if err != nil {
		return err
	}
	if _, ok := p.Leading(); !ok {
		return code.NotLeaderOrFollower
	}
	if err := checkEpoch(p, asked.CurrentLeaderEpoch); err != nil {
		return err
	}
	limit := p.HighWatermark()
	switch {
	case q.ReplicaId >= 0, q.ReplicaId == debugReplica:
		limit = p.Log().Bounds().End
	case q.IsolationLevel == 1:
		limit = p.LastStable()
	}
	if c.Header.Version == 0 {
		d.OldStyleOffsets = segmentOffsets(p, asked.Timestamp, limit, int(asked.MaxNumOffsets))
		return nil
	}
	return place(p, asked.Timestamp, limit, d)
}

// checkEpoch compares the leader's epoch that a client knows with the partition's. Only -1 says that it knows none;
// what is less is older than any.
func checkEpoch(p *replica.Partition, client int32) error {
	if client < -1 {
		return code.FencedLeaderEpoch
	}
	return p.CheckEpoch(client)
}

// debugReplica is the replica id by which a tool reads beyond the high watermark.
const debugReplica = -2

// tooNew says that a special timestamp did not exist yet in that version.
func tooNew(timestamp int64, version int16) bool {
	switch timestamp {
	case maxTimestamp:
		return version < 7
	case earliestLocalTimestamp:
		return version < 8
	case latestTieredTimestamp:
		return version < 9
	case earliestPendingUploadTs:
		return version < 11
	}
	return timestamp < earliestPendingUploadTs
}

// place fills in the offset that a timestamp means; offset and timestamp are -1 where nothing is found.
func place(p *replica.Partition, timestamp, limit int64, d *wire.ListOffsetsResponseListOffsetsPartitionResponse) (err error) {
	l := p.Log()
	start := l.Bounds().Start
	switch timestamp {
	case latestTimestamp:
		_, d.LeaderEpoch = p.Leader()
		d.Offset = limit
	case earliestTimestamp, earliestLocalTimestamp:
		d.Offset, d.LeaderEpoch = start, l.EpochAt(start)
		if start >= l.Bounds().End { // nothing is there: the epoch that the next record will have
			_, d.LeaderEpoch = p.Leader()
		}
	case latestTieredTimestamp, earliestPendingUploadTs: // nothing is ever tiered here
	case maxTimestamp:
		d.Offset, d.Timestamp, d.LeaderEpoch, err = l.MaxTimestamp(limit)
	default:
		d.Offset, d.Timestamp, d.LeaderEpoch, err = l.OffsetForTime(timestamp, limit)
	}
	return err
}

// segmentStart is a segment as ListOffsets v0 sees it.
type segmentStart struct{ offset, lastWritten int64 }

// segmentOffsets is the answer of ListOffsets v0 for a partition.
func segmentOffsets(p *replica.Partition, timestamp, limit int64, most int) []int64 {
	start, now := p.Log().Bounds().Start, time.Now().UnixMilli()
	var segments []segmentStart
	for _, s := range p.Log().Segments() {
		segments = append(segments, segmentStart{max(s.Base, start), s.MaxTimestamp})
	}
	if segments == nil { // nothing was ever written: Kafka has an empty segment then, made just now
		segments = []segmentStart{{start, now}}
	}
	return offsetsBefore(segments, timestamp, limit, most, now)
}

// offsetsBefore are the starts of segments that were last written at the timestamp
// or before, newest first, no more than most, and none beyond limit. The limit itself
// is a place too, for the latest and for times that have not come yet.
func offsetsBefore(segments []segmentStart, timestamp, limit int64, most int, now int64) []int64 {
	offsets := []int64{}
	add := func(o int64) {
		if o <= limit && len(offsets) < most && (len(offsets) == 0 || offsets[len(offsets)-1] > o) {
			offsets = append(offsets, o)
		}
	}
	switch timestamp {
	case latestTimestamp:
		add(limit)
		for i := len(segments) - 1; i >= 0; i-- {
			add(segments[i].offset)
		}
	case earliestTimestamp:
		add(segments[0].offset)
	default:
		if timestamp >= now {
			add(limit)
		}
		for i := len(segments) - 1; i >= 0; i-- {
			if segments[i].lastWritten <= timestamp {
				add(segments[i].offset)
			}
		}
	}
	return offsets
}

// offsetForLeaderEpoch tells where an epoch ended, so that a client sees whether what it has was truncated (KIP-320).
func (b *Broker) offsetForLeaderEpoch(_ context.Context, c *rpc.Call, q *wire.OffsetForLeaderEpochRequest, _ *rpc.Reply) wire.Message {
	a := &wire.OffsetForLeaderEpochResponse{}
	for i := range q.Topics {
		t := &q.Topics[i]
		r := wire.OffsetForLeaderEpochResponseOffsetForLeaderTopicResult{Topic: t.Topic}
		for k := range t.Partitions {
			asked := &t.Partitions[k]
			d := wire.OffsetForLeaderEpochResponseEpochEndOffset{}
			d.Default()
			d.Partition = asked.Partition
			if err := b.endOfEpoch(c, t.Topic, asked, &d); err != nil {
				d.ErrorCode, _ = b.failure(err)
			}
			r.Partitions = append(r.Partitions, d)
		}
		a.Topics = append(a.Topics, r)
	}
	return a
}

func (b *Broker) endOfEpoch(c *rpc.Call, topic string, asked *wire.OffsetForLeaderEpochRequestOffsetForLeaderPartition, d *wire.OffsetForLeaderEpochResponseEpochEndOffset) error {
	if !b.allowed(c, auth.Describe, auth.Topic, topic) {
		return code.TopicAuthorizationFailed
	}
	p, err := b.Replicas.Partition(topic, asked.Partition)
	if err != nil {
		return err
	}
	if _, ok := p.Leading(); !ok {
		return code.NotLeaderOrFollower
	}
	if err := checkEpoch(p, asked.CurrentLeaderEpoch); err != nil {
		return err
	}
	if _, epoch := p.Leader(); asked.LeaderEpoch == epoch {
		d.LeaderEpoch, d.EndOffset = epoch, p.Log().Bounds().End
		return nil
	}
	if asked.LeaderEpoch < -1 { // before all epochs: it ended where the log starts
		d.LeaderEpoch, d.EndOffset = asked.LeaderEpoch, p.Log().Bounds().Start
		return nil
	}
	d.LeaderEpoch, d.EndOffset = p.Log().EndOffsetFor(asked.LeaderEpoch)
	return nil
}

// deleteRecords moves the starts of logs (KIP-107).
func (b *Broker) deleteRecords(_ context.Context, c *rpc.Call, q *wire.DeleteRecordsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DeleteRecordsResponse{}
	for i := range q.Topics {
		t := &q.Topics[i]
		r := wire.DeleteRecordsResponseDeleteRecordsTopicResult{Name: t.Name}
		for _, asked := range t.Partitions {
			d := wire.DeleteRecordsResponseDeleteRecordsPartitionResult{PartitionIndex: asked.PartitionIndex, LowWatermark: -1}
			low, err := b.deleteRecordsOf(c, t.Name, asked.PartitionIndex, asked.Offset)
			if err != nil {
				d.ErrorCode, _ = b.failure(err)
			} else {
				d.LowWatermark = low
			}
			r.Partitions = append(r.Partitions, d)
		}
		a.Topics = append(a.Topics, r)
	}
	return a
}

func (b *Broker) deleteRecordsOf(c *rpc.Call, topic string, index int32, offset int64) (int64, error) {
	if !b.allowed(c, auth.Delete, auth.Topic, topic) {
		return -1, code.TopicAuthorizationFailed
	}
	if isInternal(topic) {
		return -1, code.InvalidTopicException
	}
	p, err := b.Replicas.Partition(topic, index)
	if err != nil {
		return -1, err
	}
	return p.DeleteRecords(offset)
}
