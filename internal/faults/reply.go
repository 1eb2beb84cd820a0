package faults

import (
	"reflect"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// groupType is FindCoordinator's type of a group.
const groupType = 0

// named is what a request names.
type named struct{ topics, groups []string }

// read finds the topics and groups that a call names; none of one that cannot be read.
func (t *faultyTable) read(c *rpc.Call) *named {
	names := &named{}
	if q, ok := decoded(c); ok {
		names.gather(t.topic, reflect.ValueOf(q).Elem(), false)
		if q, ok := q.(*wire.FindCoordinatorRequest); ok && q.KeyType == groupType {
			names.groups = append(q.CoordinatorKeys, q.KeyField)
		}
	}
	return names
}

// decoded is a call's request.
func decoded(c *rpc.Call) (wire.Message, bool) {
	q := wire.NewRequest(c.Header.Key)
	if q == nil {
		return nil, false
	}
	d := wire.NewDecoder(c.Body)
	q.Decode(&d, c.Header.Version)
	return q, d.Done() == nil
}

// gather notes what a struct of a request names; inTopic says that it is of a list of topics.
func (n *named) gather(topic func(wire.UUID) string, v reflect.Value, inTopic bool) {
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		switch x := field.Interface().(type) {
		case string:
			n.note(name, x, v, inTopic)
		case *string:
			if x != nil {
				n.note(name, *x, v, inTopic)
			}
		case []string:
			switch name {
			case "TopicNames":
				n.topics = append(n.topics, x...)
			case "Groups", "GroupsNames", "GroupIds":
				n.groups = append(n.groups, x...)
			}
		case wire.UUID:
			if name == "TopicId" && x != (wire.UUID{}) {
				n.topics = append(n.topics, topic(x))
			}
		default:
			if field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct {
				for k := range field.Len() {
					n.gather(topic, field.Index(k), strings.HasPrefix(name, "Topic"))
				}
			}
		}
	}
}

// note notes a string that stands in a field of v.
func (n *named) note(name, x string, v reflect.Value, inTopic bool) {
	switch name {
	case "GroupId":
		n.groups = append(n.groups, x)
	case "Topic", "TopicName":
		n.topics = append(n.topics, x)
	case "Name":
		if inTopic {
			n.topics = append(n.topics, x)
		}
	case "ResourceName":
		if t := v.FieldByName("ResourceType"); t.IsValid() && t.Kind() == reflect.Int8 && int8(t.Int()) == metadata.TopicResource {
			n.topics = append(n.topics, x)
		}
	}
}

// fail answers a call with the fault's code, in each place where the response has one for something
// that the request names. A call that cannot be read is left to handle.
func (s *fault) fail(c *rpc.Call, r *rpc.Reply, handle func()) {
	key, version := c.Header.Key, c.Header.Version
	q, ok := decoded(c)
	if !ok {
		handle()
		return
	}
	switch q := q.(type) {
	case *wire.ProduceRequest:
		if q.Acks == 0 { // nothing is answered, and an error ends the connection
			cut(r)
			return
		}
	case *wire.MetadataRequest:
		s.failMetadata(c, r, handle)
		return
	}
	a := wire.NewResponse(key)
	filler{s.code}.fill(reflect.ValueOf(a).Elem(), reflect.ValueOf(q).Elem())
	switch a := a.(type) {
	case *wire.FetchResponse:
		// The code of the whole is the session's, and clients look no further.
		if slices.Contains([]code.Error{code.FetchSessionIdNotFound, code.InvalidFetchSessionEpoch, code.FetchSessionTopicIdError}, s.code) {
			a.Responses = nil
		} else {
			a.ErrorCode = 0
		}
	case *wire.ApiVersionsResponse:
		if s.code == code.UnsupportedVersion { // in the version that every client can read (KIP-511)
			version = 0
		}
	}
	r.Buf = a.Append(r.Buf, version)
}

// failMetadata answers as ever, with the code on every topic: clients need the brokers that are named too.
func (s *fault) failMetadata(c *rpc.Call, r *rpc.Reply, handle func()) {
	from := len(r.Buf)
	handle()
	if r.Close || r.Parked() != nil {
		return
	}
	a := wire.NewMetadataResponse()
	d := wire.NewDecoder(slices.Clone(r.Buf[from:]))
	if a.Decode(&d, c.Header.Version); d.Done() != nil {
		return
	}
	for i := range a.Topics {
		t := &a.Topics[i]
		t.ErrorCode, t.Partitions = int16(s.code), nil
	}
	if len(a.Topics) == 0 {
		a.ErrorCode = int16(s.code)
	}
	r.Buf = a.Append(r.Buf[:from], c.Header.Version)
}

// filler fills responses with a code.
type filler struct{ code code.Error }

