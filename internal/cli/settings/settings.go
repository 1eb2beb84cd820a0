// Package settings reads and changes the configuration of topics, brokers and their loggers, for the commands
// that show or alter it.
package settings

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// Row is one key of a resource.
type Row struct {
	// Key is Kafka's name.
	Key string `json:"key"`
	// Value is what counts. Nil is no value, or a secret.
	Value *string `json:"value"`
	// Default is what counts when nobody says anything. Nil when the broker does not tell.
	Default *string `json:"default"`
	// Source is the layer that Value comes from, in the protocol's word.
	Source string `json:"source"`
	// ReadOnly keys are changed in the broker's file, by a restart.
	ReadOnly bool `json:"read_only"`
	// Sensitive values are never shown.
	Sensitive bool `json:"sensitive"`
	// Type is boolean, string, int, list and so on; empty when the broker does not tell.
	Type string `json:"type"`
	// Documentation is the broker's own text, where it was asked for.
	Documentation string `json:"documentation,omitempty"`

	from   kmsg.ConfigSource
	layers []layer // from the one that counts most to the default
}

// layer is one of the values that a key has.
type layer struct {
	value  *string
	source kmsg.ConfigSource
}

// IsDefault says that nobody has set the key.
func (r Row) IsDefault() bool { return r.from == kmsg.ConfigSourceDefaultConfig }

// From is the layer of a key.
func (r Row) From() kmsg.ConfigSource { return r.from }

// Text is the value for people.
func (r Row) Text() string { return ValueText(r.Value, r.Sensitive) }

// FromText is the layer for people.
func (r Row) FromText() string { return SourceText(r.from) }

// ValueText writes a value for people.
func ValueText(v *string, sensitive bool) string {
	switch {
	case sensitive:
		return "(secret)"
	case v == nil:
		return "null"
	case *v == "":
		return `""`
	}
	return *v
}

// SourceText names a layer for people.
func SourceText(s kmsg.ConfigSource) string {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return "topic"
	case kmsg.ConfigSourceDynamicBrokerConfig:
		return "broker, while running"
	case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
		return "all brokers, while running"
	case kmsg.ConfigSourceStaticBrokerConfig:
		return "the broker's file"
	case kmsg.ConfigSourceDefaultConfig:
		return "default"
	}
	return strings.ToLower(s.String())
}

// Resource is the configuration of one topic, broker or broker's loggers.
type Resource struct {
	// Name is the topic's name or the broker's id; empty for all brokers.
	Name string
	// Rows are sorted by key.
	Rows []Row
	// Err says why there are none.
	Err error
	// Message is the broker's sentence for Err; it may be empty.
	Message string
}

// Row finds a key.
func (r *Resource) Row(key string) (Row, bool) {
	i, ok := slices.BinarySearchFunc(r.Rows, key, func(r Row, key string) int { return strings.Compare(r.Key, key) })
	if !ok {
		return Row{}, false
	}
	return r.Rows[i], true
}

// Value is the value of a key, "" for none.
func (r *Resource) Value(key string) string {
	row, _ := r.Row(key)
	if row.Value == nil {
		return ""
	}
	return *row.Value
}

// Int is the value of a key as a number, and whether it is one.
func (r *Resource) Int(key string) (int64, bool) {
	n, err := strconv.ParseInt(r.Value(key), 10, 64)
	return n, err == nil
}

// Query says what to describe.
type Query struct {
	// Kind is what Names name.
	Kind kmsg.ConfigResourceType
	// Names are topics, or ids of brokers; "" means what holds for all brokers.
	Names []string
	// Keys are those to tell, all when it is empty.
	Keys []string
	// Documentation asks for the broker's texts too.
	Documentation bool
}

// Describe asks for configuration: one request for all that any broker can tell, and one for each broker that is
// asked about itself. Every name of q has a Resource, which may hold an error.
func Describe(ctx context.Context, cl *kgo.Client, q Query) map[string]*Resource {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, q.Documentation
	for _, name := range q.Names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = q.Kind, name, q.Keys
		req.Resources = append(req.Resources, r)
	}
	got := make(map[string]*Resource, len(q.Names))
	if len(q.Names) == 0 {
		return got
	}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			if asked, ok := shard.Req.(*kmsg.DescribeConfigsRequest); ok {
				for _, r := range asked.Resources {
					got[r.ResourceName] = &Resource{Name: r.ResourceName, Err: shard.Err}
				}
			}
			continue
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			res := &Resource{Name: r.ResourceName, Err: kerr.ErrorForCode(r.ErrorCode)}
			if r.ErrorMessage != nil {
				res.Message = *r.ErrorMessage
			}
			for i := range r.Configs {
				res.Rows = append(res.Rows, newRow(&r.Configs[i]))
			}
			app.Sort(res.Rows, func(x, y Row) int { return strings.Compare(x.Key, y.Key) })
			got[r.ResourceName] = res
		}
	}
	for _, name := range q.Names {
		if got[name] == nil {
			got[name] = &Resource{Name: name, Err: errors.New("the broker did not answer for it")}
		}
	}
	return got
}

