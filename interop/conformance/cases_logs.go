package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// to is one partition's records in a Produce request.
func to(topic string, partition int, records any) o {
	return o{"Name": topic, "PartitionData": a{o{"Index": partition, "Records": records}}}
}

// put produces one batch and records the answer.
func (t *run) put(v int16, topic string, id wire.UUID, partition int, records any) answer {
	d := to(topic, partition, records)
	d["TopicId"] = id
	return t.do(v, "Produce", o{"Acks": -1, "TimeoutMs": 5000, "TopicData": a{d}})
}

// patched is a batch with bytes changed, and its checksum made right again when reseal is true.
func patched(b []byte, reseal bool, change func(b []byte)) []byte {
	b = append([]byte(nil), b...)
	change(b)
	if reseal {
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return b
}

// message is a message of the old formats 0 and 1.
func message(magic byte, offset, timestamp int64, key, value []byte) []byte {
	body := []byte{magic, 0}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(timestamp))
	}
	for _, x := range [][]byte{key, value} {
		body = binary.BigEndian.AppendUint32(body, uint32(len(x)))
		body = append(body, x...)
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+4))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}

// read fetches one partition and records the answer.
func (t *run) read(v int16, topic string, id wire.UUID, partition int, offset int64, more, perPartition o) answer {
	p := o{"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}
	for k, x := range perPartition {
		p[k] = x
	}
	q := o{"MaxWaitMs": 1, "MinBytes": 0, "MaxBytes": 1 << 20, "Topics": a{o{"Topic": topic, "TopicId": id, "Partitions": a{p}}}}
	for k, x := range more {
		q[k] = x
	}
	return t.do(v, "Fetch", q)
}

func produceCases() []kase {
	var none wire.UUID
	return []kase{
		{"produce", func(t *run) {
			for _, v := range t.versions("Produce", 0) {
				x := t.topic(fmt.Sprint("x", v), 2)
				id := t.idOf(x)
				if v < 3 {
					magic := byte(min(v, 1))
					t.put(v, x, id, 0, message(magic, 0, day(), nil, []byte("a")))
					t.put(v, x, id, 0, append(message(magic, 0, day(), []byte("k"), []byte("b")), message(magic, 1, day(), nil, []byte("c"))...))
					t.put(v, x, id, 0, patched(message(magic, 0, day(), nil, []byte("a")), false, func(b []byte) { b[len(b)-1]++ }))
					continue
				}
				t.put(v, x, id, 0, batch(nil, record.None, "a", "b", "c"))
				t.put(v, x, id, 0, batch(nil, record.None, "d"))
				for _, c := range []record.Codec{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
					t.put(v, x, id, 1, batch(nil, c, strings.Repeat("e", 100), "f"))
				}
				t.do(v, "Produce", o{"Acks": 1, "TimeoutMs": 5000, "TopicData": a{o{"Name": x, "TopicId": id, "PartitionData": a{o{"Index": 0, "Records": batch(nil, 0, "g")}, o{"Index": 1, "Records": batch(nil, 0, "h")}}}}})
				t.do(v, "Produce", o{"Acks": -1, "TimeoutMs": 0, "TopicData": a{o{"Name": x, "TopicId": id, "PartitionData": a{o{"Index": 0, "Records": batch(nil, 0, "i")}}}}})
				t.read(t.upTo("Fetch", 12), x, none, 0, 0, nil, nil)
			}
		}},
		{"produce-bad", func(t *run) {
			x := t.topic("x", 1)
			compact := t.topic("compact", 1, "cleanup.policy", "compact")
			small := t.topic("small", 1, "max.message.bytes", "200")
			id := t.idOf(x)
			good := batch(nil, record.None, "a", "b")
			for _, v := range t.versions("Produce", 3) {
				t.put(v, t.called("unknown"), wire.UUID{7}, 0, good)
				t.put(v, "bad name!", wire.UUID{}, 0, good)
				t.put(v, x, id, 9, good)
				t.put(v, x, id, -1, good)
				t.put(v, x, id, 0, []byte{})
				t.put(v, x, id, 0, good[:30])
				t.put(v, x, id, 0, good[:len(good)-1])
				t.put(v, x, id, 0, append(append([]byte(nil), good...), good...))
				t.put(v, x, id, 0, patched(good, false, func(b []byte) { b[len(b)-1]++ }))                                                                       // checksum
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[60]++ }))                                                                              // count
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[26]++ }))                                                                              // last offset delta
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[22] |= 0x20 }))                                                                        // control
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[22] |= 0x10 }))                                                                        // transactional
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[22] |= 0x08 }))                                                                        // log append time
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[22] |= 0x07 }))                                                                        // unknown codec
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { b[22] |= 0x01 }))                                                                        // says gzip and is not
				t.put(v, x, id, 0, patched(good, false, func(b []byte) { b[16] = 3 }))                                                                           // magic of the future
				t.put(v, x, id, 0, patched(good, false, func(b []byte) { b[16] = 1 }))                                                                           // magic of the past
				t.put(v, x, id, 0, patched(good, true, func(b []byte) { binary.BigEndian.PutUint64(b[27:], 1<<62); binary.BigEndian.PutUint64(b[35:], 1<<62) })) // far in the future
				t.put(v, x, id, 0, patched(good, false, func(b []byte) { b[0] = 1 }))                                                                            // base offset is not 0
				t.put(v, x, id, 0, message(0, 0, 0, nil, []byte("a")))
				t.put(v, x, id, 0, message(1, 0, day(), nil, []byte("a")))
				t.put(v, small, t.idOf(small), 0, batch(nil, record.None, strings.Repeat("x", 300)))
				keyless := record.NewBuilder(nil, record.BuilderOptions{LeaderEpoch: -1})
				keyless.Append(day(), nil, []byte("no key"))
				b, _ := keyless.Finish()
				t.put(v, compact, t.idOf(compact), 0, []byte(b))
				t.put(v, compact, t.idOf(compact), 0, good)
				t.put(v, "__consumer_offsets", t.idOf("__consumer_offsets"), 0, good)
				for _, acks := range []int{2, -2, 7} {
					t.do(v, "Produce", o{"Acks": acks, "TimeoutMs": 5000, "TopicData": a{o{"Name": x, "TopicId": id, "PartitionData": a{o{"Index": 0, "Records": good}}}}})
				}
				t.do(v, "Produce", o{"Acks": -1, "TimeoutMs": 5000, "TopicData": a{}})
				t.do(v, "Produce", o{"Acks": -1, "TimeoutMs": 5000, "TopicData": a{o{"Name": x, "TopicId": id, "PartitionData": a{}}}})
				t.do(v, "Produce", o{"Acks": -1, "TimeoutMs": 5000, "TopicData": a{o{"Name": x, "TopicId": id, "PartitionData": a{o{"Index": 0, "Records": good}, o{"Index": 5, "Records": good}}}}})
			}
			t.do(2, "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -1}}}}})
		}},
		{"produce-acks-0", func(t *run) {
			x := t.topic("x", 1)
			for _, v := range t.versions("Produce", 3) {
				id := t.idOf(x)
				key := keyOf("Produce")
				_ = t.conn.send(t.conn.frame(key, v, request(key, o{"Acks": 0, "TimeoutMs": 5000, "TopicData": a{o{"Name": x, "TopicId": id, "PartitionData": a{o{"Index": 0, "Records": batch(nil, 0, "a")}}}}}).Append(nil, v)))
				// No answer comes: the next one is that of the next request.
				t.settle(x, 1)
				time.Sleep(50 * time.Millisecond) // until the record is visible
				t.do(2, "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -1}}}}})
			}
			// What fails with acks=0 closes the connection.
			v := t.upTo("Produce", 9)
			key := keyOf("Produce")
			_ = t.conn.send(t.conn.frame(key, v, request(key, o{"Acks": 0, "TimeoutMs": 5000, "TopicData": a{to(x, 8, batch(nil, 0, "a"))}}).Append(nil, v)))
			t.do(2, "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -1}}}}})
		}},
		{"produce-log-append-time", func(t *run) {
			x := t.topic("x", 1, "message.timestamp.type", "LogAppendTime")
			z := t.topic("zipped", 1, "compression.type", "gzip")
			for _, v := range t.versions("Produce", 3) {
				t.put(v, x, t.idOf(x), 0, batch(nil, record.None, "a", "b"))
				t.put(v, z, t.idOf(z), 0, batch(nil, record.None, "a", "b"))
				t.put(v, z, t.idOf(z), 0, batch(nil, record.Gzip, "a", "b"))
			}
			t.read(t.upTo("Fetch", 12), x, none, 0, 0, nil, nil)
		}},
		{"produce-idempotent", func(t *run) {
			for _, v := range t.versions("Produce", 3) {
				x := t.topic(fmt.Sprint("x", v), 1)
				id := t.idOf(x)
				m, show := t.learn(t.conn, t.upTo("InitProducerId", 4), "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": 1000})
				pid := m.(*wire.InitProducerIdResponse).ProducerId
				t.know(pid, "producer")
				show()
				p := func(epoch int16, sequence int32, values ...string) []byte {
					return batch(&record.Producer{ID: pid, Epoch: epoch, Sequence: sequence}, record.None, values...)
				}
				t.put(v, x, id, 0, p(0, 5, "first must be 0?"))
				t.put(v, x, id, 0, p(0, 7, "a", "b"))
				t.put(v, x, id, 0, p(0, 6, "a", "b"))
				t.put(v, x, id, 0, p(0, 6, "a", "b"))
				t.put(v, x, id, 0, p(0, 8, "c"))
				t.put(v, x, id, 0, p(0, 6, "a", "b"))
				t.put(v, x, id, 0, p(0, 10, "gap"))
				t.put(v, x, id, 0, p(0, 7, "b"))
				for i := range 7 {
					t.put(v, x, id, 0, p(0, 9+int32(i), fmt.Sprint(i)))
				}
				t.put(v, x, id, 0, p(0, 5, "first"))   // older than the five batches that are remembered
				t.put(v, x, id, 0, p(0, 11, "2"))      // one of the five
				t.put(v, x, id, 0, p(2, 3, "epoch 2")) // a new epoch begins at 0
				t.put(v, x, id, 0, p(2, 0, "epoch 2"))
				t.put(v, x, id, 0, p(1, 0, "epoch 1"))
				t.put(v, x, id, 0, p(-1, 0, "no epoch"))
				t.put(v, x, id, 0, p(2, -1, "no sequence"))
				t.put(v, x, id, 0, batch(&record.Producer{ID: 1 << 50, Epoch: 0, Sequence: 3}, record.None, "unknown producer"))
				t.put(v, x, id, 0, append(p(2, 1, "x"), p(2, 2, "y")...))
				t.do(t.upTo("DescribeProducers", 0), "DescribeProducers", o{"Topics": a{o{"Name": x, "PartitionIndexes": a{0}}}})
			}
		}},
	}
}

