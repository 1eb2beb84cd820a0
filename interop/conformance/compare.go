package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// field is one value of an answer by its path, masked.
type field struct{ Path, Value string }

// step is one answer of a case.
type step struct {
	Label  string
	Fields []field
}

// hidden are the fields whose values may differ, whatever they are.
var hidden = map[string]bool{
	"ThrottleTimeMs": true, "ErrorMessage": true, "BatchIndexErrorMessage": true, "Host": true, "Port": true, "ClusterId": true, "LogDir": true, "TotalBytes": true, "UsableBytes": true,
	"LastFetchTimestamp": true, "LastCaughtUpTimestamp": true, "ReplicaDirectoryId": true, "FinalizedFeaturesEpoch": true, "Documentation": true,
}

// identities are the fields that hold an id which the broker drew. An id that the case gave a name to is shown by it.
var identities = map[string]bool{"MemberId": true, "Leader": true, "TopicId": true, "ProducerId": true, "SessionId": true}

// times are the fields that hold the broker's clock, or -1.
var times = map[string]bool{"LogAppendTimeMs": true, "LastTimestamp": true}

// keys are the fields that an array's elements are sorted by, since brokers keep many of them as sets.
var keys = []string{"ResourceType", "Name", "Topic", "TopicName", "ResourceName", "TopicId", "GroupId", "PartitionIndex", "Partition", "PartitionId", "Index", "ApiKey", "NodeId", "BrokerId", "KeyField", "MemberId", "GroupInstanceId", "ProducerId", "EntityType"}

// ordered are the arrays whose order means something.
var ordered = map[string]bool{"Synonyms": true}

// flatten lists the fields of a message.
func flatten(m wire.Message, alias map[string]string) []field {
	var list []field
	walk(reflect.ValueOf(m).Elem(), "", "", alias, &list)
	return list
}

func walk(v reflect.Value, path, name string, alias map[string]string, list *[]field) {
	add := func(s string) { *list = append(*list, field{path, s}) }
	if hidden[name] {
		return
	}
	switch x := v.Interface().(type) {
	case *wire.Tags:
		if x != nil {
			add("unknown tagged fields")
		}
		return
	case wire.UUID:
		add(identity(name, x.String(), x == wire.UUID{}, alias))
		return
	case []byte:
		add(showBytes(name, x, alias))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			add("null")
			return
		}
		walk(v.Elem(), path, name, alias, list)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i).Name
			at := f
			if path != "" {
				at = path + "." + f
			}
			walk(v.Field(i), at, f, alias, list)
		}
	case reflect.Slice:
		if v.IsNil() {
			add("null")
			return
		}
		if v.Type().Elem().Kind() != reflect.Struct {
			add(fmt.Sprint(v.Interface()))
			return
		}
		elements := make([]reflect.Value, v.Len())
		for i := range elements {
			elements[i] = v.Index(i)
		}
		if !ordered[name] {
			slices.SortStableFunc(elements, func(x, y reflect.Value) int { return strings.Compare(sortKey(x, alias), sortKey(y, alias)) })
		}
		add(fmt.Sprintf("%d elements", len(elements)))
		seen := map[string]int{}
		for i, e := range elements {
			at := cmp.Or(strings.Trim(sortKey(e, alias), " "), fmt.Sprint(i))
			if seen[at]++; seen[at] > 1 {
				at += fmt.Sprintf(" #%d", seen[at])
			}
			walk(e, fmt.Sprintf("%s[%s]", path, at), name, alias, list)
		}
	default:
		s := fmt.Sprint(v.Interface())
		switch {
		case name == "ErrorCode" || name == "TopicConfigErrorCode":
			s = code.Error(v.Int()).Error()
		case identities[name]:
			s = identity(name, s, v.IsZero() || s == "-1", alias)
		case name == "Timestamp" && v.Int() > msOfDay:
			s = sinceMidnight(v.Int())
		case times[name] && s != "-1":
			s = "a time"
		case len(s) > 8 && alias[s] != "": // a number may be small by chance
			s = alias[s]
		}
		add(s)
	}
}

// sortKey is what an element is known by among those of its array.
func sortKey(v reflect.Value, alias map[string]string) string {
	var s strings.Builder
	for _, k := range keys {
		f := v.FieldByName(k)
		if !f.IsValid() || f.Kind() == reflect.Pointer && f.IsNil() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		text := fmt.Sprint(f.Interface())
		switch {
		case f.Kind() == reflect.Int32 || f.Kind() == reflect.Int16 || f.Kind() == reflect.Int8:
			text = fmt.Sprintf("%d", f.Int())
			if f.Int() >= 0 && k == "PartitionIndex" {
				text = fmt.Sprintf("%03d", f.Int())
			}
		case identities[k]:
			text = identity(k, text, f.IsZero(), alias)
		}
		if text != "" {
			s.WriteString(text + " ")
		}
	}
	return s.String()
}

