package api

import (
	"context"
	"regexp"
	"sync"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// producerIDs hands out the ids of the block that the controller gave this broker (KIP-730).
type producerIDs struct {
	mu        sync.Mutex // guards next and end; not held while a block is fetched
	next, end int64
	fetching  chan struct{} // closed when the block that is under way has come; nil when none is
}

// take returns the next id of the block, or a channel to wait on for another block; mine says that the caller is to fetch it.
func (p *producerIDs) take() (id int64, wait chan struct{}, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next < p.end {
		p.next++
		return p.next - 1, nil, false
	}
	if p.fetching == nil {
		p.fetching, mine = make(chan struct{}), true
	}
	return 0, p.fetching, mine
}

func (p *producerIDs) fill(start, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > 0 {
		p.next, p.end = start, start+n
	}
	close(p.fetching)
	p.fetching = nil
}

// newProducerID returns an id that no other producer of the cluster has or had.
func (b *Broker) newProducerID(ctx context.Context) (int64, error) {
	for {
		id, wait, mine := b.producers.take()
		switch {
		case wait == nil:
			return id, nil
		case !mine:
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		response, err := b.decide(ctx, controller.AllocateProducerIds(&wire.AllocateProducerIdsRequest{BrokerId: b.NodeID, BrokerEpoch: b.image().Broker(b.NodeID).Epoch}))
		if err != nil {
			b.producers.fill(0, 0)
			return 0, err
		}
		a := response.(*wire.AllocateProducerIdsResponse)
		b.producers.fill(a.ProducerIdStart, int64(a.ProducerIdLen))
		if a.ErrorCode != 0 {
			return 0, code.Error(a.ErrorCode)
		}
	}
}

// initProducerID gives an idempotent producer its id and epoch. There are no transactions yet.
func (b *Broker) initProducerID(ctx context.Context, c *rpc.Call, q *wire.InitProducerIdRequest, _ *rpc.Reply) wire.Message {
	a := &wire.InitProducerIdResponse{}
	a.Default()
	a.ProducerId, a.ProducerEpoch = -1, -1
	switch {
	case q.TransactionalId != nil && *q.TransactionalId == "", (q.ProducerId == -1) != (q.ProducerEpoch == -1):
		a.ErrorCode = int16(code.InvalidRequest)
		return a
	case q.TransactionalId != nil:
		b.Logger.Warn("a transactional producer was refused: there are no transactions in this version", "event", "transactional_producer_refused", "transactional_id", *q.TransactionalId, "client", c.Header.ClientID)
		a.ErrorCode = int16(code.TransactionalIdAuthorizationFailed)
		return a
	case !b.allowed(c, auth.IdempotentWrite, auth.Cluster, auth.ClusterName) && !b.writesSomewhere(c):
		a.ErrorCode = int16(code.ClusterAuthorizationFailed)
		return a
	}
	id, err := b.newProducerID(ctx)
	if err != nil {
		a.ErrorCode = int16(code.CoordinatorLoadInProgress) // what a producer tries again after
		b.Logger.Warn("no producer id could be had from the controller", "event", "producer_id_failed", "error", err)
		return a
	}
	a.ProducerId, a.ProducerEpoch = id, 0
	return a
}

// writesSomewhere says whether the caller may write to some topic, which is enough to be idempotent (KIP-679).
func (b *Broker) writesSomewhere(c *rpc.Call) bool {
	for t := range b.image().Topics() {
		if b.allowed(c, auth.Write, auth.Topic, t.Name) {
			return true
		}
	}
	return false
}

// describeProducers lists the producers that a partition keeps state of (KIP-664).
func (b *Broker) describeProducers(_ context.Context, c *rpc.Call, q *wire.DescribeProducersRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DescribeProducersResponse{}
	for i := range q.Topics {
		t := &q.Topics[i]
		r := wire.DescribeProducersResponseTopicResponse{Name: t.Name}
		for _, index := range t.PartitionIndexes {
			d := wire.DescribeProducersResponsePartitionResponse{PartitionIndex: index}
			if err := b.producersOf(c, t.Name, index, &d); err != nil {
				d.ErrorCode, d.ErrorMessage = b.failure(err)
			}
			r.Partitions = append(r.Partitions, d)
		}
		a.Topics = append(a.Topics, r)
	}
	return a
}

func (b *Broker) producersOf(c *rpc.Call, topic string, index int32, d *wire.DescribeProducersResponsePartitionResponse) error {
	if !b.allowed(c, auth.Read, auth.Topic, topic) {
		return code.TopicAuthorizationFailed
	}
	if err := controller.ValidateTopicName(topic); err != nil {
		return err
	}
	p, err := b.Replicas.Partition(topic, index)
	if err != nil {
		return err
	}
	if _, ok := p.Leading(); !ok {
		return code.NotLeaderOrFollower
	}
	for _, s := range p.Log().Producers() {
		d.ActiveProducers = append(d.ActiveProducers, wire.DescribeProducersResponseProducerState{
			ProducerId: s.ID, ProducerEpoch: int32(s.Epoch), LastSequence: s.LastSequence, LastTimestamp: s.LastTimestamp,
			CoordinatorEpoch: s.CoordinatorEpoch, CurrentTxnStartOffset: s.TxnStart,
		})
	}
	return nil
}

// listTransactions lists none: there are no transactions yet, and that is the truth.
func (b *Broker) listTransactions(_ context.Context, _ *rpc.Call, q *wire.ListTransactionsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.ListTransactionsResponse{}
	if q.TransactionalIdPattern != nil {
		if _, err := regexp.Compile(*q.TransactionalIdPattern); err != nil {
			a.ErrorCode = int16(code.InvalidRegularExpression)
			return a
		}
	}
	for _, s := range q.StateFilters {
		if !transactionStates[s] {
			a.UnknownStateFilters = append(a.UnknownStateFilters, s)
		}
	}
	return a
}

// transactionStates are the states that a transaction may be in.
var transactionStates = map[string]bool{
	"Empty": true, "Ongoing": true, "PrepareCommit": true, "PrepareAbort": true, "CompleteCommit": true,
	"CompleteAbort": true, "Dead": true, "PrepareEpochFence": true,
}
