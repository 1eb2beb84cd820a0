package api

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// The shapes of DescribeConfigs, by shorter names.
type (
	configsAsked  = wire.DescribeConfigsRequestDescribeConfigsResource
	configsResult = wire.DescribeConfigsResponseDescribeConfigsResult
	configEntry   = wire.DescribeConfigsResponseDescribeConfigsResourceResult
	configSynonym = wire.DescribeConfigsResponseDescribeConfigsSynonym
)

// describeConfigs shows the configuration of topics, brokers, loggers, groups and metrics
// subscriptions, with where each value comes from (KIP-226). What the caller may not see comes last.
func (b *Broker) describeConfigs(_ context.Context, c *rpc.Call, q *wire.DescribeConfigsRequest, _ *rpc.Reply) wire.Message {
	image := b.image()
	a := &wire.DescribeConfigsResponse{Results: []configsResult{}}
	var refused []configsResult
	for i := range q.Resources {
		asked := &q.Resources[i]
		r := configsResult{ResourceType: asked.ResourceType, ResourceName: asked.ResourceName, Configs: []configEntry{}}
		err := b.mayOnConfigs(c, auth.DescribeConfigs, asked.ResourceType, asked.ResourceName)
		if err != nil {
			r.ErrorCode, r.ErrorMessage = b.failure(err)
			refused = append(refused, r)
			continue
		}
		if entries, err := b.configsOf(image, asked); err != nil {
			r.ErrorCode, r.ErrorMessage = b.failure(err)
		} else {
			r.Configs = tailor(entries, asked.ConfigurationKeys, q.IncludeSynonyms, q.IncludeDocumentation)
		}
		a.Results = append(a.Results, r)
	}
	a.Results = append(a.Results, refused...)
	return a
}

// mayOnConfigs says whether the caller may describe or alter the configuration of a resource.
func (b *Broker) mayOnConfigs(c *rpc.Call, op auth.Operation, kind int8, name string) error {
	switch kind {
	case metadata.TopicResource:
		if !b.allowed(c, op, auth.Topic, name) {
			return code.TopicAuthorizationFailed
		}
	case metadata.GroupResource:
		if !b.allowed(c, op, auth.Group, name) {
			return code.GroupAuthorizationFailed
		}
	default:
		if !b.allowed(c, op, auth.Cluster, auth.ClusterName) {
			return code.ClusterAuthorizationFailed
		}
	}
	return nil
}

// configsOf returns all entries of a resource, with synonyms and documentation.
func (b *Broker) configsOf(image *metadata.Image, asked *configsAsked) ([]configEntry, error) {
	name := asked.ResourceName
	layers := b.layers(image)
	switch asked.ResourceType {
	case metadata.TopicResource:
		if err := controller.ValidateTopicName(name); err != nil {
			return nil, err
		}
		if image.Topic(name) == nil {
			return nil, code.UnknownTopicOrPartition
		}
		layers.Resource = image.Config(metadata.TopicResource, name)
		return b.entries(config.Topic, layers), nil
	case metadata.BrokerResource:
		if name == "" {
			return b.defaultsOfBrokers(layers), nil
		}
		if err := b.isMine(name); err != nil {
			return nil, err
		}
		return b.brokerEntries(layers), nil
	case metadata.BrokerLoggerResource:
		if err := b.loggersAreMine(name, true); err != nil {
			return nil, err
		}
		return b.loggerEntries(), nil
	case metadata.ClientMetricsResource:
		if name == "" {
			return nil, code.Errorf(code.InvalidRequest, "Client metrics subscription name must not be empty.")
		}
		layers.Resource = image.Config(metadata.ClientMetricsResource, name)
		return b.entries(config.ClientMetrics, layers), nil
	case metadata.GroupResource:
		if name == "" {
			return nil, code.Errorf(code.InvalidRequest, "Group name must not be empty.")
		}
		layers.Resource = image.Config(metadata.GroupResource, name)
		return b.entries(config.Group, layers), nil
	}
	return nil, unknownResource(asked.ResourceType)
}

