package generate

import (
	"fmt"
	"strconv"
	"strings"
)

// alert is one rule.
type alert struct {
	name     string
	expr     string
	wait     string // for how long expr has to hold
	severity string // critical: somebody gets up; warning: somebody looks today; info: it is good to know
	summary  string // one line, with the labels
	about    string // what it means, and what happens next
	runbook  string // what to do first, a command among it
}

// Alerts returns rules for Prometheus (klamm-alerts.yml). Every rule has a severity, a
// summary, a description and a runbook line that names a command.
func Alerts() []byte {
	var b strings.Builder
	b.WriteString("# Alerts on Klamm by Prometheus. Severities: critical wakes somebody, warning is looked at within a day, info is good to know.\ngroups:\n")
	for _, g := range alertGroups() {
		fmt.Fprintf(&b, "  - name: %s\n    rules:\n", g.name)
		for _, a := range g.alerts {
			fmt.Fprintf(&b, "      - alert: %s\n        expr: >-\n", a.name)
			for line := range strings.Lines(a.expr) {
				fmt.Fprintf(&b, "          %s\n", strings.TrimSpace(line))
			}
			fmt.Fprintf(&b, "        for: %s\n        labels:\n          severity: %s\n        annotations:\n          summary: %s\n          description: %s\n          runbook: %s\n",
				a.wait, a.severity, strconv.Quote(a.summary), strconv.Quote(a.about), strconv.Quote(a.runbook))
		}
	}
	return []byte(b.String())
}

type alertGroup struct {
	name   string
	alerts []alert
}

func alertGroups() []alertGroup {
	return []alertGroup{
		{"klamm-node", nodeAlerts()},
		{"klamm-storage", storageAlerts()},
		{"klamm-partitions", partitionAlerts()},
		{"klamm-clients", clientAlerts()},
		{"klamm-groups", groupAlerts()},
	}
}

func nodeAlerts() []alert {
	return []alert{
		{
			name: "KlammBrokerDown", expr: `up{job="` + Job + `"} == 0`, wait: "1m", severity: "critical",
			summary: "{{ $labels.instance }} does not answer.",
			about:   "Prometheus cannot read /metrics of the node: it has ended, hangs, or cannot be reached. Partitions that it alone has cannot be used.",
			runbook: "On its machine: `klamm doctor` says whether it runs and what stands in its way; its log ends with the reason when it ended by itself.",
		},
		{
			name: "KlammDetailNotRead", expr: `klamm_partition_series_on_metrics == 0 unless on (instance) up{job="` + DetailJob + `"} == 1`, wait: "10m", severity: "warning",
			summary: "Nobody reads /metrics/detail of {{ $labels.instance }}.",
			about:   "The node has more than 2,000 partitions, so that their series are on /metrics/detail alone. Boards and alerts by topic and partition see nothing.",
			runbook: "`klamm generate prometheus` prints the configuration that reads both pages.",
		},
		{
			name: "KlammRestarts", expr: `changes(process_start_time_seconds{job="` + Job + `"}[30m]) > 2`, wait: "0m", severity: "warning",
			summary: "{{ $labels.instance }} was restarted {{ $value }} times within half an hour.",
			about:   "The node ends and is started again. Each time its clients wait until it is back.",
			runbook: "The last lines of its log before each start say why it ended; `klamm debug bundle` collects them with the configuration.",
		},
		{
			name: "KlammNoActiveController", expr: `sum(kafka_controller_kafkacontroller_activecontrollercount{job="` + Job + `"}) != 1`, wait: "1m", severity: "critical",
			summary: "There are {{ $value }} active controllers, and there has to be one.",
			about:   "Without an active controller no topic can be created or changed and no leader elected. Two of them mean that Prometheus reads two clusters under one job.",
			runbook: "`klamm cluster health` names what is wrong; `klamm node list` shows which nodes are there.",
		},
		{
			name: "KlammMetadataStalled",
			expr: `kafka_server_raftmetrics_log_end_offset - kafka_server_raftmetrics_high_watermark > 100
and on (instance)
changes(kafka_server_raftmetrics_high_watermark[2m]) == 0`,
			wait: "2m", severity: "critical",
			summary: "{{ $labels.instance }} has {{ $value }} metadata records that do not take effect.",
			about:   "Changes of topics, configurations and leaders are written and not committed or not applied. Clients see old metadata.",
			runbook: "`klamm cluster health`; look at klamm_log_fsync_seconds for a disk that hangs.",
		},
		{
			name: "KlammPanics", expr: `increase(klamm_server_panics_total[15m]) > 0`, wait: "0m", severity: "warning",
			summary: "Requests broke down in {{ $labels.instance }}.",
			about:   "A mistake in Klamm has ended the connections of the requests that met it; the node goes on.",
			runbook: "`klamm debug bundle` collects the log with the stack; please report it.",
		},
		{
			name: "KlammOpenFiles", expr: `process_open_fds{job="` + Job + `"} / process_max_fds{job="` + Job + `"} > 0.85`, wait: "5m", severity: "warning",
			summary: "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its file descriptors in use.",
			about:   "At the limit neither connections are accepted nor logs opened.",
			runbook: "`klamm doctor` says what the limit is and how to raise it (ulimit -n, LimitNOFILE=).",
		},
	}
}

