package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// The states of a check.
const (
	statusOK      = "ok"
	statusBad     = "bad"
	statusUnknown = "unknown" // nobody told
)

// check is one line of health.
type check struct {
	Check  string `json:"check"`  // brokers, controller, offline_partitions, under_replicated_partitions, under_min_isr_partitions, topics, log_dirs or disk_space
	Status string `json:"status"` // ok, bad or unknown
	Detail string `json:"detail"`
	Try    string `json:"try"` // what to look at next; empty when all is well
}

// health tells whether the cluster is well.
func health(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "health", Short: "Check whether the cluster is well; exit code 6 when it is not", Args: app.Exactly(),
		Example: "  klamm cluster health\n  klamm cluster health --exit-when ready --timeout 1m   # wait for a cluster that starts\n  klamm cluster health --watch",
	}
	form := app.OutputFlag(c)
	when := c.Flags().String("exit-when", "", "wait for this within --timeout: ready")
	free := c.Flags().Int("min-free", 5, "per cent of a disk that must be free")
	_ = c.RegisterFlagCompletionFunc("exit-when", app.CompleteValues("ready"))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *when != "" && *when != "ready" {
			return app.Usage(c, "--exit-when %s: it can be ready", *when)
		}
		if *free < 0 || *free > 100 {
			return app.Usage(c, "--min-free %d: allowed are 0 to 100", *free)
		}
		var checks []check
		var err error
		if *when == "" {
			checks, err = examine(a, c, *free)
		} else {
			checks, err = await(a, c, *free)
		}
		if checks == nil {
			return err
		}
		if err := app.PrintList(a, form, app.List[check]{
			Items: checks,
			ID:    func(r check) string { return r.Check },
			Columns: []app.Column[check]{
				{Name: "check", Text: func(r check) string {
					if form.Human() {
						return strings.ReplaceAll(r.Check, "_", " ")
					}
					return r.Check
				}},
				{Name: "status", Text: func(r check) string { return r.Status }},
				{Name: "detail", Text: func(r check) string { return r.Detail }},
				{Name: "try", Text: func(r check) string { return app.OrDash(r.Try) }},
			},
		}); err != nil {
			return err
		}
		if err == nil {
			err = verdict(checks)
		}
		if err != nil && c.Flags().Changed("watch") {
			// Who watches wants to see it become well again.
			app.Explain(err).Print(a.Err)
			return nil
		}
		return err
	}
	a.Watchable(c)
	return c
}

// verdict is a failure when a check is bad.
func verdict(checks []check) error {
	n, first := 0, check{}
	for _, k := range checks {
		if k.Status == statusBad {
			if n++; n == 1 {
				first = k
			}
		}
	}
	if n == 0 {
		return nil
	}
	return &app.Failure{
		Exit: app.ExitUnhealthy, Code: app.CodeUnhealthy, What: fmt.Sprintf("the cluster is not well: %d of %s", n, app.CountText(len(checks), "check")),
		Why: first.Detail, Try: first.Try,
	}
}

// await examines the cluster again and again until it is well, also one that does not answer yet.
func await(a *app.App, c *cobra.Command, free int) (checks []check, err error) {
	whole := c.Context()
	ctx, cancel := context.WithTimeout(whole, a.Timeout())
	defer cancel()
	c.SetContext(ctx) // bounds every attempt too
	defer c.SetContext(whole)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		now, err := examine(a, c, free)
		if now != nil {
			checks = now
		}
		if err == nil && verdict(now) == nil {
			return now, nil
		}
		var f *app.Failure
		if errors.As(err, &f) && f.Code != app.CodeUnreachable && f.Code != app.CodeTimeout {
			return nil, err
		}
		if !app.Sleep(ctx, pause) {
			late := &app.Failure{Exit: app.ExitTimeout, Code: app.CodeTimeout, What: "the cluster is not ready after " + app.DurationText(a.Timeout()), Try: "a longer --timeout"}
			switch v := verdict(checks); {
			case checks != nil && v != nil:
				late.Why = app.Explain(v).Why
			case err != nil:
				late.Why = app.Explain(err).Error()
			}
			return checks, late
		}
	}
}

// examine makes all checks.
func examine(a *app.App, c *cobra.Command, free int) (checks []check, err error) {
	err = a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
		s, err := look(ctx, cl, adm, true)
		if err != nil {
			return err
		}
		checks = s.checks(versions(ctx, cl, adm, s.active()), minISRs(ctx, cl, s.topics), logDirs(ctx, adm), free)
		return nil
	})
	return checks, err
}

// minISRs asks for min.insync.replicas of all topics; those that are not told are left out.
func minISRs(ctx context.Context, cl *kgo.Client, topics kadm.TopicDetails) map[string]int {
	const atOnce = 2000
	got := make(map[string]int, len(topics))
	for part := range slices.Chunk(topics.Names(), atOnce) {
		for name, of := range settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: part, Keys: []string{"min.insync.replicas"}}) {
			if n, ok := of.Int("min.insync.replicas"); ok {
				got[name] = int(n)
			}
		}
	}
	return got
}

