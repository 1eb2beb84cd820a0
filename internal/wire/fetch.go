package wire

// FetchReader walks the body of a Fetch request in place, every version, and allocates nothing. Open
// checks the whole body before the first partition is handed out. What it returns aliases the body.
type FetchReader struct {
	ReplicaID      int32 // -1 for a consumer; from the tagged ReplicaState from version 15 on
	ReplicaEpoch   int64 // -1 when unknown
	MaxWaitMs      int32
	MinBytes       int32
	MaxBytes       int32 // the largest int32 before version 3
	IsolationLevel int8  // 0 read uncommitted, 1 read committed
	SessionID      int32 // 0 before version 7
	SessionEpoch   int32 // -1 before version 7: no session
	RackID         string
	ClusterID      string // "" when null or absent

	d         Decoder
	forgotten Decoder // at the forgotten topics
	version   int16
	topics    fetchTopics
	forgot    fetchTopics
	part      FetchRequestFetchPartition

	nTopics, nPartitions, nForgotten int
}

// fetchTopics is a place in a list of topics with partitions.
type fetchTopics struct {
	topics int // not yet begun
	left   int // partitions of the topic not yet returned
	name   string
	id     UUID
	begun  bool // the next partition is the first of its topic
}

// FetchPartition is one partition of a Fetch request. A field that the version lacks holds its default.
type FetchPartition struct {
	Topic              string // up to version 12
	TopicID            UUID   // from version 13 on
	Partition          int32
	CurrentLeaderEpoch int32 // -1 when the client knows none
	FetchOffset        int64
	LastFetchedEpoch   int32 // -1 when unknown
	LogStartOffset     int64 // of a follower; -1 for a consumer
	MaxBytes           int32
	DirectoryID        UUID  // of a follower (version 17)
	HighWatermark      int64 // that a follower knows (version 18); the largest int64 when absent
}

// Lines of namesFetchRequest that this file reads itself.
const (
	fetchClusterID = 1 + iota
	fetchReplicaID
	fetchReplicaState
	_
	_
	fetchMaxWaitMs
	fetchMinBytes
	fetchMaxBytes
	fetchIsolationLevel
	fetchSessionID
	fetchSessionEpoch
	fetchTopicList
	fetchTopic
	fetchTopicID
	fetchPartitions
	fetchForgotten      = 24
	fetchForgottenTopic = 25
	fetchForgottenID    = 26
	fetchForgottenParts = 27
	fetchRackID         = 28
)

// Open begins a body and checks it from end to end. After an error nothing is returned by Next.
func (r *FetchReader) Open(body []byte, version int16) error {
	*r = FetchReader{version: version, ReplicaID: -1, ReplicaEpoch: -1, MaxBytes: 1<<31 - 1, SessionEpoch: -1}
	d := &r.d
	d.Reset(body)
	lo, hi := (*FetchRequest)(nil).Versions()
	if !d.open(namesFetchRequest, version, lo, hi, version >= 12) {
		return d.Err()
	}
	if version <= 14 {
		d.field = fetchReplicaID
		r.ReplicaID = d.Int32()
	}
	d.field = fetchMaxWaitMs
	r.MaxWaitMs = d.Int32()
	d.field = fetchMinBytes
	r.MinBytes = d.Int32()
	if version >= 3 {
		d.field = fetchMaxBytes
		r.MaxBytes = d.Int32()
	}
	if version >= 4 {
		d.field = fetchIsolationLevel
		r.IsolationLevel = d.Int8()
	}
	if version >= 7 {
		d.field = fetchSessionID
		r.SessionID = d.Int32()
		d.field = fetchSessionEpoch
		r.SessionEpoch = d.Int32()
	}
	d.field = fetchTopicList
	r.topics = fetchTopics{topics: max(d.array(r.minTopic(), 0, false), 0)}
	start, topics := *d, r.topics
	for {
		if _, ok := r.Next(); !ok {
			break
		}
		r.nPartitions++
	}
	nTopics := r.nTopics
	if version >= 7 {
		d.field = fetchForgotten
		r.forgotten = *d
		r.forgot = fetchTopics{topics: max(r.forgotten.array(r.minTopic(), 0, false), 0)}
		at, forgot := r.forgotten, r.forgot
		for {
			if _, _, _, ok := r.NextForgotten(); !ok {
				break
			}
			r.nForgotten++
		}
		*d = r.forgotten
		r.forgotten, r.forgot = at, forgot
	}
	if version >= 11 {
		d.field = fetchRackID
		r.RackID = d.Str()
	}
	if d.flex {
		r.tags(d)
	}
	if err := d.Done(); err != nil {
		r.topics, r.forgot = fetchTopics{}, fetchTopics{}
		return err
	}
	r.d, r.topics, r.nTopics = start, topics, nTopics
	return nil
}

