package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what klamm version says.
type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Kafka   string `json:"kafka"`
}

// version prints what this binary is.
func (a *app) version() *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "What this binary is", Args: exactly(),
		Example: "  klamm version\n  klamm version -o json",
	}
	form := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := versionInfo{Version: Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Kafka: "the protocol of Apache Kafka 3.9 and 4.4"}
		if b, ok := debug.ReadBuildInfo(); ok {
			for _, s := range b.Settings {
				if s.Key == "vcs.revision" {
					v.Commit = s.Value[:min(12, len(s.Value))]
				}
			}
		}
		switch *form {
		case "table":
			fmt.Fprintf(a.out, "klamm %s  %s/%s  %s  commit %s\nspeaks %s\n", v.Version, v.OS, v.Arch, v.Go, orDash(v.Commit), v.Kafka)
			return nil
		case "json":
			return printJSON(a.out, v)
		}
		return printList(c, a.out, *form, list[versionInfo]{
			items: []versionInfo{v}, header: []string{"version", "commit", "go", "os", "arch", "kafka"},
			row:  func(v versionInfo) []string { return []string{v.Version, v.Commit, v.Go, v.OS, v.Arch, v.Kafka} },
			name: func(v versionInfo) string { return v.Version },
		})
	}
	return c
}

// orDash is s, or a dash for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
