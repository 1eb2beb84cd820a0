package settings

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// Flags are --set, --unset, --append and --subtract of a command.
type Flags struct{ set, unset, add, subtract []string }

// AddFlags gives a command the flags that change configuration; values completes key=value and keys the keys
// alone.
func AddFlags(c *cobra.Command, values, keys app.Completion) *Flags {
	f := &Flags{}
	fs := c.Flags()
	fs.StringArrayVarP(&f.set, "set", "s", nil, "key=value to set; may be given again")
	fs.StringArrayVar(&f.unset, "unset", nil, "key to take back, so that the default counts; may be given again")
	fs.StringArrayVar(&f.add, "append", nil, "key=value to add to a list; may be given again")
	fs.StringArrayVar(&f.subtract, "subtract", nil, "key=value to take out of a list; may be given again")
	for _, name := range []string{"set", "append", "subtract"} {
		_ = c.RegisterFlagCompletionFunc(name, values)
	}
	_ = c.RegisterFlagCompletionFunc("unset", keys)
	return f
}

// Change is one key that is to change.
type Change struct {
	// Key is Kafka's name.
	Key string
	// Op is what to do with Value: set it, go back to the default, add it to a list, take it out.
	Op kmsg.IncrementalAlterConfigOp
	// Value is nil to go back to the default.
	Value *string
}

// Changes are what the flags ask for, sorted by key; a key may be named once.
func (f *Flags) Changes(c *cobra.Command) ([]Change, error) {
	var changes []Change
	for _, group := range []struct {
		flag string
		op   kmsg.IncrementalAlterConfigOp
		args []string
	}{
		{"set", kmsg.IncrementalAlterConfigOpSet, f.set},
		{"unset", kmsg.IncrementalAlterConfigOpDelete, f.unset},
		{"append", kmsg.IncrementalAlterConfigOpAppend, f.add},
		{"subtract", kmsg.IncrementalAlterConfigOpSubtract, f.subtract},
	} {
		for _, arg := range group.args {
			key, value, hasValue := strings.Cut(arg, "=")
			key = strings.TrimSpace(key)
			ch := Change{Key: key, Op: group.op}
			switch unset := group.op == kmsg.IncrementalAlterConfigOpDelete; {
			case key == "":
				return nil, app.Usage(c, "--%s %s: the key is missing", group.flag, arg)
			case unset && hasValue:
				return nil, app.Usage(c, "--unset %s: it takes the key alone", arg)
			case !unset && !hasValue:
				return nil, app.Usage(c, "--%s %s: not of the form key=value", group.flag, arg)
			case !unset:
				ch.Value = &value
			}
			if slices.ContainsFunc(changes, func(other Change) bool { return other.Key == key }) {
				return nil, app.Usage(c, "%s is to be changed in two ways", key)
			}
			changes = append(changes, ch)
		}
	}
	app.Sort(changes, func(x, y Change) int { return strings.Compare(x.Key, y.Key) })
	return changes, nil
}

// Step is what a Change does to a resource.
type Step struct {
	// Key is Kafka's name.
	Key string `json:"key"`
	// Old and New are the values before and after; nil for none and for secrets.
	Old *string `json:"old"`
	New *string `json:"new"`
	// Note is a word on New: that it is the default. It may be empty.
	Note string `json:"note,omitempty"`

	sensitive bool
}

// String is the step for people.
func (s Step) String() string {
	if s.New == nil && !s.sensitive && s.Note != "" {
		return fmt.Sprintf("%s %s -> %s", s.Key, ValueText(s.Old, s.sensitive), s.Note)
	}
	text := fmt.Sprintf("%s %s -> %s", s.Key, ValueText(s.Old, s.sensitive), ValueText(s.New, s.sensitive))
	if s.Note != "" {
		text += " (" + s.Note + ")"
	}
	return text
}

// Plan says what changes do to a resource when they are made in a layer, and refuses keys that the resource does
// not have or that no request can change. of is the kind of the resource: topic, broker.
func (r *Resource) Plan(of string, in kmsg.ConfigSource, changes []Change) ([]Step, []*app.Failure) {
	var steps []Step
	var fails []*app.Failure
	for _, ch := range changes {
		row, ok := r.Row(ch.Key)
		switch {
		case !ok:
			fails = append(fails, r.Unknown(of, ch.Key))
			continue
		case row.ReadOnly:
			fails = append(fails, &app.Failure{Exit: app.ExitFailed, Code: app.CodeConfig, What: ch.Key + " cannot be changed while a broker runs", Try: "set it in the broker's file and restart it"})
			continue
		}
		steps = append(steps, row.step(in, ch))
	}
	return steps, fails
}

