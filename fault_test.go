package klamm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm"
)

// inject puts a fault in force that has to be one.
func inject(t testing.TB, b *klamm.Broker, f klamm.Fault) (remove func()) {
	t.Helper()
	remove, err := b.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	return remove
}

// keyOf is the key of an API.
func keyOf(t *testing.T, name string) kmsg.Key {
	for k := range kmsg.Key(100) {
		if strings.EqualFold(k.Name(), name) {
			return k
		}
	}
	t.Fatalf("there is no API %s", name)
	return 0
}

// counter counts what a client does.
type counter struct {
	key    kmsg.Key
	writes atomic.Int32 // requests of key that were written
	ends   atomic.Int32 // connections that ended
}

func (c *counter) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(c.key) && err == nil {
		c.writes.Add(1)
	}
}

func (c *counter) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) { c.ends.Add(1) }

func TestAnIdempotentProducerIsExactlyOnceThroughDroppedConnections(t *testing.T) {
	const n = 300
	b := start(t, klamm.Options{
		Topics: []klamm.Topic{{Name: "t"}},
		Faults: []klamm.Fault{
			{API: "Produce", Probability: .2, Seed: 1, DropAnswer: true},
			{API: "Produce", Probability: .2, Seed: 2, DropRequest: true},
			{API: "Produce", Probability: .2, Seed: 3, Error: "NOT_LEADER_OR_FOLLOWER"},
		},
	})
	saw := &counter{key: kmsg.Produce}
	p := client(t, b, kgo.WithHooks(saw), kgo.MaxBufferedRecords(8))
	ctx := soon(t)
	for _, v := range numbers(n) {
		p.Produce(ctx, &kgo.Record{Topic: "t", Value: []byte(v)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if saw.ends.Load() == 0 {
		t.Fatal("no connection was dropped")
	}
	equal(t, take(t, client(t, b, kgo.ConsumeTopics("t")), n), numbers(n))
	ends, err := kadm.NewClient(p).ListEndOffsets(ctx, "t")
	if end, _ := ends.Lookup("t", 0); err != nil || end.Offset != n {
		t.Fatalf("the topic ends at %d after %d records: %v", end.Offset, n, err)
	}
}

func TestAProducerGoesOnAfterErrorsThatPass(t *testing.T) {
	for _, name := range []string{"NOT_LEADER_OR_FOLLOWER", "UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE", "REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS", "COORDINATOR_NOT_AVAILABLE"} {
		t.Run(name, func(t *testing.T) {
			b := start(t, klamm.Options{Topics: []klamm.Topic{{Name: "t"}}})
			api := "Produce"
			switch name {
			case "LEADER_NOT_AVAILABLE":
				api = "Metadata"
			case "COORDINATOR_NOT_AVAILABLE":
				api = "InitProducerId"
			}
			inject(t, b, klamm.Fault{API: api, Error: name, Times: 2})
			saw := &counter{key: keyOf(t, api)}
			put(t, client(t, b, kgo.WithHooks(saw)), "t", "a", "b")
			if saw.writes.Load() < 3 {
				t.Errorf("%s was asked %d times", api, saw.writes.Load())
			}
			equal(t, take(t, client(t, b, kgo.ConsumeTopics("t")), 2), []string{"a", "b"})
		})
	}
}

func TestAnErrorThatStaysReachesTheCaller(t *testing.T) {
	b := start(t, klamm.Options{Topics: []klamm.Topic{{Name: "t"}, {Name: "other"}}})
	c := client(t, b)
	remove := inject(t, b, klamm.Fault{API: "Produce", Topic: "t", Error: "TOPIC_AUTHORIZATION_FAILED"})
	if err := c.ProduceSync(soon(t), &kgo.Record{Topic: "t"}).FirstErr(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Fatal(err)
	}
	put(t, c, "other", "x")
	remove()
	put(t, c, "t", "x")
	inject(t, b, klamm.Fault{API: "CreateTopics", Error: "POLICY_VIOLATION"})
	if _, err := kadm.NewClient(c).CreateTopic(soon(t), 1, 1, nil, "new"); !errors.Is(err, kerr.PolicyViolation) {
		t.Fatal(err)
	}
}

func TestAConsumerGoesOnAfterFetchesThatFailOrAreLate(t *testing.T) {
	for name, f := range map[string]klamm.Fault{
		"error":   {API: "Fetch", Error: "NOT_LEADER_OR_FOLLOWER", Times: 3},
		"session": {API: "Fetch", Error: "INVALID_FETCH_SESSION_EPOCH", Times: 3},
		"topic":   {API: "Fetch", Topic: "t", Error: "OFFSET_NOT_AVAILABLE", Times: 2},
		"drop":    {API: "Fetch", DropRequest: true, Times: 3},
		"answer":  {API: "Fetch", DropAnswer: true, Times: 3},
		"late":    {API: "Fetch", Delay: 100 * time.Millisecond, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, klamm.Options{Topics: []klamm.Topic{{Name: "t"}}})
			p := client(t, b)
			put(t, p, "t", "a")
			saw := &counter{key: kmsg.Fetch}
			c := client(t, b, kgo.ConsumeTopics("t"), kgo.WithHooks(saw), kgo.FetchMaxWait(50*time.Millisecond))
			equal(t, take(t, c, 1), []string{"a"})
			inject(t, b, f)
			began, before := time.Now(), saw.writes.Load()
			put(t, p, "t", "b", "c", "d")
			equal(t, take(t, c, 3), []string{"b", "c", "d"})
			if f.Delay == 0 && saw.writes.Load() == before {
				t.Error("nothing was fetched again")
			}
			if f.Delay > 0 && time.Since(began) < f.Delay {
				t.Errorf("the records came after %s", time.Since(began))
			}
		})
	}
}

func TestAGroupGetsOverItsCoordinatorsFaults(t *testing.T) {
	b := start(t, klamm.Options{Topics: []klamm.Topic{{Name: "t"}}, Faults: []klamm.Fault{
		{API: "FindCoordinator", Group: "g", Error: "COORDINATOR_NOT_AVAILABLE", Times: 1},
		{API: "JoinGroup", Group: "g", Error: "NOT_COORDINATOR", Times: 1},
		{API: "SyncGroup", Group: "g", Error: "REBALANCE_IN_PROGRESS", Times: 1},
		{API: "OffsetFetch", Group: "g", Error: "COORDINATOR_LOAD_IN_PROGRESS", Times: 1},
		{API: "OffsetCommit", Group: "g", Error: "REBALANCE_IN_PROGRESS", Times: 1},
		{API: "JoinGroup", Group: "another", DropRequest: true},
	}})
	put(t, client(t, b), "t", "a", "b")
	c := client(t, b, kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.DisableAutoCommit())
	equal(t, take(t, c, 2), []string{"a", "b"})
	if err := c.CommitUncommittedOffsets(soon(t)); !errors.Is(err, kerr.RebalanceInProgress) {
		t.Fatal(err)
	}
	if err := c.CommitUncommittedOffsets(soon(t)); err != nil {
		t.Fatal(err)
	}
	at, err := kadm.NewClient(c).FetchOffsets(soon(t), "g")
	if o, ok := at.Lookup("t", 0); err != nil || !ok || o.At != 2 {
		t.Fatal(o, err)
	}
}

func TestAFaultThatCannotBeNamesItsField(t *testing.T) {
	b := start(t, klamm.Options{})
	if _, err := b.Inject(klamm.Fault{API: "Prodcue", DropAnswer: true}); err == nil || !strings.Contains(err.Error(), "with API=") {
		t.Fatal(err)
	}
}

func TestChancesComeAgainWithTheirSeed(t *testing.T) {
	struck := func(seed uint64) (list []bool) {
		b := start(t, klamm.Options{Faults: []klamm.Fault{{API: "ListGroups", Probability: .5, Seed: seed, Error: "POLICY_VIOLATION"}}})
		c := client(t, b)
		for range 40 {
			r, err := kmsg.NewPtrListGroupsRequest().RequestWith(soon(t), c)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, r.ErrorCode != 0)
		}
		return list
	}
	first := fmt.Sprint(struck(1))
	if again := fmt.Sprint(struck(1)); again != first {
		t.Fatalf("%s\n%s", first, again)
	}
	if other := fmt.Sprint(struck(2)); other == first || !strings.Contains(other, "true") || !strings.Contains(other, "false") {
		t.Fatal(other)
	}
}

func TestABrokerStopsAmongFaults(t *testing.T) {
	b := start(t, klamm.Options{Topics: []klamm.Topic{{Name: "t"}}})
	saw := &counter{key: kmsg.Produce}
	c := client(t, b, kgo.WithHooks(saw))
	inject(t, b, klamm.Fault{API: "Produce", Delay: time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.Produce(ctx, &kgo.Record{Topic: "t"}, nil)
	until(t, "the record is on its way", func() bool { return saw.writes.Load() > 0 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
