package node

import (
	"net"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
)

// nodeCollector has what is told once for the node: its state, its log directories, what its process
// uses, and what an active controller tells of the cluster.
type nodeCollector struct {
	n   *Node
	lag *groupLag

	mu   sync.Mutex // guards idle
	idle idleShare
}

// The families of nodeCollector.
var (
	seriesHere      = gaugeFamily("klamm_partition_series_on_metrics", "1 while /metrics has series by topic and partition, 0 while /metrics/detail alone has them.")
	groupSeriesHere = gaugeFamily("klamm_group_series_on_metrics", "1 while /metrics has series by consumer group, 0 while /metrics/detail alone has them.")
	buildInfo       = gaugeFamily("klamm_build_info", "1; the labels say what runs.")
	exporterInfo    = gaugeFamily("kafka_exporter_build_info", "1; boards of kafka_exporter choose what they show by its labels.")
	brokerState     = gaugeFamily("kafka_server_kafkaserver_brokerstate", "State of the broker as Kafka numbers it: 1 starting, 3 running.")
	clusterID       = gaugeFamily("klamm_cluster_info", "1; the labels say which node of which cluster this is.")

	brokers    = gaugeFamily("kafka_brokers", "Brokers of the cluster that are not fenced; told by the active controller.")
	brokerInfo = gaugeFamily("kafka_broker_info", "1 for each broker of the cluster; told by the active controller.")
	imbalance  = gaugeFamily("kafka_controller_kafkacontroller_preferredreplicaimbalancecount", "Partitions that another replica than their first leads; told by the active controller.")
	unclean    = counterFamily("kafka_controller_controllerstats_uncleanleaderelections_total", "Leaders elected that were not in sync; this version elects none.")

	dirFailed   = gaugeFamily("klamm_log_directory_failed", "1 when the log directory failed and its partitions are offline.")
	dirTotal    = gaugeFamily("klamm_log_directory_total_bytes", "Bytes of the file system of the log directory.")
	dirFree     = gaugeFamily("klamm_log_directory_free_bytes", "Bytes that are free on the file system of the log directory.")
	offlineDirs = gaugeFamily("kafka_log_logmanager_offlinelogdirectorycount", "Log directories that failed.")

	diskWritten = gaugeFamily("kafka_server_kafkaserver_linux_disk_write_bytes", "Bytes that the process had written to disks. Linux only.")
	diskRead    = gaugeFamily("kafka_server_kafkaserver_linux_disk_read_bytes", "Bytes that the process had read from disks. Linux only.")
	networkIdle = gaugeFamily("kafka_network_socketserver_networkprocessoravgidle_percent", "Share of the processors that the process left idle since it was asked before, 0 to 1: there are no threads for the network to be idle. Linux only.")
	handlerIdle = gaugeFamily("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "The same as kafka_network_socketserver_networkprocessoravgidle_percent. Linux only.")

	memoryUsed = gaugeFamily("jvm_memory_bytes_used", "Bytes of memory that Go's runtime holds: heap is live and not yet collected objects, nonheap all else.")
	gcCount    = counterFamily("jvm_gc_collection_seconds_count", "Collections of garbage by Go's runtime.")
	gcSum      = counterFamily("jvm_gc_collection_seconds_sum", "Seconds that collections of garbage stopped the process.")
	threads    = gaugeFamily("jvm_threads_current", "Threads of the operating system that Go's runtime has made.")
)

func newNodeCollector(n *Node, lag *groupLag) *nodeCollector {
	return &nodeCollector{n: n, lag: lag, idle: idleShare{at: n.started, share: -1}}
}

// Describe implements prometheus.Collector; it tells nothing, as some systems lack some of it.
func (c *nodeCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *nodeCollector) Collect(to chan<- prometheus.Metric) {
	n := c.n
	emit(to, seriesHere, truth(n.replicas.Len() <= seriesOnMetrics))
	emit(to, groupSeriesHere, truth(c.lag.survey().offsets <= seriesOnMetrics))
	emit(to, buildInfo, 1, pair("goversion", runtime.Version()), pair("version", Version))
	emit(to, exporterInfo, 1, pair("goversion", runtime.Version()), pair("version", Version))
	emit(to, clusterID, 1, pair("cluster_id", n.clusterID), pair("node_id", strconv.Itoa(int(n.cfg.NodeID))))
	state := 1.0
	if n.serving.Load() {
		state = 3
	}
	emit(to, brokerState, state)
	c.directories(to)
	if n.quorum.Leading() {
		cluster(to, n.quorum.Image(), n.cfg.Listeners)
	}
	c.process(to)
}

// directories tells of the log directories.
func (c *nodeCollector) directories(to chan<- prometheus.Metric) {
	all := c.n.dirs
	if c.n.metadata != nil && !c.n.hasDir(c.n.metadata) {
		all = append(all[:len(all):len(all)], c.n.metadata)
	}
	failed := 0
	for _, d := range all {
		at := pair("directory", label(d.Path()))
		if d.Err() != nil {
			failed++
		}
		emit(to, dirFailed, truth(d.Err() != nil), at)
		if total, free := d.Usage(); total >= 0 {
			emit(to, dirTotal, float64(total), at)
			emit(to, dirFree, float64(free), at)
		}
	}
	emit(to, offlineDirs, float64(failed))
}

// hasDir says whether d is one of log.dirs.
func (n *Node) hasDir(d *commitlog.Dir) bool {
	for _, x := range n.dirs {
		if x == d {
			return true
		}
	}
	return false
}

// cluster tells what an active controller knows of all brokers.
func cluster(to chan<- prometheus.Metric, image *metadata.Image, listeners []Listener) {
	emit(to, brokers, float64(image.NumActive()))
	for _, b := range image.Brokers() {
		emit(to, brokerInfo, 1, pair("address", clientAddress(b, listeners)), pair("id", strconv.Itoa(int(b.ID))))
	}
	away := 0
	for t := range image.Topics() {
		for i := range t.Partitions {
			if p := &t.Partitions[i]; len(p.Replicas) > 0 && p.Leader != p.Replicas[0] {
				away++
			}
		}
	}
	emit(to, imbalance, float64(away))
	emit(to, unclean, 0)
}

// clientAddress is host:port of a broker's first listener for clients.
func clientAddress(b *metadata.Broker, listeners []Listener) string {
	for _, l := range listeners {
		if e, ok := b.Endpoint(l.Name); ok && !l.Controller {
			return label(net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
		}
	}
	return ""
}

// process tells what the process uses, under the names of a Java process where boards ask for those.
func (c *nodeCollector) process(to chan<- prometheus.Metric) {
	use := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(use)
	heap := use[0].Value.Uint64()
	emit(to, memoryUsed, float64(heap), pair("area", "heap"))
	emit(to, memoryUsed, float64(use[1].Value.Uint64()-use[2].Value.Uint64()-heap), pair("area", "nonheap"))
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	name := func() *dto.LabelPair { return pair("gc", "go") }
	emit(to, gcCount, float64(gc.NumGC), name())
	emit(to, gcSum, gc.PauseTotal.Seconds(), name())
	created, _ := runtime.ThreadCreateProfile(nil)
	emit(to, threads, float64(created))
	if read, written, ok := diskBytes(); ok {
		emit(to, diskRead, float64(read))
		emit(to, diskWritten, float64(written))
	}
	c.mu.Lock()
	idle, ok := c.idle.now(time.Now())
	c.mu.Unlock()
	if ok {
		emit(to, networkIdle, idle)
		emit(to, handlerIdle, idle)
	}
}

// idleEvery is over how long the share of idle processors is measured at least.
const idleEvery = 5 * time.Second

// idleShare measures how much of the processors the process leaves idle.
type idleShare struct {
	at    time.Time // of the last measurement, or the start
	used  time.Duration
	share float64 // of the last measurement, -1 before any
}

// now returns the share, 0 to 1, since the last measurement that is idleEvery old or older, at first
// since the start. ok is false where the system does not tell.
func (i *idleShare) now(now time.Time) (share float64, ok bool) {
	used, ok := processorTime()
	if !ok {
		return 0, false
	}
	if took := now.Sub(i.at); took >= idleEvery || i.share < 0 {
		room := max(took, time.Millisecond).Seconds() * float64(runtime.GOMAXPROCS(0))
		i.share = min(1, max(0, 1-(used-i.used).Seconds()/room))
		i.at, i.used = now, used
	}
	return i.share, true
}
