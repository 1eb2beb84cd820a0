package coordinator

import (
	"time"

	"github.com/klamm/klamm/internal/replica"
)

// Replicas returns the Source of topic's partitions in set.
func Replicas(set *replica.Set, topic string) Source {
	return func(index int32) (Partition, error) {
		p, err := set.Partition(topic, index)
		if err != nil {
			return nil, err
		}
		return &onReplica{p: p}, nil
	}
}

// onReplica is a Partition on one of internal/replica.
type onReplica struct {
	p     *replica.Partition
	watch replica.Watch
	in    replica.Produced
	list  [1]*replica.Produced
}

func (r *onReplica) Leading() (int32, bool) { return r.p.Leading() }

func (r *onReplica) Failed() error { return r.p.Log().Failed() }

func (r *onReplica) HighWatermark() int64 { return r.p.HighWatermark() }

func (r *onReplica) Bounds() (start, end int64) {
	b := r.p.Log().Bounds()
	return b.Start, b.End
}

func (r *onReplica) Append(batches []byte, epoch int32, now time.Time) (int64, error) {
	r.in.Records = batches
	r.list[0] = &r.in
	err := r.p.Append(r.list[:], replica.AppendOptions{Acks: -1, Internal: true, Epoch: epoch, Now: now})
	r.in.Records, r.in.Entry.Records = nil, nil
	if err == nil {
		err = r.in.Entry.Err
	}
	return r.in.Entry.LastOffset + 1, err
}

func (r *onReplica) Read(offset int64, max int, f func([]byte) error) error {
	// As a follower would: up to the end, since what the leader has is what it decides on.
	q := replica.ReadQuery{Offset: offset, MaxBytes: max, MinOne: true, LeaderEpoch: -1, FetchedEpoch: -1, Follower: true}
	var out replica.ReadResult
	defer out.Data.Release()
	if err := r.p.Read(&q, &out); err != nil {
		return err
	}
	return f(out.Data.Bytes())
}

func (r *onReplica) Watch(w *replica.Waiter) {
	r.watch.Stop()
	if w != nil {
		r.watch.Start(r.p, w, 0, replica.OnWatermark)
	}
}

func (r *onReplica) OnRoll(f func()) { r.p.Log().OnRoll(f) }

func (r *onReplica) AdvanceStart(offset int64) error { return r.p.Log().AdvanceStart(offset) }
