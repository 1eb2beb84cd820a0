package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// kase is a row of the table: a name, and what is asked in order.
type kase struct {
	name string
	run  func(t *run)
}

// run is one case on one broker.
type run struct {
	*broker
	name  string
	conn  *connection
	conns []*connection
	alias map[string]string // ids that the broker drew, by names that both sides share
	steps []step
}

// answer is what came back. A message is nil when the connection was closed instead.
type answer struct {
	message wire.Message
	err     error
}

// timeless is a text without the id of this run, which its names of topics and groups have.
func (t *run) timeless(s string) string {
	return strings.NewReplacer("cf."+t.id+".", "cf.", "cf_"+t.id+"_", "cf_").Replace(s)
}

// broken ends a case whose preparation did not work.
type broken struct{ why string }

func runCase(c kase, b *broker) (steps []step) {
	t := &run{broker: b, name: c.name, alias: map[string]string{}}
	t.conn = t.connect()
	defer func() {
		for _, c := range t.conns {
			c.close()
		}
		if r := recover(); r != nil {
			why, ok := r.(broken)
			if !ok {
				panic(r)
			}
			steps = append(t.steps, step{"broken", []field{{"why", why.why}}})
		}
	}()
	c.run(t)
	return t.steps
}

// connect opens another connection of this case.
func (t *run) connect() *connection {
	c := &connection{address: t.address}
	t.conns = append(t.conns, c)
	return c
}

// called is a name of this case's own for a topic or a group.
func (t *run) called(name string) string {
	return "cf." + t.id + "." + strings.NewReplacer("/", "-", " ", "-").Replace(t.name) + "." + name
}

// know gives an id that the broker drew a name for comparison.
func (t *run) know(id any, name string) { t.alias[fmt.Sprint(id)] = name }

func keyOf(api string) int16 {
	for _, a := range wire.APIs() {
		if a.Name == api {
			return a.Key
		}
	}
	panic("no API is called " + api)
}

// versions are those that both brokers serve, from first on.
func (t *run) versions(api string, first int16) []int16 {
	v, ok := t.serves[keyOf(api)]
	if !ok {
		return nil
	}
	var list []int16
	for n := max(first, v[0]); n <= v[1]; n++ {
		list = append(list, n)
	}
	return list
}

// newest is the newest version that both serve.
func (t *run) newest(api string) int16 {
	v, ok := t.serves[keyOf(api)]
	if !ok {
		panic(broken{"not served: " + api})
	}
	return v[1]
}

// upTo is the newest version that both serve up to most.
func (t *run) upTo(api string, most int16) int16 { return min(most, t.newest(api)) }

// do asks on the case's connection and records the answer.
func (t *run) do(version int16, api string, fields o) answer {
	return t.on(t.conn, version, api, fields)
}

// on asks on a connection and records the answer.
func (t *run) on(c *connection, version int16, api string, fields o) answer {
	return t.start(c, version, api, fields)()
}

// start asks, and returns what waits for the answer and records it.
func (t *run) start(c *connection, version int16, api string, fields o) func() answer {
	key := keyOf(api)
	err := c.send(c.frame(key, version, request(key, fields).Append(nil, version)))
	return func() answer {
		m := wire.NewResponse(key)
		if err == nil {
			err = c.receive(key, version, m)
		}
		return t.record(fmt.Sprintf("%s.%d", api, version), m, err)
	}
}

// bytes sends a frame as it is.
func (t *run) bytes(label string, key, version int16, frame []byte) answer {
	t.conn.next = 7
	err := t.conn.send(frame)
	m := wire.NewResponse(key)
	if err == nil {
		err = t.conn.receive(key, version, m)
	}
	return t.record(label, m, err)
}

func (t *run) record(label string, m wire.Message, err error) answer {
	label = fmt.Sprintf("%d:%s", len(t.steps)+1, label)
	if err != nil {
		t.steps = append(t.steps, step{label, []field{{"failed", strings.ReplaceAll(err.Error(), t.address, "broker")}}})
		return answer{err: err}
	}
	fields := flatten(m, t.alias)
	for i := range fields { // a run's names are not the next one's
		fields[i].Path, fields[i].Value = t.timeless(fields[i].Path), t.timeless(fields[i].Value)
	}
	t.steps = append(t.steps, step{label, fields})
	return answer{message: m}
}