// tags reads the tagged fields of the request.
func (r *FetchReader) tags(d *Decoder) {
	for t := d.openTags(0); d.nextTag(&t, 0); {
		switch {
		case t.id == 0:
			d.field = fetchClusterID
			r.ClusterID, _ = d.str(true, true)
		case t.id == 1 && r.version >= 15:
			d.field = fetchReplicaState
			var s FetchRequestReplicaState
			s.decode(d, r.version)
			r.ReplicaID, r.ReplicaEpoch = s.ReplicaId, s.ReplicaEpoch
		default:
			d.off = t.end
		}
	}
}

// minTopic is the least size of a topic, or of a forgotten topic.
func (r *FetchReader) minTopic() int {
	switch {
	case r.version >= 13:
		return 18
	case r.version >= 12:
		return 3
	}
	return 6
}

// minPartition is the least size of a partition.
func (r *FetchReader) minPartition() int {
	switch {
	case r.version >= 12:
		return 33
	case r.version >= 9:
		return 28
	case r.version >= 5:
		return 24
	}
	return 16
}

// Next returns the next partition; ok is false after the last one. Topics without partitions are
// passed over.
func (r *FetchReader) Next() (p FetchPartition, ok bool) {
	d, t := &r.d, &r.topics
	if !r.enter(d, t, fetchTopic, fetchTopicID, fetchPartitions, r.minPartition(), fetchTopicList) {
		return p, false
	}
	if t.begun {
		r.nTopics++
	}
	q := &r.part
	q.Tags = nil
	if q.decode(d, r.version); d.err != nil {
		return p, false
	}
	r.leave(d, t, fetchTopicList)
	return FetchPartition{
		Topic: t.name, TopicID: t.id, Partition: q.Partition, CurrentLeaderEpoch: q.CurrentLeaderEpoch, FetchOffset: q.FetchOffset,
		LastFetchedEpoch: q.LastFetchedEpoch, LogStartOffset: q.LogStartOffset, MaxBytes: q.PartitionMaxBytes,
		DirectoryID: q.ReplicaDirectoryId, HighWatermark: q.HighWatermark,
	}, d.err == nil
}

// NextForgotten returns the next partition that the session shall forget (version 7 and later).
func (r *FetchReader) NextForgotten() (topic string, topicID UUID, partition int32, ok bool) {
	d, t := &r.forgotten, &r.forgot
	if !r.enter(d, t, fetchForgottenTopic, fetchForgottenID, fetchForgottenParts, 4, fetchForgotten) {
		return "", UUID{}, 0, false
	}
	partition = d.Int32()
	r.leave(d, t, fetchForgotten)
	return t.name, t.id, partition, d.err == nil
}

// enter goes to the next partition, through the heads of topics; false after the last one.
func (r *FetchReader) enter(d *Decoder, t *fetchTopics, name, id, parts uint16, least int, list uint16) bool {
	t.begun = false
	for t.left == 0 {
		if t.topics == 0 || d.err != nil {
			return false
		}
		t.topics--
		if r.version >= 13 {
			d.field = id
			t.id = d.UUID()
		} else {
			d.field = name
			t.name = d.Str()
		}
		d.field = parts
		t.left = max(d.array(least, 0, false), 0)
		t.begun = true
		if t.left == 0 && d.flex && d.err == nil {
			d.skipTagsOf(list)
		}
	}
	return d.err == nil
}

// leave counts a partition as read, and reads what stands after a topic's last one.
func (r *FetchReader) leave(d *Decoder, t *fetchTopics, list uint16) {
	if t.left--; t.left == 0 && d.flex && d.err == nil {
		d.skipTagsOf(list)
	}
}

// Topics is the number of topics of the body that have partitions to fetch.
func (r *FetchReader) Topics() int { return r.nTopics }

// Partitions is the number of partitions to fetch.
func (r *FetchReader) Partitions() int { return r.nPartitions }

