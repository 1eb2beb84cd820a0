package topic

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// settle waits a moment until the brokers know what the controller has decided, so that the next command sees
// it: Kafka's brokers learn of new and deleted topics a little later than who asked for them. wanted is how many
// partitions with a leader a topic is to have, 0 for one that is to be gone. It gives up silently.
func settle(ctx context.Context, cl *kgo.Client, wanted map[string]int) {
	if len(wanted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req := metadataOf(wanted)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || settled(resp, wanted) || !app.Sleep(ctx, pause) {
			return
		}
	}
}

// metadataOf asks for the topics.
func metadataOf(wanted map[string]int) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for name := range wanted {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	return req
}

// everywhere waits, within --timeout, until every broker that answers knows what the controller has decided.
func everywhere(ctx context.Context, a *app.App, cl *kgo.Client, wanted map[string]int) error {
	if len(wanted) == 0 {
		return nil
	}
	req := metadataOf(wanted)
	return a.Wait(ctx, "every broker is to know of it", func(ctx context.Context) (bool, error) {
		for _, b := range cl.DiscoveredBrokers() {
			resp, err := b.RetriableRequest(ctx, req)
			if err != nil {
				return false, nil // it is down or busy, and is asked again
			}
			if !settled(resp.(*kmsg.MetadataResponse), wanted) {
				return false, nil
			}
		}
		return true, nil
	})
}

// settled says that metadata shows what is wanted.
func settled(resp *kmsg.MetadataResponse, wanted map[string]int) bool {
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		led := 0
		for _, p := range t.Partitions {
			if p.Leader >= 0 {
				led++
			}
		}
		want := wanted[*t.Topic]
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case err != nil && err != kerr.UnknownTopicOrPartition && err != kerr.LeaderNotAvailable:
			// Nothing can be learned of it: it is not for this user to see.
		case want == 0 && err != kerr.UnknownTopicOrPartition, led < want:
			return false
		}
	}
	return true
}
