// Rules checks what `klamm generate` prints with Prometheus's own parsers: alert rules as promtool
// does, the expressions of the boards, and every metric that either names against the names that a
// node exposes. It has a module of its own, as Prometheus's dependencies are not to be Klamm's.
//
//	rules [-metrics FILE]... FILE...
//
// A FILE that ends in .json is a board, prometheus.yml is Prometheus's configuration, and any other is a file of rules. -metrics names a page of a node, as
// /metrics or /metrics/detail has it; without any, names are not compared. It prints a line "ok NAME" or
// "FAIL NAME: why" for each check.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// ofPrometheus are the series that Prometheus makes itself.
var ofPrometheus = []string{"up", "scrape_duration_seconds", "scrape_samples_scraped"}

// checker keeps what the checks need and how they went.
type checker struct {
	parser  parser.Parser
	exposed map[string]bool // nil when no page was given
	failed  bool
}

func main() {
	var pages []string
	flag.Func("metrics", "a page of a node's metrics", func(s string) error { pages = append(pages, s); return nil })
	flag.Parse()
	c := &checker{parser: parser.NewParser(parser.Options{})}
	for _, p := range pages {
		if err := c.read(p); err != nil {
			fmt.Fprintln(os.Stderr, "rules:", err)
			os.Exit(2)
		}
	}
	for _, file := range flag.Args() {
		switch {
		case strings.HasSuffix(file, ".json"):
			c.board(file)
		case filepath.Base(file) == "prometheus.yml":
			c.configuration(file)
		default:
			c.rules(file)
		}
	}
	if c.failed || flag.NArg() == 0 {
		os.Exit(1)
	}
}

// tell prints how a check went.
func (c *checker) tell(name string, problems []string) {
	if len(problems) == 0 {
		fmt.Println("ok", name)
		return
	}
	c.failed = true
	fmt.Printf("FAIL %s: %s\n", name, strings.Join(problems, "; "))
}

// read takes the names of series from a page.
func (c *checker) read(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.exposed == nil {
		c.exposed = make(map[string]bool)
		for _, name := range ofPrometheus {
			c.exposed[name] = true
		}
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name := strings.TrimSpace(lines.Text()); !strings.HasPrefix(name, "#") {
			if i := strings.IndexAny(name, "{ "); i > 0 {
				c.exposed[name[:i]] = true
			}
		}
	}
	return lines.Err()
}

// rules checks a file of alert rules.
func (c *checker) rules(file string) {
	name := filepath.Base(file)
	content, err := os.ReadFile(file)
	if err != nil {
		c.tell(name, []string{err.Error()})
		return
	}
	groups, errs := rulefmt.Parse(content, false, model.UTF8Validation, c.parser, slog.New(slog.DiscardHandler))
	var problems []string
	for _, err := range errs {
		problems = append(problems, err.Error())
	}
	c.tell(name, problems)
	if groups == nil {
		return
	}
	seen := make(map[string]bool)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			problems := c.expression(r.Expr)
			if seen[r.Alert] {
				problems = append(problems, "there is another alert of the name")
			}
			seen[r.Alert] = true
			for _, key := range []string{"summary", "description", "runbook"} {
				if r.Annotations[key] == "" {
					problems = append(problems, "it has no "+key)
				}
			}
			if !strings.Contains(r.Annotations["runbook"], "`klamm ") {
				problems = append(problems, "its runbook names no command of klamm")
			}
			if s := r.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, s) {
				problems = append(problems, "severity "+s+" is none of critical, warning, info")
			}
			c.tell(name+" "+r.Alert, problems)
		}
	}
}

// expression parses a query and compares the names in it with those that are exposed.
func (c *checker) expression(expr string) (problems []string) {
	e, err := c.parser.ParseExpr(expr)
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", expr, err)}
	}
	names := make(map[string]bool)
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			name := s.Name
			for _, m := range s.LabelMatchers {
				if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
					name = m.Value
				}
			}
			names[name] = true
		}
		return nil
	})
	if len(names) == 0 {
		problems = append(problems, expr+": it asks for nothing")
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if c.exposed != nil && !c.exposed[name] {
			problems = append(problems, "no node exposes "+name)
		}
	}
	return problems
}

