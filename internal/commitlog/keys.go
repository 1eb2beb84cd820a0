package commitlog

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/record"
)

// Why a topic's key changes nothing here.
const (
	noCleaner       = "there is no cleaner yet; compacted topics keep everything"
	noShareGroups   = "there are no share groups yet"
	noQuotas        = "there are no quotas yet"
	noTieredStorage = "there is no tiered storage yet"
	ownIndex        = "the index lies in memory and grows with the log"
)

// TopicConfigKeys returns the keys of topics. Most of them are a log's own
// options; the few that others obey are here so that they stand together.
func TopicConfigKeys() []config.Key {
	codecs, policies, timestampTypes, gzipLevel := checks()
	noTiers := config.OneOf("false")
	return []config.Key{
		{Name: "cleanup.policy", Scope: config.Topic, Kind: config.List, Default: "delete", Synonyms: []string{"log.cleanup.policy"}, Check: policies,
			Doc: "What becomes of old records: delete by age and size, compact by key, both, or with an empty list nothing."},
		{Name: "compression.gzip.level", Scope: config.Topic, Kind: config.Int, Default: "-1", Synonyms: []string{"compression.gzip.level"}, Check: gzipLevel,
			Doc: "The gzip level when compression.type is gzip: 1 to 9, or -1 for the codec's own."},
		{Name: "compression.lz4.level", Scope: config.Topic, Kind: config.Int, Default: "9", Synonyms: []string{"compression.lz4.level"}, Check: config.Range(1, 17),
			Doc: "The lz4 level when compression.type is lz4."},
		{Name: "compression.type", Scope: config.Topic, Kind: config.String, Default: "producer", Synonyms: []string{"compression.type"}, Check: codecs,
			Doc: "The codec that batches are stored in; producer keeps what each producer chose, and so costs nothing."},
		{Name: "compression.zstd.level", Scope: config.Topic, Kind: config.Int, Default: "3", Synonyms: []string{"compression.zstd.level"}, Check: config.Range(-131072, 22),
			Doc: "The zstd level when compression.type is zstd."},
		{Name: "delete.retention.ms", Scope: config.Topic, Kind: config.Long, Default: "86400000", Synonyms: []string{"log.cleaner.delete.retention.ms"}, Check: config.NotNegative(),
			Doc: "How long in milliseconds the marks of deleted keys stay in a compacted topic.", NoEffect: noCleaner},
		{Name: "errors.deadletterqueue.group.enable", Scope: config.Topic, Kind: config.Boolean, Default: "false",
			Doc: "Whether share groups may use the topic as their queue of dead letters.", NoEffect: noShareGroups},
		{Name: "file.delete.delay.ms", Scope: config.Topic, Kind: config.Long, Default: "60000", Synonyms: []string{"log.segment.delete.delay.ms"}, Check: config.NotNegative(),
			Doc: "How long in milliseconds a deleted file stays on disk under another name."},
		{Name: "flush.before.ack", Scope: config.Topic, Kind: config.Boolean, Default: "true", Synonyms: []string{"log.flush.before.ack"},
			Doc: "Whether acks=all is answered only after the records have reached the disk (fsync); false answers after the write, as Apache Kafka does."},
		{Name: "flush.messages", Scope: config.Topic, Kind: config.Long, Default: "9223372036854775807", Synonyms: []string{"log.flush.interval.messages"}, Check: config.Positive(),
			Doc: "After how many records the log is flushed before anybody is answered; 1 flushes for every answer."},
		{Name: "flush.ms", Scope: config.Topic, Kind: config.Long, Default: "9223372036854775807", Synonyms: []string{"log.flush.interval.ms"}, Check: config.NotNegative(),
			Doc: "How long in milliseconds records may stay unflushed."},
		{Name: "follower.replication.throttled.replicas", Scope: config.Topic, Kind: config.List, Default: "", Check: throttled,
			Doc: "Replicas as partition:broker, or *, whose fetching is slowed to the follower's rate.", NoEffect: noQuotas},
		{Name: "index.interval.bytes", Scope: config.Topic, Kind: config.Int, Default: "4096", Synonyms: []string{"log.index.interval.bytes"}, Check: config.NotNegative(),
			Doc: "How many bytes of log lie between two entries of the offset index; at least 16 KiB are used."},
		{Name: "leader.replication.throttled.replicas", Scope: config.Topic, Kind: config.List, Default: "", Check: throttled,
			Doc: "Replicas as partition:broker, or *, that are served at the leader's throttled rate.", NoEffect: noQuotas},
		{Name: "local.retention.bytes", Scope: config.Topic, Kind: config.Long, Default: "-2", Synonyms: []string{"log.local.retention.bytes"}, Check: config.AtLeast(-2),
			Doc: "How many bytes of a tiered topic stay on the broker; -2 is as retention.bytes says.", NoEffect: noTieredStorage},
		{Name: "local.retention.ms", Scope: config.Topic, Kind: config.Long, Default: "-2", Synonyms: []string{"log.local.retention.ms"}, Check: config.AtLeast(-2),
			Doc: "How long in milliseconds a tiered topic stays on the broker; -2 is as retention.ms says.", NoEffect: noTieredStorage},
		{Name: "max.compaction.lag.ms", Scope: config.Topic, Kind: config.Long, Default: "9223372036854775807", Synonyms: []string{"log.cleaner.max.compaction.lag.ms"}, Check: config.Positive(),
			Doc: "After how many milliseconds a record of a compacted topic is cleaned at the latest.", NoEffect: noCleaner},
		{Name: "max.decompressed.message.bytes", Scope: config.Topic, Kind: config.Int, Default: "2147483639", Synonyms: []string{"max.decompressed.message.bytes"}, Check: config.Positive(),
			Doc: "How large a batch may become when it has to be decompressed."},
		{Name: "max.message.bytes", Scope: config.Topic, Kind: config.Int, Default: "1048588", Synonyms: []string{"message.max.bytes"}, Check: config.NotNegative(),
			Doc: "The largest batch in bytes, as it is stored."},
		{Name: "message.timestamp.after.max.ms", Scope: config.Topic, Kind: config.Long, Default: "3600000", Synonyms: []string{"log.message.timestamp.after.max.ms"}, Check: config.NotNegative(),
			Doc: "How far in milliseconds a producer's timestamp may be ahead of the broker's clock."},
		{Name: "message.timestamp.before.max.ms", Scope: config.Topic, Kind: config.Long, Default: "9223372036854775807", Synonyms: []string{"log.message.timestamp.before.max.ms"}, Check: config.NotNegative(),
			Doc: "How far in milliseconds a producer's timestamp may be behind the broker's clock."},
		{Name: "message.timestamp.type", Scope: config.Topic, Kind: config.String, Default: "CreateTime", Synonyms: []string{"log.message.timestamp.type"}, Check: timestampTypes,
			Doc: "Whose time a record carries: CreateTime the producer's, LogAppendTime the broker's."},
		{Name: "min.cleanable.dirty.ratio", Scope: config.Topic, Kind: config.Double, Default: "0.5", Synonyms: []string{"log.cleaner.min.cleanable.ratio"}, Check: config.RangeFloat(0, 1),
			Doc: "Which part of a compacted log has to be new before it is cleaned.", NoEffect: noCleaner},
		{Name: "min.compaction.lag.ms", Scope: config.Topic, Kind: config.Long, Default: "0", Synonyms: []string{"log.cleaner.min.compaction.lag.ms"}, Check: config.NotNegative(),
			Doc: "For how many milliseconds a record of a compacted topic is certainly kept.", NoEffect: noCleaner},
		{Name: "min.insync.replicas", Scope: config.Topic, Kind: config.Int, Default: "1", Synonyms: []string{"min.insync.replicas"}, Check: config.Positive(),
			Doc: "How many replicas must be in sync for a write with acks=all to be taken."},
		{Name: "preallocate", Scope: config.Topic, Kind: config.Boolean, Default: "false", Synonyms: []string{"log.preallocate"},
			Doc: "Whether a segment's whole space is reserved when it is begun."},
		{Name: "remote.copy.lag.bytes", Scope: config.Topic, Kind: config.Long, Default: "-1", Synonyms: []string{"log.remote.copy.lag.bytes"}, Check: config.AtLeast(-1),
			Doc: "How many bytes of closed segments wait before they are copied to tiered storage.", NoEffect: noTieredStorage},
		{Name: "remote.copy.lag.ms", Scope: config.Topic, Kind: config.Long, Default: "0", Synonyms: []string{"log.remote.copy.lag.ms"}, Check: config.AtLeast(-1),
			Doc: "How long in milliseconds closed segments wait before they are copied to tiered storage.", NoEffect: noTieredStorage},
		{Name: "remote.log.copy.disable", Scope: config.Topic, Kind: config.Boolean, Default: "false",
			Doc: "Whether a tiered topic stops copying new segments.", NoEffect: noTieredStorage},
		{Name: "remote.log.delete.on.disable", Scope: config.Topic, Kind: config.Boolean, Default: "false",
			Doc: "Whether what is tiered is deleted when tiering is switched off.", NoEffect: noTieredStorage},
		{Name: "remote.storage.enable", Scope: config.Topic, Kind: config.Boolean, Default: "false", Check: noTiers,
			Doc: "Whether the topic's old segments are kept in tiered storage.", NoEffect: noTieredStorage},
		{Name: "retention.bytes", Scope: config.Topic, Kind: config.Long, Default: "-1", Synonyms: []string{"log.retention.bytes"}, Check: config.AtLeast(-1),
			Doc: "How many bytes a partition keeps before its oldest segments are deleted; -1 is without limit."},
		{Name: "retention.ms", Scope: config.Topic, Kind: config.Long, Default: "604800000", Synonyms: []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}, Check: config.AtLeast(-1),
			Doc: "How long in milliseconds records are kept before their segments are deleted; -1 is without limit."},
		{Name: "segment.bytes", Scope: config.Topic, Kind: config.Int, Default: "1073741824", Synonyms: []string{"log.segment.bytes"}, Check: config.AtLeast(1 << 20),
			Doc: "The size in bytes at which a segment is closed and another one begun."},
		{Name: "segment.index.bytes", Scope: config.Topic, Kind: config.Int, Default: "10485760", Synonyms: []string{"log.index.size.max.bytes"}, Check: config.AtLeast(4),
			Doc: "How large Kafka's index files may grow.", NoEffect: ownIndex},
		{Name: "segment.jitter.ms", Scope: config.Topic, Kind: config.Long, Default: "0", Synonyms: []string{"log.roll.jitter.ms", "log.roll.jitter.hours"}, Check: config.NotNegative(),
			Doc: "How many milliseconds at most are taken at random off segment.ms, so that segments do not all close at once."},
		{Name: "segment.ms", Scope: config.Topic, Kind: config.Long, Default: "604800000", Synonyms: []string{"log.roll.ms", "log.roll.hours"}, Check: config.Positive(),
			Doc: "The age in milliseconds at which a segment is closed even if it is not full."},
		{Name: "unclean.leader.election.enable", Scope: config.Topic, Kind: config.Boolean, Default: "false", Synonyms: []string{"unclean.leader.election.enable"},
			Doc: "Whether a replica that was not in sync may lead when no other is alive, at the price of lost records."},
	}
}

