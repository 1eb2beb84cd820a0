package commitlog

import (
	"testing"

	"github.com/klamm/klamm/internal/config"
)

func TestKeysMakeASetAndTheirDefaultsDefaultOptions(t *testing.T) {
	own := []config.Key{}
	for _, n := range []string{"max.decompressed.message.bytes", "log.index.size.max.bytes", "min.insync.replicas", "unclean.leader.election.enable", "log.cleaner.delete.retention.ms", "log.cleaner.max.compaction.lag.ms",
		"log.cleaner.min.compaction.lag.ms", "log.cleaner.min.cleanable.ratio", "log.local.retention.bytes", "log.local.retention.ms", "log.remote.copy.lag.bytes", "log.remote.copy.lag.ms"} {
		own = append(own, config.Key{Name: n, Scope: config.Broker, Kind: config.String, Doc: "another room's", Null: true})
	}
	s, err := config.NewSet(TopicConfigKeys(), BrokerConfigKeys(), own)
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []config.Scope{config.Topic, config.Broker} {
		for _, k := range s.Keys(scope) {
			if k.Doc == "" {
				t.Errorf("%s has no doc", k.Name)
			}
			if !k.Null {
				if err := k.Validate(k.Default); err != nil {
					t.Errorf("%s: %v", k.Name, err)
				}
			}
		}
	}
	if n := len(s.Keys(config.Topic)); n != 38 {
		t.Errorf("%d topic keys", n)
	}
	o, err := OptionsFrom(func(name string) string {
		v, _ := s.Get(config.Topic, name, config.Layers{})
		return v
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.normal() != DefaultOptions().normal() {
		t.Errorf("%+v\nwant %+v", o.normal(), DefaultOptions().normal())
	}
	other := func(set map[string]string) func(string) string {
		return func(name string) string {
			if v, ok := set[name]; ok {
				return v
			}
			v, _ := s.Get(config.Topic, name, config.Layers{})
			return v
		}
	}
	o, err = OptionsFrom(other(map[string]string{"cleanup.policy": "", "segment.bytes": "1048576", "message.timestamp.type": "LogAppendTime", "flush.before.ack": "false", "producer.id.expiration.ms": "5"}))
	if err != nil || o.Delete || o.Compact || o.SegmentBytes != 1<<20 || o.FlushBeforeAck || o.TimestampType == 0 || o.ProducerExpirationMs != 5 {
		t.Errorf("%+v %v", o, err)
	}
	if _, err := OptionsFrom(other(map[string]string{"segment.ms": "x"})); err == nil {
		t.Error("no error for a value that is no number")
	}
}