func storageAlerts() []alert {
	return []alert{
		{
			name: "KlammLogDirectoryFailed", expr: `klamm_log_directory_failed == 1`, wait: "0m", severity: "critical",
			summary: "Log directory {{ $labels.directory }} of {{ $labels.instance }} has failed.",
			about:   "Reading, writing or syncing went wrong, and its partitions are offline until the node is started again on a sound disk.",
			runbook: "The log has one line \"log directory has failed\" with the error; `klamm doctor` tests the disk.",
		},
		{
			name: "KlammLogDirectoryFull", expr: `klamm_log_directory_full == 1`, wait: "0m", severity: "critical",
			summary: "Log directory {{ $labels.directory }} of {{ $labels.instance }} is full.",
			about:   "Producers are answered KAFKA_STORAGE_ERROR and retry; consumers go on. Appends go on by themselves once there is room.",
			runbook: "`klamm topic list -o wide` shows what is large; `klamm topic alter TOPIC --set retention.ms=...` or `klamm topic trim TOPIC` makes room.",
		},
		{
			name: "KlammDiskAlmostFull", expr: `klamm_log_directory_free_bytes / klamm_log_directory_total_bytes < 0.1`, wait: "5m", severity: "warning",
			summary: "{{ $labels.directory }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} of its space left.",
			about:   "When nothing is left producers are refused.",
			runbook: "`klamm topic list -o wide` shows what is large; `klamm topic alter TOPIC --set retention.bytes=...` bounds it.",
		},
		{
			name: "KlammDiskFilling",
			expr: `predict_linear(klamm_log_directory_free_bytes[6h], 24 * 3600) < 0
and
klamm_log_directory_free_bytes / klamm_log_directory_total_bytes < 0.4`,
			wait: "1h", severity: "warning",
			summary: "{{ $labels.directory }} of {{ $labels.instance }} is full within a day, at the pace of the last six hours.",
			about:   "When nothing is left producers are refused.",
			runbook: "`klamm topic list -o wide` shows what grows; `klamm topic alter TOPIC --set retention.ms=...` shortens what is kept.",
		},
		{
			name: "KlammSlowDisk", expr: `histogram_quantile(0.99, sum by (instance, directory, le) (rate(klamm_log_fsync_seconds_bucket[10m]))) > 0.5`, wait: "10m", severity: "warning",
			summary: "One sync of {{ $labels.directory }} in a hundred takes {{ $value | humanizeDuration }} or longer.",
			about:   "Topics that are flushed before producers are answered, groups and metadata wait for the disk.",
			runbook: "`klamm doctor` measures the disk; look for other writers on it.",
		},
	}
}

func partitionAlerts() []alert {
	return []alert{
		{
			name: "KlammOfflinePartitions", expr: `max(kafka_controller_kafkacontroller_offlinepartitionscount) > 0`, wait: "1m", severity: "critical",
			summary: "{{ $value }} partitions have no leader.",
			about:   "They can be neither written nor read.",
			runbook: "`klamm cluster health` lists them; they come back with the broker or the log directory that has them.",
		},
		{
			name: "KlammOfflineReplicas", expr: `kafka_server_replicamanager_offlinereplicacount > 0`, wait: "1m", severity: "critical",
			summary: "{{ $value }} partitions of {{ $labels.instance }} cannot be used.",
			about:   "Their logs could not be opened, or their log directory failed.",
			runbook: "The log has a line for each with the reason; `klamm topic describe TOPIC` shows where it lies.",
		},
		{
			name: "KlammUnderReplicated", expr: `kafka_server_replicamanager_underreplicatedpartitions > 0`, wait: "5m", severity: "warning",
			summary: "{{ $value }} partitions that {{ $labels.instance }} leads have fewer in-sync replicas than replicas.",
			about:   "A broker is down or cannot keep up. Nothing is lost yet; the next failure may.",
			runbook: "`klamm cluster health` lists them, `klamm node list` shows who is missing.",
		},
		{
			name: "KlammUnderMinISR", expr: `kafka_server_replicamanager_underminisrpartitioncount > 0`, wait: "1m", severity: "critical",
			summary: "{{ $value }} partitions that {{ $labels.instance }} leads have fewer in-sync replicas than min.insync.replicas.",
			about:   "Producers with acks=all are answered NOT_ENOUGH_REPLICAS.",
			runbook: "`klamm cluster health` lists them, `klamm node list` shows who is missing.",
		},
	}
}