// Forgotten is the number of partitions that NextForgotten returns.
func (r *FetchReader) Forgotten() int { return r.nForgotten }

// FetchResponseWriter appends the body of a Fetch response, every version, to a caller's buffer: Begin,
// then for each topic Topic and as many times Partition or PartitionGap as said, then End. Records may
// stay where they are: PartitionGap leaves them out and says where they go. It allocates only where the
// buffer is too small.
type FetchResponseWriter struct {
	b       []byte
	version int16
	flex    bool
	inTopic bool
}

// Begin starts a body after b, which the writer owns until End, with the number of topics to come.
func (w *FetchResponseWriter) Begin(b []byte, version int16, throttleTimeMs int32, errorCode int16, sessionID int32, topics int) {
	*w = FetchResponseWriter{b: b, version: version, flex: version >= 12}
	if version >= 1 {
		w.b = appendInt32(w.b, throttleTimeMs)
	}
	if version >= 7 {
		w.b = appendInt16(w.b, errorCode)
		w.b = appendInt32(w.b, sessionID)
	}
	w.b = appendLen(w.b, topics, w.flex, false)
}

// Topic starts a topic, by name up to version 12 and by id from 13 on, with the number of its
// partitions to come.
func (w *FetchResponseWriter) Topic(name string, id UUID, partitions int) {
	w.endTopic()
	w.inTopic = true
	if w.version >= 13 {
		w.b = appendUUID(w.b, id)
	} else {
		w.b = appendString(w.b, name, w.flex)
	}
	w.b = appendLen(w.b, partitions, w.flex, false)
}

// Partition appends one partition's answer with p.Records in it; the version decides which fields. Call
// p.Default before filling p in, as zero epochs and offsets are not absent ones.
func (w *FetchResponseWriter) Partition(p *FetchResponsePartitionData) {
	w.b = p.encode(w.b, w.version)
}

// PartitionGap appends one partition's answer without its records, which are size bytes (p.Records is
// not looked at), and returns the position in the buffer, counted from its start, where they belong.
// The caller sends them there and adds size to the length of the frame.
func (w *FetchResponseWriter) PartitionGap(p *FetchResponsePartitionData, size int) (position int) {
	b, v := w.b, w.version
	b = appendInt32(b, p.PartitionIndex)
	b = appendInt16(b, p.ErrorCode)
	b = appendInt64(b, p.HighWatermark)
	if v >= 4 {
		b = appendInt64(b, p.LastStableOffset)
	}
	if v >= 5 {
		b = appendInt64(b, p.LogStartOffset)
	}
	if v >= 4 {
		b = appendLen(b, len(p.AbortedTransactions), w.flex, p.AbortedTransactions == nil)
		for i := range p.AbortedTransactions {
			b = p.AbortedTransactions[i].encode(b, v)
		}
	}
	if v >= 11 {
		b = appendInt32(b, p.PreferredReadReplica)
	}
	b = appendLen(b, size, w.flex, false)
	position = len(b)
	if w.flex {
		b = w.partitionTags(b, p)
	}
	w.b = b
	return position
}

// partitionTags appends the tagged fields of a partition.
func (w *FetchResponseWriter) partitionTags(b []byte, p *FetchResponsePartitionData) []byte {
	count := len(b)
	b = append(b, 0) // never more than three known fields
	var at int
	if !p.DivergingEpoch.isDefault() {
		b[count]++
		b, at = beginTag(b, 0)
		b = endTag(p.DivergingEpoch.encode(b, w.version), at)
	}
	if !p.CurrentLeader.isDefault() {
		b[count]++
		b, at = beginTag(b, 1)
		b = endTag(p.CurrentLeader.encode(b, w.version), at)
	}
	if !p.SnapshotId.isDefault() {
		b[count]++
		b, at = beginTag(b, 2)
		b = endTag(p.SnapshotId.encode(b, w.version), at)
	}
	return b
}

func (w *FetchResponseWriter) endTopic() {
	if w.inTopic && w.flex {
		w.b = append(w.b, 0)
	}
}

// End finishes the body and returns the buffer. The endpoints are those of the leaders named in
// CurrentLeader (KIP-951, from version 16 on).
func (w *FetchResponseWriter) End(endpoints []FetchResponseNodeEndpoint) []byte {
	w.endTopic()
	switch {
	case w.version >= 16 && len(endpoints) > 0:
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
