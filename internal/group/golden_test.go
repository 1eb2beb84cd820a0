package group

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/machine"
)

// The records of one group that Apache Kafka 4.4.0 wrote for a static member and
// an offset: key and value.
var kafkaRecords = [][2]string{
	{"0002000168", "0003000000000000ffffffff000001a1fc6e537500000000"},
	{"0002000168", "00030008636f6e73756d657200000002000572616e6765002769312d64313932393266342d316137302d343862392d626161302d336636626364626430353231000001a1fc6e570000000001002769312d64313932393266342d316137302d343862392d626161302d33663662636462643035323100026931000173000a2f3132372e302e302e3100004e20000027100000000d000000000001000174ffffffff000000054169312335"},
	{"000100016800017400000000", "0004000000000000000400000002056d657461000001a1fc6e3128010010e8e2983999a545f0a9447e89ac3a3aed"},
}

func TestRecordsAreKafkasByteForByte(t *testing.T) {
	var log []machine.Record
	for _, r := range kafkaRecords {
		key, _ := hex.DecodeString(r[0])
		value, _ := hex.DecodeString(r[1])
		log = append(log, machine.Record{Key: key, Value: value})
		s := newShard(t, defaultOptions(), 1)
		s.m = replay(t, s.o, log)
		if _, err := s.m.Loaded(machine.Env{Now: time.Now(), Rand: rand.New(rand.NewPCG(1, 1))}); err != nil {
			t.Fatal(err)
		}
		g := s.m.groups["h"]
		if key[1] == keyGroupMetadata {
			if ours := g.value(); !bytes.Equal(ours, value) {
				t.Errorf("ours  %x\nKafka %x", ours, value)
			}
			continue
		}
		o := g.offsets["t"][0]
		if ours := o.value(); !bytes.Equal(ours, value) || !bytes.Equal(offsetKey("h", "t", 0), key) {
			t.Errorf("ours  %x\nKafka %x", ours, value)
		}
	}
	for _, r := range snapshot(replay(t, defaultOptions(), log)) {
		t.Log(describeRecord(r))
	}
	// An empty group without a generation, as a first JoinGroup leaves it.
	s := newShard(t, defaultOptions(), 1)
	s.now = time.UnixMilli(0x01a1fc6e5375)
	r := run{m: s.m, env: machine.Env{Now: s.now}}
	r.storeNew(newClassic("h"))
	if got := r.out.Records[0]; hex.EncodeToString(got.Key) != kafkaRecords[0][0] || hex.EncodeToString(got.Value) != kafkaRecords[0][1] {
		t.Errorf("ours  %x", got.Value)
	}
	if ours := groupKey("h"); hex.EncodeToString(ours) != kafkaRecords[0][0] {
		t.Errorf("ours  %x", ours)
	}
}
