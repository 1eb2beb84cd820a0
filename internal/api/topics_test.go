package api

import (
	"fmt"
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// clusterOf is an image of one live broker that leads topics of so many partitions.
func clusterOf(t *testing.T, topics map[string]int) *metadata.Image {
	t.Helper()
	broker := &wire.RegisterBrokerRecord{}
	broker.Default()
	broker.BrokerId, broker.BrokerEpoch, broker.Fenced = 1, 1, false
	records := []metadata.Record{broker}
	n := byte(0)
	for name, partitions := range topics {
		n++
		id := wire.UUID{n}
		records = append(records, &wire.TopicRecord{Name: name, TopicId: id})
		for i := range partitions {
			p := &wire.PartitionRecord{}
			p.Default()
			p.PartitionId, p.TopicId, p.Replicas, p.Isr, p.Leader = int32(i), id, []int32{1}, []int32{1}, 1
			records = append(records, p)
		}
	}
	image, _, err := metadata.New("cluster").Apply(records, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func openBroker(t *testing.T) *Broker {
	t.Helper()
	keys, err := config.NewSet(ConfigKeys())
	if err != nil {
		t.Fatal(err)
	}
	return &Broker{Deps: Deps{NodeID: 1, Keys: keys, Authorizer: auth.Open{}}}
}

// The pages of DescribeTopicPartitions, each begun where the one before ended, name every partition once
// and in order, whatever a page holds.
func TestPagesOfTopicPartitionsNameEachPartitionOnce(t *testing.T) {
	b, c := openBroker(t), &rpc.Call{Conn: &rpc.Conn{}}
	topics := map[string]int{"a": 3, "b": 1, "c": 5}
	image := clusterOf(t, topics)
	var want []string
	for _, name := range []string{"a", "b", "c"} {
		for i := range topics[name] {
			want = append(want, fmt.Sprint(name, i))
		}
	}
	for limit := int32(1); limit < 12; limit++ {
		for _, named := range [][]string{nil, {"c", "a", "b", "a"}} {
			q := &wire.DescribeTopicPartitionsRequest{ResponsePartitionLimit: limit}
			for _, n := range named {
				q.Topics = append(q.Topics, wire.DescribeTopicPartitionsRequestTopicRequest{Name: n})
			}
			var got []string
			for range len(want) + 1 {
				a := b.topicPage(image, c, q)
				page := 0
				for _, x := range a.Topics {
					if x.ErrorCode != 0 {
						t.Fatalf("limit %d: topic %s fails with %v", limit, *x.Name, code.Error(x.ErrorCode))
					}
					for _, p := range x.Partitions {
						got = append(got, fmt.Sprint(*x.Name, p.PartitionIndex))
						page++
					}
				}
				if page > int(limit) {
					t.Errorf("limit %d: a page of %d partitions", limit, page)
				}
				if a.NextCursor == nil {
					break
				}
				q.Cursor = &wire.DescribeTopicPartitionsRequestCursor{TopicName: a.NextCursor.TopicName, PartitionIndex: a.NextCursor.PartitionIndex}
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %v, want %v", limit, got, want)
			}
		}
	}
}

// A cursor that the request does not cover, and one that is no place, fail every topic.
func TestPagesRefuseCursorsThatLeadNowhere(t *testing.T) {
	b, c := openBroker(t), &rpc.Call{Conn: &rpc.Conn{}}
	image := clusterOf(t, map[string]int{"a": 3})
	for _, cursor := range []wire.DescribeTopicPartitionsRequestCursor{{TopicName: "b"}, {TopicName: "a", PartitionIndex: -1}} {
		a := b.topicPage(image, c, &wire.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 9, Cursor: &cursor, Topics: []wire.DescribeTopicPartitionsRequestTopicRequest{{Name: "a"}}})
		if len(a.Topics) != 1 || code.Error(a.Topics[0].ErrorCode) != code.InvalidRequest {
			t.Errorf("cursor %+v: %+v", cursor, a.Topics)
		}
	}
	beyond := wire.DescribeTopicPartitionsRequestCursor{TopicName: "a", PartitionIndex: 7}
	a := b.topicPage(image, c, &wire.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 9, Cursor: &beyond})
	if len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 0 || a.NextCursor != nil {
		t.Errorf("a cursor behind the last partition: %+v", a)
	}
}

// Metadata names a topic once however often it is asked for; with one id in the request only ids count.
func TestMetadataAnswersEachTopicOnce(t *testing.T) {
	a, b := "a", "b"
	id := wire.UUID{7}
	type topic = wire.MetadataRequestMetadataRequestTopic
	for _, test := range []struct {
		asked []topic
		want  string
	}{
		{nil, ""}, {[]topic{{Name: &a}}, "a "}, {[]topic{{Name: &a}, {Name: &b}, {Name: &a}}, "a b "}, {[]topic{{Name: &a}, {TopicId: id}, {TopicId: id, Name: &b}}, "id "},
	} {
		got := ""
		for _, x := range askedTopics(test.asked) {
			if x.Name != nil {
				got += *x.Name + " "
			} else {
				got += "id "
			}
		}
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.asked, got, test.want)
		}
	}
}

// Every row of the table says what its caller must be allowed, and its versions are ones that the wire knows.
func TestRowsAreCompleteAndInOrder(t *testing.T) {
	before := int16(-1)
	for _, r := range (&Broker{}).rows() {
		if r.Key <= before || r.access == nil || r.Handle == nil && r.Run == nil {
			t.Errorf("row %d (%s) is out of order, or lacks its access or its handler", r.Key, r.Name)
		}
		before = r.Key
		known, ok := wire.APIOf(r.Key)
		if !ok || known.Name != r.Name || r.Min < known.Min || r.Max > known.Max {
			t.Errorf("%s %d-%d is not what the wire knows: %+v", r.Name, r.Min, r.Max, known)
		}
	}
}
