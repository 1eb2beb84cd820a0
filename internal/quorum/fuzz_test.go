package quorum

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

func someSnapshot(t testing.TB) ([]byte, *metadata.Image) {
	t.Helper()
	recs, _, err := controller.Bootstrap()(metadata.New("cluster"), &controller.Env{})
	if err != nil {
		t.Fatal(err)
	}
	id := wire.UUID{1}
	recs = append(recs, &wire.TopicRecord{Name: "t", TopicId: id}, &wire.PartitionRecord{TopicId: id, Replicas: []int32{1}, Isr: []int32{1}, Leader: 1})
	image, _, err := metadata.New("cluster").Apply(recs, 7, 3)
	if err != nil {
		t.Fatal(err)
	}
	return encodeSnapshot(image, []Voter{{ID: 1, Directory: directory(1), Endpoints: []metadata.Endpoint{{Listener: "CONTROLLER", Host: "h", Port: 9093}}}}, time.UnixMilli(5)), image
}

func TestEveryFlippedBitOfASnapshotIsFound(t *testing.T) {
	b, image := someSnapshot(t)
	snap := snapshot{7, 3}
	again, voters, err := parseSnapshot(b, snap, "cluster")
	if err != nil || !again.Equal(image) || len(voters) != 1 || voters[0].Endpoints[0].Port != 9093 || voters[0].Directory != directory(1) {
		t.Fatalf("%v %+v", err, voters)
	}
	for at := range b {
		bad := append([]byte(nil), b...)
		bad[at] ^= 1 << (at % 8)
		if again, _, err := parseSnapshot(bad, snap, "cluster"); err == nil && !again.Equal(image) {
			t.Fatalf("byte %d flipped gives another image", at)
		}
	}
	for size := range b {
		if _, _, err := parseSnapshot(b[:size], snap, "cluster"); err == nil {
			t.Fatalf("%d of %d bytes were loaded", size, len(b))
		}
	}
}

// seal makes the checksums of all batches right, so that the fuzzer gets behind them.
func seal(b []byte) {
	for len(b) > 0 {
		batch, rest, err := record.Next(b)
		if err != nil {
			return
		}
		batch.Seal()
		b = rest
	}
}

func FuzzSnapshot(f *testing.F) {
	b, _ := someSnapshot(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		seal(b)
		image, voters, err := parseSnapshot(b, snapshot{7, 3}, "cluster")
		if err != nil {
			return
		}
		again, _, err := parseSnapshot(encodeSnapshot(image, voters, time.UnixMilli(5)), snapshot{7, 3}, "cluster")
		if err != nil || !again.Equal(image) {
			t.Fatalf("a snapshot that was read does not survive writing: %v", err)
		}
	})
}

func FuzzState(f *testing.F) {
	term, vote, commit := uint64(3), uint64(1<<63), uint64(9)
	f.Add(appendState(nil, &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseState(b)
		if err != nil {
			return
		}
		again, err := parseState(appendState(nil, h))
		if err != nil || again.GetTerm() != h.GetTerm() || again.GetVote() != h.GetVote() || again.GetCommit() != h.GetCommit() {
			t.Fatalf("%v: %v and %v", err, h, again)
		}
	})
}

func FuzzEntry(f *testing.F) {
	var e encoder
	f.Add(e.entry(nil, &wire.TopicRecord{Name: "t"}, 5))
	f.Add(e.empty())
	f.Fuzz(func(t *testing.T, b []byte) {
		seal(b)
		rec, err := decode(b)
		if err != nil {
			return
		}
		_ = metadata.AppendRecord(nil, rec)
	})
}

func TestStateSurvivesACrashWhileItIsReplaced(t *testing.T) {
	for seed := range uint64(50) {
		mem := disk.NewMem(seed)
		if err := mem.MkdirAll("d"); err != nil {
			t.Fatal(err)
		}
		if err := mem.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		durable := uint64(0)
		mem.PowerOffAfter(int64(1 + seed%17))
		for term := uint64(1); term < 6; term++ {
			if writeState(mem, "d", &raftpb.HardState{Term: &term}) != nil {
				break
			}
			durable = term
		}
		mem.Crash()
		h, err := readState(mem, "d")
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if h.GetTerm() < durable || h.GetTerm() > durable+1 {
			t.Fatalf("seed %d: term %d after %d was durable", seed, h.GetTerm(), durable)
		}
	}
}
