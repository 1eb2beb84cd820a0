package kafka

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/record"
)

// decoder writes a record's key and value as texts, nil for none.
type decoder func(r record.Record) (key, value *string)

// textDecoder takes keys and values for texts.
func textDecoder(r record.Record) (key, value *string) { return asText(r.Key), asText(r.Value) }

// asText is bytes as a text, nil for nil.
func asText(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// classDecoder decodes as two of Java's classes do.
func classDecoder(key, value string) decoder {
	one := func(class string) func([]byte) *string {
		size := map[string]int{"LongDecoder": 8, "IntegerDecoder": 4}[class[strings.LastIndexByte(class, '.')+1:]]
		return func(b []byte) *string {
			var s string
			switch {
			case size == 8 && len(b) == size:
				s = fmt.Sprint(int64(binary.BigEndian.Uint64(b)))
			case size == 4 && len(b) == size:
				s = fmt.Sprint(int32(binary.BigEndian.Uint32(b)))
			default:
				return asText(b)
			}
			return &s
		}
	}
	k, v := one(key), one(value)
	return func(r record.Record) (*string, *string) { return k(r.Key), v(r.Value) }
}

// typed is a key of a coordinator's topic in JSON, in Java's order of fields.
type typed struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

// versioned is a value of a coordinator's topic in JSON.
type versioned struct {
	Version string `json:"version"`
	Data    any    `json:"data"`
}

// asJSON writes a value.
func asJSON(v any) *string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("kafka: a record does not become JSON: %v", err))
	}
	s := strings.TrimSuffix(b.String(), "\n")
	return &s
}

// deleted is the value of a coordinator's record that deletes.
func deleted() *string { s := "<DELETE>"; return &s }

// unknown is the key of a record that is not known, or cannot be read.
func unknown(r record.Record, err error) (*string, *string) {
	s := fmt.Sprintf("Error at offset %d, skipping.", r.Offset)
	switch {
	case err != nil:
		s += " " + err.Error()
	case len(r.Key) >= 2:
		s = fmt.Sprintf("Unknown record type %d at offset %d, skipping.", int16(binary.BigEndian.Uint16(r.Key)), r.Offset)
	}
	return &s, nil
}

// offsetsDecoder reads the records of __consumer_offsets: offsets and the groups of the classic protocol.
func offsetsDecoder(r record.Record) (key, value *string) {
	if len(r.Key) < 2 {
		return unknown(r, nil)
	}
	switch kind := binary.BigEndian.Uint16(r.Key); kind {
	case 0, 1:
		var k kmsg.OffsetCommitKey
		if err := k.ReadFrom(r.Key); err != nil {
			return unknown(r, err)
		}
		key = asJSON(typed{fmt.Sprint(kind), struct {
			Group     string `json:"group"`
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
		}{k.Group, k.Topic, k.Partition}})
		if r.Value == nil {
			return key, deleted()
		}
		var v kmsg.OffsetCommitValue
		if err := v.ReadFrom(r.Value); err != nil {
			return unknown(r, err)
		}
		return key, asJSON(versioned{fmt.Sprint(v.Version), offsetValue(v)})
	case 2:
		var k kmsg.GroupMetadataKey
		if err := k.ReadFrom(r.Key); err != nil {
			return unknown(r, err)
		}
		key = asJSON(typed{"2", struct {
			Group string `json:"group"`
		}{k.Group}})
		if r.Value == nil {
			return key, deleted()
		}
		var v kmsg.GroupMetadataValue
		if err := v.ReadFrom(r.Value); err != nil {
			return unknown(r, err)
		}
		return key, asJSON(versioned{fmt.Sprint(v.Version), groupValue(v)})
	}
	return unknown(r, nil)
}

// offsetValue is a committed offset in JSON.
func offsetValue(v kmsg.OffsetCommitValue) any {
	out := struct {
		Offset          int64   `json:"offset"`
		LeaderEpoch     *int32  `json:"leaderEpoch,omitempty"`
		Metadata        string  `json:"metadata"`
		CommitTimestamp int64   `json:"commitTimestamp"`
		ExpireTimestamp *int64  `json:"expireTimestamp,omitempty"`
		TopicID         *string `json:"topicId,omitempty"`
	}{Offset: v.Offset, Metadata: v.Metadata, CommitTimestamp: v.CommitTimestamp}
	switch {
	case v.Version >= 3:
		out.LeaderEpoch = &v.LeaderEpoch
	case v.Version == 1:
		out.ExpireTimestamp = &v.ExpireTimestamp
	}
	if v.Version >= 4 && v.TopicID != [16]byte{} {
		id := base64.RawURLEncoding.EncodeToString(v.TopicID[:])
		out.TopicID = &id
	}
	return out
}

