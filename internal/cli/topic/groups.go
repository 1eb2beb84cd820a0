package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// lag is a group that has committed offsets in a topic.
type lag struct {
	Group      string `json:"group"`
	State      string `json:"state"`      // empty when the broker does not tell
	Partitions int    `json:"partitions"` // with a committed offset
	Lag        int64  `json:"lag"`        // records from the committed offsets to the ends
}

// What readers asks at most, so that a cluster with very many groups is not kept busy by a look at one topic.
const (
	mostGroups  = 5000 // groups in all
	groupsAtOne = 500  // groups in one request
)

// readers finds the groups that have committed offsets in topics, by topic, sorted by name. note is a sentence
// when not all groups were looked at.
func readers(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail, ends func(partition) (int64, bool)) (by map[string][]lag, note string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		var one *kadm.ShardErrors
		if !errors.As(err, &one) {
			return nil, "the groups could not be listed: " + err.Error()
		}
		note = "not all brokers tell of their groups"
	}
	var groups []kadm.ListedGroup
	for _, g := range listed.Sorted() {
		if g.ProtocolType != "share" { // share groups have no committed offsets
			groups = append(groups, g)
		}
	}
	if len(groups) > mostGroups {
		note = fmt.Sprintf("of %d groups, %d were asked; klamm group describe NAME shows one", len(groups), mostGroups)
		groups = groups[:mostGroups]
	}
	var asked []kmsg.OffsetFetchRequestGroupTopic
	for _, t := range topics {
		rt := kmsg.NewOffsetFetchRequestGroupTopic()
		rt.Topic, rt.TopicID, rt.Partitions = t.Topic, t.ID, t.Partitions.Numbers()
		asked = append(asked, rt)
	}
	states := make(map[string]string, len(groups))
	by = map[string][]lag{}
	for part := range slices.Chunk(groups, groupsAtOne) {
		req := kmsg.NewPtrOffsetFetchRequest()
		for _, g := range part {
			states[g.Group] = g.State
			rg := kmsg.NewOffsetFetchRequestGroup()
			rg.Group, rg.Topics = g.Group, asked
			req.Groups = append(req.Groups, rg)
		}
		for _, shard := range cl.RequestSharded(ctx, req) {
			if shard.Err != nil {
				note = "not all brokers tell of their groups"
				continue
			}
			// A group whose offsets may not be seen, or that is gone by now, has an error and no offsets.
			for _, g := range shard.Resp.(*kmsg.OffsetFetchResponse).Groups {
				for _, t := range g.Topics {
					l := lag{Group: g.Group, State: states[g.Group]}
					for _, p := range t.Partitions {
						if p.ErrorCode != 0 || p.Offset < 0 {
							continue
						}
						l.Partitions++
						if end, ok := ends(partition{t.Topic, p.Partition}); ok {
							l.Lag += max(end-p.Offset, 0)
						}
					}
					if l.Partitions > 0 {
						by[t.Topic] = append(by[t.Topic], l)
					}
				}
			}
		}
	}
	for _, list := range by {
		app.Sort(list, func(x, y lag) int { return strings.Compare(x.Group, y.Group) })
	}
	return by, note
}

// addGroups puts the groups that read a topic into its page.
func addGroups(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail, pages []page) {
	ends := map[partition]int64{}
	for _, p := range pages {
		for _, i := range p.Partitions {
			if i.End >= 0 {
				ends[partition{p.Name, i.Partition}] = i.End
			}
		}
	}
	by, note := readers(ctx, cl, adm, topics, func(p partition) (int64, bool) { end, ok := ends[p]; return end, ok })
	for i := range pages {
		p := &pages[i]
		p.Groups = by[p.Name]
		if p.Groups == nil && by != nil {
			p.Groups = []lag{}
		}
		if note != "" {
			p.Notes = append(p.Notes, note)
		}
	}
}
