package klamm_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm"
)

// A broker in memory, a client that reaches it without a socket, one record there and back.
func Example() {
	ctx := context.Background()
	broker, err := klamm.Start(ctx, klamm.Options{Topics: []klamm.Topic{{Name: "orders"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()

	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker.Addr()),
		kgo.Dialer(broker.Dialer()),
		kgo.ConsumeTopics("orders"),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: []byte("42"), Value: []byte("two apples")}).FirstErr(); err != nil {
		log.Fatal(err)
	}
	client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
		fmt.Printf("%s-%d@%d %s: %s\n", r.Topic, r.Partition, r.Offset, r.Key, r.Value)
	})
	// Output: orders-0@0 42: two apples
}

// A directory keeps what was produced from one start to the next. This client uses TCP, as any other can.
func ExampleStart_onADirectory() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "klamm")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	for _, day := range []string{"monday", "tuesday"} {
		broker, err := klamm.Start(ctx, klamm.Options{Dir: dir, Topics: []klamm.Topic{{Name: "days"}}})
		if err != nil {
			log.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
		if err != nil {
			log.Fatal(err)
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "days", Value: []byte(day)}).FirstErr(); err != nil {
			log.Fatal(err)
		}
		ends, err := kadm.NewClient(client).ListEndOffsets(ctx, "days")
		if err != nil {
			log.Fatal(err)
		}
		end, _ := ends.Lookup("days", 0)
		fmt.Println("on", day, "the topic ends at", end.Offset)
		client.Close()
		if err := broker.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// on monday the topic ends at 1
	// on tuesday the topic ends at 2
}

// Topics with their partitions and configuration are there before the first client comes.
func ExampleStart_topics() {
	ctx := context.Background()
	broker, err := klamm.Start(ctx, klamm.Options{
		Config: map[string]string{"auto.create.topics.enable": "false", "num.partitions": "3"},
		Topics: []klamm.Topic{
			{Name: "orders", Partitions: 6},
			{Name: "customers", Configs: map[string]string{"cleanup.policy": "compact"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.Dialer(broker.Dialer()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range topics.Sorted() {
		fmt.Println(t.Topic, len(t.Partitions))
	}
	// Output:
	// customers 3
	// orders 6
}

// The answer to the first Produce is lost. The producer tries again, and the record is there once.
func ExampleBroker_Inject() {
	ctx := context.Background()
	broker, err := klamm.Start(ctx, klamm.Options{Topics: []klamm.Topic{{Name: "orders"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	if _, err := broker.Inject(klamm.Fault{API: "Produce", Times: 1, DropAnswer: true}); err != nil {
		log.Fatal(err)
	}
	// And for a while the group's offsets cannot be had.
	heal, err := broker.Inject(klamm.Fault{API: "OffsetFetch", Group: "billing", Error: "GROUP_AUTHORIZATION_FAILED"})
	if err != nil {
		log.Fatal(err)
	}

	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker.Addr()),
		kgo.Dialer(broker.Dialer()),
		kgo.MetadataMinAge(10*time.Millisecond), // how soon it tries again
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("two apples")}).FirstErr(); err != nil {
		log.Fatal(err)
	}
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	end, _ := ends.Lookup("orders", 0)
	fmt.Println("records:", end.Offset)

	_, err = admin.FetchOffsets(ctx, "billing")
	fmt.Println("while the fault is in force:", err)
	heal()
	_, err = admin.FetchOffsets(ctx, "billing")
	fmt.Println("after it:", err)
	// Output:
	// records: 1
	// while the fault is in force: GROUP_AUTHORIZATION_FAILED: Not authorized to access group: Group authorization failed.
	// after it: <nil>
}

// A table of cases, each with a broker of its own that knows nothing of the others.
func ExampleStart_severalBrokers() {
	for _, c := range []struct {
		name    string
		options klamm.Options
	}{
		{"as it is", klamm.Options{}},
		{"topics are not made by themselves", klamm.Options{Config: map[string]string{"auto.create.topics.enable": "false"}}},
		{"nobody may write", klamm.Options{Faults: []klamm.Fault{{API: "Produce", Error: "TOPIC_AUTHORIZATION_FAILED"}}}},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		broker, err := klamm.Start(ctx, c.options)
		if err != nil {
			log.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.Dialer(broker.Dialer()), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
		if err != nil {
			log.Fatal(err)
		}
		err = client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("two apples")}).FirstErr()
		fmt.Printf("%s: %v\n", c.name, err)
		client.Close()
		if err := broker.Close(); err != nil {
			log.Fatal(err)
		}
		cancel()
	}
	// Output:
	// as it is: <nil>
	// topics are not made by themselves: UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.
	// nobody may write: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic authorization failed.]
}
