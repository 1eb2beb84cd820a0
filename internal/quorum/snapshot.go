package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

const (
	checkpointSuffix = ".checkpoint"
	// keepSnapshots is how many snapshots stay: the older is for a hand that has to go back.
	keepSnapshots = 2
	// maxSnapshotBytes is the most that a snapshot may have.
	maxSnapshotBytes = 2 << 30
	// snapshotBatch is the size at which a batch of a snapshot is closed.
	snapshotBatch = 1 << 20
)

// snapshot names a snapshot: the index and the term of the last record it holds.
type snapshot struct {
	index, term uint64
}

// name is Kafka's: the offset behind the last record and the epoch.
func (s snapshot) name() string {
	return fmt.Sprintf("%020d-%010d%s", s.index+1, s.term, checkpointSuffix)
}

func parseSnapshotName(name string) (snapshot, bool) {
	stem, ok := strings.CutSuffix(name, checkpointSuffix)
	end, epoch, cut := strings.Cut(stem, "-")
	if !ok || !cut || len(end) != 20 || len(epoch) != 10 {
		return snapshot{}, false
	}
	e, err1 := strconv.ParseInt(end, 10, 64)
	t, err2 := strconv.ParseInt(epoch, 10, 32)
	if err1 != nil || err2 != nil || e <= 0 || t < 0 {
		return snapshot{}, false
	}
	return snapshot{uint64(e - 1), uint64(t)}, true
}

// snapshots are those of a directory, the newest last.
type snapshots struct {
	fs   disk.FS
	dir  string
	list []snapshot
}

// openSnapshots lists a directory and removes what was being written when the last process ended.
func openSnapshots(fsys disk.FS, dir string) (*snapshots, error) {
	s := &snapshots{fs: fsys, dir: dir}
	entries, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("quorum: list %s: %w", dir, err)
	}
	for _, e := range entries {
		if snap, ok := parseSnapshotName(e.Name()); ok {
			s.list = append(s.list, snap)
		} else if strings.HasSuffix(e.Name(), checkpointSuffix+partSuffix) {
			if err := fsys.Remove(path.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("quorum: remove the unfinished %s: %w", e.Name(), err)
			}
		}
	}
	slices.SortFunc(s.list, func(a, b snapshot) int { return int(int64(a.index) - int64(b.index)) })
	return s, nil
}

func (s *snapshots) newest() snapshot { return s.list[len(s.list)-1] }

func (s *snapshots) bytes(snap snapshot) ([]byte, error) {
	return readFile(s.fs, path.Join(s.dir, snap.name()), maxSnapshotBytes)
}

// load reads a snapshot's image and its voters. A damaged one is an error, never an empty image.
func (s *snapshots) load(snap snapshot, clusterID string) (*metadata.Image, []Voter, error) {
	b, err := s.bytes(snap)
	if err == nil {
		var image *metadata.Image
		var voters []Voter
		if image, voters, err = parseSnapshot(b, snap, clusterID); err == nil {
			return image, voters, nil
		}
	}
	return nil, nil, fmt.Errorf("quorum: snapshot %s: %w; the metadata is in the other voters and in older snapshots, nothing was removed", path.Join(s.dir, snap.name()), err)
}

// write makes a snapshot durable. The list is the caller's to change, by add.
func (s *snapshots) write(snap snapshot, b []byte) error {
	return replaceFile(s.fs, s.dir, snap.name(), b)
}