// isMine says whether a broker's name as a resource is this broker's id.
func (b *Broker) isMine(name string) error {
	id, isNumber := parseBrokerID(name)
	if !isNumber {
		return code.Errorf(code.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
	}
	if id != b.NodeID {
		return code.Errorf(code.InvalidRequest, "Unexpected broker id, expected %d or empty string, but received %s; ask that broker itself.", b.NodeID, name)
	}
	return nil
}

// parseBrokerID reads a broker's id.
func parseBrokerID(name string) (id int32, isNumber bool) {
	n, err := strconv.ParseInt(name, 10, 32)
	return int32(n), err == nil
}

// entries are all keys of a scope with their effective values.
func (b *Broker) entries(scope config.Scope, layers config.Layers) []configEntry {
	keys := b.Keys.Keys(scope)
	list := make([]configEntry, 0, len(keys))
	for _, k := range keys {
		list = append(list, b.entry(k, layers))
	}
	return list
}

// brokerEntries are this broker's keys, and what its file or its dynamic configuration says beyond these.
func (b *Broker) brokerEntries(layers config.Layers) []configEntry {
	list := b.entries(config.Broker, layers)
	seen := map[string]bool{}
	for _, values := range []map[string]string{layers.Broker, layers.ClusterDefault, layers.Static} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if _, known := b.Keys.Lookup(config.Broker, name); known || seen[name] {
				continue
			}
			seen[name] = true
			list = append(list, unknownEntry(name, layers))
		}
	}
	return list
}

// defaultsOfBrokers are the keys that are set for all brokers while running, from that layer alone.
func (b *Broker) defaultsOfBrokers(layers config.Layers) []configEntry {
	list := []configEntry{}
	for _, name := range slices.Sorted(maps.Keys(layers.ClusterDefault)) {
		k, ok := b.Keys.Lookup(config.Broker, name)
		if !ok {
			list = append(list, unknownEntry(name, config.Layers{ClusterDefault: layers.ClusterDefault}))
			continue
		}
		e := b.entry(k, config.Layers{ClusterDefault: layers.ClusterDefault})
		e.Synonyms = slices.DeleteFunc(e.Synonyms, func(s configSynonym) bool { return s.Source != int8(config.DynamicDefaultBroker) })
		list = append(list, e)
	}
	return list
}

// unknownEntry shows a broker's key that no room knows: it may be a secret of a plug-in, so its value is hidden.
func unknownEntry(name string, layers config.Layers) configEntry {
	e := configEntry{Name: name, IsSensitive: true, ReadOnly: true}
	for _, l := range []struct {
		values map[string]string
		source config.Source
	}{{layers.Broker, config.DynamicBroker}, {layers.ClusterDefault, config.DynamicDefaultBroker}, {layers.Static, config.StaticBroker}} {
		if _, ok := l.values[name]; ok {
			e.Synonyms = append(e.Synonyms, configSynonym{Name: name, Source: int8(l.source)})
		}
	}
	e.ConfigSource = e.Synonyms[0].Source
	return e
}

// entry is one key of a resource as DescribeConfigs shows it. Secrets are shown as null.
func (b *Broker) entry(k *config.Key, layers config.Layers) configEntry {
	value, null, source := b.Keys.Value(k.Scope, k.Name, layers)
	doc := k.Doc
	if k.NoEffect != "" {
		doc += " It has no effect here: " + k.NoEffect + "."
	}
	e := configEntry{
		Name: k.Name, ReadOnly: k.Scope == config.Broker && k.Update == config.ReadOnly, IsDefault: source == config.Default,
		ConfigSource: int8(source), IsSensitive: k.Secret(), ConfigType: int8(k.Kind), Documentation: &doc,
	}
	if !null && !k.Secret() {
		e.Value = &value
	}
	for _, s := range b.Keys.Synonyms(k.Scope, k.Name, layers) {
		synonym := configSynonym{Name: s.Name, Source: int8(s.Source)}
		if !k.Secret() {
			synonym.Value = &s.Value
		}
		e.Synonyms = append(e.Synonyms, synonym)
	}
	return e
}

