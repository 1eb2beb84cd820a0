package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klamm/klamm/internal/rpc"
)

// mostClients is how many client libraries are warned of, each once; further ones are not.
const mostClients = 512

// release is a version of a library.
type release [3]int

// defect is what versions of a client library are known to do wrong.
type defect struct {
	library     string
	from, below release // versions from the one on and before the other
	key         int16   // the API whose call shows that it matters
	reason      string
	source      string // where that is said in public
}

// Keys of APIs whose calls show what a client is.
const (
	keyProduce        = 0
	keyFetch          = 1
	keyInitProducerID = 22
)

// defects are the known ones. The bindings of librdkafka tell its version within their own.
func defects() []defect {
	const (
		java, librdkafka = "apache-kafka-java", "librdkafka"
		misrouted        = "its producer may send records to another topic than their own, without an error, when batches expire while they are on their way"
		misroutedSource  = "https://issues.apache.org/jira/browse/KAFKA-19012 (CVE-2026-35554)"
	)
	return []defect{
		{java, release{2, 8, 0}, release{3, 9, 2}, keyProduce, misrouted + "; fixed in 3.9.2", misroutedSource},
		{java, release{4, 0, 0}, release{4, 0, 2}, keyProduce, misrouted + "; fixed in 4.0.2", misroutedSource},
		{java, release{4, 1, 0}, release{4, 1, 2}, keyProduce, misrouted + "; fixed in 4.1.2", misroutedSource},
		{librdkafka, release{1, 0, 0}, release{2, 3, 0}, keyInitProducerID, "its idempotent producer may end with a fatal error after a disconnection or a timeout; fixed in 2.3.0", "https://github.com/confluentinc/librdkafka/pull/4438"},
		{librdkafka, release{2, 2, 0}, release{2, 5, 0}, keyInitProducerID, "its idempotent producer may fail to send a large batch again; fixed in 2.5.0", "https://github.com/confluentinc/librdkafka/pull/4750"},
		{librdkafka, release{2, 2, 0}, release{2, 3, 0}, keyFetch, "after an interruption it may ask for metadata and leader epochs thousands of times a second until it is restarted; fixed in 2.3.0", "https://github.com/confluentinc/librdkafka/issues/4425"},
		{librdkafka, release{2, 1, 0}, release{2, 1, 1}, keyFetch, "its consumer may deliver records twice after a change of leader; fixed in 2.1.1", "https://github.com/confluentinc/librdkafka/issues/4261"},
	}
}

// oldest returns the oldest version of an API that Apache Kafka serves from 4.0 on (KIP-896). It
// advertises older ones of Produce for librdkafka's sake and refuses them.
func oldest(key int16) int16 {
	switch key {
	case 0: // Produce
		return 3
	case 1: // Fetch
		return 4
	case 8, 19, 23: // OffsetCommit, CreateTopics, OffsetForLeaderEpoch
		return 2
	case 2, 9, 20, 27, 29, 30, 31, 32, 34, 35, 38, 39, 40, 41:
		// ListOffsets, OffsetFetch, DeleteTopics, WriteTxnMarkers, DescribeAcls, CreateAcls, DeleteAcls,
		// DescribeConfigs, AlterReplicaLogDirs, DescribeLogDirs, the delegation tokens
		return 1
	}
	return 0
}

// clients remembers which client libraries were warned of.
type clients struct {
	known []defect

	mu   sync.Mutex // guards seen
	seen map[warned]struct{}
}

// warned is a library with what it was warned of.
type warned struct{ name, version, source string }

// first reports whether w is new and there is room to remember it.
func (k *clients) first(w warned) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, again := k.seen[w]; again || len(k.seen) >= mostClients {
		return false
	}
	k.seen[w] = struct{}{}
	return true
}

// of returns the known defects of a library.
func (k *clients) of(s rpc.ClientSoftware) (list []*defect) {
	library, version := s.Name, s.Version
	if _, inner, bound := strings.Cut(version, "librdkafka-"); bound {
		library, version = "librdkafka", inner
	}
	v, ok := parseRelease(version)
	if !ok {
		return nil
	}
	for i := range k.known {
		d := &k.known[i]
		if d.library == library && slices.Compare(v[:], d.from[:]) >= 0 && slices.Compare(v[:], d.below[:]) < 0 {
			list = append(list, d)
		}
	}
	return list
}

// parseRelease reads the numbers that a version begins with, such as v2.3 or 3.9.1-SNAPSHOT.
func parseRelease(s string) (r release, ok bool) {
	s = strings.TrimPrefix(s, "v")
	for i := range r {
		end := 0
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(s[:end])
		if err != nil {
			return r, i > 0
		}
		r[i] = n
		if s = s[end:]; !strings.HasPrefix(s, ".") {
			return r, true
		}
		s = s[1:]
	}
	return r, true
}

// judge warns of the client of c, once for each library, when it calls an API in a version that Apache Kafka
// serves no more, or one that a known defect of it shows in.
func (c *conn) judge(who *identity, api *servedAPI, version int16) {
	if version < api.oldest && !c.outdated {
		c.outdated = true
		c.warn(who, "a client uses an outdated version of the protocol", fmt.Sprintf("Apache Kafka serves %s from version %d on since 4.0; update the client", api.Name, api.oldest),
			"KIP-896", slog.String("api", api.Name), slog.Int("version", int(version)))
	}
	for i := 0; i < len(c.defects); i++ {
		if d := c.defects[i]; d.key == api.Key {
			c.defects = slices.Delete(slices.Clone(c.defects), i, i+1)
			i--
			c.warn(who, "a client's library has a known defect", d.reason, d.source)
		}
	}
}

// warn logs an outdated client, once for each library and source.
func (c *conn) warn(who *identity, message, reason, source string, attrs ...slog.Attr) {
	w := warned{who.software.Name, who.software.Version, source}
	if w.name == "" { // an old one, that tells no name
		w.version = who.client
	}
	if !c.s.clients.first(w) {
		return
	}
	attrs = append(attrs, slog.String("event", "outdated_client"), slog.String("software", cmp.Or(who.software.Name, "unknown")), slog.String("software_version", who.software.Version),
		slog.String("client_id", who.client), slog.String("remote", fmt.Sprint(c.Remote)), slog.String("listener", c.Listener), slog.String("reason", reason), slog.String("source", source))
	c.s.log.LogAttrs(context.Background(), slog.LevelWarn, message, attrs...)
}
