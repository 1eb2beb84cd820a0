package wire

// ProduceReader walks the body of a Produce request in place, every version, and allocates nothing.
// Open checks the whole body before the first partition is handed out, so that a request is refused
// entirely or not at all. What it returns aliases the body.
type ProduceReader struct {
	TransactionalID     string // "" when null
	TransactionalIDNull bool   // also before version 3, which has none
	Acks                int16
	TimeoutMs           int32

	d       Decoder
	version int16
	topics  int // topics not yet begun
	left    int // partitions of the topic not yet returned
	count   int // partitions of the topic
	first   bool
	name    string
	id      UUID
	part    ProduceRequestPartitionProduceData

	nTopics, nPartitions int
}

// Lines of namesProduceRequest that this file reads itself.
const (
	produceTransactionalID = 1 + iota
	produceAcks
	produceTimeoutMs
	produceTopicData
	produceTopicName
	produceTopicID
	producePartitionData
)

// Open begins a body and checks it from end to end. After an error nothing is returned by Next.
func (r *ProduceReader) Open(body []byte, version int16) error {
	if err := r.begin(body, version); err != nil {
		return err
	}
	for {
		if _, _, _, _, ok := r.Next(); !ok {
			break
		}
		r.nPartitions++
		if r.first {
			r.nTopics++
		}
	}
	if r.d.flex {
		r.d.skipTagsOf(0)
	}
	if err := r.d.Done(); err != nil {
		r.topics, r.left = 0, 0
		return err
	}
	topics, partitions := r.nTopics, r.nPartitions
	err := r.begin(body, version)
	r.nTopics, r.nPartitions = topics, partitions
	return err
}

// begin reads what stands before the first topic.
func (r *ProduceReader) begin(body []byte, version int16) error {
	*r = ProduceReader{version: version, TransactionalIDNull: true}
	r.d.Reset(body)
	lo, hi := (*ProduceRequest)(nil).Versions()
	if !r.d.open(namesProduceRequest, version, lo, hi, version >= 9) {
		return r.d.Err()
	}
	if version >= 3 {
		r.d.field = produceTransactionalID
		var ok bool
		r.TransactionalID, ok = r.d.str(r.d.flex, true)
		r.TransactionalIDNull = !ok
	}
	r.d.field = produceAcks
	r.Acks = r.d.Int16()
	r.d.field = produceTimeoutMs
	r.TimeoutMs = r.d.Int32()
	r.d.field = produceTopicData
	r.topics = max(r.d.array(r.minTopic(), 0, false), 0)
	return r.d.Err()
}

// minTopic is the least size of a topic.
func (r *ProduceReader) minTopic() int {
	switch {
	case r.version >= 13:
		return 18
	case r.version >= 9:
		return 3
	}
	return 6
}

// minPartition is the least size of a partition.
func (r *ProduceReader) minPartition() int {
	if r.d.flex {
		return 6
	}
	return 8
}

// Next returns the next partition: its topic's name (up to version 12) or id (from 13 on), its index,
// and its records; nil records were null. ok is false after the last one. Topics without partitions are
// passed over.
func (r *ProduceReader) Next() (topic string, topicID UUID, partition int32, records []byte, ok bool) {
	r.first = false
	for r.left == 0 {
		if r.topics == 0 || r.d.err != nil {
			return "", UUID{}, 0, nil, false
		}
		r.topics--
		if r.version >= 13 {
			r.d.field = produceTopicID
			r.id = r.d.UUID()
		} else {
			r.d.field = produceTopicName
			r.name = r.d.Str()
		}
		r.d.field = producePartitionData
		r.left = max(r.d.array(r.minPartition(), 0, false), 0)
		r.count = r.left
		r.first = r.left > 0
		if r.left == 0 {
			r.endTopic()
		}
	}
	r.part = ProduceRequestPartitionProduceData{}
	if r.part.decode(&r.d, r.version); r.d.err != nil {
		return "", UUID{}, 0, nil, false
	}
	if r.left--; r.left == 0 {
		r.endTopic()
	}
	if r.d.err != nil {
		return "", UUID{}, 0, nil, false
	}
	return r.name, r.id, r.part.Index, r.part.Records, true
}

func (r *ProduceReader) endTopic() {
	if r.d.flex && r.d.err == nil {
		r.d.skipTagsOf(produceTopicData)
	}
}

// First reports whether the partition that Next returned last is the first of its topic.
func (r *ProduceReader) First() bool { return r.first }

// TopicPartitions is the number of partitions of the topic that Next is in.
func (r *ProduceReader) TopicPartitions() int { return r.count }

// Topics is the number of topics of the body that have partitions.
func (r *ProduceReader) Topics() int { return r.nTopics }

// Partitions is the number of partitions of the body.
func (r *ProduceReader) Partitions() int { return r.nPartitions }

// ProduceResponseWriter appends the body of a Produce response, every version, to a caller's buffer:
// Begin, then for each topic Topic and as many times Partition as said, then End. It allocates only
// where the buffer is too small.
type ProduceResponseWriter struct {
	b       []byte
	version int16
	flex    bool
	inTopic bool
}

// Begin starts a body after b, which the writer owns until End, with the number of topics to come.
func (w *ProduceResponseWriter) Begin(b []byte, version int16, topics int) {
	*w = ProduceResponseWriter{b: b, version: version, flex: version >= 9}
	w.b = appendLen(w.b, topics, w.flex, false)
}

// Topic starts a topic, by name up to version 12 and by id from 13 on, with the number of its
// partitions to come.
func (w *ProduceResponseWriter) Topic(name string, id UUID, partitions int) {
	w.endTopic()
	w.inTopic = true
	if w.version >= 13 {
		w.b = appendUUID(w.b, id)
	} else {
		w.b = appendString(w.b, name, w.flex)
	}
	w.b = appendLen(w.b, partitions, w.flex, false)
}

// Partition appends one partition's answer; the version decides which of its fields. Call p.Default
// before filling p in, as a zero CurrentLeader is not an absent one.
func (w *ProduceResponseWriter) Partition(p *ProduceResponsePartitionProduceResponse) {
	w.b = p.encode(w.b, w.version)
}

func (w *ProduceResponseWriter) endTopic() {
	if w.inTopic && w.flex {
		w.b = append(w.b, 0)
	}
}

// End finishes the body and returns the buffer. The endpoints are those of the leaders named in
// CurrentLeader (KIP-951, from version 10 on).
func (w *ProduceResponseWriter) End(throttleTimeMs int32, endpoints []ProduceResponseNodeEndpoint) []byte {
	w.endTopic()
	if w.version >= 1 {
		w.b = appendInt32(w.b, throttleTimeMs)
	}
	switch {
	case w.version >= 10 && len(endpoints) > 0:
		var at int
		w.b, at = beginTag(append(w.b, 1), 0)
		w.b = appendLen(w.b, len(endpoints), true, false)
		for i := range endpoints {
			w.b = endpoints[i].encode(w.b, w.version)
		}
		w.b = endTag(w.b, at)
	case w.flex:
		w.b = append(w.b, 0)
	}
	b := w.b
	w.b = nil
	return b
}

// Len is the length of the buffer so far: where the next partition's answer begins.
func (w *ProduceResponseWriter) Len() int { return len(w.b) }