// BrokerConfigKeys returns the broker keys that topics fall back to, and those of log directories.
func BrokerConfigKeys() []config.Key {
	codecs, policies, timestampTypes, gzipLevel := checks()
	return []config.Key{
		{Name: "log.flush.before.ack", Scope: config.Broker, Kind: config.Boolean, Default: "true", Update: config.ClusterWide,
			Doc: "Whether acks=all is answered only after fsync, for topics that do not set flush.before.ack."},
		{Name: "compression.gzip.level", Scope: config.Broker, Kind: config.Int, Default: "-1", Update: config.ClusterWide, Check: gzipLevel,
			Doc: "The gzip level for topics that do not set their own: 1 to 9, or -1 for the default."},
		{Name: "compression.lz4.level", Scope: config.Broker, Kind: config.Int, Default: "9", Update: config.ClusterWide, Check: config.Range(1, 17),
			Doc: "The lz4 level for topics that do not set their own, 1 to 17."},
		{Name: "compression.type", Scope: config.Broker, Kind: config.String, Default: "producer", Update: config.ClusterWide, Check: codecs,
			Doc: "The codec that topics are stored in when they do not say; producer keeps what producers sent."},
		{Name: "compression.zstd.level", Scope: config.Broker, Kind: config.Int, Default: "3", Update: config.ClusterWide, Check: config.Range(-131072, 22),
			Doc: "The zstd level for topics that do not set their own, up to 22."},
		{Name: "log.cleanup.policy", Scope: config.Broker, Kind: config.List, Default: "delete", Update: config.ClusterWide, Check: policies,
			Doc: "What becomes of old segments of topics that do not say: delete, compact, both, or empty to keep all."},
		{Name: "log.flush.interval.messages", Scope: config.Broker, Kind: config.Long, Default: "9223372036854775807", Update: config.ClusterWide, Check: config.Positive(),
			Doc: "How many records a log takes before they are forced to disk, for topics that do not say."},
		{Name: "log.flush.interval.ms", Scope: config.Broker, Kind: config.Long, Null: true, Update: config.ClusterWide,
			Doc: "How long a record may stay unforced, for topics that do not say, in milliseconds."},
		{Name: "log.index.interval.bytes", Scope: config.Broker, Kind: config.Int, Default: "4096", Update: config.ClusterWide, Check: config.NotNegative(),
			Doc: "How many bytes of a log lie between two entries of its offset index, for topics that do not say."},
		{Name: "log.message.timestamp.after.max.ms", Scope: config.Broker, Kind: config.Long, Default: "3600000", Update: config.ClusterWide, Check: config.NotNegative(),
			Doc: "How far in the future a record's timestamp may lie, for topics that do not say, in milliseconds."},
		{Name: "log.message.timestamp.before.max.ms", Scope: config.Broker, Kind: config.Long, Default: "9223372036854775807", Update: config.ClusterWide, Check: config.NotNegative(),
			Doc: "How far in the past a record's timestamp may lie, for topics that do not say, in milliseconds."},
		{Name: "log.message.timestamp.type", Scope: config.Broker, Kind: config.String, Default: "CreateTime", Update: config.ClusterWide, Check: timestampTypes,
			Doc: "Whether records carry the producer's time or that of their append, for topics that do not say."},
		{Name: "log.preallocate", Scope: config.Broker, Kind: config.Boolean, Default: "false", Update: config.ClusterWide,
			Doc: "Whether new segments get their full size at once, for topics that do not say."},
		{Name: "log.retention.bytes", Scope: config.Broker, Kind: config.Long, Default: "-1", Update: config.ClusterWide, Check: config.AtLeast(-1),
			Doc: "The bytes that a partition keeps, for topics that do not say; -1 is without limit."},
		{Name: "log.retention.check.interval.ms", Scope: config.Broker, Kind: config.Long, Default: "300000", Check: config.Positive(),
			Doc: "How often logs are checked for segments that are due for deletion, in milliseconds."},
		{Name: "log.retention.hours", Scope: config.Broker, Kind: config.Int, Default: "168",
			Doc: "How long records are kept, in hours, where neither log.retention.ms nor log.retention.minutes is set."},
		{Name: "log.retention.minutes", Scope: config.Broker, Kind: config.Int, Null: true,
			Doc: "How long records are kept, in minutes, where log.retention.ms is not set."},
		{Name: "log.retention.ms", Scope: config.Broker, Kind: config.Long, Null: true, Update: config.ClusterWide, Check: config.AtLeast(-1), Synonyms: []string{"log.retention.minutes", "log.retention.hours"},
			Doc: "How long records are kept, for topics that do not say, in milliseconds; -1 is without limit."},
		{Name: "log.roll.hours", Scope: config.Broker, Kind: config.Int, Default: "168", Check: config.Positive(),
			Doc: "How old a segment may become before a new one begins, in hours, where log.roll.ms is not set."},
		{Name: "log.roll.jitter.hours", Scope: config.Broker, Kind: config.Int, Default: "0", Check: config.NotNegative(),
			Doc: "The most to take at random from log.roll.hours, in hours, where log.roll.jitter.ms is not set."},
		{Name: "log.roll.jitter.ms", Scope: config.Broker, Kind: config.Long, Null: true, Update: config.ClusterWide, Synonyms: []string{"log.roll.jitter.hours"},
			Doc: "The most to take at random from log.roll.ms, in milliseconds, so that not all logs roll together."},
		{Name: "log.roll.ms", Scope: config.Broker, Kind: config.Long, Null: true, Update: config.ClusterWide, Synonyms: []string{"log.roll.hours"},
			Doc: "How old a segment may become before a new one begins, for topics that do not say, in milliseconds."},
		{Name: "log.segment.bytes", Scope: config.Broker, Kind: config.Int, Default: "1073741824", Update: config.ClusterWide, Check: config.AtLeast(1 << 20),
			Doc: "The size of a segment, for topics that do not say."},
		{Name: "log.segment.delete.delay.ms", Scope: config.Broker, Kind: config.Long, Default: "60000", Update: config.ClusterWide, Check: config.NotNegative(),
			Doc: "How long files stay after the deletion of their segment, for topics that do not say, in milliseconds."},
		{Name: "message.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "1048588", Update: config.ClusterWide, Check: config.NotNegative(),
			Doc: "The largest size of a batch of records as it is sent, for topics that do not say."},
		{Name: "producer.id.expiration.ms", Scope: config.Broker, Kind: config.Int, Default: "86400000", Update: config.ClusterWide, Check: config.Positive(),
			Doc: "How long the state of a silent producer is kept, in milliseconds."},
	}
}