// scraping is what is checked of Prometheus's configuration; there is nothing else in it.
type scraping struct {
	Global struct {
		ScrapeInterval     model.Duration `yaml:"scrape_interval"`
		EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	} `yaml:"global"`
	RuleFiles     []string `yaml:"rule_files"`
	ScrapeConfigs []struct {
		Job           string         `yaml:"job_name"`
		Path          string         `yaml:"metrics_path"`
		Interval      model.Duration `yaml:"scrape_interval"`
		Timeout       model.Duration `yaml:"scrape_timeout"`
		StaticConfigs []struct {
			Targets []string `yaml:"targets"`
		} `yaml:"static_configs"`
	} `yaml:"scrape_configs"`
}

// configuration checks that both pages are scraped, by jobs that Prometheus accepts.
func (c *checker) configuration(file string) {
	name := filepath.Base(file)
	var s scraping
	content, err := os.ReadFile(file)
	if err == nil {
		d := yaml.NewDecoder(bytes.NewReader(content))
		d.KnownFields(true)
		err = d.Decode(&s)
	}
	if err != nil {
		c.tell(name, []string{err.Error()})
		return
	}
	var problems []string
	paths := make(map[string]bool)
	jobs := make(map[string]bool)
	for _, j := range s.ScrapeConfigs {
		if j.Job == "" || jobs[j.Job] || j.Timeout > j.Interval || len(j.StaticConfigs) == 0 || len(j.StaticConfigs[0].Targets) == 0 {
			problems = append(problems, "job "+j.Job+" has no name of its own, no targets, or a timeout beyond its interval")
		}
		jobs[j.Job], paths[j.Path] = true, true
	}
	if !paths["/metrics"] || !paths["/metrics/detail"] || len(s.RuleFiles) == 0 {
		problems = append(problems, "it does not read both pages and the rules")
	}
	c.tell(name, problems)
}

// dashboard is what is checked of Grafana's model.
type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Name, Type, Definition string
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int    `json:"id"`
		Title   string `json:"title"`
		Type    string `json:"type"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

// What Grafana puts in place of its variables, so that a parser understands the rest.
var (
	interval    = regexp.MustCompile(`\$__rate_interval`)
	choice      = regexp.MustCompile(`\$[a-z_]+`)
	labelValues = regexp.MustCompile(`^label_values\((.*), *[a-z_]+\)$`)
)

// board checks the queries of a board.
func (c *checker) board(file string) {
	name := filepath.Base(file)
	content, err := os.ReadFile(file)
	var d dashboard
	if err == nil {
		err = json.Unmarshal(content, &d)
	}
	if err != nil {
		c.tell(name, []string{err.Error()})
		return
	}
	var problems []string
	if d.UID == "" || d.Title == "" || len(d.Panels) == 0 || len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" {
		problems = append(problems, "it is no board with a variable for its data source")
	}
	ids := make(map[int]bool)
	for _, v := range d.Templating.List {
		if m := labelValues.FindStringSubmatch(v.Definition); m != nil {
			problems = append(problems, c.expression(m[1])...)
		} else if v.Type == "query" {
			problems = append(problems, "variable "+v.Name+" asks for "+v.Definition)
		}
	}
	for _, p := range d.Panels {
		if ids[p.ID] {
			problems = append(problems, fmt.Sprintf("two panels have id %d", p.ID))
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			problems = append(problems, p.Title+" asks for nothing")
		}
		for _, t := range p.Targets {
			expr := choice.ReplaceAllString(interval.ReplaceAllString(t.Expr, "1m"), "x")
			for _, s := range c.expression(expr) {
				problems = append(problems, p.Title+": "+s)
			}
		}
	}
	c.tell(name, problems)
}
