package node_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// The type of resource that stands for a broker's loggers, and what may be done to one.
const (
	loggers  int8 = 8
	opSet    int8 = 0
	opDelete int8 = 1
)

// levels are the levels of all loggers of broker 1.
func (r *raw) levels() map[string]string {
	r.t.Helper()
	q := wire.NewDescribeConfigsRequest()
	q.Resources = []wire.DescribeConfigsRequestDescribeConfigsResource{{ResourceType: loggers, ResourceName: "1"}}
	a := ask[*wire.DescribeConfigsResponse](r, q, 4)
	if e := code.Error(a.Results[0].ErrorCode); e != 0 {
		r.t.Fatalf("describe loggers: %v %s", e, text(a.Results[0].ErrorMessage))
	}
	list := map[string]string{}
	for _, c := range a.Results[0].Configs {
		list[c.Name] = text(c.Value)
		if c.ConfigSource != 6 || c.ReadOnly || c.IsSensitive || c.ConfigType != 0 {
			r.t.Errorf("%s is source %d, read-only %v, sensitive %v, type %d; Kafka says 6, false, false, 0", c.Name, c.ConfigSource, c.ReadOnly, c.IsSensitive, c.ConfigType)
		}
	}
	return list
}

// change is one change of a logger.
type change struct {
	name  string
	op    int8
	value *string
}

// alterLoggers changes loggers and returns the error's code and message.
func (r *raw) alterLoggers(broker string, validateOnly bool, changes ...change) (code.Error, string) {
	r.t.Helper()
	q := wire.NewIncrementalAlterConfigsRequest()
	q.ValidateOnly = validateOnly
	res := wire.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: loggers, ResourceName: broker}
	for _, c := range changes {
		res.Configs = append(res.Configs, wire.IncrementalAlterConfigsRequestAlterableConfig{Name: c.name, ConfigOperation: c.op, Value: c.value})
	}
	q.Resources = append(q.Resources, res)
	a := ask[*wire.IncrementalAlterConfigsResponse](r, q, 1)
	return code.Error(a.Responses[0].ErrorCode), text(a.Responses[0].ErrorMessage)
}

func TestALoggersLevelIsItsOwnUntilItIsTakenAway(t *testing.T) {
	r := dialRaw(t, boot(t, plan{dir: t.TempDir()}).addr)
	set := func(name string, op int8, level string) {
		t.Helper()
		c := change{name: name, op: op, value: &level}
		if op == opDelete {
			c.value = nil
		}
		if e, m := r.alterLoggers("1", false, c); e != 0 {
			t.Fatalf("%s to %s: %v %s", name, level, e, m)
		}
	}
	want := func(root, server, other string) {
		t.Helper()
		got := r.levels()
		if len(got) < 8 || got["root"] != root || got["klamm.server"] != server || got["klamm.api"] != other {
			t.Errorf("the loggers are %v; want root %s, klamm.server %s, klamm.api %s", got, root, server, other)
		}
	}
	set("root", opSet, "WARN")
	want("WARN", "WARN", "WARN")
	set("klamm.server", opSet, "DEBUG")
	want("WARN", "DEBUG", "WARN")
	set("root", opSet, "FATAL")
	want("FATAL", "DEBUG", "FATAL")
	set("klamm.server", opDelete, "")
	want("FATAL", "FATAL", "FATAL")
	set("klamm.api", opSet, "TRACE")
	want("FATAL", "FATAL", "TRACE")
}

func TestTheLevelsOfLoggersEndWithTheProcess(t *testing.T) {
	dir := t.TempDir()
	n := boot(t, plan{dir: dir})
	before := dialRaw(t, n.addr).levels()["klamm.server"]
	level := "ERROR"
	dialRaw(t, n.addr).alterLoggers("1", false, change{"klamm.server", opSet, &level})
	n.stop(t)
	if got := dialRaw(t, boot(t, plan{dir: dir}).addr).levels()["klamm.server"]; got != before {
		t.Errorf("klamm.server is at %s after a restart; want %s", got, before)
	}
}