// step is what one change does to a row.
func (r Row) step(in kmsg.ConfigSource, ch Change) Step {
	s := Step{Key: r.Key, Old: r.Value, sensitive: r.Sensitive}
	var below *layer
	for i := range r.layers {
		// Layers are numbered from the one that counts most to the default.
		if l := &r.layers[i]; l.source > in {
			below = l
			break
		}
	}
	if i := slices.IndexFunc(r.layers, func(l layer) bool { return l.source >= in }); i >= 0 {
		s.Old = r.layers[i].value
	}
	switch ch.Op {
	case kmsg.IncrementalAlterConfigOpSet:
		s.New = ch.Value
	case kmsg.IncrementalAlterConfigOpDelete:
		switch {
		case below != nil:
			s.New, s.Note = below.value, "from "+SourceText(below.source)
			if below.source == kmsg.ConfigSourceDefaultConfig {
				s.Note = "the default"
			}
		case r.Default != nil:
			s.New, s.Note = r.Default, "the default"
		default:
			s.Note = "the default"
		}
	case kmsg.IncrementalAlterConfigOpAppend:
		list := split(s.Old)
		for _, v := range split(ch.Value) {
			if !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
		s.New = join(list)
	case kmsg.IncrementalAlterConfigOpSubtract:
		gone := split(ch.Value)
		s.New = join(slices.DeleteFunc(split(s.Old), func(v string) bool { return slices.Contains(gone, v) }))
	}
	if r.Sensitive {
		s.Old, s.New = nil, nil
	}
	return s
}

// split takes a list value apart.
func split(v *string) []string {
	if v == nil || *v == "" {
		return nil
	}
	list := strings.Split(*v, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// join puts a list value together.
func join(list []string) *string {
	s := strings.Join(list, ",")
	return &s
}

// Outcome is how the changes of one resource ended.
type Outcome struct {
	// Name is the resource's.
	Name string
	// Err is nil when all its changes were made.
	Err error
	// Message is the broker's sentence for Err; it may be empty.
	Message string
}

// Failure is the failure of a resource whose changes were refused; nil when they were made.
func (o Outcome) Failure(format string, args ...any) *app.Failure {
	if o.Err == nil {
		return nil
	}
	f := unanswered(app.Refusal(o.Err, o.Message, format, args...))
	// Kafka refuses a bad value of a topic by the one, and of a broker by the other.
	if errors.Is(o.Err, kerr.InvalidConfig) || errors.Is(o.Err, kerr.InvalidRequest) {
		f.Code = app.CodeConfig
		if key := refusedKey(o.Message); key != "" && f.Try == "" {
			f.Try = "klamm config explain " + key
		}
	}
	return f
}

// refusedKey is the key that a broker's sentence on a bad value names, or "".
func refusedKey(message string) string {
	_, rest, _ := strings.Cut(message, " for configuration ")
	key, _, _ := strings.Cut(rest, ":")
	if strings.ContainsAny(key, " \n") {
		return ""
	}
	return key
}

// Alter makes changes in every named resource, or with validate only lets the broker check them. The outcomes are
// in the order of names.
func Alter(ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, names []string, changes []Change, validate bool) []Outcome {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validate
	for _, name := range names {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, ch := range changes {
			rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			rc.Name, rc.Op, rc.Value = ch.Key, ch.Op, ch.Value
			r.Configs = append(r.Configs, rc)
		}
		req.Resources = append(req.Resources, r)
	}
	got := make(map[string]Outcome, len(names))
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			if asked, ok := shard.Req.(*kmsg.IncrementalAlterConfigsRequest); ok {
				for _, r := range asked.Resources {
					got[r.ResourceName] = Outcome{Name: r.ResourceName, Err: shard.Err}
				}
			}
			continue
		}
		for _, r := range shard.Resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
			o := Outcome{Name: r.ResourceName, Err: kerr.ErrorForCode(r.ErrorCode)}
			if r.ErrorMessage != nil {
				o.Message = *r.ErrorMessage
			}
			got[r.ResourceName] = o
		}
	}
	list := make([]Outcome, 0, len(names))
	for _, name := range names {
		o, ok := got[name]
		if !ok {
			o = Outcome{Name: name, Err: errors.New("the broker did not answer for it")}
		}
		list = append(list, o)
	}
	return list
}
