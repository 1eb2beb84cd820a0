// Package node builds and runs one broker and controller from a Config, and reads a Config from a file in Kafka's format.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/telemetry"
	"github.com/klamm/klamm/internal/wire"
)

const (
	// stopTimeout bounds each step of a stop that waits for others.
	stopTimeout = 5 * time.Second
	// codecOutputs is how many extreme decompressions may be under way at a time.
	codecOutputs = 4
)

// Version is this release of klamm.
const Version = "0.2.0"

// Node is one broker and controller.
type Node struct {
	cfg         Config
	host        Host
	log         *slog.Logger // the node's own; each room has its own
	loggers     *loggers
	reg         prometheus.Registerer
	detail      *prometheus.Registry // of /metrics/detail
	many        []table              // what is on /metrics/detail when there is much of it
	clusterID   string
	fresh       bool // this start made the cluster
	incarnation wire.UUID
	epoch       int64 // of the broker's registration

	dirs     []*commitlog.Dir
	metadata *commitlog.Dir // the one of dirs, or another, that the metadata log lies in
	quorum   *quorum.Quorum
	replicas *replica.Set
	groups   *coordinator.Groups
	clients  *telemetry.Manager
	server   *server.Server
	admin    *admin

	started time.Time
	ready   chan struct{}
	serving atomic.Bool
	info    Info
}

// Info is what a ready node says of itself.
type Info struct {
	// ClusterID is the cluster's id.
	ClusterID string
	// New says that this start made the cluster.
	New bool
	// Topics and Bytes are how many topics there are and what their logs hold.
	Topics int
	Bytes  int64
	// Addr is the first client listener's address, host:port with the port that was bound.
	Addr string
	// Admin is the admin listener's address, or "" when there is none.
	Admin string
	// Free is how many bytes are free where the first log directory is.
	Free int64
	// ReadyIn is how long the start took.
	ReadyIn time.Duration
}

// New checks the configuration against what lies in the directories and builds a
// node. It makes directories that are not there yet, and starts nothing.
func New(cfg Config, h Host, log *slog.Logger, reg prometheus.Registerer) (*Node, error) {
	logs := newLoggers(log.Handler())
	n := &Node{cfg: cfg, host: h, log: logs.of("node"), loggers: logs, reg: reg, detail: prometheus.NewRegistry(), started: time.Now(), ready: make(chan struct{}), incarnation: commitlog.NewDirectoryID()}
	if err := n.identify(); err != nil {
		return nil, err
	}
	return n, nil
}

// identify finds out which cluster the node belongs to, and makes the directories of a new one.
func (n *Node) identify() error {
	all := n.allDirs()
	var missing []string
	for _, dir := range all {
		m, err := commitlog.ReadMeta(n.host.Disk, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, dir)
			continue
		case err != nil:
			return err
		case n.clusterID != "" && m.ClusterID != n.clusterID:
			return fmt.Errorf("%w: %s belongs to cluster %s and %s to %s; take one of them out of log.dirs", commitlog.ErrForeign, all[0], n.clusterID, dir, m.ClusterID)
		}
		n.clusterID = m.ClusterID
	}
	switch {
	case n.clusterID == "":
		n.fresh = true
		if n.clusterID = n.cfg.ClusterID; n.clusterID == "" {
			n.clusterID = wire.UUID(commitlog.NewDirectoryID()).String()
		}
	case n.cfg.ClusterID != "" && n.cfg.ClusterID != n.clusterID:
		return fmt.Errorf("%w: %s belongs to cluster %s and the configuration asks for %s", commitlog.ErrForeign, all[0], n.clusterID, n.cfg.ClusterID)
	case slices.Contains(missing, n.cfg.MetadataDir):
		return fmt.Errorf("%s is empty and other directories of cluster %s are not: without its metadata log nothing says what they hold; bring the directory back", n.cfg.MetadataDir, n.clusterID)
	}
	for _, dir := range missing {
		if err := n.host.Disk.MkdirAll(dir); err != nil {
			return err
		}
		if err := commitlog.InitDir(n.host.Disk, dir, commitlog.Meta{ClusterID: n.clusterID, NodeID: n.cfg.NodeID, DirectoryID: commitlog.NewDirectoryID()}); err != nil {
			return err
		}
	}
	return nil
}

// allDirs are the log directories and, where it is another, that of the metadata log.
func (n *Node) allDirs() []string {
	if slices.Contains(n.cfg.LogDirs, n.cfg.MetadataDir) {
		return n.cfg.LogDirs
	}
	return append([]string{n.cfg.MetadataDir}, n.cfg.LogDirs...)
}

