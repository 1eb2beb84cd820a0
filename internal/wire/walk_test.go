package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// produceByReader rebuilds a request from what a ProduceReader says; topics without partitions are lost.
func produceByReader(body []byte, version int16) (*ProduceRequest, error) {
	var r ProduceReader
	if err := r.Open(body, version); err != nil {
		return nil, err
	}
	m := NewProduceRequest()
	if !r.TransactionalIDNull {
		m.TransactionalId = &r.TransactionalID
	}
	m.Acks, m.TimeoutMs = r.Acks, r.TimeoutMs
	parts := 0
	for {
		name, id, partition, records, ok := r.Next()
		if !ok {
			break
		}
		parts++
		if r.First() {
			m.TopicData = append(m.TopicData, ProduceRequestTopicProduceData{Name: name, TopicId: id})
		}
		t := &m.TopicData[len(m.TopicData)-1]
		t.PartitionData = append(t.PartitionData, ProduceRequestPartitionProduceData{Index: partition, Records: records})
		if len(t.PartitionData) > r.TopicPartitions() {
			return nil, fmt.Errorf("topic %s has more partitions than TopicPartitions says", name)
		}
	}
	if parts != r.Partitions() || len(m.TopicData) != r.Topics() {
		return nil, fmt.Errorf("%d topics and %d partitions, said were %d and %d", len(m.TopicData), parts, r.Topics(), r.Partitions())
	}
	return m, r.d.Err()
}

// fetchByReader rebuilds a request from what a FetchReader says; topics without partitions are lost.
func fetchByReader(body []byte, version int16) (*FetchRequest, error) {
	var r FetchReader
	if err := r.Open(body, version); err != nil {
		return nil, err
	}
	m := NewFetchRequest()
	m.MaxWaitMs, m.MinBytes, m.MaxBytes, m.IsolationLevel = r.MaxWaitMs, r.MinBytes, r.MaxBytes, r.IsolationLevel
	m.SessionId, m.SessionEpoch, m.RackId = r.SessionID, r.SessionEpoch, r.RackID
	if version >= 15 {
		m.ReplicaState.ReplicaId, m.ReplicaState.ReplicaEpoch = r.ReplicaID, r.ReplicaEpoch
	} else {
		m.ReplicaId = r.ReplicaID
	}
	if r.ClusterID != "" {
		m.ClusterId = &r.ClusterID
	}
	parts := 0
	for {
		p, ok := r.Next()
		if !ok {
			break
		}
		parts++
		if r.topics.begun {
			m.Topics = append(m.Topics, FetchRequestFetchTopic{Topic: p.Topic, TopicId: p.TopicID})
		}
		t := &m.Topics[len(m.Topics)-1]
		t.Partitions = append(t.Partitions, FetchRequestFetchPartition{Partition: p.Partition, CurrentLeaderEpoch: p.CurrentLeaderEpoch,
			FetchOffset: p.FetchOffset, LastFetchedEpoch: p.LastFetchedEpoch, LogStartOffset: p.LogStartOffset, PartitionMaxBytes: p.MaxBytes,
			ReplicaDirectoryId: p.DirectoryID, HighWatermark: p.HighWatermark})
	}
	forgotten := 0
	for {
		name, id, partition, ok := r.NextForgotten()
		if !ok {
			break
		}
		forgotten++
		if r.forgot.begun {
			m.ForgottenTopicsData = append(m.ForgottenTopicsData, FetchRequestForgottenTopic{Topic: name, TopicId: id})
		}
		t := &m.ForgottenTopicsData[len(m.ForgottenTopicsData)-1]
		t.Partitions = append(t.Partitions, partition)
	}
	if parts != r.Partitions() || forgotten != r.Forgotten() {
		return nil, fmt.Errorf("%d and %d partitions, said were %d and %d", parts, forgotten, r.Partitions(), r.Forgotten())
	}
	return m, r.d.Err()
}

// stripTags drops what the readers do not show: unknown tags, topics without partitions.
func stripProduce(m *ProduceRequest) {
	m.Tags = nil
	m.TopicData = slices.DeleteFunc(m.TopicData, func(t ProduceRequestTopicProduceData) bool { return len(t.PartitionData) == 0 })
	for i := range m.TopicData {
		m.TopicData[i].Tags = nil
		for j := range m.TopicData[i].PartitionData {
			m.TopicData[i].PartitionData[j].Tags = nil
		}
	}
}

