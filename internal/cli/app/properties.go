package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// connection is what properties of a client come to: how to reach brokers and how to talk to them.
type connection struct {
	brokers string
	opts    []kgo.Opt
	ignored []string // properties that are known and mean nothing to these commands

	values map[string]string // by Java's name, of those that are looked at together at the end
}

// property takes one value of a client's configuration.
type property func(c *connection, value string) error

// clientOptions makes options of properties in librdkafka's or Java's names. A name that neither knows, and a
// value that cannot be, is an error that names the property.
func clientOptions(properties map[string]string) (*connection, error) {
	known := knownProperties()
	c := &connection{values: map[string]string{}}
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		take, ok := known[name]
		if !ok {
			return nil, unknownProperty(name, known)
		}
		if take == nil {
			c.ignored = append(c.ignored, name)
			continue
		}
		if err := take(c, strings.TrimSpace(properties[name])); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := c.secure(); err != nil {
		return nil, err
	}
	return c, nil
}

// unknownProperty names a property that nobody knows, and the one that was perhaps meant.
func unknownProperty(name string, known map[string]property) error {
	all := make([]string, 0, len(known))
	for k := range known {
		all = append(all, k)
	}
	slices.Sort(all)
	if near := Nearest(name, all); near != "" {
		return fmt.Errorf("%s is no property of a Kafka client; did you mean %s?", name, near)
	}
	return fmt.Errorf("%s is no property of a Kafka client, in librdkafka's names or Java's", name)
}

// knownProperties are all properties by all their names; nil for those that mean nothing here.
func knownProperties() map[string]property {
	known := map[string]property{}
	for _, n := range strings.Fields(withoutEffect) {
		known[n] = nil
	}
	add := func(names string, p property) {
		for _, n := range strings.Fields(names) {
			known[n] = p
		}
	}
	keep := func(names string) {
		canonical := strings.Fields(names)[0]
		add(names, func(c *connection, v string) error { c.values[canonical] = v; return nil })
	}
	add("bootstrap.servers metadata.broker.list", func(c *connection, v string) error { c.brokers = v; return nil })
	add("client.id", text(kgo.ClientID))
	add("client.rack", text(func(s string) kgo.Opt { return kgo.Rack(s) }))
	add("request.timeout.ms socket.timeout.ms", millis(kgo.RequestTimeoutOverhead))
	add("socket.connection.setup.timeout.ms", millis(kgo.DialTimeout))
	add("connections.max.idle.ms", millis(kgo.ConnIdleTimeout))
	add("metadata.max.age.ms topic.metadata.refresh.interval.ms", millis(kgo.MetadataMaxAge))
	add("retries message.send.max.retries", number(0, math.MaxInt32, func(n int64) kgo.Opt { return kgo.RecordRetries(int(n)) }))
	add("receive.message.max.bytes", number(1000, math.MaxInt32, func(n int64) kgo.Opt { return kgo.BrokerMaxReadBytes(int32(n)) }))

	add("acks request.required.acks", acks)
	add("compression.type compression.codec", codec)
	add("linger.ms queue.buffering.max.ms", millis(func(d time.Duration) kgo.Opt { return kgo.ProducerLinger(d) }))
	add("max.request.size message.max.bytes", number(1000, math.MaxInt32/2, func(n int64) kgo.Opt { return kgo.ProducerBatchMaxBytes(int32(n)) }))
	add("buffer.memory", number(1, math.MaxInt32, func(n int64) kgo.Opt { return kgo.MaxBufferedBytes(int(n)) }))
	add("queue.buffering.max.messages", number(1, math.MaxInt32, func(n int64) kgo.Opt { return kgo.MaxBufferedRecords(int(n)) }))
	add("max.in.flight.requests.per.connection max.in.flight", number(1, 1_000_000, func(n int64) kgo.Opt { return kgo.MaxProduceRequestsInflightPerBroker(int(min(n, 5))) }))
	add("delivery.timeout.ms message.timeout.ms", millis(func(d time.Duration) kgo.Opt { return kgo.RecordDeliveryTimeout(d) }))
	add("enable.idempotence", func(c *connection, v string) error {
		on, err := truth(v)
		if err == nil && !on {
			c.opts = append(c.opts, kgo.DisableIdempotentWrite())
		}
		return err
	})
	add("partitioner partitioner.class", partitioner)

	add("fetch.min.bytes", number(1, math.MaxInt32, func(n int64) kgo.Opt { return kgo.FetchMinBytes(int32(n)) }))
	add("fetch.max.bytes", number(1, math.MaxInt32, func(n int64) kgo.Opt { return kgo.FetchMaxBytes(int32(n)) }))
	add("max.partition.fetch.bytes fetch.message.max.bytes", number(1, math.MaxInt32, func(n int64) kgo.Opt { return kgo.FetchMaxPartitionBytes(int32(n)) }))
	add("fetch.max.wait.ms fetch.wait.max.ms", millis(func(d time.Duration) kgo.Opt { return kgo.FetchMaxWait(d) }))
	add("isolation.level", isolation)
	add("session.timeout.ms", millis(func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) }))
	add("heartbeat.interval.ms", millis(func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d) }))
	add("max.poll.interval.ms", millis(func(d time.Duration) kgo.Opt { return kgo.RebalanceTimeout(d) }))
	add("group.instance.id", text(func(s string) kgo.Opt { return kgo.InstanceID(s) }))
	add("partition.assignment.strategy", assignors)
	add("check.crcs", func(c *connection, v string) error {
		on, err := truth(v)
		if err == nil && !on {
			c.opts = append(c.opts, kgo.DisableFetchCRCValidation())
		}
		return err
	})

	for _, names := range []string{
		"security.protocol", "sasl.mechanism sasl.mechanisms", "sasl.username", "sasl.password", "sasl.jaas.config", "sasl.oauthbearer.token",
		"ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification",
		"ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.pem", "ssl.key.password",
		"ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.certificates", "ssl.truststore.password",
		"ssl.keystore.location", "ssl.keystore.type", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.password",
	} {
		keep(names)
	}
	return known
}

