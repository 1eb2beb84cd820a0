package node_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestARackIsToldOnlyWhenSet asks in what rack the broker stands: none is null, and not a rack without a name.
func TestARackIsToldOnlyWhenSet(t *testing.T) {
	for rack, overrides := range map[string][]string{"": nil, "north": {"broker.rack=north"}} {
		addr, _ := start(t, t.TempDir(), overrides...)
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		brokers, err := kadm.NewClient(cl).ListBrokers(context.Background())
		if err != nil || len(brokers) != 1 {
			t.Fatalf("brokers %v, error %v", brokers, err)
		}
		told := brokers[0].Rack
		if (told == nil) != (rack == "") || told != nil && *told != rack {
			t.Errorf("broker.rack is %q, and clients are told %v", rack, told)
		}
	}
}
