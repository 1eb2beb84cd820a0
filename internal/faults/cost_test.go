package faults

import (
	"context"
	"log/slog"
	"testing"

	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// oneTable serves one API under every key.
type oneTable struct{ api rpc.API }

func (t *oneTable) Lookup(string, int16) *rpc.API { return &t.api }

func TestFaultsThatAreNotThereCostNoMemory(t *testing.T) {
	ran := 0
	f := new(Faults)
	over := func(a rpc.API) *rpc.API {
		return f.Over(&oneTable{a}, func(wire.UUID) string { return "" }, slog.New(slog.DiscardHandler)).Lookup("", a.Key)
	}
	run := over(rpc.API{Key: produceKey, Name: "Produce", LongPoll: true, Run: func(_ context.Context, calls []rpc.Call, _ []*rpc.Reply) { ran += len(calls) }})
	handle := over(rpc.API{Key: fetchKey, Name: "Fetch", Handle: func(context.Context, *rpc.Call, *rpc.Reply) { ran++ }})
	if !run.LongPoll || run.Name != "Produce" || run.Handle != nil || handle.Run != nil {
		t.Fatalf("%+v %+v", run, handle)
	}
	calls, replies := make([]rpc.Call, 3), []*rpc.Reply{{}, {}, {}}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		run.Run(ctx, calls, replies)
		handle.Handle(ctx, &calls[0], replies[0])
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if ran != 101*4 {
		t.Errorf("%d calls were handled", ran)
	}
}