func fetchCases() []kase {
	return []kase{
		{"fetch", func(t *run) {
			x := t.topic("x", 2)
			id := t.idOf(x)
			t.produce(x, 0, batch(nil, 0, "a", "b", "c"), batch(nil, record.Gzip, strings.Repeat("d", 200), "e"), batch(nil, 0, "f"))
			for _, v := range t.versions("Fetch", 0) {
				for offset := int64(-1); offset <= 8; offset++ {
					t.read(v, x, id, 0, offset, nil, nil)
				}
				t.read(v, x, id, 1, 0, nil, nil)
				t.read(v, x, id, 7, 0, nil, nil)
				t.read(v, t.called("unknown"), wire.UUID{8}, 0, 0, nil, nil)
				t.read(v, "bad name!", wire.UUID{}, 0, 0, nil, nil)
				// KIP-74: the first batch comes whole, whatever the bounds; a second one only within them.
				for _, n := range []int{0, 1, 75, 90, 100, 200, 300} {
					t.read(v, x, id, 0, 0, o{"MaxBytes": n}, nil)
					t.read(v, x, id, 0, 0, nil, o{"PartitionMaxBytes": n})
					t.read(v, x, id, 0, 3, nil, o{"PartitionMaxBytes": n})
				}
				t.read(v, x, id, 0, 0, o{"IsolationLevel": 1}, nil)
				t.read(v, x, id, 0, 6, o{"MinBytes": 1, "MaxWaitMs": 20}, nil)
				t.do(v, "Fetch", o{"MaxWaitMs": 1, "MinBytes": 0, "Topics": a{}})
				t.do(v, "Fetch", o{"MaxWaitMs": 1, "MinBytes": 0, "Topics": a{o{"Topic": x, "TopicId": id, "Partitions": a{
					o{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 10}, o{"Partition": 1, "FetchOffset": 0, "PartitionMaxBytes": 10}, o{"Partition": 0, "FetchOffset": 5, "PartitionMaxBytes": 10}}}}})
				if v >= 9 {
					for _, e := range []int{0, 1, 5, -1, -2} {
						t.read(v, x, id, 0, 0, nil, o{"CurrentLeaderEpoch": e})
					}
				}
				if v >= 12 {
					for _, e := range []int{0, 1, 5, -1} {
						t.read(v, x, id, 0, 3, nil, o{"LastFetchedEpoch": e})
						t.read(v, x, id, 0, 6, nil, o{"LastFetchedEpoch": e, "CurrentLeaderEpoch": 0})
					}
				}
				if v >= 11 {
					t.read(v, x, id, 0, 0, o{"RackId": "somewhere"}, nil)
				}
				if v < 15 {
					t.read(v, x, id, 0, 0, o{"ReplicaId": 5}, nil)
					t.read(v, x, id, 0, 0, o{"ReplicaId": -2}, nil)
				}
			}
		}},
		{"fetch-sessions", func(t *run) {
			x := t.topic("x", 3)
			id := t.idOf(x)
			for _, v := range t.versions("Fetch", 7) {
				if v > t.versions("Fetch", 7)[0] {
					x = t.topic(fmt.Sprint("x", v), 3)
					id = t.idOf(x)
				}
				t.produce(x, 0, batch(nil, 0, "a"))
				parts := func(list ...o) a { return a{o{"Topic": x, "TopicId": id, "Partitions": a{}}}.with(list) }
				at := func(p int, offset int64) o {
					return o{"Partition": p, "FetchOffset": offset, "PartitionMaxBytes": 1000}
				}
				ask := func(session, epoch int32, topics a, forget a) *wire.FetchResponse {
					m, show := t.learn(t.conn, v, "Fetch", o{"MaxWaitMs": 1, "MinBytes": 0, "MaxBytes": 1 << 20, "SessionId": session, "SessionEpoch": epoch, "Topics": topics, "ForgottenTopicsData": forget})
					r := m.(*wire.FetchResponse)
					if r.SessionId != 0 {
						t.know(r.SessionId, "session")
					}
					show()
					return r
				}
				forget := func(list ...any) a { return a{o{"Topic": x, "TopicId": id, "Partitions": a(list)}} }
				s := ask(0, 0, parts(at(0, 0), at(1, 0)), nil).SessionId
				ask(s, 1, a{}, nil)                   // what has news: the batch again, as the offset did not move
				ask(s, 2, parts(at(0, 1)), nil)       // moved on: nothing to tell
				ask(s, 3, a{}, nil)                   // an empty answer
				t.produce(x, 1, batch(nil, 0, "b"))   // news in 1
				ask(s, 4, a{}, nil)                   // tells of 1 alone
				ask(s, 5, parts(at(2, 0)), forget(1)) // adds 2, forgets 1
				ask(s, 6, a{}, nil)
				ask(s, 6, a{}, nil)                                                                                    // the epoch that was
				ask(s, 9, a{}, nil)                                                                                    // an epoch that was left out
				ask(s+1, 1, a{}, nil)                                                                                  // no such session
				ask(0, 5, a{}, nil)                                                                                    // no session has the id 0
				ask(0, 1, parts(at(0, 0)), nil)                                                                        //
				ask(s, 7, parts(at(0, 50)), nil)                                                                       // out of range
				ask(s, 8, parts(at(9, 0)), nil)                                                                        // no such partition
				ask(s, 9, a{}, forget(9, 0))                                                                           //
				ask(s, 0, parts(at(0, 0)), nil)                                                                        // closes it and opens another
				ask(s, 1, a{}, nil)                                                                                    // which had ended
				ask(s, -1, parts(at(0, 0)), nil)                                                                       // ends, and fetches without
				s2 := ask(0, 0, parts(at(0, 0)), nil).SessionId                                                        //
				ask(s2, -1, a{}, nil)                                                                                  // ends
				ask(s2, 1, a{}, nil)                                                                                   //
				ask(0, 0, a{}, nil)                                                                                    // a session of nothing
				ask(0, -1, a{}, nil)                                                                                   //
				ask(0, 0, a{o{"Topic": t.called("unknown"), "TopicId": wire.UUID{4}, "Partitions": a{at(0, 0)}}}, nil) // of an unknown topic
			}
		}},
	}
}