// quiet asks and records nothing.
func (t *run) quiet(version int16, api string, fields o) wire.Message {
	key := keyOf(api)
	m, err := t.conn.call(key, version, request(key, fields))
	if err != nil {
		panic(broken{fmt.Sprintf("%s v%d: %v", api, version, err)})
	}
	return m
}

// learn asks and records nothing, so that its ids can get names before they are seen; then show records it.
func (t *run) learn(c *connection, version int16, api string, fields o) (m wire.Message, show func() answer) {
	key := keyOf(api)
	m, err := c.call(key, version, request(key, fields))
	if err != nil {
		m = wire.NewResponse(key)
	}
	return m, func() answer { return t.record(fmt.Sprintf("%s.%d", api, version), m, err) }
}

// topic makes a topic of this case and waits until it can be used. Its id is known by the topic's name.
func (t *run) topic(name string, partitions int, configs ...string) string {
	name = t.called(name)
	fields := o{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1}
	var list a
	for i := 0; i < len(configs); i += 2 {
		list = append(list, o{"Name": configs[i], "Value": configs[i+1]})
	}
	fields["Configs"] = list
	m := t.quiet(t.upTo("CreateTopics", 5), "CreateTopics", o{"Topics": a{fields}, "TimeoutMs": 10000}).(*wire.CreateTopicsResponse)
	if e := code.Error(m.Topics[0].ErrorCode); e != code.None {
		panic(broken{"creating " + name + ": " + e.Error()})
	}
	t.settle(name, partitions)
	return name
}

// settle waits until every partition of a topic has a leader that answers.
func (t *run) settle(name string, partitions int) {
	var asked a
	for i := range partitions {
		asked = append(asked, o{"PartitionIndex": i, "Timestamp": -1})
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		m := t.quiet(2, "ListOffsets", o{"ReplicaId": -1, "Topics": a{o{"Name": name, "Partitions": asked}}}).(*wire.ListOffsetsResponse)
		ok := true
		for _, p := range m.Topics[0].Partitions {
			ok = ok && p.ErrorCode == 0
		}
		if ok {
			t.idOf(name)
			return
		}
	}
	panic(broken{"topic " + name + " has no leaders"})
}

// idOf is a topic's id, which is known by the topic's name from then on.
func (t *run) idOf(name string) wire.UUID {
	m := t.quiet(t.upTo("Metadata", 12), "Metadata", o{"Topics": a{o{"Name": name}}, "AllowAutoTopicCreation": false}).(*wire.MetadataResponse)
	id := m.Topics[0].TopicId
	if (id != wire.UUID{}) {
		t.know(id, "the id of "+name)
	}
	return id
}

// batch makes a batch of records of the given values with times of its own.
func batch(p *record.Producer, codec record.Codec, values ...string) []byte {
	b := record.NewBuilder(record.NewCodecs(1<<20), record.BuilderOptions{LeaderEpoch: record.NoLeaderEpoch, Codec: codec, Producer: p})
	now := day()
	for i, v := range values {
		b.Append(now+int64(i), []byte("key"), []byte(v))
	}
	out, err := b.Finish()
	if err != nil {
		panic(err)
	}
	return append([]byte(nil), out...)
}

// day is a time of today, the same for both brokers.
func day() int64 { return time.Now().Truncate(24*time.Hour).UnixMilli() + 1000 }

// waitFor asks until something has happened that brokers do in their own time.
func (t *run) waitFor(happened func() bool) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if happened() {
			return
		}
	}
	panic(broken{"what was waited for did not happen"})
}

// produce appends batches to a partition of a topic and records nothing.
func (t *run) produce(topic string, partition int32, batches ...[]byte) {
	for _, b := range batches {
		m := t.quiet(t.upTo("Produce", 7), "Produce", o{"Acks": -1, "TimeoutMs": 5000, "TopicData": a{o{"Name": topic, "PartitionData": a{o{"Index": partition, "Records": b}}}}}).(*wire.ProduceResponse)
		if e := code.Error(m.Responses[0].PartitionResponses[0].ErrorCode); e != code.None {
			panic(broken{"producing to " + topic + ": " + e.Error()})
		}
	}
}