// tailor keeps the entries that were asked for (all, when none is named), and of these what was asked for.
func tailor(entries []configEntry, keys []string, synonyms, documentation bool) []configEntry {
	if len(keys) > 0 {
		entries = slices.DeleteFunc(entries, func(e configEntry) bool { return !slices.Contains(keys, e.Name) })
	}
	for i := range entries {
		if !synonyms || entries[i].Synonyms == nil {
			entries[i].Synonyms = []configSynonym{}
		}
		if !documentation {
			entries[i].Documentation = nil
		}
	}
	return entries
}

func unknownResource(kind int8) error {
	return code.Errorf(code.InvalidRequest, "Unknown resource type %d; topics are %d, brokers %d, their loggers %d, client metrics %d, groups %d.", kind,
		metadata.TopicResource, metadata.BrokerResource, metadata.BrokerLoggerResource, metadata.ClientMetricsResource, metadata.GroupResource)
}

// alterConfigs replaces the configuration of resources: keys that are not named go back to their defaults.
func (b *Broker) alterConfigs(ctx context.Context, c *rpc.Call, q *wire.AlterConfigsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.AlterConfigsResponse{Responses: make([]wire.AlterConfigsResponseAlterConfigsResourceResponse, len(q.Resources))}
	ask := &wire.AlterConfigsRequest{ValidateOnly: q.ValidateOnly}
	var at []int // the places in a of what is asked
	named := repeated(q.Resources, func(r *wire.AlterConfigsRequestAlterConfigsResource) metadata.ConfigResource {
		return metadata.ConfigResource{Type: r.ResourceType, Name: r.ResourceName}
	})
	for i := range q.Resources {
		r := q.Resources[i]
		d := &a.Responses[i]
		d.ResourceType, d.ResourceName = r.ResourceType, strings.Clone(r.ResourceName)
		r.ResourceName, r.Configs = d.ResourceName, slices.Clone(r.Configs)
		for k := range r.Configs {
			r.Configs[k].Name, r.Configs[k].Value = strings.Clone(r.Configs[k].Name), cloneString(r.Configs[k].Value)
		}
		err := b.alterable(c, r.ResourceType, r.ResourceName, named)
		if err == nil && r.ResourceType == metadata.BrokerLoggerResource {
			err = code.Errorf(code.InvalidRequest, "Unknown resource type %d", r.ResourceType)
		}
		if err != nil {
			d.ErrorCode, d.ErrorMessage = b.failure(err)
			continue
		}
		ask.Resources, at = append(ask.Resources, r), append(at, i)
	}
	if len(ask.Resources) == 0 {
		return a
	}
	response, err := b.decide(ctx, controller.AlterConfigs(ask, b.NodeID))
	for n, i := range at {
		if err != nil {
			a.Responses[i].ErrorCode, a.Responses[i].ErrorMessage = b.failure(err)
		} else {
			a.Responses[i] = response.(*wire.AlterConfigsResponse).Responses[n]
		}
	}
	return a
}