// with is the topic's partitions put into it.
func (l a) with(list []o) a {
	var p a
	for _, x := range list {
		p = append(p, x)
	}
	l[0].(o)["Partitions"] = p
	return l
}

func offsetCases() []kase {
	return []kase{
		{"list-offsets", func(t *run) {
			x := t.topic("x", 2)
			day := day()
			t.produce(x, 0, batch(nil, 0, "a", "b", "c"), batch(nil, record.Gzip, "d", "e"), batch(nil, 0, "f"))
			for _, v := range t.versions("ListOffsets", 0) {
				for _, ts := range []int64{-1, -2, -3, -4, -5, -6, -7, -99, 0, 1, day - 1, day, day + 1, day + 2, day + 3, day + 1000000, 1 << 62} {
					for p := range 2 {
						t.do(v, "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": p, "Timestamp": ts, "MaxNumOffsets": 10}}}}})
					}
				}
				ask := func(more, part o) {
					p := o{"PartitionIndex": 0, "Timestamp": -1}
					for k, x := range part {
						p[k] = x
					}
					q := o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{p}}}}
					for k, x := range more {
						q[k] = x
					}
					t.do(v, "ListOffsets", q)
				}
				for _, n := range []int{0, 1, -1} {
					ask(nil, o{"MaxNumOffsets": n})
					ask(nil, o{"MaxNumOffsets": n, "Timestamp": -2})
				}
				ask(nil, o{"PartitionIndex": 7})
				ask(nil, o{"PartitionIndex": -1})
				ask(o{"ReplicaId": 5}, nil)
				ask(o{"ReplicaId": -2}, nil)
				ask(o{"ReplicaId": -3}, nil)
				ask(o{"IsolationLevel": 1}, nil)
				ask(o{"IsolationLevel": 1}, o{"Timestamp": day})
				ask(o{"Topics": a{}}, nil)
				for _, n := range []string{t.called("unknown"), "bad name!", ""} {
					ask(o{"Topics": a{o{"Name": n, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -1}}}}}, nil)
				}
				ask(o{"Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -1}, o{"PartitionIndex": 0, "Timestamp": -2}}}}}, nil)
				ask(o{"Topics": a{o{"Name": x, "Partitions": a{}}}}, nil)
				for _, e := range []int{0, 1, 9, -1, -2} {
					ask(nil, o{"CurrentLeaderEpoch": e})
				}
			}
		}},
		{"offset-for-leader-epoch", func(t *run) {
			x := t.topic("x", 2)
			t.produce(x, 0, batch(nil, 0, "a", "b", "c"))
			for _, v := range t.versions("OffsetForLeaderEpoch", 0) {
				for _, e := range []int{-2, -1, 0, 1, 9} {
					for _, current := range []int{-1, 0, 1, -2} {
						t.do(v, "OffsetForLeaderEpoch", o{"Topics": a{o{"Topic": x, "Partitions": a{o{"Partition": 0, "CurrentLeaderEpoch": current, "LeaderEpoch": e}, o{"Partition": 1, "CurrentLeaderEpoch": current, "LeaderEpoch": e}}}}})
					}
				}
				t.do(v, "OffsetForLeaderEpoch", o{"Topics": a{o{"Topic": x, "Partitions": a{o{"Partition": 8, "LeaderEpoch": 0}}}, o{"Topic": t.called("unknown"), "Partitions": a{o{"Partition": 0, "LeaderEpoch": 0}}}}})
				t.do(v, "OffsetForLeaderEpoch", o{"ReplicaId": -1, "Topics": a{o{"Topic": x, "Partitions": a{o{"Partition": 0, "LeaderEpoch": 0}}}}})
				t.do(v, "OffsetForLeaderEpoch", o{"ReplicaId": 5, "Topics": a{o{"Topic": x, "Partitions": a{o{"Partition": 0, "LeaderEpoch": 0}}}}})
				t.do(v, "OffsetForLeaderEpoch", o{"Topics": a{}})
			}
		}},
		{"delete-records", func(t *run) {
			for _, v := range t.versions("DeleteRecords", 0) {
				x := t.topic(fmt.Sprint("x", v), 2)
				kept := t.topic(fmt.Sprint("compact", v), 1, "cleanup.policy", "compact")
				t.produce(x, 0, batch(nil, 0, "a", "b", "c"), batch(nil, 0, "d"))
				t.produce(kept, 0, batch(nil, 0, "a"))
				ask := func(topic string, partition int, offset int64) {
					t.do(v, "DeleteRecords", o{"Topics": a{o{"Name": topic, "Partitions": a{o{"PartitionIndex": partition, "Offset": offset}}}}, "TimeoutMs": 5000})
					t.do(2, "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -2}}}}})
				}
				ask(x, 0, 1)
				ask(x, 0, 0)
				ask(x, 0, 1)
				ask(x, 0, 5)
				ask(x, 0, -2)
				ask(x, 9, 0)
				ask(t.called("unknown"), 0, 0)
				ask("bad name!", 0, 0)
				ask("__consumer_offsets", 0, 0)
				ask(kept, 0, 1)
				for offset := range int64(5) {
					t.read(t.upTo("Fetch", 12), x, wire.UUID{}, 0, offset, nil, nil)
				}
				ask(x, 0, -1)
				ask(x, 0, -1)
				ask(x, 1, -1)
				t.do(v, "DeleteRecords", o{"Topics": a{}, "TimeoutMs": 5000})
				t.do(t.upTo("ListOffsets", 7), "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "Timestamp": -2}, o{"PartitionIndex": 1, "Timestamp": 0}}}}})
				t.read(t.upTo("Fetch", 12), x, wire.UUID{}, 0, 4, nil, nil)
			}
		}},
	}
}