func stripFetch(m *FetchRequest) {
	m.Tags, m.ReplicaState.Tags = nil, nil
	if m.ClusterId != nil && *m.ClusterId == "" {
		m.ClusterId = nil
	}
	m.Topics = slices.DeleteFunc(m.Topics, func(t FetchRequestFetchTopic) bool { return len(t.Partitions) == 0 })
	for i := range m.Topics {
		m.Topics[i].Tags = nil
		for j := range m.Topics[i].Partitions {
			m.Topics[i].Partitions[j].Tags = nil
		}
	}
	m.ForgottenTopicsData = slices.DeleteFunc(m.ForgottenTopicsData, func(t FetchRequestForgottenTopic) bool { return len(t.Partitions) == 0 })
	for i := range m.ForgottenTopicsData {
		m.ForgottenTopicsData[i].Tags = nil
	}
}

// sameWalk checks that a body means the same to the reader as to the generated decoder, or is refused by
// both at the same field.
func sameWalk(t *testing.T, key int16, body []byte, version int16) {
	t.Helper()
	var want, got Message
	var err error
	d := NewDecoder(body)
	if key == 0 {
		m := new(ProduceRequest)
		m.Decode(&d, version)
		stripProduce(m)
		var g *ProduceRequest
		g, err = produceByReader(body, version)
		want, got = m, g
	} else {
		m := new(FetchRequest)
		m.Decode(&d, version)
		stripFetch(m)
		var g *FetchRequest
		g, err = fetchByReader(body, version)
		want, got = m, g
	}
	wantErr := d.Done()
	if wantErr != nil || err != nil {
		if wantErr != nil && strings.Contains(wantErr.Error(), "of memory") {
			return // what the generated structs would take
		}
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("API %d v%d: the reader says %v, the decoder %v; body %x", key, version, err, wantErr, body)
		}
		return
	}
	if a, b := want.Append(nil, version), got.Append(nil, version); !bytes.Equal(a, b) {
		t.Fatalf("API %d v%d: the reader sees %x, the decoder %x", key, version, b, a)
	}
}

// The readers see what the generated decoders see, in every request that Kafka wrote.
func TestReadersAgreeWithGeneratedDecoders(t *testing.T) {
	n := 0
	golden(t, func(v vector) {
		if v.what == "request" && v.key <= 1 {
			n++
			sameWalk(t, v.key, v.bytes, v.version)
			for i := range v.bytes {
				sameWalk(t, v.key, v.bytes[:i], v.version)
				if i < 60 {
					b := bytes.Clone(v.bytes)
					b[i] ^= 0xff
					sameWalk(t, v.key, b, v.version)
				}
			}
		}
	})
	if n < 100 {
		t.Errorf("only %d vectors", n)
	}
}

// The writers make the bytes that Kafka made, also when the records are left out and put in afterwards.
func TestWritersMakeKafkasBytes(t *testing.T) {
	n := 0
	golden(t, func(v vector) {
		if v.what != "response" || v.key > 1 || v.shape == "unknown-tags" {
			return
		}
		n++
		prefix := []byte("head")
		d := NewDecoder(v.bytes)
		if v.key == 0 {
			m := NewProduceResponse()
			m.Decode(&d, v.version)
			var w ProduceResponseWriter
			w.Begin(prefix, v.version, len(m.Responses))
			for i := range m.Responses {
				w.Topic(m.Responses[i].Name, m.Responses[i].TopicId, len(m.Responses[i].PartitionResponses))
				for j := range m.Responses[i].PartitionResponses {
					w.Partition(&m.Responses[i].PartitionResponses[j])
				}
			}
			if got := w.End(m.ThrottleTimeMs, m.NodeEndpoints); !bytes.Equal(got[len(prefix):], v.bytes) {
				t.Errorf("%v: %x, want %x", v, got, v.bytes)
			}
			return
		}
		m := NewFetchResponse()
		m.Decode(&d, v.version)
		for _, gaps := range []bool{false, true} {
			var w FetchResponseWriter
			var at []int
			var records [][]byte
			w.Begin(prefix, v.version, m.ThrottleTimeMs, m.ErrorCode, m.SessionId, len(m.Responses))
			for i := range m.Responses {
				w.Topic(m.Responses[i].Topic, m.Responses[i].TopicId, len(m.Responses[i].Partitions))
				for j := range m.Responses[i].Partitions {
					p := &m.Responses[i].Partitions[j]
					if gaps && p.Records != nil {
						at = append(at, w.PartitionGap(p, len(p.Records)))
						records = append(records, p.Records)
					} else {
						w.Partition(p)
					}
				}
			}
			head := w.End(m.NodeEndpoints)
			var got []byte
			from := 0
			for i, pos := range at {
				got = append(append(got, head[from:pos]...), records[i]...)
				from = pos
			}
			if got = append(got, head[from:]...); !bytes.Equal(got[len(prefix):], v.bytes) {
				t.Errorf("%v, gaps %v: %x, want %x", v, gaps, got, v.bytes)
			}
		}
	})
	if n < 100 {
		t.Errorf("only %d vectors", n)
	}
}

