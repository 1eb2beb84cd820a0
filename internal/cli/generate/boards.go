package generate

const (
	perTopic = "kafka_server_brokertopicmetrics_"
	manager  = "kafka_server_replicamanager_"
	control  = "kafka_controller_kafkacontroller_"
	ofTopic  = `topic=~"$topic", topic!=""`
	ofGroup  = `consumergroup=~"$consumergroup", topic=~"$topic"`
)

// quantileOf is a quantile of how long requests take, over the phase and the APIs that the matchers choose.
func quantileOf(q, matchers string) string {
	return "histogram_quantile(" + q + ", sum by (api, le) (" + rate("klamm_request_seconds_bucket", matchers) + "))"
}

// overview says whether all is well.
func overview() board {
	return board{
		uid: "klamm-overview", title: "Klamm / Overview", about: "Whether all is well, and what goes through.",
		variables: []variable{instances()},
		rows: []row{
			{"Health", 4, []panel{
				stat("Brokers", "Brokers that are not fenced.", "none", "max("+on("kafka_brokers", "")+")", needed(1)),
				stat("Active controllers", "There has to be one.", "none", "sum("+on(control+"activecontrollercount", "")+")", needed(1)),
				stat("Offline partitions", "Partitions without a leader can be neither written nor read.", "none", "max("+on(control+"offlinepartitionscount", "")+")", good(1, 1)),
				stat("Under-replicated", "Partitions with fewer in-sync replicas than replicas.", "none", "sum("+on(manager+"underreplicatedpartitions", "")+")", good(1, 10)),
				stat("Under min.insync.replicas", "Producers with acks=all are refused.", "none", "sum("+on(manager+"underminisrpartitioncount", "")+")", good(1, 1)),
				stat("Failed log directories", "Their partitions are offline.", "none", "sum("+on("klamm_log_directory_failed", "")+")", good(1, 1)),
				stat("Topics", "", "none", "max("+on(control+"globaltopiccount", "")+")", nil),
				stat("Partitions", "", "none", "max("+on(control+"globalpartitioncount", "")+")", nil),
				stat("Consumer groups", "", "none", "sum("+on("kafka_coordinator_group_groupmetadatamanager_numgroups", "")+")", nil),
				stat("Connections", "", "none", "sum("+on("kafka_server_socket_server_metrics_connection_count", "")+")", nil),
				stat("Free disk", "The least of all log directories.", "percentunit", "min("+on("klamm_log_directory_free_bytes", "")+" / "+on("klamm_log_directory_total_bytes", "")+")", needed(0.1)),
				stat("Oldest record not committed", "Of all groups with members or without.", "s", "max("+on("klamm_consumergroup_lag_seconds", "")+")", good(300, 3600)),
			}},
			{"Traffic", 8, []panel{
				graph(8, "Records in", "Records that producers sent and the log took.", "wps", query{"sum by (instance) (" + rate(perTopic+"messagesin_total", `topic=""`) + ")", "{{instance}}"}),
				graph(8, "Bytes in and out", "Bytes of record batches.", "Bps",
					query{"sum(" + rate(perTopic+"bytesin_total", `topic=""`) + ")", "in"}, query{"sum(" + rate(perTopic+"bytesout_total", `topic=""`) + ")", "out"}),
				graph(8, "Requests", "Requests by API.", "reqps", query{"sum by (request) (" + rate("kafka_network_requestmetrics_requests_total", "") + ")", "{{request}}"}),
			}},
			{"Latency", 8, []panel{
				graph(8, "Produce", "From the arrival of a request to the end of its answer.", "s",
					query{quantileOf("0.5", `phase="total", api="Produce"`), "median"}, query{quantileOf("0.99", `phase="total", api="Produce"`), "99 %"}),
				graph(8, "Handlers, 99 %", "How long handlers work, without long polls.", "s", query{quantileOf("0.99", `phase="local"`), "{{api}}"}),
				graph(8, "Failed partitions of requests", "Partitions of Produce and Fetch requests that were answered with an error.", "ops",
					query{"sum(" + rate(perTopic+"failedproducerequests_total", `topic=""`) + ")", "Produce"}, query{"sum(" + rate(perTopic+"failedfetchrequests_total", `topic=""`) + ")", "Fetch"}),
			}},
			{"Groups", 8, []panel{
				graph(12, "The ten groups that are furthest behind, in time", "Age of the oldest record that is not committed.", "s",
					query{"topk(10, max by (consumergroup, topic) (" + on("klamm_consumergroup_lag_seconds", "") + "))", "{{consumergroup}} {{topic}}"}),
				graph(12, "The ten groups that are furthest behind, in records", "", "short",
					query{"topk(10, sum by (consumergroup, topic) (" + on("kafka_consumergroup_lag_sum", "") + "))", "{{consumergroup}} {{topic}}"}),
			}},
		},
	}
}

