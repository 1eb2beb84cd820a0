package quorum

import (
	"fmt"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/controller"
)

// LogID is the log that the quorum keeps.
func LogID() commitlog.ID { return commitlog.ID{Topic: controller.ClusterMetadataTopic} }

// LogOptions are those of the metadata log: it is fsynced by the quorum alone, and
// nothing goes but what a snapshot holds. segmentBytes is metadata.log.segment.bytes,
// 0 for 1 GiB.
//
// Its segments are not closed by age: raft's empty entries carry no time, since
// every voter must write them alike.
func LogOptions(segmentBytes int64) commitlog.Options {
	return commitlog.Options{SegmentBytes: segmentBytes, RetentionMs: -1, RetentionBytes: -1, Reserved: true}
}

// OverCommitLog makes a quorum's Log of a partition log opened with LogID and LogOptions.
func OverCommitLog(l *commitlog.Log) Log { return commitLog{l} }

type commitLog struct{ *commitlog.Log }

func (l commitLog) Bounds() (start, end int64) {
	b := l.Log.Bounds()
	return b.Start, b.End
}

func (l commitLog) Append(batches []byte) error { return l.AppendAsFollower(batches) }

func (l commitLog) Read(b []byte, offset, limit int64, max int) ([]byte, error) {
	var s commitlog.Slice
	defer s.Release()
	if err := l.Log.Read(&s, offset, limit, max, true, commitlog.ReadBytes); err != nil {
		return b, err
	}
	if s.Len() == 0 {
		return b, fmt.Errorf("quorum: the metadata log has nothing at offset %d below %d", offset, limit)
	}
	return append(b, s.Bytes()...), nil
}
