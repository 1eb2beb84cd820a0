package node_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/faults"
	"github.com/klamm/klamm/internal/wire"
)

// faulty starts a node in memory that has faults.
func faulty(t *testing.T) (*running, *faults.Faults) {
	t.Helper()
	strike := &faults.Faults{}
	return boot(t, plan{dir: "/memory", disk: disk.NewRAM(), between: strike}), strike
}

// add puts a fault in force that has to be one.
func add(t *testing.T, f *faults.Faults, what faults.Fault) (remove func()) {
	t.Helper()
	remove, err := f.Add(what)
	if err != nil {
		t.Fatal(err)
	}
	return remove
}

// inhabit puts one element into every list of a message, and a name into every string.
func inhabit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Tags" {
				inhabit(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		inhabit(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Array:
		v.Index(0).SetUint(7)
	case reflect.Int16:
		v.SetInt(1)
	case reflect.Int32:
		v.SetInt(3)
	}
}

// marks are the places of a message that hold error codes, and the numbers of partitions beside them.
func marks(v reflect.Value) (codes, partitions []reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch name := v.Type().Field(i).Name; {
		case name == "ErrorCode":
			codes = append(codes, f)
			for _, n := range []string{"Index", "PartitionIndex", "Partition", "PartitionId"} {
				if p := v.FieldByName(n); p.IsValid() {
					partitions = append(partitions, p)
				}
			}
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for k := range f.Len() {
				c, p := marks(f.Index(k))
				codes, partitions = append(codes, c...), append(partitions, p...)
			}
		}
	}
	return codes, partitions
}

func TestAnErrorComesInEveryAPIAtEveryVersionAndInEveryPlaceForIt(t *testing.T) {
	r, wrong := faulty(t)
	add(t, wrong, faults.Fault{Error: "POLICY_VIOLATION"})
	without := []string{"DescribeLogDirs v0", "DescribeLogDirs v1", "DescribeLogDirs v2"} // no place that a request names
	c := dialRaw(t, r.addr)
	for _, s := range api.Services() {
		for v := s.Min; v <= s.Max; v++ {
			name := fmt.Sprintf("%s v%d", s.Name, v)
			q := wire.NewRequest(s.Key)
			inhabit(reflect.ValueOf(q).Elem())
			switch q := q.(type) {
			case *wire.MetadataRequest:
				topic := "x"
				q.Topics = []wire.MetadataRequestMetadataRequestTopic{{Name: &topic}}
			case *wire.FetchRequest:
				q.SessionEpoch = -1
			}
			c.send(q, v)
			a := c.receive(s.Key, v)
			codes, partitions := marks(reflect.ValueOf(a).Elem())
			hits := 0
			for _, c := range codes {
				if c.Int() == int64(code.PolicyViolation) {
					hits++
				}
			}
			if (hits == 0) != slices.Contains(without, name) {
				t.Errorf("%s: %d places have the code: %+v", name, hits, a)
			}
			for _, p := range partitions {
				if p.Int() != 3 {
					t.Errorf("%s answers partition %d, and 3 was asked", name, p.Int())
				}
			}
			if s.Name == "Fetch" || s.Name == "Metadata" { // the code of the whole is about something else
				codes = slices.DeleteFunc(codes, func(c reflect.Value) bool { return c.Int() == 0 })
			}
			is := a.Append(nil, v)
			for _, c := range codes {
				c.SetInt(int64(code.PolicyViolation))
			}
			if !bytes.Equal(is, a.Append(nil, v)) {
				t.Errorf("%s leaves places without the code: %+v", name, a)
			}
		}
	}
}

func TestAFaultThatCannotBeIsSaidToBeSo(t *testing.T) {
	var f faults.Faults
	for want, what := range map[string]faults.Fault{
		`API="Prodcue"`:     {API: "Prodcue", Delay: 1},
		`API="999"`:         {API: "999", Delay: 1},
		"Times=-1":          {Times: -1, Delay: 1},
		"Probability=1.5":   {Probability: 1.5, Delay: 1},
		"Delay=-1ns":        {Delay: -1},
		`Error="OOPS"`:      {Error: "OOPS"},
		`Error="0"`:         {Error: "0"},
		"one of Error":      {Error: "6", DropAnswer: true},
		"without an effect": {API: "Fetch"},
	} {
		if _, err := f.Add(what); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", what, err)
		}
	}
}

