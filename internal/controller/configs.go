package controller

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// AnyReceiver, as the receiver of an alteration, allows every registered broker as a resource.
const AnyReceiver int32 = -1

// The operations of IncrementalAlterConfigs (KIP-339).
const (
	opSet      = 0
	opDelete   = 1
	opAppend   = 2
	opSubtract = 3
)

// alteration is what is asked of one resource, whichever API asked.
type alteration struct {
	kind    int8
	name    string
	ops     []op
	replace bool // keys that are not named go back to their defaults
}

type op struct {
	key   string
	code  int8
	value *string
}

type resourceResult struct {
	kind int8
	name string
	err  error
}

// IncrementalAlterConfigs decides on an IncrementalAlterConfigs request that a client sent
// to the broker receiver; a broker's configs are changed through that broker alone.
// The response is a *wire.IncrementalAlterConfigsResponse. Resources of type
// BROKER_LOGGER never come here.
func IncrementalAlterConfigs(req *wire.IncrementalAlterConfigsRequest, receiver int32) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		var all []alteration
		for _, r := range req.Resources {
			a := alteration{kind: r.ResourceType, name: r.ResourceName}
			for _, c := range r.Configs {
				a.ops = append(a.ops, op{c.Name, c.ConfigOperation, c.Value})
			}
			all = append(all, a)
		}
		recs, results := alter(img, env, all, receiver)
		resp := &wire.IncrementalAlterConfigsResponse{Responses: []wire.IncrementalAlterConfigsResponseAlterConfigsResourceResponse{}}
		for _, r := range results {
			resp.Responses = append(resp.Responses, wire.IncrementalAlterConfigsResponseAlterConfigsResourceResponse{
				ResourceType: r.kind, ResourceName: r.name, ErrorCode: int16(code.Of(r.err)), ErrorMessage: code.Message(r.err)})
		}
		if req.ValidateOnly {
			recs = nil
		}
		return recs, resp, nil
	}
}

// AlterConfigs decides on a request of the old AlterConfigs, which replaces all
// configs of a resource. The response is a *wire.AlterConfigsResponse. See IncrementalAlterConfigs.
func AlterConfigs(req *wire.AlterConfigsRequest, receiver int32) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		var all []alteration
		for _, r := range req.Resources {
			a := alteration{kind: r.ResourceType, name: r.ResourceName, replace: true}
			for _, c := range r.Configs {
				a.ops = append(a.ops, op{c.Name, opSet, c.Value})
			}
			all = append(all, a)
		}
		recs, results := alter(img, env, all, receiver)
		resp := &wire.AlterConfigsResponse{Responses: []wire.AlterConfigsResponseAlterConfigsResourceResponse{}}
		for _, r := range results {
			resp.Responses = append(resp.Responses, wire.AlterConfigsResponseAlterConfigsResourceResponse{
				ResourceType: r.kind, ResourceName: r.name, ErrorCode: int16(code.Of(r.err)), ErrorMessage: code.Message(r.err)})
		}
		if req.ValidateOnly {
			recs = nil
		}
		return recs, resp, nil
	}
}

func alter(img *metadata.Image, env *Env, all []alteration, receiver int32) (recs []metadata.Record, results []resourceResult) {
	named := map[metadata.ConfigResource]int{}
	for _, a := range all {
		named[metadata.ConfigResource{Type: a.kind, Name: a.name}]++
	}
	settle := map[metadata.ConfigResource]bool{}
	for _, a := range all {
		var changes []*wire.ConfigRecord
		var err error
		if named[metadata.ConfigResource{Type: a.kind, Name: a.name}] > 1 {
			err = code.Errorf(code.InvalidRequest, "Resource '%s' of type %d comes more than once; name each resource once.", a.name, a.kind)
		} else {
			changes, err = a.decide(img, env, receiver)
		}
		results = append(results, resourceResult{a.kind, a.name, err})
		for _, c := range changes {
			recs = append(recs, c)
			if c.Name == minInsyncReplicas || c.Name == uncleanLeaderElection {
				settle[metadata.ConfigResource{Type: a.kind, Name: a.name}] = true
			}
		}
	}
	return append(recs, settleAfter(img, env, recs, settle)...), results
}

// scopes are the resource types that configs can be altered of, with their keys' scopes.
func scopeOf(resourceType int8) (config.Scope, bool) {
	switch resourceType {
	case metadata.TopicResource:
		return config.Topic, true
	case metadata.BrokerResource:
		return config.Broker, true
	case metadata.ClientMetricsResource:
		return config.ClientMetrics, true
	case metadata.GroupResource:
		return config.Group, true
	}
	return 0, false
}

