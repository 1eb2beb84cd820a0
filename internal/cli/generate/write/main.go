// Write writes what package generate makes into a directory: the boards, prometheus.yml
// and klamm-alerts.yml. The suite that loads the rules with promtool's parser calls it.
//
//	go run ./internal/cli/generate/write DIRECTORY
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/klamm/klamm/internal/cli/generate"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: write DIRECTORY")
		os.Exit(2)
	}
	files := generate.Grafana()
	files["prometheus.yml"], files[generate.AlertsFile] = generate.Prometheus(nil), generate.Alerts()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), content, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "write:", err)
			os.Exit(1)
		}
	}
}
