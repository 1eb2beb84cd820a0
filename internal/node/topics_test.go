package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

func TestADeletedTopicIsGoneAtOnce(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir()})
	c, waiting := dialRaw(t, n.addr), dialRaw(t, n.addr)
	before := c.createTopic("gone", 1)
	c.put("gone", -1, plain(t, "one", "two"))
	if e := c.commit("readers", "gone", 2); e != 0 {
		t.Fatal(e)
	}
	began := time.Now()
	waiting.send(fetchRequest("gone", 2, 1, 60_000), 12)
	c.deleteTopic("gone")
	p := waiting.receive(1, 12).(*wire.FetchResponse).Responses[0].Partitions[0]
	if e := code.Error(p.ErrorCode); e != code.UnknownTopicOrPartition && e != code.NotLeaderOrFollower {
		t.Errorf("a fetch that waits on a topic which is deleted answers %v", e)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it answers after %s", took)
	}
	after := c.createTopic("gone", 1)
	if after == before {
		t.Error("the new topic has the id of the deleted one")
	}
	if end := c.listOffset("gone", -1); end != 0 {
		t.Errorf("the new topic ends at %d, want 0", end)
	}
	until(t, "the offset of the deleted topic gone", func() bool { return c.committed("readers", "gone") == -1 })
	c.put("gone", -1, plain(t, "new"))
	if got := values(t, c.fetch("gone", 0, 1, 0).Records, 0); fmt.Sprint(got) != "[new]" {
		t.Errorf("the new topic holds %q", got)
	}
}

// A fetch of nothing that is there does not wait; beside something that is, it waits for that.
func TestAFetchOfAnUnknownTopicWaitsForNothing(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir()})
	c, other := dialRaw(t, n.addr), dialRaw(t, n.addr)
	c.createTopic("known", 1)
	unknown := fetchRequest("unknown", 0, 1, 3_600_000)
	c.send(unknown, 12)
	p := c.receive(1, 12).(*wire.FetchResponse).Responses[0].Partitions[0] // gives up long before the hour is over
	if e := code.Error(p.ErrorCode); e != code.UnknownTopicOrPartition {
		t.Errorf("it answers %v", e)
	}
	both := fetchRequest("known", 0, 1, 3_600_000)
	both.Topics = append(both.Topics, unknown.Topics...)
	c.send(both, 12)
	other.put("known", -1, plain(t, "one"))
	r := c.receive(1, 12).(*wire.FetchResponse)
	var known, none int
	for _, topic := range r.Responses {
		switch p := topic.Partitions[0]; {
		case topic.Topic == "known" && len(p.Records) > 0:
			known++
		case topic.Topic == "unknown" && code.Error(p.ErrorCode) == code.UnknownTopicOrPartition:
			none++
		}
	}
	if known != 1 || none != 1 {
		t.Errorf("of a topic that is there and one that is not: %+v", r.Responses)
	}
}

// What Metadata creates differs by its version: always before v4, when the request says so from there on.
func TestMetadataCreatesTopicsAsItsVersionsDiffer(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir()})
	c := dialRaw(t, n.addr)
	ask1 := func(version int16, name string, allow bool) code.Error {
		req := wire.NewMetadataRequest()
		req.Topics = []wire.MetadataRequestMetadataRequestTopic{{Name: &name}}
		req.AllowAutoTopicCreation = allow
		var e code.Error
		until(t, "a leader of "+name, func() bool {
			e = code.Error(ask[*wire.MetadataResponse](c, req, version).Topics[0].ErrorCode)
			return e != code.LeaderNotAvailable
		})
		return e
	}
	lo, hi := wire.NewMetadataRequest().Versions()
	for v := lo; v <= hi; v++ {
		yes, no := fmt.Sprintf("yes-%d", v), fmt.Sprintf("no-%d", v)
		if e := ask1(v, yes, true); e != 0 {
			t.Errorf("v%d: creation that is allowed answers %v", v, e)
		}
		want := code.UnknownTopicOrPartition
		if v < 4 {
			want = code.None
		}
		if e := ask1(v, no, false); e != want {
			t.Errorf("v%d: creation that is not asked for answers %v, want %v", v, e, want)
		}
		if e := ask1(v, "bad name", true); e != code.InvalidTopicException {
			t.Errorf("v%d: a name that cannot be answers %v", v, e)
		}
	}
}

func TestMetadataCreatesNothingWhereItMayNot(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"auto.create.topics.enable=false"}})
	c := dialRaw(t, n.addr)
	req := wire.NewMetadataRequest()
	req.Topics = []wire.MetadataRequestMetadataRequestTopic{{Name: new("refused")}}
	if e := code.Error(ask[*wire.MetadataResponse](c, req, 9).Topics[0].ErrorCode); e != code.UnknownTopicOrPartition {
		t.Errorf("with auto.create.topics.enable=false: %v", e)
	}
}

func TestConfigChangesActWithoutARestart(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"log.retention.check.interval.ms=50"}})
	c := dialRaw(t, n.addr)
	const topic, broker = 2, 4
	c.createTopic("small", 1)
	big := plain(t, strings.Repeat("x", 5000))
	c.put("small", -1, big)
	c.alter(topic, "small", "max.message.bytes", "1000")
	if e := code.Error(c.produce("small", -1, 9, plain(t, strings.Repeat("x", 5000))).ErrorCode); e != code.MessageTooLarge {
		t.Errorf("5000 bytes with max.message.bytes=1000: %v", e)
	}
	c.alter(topic, "small", "max.message.bytes", "100000")
	c.put("small", -1, big)

	// The broker's default reaches topics that have none of their own.
	c.createTopic("default", 1)
	c.alter(broker, "", "message.max.bytes", "1000")
	if e := code.Error(c.produce("default", -1, 9, plain(t, strings.Repeat("x", 5000))).ErrorCode); e != code.MessageTooLarge {
		t.Errorf("5000 bytes with the cluster's message.max.bytes=1000: %v", e)
	}
	c.put("small", -1, big)
	c.alter(broker, "1", "message.max.bytes", "20000")
	c.put("default", -1, plain(t, strings.Repeat("x", 5000)))

	c.alter(topic, "small", "message.timestamp.type", "LogAppendTime")
	if p := c.produce("small", -1, 9, plain(t, "now")); p.LogAppendTimeMs <= 0 {
		t.Errorf("with LogAppendTime the answer's time is %d", p.LogAppendTimeMs)
	}

	c.createTopic("short", 1, "segment.bytes", "1048576")
	old := batch(t, record.BuilderOptions{}, "old") // of now
	c.put("short", -1, old)
	c.alter(topic, "short", "retention.ms", "1")
	until(t, "a log that retention has emptied", func() bool { return c.listOffset("short", -2) == 1 })

	// A third connection finds no room until the limit is raised.
	c.alter(broker, "", "max.connections", "2")
	second := dialRaw(t, n.addr)
	second.listOffset("small", -1)
	third := dialRaw(t, n.addr)
	third.send(wire.NewMetadataRequest(), 9)
	if _, err := third.read(3, 9, 100*time.Millisecond); errTimeout(err) == nil {
		t.Errorf("with max.connections=2 the third is served: %v", err)
	}
	c.alter(broker, "", "max.connections", "3")
	third.receive(3, 9)
	c.alter(broker, "", "max.connections.per.ip.overrides", "127.0.0.1:0")
	if got := dialRaw(t, n.addr).closed(); len(got) != 0 {
		t.Errorf("an address that may have no connection gets %x", got)
	}
	third.listOffset("small", -1) // those that are there stay
}
