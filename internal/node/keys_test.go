package node

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/config"
)

// differences are the keys on which we part from Kafka 4.4.0's answer, each with its reason.
func differences() map[string]string {
	return map[string]string{
		"broker admin.listener":        "ours alone",
		"broker klamm.slow.request.ms": "ours alone",
		"broker log.flush.before.ack":  "ours alone",
		"topic flush.before.ack":       "ours alone",
	}
}

// TestKeysAreThoseOfKafka compares name, type, default, whether it may change, secrecy and the first synonym of
// every key with what a real Apache Kafka 4.4.0 answered to DescribeConfigs.
func TestKeysAreThoseOfKafka(t *testing.T) {
	set, err := Keys()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/configs-4.4.0.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(set.Keys(config.Topic)) == 0 {
		t.Log("no room exports topic keys; they are not compared")
	}
	scopes := map[string]config.Scope{"broker": config.Broker, "topic": config.Topic, "group": config.Group, "client-metrics": config.ClientMetrics}
	seen := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		want := strings.Split(s.Text(), "\t")
		scope, name := scopes[want[0]], want[1]
		id := want[0] + " " + name
		seen[id] = true
		if differences()[id] != "" || len(set.Keys(scope)) == 0 {
			continue
		}
		k, ok := set.Lookup(scope, name)
		if !ok {
			t.Errorf("%s is missing", id)
			continue
		}
		if got := line(set, want[0], k); got != s.Text() {
			t.Errorf("%s\n got %q\nwant %q", id, got, s.Text())
		}
	}
	for text, scope := range scopes {
		for _, k := range set.Keys(scope) {
			if id := text + " " + k.Name; !seen[id] && differences()[id] == "" {
				t.Errorf("%s is not Kafka's; list it with its reason", id)
			}
		}
	}
}

// line writes a key as the table has it.
func line(set *config.Set, resource string, k *config.Key) string {
	value, _, _ := set.Value(k.Scope, k.Name, config.Layers{})
	update := "dynamic"
	if k.Scope == config.Broker && k.Update == config.ReadOnly {
		update = "read-only"
	}
	if k.Secret() {
		update += ",sensitive"
	}
	var syns strings.Builder
	for _, s := range set.Synonyms(k.Scope, k.Name, config.Layers{}) {
		if s.Name != k.Name && syns.Len() == 0 {
			fmt.Fprintf(&syns, " %s", s.Name)
		}
	}
	return strings.Join([]string{resource, k.Name, k.Kind.String(), value, update, syns.String()}, "\t")
}

// TestEveryKeyIsObeyedByOneRoom finds rows of inertKeys that a room has taken over.
func TestEveryKeyIsObeyedByOneRoom(t *testing.T) {
	obeyed := map[string]bool{}
	for _, room := range roomKeys() {
		for _, k := range room {
			obeyed[k.Scope.String()+" "+k.Name] = true
		}
	}
	for _, k := range inertKeys() {
		if obeyed[k.Scope.String()+" "+k.Name] {
			t.Errorf("%s %s is a room's now; remove its row from inert.go", k.Scope, k.Name)
		}
		if k.NoEffect == "" {
			t.Errorf("%s %s does not say why it has no effect", k.Scope, k.Name)
		}
	}
}
