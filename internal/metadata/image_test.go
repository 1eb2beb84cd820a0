package metadata

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// driver makes random records that fit an image.
type driver struct {
	*rand.Rand
	img *Image
}

func (d *driver) id() (u wire.UUID) {
	for i := range u {
		u[i] = byte(d.Uint32())
	}
	return u
}

func (d *driver) list() []int32 {
	list := []int32{}
	for range d.IntN(4) {
		list = append(list, int32(d.IntN(5)))
	}
	return list
}

func (d *driver) anyTopic() *Topic {
	if d.img.NumTopics() == 0 {
		return nil
	}
	n := d.IntN(d.img.NumTopics())
	for t := range d.img.Topics() {
		if n == 0 {
			return t
		}
		n--
	}
	return nil
}

func (d *driver) record() []Record {
	t := d.anyTopic()
	name := func() string { return fmt.Sprintf("name-%d", d.IntN(8)) }
	switch k := d.IntN(20); {
	case k < 4:
		n := fmt.Sprintf("t%d", d.IntN(1000))
		if d.img.Topic(n) != nil {
			return nil
		}
		id := d.id()
		recs := []Record{&wire.TopicRecord{Name: n, TopicId: id}}
		for p := range d.IntN(4) {
			recs = append(recs, &wire.PartitionRecord{TopicId: id, PartitionId: int32(p), Replicas: d.list(), Isr: d.list(), Leader: 1, Directories: []wire.UUID{d.id()}, LastKnownElr: d.list()})
		}
		return recs
	case k == 4 && t != nil:
		return []Record{&wire.RemoveTopicRecord{TopicId: t.ID}}
	case k < 8 && t != nil && len(t.Partitions) > 0:
		r := wire.NewPartitionChangeRecord()
		r.TopicId, r.PartitionId = t.ID, int32(d.IntN(len(t.Partitions)))
		switch d.IntN(4) {
		case 0:
			r.Leader = int32(d.IntN(3))
		case 1:
			r.Isr, r.EligibleLeaderReplicas = d.list(), d.list()
		case 2:
			r.Replicas, r.AddingReplicas, r.RemovingReplicas = d.list(), d.list(), d.list()
		case 3:
			r.Directories, r.LeaderRecoveryState = []wire.UUID{d.id(), d.id()}, int8(d.IntN(2))
		}
		return []Record{r}
	case k == 8 && t != nil:
		return []Record{&wire.PartitionRecord{TopicId: t.ID, PartitionId: int32(len(t.Partitions)), Replicas: d.list(), Isr: d.list()}}
	case k == 9:
		r := &wire.ConfigRecord{ResourceType: []int8{2, 4, 16, 32}[d.IntN(4)], ResourceName: name(), Name: name()}
		if v := name(); d.IntN(3) > 0 {
			r.Value = &v
		}
		if t != nil && d.IntN(2) == 0 {
			r.ResourceType, r.ResourceName = TopicResource, t.Name
		}
		return []Record{r}
	case k == 10:
		r := wire.NewRegisterBrokerRecord()
		r.BrokerId, r.BrokerEpoch, r.IncarnationId = int32(d.IntN(5)), int64(d.IntN(100)), d.id()
		r.EndPoints = []wire.RegisterBrokerRecordBrokerEndpoint{{Name: "PLAINTEXT", Host: name(), Port: 9092}}
		r.Features = []wire.RegisterBrokerRecordBrokerFeature{{Name: "metadata.version", MinSupportedVersion: 7, MaxSupportedVersion: 33}}
		if rack := name(); d.IntN(2) == 0 {
			r.Rack, r.LogDirs, r.CordonedLogDirs = &rack, []wire.UUID{d.id()}, []wire.UUID{d.id()}
		}
		return []Record{r}
	case k == 11:
		for _, b := range d.img.Brokers() {
			switch d.IntN(4) {
			case 0:
				return []Record{&wire.UnregisterBrokerRecord{BrokerId: b.ID, BrokerEpoch: b.Epoch}}
			case 1:
				return []Record{&wire.FenceBrokerRecord{Id: b.ID, Epoch: b.Epoch}}
			case 2:
				return []Record{&wire.UnfenceBrokerRecord{Id: b.ID, Epoch: b.Epoch}}
			case 3:
				return []Record{&wire.BrokerRegistrationChangeRecord{BrokerId: b.ID, BrokerEpoch: b.Epoch, Fenced: 1, InControlledShutdown: 1, LogDirs: []wire.UUID{d.id()}, CordonedLogDirs: []wire.UUID{}}}
			}
		}
	case k == 12:
		return []Record{&wire.FeatureLevelRecord{Name: name(), FeatureLevel: int16(d.IntN(3))}, &wire.FeatureLevelRecord{Name: VersionFeature, FeatureLevel: MaxVersion}}
	case k == 13:
		return []Record{&wire.ProducerIdsRecord{BrokerId: 1, BrokerEpoch: 2, NextProducerId: d.Int64()}}
	case k == 14:
		if d.IntN(3) == 0 {
			for a := range d.img.ACLs() {
				return []Record{&wire.RemoveAccessControlEntryRecord{Id: a.Id}}
			}
		}
		return []Record{&wire.AccessControlEntryRecord{Id: d.id(), ResourceName: name(), Principal: name(), Host: "*", Operation: 3}}
	case k == 15:
		n := name()
		return []Record{&wire.ClientQuotaRecord{Entity: []wire.ClientQuotaRecordEntityData{{EntityType: "user", EntityName: &n}, {EntityType: "client-id"}}, KeyField: name(), Value: d.Float64(), Remove: d.IntN(3) == 0}}
	case k == 16:
		if d.IntN(3) == 0 {
			return []Record{&wire.RemoveUserScramCredentialRecord{Name: name(), Mechanism: 1}}
		}
		return []Record{&wire.UserScramCredentialRecord{Name: name(), Mechanism: 1, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}, Iterations: 4096}}
	case k == 17:
		if d.IntN(3) == 0 {
			return []Record{&wire.RemoveDelegationTokenRecord{TokenId: name()}}
		}
		return []Record{&wire.DelegationTokenRecord{Owner: "o", Requester: "r", Renewers: []string{"a"}, TokenId: name()}}
	case k == 18:
		if d.IntN(3) == 0 {
			return []Record{&wire.UnregisterControllerRecord{ControllerId: int32(d.IntN(3))}}
		}
		return []Record{&wire.RegisterControllerRecord{ControllerId: int32(d.IntN(3)), IncarnationId: d.id()}, &wire.ZkMigrationStateRecord{}}
	case k == 19 && d.IntN(5) == 0:
		return []Record{&wire.ClearElrRecord{}, wire.NewNoOpRecord()}
	}
	return nil
}