// TestLoggersAnswerAsKafkaDoes has what Apache Kafka 4.4.0 was asked and answered.
func TestLoggersAnswerAsKafkaDoes(t *testing.T) {
	r := dialRaw(t, boot(t, plan{dir: t.TempDir()}).addr)
	const l, valid = "klamm.server", "as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
	v := func(s string) *string { return &s }
	before := fmt.Sprint(r.levels())
	for _, c := range []struct {
		broker  string
		changes []change
		e       code.Error
		message string
	}{
		{"1", []change{{l, 0, v("debug")}}, code.InvalidConfig, "Cannot set the log level of klamm.server to debug " + valid},
		{"1", []change{{l, 0, v("OFF")}}, code.InvalidConfig, "Cannot set the log level of klamm.server to OFF " + valid},
		{"1", []change{{l, 0, v("ALL")}}, code.InvalidConfig, "Cannot set the log level of klamm.server to ALL " + valid},
		{"1", []change{{l, 0, v("")}}, code.InvalidConfig, "Cannot set the log level of klamm.server to  " + valid},
		{"1", []change{{l, 0, nil}}, code.InvalidRequest, "Null value not supported for : klamm.server"},
		{"1", []change{{l, 2, v("INFO")}}, code.InvalidRequest, "APPEND operation is not allowed for the BROKER_LOGGER resource"},
		{"1", []change{{l, 3, v("INFO")}}, code.InvalidRequest, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"},
		{"1", []change{{l, 9, v("INFO")}}, code.InvalidRequest, "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"},
		{"1", []change{{"nope", 0, v("INFO")}}, code.InvalidConfig, "Logger nope does not exist!"},
		{"1", []change{{"nope", 1, nil}}, code.InvalidConfig, "Logger nope does not exist!"},
		{"1", []change{{"root", 1, nil}}, code.InvalidRequest, "Removing the log level of the root logger is not allowed"},
		{"1", []change{{l, 0, v("INFO")}, {l, 0, v("WARN")}}, code.InvalidRequest, "Error due to duplicate config keys"},
		{"1", []change{{l, 0, v("INFO")}, {"root", 0, v("X")}}, code.InvalidConfig, "Cannot set the log level of root to X " + valid},
		{"", []change{{l, 0, v("INFO")}}, code.InvalidRequest, "Node id must be an integer, but it is: "},
		{"2", []change{{l, 0, v("INFO")}}, code.InvalidRequest, "Unexpected node id. Expected 1, but received 2"},
		{"x", []change{{l, 0, v("INFO")}}, code.InvalidRequest, "Node id must be an integer, but it is: x"},
		{"1", nil, code.None, "null"},
	} {
		if e, m := r.alterLoggers(c.broker, false, c.changes...); e != c.e || m != c.message {
			t.Errorf("broker %q, %v:\n got %v %q\nwant %v %q", c.broker, c.changes, e, m, c.e, c.message)
		}
	}
	if e, m := r.alterLoggers("1", true, change{l, 0, v("ERROR")}); e != 0 {
		t.Errorf("to validate only: %v %s", e, m)
	}
	if got := fmt.Sprint(r.levels()); got != before {
		t.Errorf("what was refused or only validated changed the loggers to %s; want %s", got, before)
	}
	for name, message := range map[string]string{"": "Broker id must not be empty", "2": "Unexpected broker id, expected 1 but received 2", "x": "Broker id must be an integer, but it is: x"} {
		q := wire.NewDescribeConfigsRequest()
		q.Resources = []wire.DescribeConfigsRequestDescribeConfigsResource{{ResourceType: loggers, ResourceName: name}}
		a := ask[*wire.DescribeConfigsResponse](r, q, 4).Results[0]
		if code.Error(a.ErrorCode) != code.InvalidRequest || text(a.ErrorMessage) != message {
			t.Errorf("describe %q: %v %s; want %s", name, code.Error(a.ErrorCode), text(a.ErrorMessage), message)
		}
		old := wire.NewAlterConfigsRequest()
		old.Resources = []wire.AlterConfigsRequestAlterConfigsResource{{ResourceType: loggers, ResourceName: name, Configs: []wire.AlterConfigsRequestAlterableConfig{{Name: l, Value: v("INFO")}}}}
		b := ask[*wire.AlterConfigsResponse](r, old, 2).Responses[0]
		if code.Error(b.ErrorCode) != code.InvalidRequest || text(b.ErrorMessage) != "Unknown resource type 8" {
			t.Errorf("AlterConfigs of %q: %v %s; want Unknown resource type 8", name, code.Error(b.ErrorCode), text(b.ErrorMessage))
		}
	}
}

// freeAddr is an address that is free now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get reads a page of the admin listener.
func get(t *testing.T, addr, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// logged are the lines that the admin listener has kept.
func logged(t *testing.T, addr string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(get(t, addr, "/debug/logs")) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, m)
	}
	return lines
}

func TestTheLastLogLinesAreServedAndObeyTheLevels(t *testing.T) {
	admin := freeAddr(t)
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"admin.listener=" + admin}})
	r := dialRaw(t, n.addr)
	disconnects := func() (count int) {
		for _, m := range logged(t, admin) {
			if m["event"] == "disconnect" {
				count++
				if m["logger"] != "klamm.server" || m["client_id"] != "raw" || m["remote"] == "" || m["reason"] == "" || m["level"] != "DEBUG" || m["open_ms"] == nil {
					t.Errorf("a disconnect is logged as %v", m)
				}
			}
		}
		return count
	}
	other := dialRaw(t, n.addr)
	other.levels()
	other.c.Close()
	until(t, "the disconnect is logged", func() bool { return disconnects() == 1 })
	if !n.said.has("disconnect") {
		t.Error("the handler that the node was given has no line of it")
	}
	level := "INFO"
	r.alterLoggers("1", false, change{"klamm.server", opSet, &level})
	last := dialRaw(t, n.addr)
	last.levels()
	last.c.Close()
	until(t, "its connection is gone", func() bool {
		return strings.Contains(get(t, admin, "/metrics"), `connection_close_total{listener="PLAINTEXT"} 2`)
	})
	if got := disconnects(); got != 1 {
		t.Errorf("%d disconnects are logged at INFO; want the 1 of before", got)
	}
}
