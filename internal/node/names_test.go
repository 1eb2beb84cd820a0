package node_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/generate"
)

// documented is a row of docs/metrics.md.
type documented struct {
	kind   string
	labels []string
}

// documentedMetrics reads the tables of docs/metrics.md: name, type and labels are the first three columns.
func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`([a-z_0-9*]+)`")
	rows := make(map[string]documented)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 {
			continue
		}
		name := names.FindStringSubmatch(cells[1])
		if name == nil {
			continue
		}
		if _, twice := rows[name[1]]; twice {
			t.Errorf("docs/metrics.md names %s twice", name[1])
		}
		d := documented{kind: strings.TrimSpace(cells[2])}
		for _, l := range names.FindAllStringSubmatch(cells[3], -1) {
			d.labels = append(d.labels, l[1])
		}
		if strings.TrimSpace(cells[4]) == "" {
			t.Errorf("docs/metrics.md does not say what %s means", name[1])
		}
		rows[name[1]] = d
	}
	if len(rows) < 100 {
		t.Fatalf("docs/metrics.md has %d rows", len(rows))
	}
	return rows
}

// find returns the row of a name: its own, or that of names which begin like it.
func find(rows map[string]documented, name string) (documented, bool) {
	if d, ok := rows[name]; ok {
		return d, true
	}
	for n, d := range rows {
		if prefix, many := strings.CutSuffix(n, "*"); many && strings.HasPrefix(name, prefix) {
			return documented{kind: d.kind, labels: nil}, true
		}
	}
	return documented{}, false
}

// notAlways are documented metrics that the work of this test does not bring about, with the reason.
func notAlways() map[string]string {
	m := map[string]string{
		"klamm_client_*":                "no client pushes its metrics",
		"klamm_telemetry_refused_total": "no push is refused",
	}
	if _, err := os.ReadFile("/proc/self/io"); err != nil {
		m["kafka_server_kafkaserver_linux_disk_read_bytes"] = "the system does not tell"
		m["kafka_server_kafkaserver_linux_disk_write_bytes"] = "the system does not tell"
	}
	if runtime.GOOS != "linux" {
		m["kafka_network_socketserver_networkprocessoravgidle_percent"] = "Linux only"
		m["kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"] = "Linux only"
	}
	return m
}

