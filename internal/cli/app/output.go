package app

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// forms are what -o takes on commands that print data.
var forms = [...]string{"table", "wide", "json", "jsonl", "yaml", "csv", "name", "template=", "schema"}

// Form is the -o of a command.
type Form struct{ text string }

// String is pflag.Value.
func (f *Form) String() string { return f.text }

// Type is pflag.Value.
func (f *Form) Type() string { return "form" }

// Set is pflag.Value; it refuses a form that is not known before a command does anything.
func (f *Form) Set(s string) error {
	if layout, ok := strings.CutPrefix(s, "template="); ok {
		if _, err := parseTemplate(layout); err != nil {
			return err
		}
	} else if !slices.Contains(forms[:], s) {
		return fmt.Errorf("the forms are %s", strings.Join(forms[:], ", "))
	}
	f.text = s
	return nil
}

// OutputFlag gives a command -o. Its names in JSON, YAML, CSV and templates are an interface: snake_case, and
// they only grow.
func OutputFlag(c *cobra.Command) *Form {
	f := &Form{text: "table"}
	c.Flags().VarP(f, "output", "o", "form of the output: table, wide, json, jsonl, yaml, csv, name, template=TEXT, or schema for the names in it")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms[:], cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
	return f
}

// Human says that the output is for people: a table or a page, and not data for a program.
func (f *Form) Human() bool { return f.text == "table" || f.text == "wide" }

// Wide says that all columns are asked for.
func (f *Form) Wide() bool { return f.text == "wide" }

// Streams says that each item stands for itself in this form, so that a command may print a long list a few
// items at a time.
func (f *Form) Streams() bool {
	return f.text == "jsonl" || f.text == "name" || strings.HasPrefix(f.text, "template=")
}

// Column is one column of a table and of CSV.
type Column[T any] struct {
	// Name is in snake_case, as CSV and JSON name it; a table shows it in capitals.
	Name string
	// Wide columns are left out of -o table.
	Wide bool
	// Text is the cell of a table.
	Text func(T) string
	// JSON is the name of the same thing in JSON, where that is not Name. CSV shows what JSON has there, under its
	// name; it shows Text where JSON has nothing of that name, or a list or an object.
	JSON string
}

// List is data of rows.
type List[T any] struct {
	// Items are what JSON, YAML and templates show, by their json tags.
	Items   []T
	Columns []Column[T]
	// ID is what -o name prints of an item.
	ID func(T) string
}

// PrintList writes the items in the form that was asked for.
func PrintList[T any](a *App, f *Form, l List[T]) error {
	if l.Items == nil {
		l.Items = []T{}
	}
	return print(a, f, l, l.Items)
}

// PrintPages writes what describe and its like know of each item: page for people, and otherwise as a list;
// when one was asked for, JSON and YAML are that one and no list. A blank line stands between pages.
func PrintPages[T any](a *App, f *Form, asked int, l List[T], page func(w io.Writer, item T)) error {
	if f.Human() {
		for i, it := range l.Items {
			if i > 0 {
				fmt.Fprintln(a.Out)
			}
			page(a.Out, it)
		}
		return nil
	}
	if asked == 1 && len(l.Items) == 1 {
		return print(a, f, l, l.Items[0])
	}
	if asked == 1 && len(l.Items) == 0 {
		return nil
	}
	return PrintList(a, f, l)
}

// print writes a list; whole is what JSON and YAML show.
func print[T any](a *App, f *Form, l List[T], whole any) error {
	if layout, ok := strings.CutPrefix(f.text, "template="); ok {
		return printTemplate(a.Out, layout, l.Items)
	}
	switch f.text {
	case "json":
		return PrintJSON(a.Out, whole)
	case "jsonl":
		enc := Encoder(a.Out)
		for _, it := range l.Items {
			if err := enc.Encode(it); err != nil {
				return err
			}
		}
		return nil
	case "yaml":
		return PrintYAML(a.Out, whole)
	case "csv":
		return printCSV(a.Out, l)
	case "name":
		for _, it := range l.Items {
			fmt.Fprintln(a.Out, l.ID(it))
		}
		return nil
	case "schema":
		printSchema(a.Out, reflect.TypeFor[T](), "")
		return nil
	}
	t := NewTable(a.Out)
	var cells []string
	for _, col := range l.Columns {
		if !col.Wide || f.Wide() {
			cells = append(cells, strings.ToUpper(strings.ReplaceAll(col.Name, "_", " ")))
		}
	}
	t.Row(cells...)
	for _, it := range l.Items {
		cells = cells[:0]
		for _, col := range l.Columns {
			if !col.Wide || f.Wide() {
				cells = append(cells, col.Text(it))
			}
		}
		t.Row(cells...)
	}
	return t.Flush()
}

