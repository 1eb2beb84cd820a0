package generate

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestWhatIsGeneratedIsAlwaysTheSame(t *testing.T) {
	for name, content := range Grafana() {
		if !bytes.Equal(content, Grafana()[name]) {
			t.Errorf("%s differs from one call to the next", name)
		}
	}
	if !bytes.Equal(Alerts(), Alerts()) || !bytes.Equal(Prometheus(nil), Prometheus(nil)) {
		t.Error("rules or configuration differ from one call to the next")
	}
}

func TestTheScrapeConfigurationReadsBothPagesOfEachTarget(t *testing.T) {
	got := string(Prometheus([]string{"a:9644", `b"c:1`}))
	for text, n := range map[string]int{
		"job_name: klamm\n": 1, "job_name: klamm-detail\n": 1, "metrics_path: /metrics\n": 1, "metrics_path: /metrics/detail\n": 1,
		`- "a:9644"`: 2, `- "b\"c:1"`: 2, "- " + AlertsFile: 1,
	} {
		if strings.Count(got, text) != n {
			t.Errorf("%q is there %d times, want %d:\n%s", text, strings.Count(got, text), n, got)
		}
	}
	if none := string(Prometheus(nil)); strings.Count(none, `"`+DefaultTarget+`"`) != 2 {
		t.Errorf("without targets it reads not the default one:\n%s", none)
	}
}

func TestEachAlertSaysWhatItMeansAndWhichCommandHelps(t *testing.T) {
	names := make(map[string]bool)
	for _, g := range alertGroups() {
		for _, a := range g.alerts {
			if names[a.name] || !strings.HasPrefix(a.name, "Klamm") {
				t.Errorf("%s is there twice, or is no name of ours", a.name)
			}
			names[a.name] = true
			if a.expr == "" || a.wait == "" || a.summary == "" || a.about == "" || !strings.Contains(a.runbook, "klamm ") && !strings.Contains(a.runbook, "klamm_") {
				t.Errorf("%s lacks a part: %+v", a.name, a)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("there are %d alerts", len(names))
	}
}

// TestBoardsFitGrafana checks what Grafana 10 wants of a dashboard that is imported.
func TestBoardsFitGrafana(t *testing.T) {
	uids := make(map[string]bool)
	for name, content := range Grafana() {
		var d struct {
			UID           string
			Title         string
			SchemaVersion int
			Templating    struct {
				List []struct{ Name, Type string }
			}
			Panels []struct {
				ID         int
				Type       string
				Title      string
				Datasource struct{ UID string }
				GridPos    struct{ H, W, X, Y int }
				Targets    []struct{ Expr, RefID string }
			}
		}
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.UID+".json" != name || uids[d.UID] || len(d.UID) > 40 || d.SchemaVersion < 39 {
			t.Errorf("%s: uid %q, schema %d", name, d.UID, d.SchemaVersion)
		}
		uids[d.UID] = true
		known := map[string]bool{"__rate_interval": true}
		for i, v := range d.Templating.List {
			known[v.Name] = true
			if (i == 0) != (v.Type == "datasource") {
				t.Errorf("%s: variable %d is a %s", name, i, v.Type)
			}
		}
		taken := make(map[[2]int]string)
		variables := regexp.MustCompile(`\$(\w+)`)
		for _, p := range d.Panels {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
						t.Fatalf("%s: %s lies on %q, or beside the board", name, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
				t.Errorf("%s: %s asks %q for %d queries", name, p.Title, p.Datasource.UID, len(p.Targets))
			}
			for _, q := range p.Targets {
				for _, v := range variables.FindAllStringSubmatch(q.Expr, -1) {
					if !known[v[1]] {
						t.Errorf("%s: %s uses the variable %s, which the board does not have", name, p.Title, v[1])
					}
				}
			}
		}
	}
	for _, want := range []string{"klamm-overview", "klamm-topics", "klamm-groups", "klamm-clients", "klamm-node"} {
		if !uids[want] {
			t.Errorf("there is no board %s", want)
		}
	}
}
