// Package profile is the noun of profiles: clusters that are connected to by a name.
package profile

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/klamm/klamm/internal/cli/app"
)

// Noun is the noun of profiles.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("profile", "profiles", "Clusters to connect to by a name", `  klamm profile create prod --brokers kafka-1:9092,kafka-2:9092 --protect
  klamm profile use prod
  klamm topic list --profile local`,
		list(a), use(a), create(a), edit(a), show(a), remove(a))
}

// row is a profile as data.
type row struct {
	Name       string            `json:"name"`
	Current    bool              `json:"current"`
	Brokers    []string          `json:"brokers"`
	Protect    bool              `json:"protect"`
	Colour     string            `json:"colour"`
	Properties map[string]string `json:"properties"`
}

// secretPlace says that a value only tells where a secret is.
func secretPlace(v string) bool {
	kind, _, ok := strings.Cut(v, ":")
	return ok && slices.Contains([]string{"file", "env", "cmd"}, kind)
}

// newRow makes a row, with secrets out.
func newRow(name string, all *app.Profiles) row {
	p := all.All[name]
	r := row{Name: name, Current: name == all.Current, Brokers: p.Brokers, Protect: p.Protect, Colour: p.Colour, Properties: map[string]string{}}
	for k, v := range p.Properties {
		for _, secret := range []string{"password", "token", "jaas", "key.pem", "keystore.key", "secret"} {
			if strings.Contains(k, secret) && !secretPlace(v) {
				v = "(hidden)"
			}
		}
		r.Properties[k] = v
	}
	return r
}

// table is a list of profiles.
func table(rows []row) app.List[row] {
	return app.List[row]{
		Items: rows,
		ID:    func(r row) string { return r.Name },
		Columns: []app.Column[row]{
			{Name: "name", Text: func(r row) string { return r.Name }},
			{Name: "current", Text: func(r row) string { return mark(r.Current) }},
			{Name: "brokers", Text: func(r row) string { return strings.Join(r.Brokers, ",") }},
			{Name: "protect", Text: func(r row) string { return mark(r.Protect) }},
			{Name: "colour", Wide: true, Text: func(r row) string { return app.OrDash(r.Colour) }},
			{Name: "properties", Wide: true, Text: func(r row) string { return app.OrDash(strings.Join(pairs(r.Properties), " ")) }},
		},
	}
}

func mark(on bool) string {
	if on {
		return "yes"
	}
	return "-"
}

// pairs are properties as key=value, sorted.
func pairs(properties map[string]string) (all []string) {
	for _, k := range slices.Sorted(maps.Keys(properties)) {
		all = append(all, k+"="+properties[k])
	}
	return all
}

// list lists profiles.
func list(a *app.App) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List profiles", Args: app.Exactly(), Example: "  klamm profile list\n  klamm profile list -o wide"}
	form := app.OutputFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		all, err := a.Profiles()
		if err != nil {
			return err
		}
		var rows []row
		for _, n := range all.Names() {
			rows = append(rows, newRow(n, all))
		}
		if len(rows) == 0 && form.Human() {
			a.Say("no profiles yet; klamm profile create NAME --brokers HOST:PORT makes one")
			return nil
		}
		return app.PrintList(a, form, table(rows))
	}
	return c
}

// complete completes names of profiles.
func complete(a *app.App) app.Completion {
	return app.CompleteOnce(func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		all, err := a.Profiles()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.DeleteFunc(all.Names(), func(n string) bool { return !strings.HasPrefix(n, begun) }), cobra.ShellCompDirectiveNoFileComp
	})
}

// missing is the failure for a profile that is not there.
func missing(name string, all *app.Profiles) error {
	f := app.NotFound("profile", name, "klamm profile list")
	if near := app.Nearest(name, all.Names()); near != "" {
		f.Try = "did you mean " + near + "? klamm profile list"
	}
	return f
}

// use makes a profile the one that is used when none is named.
func use(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "use NAME", Short: "Use a profile when none is named", Args: app.Exactly("NAME"), ValidArgsFunction: complete(a),
		Example: "  klamm profile use prod\n  klamm profile use ''          # none",
	}
	dry := app.DryRunFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		all, err := a.Profiles()
		if err != nil {
			return err
		}
		if _, ok := all.All[args[0]]; !ok && args[0] != "" {
			return missing(args[0], all)
		}
		all.Current = args[0]
		if !*dry {
			if err := all.Save(); err != nil {
				return err
			}
		}
		if args[0] == "" {
			a.Say("no profile is used when none is named")
			return nil
		}
		a.Say("profile %s is used from now on: %s", args[0], strings.Join(all.All[args[0]].Brokers, ","))
		return nil
	}
	return c
}

// create makes a profile.
func create(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "create NAME --brokers HOST:PORT", Short: "Make a profile", Args: app.Exactly("NAME"),
		Example: `  klamm profile create local --brokers localhost:9092
  klamm profile create prod -b kafka-1:9092 -X security.protocol=SASL_SSL -X sasl.mechanism=SCRAM-SHA-512 -X sasl.username=me -X sasl.password=env:KAFKA_PASSWORD --protect --colour red`,
		Long: "Make a profile of the brokers (-b) and properties (-X) of this command line. A secret is better kept elsewhere\nand named by file:PATH, env:NAME or cmd:COMMAND.",
	}
	dry := app.DryRunFlag(c)
	protect := c.Flags().Bool("protect", false, "destroying anything needs --confirm NAME")
	colour := c.Flags().String("colour", "", "marks the cluster on a terminal: red, yellow, green or blue")
	use := c.Flags().Bool("use", false, "use it from now on")
	force := c.Flags().Bool("force", false, "write over a profile of that name")
	_ = c.RegisterFlagCompletionFunc("colour", app.CompleteValues("red", "yellow", "green", "blue"))
	c.RunE = func(c *cobra.Command, args []string) error {
		all, err := a.Profiles()
		if err != nil {
			return err
		}
		name := args[0]
		if name == "" || strings.ContainsAny(name, " \t\n/") {
			return app.Usage(c, "%q cannot be the name of a profile: it has letters, digits, dots, - and _", name)
		}
		if _, ok := all.All[name]; ok && !*force {
			return &app.Failure{Exit: app.ExitFailed, Code: app.CodeExists, What: "profile " + name + " exists already", Try: "klamm profile show " + name + ", or --force to write over it"}
		}
		brokers, properties, err := a.Said()
		if err != nil {
			return err
		}
		p := app.Profile{Brokers: app.SplitBrokers(brokers), Properties: properties, Protect: *protect, Colour: *colour}
		if err := p.Check(); err != nil {
			return app.Usage(c, "profile %s cannot be made: %s", name, err)
		}
		all.All[name] = p
		if *use || len(all.All) == 1 {
			all.Current = name
		}
		if *dry {
			a.Say("would make profile %s in %s", name, all.Path())
			return nil
		}
		if err := all.Save(); err != nil {
			return err
		}
		a.Say("made profile %s", name)
		if all.Current == name {
			a.Say("it is used from now on when none is named")
		}
		return nil
	}
	return c
}

// show tells a profile.
func show(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "show [NAME]", Short: "Show a profile, with its secrets out", ValidArgsFunction: complete(a),
		Example: "  klamm profile show          # the one that is used\n  klamm profile show prod -o yaml",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return app.Usage(c, "%q is one argument too many", args[1])
			}
			return nil
		},
	}
	form := app.OutputFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		all, err := a.Profiles()
		if err != nil {
			return err
		}
		name := all.Current
		if len(args) == 1 {
			name = args[0]
		}
		if _, ok := all.All[name]; !ok {
			if name == "" {
				return &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: "no profile is used", Try: "klamm profile use NAME"}
			}
			return missing(name, all)
		}
		return app.PrintPages(a, form, 1, table([]row{newRow(name, all)}), func(w io.Writer, r row) {
			t := app.NewTable(w)
			t.Row("profile", r.Name)
			t.Row("brokers", strings.Join(r.Brokers, ","))
			t.Row("current", mark(r.Current))
			t.Row("protect", mark(r.Protect))
			t.Row("colour", app.OrDash(r.Colour))
			for _, kv := range pairs(r.Properties) {
				t.Row("-X", kv)
			}
			t.Row("file", all.Path())
			_ = t.Flush()
		})
	}
	return c
}

// edit opens the file of profiles in the person's editor, and keeps what comes back when it can be used.
func edit(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "edit", Short: "Edit the profiles in your editor (env VISUAL, EDITOR)", Args: app.Exactly(),
		Example: "  klamm profile edit\n  EDITOR=nano klamm profile edit",
	}
	dry := app.DryRunFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		path, text, err := editable(a)
		if err != nil {
			return err
		}
		editor := a.Env("VISUAL")
		if editor == "" {
			editor = a.Env("EDITOR")
		}
		if editor == "" {
			editor = "vi"
		}
		dir, err := os.MkdirTemp("", "klamm-profile-*")
		if err != nil {
			return err
		}
		draft := filepath.Join(dir, "config.yaml")
		if err := os.WriteFile(draft, text, 0o600); err != nil {
			return err
		}
		run := exec.CommandContext(c.Context(), "sh", "-c", editor+` "$0"`, draft)
		run.Stdin, run.Stdout, run.Stderr = a.In, a.Err, a.Err
		if err := run.Run(); err != nil {
			_ = os.RemoveAll(dir)
			return app.Input(err, "the editor %s failed; nothing was changed", editor)
		}
		edited, err := os.ReadFile(draft)
		if err != nil {
			return err
		}
		if bytes.Equal(edited, text) {
			_ = os.RemoveAll(dir)
			a.Say("nothing was changed")
			return nil
		}
		if err := app.ParseProfiles(edited, &app.Profiles{}); err != nil {
			f := app.Input(err, "what was edited cannot be used, and nothing was changed")
			f.Try = "your text is in " + draft
			return f
		}
		defer os.RemoveAll(dir)
		if *dry {
			a.Say("would change %s", path)
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return app.Input(err, "the profiles could not be saved")
		}
		if err := app.WriteFile(path, edited, 0o600); err != nil {
			return app.Input(err, "the profiles could not be saved")
		}
		a.Say("changed %s", path)
		return nil
	}
	return c
}

// editable is the file of profiles as it is, also when it cannot be used, or a first one.
func editable(a *app.App) (path string, text []byte, err error) {
	path = a.ProfilesPath()
	if path == "" {
		return "", nil, &app.Failure{Exit: app.ExitFailed, Code: app.CodeInput, What: "there is no place for profiles", Why: "neither XDG_CONFIG_HOME nor HOME is set", Try: "set HOME"}
	}
	text, err = os.ReadFile(path)
	if err == nil {
		return path, text, nil
	}
	if !os.IsNotExist(err) {
		return "", nil, app.Input(err, "the profiles could not be read")
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Clusters to connect to by a name. properties are a client's, in librdkafka's names or Java's;\n# a secret may stand elsewhere: file:PATH, env:NAME, cmd:COMMAND.")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err = enc.Encode(app.Profiles{Version: 1, Current: "local", All: map[string]app.Profile{"local": {Brokers: []string{app.DefaultBroker}}}})
	return path, b.Bytes(), err
}

// remove deletes a profile.
func remove(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete a profile", Args: app.Exactly("NAME"), ValidArgsFunction: complete(a),
		Example: "  klamm profile delete old\n  klamm profile delete old -y",
	}
	harm := app.HarmFlags(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		all, err := a.Profiles()
		if err != nil {
			return err
		}
		if _, ok := all.All[args[0]]; !ok {
			return missing(args[0], all)
		}
		if *harm.DryRun {
			a.Say("would delete profile %s", args[0])
			return nil
		}
		if err := harm.Ask(a, args[0], "delete it"); err != nil {
			return err
		}
		delete(all.All, args[0])
		if all.Current == args[0] {
			all.Current = ""
		}
		if err := all.Save(); err != nil {
			return err
		}
		a.Say("deleted profile %s", args[0])
		return nil
	}
	return c
}