// Run starts the node, and stops it in good order when ctx ends. It returns the error that stopped it, or nil.
func (n *Node) Run(ctx context.Context) error {
	for _, w := range n.cfg.Warnings {
		n.log.Warn("the configuration is doubtful", "event", "config_warning", "warning", w)
	}
	if len(n.cfg.NoEffect) > 0 {
		n.log.Info("some keys of the configuration are known and have no effect here", "event", "config_no_effect", "keys", n.cfg.NoEffect)
	}
	if err := n.build(); err != nil {
		n.closeDirs()
		return err
	}
	return n.run(ctx)
}

// build opens the directories and puts the rooms together, from the ground to the roof.
func (n *Node) build() error {
	cache := commitlog.NewTailCache(0)
	for _, dir := range n.allDirs() {
		d, err := commitlog.OpenDir(n.host.Disk, dir, commitlog.DirOptions{
			Logger: n.loggers.of("commitlog"), Registerer: n.reg, ClusterID: n.clusterID, NodeID: n.cfg.NodeID, TailCache: cache,
			RetentionCheckInterval: n.duration("log.retention.check.interval.ms"),
		})
		if err != nil {
			return err
		}
		if dir == n.cfg.MetadataDir {
			n.metadata = d
		}
		if slices.Contains(n.cfg.LogDirs, dir) {
			n.dirs = append(n.dirs, d)
		}
	}
	codecs := record.NewCodecs(codecOutputs)
	n.replicas = replica.New(replica.Config{
		NodeID: n.cfg.NodeID, Dirs: n.dirs, Codecs: codecs, MaxLag: n.duration("replica.lag.time.max.ms"),
		TopicOptions: n.topicOptions, Logger: n.loggers.of("replica"), Registerer: n.reg,
	})
	options, err := group.OptionsFrom(n.value)
	if err != nil {
		return err
	}
	n.groups = coordinator.NewGroups(coordinator.Config{
		NodeID: n.cfg.NodeID, Options: options, Partitions: int32(n.int("offsets.topic.num.partitions")),
		CommitTimeout: n.duration("offsets.commit.timeout.ms"), LoadBytes: int(n.int("offsets.load.buffer.size")), BatchBytes: int(n.int("message.max.bytes")),
		Source: coordinator.Replicas(n.replicas, coordinator.OffsetsTopic), Codecs: codecs, Logger: n.loggers.of("coordinator"), Registerer: n.reg,
	})
	n.clients = telemetry.NewManager(telemetry.Options{MaxBytes: int(n.int("telemetry.max.bytes")), Logger: n.loggers.of("telemetry"), Registerer: n.reg})
	n.detail.MustRegister(n.clients.Pushed())
	if err := n.buildQuorum(); err != nil {
		return err
	}
	authorizer := auth.Authorizer(auth.Open{})
	if n.cfg.Static["authorizer.class.name"] != "" {
		authorizer = auth.EmptyACLs{}
	}
	var table rpc.Table = api.New(api.Deps{
		NodeID: n.cfg.NodeID, ClusterID: n.clusterID, Authorizer: authorizer, Replicas: n.replicas, Dirs: n.dirs, Quorum: n.quorum, Groups: n.groups,
		Codecs: codecs, Telemetry: n.clients, Keys: n.cfg.Keys, Static: n.cfg.Static, Endpoint: n.endpoint, ControllerListeners: n.controllerListeners(), Loggers: n.loggers, Logger: n.loggers.of("api"), Registerer: n.reg,
	})
	if n.host.Interceptor != nil {
		table = n.host.Interceptor.Over(table, n.topicName, n.log)
	}
	serve, err := n.serverConfig()
	if err != nil {
		return err
	}
	n.server = server.New(serve, table, n.loggers.of("server"), n.reg)
	n.expose()
	n.reg.MustRegister(&clientsCollector{n})
	return n.buildAdmin()
}

// buildAdmin binds the admin listener, so that a node can be asked how it is while it starts.
func (n *Node) buildAdmin() error {
	if n.cfg.AdminListener == "" {
		return nil
	}
	gatherer, ok := n.reg.(prometheus.Gatherer)
	if !ok {
		return errors.New("admin.listener needs a registry that can be gathered")
	}
	a, err := newAdmin(n.host.Listen, n.cfg.AdminListener, gatherer, n.detailPage(), n.serving.Load)
	switch {
	case err == nil:
		n.admin = a
		a.mux.Handle("GET /debug/logs", n.loggers.ring)
		a.mux.HandleFunc("GET /clients", n.serveClients)
	case n.cfg.AdminOptional:
		n.log.Warn("the admin listener is not there; choose another address by admin.listener", "event", "admin_listener_missing", "address", n.cfg.AdminListener, "error", err)
	default:
		return fmt.Errorf("admin.listener=%s: %w; choose another address, or none with admin.listener=", n.cfg.AdminListener, err)
	}
	return nil
}

