package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// acks holds what one producer was told for one partition: the offset of each
// of its records, by sequence number; -1 while there is no answer.
type acks struct {
	mu      sync.Mutex // guards offsets
	offsets []int64
}

func (a *acks) next() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offsets = append(a.offsets, -1)
	return len(a.offsets) - 1
}

func (a *acks) acknowledged(seq int, offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offsets[seq] = offset
}

// load is the producers: idempotent clients that live through every kill, so
// that a restarted broker meets their retries with the producer state it kept.
type load struct {
	partitions int
	producers  int
	acks       []acks // producer x partition
	acked      atomic.Int64
	ends       []atomic.Int64 // by partition: the largest acknowledged offset, plus one
	failed     atomic.Pointer[string]
}

func newLoad(producers, partitions int) *load {
	return &load{partitions: partitions, producers: producers, acks: make([]acks, producers*partitions), ends: make([]atomic.Int64, partitions)}
}

func (l *load) fail(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	l.failed.CompareAndSwap(nil, &s)
}

// valueSize is the length of a record's value: producer, partition, sequence
// number, and filling.
const valueSize = 100

func encodeValue(producer, partition, seq int) []byte {
	v := make([]byte, valueSize)
	binary.BigEndian.PutUint32(v, uint32(producer))
	binary.BigEndian.PutUint32(v[4:], uint32(partition))
	binary.BigEndian.PutUint64(v[8:], uint64(seq))
	for i := 16; i < valueSize; i++ {
		v[i] = byte(seq + i)
	}
	return v
}

func decodeValue(v []byte) (producer, partition, seq int, ok bool) {
	if len(v) != valueSize {
		return 0, 0, 0, false
	}
	seq = int(binary.BigEndian.Uint64(v[8:]))
	for i := 16; i < valueSize; i++ {
		if v[i] != byte(seq+i) {
			return 0, 0, 0, false
		}
	}
	return int(binary.BigEndian.Uint32(v)), int(binary.BigEndian.Uint32(v[4:])), seq, true
}

// run produces with one client until stop ends, then waits until everything is
// acknowledged or ctx ends.
func (l *load) run(ctx, stop context.Context, producer int, options []kgo.Opt, topic string) error {
	client, err := kgo.NewClient(append(options,
		kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(2000), kgo.ProducerBatchMaxBytes(16<<10), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordDeliveryTimeout(0), kgo.RecordRetries(1<<30),
		kgo.ProducerOnDataLossDetected(func(topic string, partition int32) {
			l.fail("producer %d: the broker has forgotten records of %s-%d that it had acknowledged", producer, topic, partition)
		}))...)
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; stop.Err() == nil && ctx.Err() == nil; n++ {
		if n%16 == 0 { // about 16,000 records a second a producer: load, not a flood
			<-tick.C
		}
		partition := n % l.partitions
		a := &l.acks[producer*l.partitions+partition]
		seq := a.next()
		client.Produce(ctx, &kgo.Record{Partition: int32(partition), Value: encodeValue(producer, partition, seq)}, func(r *kgo.Record, err error) {
			if err != nil {
				if ctx.Err() == nil {
					l.fail("producer %d: record %d of partition %d was refused: %v", producer, seq, partition, err)
				}
				return
			}
			a.acknowledged(seq, r.Offset)
			l.acked.Add(1)
			for end := &l.ends[partition]; ; {
				old := end.Load()
				if old > r.Offset || end.CompareAndSwap(old, r.Offset+1) {
					break
				}
			}
		})
	}
	return client.Flush(ctx)
}
