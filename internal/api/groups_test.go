package api

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// The memory of a call is another one's by the time that a member's answer is made: the race detector tells who reads it.
func TestAnAnswerThatWaitedDoesNotLookAtItsCall(t *testing.T) {
	b := newBench(t, nil)
	b.Groups = coordinator.NewGroups(coordinator.Config{NodeID: 1, Partitions: 1, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	const version = 9
	q := wire.NewJoinGroupRequest()
	q.GroupId, q.ProtocolType = "g", "consumer"
	c := &rpc.Call{Conn: b.conn, Header: wire.Header{Key: keyJoinGroup, Version: version}, Body: q.Append(nil, version), Arrived: time.Now()}
	r := new(rpc.Reply)
	b.apis[keyJoinGroup].Handle(context.Background(), c, r)
	reused := make(chan struct{})
	go func() { defer close(reused); *c = rpc.Call{} }()
	if !r.Parked().Finish(r, time.Now()) {
		t.Fatal("a group of another broker is waited for")
	}
	<-reused
	a, d := wire.NewJoinGroupResponse(), wire.NewDecoder(r.Buf)
	if a.Decode(&d, version); d.Done() != nil {
		t.Fatal(d.Done())
	}
	if e := code.Error(a.ErrorCode); e != code.NotCoordinator || a.ProtocolType != nil {
		t.Errorf("answered %v with %+v", e, a)
	}
}