// decide returns the records that change one resource.
func (a *alteration) decide(img *metadata.Image, env *Env, receiver int32) ([]*wire.ConfigRecord, error) {
	scope, ok := scopeOf(a.kind)
	if !ok {
		return nil, code.Errorf(code.InvalidRequest, "Unknown resource type %d; topics are %d, brokers %d, client metrics %d, groups %d.", a.kind,
			metadata.TopicResource, metadata.BrokerResource, metadata.ClientMetricsResource, metadata.GroupResource)
	}
	if err := a.exists(img, receiver); err != nil {
		return nil, err
	}
	old := img.Config(a.kind, a.name)
	next := map[string]string{}
	if !a.replace {
		next = maps.Clone(old)
	}
	if next == nil {
		next = map[string]string{}
	}
	seen := map[string]bool{}
	for _, o := range a.ops {
		if seen[o.key] {
			return nil, code.Errorf(code.InvalidRequest, "Config '%s' of '%s' comes more than once; name each key once.", o.key, a.name)
		}
		seen[o.key] = true
		if o.code < opSet || o.code > opSubtract {
			return nil, code.Errorf(code.InvalidRequest, "Unknown operation %d on config '%s'; SET is 0, DELETE 1, APPEND 2, SUBTRACT 3.", o.code, o.key)
		}
		if o.code == opDelete {
			delete(next, o.key)
			continue
		}
		if o.value == nil {
			return nil, code.Errorf(code.InvalidRequest, "Null value not supported for config '%s'; delete it for the default.", o.key)
		}
		value := *o.value
		if o.code != opSet {
			var err error
			if value, err = a.edit(img, env, scope, o, next); err != nil {
				return nil, err
			}
		}
		if err := a.validate(env, scope, o.key, value); err != nil {
			return nil, err
		}
		next[o.key] = value
	}
	switch scope {
	case config.Topic:
		if err := validateTogether(next); err != nil {
			return nil, err
		}
	case config.Group:
		if err := validateGroup(img, env, next); err != nil {
			return nil, err
		}
	}
	var recs []*wire.ConfigRecord
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, kept := next[key]; !kept {
			recs = append(recs, &wire.ConfigRecord{ResourceType: a.kind, ResourceName: a.name, Name: key})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(next)) {
		value := next[key]
		if was, had := old[key]; !had || was != value {
			recs = append(recs, &wire.ConfigRecord{ResourceType: a.kind, ResourceName: a.name, Name: key, Value: &value})
		}
	}
	return recs, nil
}

// exists says whether the resource can have configs.
func (a *alteration) exists(img *metadata.Image, receiver int32) error {
	switch {
	case a.kind == metadata.TopicResource:
		if a.name == "" {
			return code.Errorf(code.InvalidRequest, "Default topic resources are not allowed; name a topic, or alter the brokers' default ('' of type %d).", metadata.BrokerResource)
		}
		if err := ValidateTopicName(a.name); err != nil {
			return err
		}
		if img.Topic(a.name) == nil {
			return code.Errorf(code.UnknownTopicOrPartition, "The topic '%s' does not exist.", a.name)
		}
	case a.kind == metadata.BrokerResource && a.name != "":
		id, err := strconv.ParseInt(a.name, 10, 32)
		if err != nil {
			return code.Errorf(code.InvalidRequest, "Broker '%s' is no number; give the broker's id, or '' for the default of all brokers.", a.name)
		}
		if receiver != AnyReceiver && int32(id) != receiver {
			return code.Errorf(code.InvalidRequest, "Configs of broker %d were sent to broker %d; send them to the broker itself.", id, receiver)
		}
		if receiver == AnyReceiver && img.Broker(int32(id)) == nil {
			return code.Errorf(code.BrokerIdNotRegistered, "No broker with id %d is registered.", id)
		}
	case a.kind == metadata.ClientMetricsResource && a.name == "":
		return code.Errorf(code.InvalidRequest, "The name of a client metrics subscription can't be empty; name one.")
	case a.kind == metadata.GroupResource && a.name == "":
		return code.Errorf(code.InvalidRequest, "Default group resources are not allowed; name a group.")
	}
	return nil
}

// validate says whether a key may have that value.
func (a *alteration) validate(env *Env, scope config.Scope, key, value string) error {
	k, known := env.Keys.Lookup(scope, key)
	switch scope {
	case config.Broker:
		if !known {
			return nil // Kafka keeps keys it does not know for plug-ins of the broker
		}
		if k.Update == config.ReadOnly {
			return code.Errorf(code.InvalidRequest, "Cannot update %s dynamically: it is read at start; set it in the broker's file and restart.", key)
		}
		if k.Update == config.PerBroker && a.name == "" {
			return code.Errorf(code.InvalidRequest, "Cannot update %s as the default of all brokers; name a broker.", key)
		}
		if key == minInsyncReplicas && a.name != "" {
			return code.Errorf(code.InvalidConfig, "Broker-level %s cannot be altered, as all replicas of a partition must agree on it; alter the default of all brokers or the topic.", key)
		}
		if err := k.Validate(value); err != nil {
			return code.Errorf(code.InvalidRequest, "%s", err.Error())
		}
		return nil
	case config.ClientMetrics:
		if !known {
			return code.Errorf(code.InvalidRequest, "%s", env.Keys.Validate(scope, key, value).Error())
		}
		// Kafka tells a value of the wrong type from one out of range by the code.
		if err := k.Validate(value); err != nil {
			if _, bad := k.Normalize(value); bad == nil && k.Kind == config.Int {
				return code.Errorf(code.InvalidRequest, "%s", err.Error())
			}
			return err
		}
		return nil
	}
	return env.Keys.Validate(scope, key, value)
}