// topics is about topics and their partitions.
func topics() board {
	return board{
		uid: "klamm-topics", title: "Klamm / Topics", about: "What goes into topics and out of them, and what they hold.",
		variables: []variable{instances(), {"topic", "Topic", "label_values(kafka_topic_partitions, topic)"}},
		rows: []row{
			{"Traffic", 8, []panel{
				graph(8, "Records in", "By topic.", "wps", query{"sum by (topic) (" + rate(perTopic+"messagesin_total", ofTopic) + ")", "{{topic}}"}),
				graph(8, "Bytes in", "By topic.", "Bps", query{"sum by (topic) (" + rate(perTopic+"bytesin_total", ofTopic) + ")", "{{topic}}"}),
				graph(8, "Bytes out", "By topic, to consumers.", "Bps", query{"sum by (topic) (" + rate(perTopic+"bytesout_total", ofTopic) + ")", "{{topic}}"}),
			}},
			{"Requests", 8, []panel{
				graph(8, "Partitions of Produce requests", "By topic.", "ops", query{"sum by (topic) (" + rate(perTopic+"totalproducerequests_total", ofTopic) + ")", "{{topic}}"}),
				graph(8, "Reads for Fetch requests", "By topic.", "ops", query{"sum by (topic) (" + rate(perTopic+"totalfetchrequests_total", ofTopic) + ")", "{{topic}}"}),
				graph(8, "Failed", "By topic: answered with an error, and bytes that were too large.", "ops",
					query{"sum by (topic) (" + rate(perTopic+"failedproducerequests_total", ofTopic) + ")", "Produce {{topic}}"},
					query{"sum by (topic) (" + rate(perTopic+"failedfetchrequests_total", ofTopic) + ")", "Fetch {{topic}}"},
					query{"sum by (topic) (" + rate(perTopic+"bytesrejected_total", ofTopic) + ")", "bytes too large {{topic}}"}),
			}},
			{"What they hold", 8, []panel{
				graph(8, "Size", "Bytes of logs, by topic.", "bytes", query{"sum by (topic) (" + on("kafka_log_log_size", ofTopic) + ")", "{{topic}}"}),
				graph(8, "Records kept", "Offsets between the first and the high watermark; of a compacted topic more than there are records.", "short",
					query{"sum by (topic) (" + on("kafka_topic_partition_current_offset", ofTopic) + " - " + on("kafka_topic_partition_oldest_offset", ofTopic) + ")", "{{topic}}"}),
				graph(8, "Segments", "By topic.", "none", query{"sum by (topic) (" + on("kafka_log_log_numlogsegments", ofTopic) + ")", "{{topic}}"}),
			}},
			{"Partitions", 9, []panel{
				table(8, "Partitions", "", "none", "sum by (topic) ("+on("kafka_topic_partitions", ofTopic)+")"),
				table(8, "Largest partitions", "", "bytes", "topk(50, sum by (topic, partition) ("+on("kafka_log_log_size", ofTopic)+"))"),
				table(8, "Partitions that need a look", "Without a leader, under-replicated or under min.insync.replicas.", "none",
					on("kafka_topic_partition_under_replicated_partition", ofTopic)+" == 1 or "+on("kafka_cluster_partition_underminisr", ofTopic)+" == 1 or "+on("kafka_topic_partition_leader", ofTopic)+" < 0"),
			}},
		},
	}
}

