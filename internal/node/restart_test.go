package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// commit notes an offset of partition 0 for a group without members.
func (r *raw) commit(group, topic string, offset int64) code.Error {
	r.t.Helper()
	req := wire.NewOffsetCommitRequest()
	req.GroupId = group
	req.Topics = []wire.OffsetCommitRequestOffsetCommitRequestTopic{{Name: topic,
		Partitions: []wire.OffsetCommitRequestOffsetCommitRequestPartition{{CommittedOffset: offset, CommittedLeaderEpoch: -1}}}}
	r.coordinator(group)
	resp := ask[*wire.OffsetCommitResponse](r, req, 8)
	return code.Error(resp.Topics[0].Partitions[0].ErrorCode)
}

// coordinator waits until the group's coordinator is there.
func (r *raw) coordinator(group string) {
	r.t.Helper()
	req := wire.NewFindCoordinatorRequest()
	req.CoordinatorKeys = []string{group}
	until(r.t, "a coordinator for "+group, func() bool {
		resp := ask[*wire.FindCoordinatorResponse](r, req, 4)
		return resp.Coordinators[0].ErrorCode == 0
	})
}

// committed is what was committed for partition 0, -1 for nothing.
func (r *raw) committed(group, topic string) int64 {
	r.t.Helper()
	r.coordinator(group)
	req := wire.NewOffsetFetchRequest()
	req.Groups = []wire.OffsetFetchRequestOffsetFetchRequestGroup{{GroupId: group, MemberEpoch: -1,
		Topics: []wire.OffsetFetchRequestOffsetFetchRequestTopics{{Name: topic, PartitionIndexes: []int32{0}}}}}
	var at int64
	until(r.t, "the offsets of "+group, func() bool {
		g := ask[*wire.OffsetFetchResponse](r, req, 8).Groups[0]
		switch code.Error(g.ErrorCode) {
		case code.CoordinatorLoadInProgress, code.NotCoordinator, code.CoordinatorNotAvailable:
			return false
		case 0:
		default:
			r.t.Fatalf("offsets of %s: %v", group, code.Error(g.ErrorCode))
		}
		at = g.Topics[0].Partitions[0].CommittedOffset
		return true
	})
	return at
}

func (r *raw) deleteRecords(topic string, before int64) int64 {
	r.t.Helper()
	req := wire.NewDeleteRecordsRequest()
	req.TimeoutMs = 10_000
	req.Topics = []wire.DeleteRecordsRequestDeleteRecordsTopic{{Name: topic, Partitions: []wire.DeleteRecordsRequestDeleteRecordsPartition{{Offset: before}}}}
	p := ask[*wire.DeleteRecordsResponse](r, req, 2).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		r.t.Fatalf("delete records of %s: %v", topic, code.Error(p.ErrorCode))
	}
	return p.LowWatermark
}

// producerID gets a producer id for an idempotent producer.
func (r *raw) producerID() *wire.InitProducerIdResponse {
	r.t.Helper()
	req := wire.NewInitProducerIdRequest()
	req.TransactionalId = nil
	resp := ask[*wire.InitProducerIdResponse](r, req, 4)
	if resp.ErrorCode != 0 {
		r.t.Fatalf("producer id: %v", code.Error(resp.ErrorCode))
	}
	return resp
}

