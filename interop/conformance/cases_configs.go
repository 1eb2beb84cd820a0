package main

import (
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// describe asks for configs. Which keys of a broker there are is told by a case of its own.
func (t *run) describe(v int16, kind int, name string, fields o, keys any) {
	q := o{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}
	all := o{"Resources": a{q}}
	for k, x := range fields {
		all[k] = x
	}
	m, show := t.learn(t.conn, v, "DescribeConfigs", all)
	for i := range m.(*wire.DescribeConfigsResponse).Results {
		r := &m.(*wire.DescribeConfigsResponse).Results[i]
		for k := range r.Configs { // whether there is documentation counts, its words do not
			if d := r.Configs[k].Documentation; d != nil {
				r.Configs[k].Documentation = nil
				r.Configs[k].IsDefault = true
			}
		}
		if kind == 4 && name == "1" && keys == nil {
			r.Configs = slices.DeleteFunc(r.Configs, func(e wire.DescribeConfigsResponseDescribeConfigsResourceResult) bool {
				return slices.Contains([]string{"node.id", "broker.id", "log.dirs", "log.dir", "listeners", "advertised.listeners", "controller.quorum.voters", "controller.listener.names", "process.roles"}, e.Name)
			})
		}
		if kind == 8 {
			r.Configs = slices.DeleteFunc(r.Configs, func(e wire.DescribeConfigsResponseDescribeConfigsResourceResult) bool { return e.Name != "root" })
		}
	}
	show()
}

func set(pairs ...any) a {
	var list a
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, o{"Name": pairs[i], "Value": pairs[i+1]})
	}
	return list
}

func change(triples ...any) a {
	var list a
	for i := 0; i < len(triples); i += 3 {
		list = append(list, o{"Name": triples[i], "ConfigOperation": triples[i+1], "Value": triples[i+2]})
	}
	return list
}

