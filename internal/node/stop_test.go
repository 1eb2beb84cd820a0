package node_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// stopsWithoutDraining stops a node whose drain lasts longer than the test waits.
func stopsWithoutDraining(t *testing.T, n *running) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- n.end() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("the node ended with %v; it said:\n%s", err, n.said)
		}
	case <-time.After(patience):
		t.Fatalf("the node drains for clients that only wait; it said:\n%s", n.said)
	}
}

// fetches counts the Fetch requests of a client that are under way.
type fetches struct{ open atomic.Int64 }

func (f *fetches) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Fetch) {
		f.open.Add(1)
	}
}

func (f *fetches) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Fetch) {
		f.open.Add(-1)
	}
}

// A stop does not wait for consumers that wait for records, one by itself and one in a group. They go on when the
// node is back, and the application sees nothing of it.
func TestConsumersThatWaitHoldUpNoStopAndGoOnAfterIt(t *testing.T) {
	p := plan{dir: t.TempDir(), drain: 2 * patience}
	n := boot(t, p)
	p.listen = n.addr
	put := func(value string) { dialRaw(t, n.addr).put("t", -1, plain(t, value)) }
	dialRaw(t, n.addr).createTopic("t", 1)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	next := func(c *kgo.Client, want string) {
		t.Helper()
		var got []string
		for len(got) == 0 {
			all := c.PollFetches(ctx)
			if err := errors.Join(ctx.Err(), all.Err()); err != nil {
				t.Fatalf("the application waits for %q and sees %v", want, err)
			}
			all.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		}
		if !slices.Equal(got, []string{want}) {
			t.Fatalf("the application got %q, want %q", got, want)
		}
	}
	put("before")
	var clients []*kgo.Client
	for _, own := range [][]kgo.Opt{{kgo.ConsumeTopics("t")}, {kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g")}} {
		saw := new(fetches)
		c, err := kgo.NewClient(append(own, kgo.SeedBrokers(n.addr), kgo.WithHooks(saw), kgo.FetchMaxWait(time.Hour), kgo.DisableClientMetrics())...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		next(c, "before")
		until(t, "the next fetch is on its way", func() bool { return saw.open.Load() > 0 })
		clients = append(clients, c)
	}
	stopsWithoutDraining(t, n)
	n = boot(t, p)
	put("after")
	for _, c := range clients {
		next(c, "after")
	}
	stopsWithoutDraining(t, n)
}

// A stop tells the members that wait for the others of their group to look for it elsewhere.
func TestMembersThatWaitForTheirGroupAreSentAwayByAStop(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), drain: 2 * patience})
	// The answer to ApiVersions says that what was sent with it has been read.
	const hello = 0
	send := func(c *raw, req wire.Message, version int16) {
		t.Helper()
		c.id++
		if _, err := c.c.Write(slices.Concat(frame(wire.NewApiVersionsRequest(), hello, c.id), frame(req, version, c.id))); err != nil {
			t.Fatal(err)
		}
		c.receive(18, hello)
	}
	const joins, syncs = 3, 2 // versions
	join := func(group, member string) *wire.JoinGroupRequest {
		q := wire.NewJoinGroupRequest()
		q.GroupId, q.MemberId, q.SessionTimeoutMs, q.RebalanceTimeoutMs, q.ProtocolType = group, member, 45_000, 300_000, "consumer"
		q.Protocols = []wire.JoinGroupRequestJoinGroupRequestProtocol{{Name: "range"}}
		return q
	}
	first, joining, syncing := dialRaw(t, n.addr), dialRaw(t, n.addr), dialRaw(t, n.addr)
	// One group waits for its first member to join again.
	enter := func(c *raw, group string) *wire.JoinGroupResponse {
		t.Helper()
		var a *wire.JoinGroupResponse
		until(t, "a coordinator of "+group, func() bool {
			a = ask[*wire.JoinGroupResponse](c, join(group, ""), joins)
			return a.ErrorCode == 0
		})
		return a
	}
	dialRaw(t, n.addr).commit("any", "none", 0) // makes the topic of groups
	leader := enter(first, "joins")
	ask[*wire.SyncGroupResponse](first, syncOf("joins", leader), syncs)
	send(joining, join("joins", ""), joins)
	// In the other, the second member waits for what the first will assign to it.
	leader = enter(first, "syncs")
	send(syncing, join("syncs", ""), joins)
	ask[*wire.JoinGroupResponse](first, join("syncs", leader.MemberId), joins)
	follower := syncing.receive(11, joins).(*wire.JoinGroupResponse)
	send(syncing, syncOf("syncs", follower), syncs)
	stopsWithoutDraining(t, n)
	if e := code.Error(joining.receive(11, joins).(*wire.JoinGroupResponse).ErrorCode); e != code.NotCoordinator {
		t.Errorf("a member that joins is told %v", e)
	}
	if e := code.Error(syncing.receive(14, syncs).(*wire.SyncGroupResponse).ErrorCode); e != code.NotCoordinator {
		t.Errorf("a member that waits for its assignment is told %v", e)
	}
}

// syncOf is what a member asks that has joined as a says.
func syncOf(group string, a *wire.JoinGroupResponse) *wire.SyncGroupRequest {
	q := wire.NewSyncGroupRequest()
	q.GroupId, q.GenerationId, q.MemberId = group, a.GenerationId, a.MemberId
	return q
}