// busy is both pages of a node that has done some work.
func busy(t *testing.T) (all exposed, pages map[string]exposed) {
	t.Helper()
	w := watch(t)
	w.topic(t, "orders", 2)
	w.produce(t, "orders", 0, 3, time.Now())
	w.drain(t, "readers", "orders", 3)
	if err := w.cl.ProduceSync(context.Background(), &kgo.Record{Topic: "orders", Partition: 1, Value: make([]byte, 900_000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	pages = map[string]exposed{"/metrics": w.page(t, "/metrics"), "/metrics/detail": w.page(t, "/metrics/detail")}
	all = exposed{series: make(map[string]float64), types: make(map[string]string)}
	for _, p := range pages {
		maps.Copy(all.series, p.series)
		maps.Copy(all.types, p.types)
	}
	return all, pages
}

// names are the names of series, as a query asks for them, with the labels that they have.
func (e exposed) names() map[string]map[string]bool {
	names := make(map[string]map[string]bool)
	label := regexp.MustCompile(`([a-zA-Z_][a-zA-Z_0-9]*)="`)
	for series := range e.series {
		name, labels, _ := strings.Cut(series, "{")
		if names[name] == nil {
			names[name] = make(map[string]bool)
		}
		for _, l := range label.FindAllStringSubmatch(labels, -1) {
			names[name][l[1]] = true
		}
	}
	return names
}

func TestEachMetricIsDocumentedAndEachDocumentedOneExists(t *testing.T) {
	rows, exceptions := documentedMetrics(t), notAlways()
	all, _ := busy(t)
	names := all.names()
	for family, kind := range all.types {
		d, ok := find(rows, family)
		if !ok {
			t.Errorf("%s (%s) is not in docs/metrics.md", family, kind)
			continue
		}
		if d.kind != kind && d.labels != nil {
			t.Errorf("docs/metrics.md calls %s a %s, and it is a %s", family, d.kind, kind)
		}
	}
	for name, d := range rows {
		if strings.HasSuffix(name, "*") {
			if exceptions[name] == "" && !slices.ContainsFunc(slices.Collect(maps.Keys(names)), func(n string) bool { return strings.HasPrefix(n, strings.TrimSuffix(name, "*")) }) {
				t.Errorf("nothing is exposed of %s", name)
			}
			continue
		}
		one := name
		if d.kind == "histogram" {
			one += "_count"
		}
		labels, ok := names[one]
		switch {
		case !ok && exceptions[name] == "":
			t.Errorf("docs/metrics.md has %s, and a node that has worked does not", name)
		case ok && !slices.Equal(slices.Sorted(maps.Keys(labels)), slices.Sorted(slices.Values(d.labels))):
			t.Errorf("docs/metrics.md gives %s the labels %v, and it has %v", name, d.labels, slices.Sorted(maps.Keys(labels)))
		}
	}
}

func TestNoMetricIsOnBothPages(t *testing.T) {
	_, pages := busy(t)
	for series := range pages["/metrics/detail"].series {
		if _, twice := pages["/metrics"].series[series]; twice {
			t.Errorf("%s is on both pages", series)
		}
	}
}

func TestEachMetricOfTheBoardsAndAlertsExists(t *testing.T) {
	all, _ := busy(t)
	names := all.names()
	names["up"] = nil // Prometheus's own
	queries := make(map[string][]string)
	for file, content := range generate.Grafana() {
		queries[file] = expressions(t, content)
	}
	rule := regexp.MustCompile(`(?s)expr: >-\n(.*?)\n +for:`)
	for _, m := range rule.FindAllStringSubmatch(string(generate.Alerts()), -1) {
		queries[generate.AlertsFile] = append(queries[generate.AlertsFile], m[1])
	}
	if len(queries[generate.AlertsFile]) < 20 {
		t.Fatalf("%d alerts were found", len(queries[generate.AlertsFile]))
	}
	for file, list := range queries {
		for _, q := range list {
			found := metricsIn(q)
			if len(found) == 0 {
				t.Errorf("%s: %s asks for nothing", file, q)
			}
			for _, name := range found {
				if _, ok := names[name]; !ok {
					t.Errorf("%s asks for %s, which no node has: %s", file, name, q)
				}
			}
		}
	}
}

// expressions are all queries of a board.
func expressions(t *testing.T, board []byte) (list []string) {
	t.Helper()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if q, ok := value.(string); ok && (key == "expr" || key == "definition") {
					list = append(list, q)
				} else {
					walk(value)
				}
			}
		case []any:
			for _, value := range v {
				walk(value)
			}
		}
	}
	var v any
	if err := json.Unmarshal(board, &v); err != nil {
		t.Fatal(err)
	}
	walk(v)
	return list
}

// What stands in a query beside names of metrics: texts, matchers, ranges, lists of labels, calls and operators.
var (
	beside = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\b[a-z_0-9]+\s*\(|\b(sum|min|max|avg|count|and|or|unless|bool|offset)\b`)
	labels = regexp.MustCompile(`,\s*[a-z_]+\s*\)$`) // the label of label_values
	name   = regexp.MustCompile(`\b[a-zA-Z_:][a-zA-Z0-9_:]*\b`)
)

// metricsIn are the names of metrics in a query.
func metricsIn(q string) []string {
	if rest, ok := strings.CutPrefix(q, "label_values("); ok {
		q = labels.ReplaceAllString(rest, "")
	}
	return name.FindAllString(beside.ReplaceAllString(q, " "), -1)
}

func TestTheNamesInAQueryAreFound(t *testing.T) {
	for q, want := range map[string][]string{
		`sum by (a, b) (rate(x_total{job="y"}[5m])) / on (c) group_left (d) z > 0.5`: {"x_total", "z"},
		`label_values(x, y)`: {"x"},
		`histogram_quantile(0.9, sum by (le) (rate(x_bucket[$__rate_interval]))) unless y == 1`: {"x_bucket", "y"},
	} {
		if got := metricsIn(q); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", q, got, want)
		}
	}
}