// groups is about consumer groups.
func groups() board {
	return board{
		uid: "klamm-groups", title: "Klamm / Groups", about: "How far consumer groups are behind, in records and in time.",
		variables: []variable{instances(), {"consumergroup", "Group", "label_values(kafka_consumergroup_members, consumergroup)"}, {"topic", "Topic", "label_values(kafka_consumergroup_lag_sum, topic)"}},
		rows: []row{
			{"Lag", 9, []panel{
				graph(12, "Behind, in time", "Age of the oldest record that the group has not committed.", "s", query{"max by (consumergroup, topic) (" + on("klamm_consumergroup_lag_seconds", ofGroup) + ")", "{{consumergroup}} {{topic}}"}),
				graph(12, "Behind, in records", "Records between the committed offset and the high watermark.", "short", query{"sum by (consumergroup, topic) (" + on("kafka_consumergroup_lag", ofGroup) + ")", "{{consumergroup}} {{topic}}"}),
			}},
			{"Pace", 8, []panel{
				graph(12, "Consumed", "Records a second, by what is committed.", "wps", query{"sum by (consumergroup, topic) (deriv(" + on("kafka_consumergroup_current_offset", ofGroup) + "[5m]))", "{{consumergroup}} {{topic}}"}),
				graph(12, "Produced", "Records a second that come into the topics.", "wps", query{"sum by (topic) (deriv(" + on("kafka_topic_partition_current_offset", ofTopic) + "[5m]))", "{{topic}}"}),
			}},
			{"Members", 8, []panel{
				graph(8, "Members", "", "none", query{"sum by (consumergroup) (" + on("kafka_consumergroup_members", `consumergroup=~"$consumergroup"`) + ")", "{{consumergroup}}"}),
				graph(8, "Groups by state", "Of all groups.", "none",
					query{"sum(" + on("kafka_coordinator_group_groupmetadatamanager_numgroupsstable", "") + ")", "stable"},
					query{"sum(" + on("kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", "") + ")", "preparing rebalance"},
					query{"sum(" + on("kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", "") + ")", "completing rebalance"},
					query{"sum(" + on("kafka_coordinator_group_groupmetadatamanager_numgroupsempty", "") + ")", "empty"}),
				graph(8, "Rebalances and commits", "Of all groups.", "ops",
					query{"sum(" + rate("kafka_server_group_coordinator_metrics_group_completed_rebalance_total", "") + ")", "rebalances"},
					query{"sum(" + rate("kafka_server_group_coordinator_metrics_offset_commit_total", "") + ")", "offsets committed"}),
			}},
			{"By partition", 10, []panel{
				table(8, "Committed offsets", "", "none", "sum by (consumergroup, topic, partition) ("+on("kafka_consumergroup_current_offset", ofGroup)+")"),
				table(8, "Lag in records", "", "none", "topk(100, sum by (consumergroup, topic, partition) ("+on("kafka_consumergroup_lag", ofGroup)+") > 0)"),
				table(8, "Lag in time", "", "s", "topk(100, max by (consumergroup, topic, partition) ("+on("klamm_consumergroup_lag_seconds", ofGroup)+") > 0)"),
			}},
		},
	}
}

