package node_test

import (
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// TestARequestThatNamesTooMuchIsRefused sends a few hundred kilobytes whose answer would take a hundred times as much.
func TestARequestThatNamesTooMuchIsRefused(t *testing.T) {
	addr, _ := start(t, t.TempDir())
	names := make([]string, 100_001)
	for i := range names {
		names[i] = "g"
	}
	for _, req := range []wire.Message{
		&wire.DescribeGroupsRequest{Groups: names},
		&wire.DeleteGroupsRequest{GroupsNames: names},
		&wire.FindCoordinatorRequest{CoordinatorKeys: names},
		&wire.DeleteTopicsRequest{TopicNames: names},
	} {
		version := int16(4)
		if req.Key() == 42 {
			version = 2
		}
		r := dialRaw(t, addr)
		r.send(req, version)
		if why := r.closed(); len(why) > 0 {
			t.Errorf("%T was answered with %d bytes", req, len(why))
		}
	}
}
