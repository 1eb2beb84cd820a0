package klamm_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm"
)

func TestABrokerAndItsClientsLiveInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		b, err := klamm.Start(ctx, klamm.Options{
			DialerOnly: true,
			Topics:     []klamm.Topic{{Name: "t", Configs: map[string]string{"retention.ms": "60000", "segment.ms": "10000"}}},
			Config:     map[string]string{"log.retention.check.interval.ms": "60000"},
		})
		if err != nil {
			t.Fatal(err)
		}
		c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.Dialer(b.Dialer()), kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, v := range numbers(3) {
			if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.PollFetches(ctx).NumRecords(); n == 0 {
			t.Fatal("nothing was consumed")
		}
		time.Sleep(10 * time.Minute) // the records grow old
		starts, err := kadm.NewClient(c).ListStartOffsets(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := starts.Lookup("t", 0); o.Offset != 3 {
			t.Errorf("after %s the topic begins at %d", time.Since(began), o.Offset)
		}
		c.Close()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// The clock of a bubble moves only while everything in it waits: a stop that waits for nothing takes no time.
func TestAStopTakesNoTimeForClientsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b, err := klamm.Start(ctx, klamm.Options{DialerOnly: true, Topics: []klamm.Topic{{Name: "t"}}})
		if err != nil {
			t.Fatal(err)
		}
		opts := []kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.Dialer(b.Dialer()), kgo.ConsumeTopics("t"), kgo.FetchMaxWait(time.Hour)}
		var clients []*kgo.Client
		for _, own := range []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumerGroup("g"), kgo.ClientID("alone")} {
			c, err := kgo.NewClient(append(opts, own)...)
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		time.Sleep(time.Minute) // both members are in, and every fetch waits
		if _, err := b.Inject(klamm.Fault{API: "Metadata", Delay: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		go kadm.NewClient(clients[2]).ListTopics(ctx)
		synctest.Wait()
		began := time.Now()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the stop took %s", took)
		}
		for _, c := range clients {
			c.Close()
		}
	})
}