// add takes a written snapshot into the list and removes all but the newest two.
func (s *snapshots) add(snap snapshot) error {
	s.list = slices.DeleteFunc(s.list, func(o snapshot) bool { return o.index == snap.index })
	s.list = append(s.list, snap)
	for len(s.list) > keepSnapshots {
		if err := s.fs.Remove(path.Join(s.dir, s.list[0].name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("quorum: remove the old snapshot %s: %w", s.list[0].name(), err)
		}
		s.list = s.list[1:]
	}
	return nil
}

// snapshotWriter builds a snapshot's bytes in Kafka's format (KIP-630, KIP-853): a
// control batch with the header, the KRaft version and the voters; batches of records; a control
// batch with the footer. Offsets count from 0.
type snapshotWriter struct {
	out   []byte
	b     record.Builder
	next  int64
	epoch int32
	now   int64
	value []byte
}

func encodeSnapshot(image *metadata.Image, voters []Voter, now time.Time) []byte {
	_, epoch := image.Offset()
	w := &snapshotWriter{epoch: epoch, now: now.UnixMilli()}
	w.begin(true)
	w.control(record.ControlSnapshotHeader, &wire.SnapshotHeaderRecord{LastContainedLogTimestamp: w.now})
	w.control(record.ControlKRaftVersion, &wire.KRaftVersionRecord{KRaftVersion: 1})
	w.control(record.ControlKRaftVoters, votersRecord(voters))
	w.end()
	w.begin(false)
	image.Snapshot(func(r metadata.Record) {
		w.value = metadata.AppendRecord(w.value[:0], r)
		if w.b.Count() > 0 && w.b.Size()+len(w.value) > snapshotBatch {
			w.end()
			w.begin(false)
		}
		w.b.Append(w.now, nil, w.value)
	})
	w.end()
	w.begin(true)
	w.control(record.ControlSnapshotFooter, &wire.SnapshotFooterRecord{})
	w.end()
	return w.out
}

func (w *snapshotWriter) begin(control bool) {
	w.b.Reset(nil, record.BuilderOptions{BaseOffset: w.next, LeaderEpoch: w.epoch, Control: control})
}

func (w *snapshotWriter) control(t record.ControlType, m wire.Message) {
	_, version := m.Versions()
	w.b.AppendControl(w.now, t, m.Append(nil, version))
}

func (w *snapshotWriter) end() {
	if w.b.Count() == 0 {
		return
	}
	batch, err := w.b.Finish()
	if err != nil {
		panic(fmt.Sprintf("quorum: a batch without compression failed: %v", err))
	}
	w.next = batch.NextOffset()
	w.out = append(w.out, batch...)
}

func votersRecord(voters []Voter) *wire.VotersRecord {
	r := wire.NewVotersRecord()
	for _, v := range voters {
		rv := wire.VotersRecordVoter{VoterId: v.ID, VoterDirectoryId: v.Directory, Endpoints: []wire.VotersRecordEndpoint{}}
		rv.KRaftVersionFeature.MaxSupportedVersion = 1
		for _, e := range v.Endpoints {
			rv.Endpoints = append(rv.Endpoints, wire.VotersRecordEndpoint{Name: e.Listener, Host: e.Host, Port: e.Port})
		}
		r.Voters = append(r.Voters, rv)
	}
	return r
}

// parseSnapshot reads a snapshot whole and checks all of it.
func parseSnapshot(b []byte, snap snapshot, clusterID string) (*metadata.Image, []Voter, error) {
	var recs []metadata.Record
	var voters []Voter
	next := int64(0)
	header, footer := false, false
	for len(b) > 0 {
		batch, rest, err := record.Next(b)
		if err != nil {
			return nil, nil, err
		}
		if err := batch.Check(); err != nil {
			return nil, nil, err
		}
		if err := batch.Validate(record.FromReplica); err != nil {
			return nil, nil, err
		}
		switch {
		case batch.BaseOffset() != next:
			return nil, nil, fmt.Errorf("its batch at offset %d stands where %d is due", batch.BaseOffset(), next)
		case footer:
			return nil, nil, fmt.Errorf("a batch follows its footer at offset %d", next)
		case batch.Codec() != record.None:
			return nil, nil, fmt.Errorf("its batch at offset %d is compressed with %v; this build writes and reads none", next, batch.Codec())
		}
		next, b = batch.NextOffset(), rest
		control := batch.IsControl()
		if !header && !control {
			return nil, nil, errors.New("it does not begin with a header")
		}
		err = batch.Each(nil, 0, func(r record.Record) error {
			if !control {
				rec, err := metadata.ParseRecord(r.Value)
				recs = append(recs, rec)
				return err
			}
			t, err := record.ParseControl(r.Key)
			if err != nil {
				return err
			}
			switch {
			case footer:
				return errors.New("a record follows its footer")
			case t == record.ControlSnapshotHeader && header:
				return errors.New("it has two headers")
			case t != record.ControlSnapshotHeader && !header:
				return errors.New("it does not begin with a header")
			case t == record.ControlSnapshotHeader:
				header = true
				return decodeControl(r.Value, new(wire.SnapshotHeaderRecord))
			case t == record.ControlSnapshotFooter:
				footer = true
				return decodeControl(r.Value, new(wire.SnapshotFooterRecord))
			case t == record.ControlKRaftVoters:
				var v wire.VotersRecord
				if err := decodeControl(r.Value, &v); err != nil {
					return err
				}
				voters = votersOf(&v)
				return nil
			case t == record.ControlKRaftVersion:
				return decodeControl(r.Value, new(wire.KRaftVersionRecord))
			}
			return fmt.Errorf("its control record %v does not belong into a snapshot", t)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if !footer {
		return nil, nil, errors.New("it has no footer: its end is missing")
	}
	if len(voters) == 0 {
		return nil, nil, errors.New("it names no voters")
	}
	image, _, err := metadata.New(clusterID).Apply(recs, int64(snap.index), int32(snap.term))
	return image, voters, err
}

func decodeControl(b []byte, m wire.Message) error {
	lo, hi := m.Versions()
	version := hi
	if len(b) >= 2 { // the version is the first field of every control record
		version = max(lo, min(hi, int16(binary.BigEndian.Uint16(b))))
	}
	d := wire.NewDecoder(b)
	m.Decode(&d, version)
	return d.Done()
}

func votersOf(r *wire.VotersRecord) []Voter {
	var voters []Voter
	for _, rv := range r.Voters {
		v := Voter{ID: rv.VoterId, Directory: rv.VoterDirectoryId}
		for _, e := range rv.Endpoints {
			v.Endpoints = append(v.Endpoints, metadata.Endpoint{Listener: strings.Clone(e.Name), Host: strings.Clone(e.Host), Port: e.Port})
		}
		voters = append(voters, v)
	}
	return voters
}
