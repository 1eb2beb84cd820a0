package config

import (
	"fmt"
	"strconv"
)

// Source says which layer a value comes from. The numbers are those of DescribeConfigs (ConfigSource).
type Source int8

// The layers that a value may come from.
const (
	DynamicTopic         Source = 1 // the topic's own
	DynamicBroker        Source = 2 // set on this broker while running
	DynamicDefaultBroker Source = 3 // set for all brokers while running
	StaticBroker         Source = 4 // the broker's file
	Default              Source = 5 // nobody set it
	DynamicBrokerLogger  Source = 6 // a logger's own level
	DynamicClientMetrics Source = 7 // the metrics subscription's own
	DynamicGroup         Source = 8 // the group's own
)

// String returns Kafka's name of the source.
func (s Source) String() string {
	names := [...]string{"UNKNOWN", "DYNAMIC_TOPIC_CONFIG", "DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG",
		"STATIC_BROKER_CONFIG", "DEFAULT_CONFIG", "DYNAMIC_BROKER_LOGGER_CONFIG", "DYNAMIC_CLIENT_METRICS_CONFIG", "DYNAMIC_GROUP_CONFIG"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("UNKNOWN_%d", int8(s))
	}
	return names[s]
}

// Static is a broker's file after aliases: key to value.
type Static map[string]string

// Layers are what is set, highest rank first. Nil maps are empty layers. They are read and never changed.
type Layers struct {
	// Resource is what is set on the topic, group, metrics subscription or logger itself.
	Resource map[string]string
	// Broker is what is set on this broker while running.
	Broker map[string]string
	// ClusterDefault is what is set for all brokers while running.
	ClusterDefault map[string]string
	// Static is the broker's file.
	Static map[string]string
}

// Synonym is one layer's value for a key, under the name that the layer has it, as DescribeConfigs lists them (KIP-226).
type Synonym struct {
	Name   string
	Value  string
	Source Source
}

// layer is one of Layers beside the source that its values have.
type layer struct {
	values map[string]string
	source Source
}

// brokerLayers are the layers that hold broker keys, highest rank first.
func (l Layers) brokerLayers() [3]layer {
	return [3]layer{{l.Broker, DynamicBroker}, {l.ClusterDefault, DynamicDefaultBroker}, {l.Static, StaticBroker}}
}

// Value returns what DescribeConfigs shows for a key: the effective value in its plain form, whether it
// is null, and its source. A broker key has its own value, whatever its alternates in other units say; Get
// follows these. The source is Kafka's: that of the first synonym. An unknown key is null.
func (s *Set) Value(scope Scope, name string, l Layers) (value string, null bool, src Source) {
	k, ok := s.Lookup(scope, name)
	if !ok {
		return "", true, Default
	}
	src = Default
	if syns := s.Synonyms(scope, name, l); len(syns) > 0 {
		src = syns[0].Source
	}
	if scope == Broker {
		value, null = s.resolve(k, []string{name}, l)
	} else {
		value, null = s.Get(scope, name, l)
	}
	return value, null, src
}

// Synonyms returns every layer's value for a key, the effective one first, as Kafka lists them: the
// resource's own, and then those of the broker key that it falls back to and of its alternates, from
// the first on that has the broker key's own name. A group key without a broker key lists its default.
func (s *Set) Synonyms(scope Scope, name string, l Layers) []Synonym {
	k, ok := s.Lookup(scope, name)
	if !ok {
		return nil
	}
	var syns []Synonym
	if scope != Broker {
		if v, ok := l.Resource[name]; ok {
			if n, err := k.Normalize(v); err == nil {
				v = n
			}
			syns = append(syns, Synonym{name, v, resourceSource(scope)})
		}
		if len(k.Synonyms) == 0 {
			if scope == Group && !k.Null {
				syns = append(syns, Synonym{name, k.Default, Default})
			}
			return syns
		}
		name = k.Synonyms[0]
	}
	seen := false
	add := func(n, v string, src Source) {
		if seen = seen || n == name; seen {
			syns = append(syns, Synonym{n, v, src})
		}
	}
	names := s.family(name)
	for _, layer := range l.brokerLayers() {
		for _, n := range names {
			if v, ok := layer.values[n]; ok {
				add(n, v, layer.source)
			}
		}
	}
	for _, n := range names {
		if b, ok := s.Lookup(Broker, n); ok && !b.Null {
			add(n, b.Default, Default)
		}
	}
	return syns
}

// Get returns the effective value that a room obeys, in its plain form, in the unit of the key that was
// asked for. A broker key's alternates in other units count. An unknown key is null.
func (s *Set) Get(scope Scope, name string, l Layers) (value string, null bool) {
	k, ok := s.Lookup(scope, name)
	if !ok {
		return "", true
	}
	if scope == Broker {
		return s.resolve(k, s.family(name), l)
	}
	if v, ok := l.Resource[name]; ok {
		if n, err := k.Normalize(v); err == nil {
			return n, false
		}
	}
	names := k.Synonyms
	if len(names) == 1 {
		names = s.family(names[0])
	}
	return s.resolve(k, names, l)
}

// resolve finds k's value under one of the broker keys names, or its default. A value that is no
// value of its kind (written by a newer release, say) counts as not set.
func (s *Set) resolve(k *Key, names []string, l Layers) (value string, null bool) {
	for _, layer := range l.brokerLayers() {
		for _, n := range names {
			if v, ok := layer.values[n]; ok {
				if v, err := k.Normalize(convert(n, k.Name, v)); err == nil {
					return v, false
				}
			}
		}
	}
	for _, n := range names {
		if b, ok := s.Lookup(Broker, n); ok && !b.Null {
			return convert(n, k.Name, b.Default), false
		}
	}
	return k.Default, k.Null
}

// resourceSource is the source of a resource's own value.
func resourceSource(scope Scope) Source {
	switch scope {
	case Group:
		return DynamicGroup
	case ClientMetrics:
		return DynamicClientMetrics
	case BrokerLogger:
		return DynamicBrokerLogger
	default:
		return DynamicTopic
	}
}

// String returns Get's value as it is; "" when null.
func (s *Set) String(scope Scope, name string, l Layers) string {
	v, _ := s.Get(scope, name, l)
	return v
}

// Int64 returns Get's value of an Int, Short or Long key; 0 when null.
func (s *Set) Int64(scope Scope, name string, l Layers) int64 {
	v, _ := s.Get(scope, name, l)
	n, _ := strconv.ParseInt(v, 10, 64)
	return n
}

// Bool returns Get's value of a Boolean key; false when null.
func (s *Set) Bool(scope Scope, name string, l Layers) bool {
	v, _ := s.Get(scope, name, l)
	return v == "true"
}

// Float returns Get's value of a Double key; 0 when null.
func (s *Set) Float(scope Scope, name string, l Layers) float64 {
	v, _ := s.Get(scope, name, l)
	f, _ := strconv.ParseFloat(v, 64)
	return f
}

// List returns the elements of Get's value of a List key; none when null.
func (s *Set) List(scope Scope, name string, l Layers) []string {
	v, _ := s.Get(scope, name, l)
	return SplitList(v)
}
