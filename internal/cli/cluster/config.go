package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// setting is one key of the brokers.
type setting struct {
	// Broker is null where all brokers have the same.
	Broker *int32 `json:"broker"`
	settings.Row
}

// step is one change of the brokers.
type step struct {
	// Broker is null for all brokers.
	Broker *int32 `json:"broker"`
	settings.Step
}

// brokerText names a broker, or all.
func brokerText(id *int32) string {
	if id == nil {
		return "all"
	}
	return fmt.Sprint(*id)
}

// config shows and changes the configuration of the brokers.
func config(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "config [KEY...]", Short: "Show the brokers' configuration, or change it while they run",
		Example: "  klamm cluster config                         # what is not default\n  klamm cluster config --all --broker 1\n  klamm cluster config log.retention.ms -o wide\n  klamm cluster config --set log.retention.ms=86400000   # of all brokers\n  klamm cluster config --broker 1 --unset log.cleaner.threads",
	}
	form := app.OutputFlag(c)
	all := c.Flags().Bool("all", false, "defaults too")
	broker := c.Flags().Int32("broker", -1, "of this broker alone")
	flags := settings.AddFlags(c, a.CompleteBrokerSettings(), a.CompleteBrokerConfigs())
	dry := app.DryRunFlag(c)
	c.ValidArgsFunction = a.CompleteBrokerConfigs()
	_ = c.RegisterFlagCompletionFunc("broker", a.CompleteNodes())
	c.RunE = func(c *cobra.Command, keys []string) error {
		changes, err := flags.Changes(c)
		if err != nil {
			return err
		}
		if c.Flags().Changed("broker") && *broker < 0 {
			return app.Usage(c, "--broker %d: not an id of a broker", *broker)
		}
		switch {
		case len(changes) > 0 && (len(keys) > 0 || *all):
			return app.Usage(c, "either show keys or change them")
		case len(changes) == 0 && *dry:
			return app.Usage(c, "nothing is to be changed: give --set, --unset, --append or --subtract")
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			s, err := look(ctx, cl, adm, false)
			if err != nil {
				return err
			}
			ids := s.active()
			if *broker >= 0 {
				if !slices.Contains(ids, *broker) {
					return missingNode(*broker)
				}
				ids = []int32{*broker}
			}
			got := settings.Describe(ctx, cl, settings.Query{
				Kind: kmsg.ConfigResourceTypeBroker, Names: names(ids), Documentation: len(changes) == 0 && (form.Wide() || !form.Human()),
			})
			var only *int32
			if *broker >= 0 {
				only = broker
			}
			if len(changes) > 0 {
				return change(ctx, a, form, cl, got, ids, only, changes, *dry)
			}
			return show(a, form, got, ids, only, keys, *all)
		})
	}
	return c
}

// missingNode is the failure for a broker that is not there.
func missingNode(id int32) *app.Failure {
	return app.NotFound("node", strconv.Itoa(int(id)), "klamm node list")
}

// show prints the keys: a row for all brokers where they agree, otherwise a row for each.
func show(a *app.App, form *app.Form, got map[string]*settings.Resource, ids []int32, only *int32, keys []string, all bool) error {
	var fails []*app.Failure
	var able []int32
	for _, id := range ids {
		if f := got[strconv.Itoa(int(id))].Failure("the configuration of broker %d could not be read", id); f != nil {
			fails = append(fails, f)
			continue
		}
		able = append(able, id)
	}
	byKey := map[string][]setting{}
	var order []string
	for _, id := range able {
		for _, row := range got[strconv.Itoa(int(id))].Rows {
			if _, seen := byKey[row.Key]; !seen {
				order = append(order, row.Key)
			}
			byKey[row.Key] = append(byKey[row.Key], setting{&id, row})
		}
	}
	slices.Sort(order)
	if len(keys) > 0 && len(able) > 0 {
		for _, k := range keys {
			if len(byKey[k]) == 0 {
				fails = append(fails, got[strconv.Itoa(int(able[0]))].Unknown("broker", k))
			}
		}
		order = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return len(byKey[k]) == 0 })
	}
	var rows []setting
	for _, k := range order {
		list := byKey[k]
		if len(keys) == 0 && !all && !slices.ContainsFunc(list, func(s setting) bool { return !s.IsDefault() }) {
			continue
		}
		same := len(list) == len(able)
		for _, s := range list[1:] {
			same = same && s.Text() == list[0].Text() && s.Source == list[0].Source
		}
		if same && only == nil {
			list = []setting{{nil, list[0].Row}}
		}
		rows = append(rows, list...)
	}
	if len(rows) == 0 && form.Human() {
		if len(fails) == 0 {
			a.Say("all is default; --all shows it")
		}
		return app.Partly(a, 0, fails)
	}
	if err := app.PrintList(a, form, app.List[setting]{
		Items:   rows,
		ID:      func(s setting) string { return s.Key },
		Columns: settings.Columns(func(s setting) settings.Row { return s.Row }, app.Column[setting]{Name: "broker", Text: func(s setting) string { return brokerText(s.Broker) }}),
	}); err != nil {
		return err
	}
	return app.Partly(a, len(rows), fails)
}

// change changes the configuration of all brokers or of one.
func change(ctx context.Context, a *app.App, form *app.Form, cl *kgo.Client, got map[string]*settings.Resource, ids []int32, only *int32, changes []settings.Change, dry bool) error {
	name, layer, whose := "", kmsg.ConfigSourceDynamicDefaultBrokerConfig, "all brokers"
	if only != nil {
		name, layer, whose = strconv.Itoa(int(*only)), kmsg.ConfigSourceDynamicBrokerConfig, fmt.Sprintf("broker %d", *only)
	}
	of := got[strconv.Itoa(int(ids[0]))]
	if f := of.Failure("the configuration of broker %d could not be read", ids[0]); f != nil {
		return f
	}
	plan, fails := of.Plan("broker", layer, changes)
	if len(fails) > 0 {
		return app.Partly(a, 0, fails)
	}
	for _, o := range settings.Alter(ctx, cl, kmsg.ConfigResourceTypeBroker, []string{name}, changes, dry) {
		if f := o.Failure("%s could not be altered", whose); f != nil {
			return f
		}
	}
	steps := make([]step, len(plan))
	verb := "altered"
	if dry {
		verb = "would alter"
	}
	for i, s := range plan {
		steps[i] = step{only, s}
		if form.Human() {
			a.Say("%s %s: %s", verb, whose, s)
		}
		for _, id := range ids {
			if row, ok := got[strconv.Itoa(int(id))].Row(s.Key); only == nil && ok && row.From() == kmsg.ConfigSourceDynamicBrokerConfig {
				a.Say("note: broker %d has a value of its own, which counts there: klamm cluster config --broker %d --unset %s", id, id, s.Key)
			}
		}
	}
	if form.Human() {
		return nil
	}
	return app.PrintList(a, form, app.List[step]{
		Items: steps,
		ID:    func(s step) string { return s.Key },
		Columns: []app.Column[step]{
			{Name: "broker", Text: func(s step) string { return brokerText(s.Broker) }},
			{Name: "key", Text: func(s step) string { return s.Key }},
			{Name: "old", Text: func(s step) string { return settings.ValueText(s.Old, false) }},
			{Name: "new", Text: func(s step) string { return settings.ValueText(s.New, false) }},
		},
	})
}
