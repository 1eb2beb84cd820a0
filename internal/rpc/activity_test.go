package rpc

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"
)

func TestActivityOfAnIdleConnectionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Activity{}); n > 48 {
		t.Errorf("%d bytes in each connection, want at most 48", n)
	}
	var a Activity
	start := time.Unix(1_800_000_000, 0)
	a.Received(100)
	a.Called(18, 3, 1, start)
	a.Sent(300)
	for s := range 40 {
		a.Mark(start.Add(time.Duration(s)*5*time.Second), start)
	}
	if a.traffic.Load() != nil || a.marks.Load() != nil {
		t.Error("a connection that only said hello keeps more than its counters")
	}
}

func TestActivityOfAWarmConnectionAllocatesNothing(t *testing.T) {
	var a Activity
	topics := make([]string, 40)
	for i := range topics {
		topics[i] = fmt.Sprint("topic-", i)
	}
	now := time.Now()
	round := func() {
		a.Received(1000)
		a.Called(0, 9, 3, now)
		for _, topic := range topics {
			a.Produced(topic, 3, 900)
			a.Fetches(topic)
		}
		a.Fetched(3, 900)
		a.Member("g")
		a.Sent(50)
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
	produced, fetched, groups := a.Names()
	if !slices.Equal(produced, topics[:MostTopics]) || !slices.Equal(fetched, topics[:MostTopics]) || !slices.Equal(groups, []string{"g"}) {
		t.Errorf("names %v %v %v", produced, fetched, groups)
	}
	if key, version, at, ok := a.Last(); key != 0 || version != 9 || !ok || at.UnixMilli() != now.UnixMilli() {
		t.Errorf("last call %d v%d at %v", key, version, at)
	}
}

func TestGroupsOfAConnectionAreBounded(t *testing.T) {
	var a Activity
	a.Member("")
	for i := range 20 {
		a.Member(fmt.Sprint("g", i))
		a.Member(fmt.Sprint("g", i))
	}
	if _, _, groups := a.Names(); len(groups) != MostGroups || groups[MostGroups-1] != fmt.Sprint("g", MostGroups-1) {
		t.Errorf("groups %v", groups)
	}
}

func TestRatesAreThoseOfTheLastMinute(t *testing.T) {
	var a Activity
	since := time.Unix(1_800_000_000, 0)
	now := since
	second := func(requests int) {
		now = now.Add(time.Second)
		if requests > 0 {
			a.Called(0, 9, requests, now)
			a.Produced("t", int64(10*requests), int64(100*requests))
		}
		if now.Unix()%5 == 0 {
			a.Mark(now, since)
		}
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if got < want*.9-.01 || got > want*1.1+.01 {
			t.Errorf("%s: %v, want about %v", what, got, want)
		}
	}
	for range 3 {
		second(20)
	}
	near("after three seconds", a.Rates(now, since).Requests, 20)
	for range 200 {
		second(20)
	}
	near("after minutes", a.Rates(now, since).Requests, 20)
	near("records after minutes", a.Rates(now, since).ProducedRecords, 200)
	for range 70 {
		second(5)
	}
	near("a minute slower", a.Rates(now, since).Requests, 5)
	for range 150 {
		second(0)
	}
	near("idle", a.Rates(now, since).Requests, 0)
	if a.marks.Load() != nil {
		t.Error("an idle connection keeps marks")
	}
	for range 40 {
		second(30)
	}
	near("awake again", a.Rates(now, since).ProducedBytes, 3000)
	if got := a.Totals(); got.Requests != 203*20+70*5+40*30 || got.ProducedRecords != 10*got.Requests {
		t.Errorf("totals %+v", got)
	}
}
