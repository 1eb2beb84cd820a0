package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
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
func version(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "What this binary is", Args: app.Exactly(),
		Example: "  klamm version\n  klamm version -o json",
	}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := versionInfo{Version: app.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Kafka: "the protocol of Apache Kafka 3.9 and 4.4"}
		if b, ok := debug.ReadBuildInfo(); ok {
			for _, s := range b.Settings {
				if s.Key == "vcs.revision" {
					v.Commit = s.Value[:min(12, len(s.Value))]
				}
			}
		}
		return app.PrintPages(a, form, 1, app.List[versionInfo]{
			Items: []versionInfo{v},
			ID:    func(v versionInfo) string { return v.Version },
			Columns: []app.Column[versionInfo]{
				{Name: "version", Text: func(v versionInfo) string { return v.Version }},
				{Name: "commit", Text: func(v versionInfo) string { return v.Commit }},
				{Name: "go", Text: func(v versionInfo) string { return v.Go }},
				{Name: "os", Text: func(v versionInfo) string { return v.OS }},
				{Name: "arch", Text: func(v versionInfo) string { return v.Arch }},
				{Name: "kafka", Text: func(v versionInfo) string { return v.Kafka }},
			},
		}, func(w io.Writer, v versionInfo) {
			fmt.Fprintf(w, "klamm %s  %s/%s  %s  commit %s\nspeaks %s\n", v.Version, v.OS, v.Arch, v.Go, app.OrDash(v.Commit), v.Kafka)
		})
	}
	return c
}