func TestARestartKeepsEverything(t *testing.T) {
	p := plan{dir: t.TempDir()}
	n := boot(t, p)
	first := n.Info()
	if !first.New {
		t.Error("a first start does not say that the cluster is new")
	}
	c := dialRaw(t, n.addr)
	id := c.createTopic("kept", 3, "retention.ms", "86400000")
	for i := range 10 {
		if got := c.put("kept", -1, plain(t, fmt.Sprint("v", i))); got != int64(i) {
			t.Fatalf("record %d has offset %d", i, got)
		}
	}
	producer := c.producerID()
	sequenced := func(sequence int32, values ...string) []byte {
		return batch(t, record.BuilderOptions{Producer: &record.Producer{ID: producer.ProducerId, Epoch: producer.ProducerEpoch, Sequence: sequence}}, values...)
	}
	if at := c.put("kept", -1, sequenced(0, "once", "twice")); at != 10 {
		t.Fatalf("the idempotent batch has offset %d, want 10", at)
	}
	if low := c.deleteRecords("kept", 4); low != 4 {
		t.Fatalf("low watermark %d, want 4", low)
	}
	if e := c.commit("readers", "kept", 7); e != 0 {
		t.Fatal(e)
	}
	n.stop(t)

	n = boot(t, p)
	second := n.Info()
	if second.New || second.ClusterID != first.ClusterID || second.Topics != 2 {
		t.Errorf("after the restart the node says %+v, before %+v", second, first)
	}
	for _, line := range []string{"recovered"} {
		if n.said.has(line) {
			t.Errorf("a start after a clean stop says %q:\n%s", line, n.said)
		}
	}
	c = dialRaw(t, n.addr)
	meta := ask[*wire.MetadataResponse](c, &wire.MetadataRequest{Topics: []wire.MetadataRequestMetadataRequestTopic{{Name: new("kept")}}}, 12)
	if got := meta.Topics[0]; got.TopicId != id || len(got.Partitions) != 3 {
		t.Errorf("the topic has id %s and %d partitions, had %s and 3", got.TopicId, len(got.Partitions), id)
	}
	if start, end := c.listOffset("kept", -2), c.listOffset("kept", -1); start != 4 || end != 12 {
		t.Errorf("the log goes from %d to %d, want 4 to 12", start, end)
	}
	if e := code.Error(c.fetch("kept", 3, 1, 0).ErrorCode); e != code.OffsetOutOfRange {
		t.Errorf("a fetch below the log start answers %v", e)
	}
	want := []string{"v4", "v5", "v6", "v7", "v8", "v9", "once", "twice"}
	if got := values(t, c.fetch("kept", 4, 1, 0).Records, 4); !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	if at := c.put("kept", -1, sequenced(0, "once", "twice")); at != 10 {
		t.Errorf("the batch that was sent before the restart has offset %d now, want 10 as then", at)
	}
	if got := c.produce("kept", -1, 9, sequenced(7, "gap")); code.Error(got.ErrorCode) != code.OutOfOrderSequenceNumber {
		t.Errorf("a gap in the sequence answers %v", code.Error(got.ErrorCode))
	}
	if at := c.put("kept", -1, sequenced(2, "next")); at != 12 {
		t.Errorf("the producer's next batch has offset %d, want 12", at)
	}
	if again := c.producerID(); again.ProducerId == producer.ProducerId {
		t.Errorf("producer id %d was given twice", again.ProducerId)
	}
	if at := c.committed("readers", "kept"); at != 7 {
		t.Errorf("committed %d, want 7", at)
	}
}

func TestADirectoryBelongsToOneProcess(t *testing.T) {
	p := plan{dir: t.TempDir()}
	n := boot(t, p)
	_, err := try(t, p)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), p.dir) {
		t.Errorf("a second node on the directory: %v; want an error that names the directory and process %d", err, os.Getpid())
	}
	dialRaw(t, n.addr).createTopic("undisturbed", 1)
	n.stop(t)
	boot(t, p).stop(t)
}

// tree is every file below dir with what it holds.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var s strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&s, "%s %s\n", path, d.Type())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			fmt.Fprintf(&s, "%q\n", b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestForeignDirectoriesAreRefusedAndLeftAlone(t *testing.T) {
	ours := t.TempDir()
	n := boot(t, plan{dir: ours})
	cluster := n.Info().ClusterID
	n.stop(t)
	other := t.TempDir()
	boot(t, plan{dir: other}).stop(t)

	kafka := func(files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	formatted := kafka(map[string]string{
		"meta.properties":                               "#\nnode.id=1\nversion=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\ndirectory.id=vlfF6iYfSdqEBcPsXTBqzQ\n",
		"bootstrap.checkpoint":                          "\x00",
		"hello-0/00000000000000000000.log":              "records",
		"__cluster_metadata-0/00000000000000000000.log": "records",
	})
	bare := kafka(map[string]string{"recovery-point-offset-checkpoint": "0\n0\n"})
	partitions := kafka(map[string]string{"hello-0/00000000000000000000.log": "records"})
	for _, c := range []struct {
		name string
		plan plan
		says []string
	}{
		{"another node id", plan{dir: ours, overrides: []string{"node.id=2"}}, []string{ours, "node 1", "node 2"}},
		{"two clusters", plan{dir: ours, overrides: []string{"log.dirs=" + ours + "," + other}}, []string{ours, other, cluster}},
		{"Apache Kafka's directory", plan{dir: formatted}, []string{formatted, "Apache Kafka"}},
		{"Apache Kafka's checkpoints", plan{dir: bare}, []string{bare, "Apache Kafka"}},
		{"partitions of unknown origin", plan{dir: partitions}, []string{partitions, "hello-0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := tree(t, c.plan.dir)
			_, err := try(t, c.plan)
			if !errors.Is(err, commitlog.ErrForeign) {
				t.Fatalf("refused with %v", err)
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not name %s: %v", word, err)
				}
			}
			if after := tree(t, c.plan.dir); after != before {
				t.Errorf("the directory was touched:\n%s\nwas\n%s", after, before)
			}
		})
	}
	boot(t, plan{dir: ours}).stop(t)
}