// withoutEffect are properties that Java's client or librdkafka knows and that change nothing here: what is
// measured, called back, cached, or already said by a flag of the command.
const withoutEffect = `
allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms auto.commit.enable auto.commit.interval.ms auto.offset.reset
batch.num.messages batch.size bootstrap.controllers bootstrap.resolve.timeout.ms broker.address.family broker.address.ttl broker.version.fallback buffer.memory.allocation.strategy
client.dns.lookup compression.gzip.level compression.level compression.lz4.level compression.zstd.level config.providers coordinator.query.interval.ms
debug default.api.timeout.ms enable.auto.commit enable.auto.offset.store enable.gapless.guarantee enable.metrics.push enable.partition.eof enable.random.seed exclude.internal.topics
fetch.error.backoff.ms fetch.queue.backoff.ms group.id group.protocol group.protocol.type group.remote.assignor interceptor.classes
key.deserializer key.serializer value.deserializer value.serializer log.connection.close log.queue log.thread.name log_level
max.block.ms max.poll.records metadata.cluster.check.enable metadata.max.idle.ms metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy
metric.reporters metrics.num.samples metrics.recording.level metrics.sample.window.ms message.copy.max.bytes
partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms partitioner.ignore.keys partitioner.rack.aware
queue.buffering.backpressure.threshold queue.buffering.max.kbytes queued.max.messages.kbytes queued.min.messages
receive.buffer.bytes send.buffer.bytes reconnect.backoff.max.ms reconnect.backoff.ms reconnect.backoff.jitter.ms retry.backoff.max.ms retry.backoff.ms
sasl.client.callback.handler.class sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms sasl.login.read.timeout.ms
sasl.login.refresh.buffer.seconds sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor sasl.login.refresh.window.jitter
sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms security.providers share.acknowledgement.mode share.acquire.mode
socket.blocking.max.ms socket.connection.setup.timeout.max.ms socket.keepalive.enable socket.max.fails socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes
ssl.cipher.suites ssl.curves.list ssl.enabled.protocols ssl.keymanager.algorithm ssl.protocol ssl.provider ssl.secure.random.implementation ssl.sigalgs.list ssl.trustmanager.algorithm
statistics.interval.ms sticky.partitioning.linger.ms topic.blacklist topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt
topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.sparse transaction.timeout.ms transaction.two.phase.commit.enable transactional.id`

