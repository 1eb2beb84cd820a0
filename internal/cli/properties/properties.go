// Package properties is the noun config: a server.properties is begun, checked, shown, explained and taken over
// from Kafka.
package properties

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/run"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/node"
)

// Noun is the noun config.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("config", "", "Begin, check, explain and migrate a server.properties", `  klamm config init > server.properties
  klamm config check server.properties
  klamm config explain log.retention.hours
  klamm config migrate kafka/server.properties > server.properties`,
		initial(a), check(a), show(a), explain(a), migrate(a))
}

// keys are all keys that a node knows.
func keys() *config.Set {
	set, err := node.Keys()
	if err != nil {
		panic(fmt.Sprintf("cli: the keys of the rooms do not fit together: %v", err)) // a test of node says so first
	}
	return set
}

// source is the flags that say where a configuration comes from, as klamm server has them.
func source(c *cobra.Command) (overrides *[]string, insecure *bool) {
	return c.Flags().StringArray("override", nil, "key=value that wins over the file; may be given again"),
		c.Flags().Bool("insecure-listen", false, "allow listeners beyond this machine, as klamm server does with it")
}

// check says whether a node would start from a file.
func check(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "check FILE", Short: "Say whether a node would start from a file, and what in it is worth a word", Args: app.Exactly("FILE"),
		Example: "  klamm config check server.properties\n  KAFKA_NUM_PARTITIONS=6 klamm config check server.properties   # the environment counts too",
	}
	form := app.OutputFlag(c)
	overrides, insecure := source(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := run.ReadConfig(c, node.Source{File: args[0], Environment: a.Environ, Overrides: *overrides, InsecureListen: *insecure})
		if err != nil {
			return err
		}
		var rows []finding
		for _, w := range cfg.Warnings {
			rows = append(rows, finding{"warning", "", w})
		}
		for _, k := range cfg.NoEffect {
			why := "it is for one listener alone, which is not looked at"
			if key, ok := cfg.Keys.Lookup(config.Broker, k); ok && key.NoEffect != "" {
				why = key.NoEffect
			}
			rows = append(rows, finding{"no effect", k, why})
		}
		if form.Human() {
			a.Say("%s is good: %s set, %d without effect", args[0], app.CountText(len(cfg.Origins), "key"), len(cfg.NoEffect))
			if len(rows) == 0 {
				return nil
			}
		}
		return app.PrintList(a, form, app.List[finding]{
			Items: rows,
			ID:    func(f finding) string { return f.Key },
			Columns: []app.Column[finding]{
				{Name: "kind", Text: func(f finding) string { return f.Kind }},
				{Name: "key", Text: func(f finding) string { return app.OrDash(f.Key) }},
				{Name: "text", Text: func(f finding) string { return f.Text }},
			},
		})
	}
	return c
}

// finding is something that config check has to say of a good file.
type finding struct {
	Kind string `json:"kind"` // warning, or no effect
	Key  string `json:"key"`
	Text string `json:"text"`
}

// setting is one key with its effective value.
type setting struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"` // default, FILE:LINE, environment NAME, or flag --override
	Kind   string  `json:"type"`
	Effect string  `json:"no_effect,omitempty"` // why the key changes nothing
}

