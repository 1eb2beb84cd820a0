package klamm_test

import (
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm"
)

func TestTheExampleOfTheReadmeWorks(t *testing.T) {
	ctx := t.Context()
	// begin
	broker, err := klamm.Start(ctx, klamm.Options{Topics: []klamm.Topic{{Name: "orders"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.Dialer(broker.Dialer()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("two apples")}).FirstErr()
	// end
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(readme), "```go\n")
	shown, _, _ = strings.Cut(shown, "```")
	_, runs, _ := strings.Cut(string(self), "// begin\n")
	runs, _, _ = strings.Cut(runs, "\t// end")
	if runs = strings.TrimPrefix(strings.ReplaceAll(runs, "\n\t", "\n"), "\t"); runs != shown {
		t.Errorf("README.md shows\n%s\nand what runs here is\n%s", shown, runs)
	}
}
