package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/record"
)

// segments writes files of logs into a directory: batches of every kind, messages of the old formats, records of
// a coordinator, a torn end, and Kafka's indexes and snapshots of them.
func segments(t *testing.T, dir string) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	codecs := record.NewCodecs(1)
	const now = 1767225600000
	batch := func(o record.BuilderOptions, fill func(*record.Builder)) []byte {
		b := record.NewBuilder(codecs, o)
		fill(b)
		done, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte(nil), done...)
	}
	several := func(n int) func(*record.Builder) {
		return func(b *record.Builder) {
			for i := range n {
				b.Append(now+int64(i), fmt.Appendf(nil, "key %d", i), fmt.Appendf(nil, "value %d", i), record.Header{Key: []byte("h"), Value: []byte("v")}, record.Header{Key: []byte("i")})
			}
		}
	}
	var log []byte
	var ends []int64 // the last offset of each batch
	var starts []int64
	add := func(b []byte) {
		starts, ends = append(starts, int64(len(log))), append(ends, record.Batch(b).LastOffset())
		log = append(log, b...)
	}
	add(batch(record.BuilderOptions{LeaderEpoch: 3}, func(b *record.Builder) {
		b.Append(now, nil, []byte("no key"))
		b.Append(now+5, []byte("no value"), nil)
		b.Append(now+2, []byte{}, []byte{})
	}))
	for i, c := range []string{"gzip", "snappy", "lz4", "zstd"} {
		codec, _ := record.ParseCodec(c)
		add(batch(record.BuilderOptions{BaseOffset: int64(3 + 4*i), Codec: codec, Producer: &record.Producer{ID: 7, Epoch: 1, Sequence: int32(4 * i)}, Transactional: true}, several(4)))
	}
	add(batch(record.BuilderOptions{BaseOffset: 19, Producer: &record.Producer{ID: 7, Epoch: 1, Sequence: -1}, Transactional: true, Control: true}, func(b *record.Builder) { b.AppendEndTxn(now+9, record.ControlCommit, 4) }))
	add(batch(record.BuilderOptions{BaseOffset: 25, TimestampType: 1, AppendTime: now + 77, DeleteHorizon: 0}, several(2)))
	write("00000000000000000000.log", log)
	var index, times []byte
	for i := 1; i < len(ends); i += 2 {
		index = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(index, uint32(ends[i])), uint32(starts[i]))
		times = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(times, uint64(now+int64(i))), uint32(ends[i]))
	}
	write("00000000000000000000.index", index)
	write("00000000000000000000.timeindex", times)

	torn := batch(record.BuilderOptions{BaseOffset: 300}, several(1))
	write("00000000000000000300.log", append(torn, torn[:40]...))
	write("00000000000000000300.index", []byte{0, 0, 0, 9, 0, 0, 0, 0})

	gzip, _ := record.ParseCodec("gzip")
	var old []byte
	for i, magic := range []int8{0, 1, 1} {
		src := batch(record.BuilderOptions{BaseOffset: int64(500 + 2*i), Codec: map[bool]record.Codec{true: gzip}[i == 2]}, several(2))
		var err error
		if old, _, err = record.ConvertDown(old, src, magic, 0, 1<<20, 1<<26, codecs); err != nil {
			t.Fatal(err)
		}
	}
	write("00000000000000000500.log", old)

	write("00000000000000000700.log", batch(record.BuilderOptions{BaseOffset: 700}, func(b *record.Builder) {
		k := kmsg.OffsetCommitKey{Version: 1, Group: "g", Topic: "orders", Partition: 2}
		b.Append(now, k.AppendTo(nil), nil)
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = 3, 42, 5, "m<>", now
		b.Append(now, k.AppendTo(nil), v.AppendTo(nil))
		gk := kmsg.GroupMetadataKey{Version: 2, Group: "g"}
		gv := kmsg.NewGroupMetadataValue()
		gv.Version, gv.ProtocolType, gv.Generation, gv.CurrentStateTimestamp = 3, "consumer", 6, now
		gv.Protocol, gv.Leader = kmsg.StringPtr("range"), kmsg.StringPtr("member-1")
		m := kmsg.NewGroupMetadataValueMember()
		m.MemberID, m.ClientID, m.ClientHost, m.RebalanceTimeoutMillis, m.SessionTimeoutMillis = "member-1", "me", "/127.0.0.1", 60000, 45000
		s := kmsg.NewConsumerMemberMetadata()
		s.Version, s.Topics = 1, []string{"orders"}
		a := kmsg.NewConsumerMemberAssignment()
		a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "orders", Partitions: []int32{0, 1}}}
		m.Subscription, m.Assignment = s.AppendTo(nil), a.AppendTo(nil)
		gv.Members = append(gv.Members, m)
		b.Append(now, gk.AppendTo(nil), gv.AppendTo(nil))
		b.Append(now, gk.AppendTo(nil), nil)
	}))

	var producers []byte
	producers = binary.BigEndian.AppendUint32(producers, 2)
	for i, last := range []int64{8, -1} {
		producers = binary.BigEndian.AppendUint64(producers, uint64(7+i))
		producers = binary.BigEndian.AppendUint16(producers, 1)
		producers = binary.BigEndian.AppendUint32(producers, 11)
		producers = binary.BigEndian.AppendUint64(producers, uint64(last))
		producers = binary.BigEndian.AppendUint32(producers, 3)
		producers = binary.BigEndian.AppendUint64(producers, now)
		producers = binary.BigEndian.AppendUint32(producers, 4)
		producers = binary.BigEndian.AppendUint64(producers, uint64(int64(5*i)-1))
	}
	head := binary.BigEndian.AppendUint32([]byte{0, 1}, crc32.Checksum(producers, crc32.MakeTable(crc32.Castagnoli)))
	write("00000000000000000009.snapshot", append(head, producers...))

	aborted := []byte{0, 0}
	for _, n := range []uint64{7, 3, 9, 3} {
		aborted = binary.BigEndian.AppendUint64(aborted, n)
	}
	write("00000000000000000000.txnindex", aborted)
}
