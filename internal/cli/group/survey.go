package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// page is all that is told of a group.
type page struct {
	Group        string   `json:"group"`
	State        string   `json:"state"`
	Type         string   `json:"type"`          // classic or consumer (KIP-848)
	ProtocolType string   `json:"protocol_type"` // of classic groups: consumer, connect and others
	Protocol     string   `json:"protocol"`      // the assignor
	Coordinator  int32    `json:"coordinator"`
	Lag          int64    `json:"lag"`         // records not yet committed, of all partitions with a commit
	LagSeconds   *float64 `json:"lag_seconds"` // age of the oldest record that is not yet read; null when not known
	Members      []member `json:"members"`
	Offsets      []offset `json:"offsets"`
}

// member is one member of a group.
type member struct {
	MemberID   string       `json:"member_id"`
	InstanceID *string      `json:"instance_id"`
	ClientID   string       `json:"client_id"`
	Host       string       `json:"host"`
	Partitions int          `json:"partitions"`
	Assigned   []assignment `json:"assigned"`
	Epoch      *int32       `json:"member_epoch,omitempty"` // of groups of the type consumer
}

// assignment is what a member reads of a topic.
type assignment struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

// offset is one partition of a group.
type offset struct {
	Topic      string   `json:"topic"`
	Partition  int32    `json:"partition"`
	Committed  int64    `json:"committed_offset"` // -1 for none
	Start      int64    `json:"start_offset"`     // -1 when not known
	End        int64    `json:"end_offset"`       // -1 when not known
	Lag        int64    `json:"lag"`              // records there are to read; -1 when not known
	LagSeconds *float64 `json:"lag_seconds"`      // age of the oldest of them; null when not known
	Oldest     *string  `json:"oldest_unread_time"`
	MemberID   string   `json:"member_id,omitempty"`
	ClientID   string   `json:"client_id,omitempty"`
	Host       string   `json:"host,omitempty"`
	Metadata   string   `json:"metadata,omitempty"`
	Note       string   `json:"note,omitempty"`
}

// key is the partition.
func (o offset) key() partition { return partition{o.Topic, o.Partition} }

// depth is how much of a group is asked for.
type depth int

const (
	memberDepth depth = iota // state and members
	offsetDepth              // and offsets and the lag in records
	timeDepth                // and the lag in seconds
)

// atOnce is how many groups go into one request.
const atOnce = 500

// survey looks groups up, with a few requests for all of them: those that are there in the order of names, and a
// failure for each other.
func (c *cluster) survey(ctx context.Context, a *app.App, names []string, deep depth) (pages []page, fails []*app.Failure) {
	byName := map[string]*page{}
	for part := range slices.Chunk(names, atOnce) {
		c.describe(ctx, part, byName, &fails)
	}
	var there, gone []string
	for _, n := range names {
		switch p, ok := byName[n]; {
		case !ok:
			gone = append(gone, n)
		case p != nil && !slices.Contains(there, n):
			there = append(there, n)
		}
	}
	fails = append(fails, c.missing(ctx, gone)...)
	if deep >= offsetDepth {
		c.committed(ctx, there, byName, &fails)
	}
	for _, n := range there {
		if p := byName[n]; p != nil {
			pages = append(pages, *p)
		}
	}
	if deep >= offsetDepth {
		if err := c.lags(ctx, pages, deep, a.Time()); err != nil {
			return nil, append(fails, app.Explain(err))
		}
	}
	return pages, fails
}

// describe puts state and members of groups into by; nil for one that has a failure, and nothing for one that is
// not there.
func (c *cluster) describe(ctx context.Context, names []string, by map[string]*page, fails *[]*app.Failure) {
	fail := func(name string, err error) {
		by[name] = nil
		*fails = append(*fails, app.Failed(err, "group %s could not be described", name))
	}
	// A copy, because the client library writes over the names it is given.
	classic, err := c.adm.DescribeGroups(ctx, slices.Clone(names)...)
	var others []string
	for _, n := range names {
		g, ok := classic[n]
		switch {
		case !ok:
			fail(n, cmp.Or(err, error(kerr.CoordinatorNotAvailable)))
		case errors.Is(g.Err, kerr.GroupIDNotFound), g.Err == nil && g.State == "Dead":
			others = append(others, n)
		case g.Err != nil:
			fail(n, g.Err)
		default:
			by[n] = classicPage(g)
		}
	}
	if len(others) == 0 {
		return
	}
	consumer, err := c.adm.DescribeConsumerGroups(ctx, slices.Clone(others)...)
	for _, n := range others {
		g, ok := consumer[n]
		switch {
		// A broker that does not know this request has no such groups either.
		case !ok && err != nil && !errors.Is(err, kerr.UnsupportedVersion) && !strings.Contains(err.Error(), "unsupported") && !strings.Contains(err.Error(), "too old"):
			fail(n, err)
		case !ok, errors.Is(g.Err, kerr.GroupIDNotFound), g.Err == nil && g.State == "Dead", errors.Is(g.Err, kerr.UnsupportedVersion):
		case g.Err != nil:
			fail(n, g.Err)
		default:
			by[n] = consumerPage(g)
		}
	}
}