// edit returns a list's value after elements were appended or taken away.
func (a *alteration) edit(img *metadata.Image, env *Env, scope config.Scope, o op, values map[string]string) (string, error) {
	k, known := env.Keys.Lookup(scope, o.key)
	if !known {
		return "", env.Keys.Validate(scope, o.key, "")
	}
	if k.Kind != config.List {
		return "", code.Errorf(code.InvalidConfig, "Can't append to or subtract from %s because its type is %s and not LIST; set it.", o.key, k.Kind)
	}
	layers := env.layers(img, values)
	if scope == config.Broker {
		layers = config.Layers{Broker: values, Static: env.Static}
		if a.name == "" {
			layers = config.Layers{ClusterDefault: values, Static: env.Static}
		}
	}
	current, _, _ := env.Keys.Value(scope, o.key, layers)
	list := config.SplitList(current)
	for _, e := range config.SplitList(*o.value) {
		has := slices.Contains(list, e)
		switch {
		case o.code == opAppend && !has:
			list = append(list, e)
		case o.code == opSubtract && has:
			list = slices.DeleteFunc(list, func(x string) bool { return x == e })
		}
	}
	return strings.Join(list, ","), nil
}

// validateTogether checks what no key can check alone.
func validateTogether(values map[string]string) error {
	low, lowErr := strconv.ParseInt(values["min.compaction.lag.ms"], 10, 64)
	high, highErr := strconv.ParseInt(values["max.compaction.lag.ms"], 10, 64)
	if lowErr == nil && highErr == nil && low > high {
		return code.Errorf(code.InvalidConfig, "min.compaction.lag.ms (%d) is greater than max.compaction.lag.ms (%d); make it at most that.", low, high)
	}
	return nil
}

// settleAfter returns what becomes of partitions when min.insync.replicas or
// unclean.leader.election.enable of the resources changes with recs. Whoever has its
// minimum from now on has an empty ELR, since the watermark may pass what the ELR's
// members hold; those that stay below it keep theirs. Whoever has no leader may get one.
func settleAfter(img *metadata.Image, env *Env, recs []metadata.Record, resources map[metadata.ConfigResource]bool) (more []metadata.Record) {
	if len(resources) == 0 {
		return nil
	}
	after, _, err := img.Apply(recs, env.NextOffset, 0)
	if err != nil {
		return nil // the caller's own records, which it will find out by itself
	}
	everywhere := resources[metadata.ConfigResource{Type: metadata.BrokerResource}]
	for t := range after.Topics() {
		if everywhere || resources[metadata.ConfigResource{Type: metadata.TopicResource, Name: t.Name}] {
			more = append(more, changeTopic(after, env, t, func(p metadata.Partition) bool {
				return p.Leader == metadata.NoLeader || len(p.ELR)+len(p.LastKnownELR) > 0
			}, func(id int32) bool { return active(after, id) }, nil)...)
		}
	}
	return more
}

// validateGroup holds a group's own values within what the brokers allow to groups.
func validateGroup(img *metadata.Image, env *Env, values map[string]string) error {
	layers := env.layers(img, nil)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		kind, what, _ := strings.Cut(key, ".")
		n, err := strconv.ParseInt(values[key], 10, 64)
		if err != nil {
			continue
		}
		least, most := "group."+kind+".min."+what, "group."+kind+".max."+what
		if _, ok := env.Keys.Lookup(config.Broker, least); ok && n < env.Keys.Int64(config.Broker, least, layers) {
			return code.Errorf(code.InvalidConfig, "%s=%d is less than the brokers' %s (%d); make it at least that.", key, n, least, env.Keys.Int64(config.Broker, least, layers))
		}
		if _, ok := env.Keys.Lookup(config.Broker, most); ok && n > env.Keys.Int64(config.Broker, most, layers) {
			return code.Errorf(code.InvalidConfig, "%s=%d is more than the brokers' %s (%d); make it at most that.", key, n, most, env.Keys.Int64(config.Broker, most, layers))
		}
	}
	return nil
}