func identity(name, s string, none bool, alias map[string]string) string {
	switch {
	case alias[s] != "":
		return alias[s]
	case none:
		return "none"
	}
	return "a " + name
}

const msOfDay = 24 * 60 * 60 * 1000

// sinceMidnight shows a time without its day, so that a transcript holds on others.
func sinceMidnight(ms int64) string {
	if ms < msOfDay {
		return fmt.Sprint(ms)
	}
	return fmt.Sprintf("midnight+%d", ms%msOfDay)
}

// showBytes shows what a comparison needs of bytes: batches of records by their headers, all else by its text or its digest.
func showBytes(name string, b []byte, alias map[string]string) string {
	switch {
	case b == nil:
		return "null"
	case name != "Records":
		return fmt.Sprintf("%q", b)
	}
	var s strings.Builder
	for len(b) > 0 {
		if len(b) <= magicAt || b[magicAt] < 2 {
			s.WriteString(showMessages(b))
			break
		}
		batch, rest, err := record.Next(b)
		if err != nil {
			fmt.Fprintf(&s, "a part of %d bytes ", len(b))
			break
		}
		first, last := sinceMidnight(batch.BaseTimestamp()), sinceMidnight(batch.MaxTimestamp())
		if batch.TimestampType() == record.LogAppendTime {
			last = "a time"
		}
		pid := fmt.Sprint(batch.ProducerID())
		if batch.ProducerID() >= 0 {
			pid = identity("ProducerId", pid, false, alias)
		}
		digest := sha256.Sum256(batch.Records())
		fmt.Fprintf(&s, "[%d-%d epoch %d attributes %d times %s-%s producer %s/%d/%d count %d %x] ", batch.BaseOffset(), batch.LastOffset(), batch.LeaderEpoch(), batch.Attributes(), first, last,
			pid, batch.ProducerEpoch(), batch.BaseSequence(), batch.Count(), digest[:4])
		b = rest
	}
	return s.String()
}

// magicAt is where the format's number stands in records of every format.
const magicAt = 16

// showMessages shows messages of the formats 0 and 1 by what they hold: each broker compresses and cuts them in its own way.
func showMessages(b []byte) string {
	var s strings.Builder
	it := record.Messages(b, record.NewCodecs(1<<20), 1<<20)
	defer it.Close()
	for r := (record.Record{}); it.Next(&r); {
		fmt.Fprintf(&s, "(%d at %s %q %q) ", r.Offset, sinceMidnight(r.Timestamp), r.Key, r.Value)
	}
	if s.Len() == 0 && len(b) > 0 {
		return "a part of a message"
	}
	return fmt.Sprintf("magic %d: %s", it.Magic(), s.String())
}

// compare lists the differences between two runs of a case, a line each.
func compare(name string, left, right []step) []string {
	var list []string
	for i := range max(len(left), len(right)) {
		if i >= len(left) || i >= len(right) || left[i].Label != right[i].Label {
			at := func(s []step) string {
				if i < len(s) {
					return s[i].Label
				}
				return "nothing"
			}
			return append(list, fmt.Sprintf("%s: after %d answers one asked %s and the other %s", name, i, at(left), at(right)))
		}
		list = append(list, compareFields(name+"/"+left[i].Label, left[i].Fields, right[i].Fields)...)
	}
	return list
}

// cut is the part of a batch at the end of records, where the bound of a Fetch fell: clients throw it away.
var cut = regexp.MustCompile(`(a part of \d+ bytes |\d+ bytes [0-9a-f]{64} |a part of a message)$`)

// whole is a value without the part of a batch at its end.
func whole(f field) field {
	if strings.HasSuffix(f.Path, "Records") {
		f.Value = cut.ReplaceAllString(f.Value, "")
	}
	return f
}

func compareFields(label string, left, right []field) []string {
	var list []string
	values := map[string]string{}
	for _, f := range right {
		f = whole(f)
		values[f.Path] = f.Value
	}
	for _, f := range left {
		f = whole(f)
		other, ok := values[f.Path]
		delete(values, f.Path)
		if !ok {
			other = "absent"
		}
		if other != f.Value {
			list = append(list, fmt.Sprintf("%s %s: %s | %s", label, f.Path, f.Value, other))
		}
	}
	for _, f := range right {
		if _, more := values[f.Path]; more {
			list = append(list, fmt.Sprintf("%s %s: absent | %s", label, f.Path, f.Value))
		}
	}
	return list
}