// checks are those that topics and brokers share.
func checks() (codecs, policies, timestampTypes, gzipLevel func(string) error) {
	return config.OneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), config.ListOf("compact", "delete"),
		config.OneOf("CreateTime", "LogAppendTime"), config.Any(config.Range(1, 9), config.OneOf("-1"))
}

// throttled accepts *, none, and pairs of partition:broker.
func throttled(value string) error {
	if value == "*" || value == "none" || value == "" {
		return nil
	}
	for _, e := range config.SplitList(value) {
		p, b, ok := strings.Cut(e, ":")
		_, perr := strconv.ParseUint(p, 10, 31)
		_, berr := strconv.ParseUint(b, 10, 31)
		if !ok || perr != nil || berr != nil {
			return fmt.Errorf("allowed is *, none, or a list of partition:broker")
		}
	}
	return nil
}

// OptionsFrom makes a log's options of a topic's effective values, which get
// returns by the topic's keys in their plain form, and by the broker's key
// producer.id.expiration.ms, which may be the empty text.
func OptionsFrom(get func(name string) string) (Options, error) {
	var failed error
	number := func(name string) int64 {
		n, err := strconv.ParseInt(get(name), 10, 64)
		if err != nil && failed == nil {
			failed = fmt.Errorf("commitlog: %s=%q is not a number", name, get(name))
		}
		return n
	}
	o := DefaultOptions()
	for _, p := range config.SplitList(get("cleanup.policy")) {
		o.Compact = o.Compact || p == "compact"
	}
	o.Delete = strings.Contains(get("cleanup.policy"), "delete")
	o.SegmentBytes, o.SegmentMs, o.SegmentJitterMs = number("segment.bytes"), number("segment.ms"), number("segment.jitter.ms")
	o.IndexIntervalBytes = number("index.interval.bytes")
	o.RetentionMs, o.RetentionBytes = number("retention.ms"), number("retention.bytes")
	o.FileDeleteDelayMs = number("file.delete.delay.ms")
	o.FlushBeforeAck, o.Preallocate = get("flush.before.ack") == "true", get("preallocate") == "true"
	o.FlushMessages, o.FlushMs = number("flush.messages"), number("flush.ms")
	o.MaxMessageBytes = int(number("max.message.bytes"))
	o.TimestampType = record.CreateTime
	if get("message.timestamp.type") == "LogAppendTime" {
		o.TimestampType = record.LogAppendTime
	}
	o.TimestampBeforeMaxMs, o.TimestampAfterMaxMs = number("message.timestamp.before.max.ms"), number("message.timestamp.after.max.ms")
	o.CompressionType = get("compression.type")
	o.GzipLevel, o.LZ4Level, o.ZstdLevel = int32(number("compression.gzip.level")), int32(number("compression.lz4.level")), int32(number("compression.zstd.level"))
	o.MaxDecompressedBytes = number("max.decompressed.message.bytes")
	o.MinInsyncReplicas = int32(min(number("min.insync.replicas"), math.MaxInt32))
	if get("producer.id.expiration.ms") != "" {
		o.ProducerExpirationMs = number("producer.id.expiration.ms")
	}
	o.UncleanLeaderElection = get("unclean.leader.election.enable") == "true"
	return o, failed
}
