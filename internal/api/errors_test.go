package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// counted are the counts by API and error.
func counted(t *testing.T, reg *prometheus.Registry) (list []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			list = append(list, fmt.Sprint(strings.Join(labels, " "), " ", m.GetCounter().GetValue()))
		}
	}
	slices.Sort(list)
	return list
}

func TestErrorsAreCountedWhereverTheyAreInAnAnswer(t *testing.T) {
	reg := prometheus.NewRegistry()
	e := newErrorCounts(reg)
	e.names[keyListOffsets], e.names[keyHeartbeat], e.names[keyOffsetFetch] = "ListOffsets", "Heartbeat", "OffsetFetch"
	offsets := wire.NewListOffsetsResponse()
	offsets.Topics = []wire.ListOffsetsResponseListOffsetsTopicResponse{
		{Partitions: []wire.ListOffsetsResponseListOffsetsPartitionResponse{{ErrorCode: int16(code.NotLeaderOrFollower)}, {}, {ErrorCode: int16(code.NotLeaderOrFollower)}}},
		{Partitions: []wire.ListOffsetsResponseListOffsetsPartitionResponse{{ErrorCode: int16(code.UnknownServerError)}}},
	}
	e.answered(keyListOffsets, offsets)
	e.answered(keyHeartbeat, &wire.HeartbeatResponse{ErrorCode: int16(code.RebalanceInProgress)})
	e.answered(keyHeartbeat, &wire.HeartbeatResponse{})
	e.count(keyOffsetFetch, 32_000) // no code of Kafka's
	e.count(-1, 1)
	want := []string{"NOT_LEADER_OR_FOLLOWER ListOffsets 2", "REBALANCE_IN_PROGRESS Heartbeat 1", "UNKNOWN_SERVER_ERROR ListOffsets 1"}
	if got := counted(t, reg); !slices.Equal(got, want) {
		t.Errorf("counted are %q; want %q", got, want)
	}
}

func TestCountingErrorsAllocatesNothing(t *testing.T) {
	e := newErrorCounts(prometheus.NewRegistry())
	offsets := wire.NewListOffsetsResponse()
	offsets.Topics = []wire.ListOffsetsResponseListOffsetsTopicResponse{{Partitions: make([]wire.ListOffsetsResponseListOffsetsPartitionResponse, 100)}}
	offsets.Topics[0].Partitions[7].ErrorCode = 1
	if n := testing.AllocsPerRun(100, func() { e.answered(keyListOffsets, offsets) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestEveryResponseSaysWhereItsErrorsAre finds the plan of each response, and that those without errors have none.
func TestEveryResponseSaysWhereItsErrorsAre(t *testing.T) {
	without := 0
	for _, a := range wire.APIs() {
		m := wire.NewResponse(a.Key)
		if m == nil {
			continue
		}
		if planErrors(reflect.TypeOf(m).Elem()) == nil {
			without++
			t.Logf("%s has no error code", a.Name)
		}
	}
	if without > 5 {
		t.Errorf("%d responses seem to have no error code", without)
	}
}

func BenchmarkCountingErrorsOfAThousandPartitions(b *testing.B) {
	e := newErrorCounts(prometheus.NewRegistry())
	offsets := wire.NewListOffsetsResponse()
	offsets.Topics = []wire.ListOffsetsResponseListOffsetsTopicResponse{{Partitions: make([]wire.ListOffsetsResponseListOffsetsPartitionResponse, 1000)}}
	for b.Loop() {
		e.answered(keyListOffsets, offsets)
	}
}