// clients is about who is connected and what they ask for.
func clients() board {
	return board{
		uid: "klamm-clients", title: "Klamm / Clients", about: "Connections, requests and their latency, and what is refused.",
		variables: []variable{instances(), {"api", "API", "label_values(klamm_request_seconds_count, api)"}},
		rows: []row{
			{"Connections", 8, []panel{
				graph(8, "Open", "By listener.", "none", query{"sum by (listener) (" + on("kafka_server_socket_server_metrics_connection_count", "") + ")", "{{listener}}"}),
				graph(8, "Opened and ended", "A high pace means clients that connect anew for each request.", "cps",
					query{"sum by (listener) (" + rate("kafka_server_socket_server_metrics_connection_creation_total", "") + ")", "opened {{listener}}"},
					query{"sum by (listener) (" + rate("kafka_server_socket_server_metrics_connection_close_total", "") + ")", "ended {{listener}}"}),
				graph(8, "Refused", "Requests and connections, by reason.", "ops", query{"sum by (reason) (" + rate("klamm_server_refused_total", "") + ")", "{{reason}}"}),
			}},
			{"Who they are", 8, []panel{
				graph(16, "Connections by library", "By what clients say of themselves (ApiVersions).", "none", query{"sum by (library, version) (" + on("klamm_clients", "") + ")", "{{library}} {{version}}"}),
				graph(8, "Clients that push their metrics (KIP-714)", "What they push is on /metrics/detail, klamm_client_*.", "none",
					query{"sum(" + on("klamm_telemetry_instances", "") + ")", "clients"}, query{"sum(" + on("klamm_telemetry_series", "") + ")", "series"}),
			}},
			{"Requests", 8, []panel{
				graph(8, "By API", "", "reqps", query{"sum by (request) (" + rate("kafka_network_requestmetrics_requests_total", `request=~"$api"`) + ")", "{{request}}"}),
				graph(8, "By version", "Old versions tell of old clients.", "reqps", query{"sum by (request, version) (" + rate("kafka_network_requestmetrics_requests_total", `request=~"$api"`) + ")", "{{request}} v{{version}}"}),
				graph(8, "Bytes sent", "By listener.", "Bps", query{"sum by (listener) (" + rate("kafka_server_socket_server_metrics_outgoing_byte_total", "") + ")", "{{listener}}"}),
			}},
			{"Latency", 8, []panel{
				graph(12, "99 %, by API", "From the arrival of a request to the end of its answer, long polls too.", "s", query{quantileOf("0.99", `phase="total", api=~"$api"`), "{{api}}"}),
				graph(12, "Where the time goes", "Seconds a second that requests spend in each phase.", "s",
					query{"sum by (phase) (" + rate("klamm_request_seconds_sum", `phase!="total", api=~"$api"`) + ")", "{{phase}}"}),
			}},
			{"Refused records", 8, []panel{
				graph(12, "Why", "Batches that producers sent and that were refused.", "ops",
					query{"sum(" + rate("klamm_produce_too_large_total", "") + ")", "over max.message.bytes"},
					query{"sum(" + rate("klamm_produce_invalid_total", "") + ")", "not valid"},
					query{"sum(" + rate("klamm_produce_out_of_order_total", "") + ")", "a gap in the sequence"}),
				graph(12, "Errors in answers", "By API and Kafka's name of the error; some are everyday, as NOT_LEADER_OR_FOLLOWER after a move.", "ops",
					query{"sum by (request, error) (" + rate("kafka_network_requestmetrics_errors_total", `request=~"$api"`) + ")", "{{request}} {{error}}"}),
				graph(12, "Fetch sessions", "", "none",
					query{"sum(" + on("kafka_server_fetchsessioncache_numincrementalfetchsessions", "") + ")", "open"}),
			}},
		},
	}
}

