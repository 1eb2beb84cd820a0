// Package generate makes what an operator's tools need to see inside Klamm: boards
// for Grafana, a configuration for Prometheus that scrapes both pages of metrics,
// and alert rules. All of it is text that depends on nothing but its arguments.
// The names that it queries are those of docs/metrics.md.
package generate

import (
	"fmt"
	"strconv"
	"strings"
)

// The jobs by which Prometheus scrapes a node: /metrics, and /metrics/detail.
const (
	// Job scrapes /metrics, and its up says whether the node is there.
	Job = "klamm"
	// DetailJob scrapes /metrics/detail, less often.
	DetailJob = "klamm-detail"
)

// DefaultTarget is the admin listener of a node whose configuration names no other.
const DefaultTarget = "127.0.0.1:9644"

// AlertsFile is the name by which the configuration of Prometheus loads the rules that Alerts returns.
const AlertsFile = "klamm-alerts.yml"

// Prometheus returns a configuration (prometheus.yml) that scrapes both pages of the
// admin listeners at targets, host:port each, and loads AlertsFile beside it. No targets
// mean DefaultTarget.
func Prometheus(targets []string) []byte {
	if len(targets) == 0 {
		targets = []string{DefaultTarget}
	}
	var b strings.Builder
	b.WriteString(`# Prometheus scrapes each node of Klamm twice: /metrics often, and /metrics/detail, where the series by
# partition are once a node has more than 2,000 of them, and those by client, at longer intervals.
# Targets are admin listeners (admin.listener), not the listeners of Kafka's clients.
global:
  scrape_interval: 15s
  evaluation_interval: 15s

rule_files:
  - ` + AlertsFile + `

scrape_configs:
`)
	for _, job := range []struct{ name, path, interval, timeout string }{
		{Job, "/metrics", "15s", "10s"},
		{DetailJob, "/metrics/detail", "60s", "30s"},
	} {
		fmt.Fprintf(&b, "  - job_name: %s\n    metrics_path: %s\n    scrape_interval: %s\n    scrape_timeout: %s\n    static_configs:\n      - targets:\n",
			job.name, job.path, job.interval, job.timeout)
		for _, t := range targets {
			fmt.Fprintf(&b, "          - %s\n", strconv.Quote(t))
		}
	}
	return []byte(b.String())
}
