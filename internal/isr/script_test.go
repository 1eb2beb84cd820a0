package isr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs the scripts in testdata, one for each rule. A script is the
// life of one State; every command answers with what it returned and the state.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		sc := &script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return sc.command(d) })
	})
}

type script struct {
	t     *testing.T
	s     *State
	asked []*Change
}

var epoch = time.Unix(1_700_000_000, 0)

func (sc *script) num(d *datadriven.TestData, name string, otherwise int64) int64 {
	if !d.HasArg(name) {
		return otherwise
	}
	var v string
	d.ScanArgs(sc.t, name, &v)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		d.Fatalf(sc.t, "%s: %v", name, err)
	}
	return n
}

func (sc *script) now(d *datadriven.TestData) time.Time {
	if !d.HasArg("at") {
		return epoch
	}
	var v string
	d.ScanArgs(sc.t, "at", &v)
	after, err := time.ParseDuration(v)
	if err != nil {
		d.Fatalf(sc.t, "at: %v", err)
	}
	return epoch.Add(after)
}

func (sc *script) ids(d *datadriven.TestData, name string) (ids []int32) {
	for _, a := range d.CmdArgs {
		if a.Key != name {
			continue
		}
		for _, v := range a.Vals {
			n, err := strconv.Atoi(v)
			if err != nil {
				d.Fatalf(sc.t, "%s: %v", name, err)
			}
			ids = append(ids, int32(n))
		}
	}
	return ids
}

func (sc *script) command(d *datadriven.TestData) string {
	said := ""
	switch d.Cmd {
	case "new": // self= hw= lag=
		sc.s = New(int32(sc.num(d, "self", 1)), sc.num(d, "hw", 0), time.Duration(sc.num(d, "lag", 30))*time.Second)
		sc.asked = nil
	case "become": // leader= epoch= partition= replicas=() isr=() end= at=
		p := Partition{Replicas: sc.ids(d, "replicas"), ISR: sc.ids(d, "isr"), Leader: int32(sc.num(d, "leader", -1)),
			LeaderEpoch: int32(sc.num(d, "epoch", 0)), PartitionEpoch: int32(sc.num(d, "partition", 0))}
		if p.Replicas == nil {
			p.Replicas = []int32{1, 2, 3}
		}
		said = fmt.Sprintf("new leadership: %t", sc.s.Become(p, sc.num(d, "end", 0), sc.now(d)))
	case "min": // n=
		sc.s.SetMinISR(int(sc.num(d, "n", 1)))
		said = fmt.Sprintf("effective %d, under %t", sc.s.EffectiveMinISR(), sc.s.UnderMinISR())
	case "fetch": // from= epoch= broker= offset= end= at=
		said = "counted"
		q := Fetch{Replica: int32(sc.num(d, "from", 0)), LeaderEpoch: int32(sc.num(d, "epoch", int64(sc.s.LeaderEpoch()))),
			BrokerEpoch: sc.num(d, "broker", -1), Offset: sc.num(d, "offset", 0)}
		if err := sc.s.Fetched(q, sc.num(d, "end", 0), sc.now(d)); err != nil {
			said = err.Error()
		}
	case "advance": // own=
		said = fmt.Sprintf("moved: %t", sc.s.Advance(sc.num(d, "own", 0)))
	case "propose": // at=
		said = "nothing"
		if c := sc.s.Propose(sc.num(d, "broker", 1), sc.now(d)); c != nil {
			sc.asked = append(sc.asked, c)
			var members []string
			for _, m := range c.ISR {
				members = append(members, fmt.Sprintf("%d@%d", m.ID, m.BrokerEpoch))
			}
			said = fmt.Sprintf("change %d of epoch %d/%d: %s", len(sc.asked), c.LeaderEpoch, c.PartitionEpoch, strings.Join(members, " "))
		}
	case "refused": // change=
		sc.s.Refused(sc.asked[sc.num(d, "change", 1)-1])
	case "follow": // hw= own=
		said = fmt.Sprintf("moved: %t", sc.s.Follow(sc.num(d, "hw", 0), sc.num(d, "own", 0)))
	case "cut": // end=
		sc.s.Cut(sc.num(d, "end", 0))
	case "raise": // start=
		sc.s.Raise(sc.num(d, "start", 0))
	case "followers":
		var lines []string
		sc.s.Followers(func(id int32, end int64, caughtUp time.Time) {
			lines = append(lines, fmt.Sprintf("%d end=%d caught up at %s", id, end, caughtUp.Sub(epoch)))
		})
		slices.Sort(lines)
		return strings.Join(lines, "\n") + "\n"
	default:
		d.Fatalf(sc.t, "no command %s", d.Cmd)
	}
	if said != "" {
		said += "\n"
	}
	return said + sc.s.String() + "\n"
}