func printCSV[T any](w io.Writer, l List[T]) error {
	cw := csv.NewWriter(w)
	row := make([]string, len(l.Columns))
	names := make([]string, len(l.Columns))
	for i, col := range l.Columns {
		names[i] = cmp.Or(col.JSON, col.Name)
	}
	if err := cw.Write(names); err != nil {
		return err
	}
	for _, it := range l.Items {
		raw, err := fields(it)
		if err != nil {
			return err
		}
		for i, col := range l.Columns {
			v, ok := raw[names[i]]
			if row[i], ok = scalar(v, ok); !ok {
				row[i] = col.Text(it)
			}
		}
		if err := cw.Write(row); err != nil {
			return err
		}
	}
	cw.Flush()
	return cw.Error()
}

// fields are the values that an item has in JSON, by name; none for an item that is no object.
func fields(item any) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(item)
	if err != nil || len(b) == 0 || b[0] != '{' {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(b, &m)
}

// scalar is a value of JSON as CSV has it: a text as it is, null as nothing. ok is false for a list, an object and
// what is not there.
func scalar(v json.RawMessage, there bool) (text string, ok bool) {
	switch {
	case !there || len(v) == 0 || v[0] == '[' || v[0] == '{':
		return "", false
	case v[0] == '"':
		err := json.Unmarshal(v, &text)
		return text, err == nil
	case string(v) == "null":
		return "", true
	}
	return string(v), true
}

// PrintJSON writes v over several lines.
func PrintJSON(w io.Writer, v any) error {
	enc := Encoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Encoder writes JSON, a value a line, with < > & as they are.
func Encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// PrintYAML writes v in YAML, with the names and the order that it has in JSON.
func PrintYAML(w io.Writer, v any) error {
	var b bytes.Buffer
	if err := Encoder(&b).Encode(v); err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b.Bytes(), &doc); err != nil { // JSON is YAML
		return err
	}
	plain(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	return enc.Close()
}

// plain takes the style of JSON away: the braces, and the quotes where YAML needs none.
func plain(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!str" && len(n.Value) > 0 {
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// printTemplate writes each item by a template over its JSON, so that the names are those of -o json.
func printTemplate[T any](w io.Writer, text string, items []T) error {
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	for _, it := range items {
		b, err := json.Marshal(it)
		if err != nil {
			return err
		}
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return err
		}
		out, err := t.append(nil, v)
		if err != nil {
			return &Failure{Exit: ExitUsage, Code: CodeUsage, What: "the template cannot be used", Why: err.Error(), Try: "-o schema shows the names there are"}
		}
		if !bytes.HasSuffix(out, []byte("\n")) {
			out = append(out, '\n')
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// printSchema writes the names of a type's JSON and what each holds, a line each, nested ones indented.
func printSchema(w io.Writer, t reflect.Type, indent string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" {
			printSchema(w, f.Type, indent)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		fmt.Fprintf(w, "%s%s  %s\n", indent, name, schemaText(f.Type))
		printSchema(w, f.Type, indent+"  ")
	}
}

// schemaText names a type as JSON has it.
func schemaText(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return schemaText(t.Elem()) + " or null"
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) { // a time, for example
		return "text"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + schemaText(t.Elem())
	case reflect.Map:
		return "names to " + schemaText(t.Elem())
	case reflect.Struct:
		return "object"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Interface:
		return "any"
	default:
		return "number"
	}
}

// Table aligns cells in columns. Flush it at the end.
type Table struct{ w *tabwriter.Writer }

// NewTable returns an empty Table that is written to w.
func NewTable(w io.Writer) *Table { return &Table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

// Row adds a row. Tabs and newlines in a cell become spaces, and every other control character a mark, as names
// that others chose must not steer this terminal.
func (t *Table) Row(cells ...string) {
	for i, c := range cells {
		if i > 0 {
			_, _ = t.w.Write([]byte{'\t'})
		}
		_, _ = io.WriteString(t.w, strings.Map(visible, c))
	}
	_, _ = t.w.Write([]byte{'\n'})
}

// visible keeps a cell in its row, and what a terminal would obey out of it.
func visible(r rune) rune {
	switch {
	case r >= '\t' && r <= '\r':
		return ' '
	case unicode.IsControl(r):
		return unicode.ReplacementChar
	}
	return r
}

// Flush writes the table.
func (t *Table) Flush() error { return t.w.Flush() }