// identities are the fields by which an answer says what it is about: those in a row mean the same.
var identities = [...][]string{
	{"Name", "Topic", "TopicName"},
	{"TopicId"},
	{"Index", "PartitionIndex", "Partition", "PartitionId"},
	{"GroupId"},
	{"KeyField"},
	{"MemberId"},
	{"GroupInstanceId"},
	{"ResourceType"},
	{"ResourceName"},
}

// fill fills the answer a to what q asks for.
func (f filler) fill(a, q reflect.Value) {
	copyIdentity(a, q)
	for i := range a.NumField() {
		name, field := a.Type().Field(i).Name, a.Field(i)
		switch {
		case name == "ErrorCode" || name == "PartitionErrorCode":
			field.SetInt(int64(f.code))
		case name == "ErrorMessage" && field.Type() == reflect.TypeFor[*string]():
			text := "a fault that was injected"
			field.Set(reflect.ValueOf(&text))
		case unknownHere(name) && field.CanInt():
			field.SetInt(-1)
		case isList(field.Type()) && hasCode(field.Type().Elem()):
			f.list(field, name, q)
		}
	}
}

// unknownHere says whether a number of an answer is -1 when it is not known, as Kafka has it where the schema does not.
func unknownHere(name string) bool {
	return slices.Contains([]string{"BaseOffset", "HighWatermark", "LowWatermark", "CommittedOffset", "NodeId", "Port"}, name)
}

// list fills a list of answers, one for each element of the list in q that asks for it.
func (f filler) list(answers reflect.Value, name string, q reflect.Value) {
	elem := answers.Type().Elem()
	asked := q.FieldByName(name)
	if !asked.IsValid() || !asks(asked, elem) {
		asked = reflect.Value{}
		for i := range q.NumField() {
			if l := q.Field(i); asks(l, elem) && !strings.HasPrefix(q.Type().Field(i).Name, "Forgotten") {
				asked = l
				break
			}
		}
	}
	if !asked.IsValid() {
		return
	}
	answers.Set(reflect.MakeSlice(answers.Type(), asked.Len(), asked.Len()))
	for i := range asked.Len() {
		a, one := answers.Index(i), asked.Index(i)
		if d, ok := a.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		if one.Kind() == reflect.Struct {
			f.fill(a, one)
			continue
		}
		if to := scalarIdentity(a, one.Kind()); to.IsValid() {
			set(to, one)
		}
		f.fill(a, reflect.ValueOf(struct{}{}))
	}
}

// asks says whether l is a list, not empty, whose elements ask for what answer answers.
func asks(l reflect.Value, answer reflect.Type) bool {
	if l.Kind() != reflect.Slice || l.Len() == 0 {
		return false
	}
	switch e := l.Type().Elem(); e.Kind() {
	case reflect.String, reflect.Int32:
		return scalarIdentity(reflect.New(answer).Elem(), e.Kind()).IsValid()
	case reflect.Struct:
		for _, names := range identities {
			if slices.ContainsFunc(names, has(e)) && slices.ContainsFunc(names, has(answer)) {
				return true
			}
		}
	}
	return false
}

// has returns whether a struct has a field of a name.
func has(t reflect.Type) func(name string) bool {
	return func(name string) bool {
		_, ok := t.FieldByName(name)
		return ok
	}
}

// copyIdentity copies from q to a what a is about.
func copyIdentity(a, q reflect.Value) {
	for _, names := range identities {
		to, from := field(a, names), field(q, names)
		if to.IsValid() && from.IsValid() {
			set(to, from)
		}
	}
}

// field is the first field of v that has one of the names.
func field(v reflect.Value, names []string) reflect.Value {
	for _, n := range names {
		if f := v.FieldByName(n); f.IsValid() {
			return f
		}
	}
	return reflect.Value{}
}

// scalarIdentity is the field of a that is its identity as a string or a number.
func scalarIdentity(a reflect.Value, kind reflect.Kind) reflect.Value {
	for _, names := range identities {
		f := field(a, names)
		if !f.IsValid() {
			continue
		}
		if t := f.Type(); t.Kind() == kind || kind == reflect.String && t == reflect.TypeFor[*string]() {
			return f
		}
	}
	return reflect.Value{}
}

// set assigns, between strings and those that may be null too.
func set(to, from reflect.Value) {
	switch {
	case to.Type() == from.Type():
		to.Set(from)
	case to.Kind() == reflect.Pointer && from.Kind() == reflect.String:
		s := from.String()
		to.Set(reflect.ValueOf(&s))
	case to.Kind() == reflect.String && from.Kind() == reflect.Pointer && !from.IsNil():
		to.SetString(from.Elem().String())
	}
}

// isList says whether a type is a list of structs.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// hasCode says whether an answer has a place for a code, itself or below it.
func hasCode(t reflect.Type) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "ErrorCode" || f.Name == "PartitionErrorCode" || isList(f.Type) && hasCode(f.Type.Elem()) {
			return true
		}
	}
	return false
}