// checks judges what was found.
func (s *survey) checks(versions map[int32]version, minISR map[string]int, dirs kadm.DescribedAllLogDirs, free int) []check {
	return append(append([]check{s.checkBrokers(versions), s.checkController()}, s.checkPartitions(minISR)...), s.checkDirs(dirs, free)...)
}

// checkBrokers looks for brokers that do not answer or are fenced.
func (s *survey) checkBrokers(versions map[int32]version) check {
	var wrong []string
	try := "klamm node list"
	for _, m := range s.members {
		switch err := versions[m.ID].err; {
		case m.Fenced:
			wrong = append(wrong, fmt.Sprintf("broker %d is fenced", m.ID))
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("broker %d at %s does not answer: %s", m.ID, m.addr(), errorText(err)))
		}
	}
	switch {
	case len(s.members) == 0:
		return check{"brokers", statusBad, "there are none", try}
	case len(wrong) > 0:
		return check{"brokers", statusBad, fmt.Sprintf("%d of %d: %s", len(wrong), len(s.members), strings.Join(wrong, "; ")), try}
	case len(s.members) == 1:
		return check{"brokers", statusOK, "1 broker answers", ""}
	}
	return check{"brokers", statusOK, fmt.Sprintf("%d brokers answer", len(s.members)), ""}
}

// checkController looks for the controller.
func (s *survey) checkController() check {
	if s.controller < 0 {
		return check{"controller", statusBad, "there is no active controller, so nothing can be changed and no leader be elected", "klamm node list"}
	}
	return check{"controller", statusOK, fmt.Sprintf("node %d", s.controller), ""}
}

// checkPartitions looks for partitions that cannot be read, cannot be written or have replicas missing.
func (s *survey) checkPartitions(minISR map[string]int) []check {
	var offline, few, thin []kadm.PartitionDetail
	all := s.partitions()
	for _, p := range all {
		if p.Leader < 0 {
			offline = append(offline, p)
		} else if len(p.ISR) < minISR[p.Topic] {
			few = append(few, p)
		}
		if len(p.ISR) < len(p.Replicas) {
			thin = append(thin, p)
		}
	}
	one := func(name, well, wrong string, list []kadm.PartitionDetail) check {
		if len(list) == 0 {
			return check{name, statusOK, well, ""}
		}
		return check{name, statusBad, fmt.Sprintf("%d of %s %s: %s", len(list), app.CountText(len(all), "partition"), wrong, some(list)), "klamm topic describe " + list[0].Topic}
	}
	list := []check{
		one("offline_partitions", fmt.Sprintf("none of %d", len(all)), "without a leader", offline),
		one("under_replicated_partitions", "none", "with replicas missing", thin),
		one("under_min_isr_partitions", "none", "with fewer than min.insync.replicas in sync, which acks=all cannot write", few),
	}
	if len(all) > 0 && len(minISR) == 0 {
		list[2] = check{list[2].Check, statusUnknown, "the brokers do not tell min.insync.replicas", ""}
	}
	var unread []string
	s.topics.EachError(func(t kadm.TopicDetail) { unread = append(unread, t.Topic) })
	if len(unread) > 0 {
		slices.Sort(unread)
		list = append(list, check{"topics", statusBad, fmt.Sprintf("%s cannot be described: %s", app.CountText(len(unread), "topic"), strings.Join(unread[:min(3, len(unread))], ", ")), "klamm topic describe " + unread[0]})
	}
	return list
}

// checkDirs looks for log directories that failed, and for disks that are nearly full where that is told.
func (s *survey) checkDirs(dirs kadm.DescribedAllLogDirs, free int) []check {
	var failed, full []string
	broker, n, told := int32(-1), 0, 0
	least := 100.0
	for _, d := range dirs.Sorted() {
		n++
		if d.Err != nil {
			failed = append(failed, fmt.Sprintf("%s on broker %d: %s", d.Dir, d.Broker, errorText(d.Err)))
			broker = d.Broker
			continue
		}
		if d.TotalBytes <= 0 || d.UsableBytes < 0 {
			continue
		}
		told++
		share := 100 * float64(d.UsableBytes) / float64(d.TotalBytes)
		least = min(least, share)
		if share < float64(free) {
			full = append(full, fmt.Sprintf("%s on broker %d has %s of %s free (%.1f %%)", d.Dir, d.Broker, app.BytesText(d.UsableBytes), app.BytesText(d.TotalBytes), share))
		}
	}
	list := make([]check, 0, 2)
	switch {
	case n == 0:
		list = append(list, check{"log_dirs", statusUnknown, "the brokers do not tell", ""})
	case len(failed) > 0:
		list = append(list, check{"log_dirs", statusBad, strings.Join(failed, "; "), fmt.Sprintf("klamm node describe %d", broker)})
	default:
		list = append(list, check{"log_dirs", statusOK, fmt.Sprintf("%d online", n), ""})
	}
	switch {
	case told == 0:
		list = append(list, check{"disk_space", statusUnknown, "the brokers do not tell", ""})
	case len(full) > 0:
		list = append(list, check{"disk_space", statusBad, strings.Join(full, "; "), "klamm topic list -o wide   # or delete elsewhere on that disk"})
	default:
		list = append(list, check{"disk_space", statusOK, fmt.Sprintf("%.0f %% free at least", least), ""})
	}
	return list
}
