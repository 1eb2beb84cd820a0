package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/code"
)

func testSet(t *testing.T) *Set {
	t.Helper()
	s, err := NewSet([]Key{
		{Name: "retention.ms", Scope: Topic, Kind: Long, Default: "604800000", Doc: "d", Check: AtLeast(-1),
			Synonyms: []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}},
		{Name: "flush.ms", Scope: Topic, Kind: Long, Default: "9223372036854775807", Doc: "d",
			Synonyms: []string{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"}},
		{Name: "cleanup.policy", Scope: Topic, Kind: List, Default: "delete", Doc: "d", Check: ListOf("delete", "compact"),
			Synonyms: []string{"log.cleanup.policy"}},
		{Name: "min.insync.replicas", Scope: Topic, Kind: Int, Default: "1", Doc: "d", Check: Positive(), Synonyms: []string{"min.insync.replicas"}},
		{Name: "remote.storage.enable", Scope: Topic, Kind: Boolean, Default: "false", Doc: "d"},
		{Name: "interval.ms", Scope: ClientMetrics, Kind: Int, Default: "300000", Doc: "d", Check: Range(100, 3600000)},
	}, []Key{
		{Name: "log.retention.ms", Scope: Broker, Kind: Long, Null: true, Doc: "d", Update: ClusterWide,
			Synonyms: []string{"log.retention.minutes", "log.retention.hours"}},
		{Name: "log.retention.minutes", Scope: Broker, Kind: Int, Null: true, Doc: "d"},
		{Name: "log.retention.hours", Scope: Broker, Kind: Int, Default: "168", Doc: "d"},
		{Name: "log.flush.interval.ms", Scope: Broker, Kind: Long, Null: true, Doc: "d", Update: ClusterWide},
		{Name: "log.flush.scheduler.interval.ms", Scope: Broker, Kind: Long, Default: "9223372036854775807", Doc: "d"},
		{Name: "log.cleanup.policy", Scope: Broker, Kind: List, Default: "delete", Doc: "d", Update: ClusterWide},
		{Name: "min.insync.replicas", Scope: Broker, Kind: Int, Default: "1", Doc: "d", Update: ClusterWide},
		{Name: "log.cleaner.io.max.bytes.per.second", Scope: Broker, Kind: Double, Default: "1.7976931348623157E308", Doc: "d"},
		{Name: "ssl.key.password", Scope: Broker, Kind: Password, Null: true, Doc: "d"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLayersGiveValueSourceAndSynonymsAsKafka(t *testing.T) {
	s := testSet(t)
	for _, c := range []struct {
		what  string
		scope Scope
		name  string
		l     Layers
		value string
		null  bool
		src   Source
		syns  []Synonym
	}{
		{"nobody sets it; the hours are no synonym that is listed", Topic, "retention.ms", Layers{}, "604800000", false, Default, nil},
		{"hours of the file", Topic, "retention.ms", Layers{Static: Static{"log.retention.hours": "24"}}, "86400000", false, Default, nil},
		{"minutes beat hours", Topic, "retention.ms", Layers{Static: Static{"log.retention.hours": "24", "log.retention.minutes": "1"}}, "60000", false, Default, nil},
		{"ms beat minutes", Topic, "retention.ms", Layers{Static: Static{"log.retention.ms": "5", "log.retention.minutes": "1"}}, "5", false, StaticBroker,
			[]Synonym{{"log.retention.ms", "5", StaticBroker}, {"log.retention.minutes", "1", StaticBroker}, {"log.retention.hours", "168", Default}}},
		{"no limit in hours", Topic, "retention.ms", Layers{Static: Static{"log.retention.hours": "-1"}}, "-1", false, Default, nil},
		{"a dynamic layer beats the file", Topic, "retention.ms", Layers{ClusterDefault: Static{"log.retention.ms": "7"}, Static: Static{"log.retention.ms": "5"}}, "7", false, DynamicDefaultBroker,
			[]Synonym{{"log.retention.ms", "7", DynamicDefaultBroker}, {"log.retention.ms", "5", StaticBroker}, {"log.retention.hours", "168", Default}}},
		{"the topic's own wins", Topic, "retention.ms", Layers{Resource: Static{"retention.ms": " 9 "}, Broker: Static{"log.retention.ms": "8"}}, "9", false, DynamicTopic,
			[]Synonym{{"retention.ms", "9", DynamicTopic}, {"log.retention.ms", "8", DynamicBroker}, {"log.retention.hours", "168", Default}}},
		{"scheduler interval", Topic, "flush.ms", Layers{Static: Static{"log.flush.scheduler.interval.ms": "100"}}, "100", false, Default, nil},
		{"list in its plain form", Topic, "cleanup.policy", Layers{Static: Static{"log.cleanup.policy": "delete , compact"}}, "delete,compact", false, StaticBroker,
			[]Synonym{{"log.cleanup.policy", "delete , compact", StaticBroker}, {"log.cleanup.policy", "delete", Default}}},
		{"same name on topic and broker", Topic, "min.insync.replicas", Layers{}, "1", false, Default, []Synonym{{"min.insync.replicas", "1", Default}}},
		{"no synonym", Topic, "remote.storage.enable", Layers{}, "false", false, Default, nil},
		{"a broker key is itself alone", Broker, "log.retention.ms", Layers{Static: Static{"log.retention.hours": "24"}}, "", true, Default, nil},
		{"a broker key of low rank", Broker, "log.retention.hours", Layers{Static: Static{"log.retention.hours": "24", "log.retention.ms": "1"}}, "24", false, StaticBroker,
			[]Synonym{{"log.retention.hours", "24", StaticBroker}, {"log.retention.hours", "168", Default}}},
		{"metrics subscription", ClientMetrics, "interval.ms", Layers{Resource: Static{"interval.ms": "100"}}, "100", false, DynamicClientMetrics,
			[]Synonym{{"interval.ms", "100", DynamicClientMetrics}}},
		{"unknown", Topic, "nonsense", Layers{}, "", true, Default, nil},
	} {
		v, null, src := s.Value(c.scope, c.name, c.l)
		if v != c.value || null != c.null || src != c.src {
			t.Errorf("%s: %s = %q null=%v %s, want %q %v %s", c.what, c.name, v, null, src, c.value, c.null, c.src)
		}
		if got := s.Synonyms(c.scope, c.name, c.l); !reflect.DeepEqual(got, c.syns) {
			t.Errorf("%s: synonyms %v, want %v", c.what, got, c.syns)
		}
	}
	if n := s.Int64(Broker, "log.retention.ms", Layers{Static: Static{"log.retention.hours": "2"}}); n != 7_200_000 {
		t.Errorf("a room that obeys log.retention.ms sees %d", n)
	}
}

func TestValidateNamesKeyValueAndWhatIsAllowed(t *testing.T) {
	s := testSet(t)
	for _, c := range []struct {
		scope             Scope
		name, value, want string // want "" = fine
	}{
		{Topic, "retention.ms", "-1", ""},
		{Topic, "retention.ms", " 5 ", ""},
		{Topic, "retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
		{Topic, "retention.ms", "1d", "Invalid value 1d for configuration retention.ms: not a number of type LONG; allowed is a whole number from -9223372036854775808 to 9223372036854775807"},
		{Topic, "min.insync.replicas", "2147483648", "from -2147483648 to 2147483647"},
		{Topic, "cleanup.policy", "", ""},
		{Topic, "cleanup.policy", "compact, delete", ""},
		{Topic, "cleanup.policy", "delete,delete", "twice"},
		{Topic, "cleanup.policy", "delete,,compact", "element of the list is empty"},
		{Topic, "cleanup.policy", "shred", "delete, compact"},
		{Topic, "remote.storage.enable", "TRUE", ""},
		{Topic, "remote.storage.enable", "yes", "true or false"},
		{Topic, "retention_ms", "1", "Unknown topic config name: retention_ms; did you mean retention.ms?"},
		{Topic, "retenton.ms", "1", "did you mean retention.ms?"},
		{Topic, "zzzzzzzz", "1", "Unknown topic config name: zzzzzzzz"},
		{ClientMetrics, "interval.ms", "99", "Value must be from 100 to 3600000"},
		{Broker, "log.cleaner.io.max.bytes.per.second", "fast", "DOUBLE"},
	} {
		err := s.Validate(c.scope, c.name, c.value)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s=%q: %v", c.name, c.value, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, code.InvalidConfig)):
			t.Errorf("%s=%q: %v, want %s", c.name, c.value, err, c.want)
		}
	}
	k, _ := s.Lookup(Broker, "ssl.key.password")
	k2 := *k
	k2.Check = OneOf("x")
	if err := k2.Validate("hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret must not be told: %v", err)
	}
}

func TestNormalizeIsKafkasPlainForm(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		in, want string
	}{
		{Boolean, " True ", "true"}, {Int, "+5", "5"}, {Short, "-7", "-7"}, {Double, "1", "1.0"}, {Double, ".5", "0.5"},
		{Double, "1e10", "1.0E10"}, {Double, "0.0001", "1.0E-4"}, {Double, "1.7976931348623157E308", "1.7976931348623157E308"},
		{List, " a , b,c ", "a,b,c"}, {List, "", ""}, {String, " x ", "x"}, {Class, "a.B", "a.B"},
	} {
		k := Key{Kind: c.kind}
		if got, err := k.Normalize(c.in); err != nil || got != c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.kind, c.in, got, err, c.want)
		}
	}
}

func TestNewSetRefusesWhatTwoRoomsClaim(t *testing.T) {
	a := Key{Name: "a", Scope: Broker, Kind: Int, Default: "1", Doc: "d"}
	for name, keys := range map[string][]Key{
		"twice":        {a, a},
		"no doc":       {{Name: "b", Scope: Broker, Kind: Int, Default: "1"}},
		"bad default":  {{Name: "b", Scope: Broker, Kind: Int, Default: "one", Doc: "d"}},
		"lost synonym": {{Name: "b", Scope: Topic, Kind: Int, Default: "1", Doc: "d", Synonyms: []string{"c"}}},
	} {
		if _, err := NewSet(keys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
