package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

// An error names the field and the reason.
func TestErrorsNameFieldAndReason(t *testing.T) {
	long := strings.Repeat("x", 40)
	for _, c := range []struct {
		key, version int16
		body         string
		field, why   string
	}{
		{3, 0, "", "MetadataRequest.Topics", "4 bytes are needed and 0 are left"},
		{3, 14, "", "MetadataRequest", "version 14 is not one of 0 to 13"},
		{3, 0, "\xff\xff\xff\xff", "MetadataRequest.Topics", "null"},
		{3, 0, "\xff\xff\xff\xfe", "MetadataRequest.Topics", "negative"},
		{3, 0, "\x7f\xff\xff\xff", "MetadataRequest.Topics", "more than 1000000"},
		{3, 0, "\x00\x00\x00\x02\x00\x00", "MetadataRequest.Topics", "2 elements need 4 bytes and 2 are left"},
		{3, 0, "\x00\x00\x00\x01\xff\xff", "MetadataRequest.Topics.Name", "null"},
		{3, 0, "\x00\x00\x00\x01\x00\x02\xc3\x28", "MetadataRequest.Topics.Name", "not UTF-8"},
		{3, 0, "\x00\x00\x00\x00\x00", "MetadataRequest", "1 bytes are left"},
		{3, 9, "\x01\x01\x00\x00\x7f", "MetadataRequest", "tagged fields"},
		{3, 9, "\x80\x80\x80\x80\x80\x80" + long, "MetadataRequest.Topics", "varint"},
		{3, 9, "\xff\xff\xff\xff\x1f" + long, "MetadataRequest.Topics", "varint"},
		{3, 9, "\x01\x01\x00\x00\x02\x05\x00\x05\x00", "MetadataRequest", "field 5 comes after 5"},
		{1, 12, "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x01\x01\x01\x01\x00\x03\x02\x58\x58", "FetchRequest", "does not end"},
	} {
		m := NewRequest(c.key)
		d := NewDecoder([]byte(c.body))
		m.Decode(&d, c.version)
		err := d.Done()
		var e *DecodeError
		if !errors.As(err, &e) || e.Field != c.field || !strings.Contains(e.Reason, c.why) {
			t.Errorf("%T v%d of %q: %v, want %s: ... %s", m, c.version, c.body, err, c.field, c.why)
		}
		if d.Int64() != 0 || d.Err() != err {
			t.Errorf("%T v%d of %q: the error is not sticky", m, c.version, c.body)
		}
	}
}

func TestVarints(t *testing.T) {
	for _, c := range []struct {
		in     string
		want   uint64
		ok, lo bool // lo: fits 32 bits
	}{
		{"\x00", 0, true, true},
		{"\x7f", 127, true, true},
		{"\x80\x01", 128, true, true},
		{"\xff\xff\xff\xff\x0f", math.MaxUint32, true, true},
		{"\x80\x80\x80\x80\x10", 1 << 32, true, false},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", math.MaxUint64, true, false},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 0, false, false},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 0, false, false},
		{"\x80", 0, false, false},
		{"", 0, false, false},
	} {
		d := NewDecoder([]byte(c.in))
		if got := d.Uvarint64(); got != c.want || (d.Done() == nil) != c.ok {
			t.Errorf("%x: %d, %v", c.in, got, d.Err())
		}
		d.Reset([]byte(c.in))
		if got := d.Uvarint(); (d.Done() == nil) != c.lo || c.lo && uint64(got) != c.want {
			t.Errorf("%x in 32 bits: %d, %v", c.in, got, d.Err())
		}
	}
}

// Unknown tagged fields keep their place among the known ones.
func TestUnknownTagsStandInOrder(t *testing.T) {
	m := NewFetchRequest()
	s := "c"
	m.ClusterId = &s
	m.ReplicaState.ReplicaId = 4
	m.Tags = &Tags{Fields: []Tag{{ID: 1, Data: []byte("future")}, {ID: 9}}}
	b := m.Append(nil, 12) // knows tag 0 alone
	d := NewDecoder(b)
	again := NewFetchRequest()
	if again.Decode(&d, 12); d.Done() != nil {
		t.Fatal(d.Err())
	}
	if len(again.Tags.Fields) != 2 || again.Tags.Fields[0].ID != 1 || string(again.Tags.Fields[0].Data) != "future" || *again.ClusterId != "c" {
		t.Errorf("got %+v", again)
	}
	if got := again.Append(nil, 12); !bytes.Equal(got, b) {
		t.Errorf("%x, want %x", got, b)
	}
}

func TestUUIDForms(t *testing.T) {
	u := UUID{0xff, 0xfe, 15: 1}
	if got := u.String(); got != "__4AAAAAAAAAAAAAAAAAAQ" {
		t.Errorf("String is %s", got)
	}
	for _, s := range []string{u.String(), u.String() + "=="} {
		if got, err := ParseUUID(s); err != nil || got != u {
			t.Errorf("ParseUUID(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", strings.Repeat("A", 24), strings.Repeat("A", 21) + "+"} {
		if got, err := ParseUUID(s); err == nil {
			t.Errorf("ParseUUID(%q) = %v", s, got)
		}
	}
	if !(UUID{}).IsZero() || u.IsZero() {
		t.Error("IsZero")
	}
}

func BenchmarkProduceReader(b *testing.B) {
	m := NewProduceRequest()
	m.TopicData = []ProduceRequestTopicProduceData{{Name: "topic", PartitionData: []ProduceRequestPartitionProduceData{{Records: make([]byte, 1000)}}}}
	body := m.Append(nil, 9)
	var r ProduceReader
	b.ReportAllocs()
	for b.Loop() {
		if r.Open(body, 9) != nil {
			b.Fatal("refused")
		}
		for ok := true; ok; {
			_, _, _, _, ok = r.Next()
		}
	}
}

func BenchmarkFetchReader(b *testing.B) {
	m := NewFetchRequest()
	m.Topics = []FetchRequestFetchTopic{{Partitions: make([]FetchRequestFetchPartition, 10)}}
	body := m.Append(nil, 16)
	var r FetchReader
	b.ReportAllocs()
	for b.Loop() {
		if r.Open(body, 16) != nil {
			b.Fatal("refused")
		}
		for ok := true; ok; {
			_, ok = r.Next()
		}
	}
}

func BenchmarkMetadataResponse(b *testing.B) {
	m := NewMetadataResponse()
	m.Topics = make([]MetadataResponseMetadataResponseTopic, 10)
	name := "topic"
	for i := range m.Topics {
		m.Topics[i].Default()
		m.Topics[i].Name = &name
		m.Topics[i].Partitions = make([]MetadataResponseMetadataResponsePartition, 10)
		for j := range m.Topics[i].Partitions {
			m.Topics[i].Partitions[j].ReplicaNodes = []int32{1, 2, 3}
			m.Topics[i].Partitions[j].IsrNodes = []int32{1, 2, 3}
		}
	}
	buf := m.Append(nil, 12)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0], 12)
	}
}