func (n *Node) buildQuorum() error {
	log, err := n.metadata.Open(quorum.LogID(), quorum.LogOptions(n.int("metadata.log.segment.bytes")), nil)
	if err != nil {
		return err
	}
	o := quorum.Options{
		NodeID: n.cfg.NodeID, Directory: n.metadata.Meta().DirectoryID, ClusterID: n.clusterID,
		FS: n.host.Disk, Path: path.Join(n.metadata.Path(), controller.ClusterMetadataTopic+"-0"), Log: quorum.OverCommitLog(log),
		Keys: n.cfg.Keys, Static: n.cfg.Static, Defaults: controller.DefaultsFrom(n.value),
		Observers: []quorum.Observer{n.replicas, n.groups, n.clients, observer(n.reconfigure)}, Logger: n.loggers.of("quorum"), Registerer: n.reg,
	}
	o.Configure(n.value)
	n.quorum, err = quorum.New(o)
	return err
}

// observer is a function that observes the metadata.
type observer func(delta *metadata.Delta, image *metadata.Image)

// Observe implements quorum.Observer.
func (o observer) Observe(delta *metadata.Delta, image *metadata.Image) { o(delta, image) }

// run runs what build made. What is started later stands on what was started before, and stops first.
func (n *Node) run(ctx context.Context) error {
	g := newStages(ctx)
	defer g.stop()
	if n.admin != nil {
		g.start("admin listener", n.admin.run)
	}
	g.start("log directories", n.runDirs)
	g.start("quorum", n.quorum.Run)
	select {
	case <-n.quorum.Ready():
	case <-g.failed():
		return g.stop()
	case <-ctx.Done():
		return g.stop()
	}
	g.start("coordinator", n.groups.Run)
	if err := n.server.Listen(); err != nil {
		return errors.Join(err, g.stop())
	}
	n.settle()
	previous, err := takeCleanStop(n.host.Disk, n.metadata.Path())
	if err == nil {
		err = n.register(ctx, previous)
	}
	if err != nil {
		n.server.Close()
		return errors.Join(err, g.stop())
	}
	g.start("heartbeat", n.heartbeat)
	g.start("server", n.server.Run)
	n.describe()
	n.serving.Store(true)
	close(n.ready)
	select {
	case <-ctx.Done():
	case <-g.failed():
	}
	n.serving.Store(false)
	return n.stop(g)
}

// syncsAtStart is how many logs are synced side by side at the start.
const syncsAtStart = 8

// settle makes durable what an unclean stop left in logs of the durable class. Their high watermarks
// do not cover it before, so that a client which reads to the end would miss what was acknowledged.
func (n *Node) settle() {
	var g errgroup.Group
	g.SetLimit(syncsAtStart)
	for _, p := range n.replicas.All() {
		l := p.Log()
		if b := l.Bounds(); l.Options().FlushBeforeAck && b.Flushed < b.End {
			g.Go(l.Sync)
		}
	}
	_ = g.Wait() // a failed directory logs why, and the others go on
}

// stop ends the node: clients are drained while the controller gives the leaderships away, then all else goes, last the logs.
func (n *Node) stop(g *stages) error {
	if g.err() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		n.resign(ctx)
		cancel()
	}
	err := g.stop()
	if err == nil {
		err = leaveCleanStop(n.host.Disk, n.metadata.Path(), n.epoch)
	}
	return err
}

// runDirs runs the log directories, and that of the metadata log where it is another.
func (n *Node) runDirs(ctx context.Context) error {
	if slices.Contains(n.dirs, n.metadata) {
		return n.replicas.Run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		defer cancel()
		err = n.metadata.Run(ctx)
	})
	other := n.replicas.Run(ctx)
	cancel()
	wg.Wait()
	return errors.Join(err, other)
}

// closeDirs gives back the directories of a node that was not built.
func (n *Node) closeDirs() {
	all := n.dirs
	if n.metadata != nil && !slices.Contains(all, n.metadata) {
		all = append(all, n.metadata)
	}
	for _, d := range all {
		if err := d.Close(); err != nil {
			n.log.Warn("a log directory could not be closed", "event", "log_dir_close_failed", "directory", d.Path(), "error", err)
		}
	}
}

// Ready is closed when clients can produce and consume.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Info describes the node; call it after Ready.
func (n *Node) Info() Info { return n.info }

func (n *Node) describe() {
	image := n.quorum.Image()
	n.info = Info{ClusterID: n.clusterID, New: n.fresh, Topics: image.NumTopics(), ReadyIn: time.Since(n.started)}
	for _, p := range n.replicas.All() {
		n.info.Bytes += p.Log().Size()
	}
	_, n.info.Free = n.dirs[0].Usage()
	if n.admin != nil {
		n.info.Admin = n.admin.listener.Addr().String()
	}
	for _, l := range n.cfg.Listeners {
		if !l.Controller {
			n.info.Addr = n.server.Addr(l.Name).String()
			break
		}
	}
}