// show prints every effective value with where it comes from.
func show(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "print FILE", Short: "Show each effective value and where it comes from", Args: app.Exactly("FILE"),
		Example: "  klamm config print server.properties\n  klamm config print server.properties --set         # without defaults\n  klamm config print server.properties -o json",
	}
	form := app.OutputFlag(c)
	overrides, insecure := source(c)
	set := c.Flags().Bool("set", false, "only what is set, without defaults")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := run.ReadConfig(c, node.Source{File: args[0], Environment: a.Environ, Overrides: *overrides, InsecureListen: *insecure})
		if err != nil {
			return err
		}
		var rows []setting
		for _, k := range cfg.Keys.Keys(config.Broker) {
			from, isSet := cfg.Origins[k.Name]
			if *set && !isSet {
				continue
			}
			if !isSet {
				from = "default"
			}
			row := setting{Key: k.Name, Source: from, Kind: k.Kind.String(), Effect: k.NoEffect}
			if v, null, _ := cfg.Keys.Value(config.Broker, k.Name, config.Layers{Static: cfg.Static}); !null {
				if k.Secret() {
					v = "(hidden)"
				}
				row.Value = &v
			}
			rows = append(rows, row)
		}
		return app.PrintList(a, form, app.List[setting]{
			Items: rows,
			ID:    func(s setting) string { return s.Key },
			Columns: []app.Column[setting]{
				{Name: "key", Text: func(s setting) string { return s.Key }},
				{Name: "value", Text: func(s setting) string { return valueText(s.Value) }},
				{Name: "source", Text: func(s setting) string { return s.Source }},
				{Name: "type", Wide: true, Text: func(s setting) string { return s.Kind }},
				{Name: "no_effect", Wide: true, Text: func(s setting) string { return app.OrDash(s.Effect) }},
			},
		})
	}
	return c
}

// valueText is a value for a table.
func valueText(v *string) string {
	if v == nil {
		return "null"
	}
	return *v
}

// explanation is all that is known of a key in one scope.
type explanation struct {
	Key      string   `json:"key"`
	Scope    string   `json:"scope"` // broker, topic, group or client-metrics
	Doc      string   `json:"doc"`
	Type     string   `json:"type"`
	Default  *string  `json:"default"`
	Allowed  string   `json:"allowed"`
	Changes  string   `json:"changes"` // how it may change while a node runs
	Synonyms []string `json:"synonyms,omitempty"`
	Since    string   `json:"since"`
	NoEffect string   `json:"no_effect,omitempty"`
}

// explain tells what keys do.
func explain(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "explain KEY...", Short: "Tell what a key does, its default, its range, and since when it is there", Args: app.AtLeastOne("KEY"),
		Example: "  klamm config explain log.retention.hours\n  klamm config explain retention.ms min.insync.replicas\n  klamm config explain zookeeper.connect          # what became of it",
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			return slices.DeleteFunc(names(keys()), func(n string) bool { return !strings.HasPrefix(n, begun) || slices.Contains(args, n) }), cobra.ShellCompDirectiveNoFileComp
		},
	}
	form := app.OutputFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		set := keys()
		var rows []explanation
		var fails []*app.Failure
		for _, key := range args {
			found := explanations(set, key)
			if len(found) == 0 {
				f := app.NotFound("key", key, "klamm config init --all shows all keys")
				if near := app.Nearest(key, names(set)); near != "" {
					f.Try = "did you mean klamm config explain " + near + "?"
				}
				fails = append(fails, f)
			}
			rows = append(rows, found...)
		}
		if err := app.PrintPages(a, form, 2, app.List[explanation]{
			Items: rows,
			ID:    func(e explanation) string { return e.Key },
			Columns: []app.Column[explanation]{
				{Name: "key", Text: func(e explanation) string { return e.Key }},
				{Name: "scope", Text: func(e explanation) string { return e.Scope }},
				{Name: "type", Text: func(e explanation) string { return e.Type }},
				{Name: "default", Text: func(e explanation) string { return valueText(e.Default) }},
				{Name: "allowed", Text: func(e explanation) string { return e.Allowed }},
				{Name: "changes", Text: func(e explanation) string { return e.Changes }},
				{Name: "since", Text: func(e explanation) string { return e.Since }},
				{Name: "no_effect", Text: func(e explanation) string { return e.NoEffect }},
				{Name: "doc", Text: func(e explanation) string { return e.Doc }},
			},
		}, func(w io.Writer, e explanation) { e.print(a, w) }); err != nil {
			return err
		}
		return app.Partly(a, len(rows), fails)
	}
	return c
}