// groupValue is a group of the classic protocol in JSON. The metadata of consumers is opened.
func groupValue(v kmsg.GroupMetadataValue) any {
	type member struct {
		MemberID         string  `json:"memberId"`
		GroupInstanceID  *string `json:"groupInstanceId"`
		ClientID         string  `json:"clientId"`
		ClientHost       string  `json:"clientHost"`
		RebalanceTimeout int32   `json:"rebalanceTimeout"`
		SessionTimeout   int32   `json:"sessionTimeout"`
		Subscription     any     `json:"subscription"`
		Assignment       any     `json:"assignment"`
	}
	members := []member{}
	for _, m := range v.Members {
		one := member{m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, m.RebalanceTimeoutMillis, m.SessionTimeoutMillis, m.Subscription, m.Assignment}
		if v.ProtocolType == "consumer" {
			one.Subscription, one.Assignment = subscriptionValue(m.Subscription), assignmentValue(m.Assignment)
		}
		members = append(members, one)
	}
	return struct {
		ProtocolType          string   `json:"protocolType"`
		Generation            int32    `json:"generation"`
		Protocol              *string  `json:"protocol"`
		Leader                *string  `json:"leader"`
		CurrentStateTimestamp int64    `json:"currentStateTimestamp"`
		Members               []member `json:"members"`
	}{v.ProtocolType, v.Generation, v.Protocol, v.Leader, v.CurrentStateTimestamp, members}
}

// topicPartitions is a topic with partitions in JSON.
type topicPartitions struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

// subscriptionValue is a consumer's subscription in JSON, or its bytes when it cannot be read.
func subscriptionValue(b []byte) any {
	var s kmsg.ConsumerMemberMetadata
	if err := s.ReadFrom(b); err != nil {
		return b
	}
	owned := []topicPartitions{}
	for _, t := range s.OwnedPartitions {
		owned = append(owned, topicPartitions{t.Topic, t.Partitions})
	}
	out := struct {
		Topics          []string           `json:"topics"`
		UserData        []byte             `json:"userData"`
		OwnedPartitions *[]topicPartitions `json:"ownedPartitions,omitempty"`
		GenerationID    *int32             `json:"generationId,omitempty"`
		RackID          **string           `json:"rackId,omitempty"`
	}{Topics: s.Topics, UserData: s.UserData}
	if s.Version >= 1 {
		out.OwnedPartitions = &owned
	}
	if s.Version >= 2 {
		out.GenerationID = &s.Generation
	}
	if s.Version >= 3 {
		out.RackID = &s.Rack
	}
	return out
}

// assignmentValue is a consumer's assignment in JSON, or its bytes when it cannot be read.
func assignmentValue(b []byte) any {
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(b); err != nil {
		return b
	}
	all := []topicPartitions{}
	for _, t := range a.Topics {
		all = append(all, topicPartitions{t.Topic, t.Partitions})
	}
	return struct {
		AssignedPartitions []topicPartitions `json:"assignedPartitions"`
		UserData           []byte            `json:"userData"`
	}{all, a.UserData}
}

// transactionsDecoder reads the records of __transaction_state.
func transactionsDecoder(r record.Record) (key, value *string) {
	if len(r.Key) < 2 || binary.BigEndian.Uint16(r.Key) != 0 {
		return unknown(r, nil)
	}
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return unknown(r, err)
	}
	key = asJSON(typed{"0", struct {
		TransactionalID string `json:"transactionalId"`
	}{k.TransactionalID}})
	if r.Value == nil {
		return key, deleted()
	}
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return unknown(r, err)
	}
	type partitions struct {
		Topic        string  `json:"topic"`
		PartitionIDs []int32 `json:"partitionIds"`
	}
	var topics []partitions
	for _, t := range v.Topics {
		topics = append(topics, partitions{t.Topic, t.Partitions})
	}
	out := struct {
		ProducerID    int64        `json:"producerId"`
		Previous      *int64       `json:"previousProducerId,omitempty"`
		Next          *int64       `json:"nextProducerId,omitempty"`
		ProducerEpoch int16        `json:"producerEpoch"`
		NextEpoch     *int16       `json:"nextProducerEpoch,omitempty"`
		Timeout       int32        `json:"transactionTimeoutMs"`
		Status        int8         `json:"transactionStatus"`
		Partitions    []partitions `json:"transactionPartitions"`
		LastUpdate    int64        `json:"transactionLastUpdateTimestampMs"`
		Start         int64        `json:"transactionStartTimestampMs"`
		ClientVersion *int16       `json:"clientTransactionVersion,omitempty"`
	}{v.ProducerID, nil, nil, v.ProducerEpoch, nil, v.TimeoutMillis, int8(v.State), topics, v.LastUpdateTimestamp, v.StartTimestamp, nil}
	if v.Version >= 1 {
		for _, tagged := range []struct {
			to   **int64
			from *int64
		}{{&out.Previous, &v.PreviousProducerID}, {&out.Next, &v.NextProducerID}} {
			if *tagged.from != -1 {
				*tagged.to = tagged.from
			}
		}
		if v.NextProducerEpoch != -1 {
			out.NextEpoch = &v.NextProducerEpoch
		}
		if v.ClientTransactionVersion != 0 {
			out.ClientVersion = &v.ClientTransactionVersion
		}
	}
	return key, asJSON(versioned{fmt.Sprint(v.Version), out})
}
