// Package quorum keeps the metadata log: etcd's raft over a partition log whose
// entries are Kafka's metadata records, with snapshots. It hosts the controller:
// decisions are proposed to it, run on the leader against an image that includes
// what is not committed yet, and take effect when raft has committed their records.
// docs/format/metadata-log.md draws the files.
package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// Options say what a quorum is made of. The fields without a default must be set.
type Options struct {
	// NodeID and Directory are this voter: its id, and the id of the log directory
	// that the metadata log lies in.
	NodeID    int32
	Directory wire.UUID
	// ClusterID becomes that of the image.
	ClusterID string
	// Voters are all voters of a new cluster, this one among them; nil is this one alone.
	// Once the first snapshot is written that one says who votes.
	Voters []Voter

	// FS and Path are where snapshots and quorum-state lie, beside the segments of Log.
	FS   disk.FS
	Path string
	// Log is the log of __cluster_metadata-0.
	Log Log
	// Transport carries raft's messages to other voters; nil when there are none.
	Transport Transport

	// ElectionTimeout is controller.quorum.election.timeout.ms; 0 is 1 s. The heartbeat
	// is a tenth of it.
	ElectionTimeout time.Duration
	// SnapshotBytes is metadata.log.max.record.bytes.between.snapshots; 0 is 20 MiB.
	SnapshotBytes int64
	// SnapshotInterval is metadata.log.max.snapshot.interval.ms: how old the newest
	// snapshot may be when there are records behind it; 0 is 1 h, negative is no limit.
	SnapshotInterval time.Duration
	// StopSnapshotBytes is how many bytes of records since the last snapshot make a
	// clean stop write another one; 0 is 256 KiB.
	StopSnapshotBytes int64
	// WriteTimeout is how long one write of the log may take before the quorum gives
	// up with an error, so that a hanging disk silences the node; 0 is 5 s.
	WriteTimeout time.Duration

	// Keys, Static and Defaults go into every decision's controller.Env.
	Keys     *config.Set
	Static   map[string]string
	Defaults controller.Defaults
	// Seed is that of the decisions' random source; 0 takes one from the system.
	Seed uint64

	// Observers are told of every committed change, in this order.
	Observers []Observer

	// Logger and Registerer may be nil.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Voter is a member of the quorum.
type Voter struct {
	ID        int32
	Directory wire.UUID
	Endpoints []metadata.Endpoint
}

// raftID is the voter's name inside raft. It comes from the directory: a wiped disk
// is another voter, which has voted for nobody.
func (v Voter) raftID() uint64 {
	id := binary.BigEndian.Uint64(v.Directory[:8]) ^ binary.BigEndian.Uint64(v.Directory[8:])
	return max(id, 1)
}

// Observer is told of committed changes, one after another.
type Observer interface {
	// Observe is called with what changed and the image after it; the first time
	// with everything there is. It must not wait for a proposal.
	Observe(delta *metadata.Delta, image *metadata.Image)
}

// Transport carries raft's messages.
type Transport interface {
	// Send hands a message to the voter that it is for. It must not wait; messages may be
	// lost. The message must not be changed.
	Send(to Voter, message *raftpb.Message)
}

// Log is what the quorum needs of a partition log. OverCommitLog makes it of a commitlog.Log.
type Log interface {
	// Bounds returns the first offset and the one behind the last.
	Bounds() (start, end int64)
	// Append writes batches whose offsets continue at the end. A failed write leaves
	// the log as it was; an error that wraps disk.ErrFull does no harm to the log.
	Append(batches []byte) error
	// Sync makes everything appended durable.
	Sync() error
	// Read appends to b whole batches from offset on, below limit: about max bytes, and at least one batch.
	Read(b []byte, offset, limit int64, max int) ([]byte, error)
	// EpochAt returns the leader epoch of the batch that holds offset.
	EpochAt(offset int64) int32
	// Truncate removes what is at offset and behind it.
	Truncate(offset int64) error
	// ResetTo empties the log, which goes on at offset.
	ResetTo(offset int64) error
	// AdvanceStart removes what lies before offset, as far as that is cheap.
	AdvanceStart(offset int64) error
	// SetHighWatermark notes that everything below offset is committed.
	SetHighWatermark(offset int64)
}

// Configure sets what ConfigKeys say; get returns the value of one of them. A value
// that is no number is left at its default.
func (o *Options) Configure(get func(name string) string) {
	number := func(name string) int64 {
		n, err := strconv.ParseInt(get(name), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	o.ElectionTimeout = time.Duration(number("controller.quorum.election.timeout.ms")) * time.Millisecond
	o.SnapshotBytes = number("metadata.log.max.record.bytes.between.snapshots")
	if ms := number("metadata.log.max.snapshot.interval.ms"); ms > 0 && ms < math.MaxInt64/int64(time.Millisecond) {
		o.SnapshotInterval = time.Duration(ms) * time.Millisecond
	} else {
		o.SnapshotInterval = -1
	}
}

func (o *Options) setDefaults() error {
	switch {
	case o.FS == nil || o.Path == "" || o.Log == nil:
		return errors.New("quorum: Options needs FS, Path and Log")
	case o.Directory == wire.UUID{}:
		return errors.New("quorum: Options needs the id of the log directory")
	case o.Keys == nil:
		return errors.New("quorum: Options needs the config keys")
	}
	if o.Voters == nil {
		o.Voters = []Voter{{ID: o.NodeID, Directory: o.Directory}}
	}
	seen := map[uint64]bool{}
	for _, v := range o.Voters {
		if seen[v.raftID()] {
			return fmt.Errorf("quorum: voter %d has the directory id %s of another one; format its directory anew", v.ID, v.Directory)
		}
		seen[v.raftID()] = true
	}
	number := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
	}
	duration := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	duration(&o.ElectionTimeout, time.Second)
	duration(&o.SnapshotInterval, time.Hour)
	duration(&o.WriteTimeout, 5*time.Second)
	number(&o.SnapshotBytes, 20<<20)
	number(&o.StopSnapshotBytes, 256<<10)
	if o.Defaults == (controller.Defaults{}) {
		o.Defaults = controller.DefaultDefaults()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// ConfigKeys returns the keys that the quorum obeys.
func ConfigKeys() []config.Key {
	key := func(name string, kind config.Kind, def string, check func(string) error, doc string) config.Key {
		return config.Key{Name: name, Scope: config.Broker, Kind: kind, Default: def, Check: check, Doc: doc}
	}
	return []config.Key{
		key("controller.quorum.election.timeout.ms", config.Int, "1000", config.Range(10, math.MaxInt32),
			"How long a voter hears nothing of a leader before it stands for election, in milliseconds."),
		key("metadata.log.max.record.bytes.between.snapshots", config.Long, "20971520", config.Range(1, math.MaxInt64),
			"How many bytes of new metadata records bring about a snapshot."),
		key("metadata.log.max.snapshot.interval.ms", config.Long, "3600000", config.Range(0, math.MaxInt64),
			"How long new metadata records may be without a snapshot that holds them, in milliseconds; 0 is without limit."),
		key("metadata.log.segment.bytes", config.Int, "1073741824", config.Range(8<<20, math.MaxInt32),
			"The size at which a segment of the metadata log is closed."),
		{Name: "metadata.log.segment.ms", Scope: config.Broker, Kind: config.Long, Default: "604800000", Check: config.Range(1, math.MaxInt64),
			Doc: "The age at which a segment of the metadata log is closed, in milliseconds.", NoEffect: "segments of the metadata log are closed by size alone, as its empty entries carry no time"},
		{Name: "metadata.log.dir", Scope: config.Broker, Kind: config.String, Null: true,
			Doc: "The directory of the metadata log; the first of log.dirs when not set."},
	}
}
