package demo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

func TestTheSameSeedIsTheSameShop(t *testing.T) {
	tell := func(seed uint64) (all []string) {
		s := newShop(seed, time.Unix(1_767_225_600, 0))
		for _, r := range s.furnish() {
			all = append(all, r.Topic+string(r.Key)+string(r.Value))
		}
		for range 2000 {
			r := s.next()
			all = append(all, fmt.Sprint(r.Topic, string(r.Key), string(r.Value), r.Headers, r.Timestamp.UnixMilli()))
		}
		return all
	}
	one := tell(7)
	if !slices.Equal(one, tell(7)) {
		t.Error("the same seed is another shop")
	}
	if slices.Equal(one, tell(8)) {
		t.Error("another seed is the same shop")
	}
	for _, topic := range []string{topicOrders, topicPayments, topicClicks, topicCustomers, topicInventory} {
		if !slices.ContainsFunc(one, func(s string) bool { return strings.HasPrefix(s, topic) }) {
			t.Errorf("nothing happens in %s", topic)
		}
	}
	if !strings.Contains(strings.Join(one, ""), `"status":"refused"`) {
		t.Error("no payment is refused, and the block tells people to look for one")
	}
}

func TestThePromptRunsCommandsAgainstTheShop(t *testing.T) {
	var ran [][]string
	run := func(_ context.Context, a *app.App, args []string) int {
		ran = append(ran, args)
		addrs, from, err := a.Seeds()
		if err != nil || from != "--brokers" || len(addrs) != 1 {
			t.Errorf("%v: brokers %v from %s, %v", args, addrs, from, err)
		}
		return 0
	}
	build := func(a *app.App) []*cobra.Command { return []*cobra.Command{Command(a, run)} }
	in := "topic list\n\nklamm topic grep orders 'two words'  # comment\nload 100\nload x\ngroup 'open\ndev\nhelp\nquit\ntopic list\n"
	r := apptest.Run(t, build, "", in, "demo", "shop", "--listen", "127.0.0.1:0", "--load", "200")
	if r.Exit != 0 {
		t.Fatalf("%+v", r)
	}
	want := [][]string{{"klamm", "topic", "list"}, {"klamm", "topic", "grep", "orders", "two words"}}
	if fmt.Sprint(ran) != fmt.Sprint(want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	for _, s := range []string{"all in memory", "5 topics, 2 consumer groups", "200 events/s", "\n100 events/s\n", "load N: from 0", "has no end", "a demo already", "nothing was saved"} {
		if !strings.Contains(r.Err, s) {
			t.Errorf("lacks %q:\n%s", s, r.Err)
		}
	}
	if r := apptest.Run(t, build, "", "", "demo", "flowers"); r.Exit != app.ExitUsage || !strings.Contains(r.Err, "there is shop") {
		t.Errorf("%+v", r)
	}
}

func TestTheFirstLookAtTheGroupThatLagsFindsItsLag(t *testing.T) {
	committed := 0
	run := func(ctx context.Context, a *app.App, _ []string) int {
		c := &cobra.Command{}
		c.SetContext(ctx)
		if err := a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			offsets, err := adm.FetchOffsets(ctx, groupAnalytics)
			offsets.Each(func(kadm.OffsetResponse) { committed++ })
			return err
		}); err != nil {
			t.Error(err)
		}
		return 0
	}
	build := func(a *app.App) []*cobra.Command { return []*cobra.Command{Command(a, run)} }
	if r := apptest.Run(t, build, "", "group lag\n", "demo", "shop", "--listen", "127.0.0.1:0", "--load", "0"); r.Exit != 0 || committed != 12 {
		t.Errorf("%d partitions have a commit, and without one there is no lag; %+v", committed, r)
	}
}

func TestATakenPortOfTheDemoIsSaid(t *testing.T) {
	addr := apptest.Broker(t)
	var b bytes.Buffer
	a := &app.App{In: strings.NewReader(""), Out: &b, Err: &b, Env: func(string) string { return "" }}
	exit := apptest.RunApp(t, a, func(a *app.App) []*cobra.Command {
		return []*cobra.Command{Command(a, func(context.Context, *app.App, []string) int { return 0 })}
	}, "", "demo", "shop", "--listen", addr)
	if exit != app.ExitFailed || !strings.Contains(b.String(), "is taken") {
		t.Errorf("exit %d: %s", exit, b.String())
	}
}
