package node

import (
	"fmt"
	"testing"

	"github.com/klamm/klamm/internal/rpc"
)

func TestRareLibrariesAreCountedTogether(t *testing.T) {
	count := map[rpc.ClientSoftware]int{{}: 3, {Name: "unknown", Version: "unknown"}: 1, {Name: "other", Version: "other"}: 2, {Name: "kgo", Version: "1"}: 100}
	for i := range 10 {
		count[rpc.ClientSoftware{Name: "rare", Version: fmt.Sprint(i)}] = 1
	}
	want := "[{{kgo 1} 100} {{rare 0} 1} {{rare 1} 1} {{unknown unknown} 4} {{other other} 10}]"
	if got := fmt.Sprint(few(count, 3)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fmt.Sprint(few(map[rpc.ClientSoftware]int{{Name: "kgo", Version: "1"}: 1}, 3)); got != "[{{kgo 1} 1}]" {
		t.Errorf("got %s", got)
	}
}