// check that an image is well formed and that it survives a snapshot.
func check(t *testing.T, img *Image) {
	t.Helper()
	n, parts, last := 0, 0, ""
	for topic := range img.Topics() {
		if n > 0 && topic.Name <= last || img.Topic(topic.Name) != topic || img.TopicByID(topic.ID) != topic {
			t.Fatalf("topic %q after %q is out of order or not found", topic.Name, last)
		}
		last = topic.Name
		n++
		parts += len(topic.Partitions)
	}
	if n != img.NumTopics() || parts != img.NumPartitions() {
		t.Fatalf("%d topics and %d partitions, counted %d and %d", img.NumTopics(), img.NumPartitions(), n, parts)
	}
	var recs []Record
	img.Snapshot(func(r Record) {
		parsed, err := ParseRecord(AppendRecord(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, parsed)
	})
	offset, epoch := img.Offset()
	again, _, err := New(img.ClusterID()).Apply(recs, offset, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if !img.Equal(again) {
		t.Fatalf("the image of a snapshot differs: %+v", Diff(img, again))
	}
}

func TestSnapshotGivesTheImageBackAndDeltasAddUp(t *testing.T) {
	for seed := range uint64(30) {
		t.Logf("seed=%d", seed)
		d := &driver{rand.New(rand.NewPCG(seed, 0)), New("c")}
		for n := range int64(400) {
			before := d.img
			var recs []Record
			for range 1 + d.IntN(3) {
				more := d.record()
				img, _, err := d.img.Apply(more, n, 1)
				if err != nil {
					t.Fatal(err)
				}
				d.img = img
				recs = append(recs, more...)
			}
			once, delta, err := before.Apply(recs, n, 1)
			if err != nil {
				t.Fatal(err)
			}
			if !once.Equal(d.img) {
				t.Fatalf("step %d: records applied at once differ from one by one", n)
			}
			want := Diff(before, once)
			if !reflect.DeepEqual(delta.Created, want.Created) || !reflect.DeepEqual(delta.Deleted, want.Deleted) || len(delta.Changed) != len(want.Changed) {
				t.Fatalf("step %d: delta %+v, want %+v", n, delta, want)
			}
			for i, c := range want.Changed {
				if g := delta.Changed[i]; g.Before != c.Before || g.After != c.After || !reflect.DeepEqual(g.Partitions, c.Partitions) {
					t.Fatalf("step %d: change %+v, want %+v", n, g, c)
				}
			}
			if n%40 == 0 {
				check(t, d.img)
			}
		}
		check(t, d.img)
	}
}

func TestApplyLeavesTheOldImage(t *testing.T) {
	d := &driver{rand.New(rand.NewPCG(7, 7)), New("c")}
	type saved struct {
		img  *Image
		recs []string
	}
	dump := func(i *Image) (s []string) {
		i.Snapshot(func(r Record) { s = append(s, string(AppendRecord(nil, r))) })
		return s
	}
	var all []saved
	for n := range int64(600) {
		img, _, err := d.img.Apply(d.record(), n, 1)
		if err != nil {
			t.Fatal(err)
		}
		d.img = img
		all = append(all, saved{img, dump(img)})
	}
	for n, s := range all {
		if !reflect.DeepEqual(dump(s.img), s.recs) {
			t.Fatalf("image %d changed afterwards", n)
		}
	}
}

func TestTransactionsApplyWholeOrNotAtAll(t *testing.T) {
	begin, end, abort := wire.NewBeginTransactionRecord(), wire.NewEndTransactionRecord(), wire.NewAbortTransactionRecord()
	a, b := &wire.FeatureLevelRecord{Name: "a", FeatureLevel: 1}, &wire.FeatureLevelRecord{Name: "b", FeatureLevel: 1}
	img, _, err := New("").Apply([]Record{begin, a, abort, begin, b, end}, 5, 1)
	if err != nil || img.Feature("a") != 0 || img.Feature("b") != 1 {
		t.Fatalf("a=%d b=%d err=%v", img.Feature("a"), img.Feature("b"), err)
	}
	for _, bad := range [][]Record{{begin, a}, {end}, {abort}, {begin, begin, end}} {
		if _, _, err := New("").Apply(bad, 1, 1); err == nil {
			t.Errorf("%d records were applied", len(bad))
		}
	}
}

func TestRecordsThatDoNotFitAreErrors(t *testing.T) {
	id := wire.UUID{1}
	img, _, err := New("").Apply([]Record{&wire.TopicRecord{Name: "t", TopicId: id}}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{
		&wire.TopicRecord{Name: "t", TopicId: wire.UUID{2}}, &wire.TopicRecord{Name: "u", TopicId: id},
		&wire.PartitionRecord{TopicId: id, PartitionId: 1}, &wire.PartitionRecord{TopicId: wire.UUID{9}},
		&wire.PartitionChangeRecord{TopicId: id}, &wire.RemoveTopicRecord{TopicId: wire.UUID{3}},
		&wire.FenceBrokerRecord{Id: 1}, wire.NewProduceRequest(), &wire.ClearElrRecord{TopicName: "none"},
	} {
		if _, _, err := img.Apply([]Record{r}, 2, 1); err == nil {
			t.Errorf("%T %+v was applied", r, r)
		}
	}
}

func TestOneTopicAmongTenThousandCopiesLittle(t *testing.T) {
	img := many(t, 10000, 1)
	recs := []Record{&wire.TopicRecord{Name: "t5000x", TopicId: wire.UUID{1}}, &wire.PartitionRecord{TopicId: wire.UUID{1}, Replicas: []int32{1}, Isr: []int32{1}}}
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := img.Apply(recs, 1, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	if got.AllocedBytesPerOp() > 16<<10 {
		t.Errorf("%d bytes copied for a topic", got.AllocedBytesPerOp())
	}
	t.Logf("%v %v", got, got.MemString())
}

func many(t testing.TB, topics, partitions int) *Image {
	t.Helper()
	var recs []Record
	r := rand.New(rand.NewPCG(1, 1))
	for n := range topics {
		id := wire.UUID{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(n >> 8), byte(n)}
		recs = append(recs, &wire.TopicRecord{Name: fmt.Sprintf("t%d", n), TopicId: id})
		for p := range partitions {
			recs = append(recs, &wire.PartitionRecord{TopicId: id, PartitionId: int32(p), Replicas: []int32{1}, Isr: []int32{1}, Leader: 1, Directories: []wire.UUID{{15: 200}}})
		}
	}
	img, _, err := New("c").Apply(recs, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func BenchmarkApply9900Partitions(b *testing.B) {
	img := many(b, 1, 9900)
	var recs []Record
	img.Snapshot(func(r Record) { recs = append(recs, r) })
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := New("c").Apply(recs, 0, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	d := &driver{rand.New(rand.NewPCG(1, 2)), New("c")}
	for range 200 {
		for _, r := range d.record() {
			f.Add(AppendRecord(nil, r))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		c := CloneRecord(r)
		if got, want := AppendRecord(nil, c), AppendRecord(nil, r); string(got) != string(want) {
			t.Fatalf("%T does not survive encoding:\n% x\n% x", r, want, got)
		}
		_, _, _ = New("c").Apply([]Record{r}, 1, 1)
	})
}
