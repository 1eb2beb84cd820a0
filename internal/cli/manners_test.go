package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// leaves calls f with every command that does something, and its path without klamm. Those under Kafka's own
// names have Kafka's manners.
func leaves(f func(path string, c *cobra.Command)) {
	walk(Root(apptest.Discard()), func(c *cobra.Command) {
		if !c.HasAvailableSubCommands() && c.GroupID != "compat" {
			f(strings.TrimPrefix(c.CommandPath(), "klamm "), c)
		}
	})
}

// verbsThatChange are the verbs of commands that change a cluster, files or settings.
var verbsThatChange = []string{
	"create", "alter", "clone", "delete", "add-partitions", "trim", "empty", "import", "replay", "seek", "forget", "log-level", "use", "edit", "init", "man", "format", "produce",
}

// TestEveryCommandThatChangesSomethingHasADryRun asks it of commands by their verbs and of those that say it themselves.
func TestEveryCommandThatChangesSomethingHasADryRun(t *testing.T) {
	leaves(func(path string, c *cobra.Command) {
		if path == "config init" {
			return // it prints
		}
		if slices.Contains(verbsThatChange, c.Name()) != app.Changes(c) && slices.Contains(verbsThatChange, c.Name()) {
			t.Errorf("klamm %s changes something and has no --dry-run", path)
		}
		if destroys := slices.Contains([]string{"delete", "trim", "empty"}, c.Name()); destroys && (c.Flags().Lookup("confirm") == nil || c.Flags().Lookup("yes") == nil) {
			t.Errorf("klamm %s destroys something and has no --confirm and -y", path)
		}
	})
}

// printNothing are the commands whose standard output is empty, a file's text, or a stream of its own form.
var printNothing = []string{
	"dev", "demo", "server", "init", "produce", "config init", "completion", "man", "generate prometheus", "generate alerts", "profile use", "profile create",
	"profile edit", "profile delete", "debug bundle", "topic import", "topic replay", "topic delete",
	"group delete", "group forget", "group export",
}

// readRecords are the commands whose -o is the offset to begin at and whose -f is the form.
var readRecords = []string{"consume", "tail", "topic grep", "topic sample", "topic export"}

// TestEveryCommandThatPrintsDataTakesEveryForm wants -o with all forms, or -o as a range and -f.
func TestEveryCommandThatPrintsDataTakesEveryForm(t *testing.T) {
	leaves(func(path string, c *cobra.Command) {
		o := c.Flags().Lookup("output")
		switch {
		case slices.Contains(readRecords, path):
			if s := c.Flags().ShorthandLookup("o"); s == nil || s.Name != "offset" {
				t.Errorf("klamm %s: -o must be the offset to begin at", path)
			}
			if path != "topic export" && c.Flags().ShorthandLookup("f") == nil {
				t.Errorf("klamm %s has no -f", path)
			}
		case slices.Contains(printNothing, path):
		case o == nil || o.Shorthand != "o":
			t.Errorf("klamm %s has no -o", path)
		default:
			for _, form := range []string{"table", "wide", "json", "jsonl", "yaml", "csv", "name", "template={{.}}", "schema"} {
				if err := o.Value.Set(form); err != nil {
					t.Errorf("klamm %s -o %s: %v", path, form, err)
				}
			}
		}
	})
}

// TestEveryCommandHasAScript wants each command in testdata/script, run as a person would. Commands that run until
// they are stopped are run by tests of their own.
func TestEveryCommandHasAScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	walk(Root(apptest.Discard()), func(c *cobra.Command) {
		path := c.CommandPath()
		if c.HasAvailableSubCommands() || slices.Contains([]string{"klamm dev", "klamm server", "klamm completion", "klamm man"}, path) {
			return
		}
		if !regexp.MustCompile(`(?m)^(\[.*\] )?(! )?(exec|exits \d|retry .*) ` + regexp.QuoteMeta(path) + `( |$)`).MatchString(all.String()) {
			t.Errorf("no script runs %s", path)
		}
	})
}

// TestListsAndPagesCanBeWatched wants --watch of what changes by itself.
func TestListsAndPagesCanBeWatched(t *testing.T) {
	leaves(func(path string, c *cobra.Command) {
		noun, _, _ := strings.Cut(path, " ")
		live := slices.Contains([]string{"topic", "group", "cluster", "node", "client"}, noun)
		if live && slices.Contains([]string{"list", "describe", "health", "lag"}, c.Name()) && c.Flags().Lookup("watch") == nil {
			t.Errorf("klamm %s has no --watch", path)
		}
	})
}

// TestNamesAreCompleted wants a completion for every argument that names a topic or a group, and for every flag of fixed words.
func TestNamesAreCompleted(t *testing.T) {
	leaves(func(path string, c *cobra.Command) {
		for _, word := range []string{"TOPIC", "GROUP", "KEY", "NAME"} {
			makes := c.Name() == "create" || path == "topic import"
			if strings.Contains(c.Use, word) && !makes && c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
				t.Errorf("klamm %s does not complete its %s", path, word)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Name == "config" && f.Value.Type() == "string" {
				return // a file
			}
			if _, ok := c.GetFlagCompletionFunc(f.Name); !ok && slices.Contains([]string{"output", "topic", "group", "compression", "config", "set", "unset"}, f.Name) {
				t.Errorf("klamm %s does not complete --%s", path, f.Name)
			}
		})
	})
}

