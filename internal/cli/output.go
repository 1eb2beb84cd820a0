package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// formats are what -o takes on commands that print data.
const formats = "table, json, jsonl, csv, name"

// outputFlag gives a command -o.
func outputFlag(c *cobra.Command) *string {
	return c.Flags().StringP("output", "o", "table", "form of the output: "+formats)
}

// list is data of rows: every item as JSON sees it, and as a table does.
type list[T any] struct {
	items  []T
	header []string         // column names of table and csv
	row    func(T) []string // one cell a column
	name   func(T) string   // what -o name prints
}

// printList writes items in the form that -o names.
func printList[T any](c *cobra.Command, w io.Writer, form string, l list[T]) error {
	switch form {
	case "table":
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		upper := make([]string, len(l.header))
		for i, h := range l.header {
			upper[i] = strings.ToUpper(strings.ReplaceAll(h, "_", " "))
		}
		fmt.Fprintln(tw, strings.Join(upper, "\t"))
		for _, it := range l.items {
			fmt.Fprintln(tw, strings.Join(l.row(it), "\t"))
		}
		return tw.Flush()
	case "json":
		return printJSON(w, append([]T{}, l.items...))
	case "jsonl":
		enc := encoder(w)
		for _, it := range l.items {
			if err := enc.Encode(it); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		cw := csv.NewWriter(w)
		rows := [][]string{l.header}
		for _, it := range l.items {
			rows = append(rows, l.row(it))
		}
		return cw.WriteAll(rows)
	case "name":
		for _, it := range l.items {
			fmt.Fprintln(w, l.name(it))
		}
		return nil
	}
	return badForm(c, form)
}

// badForm refuses a form of output that is not known.
func badForm(c *cobra.Command, form string) error {
	return usage(c, "-o %s: the forms are %s", form, formats)
}

// printJSON writes v over several lines.
func printJSON(w io.Writer, v any) error {
	enc := encoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// encoder writes JSON with < > & as they are.
func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// bytesText writes a size as people say it, in powers of 1,000.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if f /= 1000; f < 999.5 || unit == "PB" {
			if f < 9.95 {
				return fmt.Sprintf("%.1f %s", f, unit)
			}
			return fmt.Sprintf("%.0f %s", f, unit)
		}
	}
	return ""
}

// countText writes a number with its noun, in the plural where that is due.
func countText(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// idsText joins broker numbers.
func idsText(ids []int32) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprint(id)
	}
	return strings.Join(parts, ",")
}

// timeText writes a record's timestamp.
func timeText(ms int64) string {
	if ms < 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