// value is a broker key's effective value at start, in its plain form.
func (n *Node) value(key string) string {
	return n.cfg.Keys.String(config.Broker, key, config.Layers{Static: n.cfg.Static})
}

func (n *Node) int(key string) int64 {
	return n.cfg.Keys.Int64(config.Broker, key, config.Layers{Static: n.cfg.Static})
}

// duration is the value of a key in milliseconds.
func (n *Node) duration(key string) time.Duration {
	return time.Duration(n.int(key)) * time.Millisecond
}

// topicOptions resolves a topic's configuration: its own values, the broker's, the cluster's, the file's, the defaults.
func (n *Node) topicOptions(image *metadata.Image, topic string) (commitlog.Options, error) {
	layers := n.layers(image)
	layers.Resource = image.Config(metadata.TopicResource, topic)
	opts, err := commitlog.OptionsFrom(func(name string) string {
		if _, ok := n.cfg.Keys.Lookup(config.Topic, name); ok {
			return n.cfg.Keys.String(config.Topic, name, layers)
		}
		return n.cfg.Keys.String(config.Broker, name, layers) // a log obeys it, and topics cannot set it
	})
	opts.Reserved = topic == coordinator.OffsetsTopic
	return opts, err
}

// layers are the broker's configuration as the metadata has it now.
func (n *Node) layers(image *metadata.Image) config.Layers {
	return config.Layers{
		Broker:         image.Config(metadata.BrokerResource, strconv.Itoa(int(n.cfg.NodeID))),
		ClusterDefault: image.Config(metadata.BrokerResource, ""),
		Static:         n.cfg.Static,
	}
}

// reconfigure gives the server the limits that a change of the broker's configuration means.
func (n *Node) reconfigure(delta *metadata.Delta, image *metadata.Image) {
	changed := slices.ContainsFunc(delta.Configs, func(r metadata.ConfigResource) bool { return r.Type == metadata.BrokerResource })
	if changed && n.server != nil {
		n.server.SetLimits(n.limits(n.layers(image)))
	}
}

// limits are the limits of connections that the layers say. Overrides that cannot be used, as a name in them
// has no address, are left out.
func (n *Node) limits(l config.Layers) server.Limits {
	get := func(key string) string { return n.cfg.Keys.String(config.Broker, key, l) }
	limits, err := server.LimitsFrom(get)
	if err != nil {
		n.log.Error("limits of connections by address cannot be used and are left out", "event", "limits_unusable", "error", err)
		limits, _ = server.LimitsFrom(func(key string) string {
			if key == "max.connections.per.ip.overrides" {
				return ""
			}
			return get(key)
		})
	}
	return limits
}

func (n *Node) serverConfig() (server.Config, error) {
	c, err := server.ConfigFrom(n.value)
	if err != nil {
		return c, err
	}
	c.Listen, c.DrainTimeout = n.host.Listen, n.cfg.DrainTimeout
	for _, l := range n.cfg.Listeners {
		s := server.Listener{Name: l.Name, Internal: l.Controller}
		for _, host := range l.Hosts {
			s.Addrs = append(s.Addrs, net.JoinHostPort(host, strconv.Itoa(l.Port)))
		}
		c.Listeners = append(c.Listeners, s)
	}
	return c, nil
}

// advertised is what the cluster is told of a listener: the configured address, or the one that was bound.
func (n *Node) advertised(l Listener) Endpoint {
	if e, ok := n.cfg.Advertised[l.Name]; ok {
		return e
	}
	e := Endpoint{Port: l.Port}
	if len(l.Hosts) > 0 {
		e.Host = l.Hosts[0]
	}
	if a, ok := n.server.Addr(l.Name).(*net.TCPAddr); ok {
		e.Host, e.Port = a.IP.String(), a.Port
	}
	return e
}

// controllerListeners are the names of the listeners that are the controllers'.
func (n *Node) controllerListeners() (names []string) {
	for _, l := range n.cfg.Listeners {
		if l.Controller {
			names = append(names, l.Name)
		}
	}
	return names
}

// endpoint is what a client on conn is told of a broker: the address that the
// broker advertises on the client's listener, or for this broker, where none is
// configured, the address that the client itself used.
func (n *Node) endpoint(b *metadata.Broker, conn *rpc.Conn) (host string, port int32, ok bool) {
	if b.ID == n.cfg.NodeID {
		if _, fixed := n.cfg.Advertised[conn.Listener]; !fixed {
			if a, isTCP := conn.Local.(*net.TCPAddr); isTCP {
				return a.IP.String(), int32(a.Port), true
			}
		}
	}
	e, ok := b.Endpoint(conn.Listener)
	return e.Host, int32(e.Port), ok
}