func clientAlerts() []alert {
	return []alert{
		{
			name: "KlammSlowRequests",
			expr: `histogram_quantile(0.99, sum by (instance, api, le) (rate(klamm_request_seconds_bucket{phase="local"}[5m]))) > 0.5
or
histogram_quantile(0.99, sum by (instance, api, le) (rate(klamm_request_seconds_bucket{phase="total", api="Produce"}[5m]))) > 1`,
			wait: "10m", severity: "warning",
			summary: "One {{ $labels.api }} request in a hundred takes {{ $value | humanizeDuration }} or longer in {{ $labels.instance }}.",
			about:   "Clients wait. Long polls of consumers and of group members do not count here.",
			runbook: "The log has a line with event=slow_request and the reason for the slowest; `klamm doctor` measures disk and processor.",
		},
		{
			name: "KlammProduceFails",
			expr: `sum by (instance) (rate(kafka_server_brokertopicmetrics_failedproducerequests_total{topic=""}[5m]))
/
sum by (instance) (rate(kafka_server_brokertopicmetrics_totalproducerequests_total{topic=""}[5m])) > 0.05`,
			wait: "10m", severity: "warning",
			summary: "{{ $value | humanizePercentage }} of what producers send to {{ $labels.instance }} is refused.",
			about:   "Batches are too large, are not valid, or come at a time when too few replicas are in sync; klamm_produce_too_large_total, klamm_produce_invalid_total and klamm_produce_out_of_order_total tell which.",
			runbook: "`klamm topic config TOPIC --all` shows max.message.bytes and min.insync.replicas.",
		},
		{
			name: "KlammClientsRefused", expr: `sum by (instance, reason) (increase(klamm_server_refused_total[10m])) > 10`, wait: "5m", severity: "warning",
			summary: "{{ $labels.instance }} refused {{ $value | humanize }} requests or connections within ten minutes: {{ $labels.reason }}.",
			about:   "size and header: what came was no request of Kafka's, or larger than socket.request.max.bytes. api: a client asks for what is not served. per_ip: max.connections.per.ip. budget: the memory for requests is used up.",
			runbook: "`klamm debug api-versions` shows what is served; the log at debug names the clients (`klamm node log-level`).",
		},
		{
			name: "KlammConnectionsNotAccepted", expr: `increase(kafka_network_acceptor_acceptorerrors_total[5m]) > 0`, wait: "5m", severity: "warning",
			summary: "{{ $labels.instance }} cannot accept connections.",
			about:   "The operating system refuses them, mostly because too many files are open.",
			runbook: "`klamm doctor` compares the limits with what is in use.",
		},
	}
}

func groupAlerts() []alert {
	return []alert{
		{
			name: "KlammGroupLagGrows",
			expr: `max by (consumergroup, topic) (klamm_consumergroup_lag_seconds) > 300
and on (consumergroup, topic)
max by (consumergroup, topic) (deriv(kafka_consumergroup_lag_sum[15m])) > 0`,
			wait: "10m", severity: "warning",
			summary: "Group {{ $labels.consumergroup }} is {{ $value | humanizeDuration }} behind in {{ $labels.topic }}, and falls back.",
			about:   "More is produced than the group commits.",
			runbook: "`klamm group lag {{ $labels.consumergroup }}` shows the partitions, `klamm group members {{ $labels.consumergroup }}` who has them.",
		},
		{
			name: "KlammGroupStuck",
			expr: `max by (consumergroup, topic) (kafka_consumergroup_lag_sum) > 0
and on (consumergroup, topic)
max by (consumergroup, topic) (changes(kafka_consumergroup_current_offset_sum[15m])) == 0
and on (consumergroup)
max by (consumergroup) (kafka_consumergroup_members) > 0`,
			wait: "15m", severity: "warning",
			summary: "Group {{ $labels.consumergroup }} has members and commits nothing of {{ $labels.topic }}, {{ $value }} records behind.",
			about:   "Its members hang, fail on a record again and again, or do not commit.",
			runbook: "`klamm group describe {{ $labels.consumergroup }}`; `klamm consume {{ $labels.topic }} -o OFFSET -n 1` shows the record where it stands.",
		},
		{
			name: "KlammGroupAbandoned",
			expr: `max by (consumergroup, topic) (klamm_consumergroup_lag_seconds) > 3600
and on (consumergroup)
max by (consumergroup) (kafka_consumergroup_members) == 0`,
			wait: "1h", severity: "info",
			summary: "Group {{ $labels.consumergroup }} has no members and is {{ $value | humanizeDuration }} behind in {{ $labels.topic }}.",
			about:   "Its application is stopped, or the group is not used any more.",
			runbook: "`klamm group describe {{ $labels.consumergroup }}`; `klamm group delete {{ $labels.consumergroup }}` removes one that is not needed.",
		},
	}
}