func producerCases() []kase {
	return []kase{
		{"init-producer-id", func(t *run) {
			for _, v := range t.versions("InitProducerId", 0) {
				t.do(v, "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": 1000})
				t.do(v, "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": 0})
				t.do(v, "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": -1})
				t.do(v, "InitProducerId", o{"TransactionalId": "", "TransactionTimeoutMs": 1000})
				if v >= 3 {
					t.do(v, "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": 1000, "ProducerId": 7, "ProducerEpoch": 3})
					t.do(v, "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": 1000, "ProducerId": 7, "ProducerEpoch": -1})
					t.do(v, "InitProducerId", o{"TransactionalId": nil, "TransactionTimeoutMs": 1000, "ProducerId": -1, "ProducerEpoch": 3})
				}
			}
		}},
		{"describe-producers", func(t *run) {
			x := t.topic("x", 2)
			t.produce(x, 0, batch(nil, 0, "a"))
			t.produce(x, 0, batch(&record.Producer{ID: 1 << 40, Epoch: 3, Sequence: 0}, 0, "b", "c"))
			for _, v := range t.versions("DescribeProducers", 0) {
				t.do(v, "DescribeProducers", o{"Topics": a{o{"Name": x, "PartitionIndexes": a{0, 1, 7}}, o{"Name": t.called("unknown"), "PartitionIndexes": a{0}}, o{"Name": "bad name!", "PartitionIndexes": a{0}}}})
				t.do(v, "DescribeProducers", o{"Topics": a{}})
				t.do(v, "DescribeProducers", o{"Topics": a{o{"Name": x, "PartitionIndexes": a{}}}})
			}
		}},
	}
}

