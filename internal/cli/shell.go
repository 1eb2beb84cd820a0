package cli

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/klamm/klamm/internal/cli/app"
)

// shells are those that completion knows.
var shells = [...]string{"bash", "zsh", "fish", "powershell"}

// completion prints what a shell needs to complete commands, flags, topics, groups and keys.
func completion(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "completion SHELL", Short: "Print the completion script for bash, zsh, fish or powershell", Args: app.Exactly("SHELL"), ValidArgs: shells[:],
		Example: `  source <(klamm completion bash)                            # in this shell; in ~/.bashrc for every one
  klamm completion zsh > "${fpath[1]}/_klamm"
  klamm completion fish > ~/.config/fish/completions/klamm.fish`,
		Long: "Print what a shell needs to complete klamm's commands and flags, and the topics, groups and keys of the cluster\nthat is connected to.",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		root := c.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(a.Out, true)
		case "zsh":
			return root.GenZshCompletion(a.Out)
		case "fish":
			return root.GenFishCompletion(a.Out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(a.Out)
		}
		return app.Usage(c, "there is no completion for %q; there is for %s", args[0], strings.Join(shells[:], ", "))
	}
	return c
}

// man writes manual pages.
func man(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "man --dir DIR", Short: "Write manual pages, one a command", Args: app.Exactly(),
		Example: "  klamm man --dir /usr/local/share/man/man1\n  klamm man --dir /tmp/man && man /tmp/man/klamm-topic-create.1",
	}
	dir := c.Flags().String("dir", "", "where to write them")
	dry := app.DryRunFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *dir == "" {
			return app.Usage(c, "--dir is missing")
		}
		pages := 0
		var count func(*cobra.Command)
		count = func(c *cobra.Command) {
			pages++
			for _, sub := range c.Commands() {
				if sub.IsAvailableCommand() {
					count(sub)
				}
			}
		}
		count(c.Root())
		if *dry {
			a.Say("would write %s to %s", app.CountText(pages, "page"), *dir)
			return nil
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return app.Input(err, "%s could not be made", *dir)
		}
		// The day of the release and not of today, so that the same binary writes the same pages.
		released := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
		root := c.Root()
		root.DisableAutoGenTag = true
		if err := doc.GenManTree(root, &doc.GenManHeader{Title: "KLAMM", Section: "1", Date: &released, Source: "klamm " + app.Version, Manual: "Klamm"}, *dir); err != nil {
			return app.Input(err, "the pages could not be written to %s", *dir)
		}
		a.Say("wrote %s to %s", app.CountText(pages, "page"), *dir)
		return nil
	}
	return c
}

// otherName is the command that a program's name stands for: kafka-topics.sh for kafka-topics. It is empty for klamm's own.
func otherName(root *cobra.Command, program string) string {
	name := filepath.Base(program)
	for _, ending := range []string{".exe", ".sh", ".bat"} {
		name = strings.TrimSuffix(name, ending)
	}
	for _, c := range root.Commands() {
		if c.GroupID == "compat" && c.Name() == name {
			return name
		}
	}
	return ""
}
