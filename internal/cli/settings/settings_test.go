package settings

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

func text(s string) *string { return &s }

// described is a resource as a broker tells of it: a key that is set for the topic, for a broker and for all of
// them, a list, and a key that cannot be changed.
func described() *Resource {
	r := &Resource{Name: "t"}
	for _, c := range []kmsg.DescribeConfigsResponseResourceConfig{
		{Name: "cleanup.policy", Value: text("delete"), Source: kmsg.ConfigSourceDefaultConfig},
		{Name: "node.id", Value: text("1"), Source: kmsg.ConfigSourceStaticBrokerConfig, ReadOnly: true},
		{Name: "retention.ms", Value: text("5"), Source: kmsg.ConfigSourceDynamicTopicConfig, ConfigSynonyms: []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{
			{Name: "retention.ms", Value: text("5"), Source: kmsg.ConfigSourceDynamicTopicConfig},
			{Name: "log.retention.ms", Value: text("7"), Source: kmsg.ConfigSourceDynamicDefaultBrokerConfig},
			{Name: "log.retention.hours", Value: text("168"), Source: kmsg.ConfigSourceDefaultConfig},
		}},
	} {
		r.Rows = append(r.Rows, newRow(&c))
	}
	return r
}

func TestPlansSayWhatCountsBeforeAndAfter(t *testing.T) {
	for _, c := range []struct {
		in   kmsg.ConfigSource
		ch   Change
		want string
	}{
		{kmsg.ConfigSourceDynamicTopicConfig, Change{"retention.ms", kmsg.IncrementalAlterConfigOpSet, text("9")}, "retention.ms 5 -> 9"},
		{kmsg.ConfigSourceDynamicTopicConfig, Change{"retention.ms", kmsg.IncrementalAlterConfigOpDelete, nil}, "retention.ms 5 -> 7 (from all brokers, while running)"},
		{kmsg.ConfigSourceDynamicDefaultBrokerConfig, Change{"retention.ms", kmsg.IncrementalAlterConfigOpDelete, nil}, "retention.ms 7 -> 604800000 (the default)"},
		{kmsg.ConfigSourceDynamicTopicConfig, Change{"cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, text("compact,delete")}, "cleanup.policy delete -> delete,compact"},
		{kmsg.ConfigSourceDynamicTopicConfig, Change{"cleanup.policy", kmsg.IncrementalAlterConfigOpSubtract, text("delete")}, `cleanup.policy delete -> ""`},
		{kmsg.ConfigSourceDynamicTopicConfig, Change{"cleanup.policy", kmsg.IncrementalAlterConfigOpDelete, nil}, "cleanup.policy delete -> delete (the default)"},
	} {
		steps, fails := described().Plan("topic", c.in, []Change{c.ch})
		if len(fails) > 0 || len(steps) != 1 || steps[0].String() != c.want {
			t.Errorf("%v %v, want %s", steps, fails, c.want)
		}
	}
}

func TestKeysThatCannotBeChangedAreRefused(t *testing.T) {
	_, fails := described().Plan("broker", kmsg.ConfigSourceDynamicBrokerConfig, []Change{{Key: "node.id"}, {Key: "retention"}})
	if len(fails) != 2 || fails[0].What != "node.id cannot be changed while a broker runs" || fails[1].Try != "did you mean retention.ms?" || fails[1].Code != app.CodeConfig {
		t.Errorf("%+v", fails)
	}
}

func TestADefaultIsToldInTheUnitOfItsKey(t *testing.T) {
	row, ok := described().Row("retention.ms")
	if !ok || row.Default == nil || *row.Default != "604800000" || row.IsDefault() || row.FromText() != "topic" {
		t.Errorf("%+v", row)
	}
	if v := inUnitOf("segment.ms", "log.roll.hours", text("-1")); *v != "-1" {
		t.Errorf("%s", *v)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	row := newRow(&kmsg.DescribeConfigsResponseResourceConfig{Name: "ssl.key.password", IsSensitive: true, Source: kmsg.ConfigSourceStaticBrokerConfig})
	step := row.step(kmsg.ConfigSourceDynamicBrokerConfig, Change{"ssl.key.password", kmsg.IncrementalAlterConfigOpSet, text("hunter2")})
	if row.Text() != "(secret)" || step.New != nil || step.String() != "ssl.key.password (secret) -> (secret)" {
		t.Errorf("%s, %s", row.Text(), step)
	}
}

func TestFlagsAreReadInTheOrderOfTheirKeys(t *testing.T) {
	c := &cobra.Command{Use: "x"}
	f := AddFlags(c, nil, nil)
	if err := c.ParseFlags([]string{"--set", "b=1=2", "--unset", "a", "--append", "d=x", "--subtract", "c=y", "-s", "e="}); err != nil {
		t.Fatal(err)
	}
	changes, err := f.Changes(c)
	if err != nil || len(changes) != 5 || changes[0].Key != "a" || changes[0].Value != nil || *changes[1].Value != "1=2" || *changes[4].Value != "" {
		t.Errorf("%+v, %v", changes, err)
	}
}

func TestWhatStandsBehindATopicsKeyIsAskedOfABroker(t *testing.T) {
	row := newRow(&kmsg.DescribeConfigsResponseResourceConfig{Name: "retention.ms", Value: text("5"), Source: kmsg.ConfigSourceDynamicTopicConfig})
	broker := &Resource{Rows: []Row{
		{Key: "log.retention.hours", Value: text("168"), from: kmsg.ConfigSourceDefaultConfig},
		{Key: "log.retention.minutes", from: kmsg.ConfigSourceDefaultConfig},
		{Key: "log.retention.ms", from: kmsg.ConfigSourceDefaultConfig},
	}}
	if !row.hidden() {
		t.Fatal("nothing is hidden")
	}
	row.lookBehind(broker)
	step := row.step(kmsg.ConfigSourceDynamicTopicConfig, Change{Key: "retention.ms", Op: kmsg.IncrementalAlterConfigOpDelete})
	if row.hidden() || *row.Default != "604800000" || step.String() != "retention.ms 5 -> 604800000 (the default)" {
		t.Errorf("%+v, %s", row, step)
	}
}

func TestARefusedValueLeadsToWhatItsKeyMeans(t *testing.T) {
	f := Outcome{Name: "t", Err: kerr.InvalidConfig, Message: "Invalid value abc for configuration retention.ms: Not a number of type LONG"}.Failure("topic t could not be altered")
	if f.Code != app.CodeConfig || f.Try != "klamm config explain retention.ms" {
		t.Errorf("%+v", f)
	}
	if f := (Outcome{Err: kerr.InvalidConfig, Message: "a policy says no"}).Failure("x"); f.Try != "" {
		t.Errorf("%+v", f)
	}
	of := &Resource{Name: "t", Rows: []Row{{Key: "retention.ms"}}}
	if f := of.Unknown("topic", "some.thing.else"); f.Try != "klamm topic config t --all shows all keys" {
		t.Errorf("%+v", f)
	}
}
