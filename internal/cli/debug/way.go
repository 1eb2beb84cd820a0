package debug

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm/klamm/internal/cli/app"
)

// patience is how long the doctor waits for an answer.
const patience = 5 * time.Second

// way is the way from here to a cluster.
type way struct {
	cl    *kgo.Client
	seeds []string
	seed  *kgo.Broker // the one of the seeds that answered
	md    *kmsg.MetadataResponse
}

// ask asks the addresses that were named for the metadata, and not those that clients are told, which may not be
// reachable.
func (w *way) ask(ctx context.Context) (check, bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil is all
	var errs []error
	for i, seed := range w.cl.SeedBrokers() {
		began := time.Now()
		res, err := req.RequestWith(ctx, seed)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		w.seed, w.md = seed, res
		addr := w.seeds[min(i, len(w.seeds)-1)]
		w.seeds = []string{addr}
		cluster := "-"
		if res.ClusterID != nil {
			cluster = *res.ClusterID
		}
		return check{"broker", ok, fmt.Sprintf("%s answered in %s; cluster %s, %s", addr, shortText(time.Since(began)), cluster, app.CountText(len(res.Brokers), "broker")), ""}, true
	}
	f := app.Explain(errors.Join(errs...))
	k := check{"broker", bad, fmt.Sprintf("%s accepts connections and does not answer as a Kafka broker: %s", strings.Join(w.seeds, ","), f.Error()), "does it want TLS or SASL? -X security.protocol=SASL_SSL and others, or a profile"}
	if f.Code == app.CodeAuth {
		k.Try = "-X sasl.mechanism=..., -X sasl.username=..., -X sasl.password=..., or a profile"
	}
	return k, false
}

// needed are the APIs without which the commands of klamm and most clients can do little.
var needed = [...]kmsg.Key{
	kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.Heartbeat,
	kmsg.LeaveGroup, kmsg.SyncGroup, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.InitProducerID, kmsg.DescribeConfigs,
}

// versions compares what the broker speaks with what this client does.
func (w *way) versions(ctx context.Context) []check {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "klamm", app.Version
	res, err := req.RequestWith(ctx, w.seed)
	if err != nil {
		return []check{{"apis", bad, "the broker did not tell its APIs: " + app.Explain(err).Error(), "a broker of Kafka 2.0 or later"}}
	}
	k := overlap(res)
	if k.Status == ok {
		if software := w.software(ctx, res); software != "" {
			k.Detail = software + "; " + k.Detail
		}
	}
	return []check{k}
}

// software names what the broker is; empty when it cannot be known.
func (w *way) software(ctx context.Context, res *kmsg.ApiVersionsResponse) string {
	req := kmsg.NewPtrDescribeConfigsRequest()
	// A broker tells its own configuration alone, and nobody has said yet which of them answers.
	for _, b := range w.md.Brokers {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(b.NodeID)), []string{adminKey}
		req.Resources = append(req.Resources, r)
	}
	if configs, err := req.RequestWith(ctx, w.seed); err == nil {
		for _, r := range configs.Resources {
			if slices.ContainsFunc(r.Configs, func(c kmsg.DescribeConfigsResponseResourceConfig) bool { return c.Name == adminKey }) {
				return "Klamm"
			}
		}
	}
	guess := kversion.FromApiVersionsResponse(res).VersionGuess()
	if strings.Contains(guess, " ") {
		return "" // between two, or a version of its own
	}
	return "Kafka " + strings.TrimPrefix(guess, "v")
}

// overlap is the check of versions.
func overlap(res *kmsg.ApiVersionsResponse) check {
	rows := apiRows(0, res, false)
	common := 0
	has := map[int16]bool{}
	for _, r := range rows {
		if r.Used >= 0 {
			common++
			has[r.Key] = true
		}
	}
	var without []string
	for _, k := range needed {
		if !has[int16(k)] {
			without = append(without, kmsg.NameForKey(int16(k)))
		}
	}
	c := check{"apis", ok, fmt.Sprintf("this client speaks %d of the broker's %d APIs", common, len(rows)), ""}
	if len(without) > 0 {
		c.Status, c.Detail = bad, fmt.Sprintf("no common version of %s", strings.Join(without, ", "))
		c.Try = "a newer klamm, or a newer broker; klamm debug api-versions --diff"
	}
	return c
}

