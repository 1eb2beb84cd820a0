package api

import (
	"slices"
	"testing"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// ListOffsets v0 answers with starts of segments, newest first.
func TestOffsetsBefore(t *testing.T) {
	segments := []segmentStart{{5, 100}, {10, 200}, {20, 300}}
	for _, test := range []struct {
		name      string
		segments  []segmentStart
		timestamp int64
		limit     int64
		most      int
		want      []int64
	}{
		{"latest", segments, latestTimestamp, 25, 10, []int64{25, 20, 10, 5}},
		{"latest, one", segments, latestTimestamp, 25, 1, []int64{25}},
		{"latest, none", segments, latestTimestamp, 25, 0, []int64{}},
		{"latest of an empty last segment", segments, latestTimestamp, 20, 10, []int64{20, 10, 5}},
		{"latest below the last segment", segments, latestTimestamp, 12, 10, []int64{12, 10, 5}},
		{"earliest", segments, earliestTimestamp, 25, 10, []int64{5}},
		{"before all", segments, 99, 25, 10, []int64{}},
		{"at a segment's last record", segments, 200, 25, 10, []int64{10, 5}},
		{"after all", segments, 800, 25, 2, []int64{20, 10}},
		{"in the future", segments, 1000, 25, 2, []int64{25, 20}},
		{"a negative number", segments, 800, 25, -1, []int64{}},
		{"an empty log", []segmentStart{{0, -1}}, latestTimestamp, 0, 5, []int64{0}},
	} {
		if got := offsetsBefore(test.segments, test.timestamp, test.limit, test.most, 900); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A special timestamp is known from its version on; what is no special timestamp is a time.
func TestSpecialTimestampsHaveVersions(t *testing.T) {
	for timestamp, since := range map[int64]int16{latestTimestamp: 0, earliestTimestamp: 0, maxTimestamp: 7, earliestLocalTimestamp: 8, latestTieredTimestamp: 9, earliestPendingUploadTs: 11, -7: 99, 0: 0, 1 << 60: 0} {
		for v := range int16(12) {
			if got := tooNew(timestamp, v); got != (v < since) {
				t.Errorf("timestamp %d in version %d: too new is %v", timestamp, v, got)
			}
		}
	}
}

// Every partition of a commit is answered in its place: by what was refused before the group saw it, or by the group.
func TestMergeCommit(t *testing.T) {
	id, gone := wire.UUID{1}, wire.UUID{2}
	at := func(list ...int32) (p []wire.OffsetCommitRequestOffsetCommitRequestPartition) {
		for _, i := range list {
			p = append(p, wire.OffsetCommitRequestOffsetCommitRequestPartition{PartitionIndex: i})
		}
		return p
	}
	q := &wire.OffsetCommitRequest{Topics: []wire.OffsetCommitRequestOffsetCommitRequestTopic{
		{Name: "x", TopicId: id, Partitions: at(0, 9, 1)}, {Name: "gone", TopicId: gone, Partitions: at(0)}, {Name: "none", Partitions: at()},
	}}
	for _, byID := range []bool{false, true} {
		key := func(i int, partition int32) tp { return commitKey(&q.Topics[i], byID, partition) }
		refused := map[tp]code.Error{key(0, 9): code.UnknownTopicOrPartition, key(1, 0): code.UnknownTopicId}
		done := &wire.OffsetCommitResponse{Topics: []wire.OffsetCommitResponseOffsetCommitResponseTopic{{Name: "x", TopicId: id,
			Partitions: []wire.OffsetCommitResponseOffsetCommitResponsePartition{{PartitionIndex: 1, ErrorCode: int16(code.OffsetMetadataTooLarge)}, {PartitionIndex: 0}}}}}
		told := func(answered func(tp) int16) (a *wire.OffsetCommitResponse, got []int16) {
			a = mergeCommit(commitShape(q), refused, answered, byID).(*wire.OffsetCommitResponse)
			for _, x := range a.Topics {
				for _, p := range x.Partitions {
					got = append(got, p.ErrorCode)
				}
			}
			return a, got
		}
		codes := commitCodes(done, byID)
		a, got := told(func(key tp) int16 { return codes[key] })
		want := []int16{0, int16(code.UnknownTopicOrPartition), int16(code.OffsetMetadataTooLarge), int16(code.UnknownTopicId)}
		if len(a.Topics) != 2 || !slices.Equal(got, want) {
			t.Errorf("by id %v: %d topics, codes %v, want %v", byID, len(a.Topics), got, want)
		}
		// A shard that fails fails all that was left to it.
		loading := int16(code.CoordinatorLoadInProgress)
		if _, got := told(func(tp) int16 { return loading }); !slices.Equal(got, []int16{loading, int16(code.UnknownTopicOrPartition), loading, int16(code.UnknownTopicId)}) {
			t.Errorf("by id %v: codes %v of a shard that failed", byID, got)
		}
	}
}

// Consumers that cannot read zstd get what comes before it, and an error when that is nothing.
func TestWithoutZstd(t *testing.T) {
	codecs := record.NewCodecs(1 << 16)
	batch := func(c record.Codec, offset int64) []byte {
		b := record.NewBuilder(codecs, record.BuilderOptions{Codec: c, BaseOffset: offset})
		b.Append(1, nil, make([]byte, 200))
		out, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone([]byte(out))
	}
	plain, gzip, zstd := batch(record.None, 0), batch(record.Gzip, 1), batch(record.Zstd, 2)
	for _, test := range []struct {
		name string
		data [][]byte
		want [][]byte
		err  error
	}{
		{"nothing", nil, nil, nil},
		{"none of it", [][]byte{plain, gzip}, [][]byte{plain, gzip}, nil},
		{"later", [][]byte{plain, gzip, zstd, plain}, [][]byte{plain, gzip}, nil},
		{"first", [][]byte{zstd, plain}, nil, code.UnsupportedCompressionType},
		{"a part of the last", [][]byte{plain, gzip[:20]}, [][]byte{plain, gzip[:20]}, nil},
	} {
		got, err := withoutZstd(slices.Concat(test.data...))
		if err != test.err || !slices.Equal(got, slices.Concat(test.want...)) {
			t.Errorf("%s: %d bytes, %v", test.name, len(got), err)
		}
	}
}