func TestAFaultIsOverAfterItsTimesAndWhenItIsTakenAway(t *testing.T) {
	r, wrong := faulty(t)
	c := dialRaw(t, r.addr)
	beat := func() code.Error {
		q := wire.NewHeartbeatRequest()
		q.GroupId, q.MemberId = "g", "m"
		return code.Error(ask[*wire.HeartbeatResponse](c, q, 4).ErrorCode)
	}
	well := beat()
	add(t, wrong, faults.Fault{API: "heartbeat", Error: "rebalance_in_progress", Times: 2})
	remove := add(t, wrong, faults.Fault{API: "12", Error: "25"})
	for i, want := range []code.Error{code.RebalanceInProgress, code.RebalanceInProgress, code.UnknownMemberId, code.UnknownMemberId} {
		if got := beat(); got != want {
			t.Fatalf("beat %d: %v, want %v", i, got, want)
		}
	}
	remove()
	remove()
	if got := beat(); got != well {
		t.Fatal(got)
	}
}

func TestAFaultStrikesOnlyWhatItNames(t *testing.T) {
	r, wrong := faulty(t)
	c := dialRaw(t, r.addr)
	id := c.createTopic("mine", 1)
	c.createTopic("other", 1)
	add(t, wrong, faults.Fault{Topic: "mine", Error: "POLICY_VIOLATION"})
	add(t, wrong, faults.Fault{Group: "mine", Error: "INVALID_GROUP_ID"})
	add(t, wrong, faults.Fault{ClientID: "somebody", DropRequest: true})
	produce := func(topic string) code.Error {
		return code.Error(c.produce(topic, 1, 9, plain(t, "x")).ErrorCode)
	}
	if got := produce("mine"); got != code.PolicyViolation {
		t.Error(got)
	}
	if got := produce("other"); got != 0 {
		t.Error(got)
	}
	byID := produceRequest("", 0, 1, plain(t, "x"))
	byID.TopicData[0].TopicId = id
	if got := ask[*wire.ProduceResponse](c, byID, 13).Responses[0]; got.TopicId != id || got.PartitionResponses[0].ErrorCode != int16(code.PolicyViolation) || got.PartitionResponses[0].BaseOffset != -1 {
		t.Errorf("%+v", got)
	}
	for _, group := range []string{"mine", "other"} {
		q := wire.NewDescribeGroupsRequest()
		q.Groups = []string{group}
		if got := ask[*wire.DescribeGroupsResponse](c, q, 6).Groups[0]; got.GroupId != group || (code.Error(got.ErrorCode) == code.InvalidGroupId) != (group == "mine") {
			t.Errorf("%+v", got)
		}
		f := wire.NewFindCoordinatorRequest()
		f.CoordinatorKeys = []string{group}
		if got := ask[*wire.FindCoordinatorResponse](c, f, 4).Coordinators[0]; got.KeyField != group || (code.Error(got.ErrorCode) == code.InvalidGroupId) != (group == "mine") {
			t.Errorf("%+v", got)
		}
	}
	q := wire.NewDescribeConfigsRequest()
	q.Resources = []wire.DescribeConfigsRequestDescribeConfigsResource{{ResourceType: 2, ResourceName: "other"}, {ResourceType: 2, ResourceName: "mine"}}
	for i, got := range ask[*wire.DescribeConfigsResponse](c, q, 4).Results {
		if code.Error(got.ErrorCode) != code.PolicyViolation || got.ResourceName != q.Resources[i].ResourceName {
			t.Errorf("%+v", got)
		}
	}
}