// incrementalAlterConfigs changes the named keys of resources and leaves the others (KIP-339).
func (b *Broker) incrementalAlterConfigs(ctx context.Context, c *rpc.Call, q *wire.IncrementalAlterConfigsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.IncrementalAlterConfigsResponse{Responses: make([]wire.IncrementalAlterConfigsResponseAlterConfigsResourceResponse, len(q.Resources))}
	ask := &wire.IncrementalAlterConfigsRequest{ValidateOnly: q.ValidateOnly}
	var at []int // the places in a of what is asked
	named := repeated(q.Resources, func(r *wire.IncrementalAlterConfigsRequestAlterConfigsResource) metadata.ConfigResource {
		return metadata.ConfigResource{Type: r.ResourceType, Name: r.ResourceName}
	})
	for i := range q.Resources {
		r := q.Resources[i]
		d := &a.Responses[i]
		d.ResourceType, d.ResourceName = r.ResourceType, strings.Clone(r.ResourceName)
		r.ResourceName, r.Configs = d.ResourceName, slices.Clone(r.Configs)
		for k := range r.Configs {
			r.Configs[k].Name, r.Configs[k].Value = strings.Clone(r.Configs[k].Name), cloneString(r.Configs[k].Value)
		}
		isLogger := r.ResourceType == metadata.BrokerLoggerResource
		err := b.alterable(c, r.ResourceType, r.ResourceName, named)
		if err == nil && isLogger {
			if err = checkLoggerKeys(r.Configs); err == nil {
				err = b.alterLoggers(r.ResourceName, r.Configs, q.ValidateOnly)
			}
		}
		if err != nil {
			d.ErrorCode, d.ErrorMessage = b.failure(err)
			continue
		}
		if isLogger {
			continue
		}
		ask.Resources, at = append(ask.Resources, r), append(at, i)
	}
	if len(ask.Resources) == 0 {
		return a
	}
	response, err := b.decide(ctx, controller.IncrementalAlterConfigs(ask, b.NodeID))
	for n, i := range at {
		if err != nil {
			a.Responses[i].ErrorCode, a.Responses[i].ErrorMessage = b.failure(err)
		} else {
			a.Responses[i] = response.(*wire.IncrementalAlterConfigsResponse).Responses[n]
		}
	}
	return a
}

// repeated returns the resources that a request names more than once.
func repeated[T any](list []T, resource func(*T) metadata.ConfigResource) map[metadata.ConfigResource]bool {
	named := make(map[metadata.ConfigResource]bool, len(list))
	for i := range list {
		r := resource(&list[i])
		_, again := named[r]
		named[r] = again
	}
	return named
}

// alterable checks what the controller does not: who asks, and resources that come twice.
func (b *Broker) alterable(c *rpc.Call, kind int8, name string, again map[metadata.ConfigResource]bool) error {
	if again[metadata.ConfigResource{Type: kind, Name: name}] {
		return code.Errorf(code.InvalidRequest, "Each resource must appear at most once; '%s' of type %d does not.", name, kind)
	}
	return b.mayOnConfigs(c, auth.AlterConfigs, kind, name)
}

// listConfigResources names the resources of the types that are asked for, all types when none is;
// before version 1 that is metrics subscriptions alone (KIP-1142).
func (b *Broker) listConfigResources(_ context.Context, c *rpc.Call, q *wire.ListConfigResourcesRequest, _ *rpc.Reply) wire.Message {
	a := &wire.ListConfigResourcesResponse{ConfigResources: []wire.ListConfigResourcesResponseConfigResource{}}
	if !b.allowed(c, auth.DescribeConfigs, auth.Cluster, auth.ClusterName) {
		a.ErrorCode = int16(code.ClusterAuthorizationFailed)
		return a
	}
	known := []int8{metadata.TopicResource, metadata.BrokerResource, metadata.BrokerLoggerResource, metadata.ClientMetricsResource, metadata.GroupResource}
	types := q.ResourceTypes
	switch {
	case c.Header.Version == 0:
		types = []int8{metadata.ClientMetricsResource}
	case len(types) == 0:
		types = known
	}
	if slices.ContainsFunc(types, func(t int8) bool { return !slices.Contains(known, t) }) {
		a.ErrorCode = int16(code.UnsupportedVersion)
		return a
	}
	add := func(kind int8, name string) {
		a.ConfigResources = append(a.ConfigResources, wire.ListConfigResourcesResponseConfigResource{ResourceName: name, ResourceType: kind})
	}
	image := b.image()
	for _, kind := range known {
		if !slices.Contains(types, kind) {
			continue
		}
		switch kind {
		case metadata.TopicResource:
			for t := range image.Topics() {
				add(kind, t.Name)
			}
		case metadata.BrokerResource, metadata.BrokerLoggerResource:
			b.reachable(image, c.Conn, false, func(broker *metadata.Broker, _ string, _ int32) { add(kind, brokerName(broker.ID)) })
		default:
			for r := range image.ConfigResources() {
				if r.Type == kind {
					add(kind, r.Name)
				}
			}
		}
	}
	return a
}
