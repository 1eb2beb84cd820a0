package debug

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/klamm/klamm/internal/cli/settings"
)

// secretWords are in the names of keys whose values are nobody else's business.
var secretWords = [...]string{"password", "passwd", "passphrase", "secret", "jaas", "token", "credential", "private", "keystore.key", "apikey", "api.key"}

// isSecret says that a key's name sounds like a secret.
func isSecret(key string) bool {
	key = strings.NewReplacer("_", ".", "-", ".").Replace(strings.ToLower(key))
	for _, w := range secretWords {
		if strings.Contains(key, w) {
			return true
		}
	}
	return false
}

// withoutSecrets takes the values of secret keys away. The rows are those of a broker's answer and are not changed.
func withoutSecrets(rows []settings.Row) []settings.Row {
	scrub := newScrubber()
	clean := make([]settings.Row, 0, len(rows))
	for _, r := range rows {
		if r.Sensitive || isSecret(r.Key) {
			r.Value, r.Default, r.Sensitive = nil, nil, true
		}
		for _, v := range []**string{&r.Value, &r.Default} {
			if *v != nil {
				text := string(scrub.line([]byte(**v)))
				*v = &text
			}
		}
		clean = append(clean, r)
	}
	return clean
}

// scrubber takes what looks like a secret out of text that was written for people, such as logs.
type scrubber struct{ pairs, quoted, urls, headers *regexp.Regexp }

// newScrubber builds one; it is used from one goroutine.
func newScrubber() *scrubber {
	const key = `(?i)([a-z0-9_.\-]*(?:password|passwd|passphrase|secret|jaas|token|credential|private|keystore\.key|api[_.\-]?key)[a-z0-9_.\-]*`
	return &scrubber{
		quoted:  regexp.MustCompile(key + `\\*["']?\s*[=:]\s*)(\\*"(?:[^"\\]|\\.)*"|'[^']*')`),
		pairs:   regexp.MustCompile(key + `\\*["']?\s*[=:]\s*)([^\s"',;}\\]+)`),
		urls:    regexp.MustCompile(`(://[^/@\s:"]*:)[^/@\s"]+@`),
		headers: regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9+/=._\-]{8,}`),
	}
}

// removed stands where a secret was.
const removed = "(removed)"

// line is text without secrets.
func (s *scrubber) line(b []byte) []byte {
	b = s.quoted.ReplaceAllFunc(b, func(m []byte) []byte {
		sub := s.quoted.FindSubmatch(m)
		quote := sub[2][:bytes.IndexAny(sub[2], `"'`)+1]
		return []byte(string(sub[1]) + string(quote) + removed + string(quote))
	})
	b = s.pairs.ReplaceAllFunc(b, func(m []byte) []byte {
		sub := s.pairs.FindSubmatch(m)
		if string(sub[2]) == removed || string(sub[2]) == "null" {
			return m
		}
		return []byte(string(sub[1]) + removed)
	})
	b = s.urls.ReplaceAll(b, []byte("${1}"+removed+"@"))
	return s.headers.ReplaceAll(b, []byte("${1} "+removed))
}