func TestFetchesOfASessionAreStruckToo(t *testing.T) {
	r, wrong := faulty(t)
	c := dialRaw(t, r.addr)
	c.createTopic("t", 1)
	c.put("t", -1, plain(t, "x"))
	begin := fetchRequest("t", 0, 1, 0)
	begin.SessionEpoch = 0
	session := ask[*wire.FetchResponse](c, begin, 12).SessionId
	if session == 0 {
		t.Fatal("no session was made")
	}
	next := wire.NewFetchRequest()
	next.MaxBytes, next.SessionId, next.SessionEpoch = 1<<20, session, 1
	remove := add(t, wrong, faults.Fault{API: "Fetch", Topic: "t", Error: "OFFSET_NOT_AVAILABLE", Times: 1})
	if got := ask[*wire.FetchResponse](c, next, 12); code.Error(got.ErrorCode) != code.FetchSessionIdNotFound {
		t.Fatalf("%+v", got)
	}
	if got := ask[*wire.FetchResponse](c, begin, 12); got.ErrorCode != 0 || code.Error(got.Responses[0].Partitions[0].ErrorCode) != code.OffsetNotAvailable {
		t.Fatalf("%+v", got)
	}
	remove()
	if got := ask[*wire.FetchResponse](c, begin, 12); got.SessionId == 0 || len(values(t, got.Responses[0].Partitions[0].Records, 0)) != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestADropEndsTheConnectionAndKeepsWhatWasAskedBefore(t *testing.T) {
	for _, what := range []faults.Fault{{API: "Produce", Topic: "t", DropRequest: true, Times: 1}, {API: "Produce", Topic: "t", DropAnswer: true, Times: 1}} {
		r, wrong := faulty(t)
		admin := dialRaw(t, r.addr)
		admin.createTopic("t", 1)
		admin.createTopic("before", 1)
		add(t, wrong, what)
		c := dialRaw(t, r.addr)
		// One write, so that the broker handles them as one run.
		var all []byte
		for i, topic := range []string{"before", "t", "before"} {
			all = append(all, frame(produceRequest(topic, 0, -1, plain(t, "x")), 9, int32(i+1))...)
		}
		if _, err := c.c.Write(all); err != nil {
			t.Fatal(err)
		}
		c.id = 1
		if a := c.receive(0, 9).(*wire.ProduceResponse).Responses[0]; a.Name != "before" || a.PartitionResponses[0].ErrorCode != 0 {
			t.Fatalf("%+v", a)
		}
		if rest := c.closed(); len(rest) > 0 {
			t.Fatalf("%d more bytes came", len(rest))
		}
		want := int64(0)
		if what.DropAnswer {
			want = 1
		}
		if got := admin.listOffset("t", -1); got != want {
			t.Errorf("%+v: the topic ends at %d, want %d", what, got, want)
		}
		if got := admin.listOffset("before", -1); got != 1 {
			t.Errorf("%+v: what stood behind the dropped request was handled: the topic ends at %d", what, got)
		}
	}
}

func TestADelayedAnswerKeepsItsPlace(t *testing.T) {
	const d = 150 * time.Millisecond
	r, wrong := faulty(t)
	c := dialRaw(t, r.addr)
	c.createTopic("t", 1)
	for name, what := range map[string]faults.Fault{
		"complete": {API: "ListOffsets", Delay: d},
		"parked":   {API: "Produce", Delay: d}, // acks=all waits for the flush too
		"in error": {API: "Metadata", Delay: d, Error: "LEADER_NOT_AVAILABLE"},
	} {
		remove := add(t, wrong, what)
		began := time.Now()
		switch name {
		case "complete":
			c.listOffset("t", -1)
		case "parked":
			c.put("t", -1, plain(t, "x"))
		default:
			q := wire.NewMetadataRequest()
			topic := "t"
			q.Topics = []wire.MetadataRequestMetadataRequestTopic{{Name: &topic}}
			a := ask[*wire.MetadataResponse](c, q, 12)
			if len(a.Brokers) != 1 || code.Error(a.Topics[0].ErrorCode) != code.LeaderNotAvailable {
				t.Fatalf("%+v", a)
			}
		}
		if took := time.Since(began); took < d || took > patience/2 {
			t.Errorf("%s: the answer took %s", name, took)
		}
		remove()
	}
	// What is asked behind it waits, and a peer that leaves meanwhile takes nothing with it.
	add(t, wrong, faults.Fault{API: "ListOffsets", Delay: time.Hour})
	gone := dialRaw(t, r.addr)
	q := wire.NewListOffsetsRequest()
	q.ReplicaId = -1
	gone.send(q, 7)
	gone.send(wire.NewApiVersionsRequest(), 3)
	if m, err := gone.read(18, 3, d); err == nil {
		t.Fatalf("%+v came before what was asked before", m)
	}
	gone.c.Close()
}

func TestARequestWithAcks0ThatFailsEndsItsConnection(t *testing.T) {
	r, wrong := faulty(t)
	c := dialRaw(t, r.addr)
	c.createTopic("t", 1)
	add(t, wrong, faults.Fault{API: "Produce", Error: "NOT_LEADER_OR_FOLLOWER"})
	c.send(produceRequest("t", 0, 0, plain(t, "x")), 9)
	if rest := c.closed(); len(rest) > 0 {
		t.Fatalf("%d bytes came", len(rest))
	}
}