// nodes is about the process and its disks.
func nodes() board {
	return board{
		uid: "klamm-node", title: "Klamm / Node", about: "The process, its disks and the metadata log.",
		variables: []variable{instances()},
		rows: []row{
			{"Process", 8, []panel{
				graph(6, "Processors", "Processors in use.", "none", query{"sum by (instance) (" + rate("process_cpu_seconds_total", "") + ")", "{{instance}}"}),
				graph(6, "Memory", "", "bytes",
					query{"sum by (instance) (" + on("process_resident_memory_bytes", "") + ")", "resident {{instance}}"}, query{"sum by (instance) (" + on("go_memstats_heap_inuse_bytes", "") + ")", "heap {{instance}}"}),
				graph(6, "Collections of garbage", "Share of time that the process stood still for them.", "percentunit", query{"sum by (instance) (" + rate("go_gc_duration_seconds_sum", "") + ")", "{{instance}}"}),
				graph(6, "Goroutines and files", "", "none",
					query{"sum by (instance) (" + on("go_goroutines", "") + ")", "goroutines {{instance}}"}, query{"sum by (instance) (" + on("process_open_fds", "") + ")", "files {{instance}}"}),
			}},
			{"Disks", 8, []panel{
				graph(8, "Free", "By log directory.", "bytes", query{on("klamm_log_directory_free_bytes", ""), "{{instance}} {{directory}}"}),
				graph(8, "Appended", "By log directory.", "Bps", query{rate("klamm_log_append_bytes_total", ""), "{{instance}} {{directory}}"}),
				graph(8, "How long a sync takes", "By log directory.", "s",
					query{"histogram_quantile(0.5, sum by (directory, le) (" + rate("klamm_log_fsync_seconds_bucket", "") + "))", "median {{directory}}"},
					query{"histogram_quantile(0.99, sum by (directory, le) (" + rate("klamm_log_fsync_seconds_bucket", "") + "))", "99 % {{directory}}"}),
				graph(8, "Appends and syncs", "By log directory.", "ops",
					query{rate("klamm_log_appends_total", ""), "appends {{instance}} {{directory}}"}, query{rate("klamm_log_fsyncs_total", ""), "syncs {{instance}} {{directory}}"}),
				graph(8, "Upkeep", "Segments deleted, and units written to the journal.", "ops",
					query{rate("klamm_log_deleted_segments_total", ""), "segments deleted {{directory}}"}, query{rate("klamm_log_checkpoints_total", ""), "journal {{directory}}"}),
				graph(8, "Recovered after a crash", "Bytes read to recover logs.", "bytes", query{on("klamm_log_recovered_bytes_total", ""), "{{instance}} {{directory}}"}),
			}},
			{"Partitions", 8, []panel{
				graph(8, "Held and led", "", "none",
					query{on(manager+"partitioncount", ""), "held {{instance}}"}, query{on(manager+"leadercount", ""), "led {{instance}}"}),
				graph(8, "In-sync replicas", "How often replicas fell out of sync and came back.", "ops",
					query{rate(manager+"isrshrinks_total", ""), "lost {{instance}}"}, query{rate(manager+"isrexpands_total", ""), "back {{instance}}"}),
				graph(8, "Cannot be used", "", "none", query{on(manager+"offlinereplicacount", ""), "{{instance}}"}),
			}},
			{"Metadata", 8, []panel{
				graph(8, "Offsets", "Both grow together.", "none",
					query{on("kafka_server_raftmetrics_log_end_offset", ""), "end {{instance}}"}, query{on("kafka_server_raftmetrics_high_watermark", ""), "applied {{instance}}"}),
				graph(8, "Records", "Proposed by the active controller.", "ops", query{rate("kafka_server_raftmetrics_proposed_records_total", ""), "{{instance}}"}),
				graph(8, "How long an append takes", "", "s",
					query{"histogram_quantile(0.99, sum by (instance, le) (" + rate("kafka_server_raftmetrics_append_seconds_bucket", "") + "))", "99 % {{instance}}"}),
			}},
			{"What runs", 4, []panel{
				table(12, "Versions", "", "none", on("klamm_build_info", "")),
				table(12, "Clusters", "", "none", on("klamm_cluster_info", "")),
			}},
		},
	}
}
