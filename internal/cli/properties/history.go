package properties

import (
	_ "embed" // the table of keys
	"strings"

	"github.com/klamm/klamm/internal/config"
)

// table is which releases of Kafka know which key.
//
//go:embed kafka-keys.tsv
var table string

// history is since when Kafka has a key, and until when where that is over.
type history struct {
	since, until string
}

// historyOf looks a key up. ok is false for a key that no release of Kafka has.
func historyOf(scope config.Scope, key string) (h history, ok bool) {
	prefix := scope.String() + "\t" + key + "\t"
	for line := range strings.Lines(table) {
		if rest, found := strings.CutPrefix(line, prefix); found {
			since, until, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), "\t")
			return history{since, until}, true
		}
	}
	return history{}, false
}

// text says it in words.
func (h history) text() string {
	s := "Kafka " + h.since
	if h.since == "0.9" {
		s += " or earlier"
	}
	if h.until != "" {
		s += ", until " + h.until
	}
	return s
}

// past are the broker keys that Kafka had once and has no more.
func past() (keys []string) {
	for line := range strings.Lines(table) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) == 4 && f[0] == config.Broker.String() && f[3] != "" {
			keys = append(keys, f[1])
		}
	}
	return keys
}
