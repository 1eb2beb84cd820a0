package settings

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// behind are the brokers' keys that count when a topic's key is not set, for those of which brokers do not tell:
// the first that has a value wins.
func behind(key string) []string {
	switch key {
	case "retention.ms":
		return []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}
	case "segment.ms":
		return []string{"log.roll.ms", "log.roll.hours"}
	case "segment.jitter.ms":
		return []string{"log.roll.jitter.ms", "log.roll.jitter.hours"}
	}
	return nil
}

// LookBehind adds what counts for topics when a key is not set, where the answer about the topics left it out:
// brokers tell nothing of retention.ms when it is log.retention.hours that stands behind it. It asks one
// broker, and only when there is something to ask.
func LookBehind(ctx context.Context, cl *kgo.Client, broker int32, topics map[string]*Resource) {
	var keys []string
	for _, r := range topics {
		for _, row := range r.Rows {
			if row.hidden() && !slices.Contains(keys, row.Key) {
				keys = append(keys, row.Key)
			}
		}
	}
	if len(keys) == 0 || broker < 0 {
		return
	}
	var ask []string
	for _, k := range keys {
		ask = append(ask, behind(k)...)
	}
	name := strconv.Itoa(int(broker))
	of := Describe(ctx, cl, Query{Kind: kmsg.ConfigResourceTypeBroker, Names: []string{name}, Keys: ask})[name]
	for _, r := range topics {
		for i := range r.Rows {
			if r.Rows[i].hidden() {
				r.Rows[i].lookBehind(of)
			}
		}
	}
}

// hidden says that a row does not show what counts when it is not set.
func (r Row) hidden() bool {
	return behind(r.Key) != nil && r.from == kmsg.ConfigSourceDynamicTopicConfig && !slices.ContainsFunc(r.layers, func(l layer) bool { return l.source > r.from })
}

// lookBehind takes over what a broker has.
func (r *Row) lookBehind(broker *Resource) {
	for _, key := range behind(r.Key) {
		row, ok := broker.Row(key)
		if !ok || row.Value == nil {
			continue
		}
		value := inUnitOf(r.Key, key, row.Value)
		if len(r.layers) == 0 {
			r.layers = append(r.layers, layer{r.Value, r.from})
		}
		r.layers = append(r.layers, layer{value, row.from})
		if row.IsDefault() {
			r.Default = value
		}
		return
	}
}