// The warm path of Produce, Fetch and Metadata allocates nothing.
func TestProduceFetchAndMetadataDoNotAllocate(t *testing.T) {
	type sample struct {
		name string
		run  func()
	}
	var samples []sample
	buf := make([]byte, 0, 1<<16)
	golden(t, func(v vector) {
		if v.shape != "filled" || v.key > 3 || v.what == "record" || v.what == "header" || v.key == 2 {
			return
		}
		m, _ := v.message()
		d := NewDecoder(v.bytes)
		m.Decode(&d, v.version)
		if v.what == "response" {
			samples = append(samples, sample{v.String(), func() { buf = m.Append(buf[:0], v.version) }})
		}
		switch {
		case v.what == "request" && v.key == 0:
			var r ProduceReader
			samples = append(samples, sample{v.String(), func() {
				if r.Open(v.bytes, v.version) != nil {
					panic("refused")
				}
				for ok := true; ok; {
					_, _, _, _, ok = r.Next()
				}
			}})
		case v.what == "request" && v.key == 1:
			var r FetchReader
			samples = append(samples, sample{v.String(), func() {
				if r.Open(v.bytes, v.version) != nil {
					panic("refused")
				}
				for ok := true; ok; {
					_, ok = r.Next()
				}
				for ok := true; ok; {
					_, _, _, ok = r.NextForgotten()
				}
			}})
		case v.what == "response" && v.key == 0:
			m := m.(*ProduceResponse)
			var w ProduceResponseWriter
			samples = append(samples, sample{v.String(), func() {
				w.Begin(buf[:0], v.version, len(m.Responses))
				for i := range m.Responses {
					w.Topic(m.Responses[i].Name, m.Responses[i].TopicId, len(m.Responses[i].PartitionResponses))
					for j := range m.Responses[i].PartitionResponses {
						p := m.Responses[i].PartitionResponses[j]
						w.Partition(&p)
					}
				}
				buf = w.End(m.ThrottleTimeMs, m.NodeEndpoints)
			}})
		case v.what == "response" && v.key == 1:
			m := m.(*FetchResponse)
			var w FetchResponseWriter
			samples = append(samples, sample{v.String(), func() {
				w.Begin(buf[:0], v.version, 0, 0, 0, len(m.Responses))
				for i := range m.Responses {
					w.Topic(m.Responses[i].Topic, m.Responses[i].TopicId, len(m.Responses[i].Partitions))
					for j := range m.Responses[i].Partitions {
						p := m.Responses[i].Partitions[j]
						w.PartitionGap(&p, 1<<20)
					}
				}
				buf = w.End(m.NodeEndpoints)
			}})
		}
	})
	frame := []byte{0, 0, 0, 9, 0, 0, 0, 7, 0, 3, 'f', 'o', 'o', 0, 1, 2, 3}
	samples = append(samples, sample{"header", func() {
		if h, body, err := ReadHeader(frame); err != nil || h.ClientID != "foo" || len(body) != 3 {
			panic("header")
		}
	}})
	for _, s := range samples {
		if n := testing.AllocsPerRun(20, s.run); n != 0 {
			t.Errorf("%s: %v allocations", s.name, n)
		}
	}
	if len(samples) < 100 {
		t.Errorf("only %d samples", len(samples))
	}
}

func TestReadHeader(t *testing.T) {
	golden(t, func(v vector) {
		if v.name != "RequestHeader" {
			return
		}
		var m RequestHeader
		d := NewDecoder(v.bytes)
		m.Decode(&d, v.version)
		frame := bytes.Clone(v.bytes)
		// The vectors' numbers name no API: put in one that has this header version.
		key, version := int16(18), int16(0)
		switch v.version {
		case 0:
			key = 7
		case 2:
			version = 3
		}
		copy(frame, []byte{0, byte(key), 0, byte(version)})
		h, body, err := ReadHeader(append(frame, 42))
		if err != nil {
			t.Fatalf("%v: %v", v, err)
		}
		want := Header{Key: key, Version: version, CorrelationID: m.CorrelationId, ClientIDNull: m.ClientId == nil}
		if v.version == 0 {
			want.ClientIDNull = false
		}
		if m.ClientId != nil {
			want.ClientID = *m.ClientId
		}
		if v.version == 0 {
			want.ClientID = ""
		}
		if !reflect.DeepEqual(h, want) || !bytes.Equal(body, []byte{42}) {
			t.Errorf("%v: %+v %x, want %+v", v, h, body, want)
		}
		for i := range len(v.bytes) {
			if _, _, err := ReadHeader(frame[:i]); err == nil {
				t.Errorf("%v: accepted when cut to %d bytes", v, i)
			}
		}
	})
}