// newRow takes over one key of an answer.
func newRow(c *kmsg.DescribeConfigsResponseResourceConfig) Row {
	r := Row{Key: c.Name, Value: c.Value, Source: c.Source.String(), ReadOnly: c.ReadOnly, Sensitive: c.IsSensitive, from: c.Source}
	if c.ConfigType != 0 {
		r.Type = strings.ToLower(c.ConfigType.String())
	}
	if c.Documentation != nil {
		r.Documentation = *c.Documentation
	}
	for _, s := range c.ConfigSynonyms {
		r.layers = append(r.layers, layer{inUnitOf(c.Name, s.Name, s.Value), s.Source})
		if s.Source == kmsg.ConfigSourceDefaultConfig {
			r.Default = r.layers[len(r.layers)-1].value
		}
	}
	if r.Default == nil && r.IsDefault() {
		r.Default = c.Value
	}
	return r
}

// inUnitOf is a synonym's value in the unit of the key: Kafka has log.retention.hours behind retention.ms.
func inUnitOf(key, synonym string, value *string) *string {
	if value == nil || !strings.HasSuffix(key, ".ms") {
		return value
	}
	factor := int64(0)
	switch {
	case strings.HasSuffix(synonym, ".hours"):
		factor = 3_600_000
	case strings.HasSuffix(synonym, ".minutes"):
		factor = 60_000
	}
	n, err := strconv.ParseInt(*value, 10, 64)
	if factor == 0 || err != nil || n < 0 {
		return value
	}
	s := strconv.FormatInt(n*factor, 10)
	return &s
}

// Unknown is the failure for a key that a resource does not have, with the nearest one that it has. of is the
// kind of the resource: topic, broker.
func (r *Resource) Unknown(of, key string) *app.Failure {
	var keys []string
	for _, row := range r.Rows {
		keys = append(keys, row.Key)
	}
	f := &app.Failure{Exit: app.ExitFailed, Code: app.CodeConfig, What: fmt.Sprintf("%s is no configuration key of a %s", key, of), Try: "klamm cluster config --all shows all keys"}
	if of == "topic" {
		f.Try = fmt.Sprintf("klamm topic config %s --all shows all keys", r.Name)
	}
	if near := app.Nearest(key, keys); near != "" {
		f.Try = "did you mean " + near + "?"
	}
	return f
}

// Failure is the failure of a resource that could not be described; nil when it could.
func (r *Resource) Failure(format string, args ...any) *app.Failure {
	if r.Err == nil {
		return nil
	}
	return unanswered(app.Refusal(r.Err, r.Message, format, args...))
}

// unanswered mends the advice of a failure that is one broker's silence: others have answered before.
func unanswered(f *app.Failure) *app.Failure {
	if f.Code == app.CodeUnreachable {
		f.Try = "klamm cluster health"
	}
	return f
}

// Columns are the columns of a list of things that have a Row: before stands what the caller adds before them.
func Columns[T any](row func(T) Row, before ...app.Column[T]) []app.Column[T] {
	return append(before,
		app.Column[T]{Name: "key", Text: func(t T) string { return row(t).Key }},
		app.Column[T]{Name: "value", Text: func(t T) string { return row(t).Text() }},
		app.Column[T]{Name: "default", Text: func(t T) string {
			if r := row(t); r.Default != nil || r.IsDefault() {
				return ValueText(r.Default, r.Sensitive)
			}
			return "-"
		}},
		app.Column[T]{Name: "source", Text: func(t T) string { return row(t).FromText() }},
		app.Column[T]{Name: "type", Wide: true, Text: func(t T) string { return app.OrDash(row(t).Type) }},
		app.Column[T]{Name: "documentation", Wide: true, Text: func(t T) string { return app.OrDash(row(t).Documentation) }},
	)
}