// text is a property that an option takes as it is.
func text(opt func(string) kgo.Opt) property {
	return func(c *connection, v string) error { c.opts = append(c.opts, opt(v)); return nil }
}

// millis is a property of milliseconds.
func millis(opt func(time.Duration) kgo.Opt) property {
	return number(0, math.MaxInt32, func(n int64) kgo.Opt { return opt(time.Duration(n) * time.Millisecond) })
}

// number is a property that is a whole number from low to high.
func number(low, high int64, opt func(int64) kgo.Opt) property {
	return func(c *connection, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q is not a whole number from %d to %d", v, low, high)
		}
		c.opts = append(c.opts, opt(n))
		return nil
	}
}

// truth reads true or false.
func truth(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", v)
}

func acks(c *connection, v string) error {
	switch v {
	case "all", "-1":
		c.opts = append(c.opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		c.opts = append(c.opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		c.opts = append(c.opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return fmt.Errorf("%q is none of all, -1, 1 and 0", v)
	}
	return nil
}

func codec(c *connection, v string) error {
	k, err := Codec(v)
	if err == nil {
		c.opts = append(c.opts, kgo.ProducerBatchCompression(k))
	}
	return err
}

// Codec finds a compression by its name in Kafka.
func Codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("%q is not a codec; the codecs are none, gzip, snappy, lz4 and zstd", name)
}

func partitioner(c *connection, v string) error {
	switch name := v[strings.LastIndexByte(v, '.')+1:]; name {
	case "murmur2_random", "murmur2", "DefaultPartitioner", "UniformStickyPartitioner":
		c.opts = append(c.opts, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	case "consistent", "consistent_random":
		return errors.New("the CRC32 partitioner of librdkafka is not known here; take murmur2_random, which is Java's, or say the partition with -p")
	case "random", "RoundRobinPartitioner":
		c.opts = append(c.opts, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	default:
		return fmt.Errorf("%q is none of murmur2_random, random, DefaultPartitioner, UniformStickyPartitioner and RoundRobinPartitioner", v)
	}
	return nil
}

func isolation(c *connection, v string) error {
	switch v {
	case "read_uncommitted":
		c.opts = append(c.opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	case "read_committed":
		c.opts = append(c.opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	default:
		return fmt.Errorf("%q is neither read_uncommitted nor read_committed", v)
	}
	return nil
}

func assignors(c *connection, v string) error {
	var balancers []kgo.GroupBalancer
	for _, s := range strings.Split(v, ",") {
		s = strings.TrimSpace(s)
		switch s[strings.LastIndexByte(s, '.')+1:] {
		case "range", "RangeAssignor":
			balancers = append(balancers, kgo.RangeBalancer())
		case "roundrobin", "RoundRobinAssignor":
			balancers = append(balancers, kgo.RoundRobinBalancer())
		case "sticky", "StickyAssignor":
			balancers = append(balancers, kgo.StickyBalancer())
		case "cooperative-sticky", "CooperativeStickyAssignor":
			balancers = append(balancers, kgo.CooperativeStickyBalancer())
		default:
			return fmt.Errorf("%q is none of range, roundrobin, sticky and cooperative-sticky", s)
		}
	}
	c.opts = append(c.opts, kgo.Balancers(balancers...))
	return nil
}

// secure makes options of the properties of TLS and SASL, which mean something only together.
func (c *connection) secure() error {
	protocol := strings.ToUpper(strings.ReplaceAll(c.values["security.protocol"], "_", ""))
	tlsOn, saslOn := false, false
	switch protocol {
	case "", "PLAINTEXT":
	case "SSL":
		tlsOn = true
	case "SASLPLAINTEXT":
		saslOn = true
	case "SASLSSL":
		tlsOn, saslOn = true, true
	default:
		return fmt.Errorf("security.protocol: %q is none of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL", c.values["security.protocol"])
	}
	if tlsOn {
		conf, err := c.tls()
		if err != nil {
			return err
		}
		c.opts = append(c.opts, kgo.DialTLSConfig(conf))
	}
	if saslOn {
		m, err := c.sasl()
		if err != nil {
			return err
		}
		c.opts = append(c.opts, kgo.SASL(m))
	}
	return nil
}

// sasl makes the mechanism.
func (c *connection) sasl() (sasl.Mechanism, error) {
	user, password := c.values["sasl.username"], c.values["sasl.password"]
	if jaas := c.values["sasl.jaas.config"]; jaas != "" {
		if u, ok := jaasValue(jaas, "username"); ok {
			user = u
		}
		if p, ok := jaasValue(jaas, "password"); ok {
			password = p
		}
	}
	mechanism := strings.ToUpper(c.values["sasl.mechanism"])
	if mechanism == "OAUTHBEARER" {
		token, err := Secret(c.values["sasl.oauthbearer.token"])
		if err != nil {
			return nil, fmt.Errorf("sasl.oauthbearer.token: %w", err)
		}
		if token == "" {
			return nil, errors.New("sasl.mechanism=OAUTHBEARER needs sasl.oauthbearer.token, for example cmd:get-token or file:/run/token")
		}
		return oauth.Auth{Token: token}.AsMechanism(), nil
	}
	password, err := Secret(password)
	if err != nil {
		return nil, fmt.Errorf("sasl.password: %w", err)
	}
	if user == "" || password == "" {
		return nil, errors.New("SASL needs sasl.username and sasl.password, or sasl.jaas.config with both")
	}
	switch mechanism {
	case "PLAIN":
		return saslplain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	case "":
		return nil, errors.New("SASL needs sasl.mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	}
	return nil, fmt.Errorf("sasl.mechanism: %q is not known here; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER are", mechanism)
}

// jaasValue finds key="value" in a line of JAAS configuration.
func jaasValue(line, key string) (string, bool) {
	for rest := line; ; {
		i := strings.Index(rest, key)
		if i < 0 {
			return "", false
		}
		before := i == 0 || strings.ContainsRune(" \t;", rune(rest[i-1]))
		rest = rest[i+len(key):]
		v, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), "=")
		if !ok || !before {
			continue
		}
		v = strings.TrimLeft(v, " ")
		if v, ok := strings.CutPrefix(v, `"`); ok {
			var b strings.Builder
			for i := 0; i < len(v); i++ {
				switch {
				case v[i] == '\\' && i+1 < len(v):
					i++
				case v[i] == '"':
					return b.String(), true
				}
				b.WriteByte(v[i])
			}
			return "", false
		}
		end := strings.IndexAny(v, " ;")
		if end < 0 {
			end = len(v)
		}
		return v[:end], true
	}
}

// tls makes the configuration of TLS: who is trusted, and who this client is.
func (c *connection) tls() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if v := c.values["enable.ssl.certificate.verification"]; v != "" {
		on, err := truth(v)
		if err != nil {
			return nil, fmt.Errorf("enable.ssl.certificate.verification: %w", err)
		}
		conf.InsecureSkipVerify = !on
	}
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	conf.RootCAs = roots
	algorithm, said := c.values["ssl.endpoint.identification.algorithm"]
	switch {
	case !said || strings.EqualFold(algorithm, "https"):
	case algorithm == "" || algorithm == "none":
		trustAnyName(conf)
	default:
		return nil, fmt.Errorf("ssl.endpoint.identification.algorithm: %q is neither https nor none", algorithm)
	}
	cert, err := c.certificate()
	if err != nil {
		return nil, err
	}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	return conf, nil
}
