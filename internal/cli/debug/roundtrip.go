package debug

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// trips is how many records make the round trip, and how many before them that are not measured.
const (
	trips  = 20
	warmUp = 3
)

// roundTrip sends records one by one through a topic of its own, which it deletes again, and compares the clocks.
func roundTrip(ctx context.Context, a *app.App, c *cobra.Command) []check {
	var id [4]byte
	_, _ = rand.Read(id[:])
	topic := "klamm-doctor-" + hex.EncodeToString(id[:])
	cl, err := a.Client(ctx, c, kgo.RetryTimeout(patience), kgo.RecordDeliveryTimeout(2*patience), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(topic),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return []check{{"round_trip", bad, app.Explain(err).Error(), ""}}
	}
	defer cl.Close()
	adm := a.AdminOf(cl)
	appendTime := "LogAppendTime"
	_, err = adm.CreateTopic(ctx, 1, -1, map[string]*string{"message.timestamp.type": &appendTime}, topic)
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.PolicyViolation) {
		return []check{{"round_trip", warn, "left out: topics may not be created by this client", ""}}
	}
	if err != nil {
		return []check{{"round_trip", bad, fmt.Sprintf("topic %s could not be created: %s", topic, app.Explain(err).Error()), "klamm cluster health"}}
	}
	checks := travel(ctx, cl)
	// Also after Ctrl-C and when time is up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*patience)
	defer cancel()
	if _, err := adm.DeleteTopic(ctx, topic); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		checks = append(checks, check{"clean_up", bad, fmt.Sprintf("topic %s could not be deleted: %s", topic, app.Explain(err).Error()), "klamm topic delete " + topic + " -y"})
	}
	return checks
}

// travel measures records, one after another.
func travel(ctx context.Context, cl *kgo.Client) []check {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	var acked, read []time.Duration
	var drift *time.Duration
	for i := range warmUp + trips {
		began := time.Now()
		if err := cl.ProduceSync(ctx, kgo.StringRecord("klamm doctor")).FirstErr(); err != nil {
			return []check{{"round_trip", bad, "a record could not be produced: " + app.Explain(err).Error(), "klamm cluster health"}}
		}
		ack := time.Now()
		r, err := next(ctx, cl)
		if err != nil {
			return []check{{"round_trip", bad, "a record that was produced could not be read: " + app.Explain(err).Error(), "klamm cluster health"}}
		}
		if i < warmUp {
			continue
		}
		acked, read = append(acked, ack.Sub(began)), append(read, time.Since(began))
		if d := apart(r.Timestamp, began, ack); drift == nil || d.Abs() < drift.Abs() {
			drift = &d
		}
	}
	slices.Sort(acked)
	slices.Sort(read)
	trip := check{"round_trip", ok, fmt.Sprintf("acknowledged in %s, read in %s (medians of %d); slowest %s", shortText(acked[trips/2]), shortText(read[trips/2]), trips, shortText(read[trips-1])), ""}
	if read[trips/2] > 250*time.Millisecond {
		trip.Status, trip.Try = warn, "klamm cluster health, and the disk of the broker: klamm doctor there"
	}
	return []check{trip, clock(*drift)}
}

// next is the next record of a client.
func next(ctx context.Context, cl *kgo.Client) (*kgo.Record, error) {
	for {
		fetches := cl.PollRecords(ctx, 1)
		if fetches.NumRecords() > 0 {
			return fetches.Records()[0], nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) {
				return nil, e.Err
			}
		}
	}
}

// apart is how far a time that a broker gave, in whole milliseconds, lies outside of the time that passed here
// meanwhile; above zero when the broker is ahead.
func apart(given, from, to time.Time) time.Duration {
	from, to = from.Truncate(time.Millisecond), to.Truncate(time.Millisecond)
	switch {
	case given.Before(from):
		return given.Sub(from)
	case given.After(to):
		return given.Sub(to)
	}
	return 0
}

// clock is the check of the clocks.
func clock(drift time.Duration) check {
	k := check{"clock", ok, "the broker's is this machine's, to the millisecond", ""}
	if drift == 0 {
		return k
	}
	side := "ahead of"
	if drift < 0 {
		side = "behind"
	}
	k.Detail = fmt.Sprintf("the broker's is %s %s this machine's", shortText(drift.Abs()), side)
	switch {
	case drift.Abs() >= time.Minute:
		k.Status = bad
	case drift.Abs() >= time.Second:
		k.Status = warn
	}
	if k.Status != ok {
		k.Try = "set the clocks by NTP (chrony, systemd-timesyncd); times of records, retention and offsets by time depend on them"
	}
	return k
}
