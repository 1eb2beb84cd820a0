package cli

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/cli/app"
)

// TestCommandsNamedInTheReadmeAreThere holds what stands between backticks in prose and tables against the tree;
// the blocks are run by TestPagesAreTrue.
func TestCommandsNamedInTheReadmeAreThere(t *testing.T) {
	named := regexp.MustCompile("`klamm ([^`]+)`")
	ran := 0
	for _, page := range []string{"../../README.md", "../../docs/tour.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			ran++
			root := Root(app.New(strings.NewReader(""), io.Discard, io.Discard))
			c, rest, err := root.Find(strings.Fields(m[1]))
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil && !c.HasSubCommands() {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil || c == root || c.HasSubCommands() && c.Flags().NArg() > 0 {
				t.Errorf("%s names klamm %s, which does not work like that: %v", page, m[1], err)
			}
		}
	}
	if ran < 20 {
		t.Errorf("%d commands found", ran)
	}
}