// names are all names of keys of brokers, topics, groups and client metrics, each once.
func names(set *config.Set) (all []string) {
	for _, scope := range scopes() {
		for _, k := range set.Keys(scope) {
			all = append(all, k.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func scopes() []config.Scope {
	return []config.Scope{config.Broker, config.Topic, config.Group, config.ClientMetrics}
}

// explanations are what a name means, in each scope that has it; also for what Kafka had once.
func explanations(set *config.Set, name string) (all []explanation) {
	for _, scope := range scopes() {
		k, ok := set.Lookup(scope, name)
		if !ok {
			continue
		}
		e := explanation{Key: name, Scope: scope.String(), Doc: k.Doc, Type: k.Kind.String(), Allowed: k.Allowed(), Synonyms: k.Synonyms, NoEffect: k.NoEffect, Since: ours(name)}
		if !k.Null {
			e.Default = &k.Default
		}
		if e.Allowed == "" {
			e.Allowed = typeText(k.Kind)
		}
		e.Changes = "at any time: " + map[config.Scope]string{
			config.Topic: "klamm topic alter NAME --set " + name + "=VALUE", config.Group: "klamm kafka-configs --alter --group NAME --add-config " + name + "=VALUE",
			config.ClientMetrics: "klamm kafka-configs --alter --client-metrics NAME --add-config " + name + "=VALUE",
		}[scope]
		if scope == config.Broker {
			e.Changes = map[config.Update]string{
				config.ReadOnly:    "in the file and by a new start",
				config.PerBroker:   "while running, for one broker: klamm cluster config --broker ID --set " + name + "=VALUE",
				config.ClusterWide: "while running: klamm cluster config --set " + name + "=VALUE",
			}[k.Update]
		}
		if h, ok := historyOf(scope, name); ok {
			e.Since = h.text()
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		if h, ok := historyOf(config.Broker, name); ok {
			all = append(all, explanation{Key: name, Scope: config.Broker.String(), Doc: "A key of older Kafka. " + sentence(farewell(name)), Allowed: "-", Type: "-", Changes: "not at all", Since: h.text(), NoEffect: farewell(name)})
		}
	}
	return all
}

// ours is since when Klamm has a key of its own.
func ours(name string) string {
	if name == "klamm.slow.request.ms" {
		return "Klamm 0.2"
	}
	return "Klamm 0.1"
}

// typeText says what a type takes.
func typeText(k config.Kind) string {
	switch k {
	case config.Boolean:
		return "true or false"
	case config.Int, config.Long, config.Short:
		return "a whole number"
	case config.Double:
		return "a number"
	case config.List:
		return "texts separated by commas"
	case config.Class:
		return "a Java class name, kept and not loaded"
	case config.Password:
		return "a text that is never shown"
	case config.String:
	}
	return "a text"
}

// sentence makes a sentence of words.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// print writes the page for people.
func (e *explanation) print(a *app.App, w io.Writer) {
	fmt.Fprintf(w, "%s  (%s)\n%s\n", a.Paint(w, "bold", e.Key), e.Scope, e.Doc)
	if e.NoEffect != "" && e.Type != "-" {
		fmt.Fprintf(w, "It changes nothing here: %s.\n", e.NoEffect)
	}
	fmt.Fprintln(w)
	t := app.NewTable(w)
	if e.Type != "-" {
		t.Row("type", e.Type)
		t.Row("default", quoted(e.Default))
		t.Row("allowed", e.Allowed)
		t.Row("changes", e.Changes)
	}
	if len(e.Synonyms) > 0 {
		t.Row("falls back to", strings.Join(e.Synonyms, ", "))
	}
	t.Row("since", e.Since)
	_ = t.Flush()
}

// quoted is a default for people: a text that is empty can be seen.
func quoted(v *string) string {
	switch {
	case v == nil:
		return "none"
	case *v == "":
		return `"" (empty)`
	}
	return *v
}
