// Package bulk is the commands on many records of topics: find, sample and count them, export and import them, and
// copy them elsewhere.
package bulk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// celHelp is the paragraph of a command's help that tells what --cel may use.
const celHelp = `An expression of CEL (cel.dev) may use key and value (texts), json (the value parsed, null when it is no JSON),
headers (a map of texts), topic, partition, offset and timestamp. A record for which it fails, as json.a does where
there is no a, does not match.`

// places are the words for --in.
func places() []string { return []string{"key", "value", "headers"} }

// matchFlags is the flags that say which records are meant.
type matchFlags struct {
	regex, ignoreCase, invert bool
	cel                       string
	in                        []string
}

// add gives a command the flags.
func (m *matchFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVarP(&m.regex, "regex", "e", false, "the pattern is a regular expression")
	f.BoolVarP(&m.ignoreCase, "ignore-case", "i", false, "upper case and lower case are the same")
	f.BoolVar(&m.invert, "invert", false, "records that do not match")
	f.StringVar(&m.cel, "cel", "", "an expression of CEL instead of a pattern: 'json.total > 100 && key.startsWith(\"a\")'")
	f.StringSliceVar(&m.in, "in", nil, "where to look: key,value,headers (default: everywhere)")
	_ = c.RegisterFlagCompletionFunc("in", app.CompleteValues(places()...))
}

// matcher says which records are meant. Its method is for several goroutines.
type matcher struct {
	key, value, headers bool
	find                func([]byte) bool // nil where expr is asked
	expr                *expression
	invert              bool
}

// matcher makes the matcher of a pattern; pattern is empty with --cel.
func (m *matchFlags) matcher(c *cobra.Command, pattern string) (*matcher, error) {
	w := &matcher{invert: m.invert, key: len(m.in) == 0, value: len(m.in) == 0, headers: len(m.in) == 0}
	for _, p := range m.in {
		if !slices.Contains(places(), p) {
			return nil, app.Usage(c, "--in %s: allowed are %s", p, strings.Join(places(), ", "))
		}
		w.key, w.value, w.headers = w.key || p == "key", w.value || p == "value", w.headers || p == "headers"
	}
	if m.cel != "" {
		var err error
		if w.expr, err = newExpression(m.cel); err != nil {
			return nil, app.Usage(c, "--cel %s: %s", m.cel, err)
		}
		return w, nil
	}
	if m.regex || m.ignoreCase {
		text := pattern
		if !m.regex {
			text = regexp.QuoteMeta(text)
		}
		if m.ignoreCase {
			text = "(?i)" + text
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, app.Usage(c, "%s: %s", pattern, err)
		}
		w.find = re.Match
		return w, nil
	}
	text := []byte(pattern)
	w.find = func(b []byte) bool { return bytes.Contains(b, text) }
	return w, nil
}

// match says whether a record is meant.
func (w *matcher) match(r *kgo.Record) bool {
	return w.matches(r) != w.invert
}

// matches is match before --invert.
func (w *matcher) matches(r *kgo.Record) bool {
	if w.expr != nil {
		return w.expr.match(r)
	}
	if w.value && r.Value != nil && w.find(r.Value) || w.key && r.Key != nil && w.find(r.Key) {
		return true
	}
	if w.headers {
		for _, h := range r.Headers {
			if w.find([]byte(h.Key)) || w.find(h.Value) {
				return true
			}
		}
	}
	return false
}

// failures is how often an expression failed, and why at first.
func (w *matcher) failures() (int64, error) {
	if w.expr == nil {
		return 0, nil
	}
	w.expr.mu.Lock()
	defer w.expr.mu.Unlock()
	return w.expr.failed, w.expr.first
}

// tell says that an expression failed for some records.
func (w *matcher) tell(a *app.App) {
	if n, err := w.failures(); n > 0 {
		a.Say("the expression failed for %s, which do not match: %s", app.CountText(n, "record"), err)
	}
}

// expression is an expression of CEL over a record.
type expression struct {
	program cel.Program
	json    bool // it asks for the value parsed
	headers bool

	mu     sync.Mutex // guards what follows
	failed int64
	first  error
}

// newExpression compiles an expression that yields true or false.
func newExpression(text string) (*expression, error) {
	env, err := cel.NewEnv(
		cel.Variable("key", cel.StringType), cel.Variable("value", cel.StringType), cel.Variable("json", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)), cel.Variable("topic", cel.StringType),
		cel.Variable("partition", cel.IntType), cel.Variable("offset", cel.IntType), cel.Variable("timestamp", cel.TimestampType),
	)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, errors.New(strings.TrimSpace(strings.TrimPrefix(err.Error(), "ERROR: <input>:")))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it yields %s, and not true or false", t)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(10_000_000))
	if err != nil {
		return nil, err
	}
	return &expression{program: program, json: strings.Contains(text, "json"), headers: strings.Contains(text, "headers")}, nil
}

// match evaluates the expression. It is for several goroutines.
func (e *expression) match(r *kgo.Record) bool {
	vars := map[string]any{
		"key": text(r.Key), "value": text(r.Value), "topic": r.Topic, "partition": int64(r.Partition), "offset": r.Offset,
		"timestamp": r.Timestamp, "json": types.NullValue, "headers": map[string]string{},
	}
	if e.json && len(r.Value) > 0 {
		var v any
		if json.Unmarshal(r.Value, &v) == nil && v != nil {
			vars["json"] = v
		}
	}
	if e.headers && len(r.Headers) > 0 {
		all := make(map[string]string, len(r.Headers))
		for _, h := range r.Headers {
			all[strings.ToValidUTF8(h.Key, "\ufffd")] = text(h.Value)
		}
		vars["headers"] = all
	}
	out, _, err := e.program.Eval(vars)
	if err == nil {
		if yes, ok := out.Value().(bool); ok {
			return yes
		}
		err = fmt.Errorf("it yields %s, and not true or false", out.Type())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed++; e.first == nil {
		e.first = fmt.Errorf("partition %d offset %d: %w", r.Partition, r.Offset, err)
	}
	return false
}

// text is b as a text, with a sign in the place of bytes that are none.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}