func configCases() []kase {
	withAll := o{"IncludeSynonyms": true, "IncludeDocumentation": true}
	// steady waits until a broker shows the configs that the controller has taken.
	steady := func() { time.Sleep(150 * time.Millisecond) }
	return []kase{
		{"describe-configs-topic", func(t *run) {
			x := t.topic("x", 1, "retention.ms", "12345", "cleanup.policy", "compact")
			for _, v := range t.versions("DescribeConfigs", 0) {
				t.describe(v, 2, x, nil, nil)
				t.describe(v, 2, x, withAll, nil)
				t.describe(v, 2, x, nil, a{"retention.ms", "no.such.key", "segment.bytes"})
				t.describe(v, 2, x, nil, a{})
				t.describe(v, 2, x, nil, a{"nothing"})
				for _, n := range []string{t.called("unknown"), "", "bad name!", ".."} {
					t.describe(v, 2, n, nil, nil)
				}
				for _, kind := range []int{0, 1, 3, 5, 99} {
					t.describe(v, kind, x, nil, nil)
				}
				t.do(v, "DescribeConfigs", o{"Resources": a{}})
				t.do(v, "DescribeConfigs", o{"Resources": a{o{"ResourceType": 2, "ResourceName": x, "ConfigurationKeys": a{"retention.ms"}}, o{"ResourceType": 2, "ResourceName": x, "ConfigurationKeys": a{"retention.ms"}},
					o{"ResourceType": 4, "ResourceName": "77", "ConfigurationKeys": nil}}})
			}
		}},
		{"describe-configs-broker", func(t *run) {
			for _, v := range t.versions("DescribeConfigs", 0) {
				t.describe(v, 4, "1", nil, nil)
				if v == t.newest("DescribeConfigs") {
					t.describe(v, 4, "1", withAll, nil)
				}
				t.describe(v, 4, "", nil, nil)
				t.describe(v, 4, "1", withAll, a{"log.retention.ms", "log.retention.hours", "log.roll.hours", "log.flush.interval.ms", "ssl.key.password", "no.such"})
				for _, n := range []string{"2", "x", "-1", "1.0", "99999999999"} {
					t.describe(v, 4, n, nil, nil)
				}
			}
		}},
		{"describe-configs-others", func(t *run) {
			for _, v := range t.versions("DescribeConfigs", 0) {
				t.describe(v, 8, "1", withAll, nil)
				t.describe(v, 8, "", nil, nil)
				t.describe(v, 8, "2", nil, nil)
				t.describe(v, 16, t.called("sub"), withAll, nil)
				t.describe(v, 16, "", nil, nil)
				t.describe(v, 32, t.called("group"), withAll, nil)
				t.describe(v, 32, t.called("group"), nil, a{"consumer.session.timeout.ms"})
				t.describe(v, 32, "", nil, nil)
			}
		}},
		{"incremental-alter-topic", func(t *run) {
			x := t.topic("x", 1)
			for _, v := range t.versions("IncrementalAlterConfigs", 0) {
				alter := func(name string, validate bool, configs a) {
					t.do(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": 2, "ResourceName": name, "Configs": configs}}, "ValidateOnly": validate})
					steady()
					t.describe(t.newest("DescribeConfigs"), 2, x, withAll, a{"retention.ms", "cleanup.policy", "segment.bytes", "max.message.bytes", "min.compaction.lag.ms"})
				}
				alter(x, true, change("retention.ms", 0, "5000"))
				alter(x, false, change("retention.ms", 0, "5000"))
				alter(x, false, change("retention.ms", 0, "6000", "max.message.bytes", 0, " 2000000 "))
				alter(x, false, change("cleanup.policy", 2, "compact"))
				alter(x, false, change("cleanup.policy", 2, "compact"))
				alter(x, false, change("cleanup.policy", 3, "delete"))
				alter(x, false, change("cleanup.policy", 3, "delete,compact"))
				alter(x, false, change("retention.ms", 2, "1"))
				alter(x, false, change("retention.ms", 0, "lots"))
				alter(x, false, change("retention.ms", 0, nil))
				alter(x, false, change("retention.ms", 9, "1"))
				alter(x, false, change("retention.ms", -1, "1"))
				alter(x, false, change("retention.ms", 0, "1", "retention.ms", 0, "2"))
				alter(x, false, change("no.such", 0, "1"))
				alter(x, false, change("no.such", 1, nil))
				alter(x, false, change("no.such", 2, "1"))
				alter(x, false, change("", 0, "1"))
				alter(x, false, change("retention.ms", 0, "777", "no.such", 0, "1"))
				alter(x, false, change("min.compaction.lag.ms", 0, "10", "max.compaction.lag.ms", 0, "5"))
				alter(x, false, change("retention.ms", 1, "ignored"))
				alter(x, false, change("max.message.bytes", 1, nil, "cleanup.policy", 1, nil))
				alter(x, false, a{})
				alter(t.called("unknown"), false, change("retention.ms", 0, "5000"))
				alter("bad name!", false, change("retention.ms", 0, "5000"))
				alter("", false, change("retention.ms", 0, "5000"))
				t.do(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": 2, "ResourceName": x, "Configs": change("retention.ms", 0, "1")}, o{"ResourceType": 2, "ResourceName": x, "Configs": change("segment.ms", 0, "1000")}}})
				t.do(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": 2, "ResourceName": x, "Configs": change("retention.ms", 0, "8000")}, o{"ResourceType": 2, "ResourceName": t.called("unknown"), "Configs": change("segment.ms", 0, "1000")}}})
				t.do(v, "IncrementalAlterConfigs", o{"Resources": a{}})
				for _, kind := range []int{0, 1, 3, 99} {
					t.do(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": kind, "ResourceName": x, "Configs": change("retention.ms", 0, "1")}}})
				}
				alter(x, false, change("retention.ms", 1, nil))
			}
		}},
		{"incremental-alter-broker", func(t *run) {
			for _, v := range t.versions("IncrementalAlterConfigs", 0) {
				alter := func(kind int, name string, configs a) {
					t.do(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": kind, "ResourceName": name, "Configs": configs}}})
				}
				look := func(name string) {
					steady()
					t.describe(t.newest("DescribeConfigs"), 4, name, withAll, a{"log.cleaner.threads", "message.max.bytes", "log.retention.ms", "background.threads"})
				}
				alter(4, "", change("log.retention.ms", 0, "600000000"))
				look("")
				look("1")
				alter(4, "1", change("log.retention.ms", 0, "700000000", "background.threads", 0, "11"))
				look("1")
				look("")
				alter(4, "1", change("log.retention.ms", 1, nil, "background.threads", 1, nil))
				alter(4, "", change("log.retention.ms", 1, nil))
				look("1")
				alter(4, "1", change("log.dirs", 0, "/x"))
				alter(4, "", change("node.id", 0, "5"))
				alter(4, "", change("advertised.listeners", 0, "PLAINTEXT://x:1"))
				alter(4, "1", change("background.threads", 0, "many"))
				alter(4, "1", change("background.threads", 0, "0"))
				alter(4, "", change("background.threads", 0, "-4"))
				alter(4, "77", change("background.threads", 0, "11"))
				alter(4, "x", change("background.threads", 0, "11"))
				alter(4, "1", change("min.insync.replicas", 0, "1"))
				alter(4, "1", change("background.threads", 0, nil))
				alter(4, "1", change("background.threads", 0, "9", "background.threads", 0, "9"))
				alter(4, "1", change("background.threads", 2, "9"))
				look("1")
			}
		}},
		{"incremental-alter-others", func(t *run) {
			for _, v := range t.versions("IncrementalAlterConfigs", 0) {
				alter := func(kind int, name string, configs a) {
					t.do(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": kind, "ResourceName": name, "Configs": configs}}})
				}
				g, s := t.called("g"), t.called("s")
				alter(32, g, change("consumer.session.timeout.ms", 0, "50000"))
				steady()
				t.describe(t.newest("DescribeConfigs"), 32, g, withAll, nil)
				alter(32, g, change("consumer.session.timeout.ms", 0, "1"))
				alter(32, g, change("consumer.session.timeout.ms", 0, "x"))
				alter(32, g, change("no.such", 0, "x"))
				alter(32, "", change("consumer.session.timeout.ms", 0, "50000"))
				alter(32, g, change("consumer.session.timeout.ms", 1, nil))
				steady()
				t.describe(t.newest("DescribeConfigs"), 32, g, withAll, nil)
				alter(16, s, change("interval.ms", 0, "5000", "metrics", 0, "a,b"))
				steady()
				t.describe(t.newest("DescribeConfigs"), 16, s, withAll, nil)
				alter(16, s, change("interval.ms", 0, "1"))
				alter(16, s, change("interval.ms", 0, "x"))
				alter(16, s, change("no.such", 0, "x"))
				alter(16, s, change("match", 0, "client_id"))
				alter(16, s, change("match", 0, "client_id=a.*"))
				alter(16, s, change("match", 0, "planet=a.*"))
				alter(16, "", change("interval.ms", 0, "5000"))
				alter(16, s, change("interval.ms", 1, nil, "metrics", 1, nil, "match", 1, nil))
				steady()
				t.describe(t.newest("DescribeConfigs"), 16, s, withAll, nil)
				alter(8, "1", change("no.such.logger", 0, "INFO"))
				alter(8, "77", change("root", 0, "INFO"))
				alter(8, "", change("root", 0, "INFO"))
				alter(8, "1", change("root", 0, "LOUD"))
			}
		}},
		{"alter-configs", func(t *run) {
			x := t.topic("x", 1)
			for _, v := range t.versions("AlterConfigs", 0) {
				alter := func(kind int, name string, validate bool, configs a) {
					t.do(v, "AlterConfigs", o{"Resources": a{o{"ResourceType": kind, "ResourceName": name, "Configs": configs}}, "ValidateOnly": validate})
					steady()
					t.describe(t.newest("DescribeConfigs"), 2, x, nil, a{"retention.ms", "cleanup.policy", "segment.bytes"})
				}
				alter(2, x, true, set("retention.ms", "5000"))
				alter(2, x, false, set("retention.ms", "5000", "cleanup.policy", "compact"))
				alter(2, x, false, set("segment.bytes", "2000000"))
				alter(2, x, false, set("segment.bytes", nil))
				alter(2, x, false, set("segment.bytes", "many"))
				alter(2, x, false, set("no.such", "many"))
				alter(2, x, false, set("segment.bytes", "2000000", "segment.bytes", "2000001"))
				alter(2, t.called("unknown"), false, set("segment.bytes", "2000000"))
				alter(2, x, false, a{})
				alter(4, "77", false, set("background.threads", "11"))
				alter(4, "", false, set("node.id", "11"))
				alter(4, "x", false, set("background.threads", "11"))
				alter(8, "1", false, set("root", "INFO"))
				alter(32, t.called("g"), false, set("consumer.session.timeout.ms", "1"))
				alter(77, x, false, set("retention.ms", "5000"))
				t.do(v, "AlterConfigs", o{"Resources": a{}})
			}
		}},
		{"list-config-resources", func(t *run) {
			x := t.topic("x", 1)
			g, s := t.called("g"), t.called("s")
			v := t.newest("IncrementalAlterConfigs")
			t.quiet(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": 32, "ResourceName": g, "Configs": change("consumer.session.timeout.ms", 0, "50000")}}})
			t.quiet(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": 16, "ResourceName": s, "Configs": change("interval.ms", 0, "5000")}}})
			steady()
			for _, v := range t.versions("ListConfigResources", 0) {
				for _, types := range []a{{}, {2}, {4}, {8}, {16}, {32}, {2, 32}, {3}, {0}, {2, 99}, {2, 2}} {
					m, show := t.learn(t.conn, v, "ListConfigResources", o{"ResourceTypes": types})
					r := m.(*wire.ListConfigResourcesResponse)
					r.ConfigResources = slices.DeleteFunc(r.ConfigResources, func(x wire.ListConfigResourcesResponseConfigResource) bool {
						return !t.own(x.ResourceName) && !strings.HasPrefix(x.ResourceName, "1")
					})
					show()
				}
			}
			t.quiet(v, "IncrementalAlterConfigs", o{"Resources": a{o{"ResourceType": 16, "ResourceName": s, "Configs": change("interval.ms", 1, nil)}}})
			_ = x
		}},
	}
}