// TestHelpTextsKeepTheirShape wants short texts of one line without a full stop, and flags that say what they are.
func TestHelpTextsKeepTheirShape(t *testing.T) {
	walk(Root(apptest.Discard()), func(c *cobra.Command) {
		if len(c.Short) > 110 || strings.HasSuffix(c.Short, ".") || strings.Contains(c.Short, "\n") {
			t.Errorf("%s: the short text %q is no line without a full stop", c.CommandPath(), c.Short)
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || f.Name != strings.ToLower(f.Name) {
				t.Errorf("%s --%s says nothing of itself, or has capitals", c.CommandPath(), f.Name)
			}
		})
	})
}

// TestErrorCodesAreOnTheirPage compares docs/errors.md with the codes there are.
func TestErrorCodesAreOnTheirPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^\| (K\d+) \|`).FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
	}
	if !slices.Equal(listed, app.Codes()) {
		t.Errorf("docs/errors.md lists %v, and the codes are %v", listed, app.Codes())
	}
	for exit := range 8 {
		if !strings.Contains(string(page), "\n| "+string(rune('0'+exit))+" | ") {
			t.Errorf("docs/errors.md does not say what exit code %d is", exit)
		}
	}
	// No code is made up in passing.
	known := regexp.MustCompile(`"K\d{4}"`)
	err = filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == filepath.Join("app", "failure.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if m := known.Find(text); m != nil {
			t.Errorf("%s writes %s; take the name of app", path, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryShellCompletes makes each script, and asks the way the scripts ask.
func TestEveryShellCompletes(t *testing.T) {
	for _, shell := range shells {
		if exit, out, text := klamm(t, "", "completion", shell); exit != 0 || !strings.Contains(out, "klamm") || len(out) < 500 {
			t.Errorf("%s: exit %d, %d bytes, %s", shell, exit, len(out), text)
		}
	}
	if exit, _, text := klamm(t, "", "completion", "tcsh"); exit != app.ExitUsage || !strings.Contains(text, "bash, zsh, fish") {
		t.Errorf("exit %d, %s", exit, text)
	}
	addr := apptest.Broker(t)
	for _, args := range [][]string{{"topic", "create", "orders", "payments"}, {"consume", "orders", "-g", "billing", "-o", "start", "-n", "1"}} {
		in := ""
		if args[0] == "consume" {
			klamm(t, "x\n", "produce", "orders", "-b", addr)
		}
		if exit, _, text := klamm(t, in, append(args, "-b", addr)...); exit != 0 {
			t.Fatalf("%v: exit %d, %s", args, exit, text)
		}
	}
	for _, c := range []struct {
		line string
		want []string
	}{
		{"top", []string{"topic"}}, {"topic des", []string{"describe"}}, {"topic describe o", []string{"orders"}}, {"topic delete -b " + addr + " ", []string{"orders", "payments"}},
		{"group describe b", []string{"billing"}}, {"consume p", []string{"payments"}}, {"topic list -o j", []string{"json", "jsonl"}}, {"config explain log.retention.h", []string{"log.retention.hours"}},
		{"topic alter orders --set retention.m", []string{"retention.ms=604800000"}}, {"topic alter orders --unset retention.m", []string{"retention.ms"}},
		{"kafka-top", []string{"kafka-topics"}},
	} {
		words := strings.Split(c.line, " ")
		args := append([]string{"__complete"}, words...)
		env := map[string]string{"KLAMM_BROKERS": addr}
		var out strings.Builder
		a := apptest.Discard()
		a.Out, a.Env = &out, func(k string) string { return env[k] }
		if exit := Run(t.Context(), a, append([]string{"klamm"}, args...)); exit != 0 {
			t.Errorf("%s: exit %d", c.line, exit)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); !strings.HasPrefix(word, ":") {
				got = append(got, word)
			}
		}
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%q completes to %v, want %v among them", c.line, got, c.want)
			}
		}
	}
}

// TestManualPagesAreTheSameEachTime writes them twice.
func TestManualPagesAreTheSameEachTime(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if exit, _, text := klamm(t, "", "man", "--dir", dir); exit != 0 {
			t.Fatalf("exit %d, %s", exit, text)
		}
	}
	pages, err := filepath.Glob(filepath.Join(one, "*.1"))
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, p := range pages {
		x, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(two, filepath.Base(p)))
		if err != nil || string(x) != string(y) || !strings.HasPrefix(string(x), ".") {
			t.Errorf("%s differs or is no page: %v", filepath.Base(p), err)
		}
	}
}

// TestKafkasNamesOfTheProgramAreItsTools calls the program by another name.
func TestKafkasNamesOfTheProgramAreItsTools(t *testing.T) {
	root := Root(apptest.Discard())
	for program, want := range map[string]string{
		"/usr/bin/kafka-topics.sh": "kafka-topics", "kafka-topics": "kafka-topics", "kafka-console-consumer.sh": "kafka-console-consumer", "kafka-topics.bat": "kafka-topics",
		"klamm": "", "/opt/klamm.exe": "", "topic": "", "kafka-something.sh": "",
	} {
		if got := otherName(root, program); got != want {
			t.Errorf("%s is %q, want %q", program, got, want)
		}
	}
}

// TestThePluralOfANounLists asks for each noun that has one, with flags before and behind it.
func TestThePluralOfANounLists(t *testing.T) {
	root := Root(apptest.Discard())
	for in, want := range map[string]string{
		"topics": "topics list", "topics -o json": "topics list -o json", "-q groups --timeout 1s": "-q groups list --timeout 1s", "-b x:1 topics": "-b x:1 topics list",
		"topics describe a": "topics describe a", "topic": "topic", "topics --help": "topics list --help", "produce topics": "produce topics", "topics lst": "topics lst", "": "",
	} {
		if got := strings.Join(app.Plural(root, strings.Fields(in)), " "); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