// classicPage begins the page of a classic group.
func classicPage(g kadm.DescribedGroup) *page {
	p := &page{
		Group: g.Group, State: g.State, Type: "classic", ProtocolType: g.ProtocolType, Protocol: g.Protocol, Coordinator: g.Coordinator.NodeID,
		Members: []member{}, Offsets: []offset{},
	}
	for _, m := range g.Members {
		as := []assignment{}
		if got, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range got.Topics {
				as = append(as, assignment{t.Topic, t.Partitions})
			}
		}
		p.Members = append(p.Members, newMember(m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, as))
	}
	return p
}

// consumerPage begins the page of a group of the type consumer.
func consumerPage(g kadm.DescribedConsumerGroup) *page {
	p := &page{
		Group: g.Group, State: g.State, Type: "consumer", ProtocolType: "consumer", Protocol: g.AssignorName, Coordinator: g.Coordinator.NodeID,
		Members: []member{}, Offsets: []offset{},
	}
	for _, m := range g.Members {
		as := []assignment{}
		for _, t := range m.Assignment.Sorted() {
			as = append(as, assignment{t.Topic, t.Partitions})
		}
		r := newMember(m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, as)
		r.Epoch = &m.MemberEpoch
		p.Members = append(p.Members, r)
	}
	return p
}

// newMember counts and sorts what a member reads.
func newMember(id string, instance *string, client, host string, as []assignment) member {
	m := member{MemberID: id, InstanceID: instance, ClientID: client, Host: strings.TrimPrefix(host, "/"), Assigned: as}
	app.Sort(as, func(x, y assignment) int { return strings.Compare(x.Topic, y.Topic) })
	for _, a := range as {
		slices.Sort(a.Partitions)
		m.Partitions += len(a.Partitions)
	}
	return m
}

// committed adds the committed offsets of groups, and the partitions that members read without having committed.
func (c *cluster) committed(ctx context.Context, names []string, by map[string]*page, fails *[]*app.Failure) {
	for part := range slices.Chunk(names, atOnce) {
		got := c.adm.FetchManyOffsets(ctx, slices.Clone(part)...)
		for _, n := range part {
			res, ok := got[n]
			err := res.Err
			if !ok {
				err = kerr.CoordinatorNotAvailable
			}
			if err != nil {
				by[n] = nil
				*fails = append(*fails, app.Failed(err, "the offsets of group %s could not be read", n))
				continue
			}
			by[n].addOffsets(res.Fetched)
		}
	}
}

// addOffsets joins what is committed with what the members read.
func (p *page) addOffsets(fetched kadm.OffsetResponses) {
	rows := map[partition]offset{}
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil || o.At < 0 {
			return
		}
		rows[partition{o.Topic, o.Partition}] = offset{
			Topic: o.Topic, Partition: o.Partition, Committed: o.At, Start: -1, End: -1, Lag: -1, Metadata: o.Metadata,
		}
	})
	for _, m := range p.Members {
		for _, a := range m.Assigned {
			for _, i := range a.Partitions {
				key := partition{a.Topic, i}
				r, ok := rows[key]
				if !ok {
					r = offset{Topic: a.Topic, Partition: i, Committed: -1, Start: -1, End: -1, Lag: -1}
				}
				r.MemberID, r.ClientID, r.Host = m.MemberID, m.ClientID, m.Host
				rows[key] = r
			}
		}
	}
	for _, key := range sortedKeys(rows) {
		p.Offsets = append(p.Offsets, rows[key])
	}
}