// advertised tries every address that clients are told.
func (w *way) advertised(ctx context.Context) []check {
	brokers := w.md.Brokers
	checks := make([]check, len(brokers))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i, b := range brokers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			checks[i] = w.dial(ctx, b)
		})
	}
	wg.Wait()
	var unreached []int
	for i, k := range checks {
		if k.Status == bad {
			unreached = append(unreached, i)
		}
	}
	if len(unreached) == 0 {
		if len(checks) > 3 {
			return []check{{"advertised", ok, fmt.Sprintf("all %d addresses that clients are told are reachable from here", len(checks)), ""}}
		}
		return checks
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var bads []check
	for _, i := range unreached {
		bads = append(bads, w.remedy(ctx, brokers[i], checks[i]))
	}
	return bads
}

// dial tries the address of a broker, and whether the one who answers there is of this cluster.
func (w *way) dial(ctx context.Context, b kmsg.MetadataResponseBroker) check {
	addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	k := check{"advertised", ok, fmt.Sprintf("clients are told %s for broker %d, and it is reachable from here", addr, b.NodeID), ""}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		k.Status, k.Detail = bad, fmt.Sprintf("clients are told %s for broker %d, and it is not reachable from here: %v", addr, b.NodeID, err)
		return k
	}
	_ = conn.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	res, err := req.RequestWith(ctx, w.cl.Broker(int(b.NodeID)))
	switch {
	case err != nil:
		k.Status, k.Detail = bad, fmt.Sprintf("clients are told %s for broker %d, and what is there does not answer as this broker: %s", addr, b.NodeID, app.Explain(err).Error())
	case res.ClusterID != nil && w.md.ClusterID != nil && *res.ClusterID != *w.md.ClusterID:
		k.Status, k.Detail = bad, fmt.Sprintf("clients are told %s for broker %d, and from here that is a broker of another cluster, %s", addr, b.NodeID, *res.ClusterID)
	}
	return k
}

// remedy says which line of configuration makes a broker reachable.
func (w *way) remedy(ctx context.Context, b kmsg.MetadataResponseBroker, k check) check {
	told := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	good := w.seeds[0]
	if len(w.md.Brokers) > 1 {
		good = "ADDRESS-OF-BROKER-" + strconv.Itoa(int(b.NodeID)) + ":PORT"
	} else {
		k.Detail += fmt.Sprintf("\n%s, which was named, does reach it: an address translation, a mapped port of a container, or a name\nthat means another machine there stands between. Clients connect to what they are told, so they fail.", good)
	}
	var listeners, advertised string
	name := strconv.Itoa(int(b.NodeID))
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeBroker, name, []string{"listeners", "advertised.listeners"}
	req.Resources = append(req.Resources, r)
	// By the seed, as the address of the broker itself is the one that does not work.
	if res, err := req.RequestWith(ctx, w.seed); err == nil {
		for _, r := range res.Resources {
			for _, c := range r.Configs {
				switch {
				case c.Value == nil || r.ErrorCode != 0:
				case c.Name == "listeners":
					listeners = *c.Value
				case c.Name == "advertised.listeners":
					advertised = *c.Value
				}
			}
		}
	}
	k.Try = fmt.Sprintf("in the configuration of broker %d, and then a restart: %s", b.NodeID, advertisedLine(listeners, advertised, told, good))
	return k
}

// advertisedLine is the line that makes clients be told good where they are told told. listeners and advertised are
// the broker's present configuration; either may be empty.
func advertisedLine(listeners, advertised, told, good string) string {
	split := func(s string) (list []string) {
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); strings.Contains(part, "://") {
				list = append(list, part)
			}
		}
		return list
	}
	entries, found := split(advertised), false
	for i, e := range entries {
		if name, addr, _ := strings.Cut(e, "://"); addr == told {
			entries[i], found = name+"://"+good, true
		}
	}
	if !found {
		entries = nil
		for _, e := range split(listeners) {
			name, addr, _ := strings.Cut(e, "://")
			if strings.EqualFold(name, "CONTROLLER") {
				continue
			}
			_, port, _ := net.SplitHostPort(addr)
			_, toldPort, _ := net.SplitHostPort(told)
			if !found && (port == toldPort || port == "0") {
				e, found = name+"://"+good, true
			}
			entries = append(entries, e)
		}
		// A listener on any address has nothing to tell.
		entries = slices.DeleteFunc(entries, func(e string) bool {
			return strings.Contains(e, "://:") || strings.Contains(e, "://0.0.0.0:") || strings.Contains(e, "://[::]:")
		})
	}
	if !found {
		return "advertised.listeners=PLAINTEXT://" + good
	}
	return "advertised.listeners=" + strings.Join(entries, ",")
}