func frameCases() []kase {
	frame := func(key, version int16, rest ...byte) []byte {
		f := binary.BigEndian.AppendUint16(nil, uint16(key))
		f = binary.BigEndian.AppendUint16(f, uint16(version))
		f = binary.BigEndian.AppendUint32(f, 7)
		return append(f, rest...)
	}
	return []kase{
		{"frames", func(t *run) {
			t.bytes("unknown key", 999, 0, frame(999, 0, 0, 1, 'x'))
			t.bytes("negative key", -1, 0, frame(-1, 0, 0, 1, 'x'))
			t.bytes("unknown version", 3, 99, frame(3, 99, 0, 1, 'x', 0))
			t.bytes("negative version", 3, -1, frame(3, -1, 0, 1, 'x', 0))
			t.bytes("no client id", 3, 1, frame(3, 1))
			t.bytes("cut header", 3, 1, []byte{0, 3, 0})
			t.bytes("empty frame", 3, 1, nil)
			t.bytes("cut body", 3, 1, frame(3, 1, 0, 1, 'x', 0, 0))
			t.bytes("array longer than the frame", 3, 1, frame(3, 1, 0, 1, 'x', 0, 0, 1, 0))
			t.bytes("negative array", 19, 2, frame(19, 2, 0, 1, 'x', 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0))
			t.bytes("string longer than the frame", 3, 1, frame(3, 1, 0, 1, 'x', 0, 0, 0, 1, 1, 0, 'a'))
			t.bytes("null where none may be", 3, 1, frame(3, 1, 0, 1, 'x', 0, 0, 0, 1, 0xff, 0xff))
			t.bytes("null client id", 60, 0, frame(60, 0, 0xff, 0xff, 0, 0, 0))
			t.bytes("tags in the header", 60, 0, frame(60, 0, 0, 1, 'x', 1, 99, 2, 1, 2, 0, 0))
			t.bytes("unknown tags in the body", 60, 0, frame(60, 0, 0, 1, 'x', 0, 0, 1, 99, 2, 1, 2))
			t.bytes("more than the message", 60, 0, frame(60, 0, 0, 1, 'x', 0, 0, 0, 1, 2, 3))
		}},
	}
}
