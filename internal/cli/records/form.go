package records

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// FormHelp is the paragraph of a command's help that tells what -f may be.
const FormHelp = `-f is json (an object a line) or a text in which %v is the value, %k the key, %t topic, %p partition, %o offset,
%d timestamp (%d{go[2006-01-02 15:04:05]} as a date), %h headers (%h{%k=%v }), %K %V %H lengths, \t \n \\ as usual,
and %% a percent sign; franz-go's record format, as rpk has it.`

// FormFlags is the flags of a command that prints records.
type FormFlags struct {
	layout, key, value string
	changed            func(string) bool
}

// NewFormFlags gives a command -f, --key and --value; layout is the default of -f.
func NewFormFlags(c *cobra.Command, layout string) *FormFlags {
	f := &FormFlags{changed: c.Flags().Changed}
	c.Flags().StringVarP(&f.layout, "format", "f", layout, `form of the output: json, or a text with %k %v %o … (default "`+layout+`")`)
	c.Flags().Lookup("format").DefValue = "" // the library would print it with its backslash doubled
	c.Flags().StringVar(&f.key, "key", "text", "show keys as text, json, hex or base64")
	c.Flags().StringVar(&f.value, "value", "text", "show values as text, json (over several lines on a terminal), hex or base64")
	for _, name := range []string{"key", "value"} {
		_ = c.RegisterFlagCompletionFunc(name, app.CompleteValues(ShownAs()...))
	}
	_ = c.RegisterFlagCompletionFunc("format", app.CompleteValues("json", `%k\t%v\n`, `%p %o %k %v\n`))
	return f
}

// Form writes records as they were asked for. It is for one goroutine.
type Form struct {
	json       bool
	key, value Shown
	pretty     bool // a person reads it
	careful    bool // what a terminal would obey is shown and not sent
	text       *kgo.RecordFormatter
}

// Form reads the flags. pretty says that the output is a terminal.
func (f *FormFlags) Form(c *cobra.Command, pretty bool) (*Form, error) {
	form := &Form{json: f.layout == "json", pretty: pretty, careful: pretty && !f.changed("value") && !f.changed("key")}
	var err error
	if form.key, err = ParseShown(f.key); err != nil {
		return nil, app.Usage(c, "--key %s: %s", f.key, err)
	}
	if form.value, err = ParseShown(f.value); err != nil {
		return nil, app.Usage(c, "--value %s: %s", f.value, err)
	}
	if form.json && pretty && !f.changed("value") {
		form.value = JSON
	}
	if form.json {
		return form, nil
	}
	if form.text, err = kgo.NewRecordFormatter(f.layout); err != nil {
		return nil, app.Usage(c, "-f %s: %s", f.layout, err)
	}
	return form, nil
}

// Append writes a record behind b. It does not change the record.
func (f *Form) Append(b []byte, r *kgo.Record) []byte {
	if f.json {
		n := len(b)
		b = AppendJSON(b, r, f.key, f.value)
		if f.pretty {
			var over bytes.Buffer
			if json.Indent(&over, b[n:len(b)-1], "", "  ") == nil {
				over.WriteByte('\n')
				b = append(b[:n], over.Bytes()...)
			}
		}
		return b
	}
	if f.key == Text && f.value == Text && !f.careful {
		return f.text.AppendRecord(b, r)
	}
	shown := *r
	shown.Key, shown.Value = f.show(r.Key, f.key), f.show(r.Value, f.value)
	if f.careful && len(r.Headers) > 0 {
		shown.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			shown.Headers[i] = kgo.RecordHeader{Key: string(visible([]byte(h.Key))), Value: visible(h.Value)}
		}
	}
	return f.text.AppendRecord(b, &shown)
}

// show is a key or a value as it is to be shown.
func (f *Form) show(v []byte, as Shown) []byte {
	switch as {
	case Hex:
		return hex.AppendEncode(nil, v)
	case Base64:
		return base64.StdEncoding.AppendEncode(nil, v)
	case JSON:
		if isStructure(v) {
			var b bytes.Buffer
			if f.pretty && json.Indent(&b, v, "", "  ") == nil || !f.pretty && json.Compact(&b, v) == nil {
				return b.Bytes()
			}
		}
	}
	if f.careful {
		return visible(v)
	}
	return v
}

// visible is v with what a terminal would obey, and bytes that are no text, written as \xNN. Tabulators and ends
// of lines stay.
func visible(v []byte) []byte {
	plain := utf8.Valid(v)
	for _, c := range v {
		plain = plain && (c >= 0x20 && c != 0x7f || c == '\t' || c == '\n' || c == '\r')
	}
	if plain {
		return v
	}
	var b []byte
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20 && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0:
			for _, c := range v[:n] {
				b = fmt.Appendf(b, `\x%02x`, c)
			}
		default:
			b = append(b, v[:n]...)
		}
		v = v[n:]
	}
	return b
}