// lags fills in how far groups are behind.
func (c *cluster) lags(ctx context.Context, pages []page, deep depth, now time.Time) error {
	all := map[partition]bool{}
	for _, p := range pages {
		for _, o := range p.Offsets {
			all[o.key()] = true
		}
	}
	keys := sortedKeys(all)
	if err := c.know(ctx, topicsOf(keys)); err != nil {
		return err
	}
	starts, ends := c.bounds(ctx, keys)
	// Several groups may be at one place: it is read once. Two places of one partition are read one after another.
	var rounds []map[partition]int64
	for i := range pages {
		for j := range pages[i].Offsets {
			o := &pages[i].Offsets[j]
			start, ok := starts[o.key()]
			end, too := ends[o.key()]
			_, exists := c.leader(o.key())
			o.place(start.offset, end.offset, ok && too, exists)
			if deep < timeDepth || o.Lag <= 0 {
				continue
			}
			at, put := o.next(), false
			for _, r := range rounds {
				if was, taken := r[o.key()]; !taken || was == at {
					r[o.key()], put = at, true
					break
				}
			}
			if !put && len(rounds) < mostRounds {
				rounds = append(rounds, map[partition]int64{o.key(): at})
			}
		}
	}
	found := map[partition]map[int64]int64{}
	ctx, cancel := context.WithTimeout(ctx, timesWithin)
	defer cancel()
	for _, r := range rounds {
		for p, ms := range c.times(ctx, r) {
			if found[p] == nil {
				found[p] = map[int64]int64{}
			}
			found[p][r[p]] = ms
		}
	}
	for i := range pages {
		pages[i].sum(found, deep, now)
	}
	return nil
}

// mostRounds is how many groups at different places of one partition have their lag in seconds computed.
const mostRounds = 100

// place puts the bounds of its partition beside a committed offset.
func (o *offset) place(start, end int64, known, exists bool) {
	switch {
	case !exists:
		o.Note = "there is no such partition now"
		return
	case !known:
		o.Note = "the partition has no leader"
		return
	}
	o.Start, o.End = start, end
	switch {
	case o.Committed < 0:
	case o.Committed > end:
		o.Lag, o.Note = 0, "after the end: out of range"
	case o.Committed < start:
		o.Lag, o.Note = end-start, "before the start: out of range"
	default:
		o.Lag = end - o.Committed
	}
}

// next is the offset of the oldest record that is there and not yet read.
func (o *offset) next() int64 { return max(o.Committed, o.Start) }

// sum adds the lag of partitions up. found has the timestamps of records by partition and offset.
func (p *page) sum(found map[partition]map[int64]int64, deep depth, now time.Time) {
	all := true
	var most *float64
	for i := range p.Offsets {
		o := &p.Offsets[i]
		p.Lag += max(o.Lag, 0)
		if deep < timeDepth || o.Lag < 0 {
			continue
		}
		seconds := 0.0
		if o.Lag > 0 {
			ms, ok := found[o.key()][o.next()]
			if !ok {
				all = false
				continue
			}
			text := app.TimeText(ms)
			o.Oldest = &text
			seconds = max(float64(now.UnixMilli()-ms)/1000, 0)
		}
		o.LagSeconds = &seconds
		if most == nil || seconds > *most {
			most = &seconds
		}
	}
	if all {
		p.LagSeconds = most
	}
}

// secondsText is a lag in time for people, a dash for unknown.
func secondsText(s *float64) string {
	if s == nil {
		return "-"
	}
	if *s == 0 {
		return "0 s"
	}
	return app.DurationText(time.Duration(*s*1000) * time.Millisecond)
}

// missing are the failures for groups that are neither classic nor of the type consumer: they are not there, or of a
// type that commits no offsets of its own.
func (c *cluster) missing(ctx context.Context, names []string) (fails []*app.Failure) {
	if len(names) == 0 {
		return nil
	}
	rows, _, _ := listed(ctx, c.cl) // without it there is no advice
	var known []string
	types := map[string]string{}
	for _, r := range rows {
		known = append(known, r.Group)
		types[r.Group] = r.Type
	}
	for _, n := range names {
		f := app.NotFound("group", n, "klamm group list")
		if t := types[n]; t != "" && !describable(t) {
			f = &app.Failure{Exit: app.ExitFailed, Code: app.CodeNotHere, What: fmt.Sprintf("group %s is of the type %s", n, t), Why: "this shows and moves groups of the types classic and consumer alone", Try: "klamm group list --type " + t}
		} else if near := app.Nearest(n, known); near != "" && near != n {
			f.Try = "did you mean " + near + "? " + f.Try
		}
		fails = append(fails, f)
	}
	return fails
}

// describable says that groups of a type have members and offsets as this package knows them; brokers of old do not
// tell the type of the only one that they have.
func describable(kind string) bool { return kind == "" || kind == "classic" || kind == "consumer" }

// groupNames are all groups there are that commit offsets, in order.
func groupNames(ctx context.Context, cl *kgo.Client) ([]string, error) {
	rows, _, err := listed(ctx, cl)
	if err != nil {
		return nil, app.Failed(err, "the groups could not be listed")
	}
	var names []string
	for _, r := range rows {
		if describable(r.Type) {
			names = append(names, r.Group)
		}
	}
	return names, nil
}

// stillThere leaves out the failures of groups that went between being listed and being asked.
func stillThere(fails []*app.Failure) []*app.Failure {
	return slices.DeleteFunc(fails, func(f *app.Failure) bool { return f.Exit == app.ExitNotFound })
}
