// Package dump is the noun log: segments of logs as a person reads them.
package dump

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
	"github.com/klamm/klamm/internal/record"
)

// maxBatch bounds a batch that log dump reads: more than any broker takes.
const maxBatch = 256 << 20

// Noun is the noun of files.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("log", "", "Look into log files", "  klamm log dump klamm-data/orders-0/00000000000000000000.log", logDump(a))
}

// batchRow is a batch of log dump.
type batchRow struct {
	File          string      `json:"file"`
	Position      int64       `json:"position"`
	Size          int         `json:"size"`
	BaseOffset    int64       `json:"base_offset"`
	LastOffset    int64       `json:"last_offset"`
	Count         int32       `json:"count"`
	LeaderEpoch   int32       `json:"leader_epoch"`
	Magic         int8        `json:"magic"`
	Compression   string      `json:"compression"`
	TimestampType string      `json:"timestamp_type"`
	MaxTimestamp  string      `json:"max_timestamp"`
	ProducerID    int64       `json:"producer_id"`
	ProducerEpoch int16       `json:"producer_epoch"`
	BaseSequence  int32       `json:"base_sequence"`
	Transactional bool        `json:"transactional"`
	Control       bool        `json:"control"`
	CRC           string      `json:"crc"`
	Valid         bool        `json:"valid"`
	Error         string      `json:"error,omitempty"`
	Records       []recordRow `json:"records,omitempty"`
}

// recordRow is a record of a batchRow.
type recordRow struct {
	Offset    int64                `json:"offset"`
	Timestamp string               `json:"timestamp"`
	Key       *string              `json:"key"`
	KeyB64    string               `json:"key_base64,omitempty"`
	Value     *string              `json:"value"`
	ValueB64  string               `json:"value_base64,omitempty"`
	Headers   []records.JSONHeader `json:"headers,omitempty"`
}

// logDump shows segments.
func logDump(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "dump FILE...", Short: "Show a segment's batches and records", Args: app.AtLeastOne("FILE"),
		Example: "  klamm log dump klamm-data/orders-0/00000000000000000000.log\n  klamm log dump --batches FILE             # without records\n  klamm log dump -o jsonl FILE",
	}
	form := app.OutputFlag(c)
	only := c.Flags().Bool("batches", false, "batches alone, without their records")
	limit := c.Flags().Int64P("num", "n", 0, "stop after so many batches of each file")
	c.RunE = func(_ *cobra.Command, files []string) error {
		w := bufio.NewWriterSize(a.Out, 64<<10)
		buffered := *a
		buffered.Out = w
		var all []batchRow
		emit := func(b batchRow) error { all = append(all, b); return nil }
		switch {
		case form.Human():
			emit = func(b batchRow) error { return b.print(w) }
		case form.Streams():
			emit = func(b batchRow) error { return app.PrintList(&buffered, form, batches([]batchRow{b})) }
		}
		var fails []*app.Failure
		codecs := record.NewCodecs(1)
		done := 0
		for _, name := range files {
			if form.Human() && len(files) > 1 {
				fmt.Fprintf(w, "%s\n", name)
			}
			if err := dumpFile(codecs, name, *limit, !*only, emit); err != nil {
				f := app.Input(err, "%s could not be read to its end", name)
				if errors.Is(err, os.ErrNotExist) {
					f = app.NotFound("file", name, "")
				}
				fails = append(fails, f)
				continue
			}
			done++
		}
		if !form.Human() && !form.Streams() {
			if err := app.PrintList(&buffered, form, batches(all)); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return app.Partly(a, done, fails)
	}
	return c
}

// batches is a list of batches; CSV has no records.
func batches(rows []batchRow) app.List[batchRow] {
	num := func(name string, f func(batchRow) int64) app.Column[batchRow] {
		return app.Column[batchRow]{Name: name, Text: func(b batchRow) string { return strconv.FormatInt(f(b), 10) }}
	}
	return app.List[batchRow]{
		Items: rows,
		ID:    func(b batchRow) string { return strconv.FormatInt(b.BaseOffset, 10) },
		Columns: []app.Column[batchRow]{
			{Name: "file", Text: func(b batchRow) string { return b.File }},
			num("position", func(b batchRow) int64 { return b.Position }), num("size", func(b batchRow) int64 { return int64(b.Size) }),
			num("base_offset", func(b batchRow) int64 { return b.BaseOffset }), num("last_offset", func(b batchRow) int64 { return b.LastOffset }),
			num("count", func(b batchRow) int64 { return int64(b.Count) }), num("leader_epoch", func(b batchRow) int64 { return int64(b.LeaderEpoch) }),
			{Name: "compression", Text: func(b batchRow) string { return b.Compression }},
			{Name: "max_timestamp", Text: func(b batchRow) string { return b.MaxTimestamp }},
			num("producer_id", func(b batchRow) int64 { return b.ProducerID }), num("producer_epoch", func(b batchRow) int64 { return int64(b.ProducerEpoch) }),
			num("base_sequence", func(b batchRow) int64 { return int64(b.BaseSequence) }),
			{Name: "valid", Text: func(b batchRow) string { return strconv.FormatBool(b.Valid) }},
		},
	}
}

// dumpFile reads a segment batch by batch. Zeros at its end are space that was reserved and never used.
func dumpFile(codecs *record.Codecs, name string, limit int64, withRecords bool, emit func(batchRow) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	if st.IsDir() {
		return fmt.Errorf("it is a directory; name a file in it, %s/00000000000000000000.log for example", strings.TrimSuffix(name, "/"))
	}
	r := bufio.NewReaderSize(file, 256<<10)
	var buf []byte
	for pos, n := int64(0), int64(0); pos < st.Size() && (limit <= 0 || n < limit); n++ {
		head, err := r.Peek(record.PeekSize)
		if errors.Is(err, io.EOF) && len(head) > 0 {
			return fmt.Errorf("position %d: %d bytes are left, and they are no whole batch", pos, len(head))
		}
		if err != nil {
			return err
		}
		if zeros(head) {
			return restIsZero(r, pos)
		}
		size, err := record.Peek(head)
		if err != nil {
			return fmt.Errorf("position %d: %w", pos, err)
		}
		if size > maxBatch || int64(size) > st.Size()-pos {
			return fmt.Errorf("position %d: a batch of %d bytes begins and the file has %d left: it is torn, or this is no log", pos, size, st.Size()-pos)
		}
		if cap(buf) < size {
			buf = make([]byte, size)
		}
		buf = buf[:size]
		if _, err := io.ReadFull(r, buf); err != nil {
			return err
		}
		row := batchRow{File: name, Position: pos, Size: size, Magic: record.Magic(buf)}
		row.read(codecs, buf, withRecords)
		if err := emit(row); err != nil {
			return err
		}
		pos += int64(size)
	}
	return nil
}

// read fills a row of a batch's bytes.
func (row *batchRow) read(codecs *record.Codecs, b []byte, withRecords bool) {
	if row.Magic != 2 {
		row.Error = fmt.Sprintf("a message of the old format %d; its records are not shown", row.Magic)
		return
	}
	batch, _, err := record.Next(b)
	if err != nil {
		row.Error = err.Error()
		return
	}
	row.BaseOffset, row.LastOffset, row.Count, row.LeaderEpoch = batch.BaseOffset(), batch.LastOffset(), batch.Count(), batch.LeaderEpoch()
	row.Compression, row.TimestampType, row.MaxTimestamp = batch.Codec().String(), batch.TimestampType().String(), app.TimeText(batch.MaxTimestamp())
	row.ProducerID, row.ProducerEpoch, row.BaseSequence = batch.ProducerID(), batch.ProducerEpoch(), batch.BaseSequence()
	row.Transactional, row.Control, row.CRC = batch.IsTransactional(), batch.IsControl(), fmt.Sprintf("%08x", batch.CRC())
	if err := batch.Check(); err != nil {
		row.Error = err.Error()
		return
	}
	row.Valid = true
	if !withRecords {
		return
	}
	err = batch.Each(codecs, record.OutputLimit(len(b)), func(r record.Record) error {
		rec := recordRow{Offset: r.Offset, Timestamp: app.TimeText(r.Timestamp)}
		if batch.IsControl() {
			if t, err := record.ParseControl(r.Key); err == nil {
				s := t.String()
				rec.Key = &s
			}
		} else {
			rec.Key, rec.KeyB64 = records.TextOrBase64(r.Key)
		}
		rec.Value, rec.ValueB64 = records.TextOrBase64(r.Value)
		for it := r.Headers.Iter(); ; {
			h, ok := it.Next()
			if !ok {
				break
			}
			v, v64 := records.TextOrBase64(h.Value)
			rec.Headers = append(rec.Headers, records.JSONHeader{Key: string(h.Key), Value: v, ValueB64: v64})
		}
		row.Records = append(row.Records, rec)
		return nil
	})
	if err != nil {
		row.Valid, row.Error = false, err.Error()
	}
}

// print writes the batch and its records for people.
func (row batchRow) print(w io.Writer) error {
	fmt.Fprintf(w, "batch at %d  %s  offsets %d..%d  %s  epoch %d  %s  %s", row.Position, app.BytesText(int64(row.Size)), row.BaseOffset, row.LastOffset,
		app.CountText(int(row.Count), "record"), row.LeaderEpoch, app.OrDash(row.Compression), row.MaxTimestamp)
	if row.TimestampType != "CreateTime" {
		fmt.Fprintf(w, " (%s)", row.TimestampType)
	}
	if row.ProducerID >= 0 {
		fmt.Fprintf(w, "  producer %d epoch %d sequence %d", row.ProducerID, row.ProducerEpoch, row.BaseSequence)
	}
	if row.Transactional {
		fmt.Fprint(w, "  transactional")
	}
	if row.Control {
		fmt.Fprint(w, "  control")
	}
	if row.Error != "" {
		fmt.Fprintf(w, "  BROKEN: %s", row.Error)
	}
	fmt.Fprintln(w)
	for _, r := range row.Records {
		fmt.Fprintf(w, "  %d  %s  %s  %s", r.Offset, r.Timestamp, shown(r.Key, r.KeyB64), shown(r.Value, r.ValueB64))
		for _, h := range r.Headers {
			fmt.Fprintf(w, "  %s=%s", h.Key, shown(h.Value, h.ValueB64))
		}
		fmt.Fprintln(w)
	}
	return nil
}

// shown is a text with quotes where it needs them, null, or base64.
func shown(text *string, b64 string) string {
	switch {
	case b64 != "":
		return "base64:" + b64
	case text == nil:
		return "null"
	case *text == "" || strings.ContainsAny(*text, " \"\\") || strconv.Quote(*text) != `"`+*text+`"`:
		return strconv.Quote(*text)
	}
	return *text
}

// zeros says that b is nothing but zeros.
func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// restIsZero checks that only zeros follow.
func restIsZero(r io.Reader, pos int64) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if !zeros(buf[:n]) {
			return fmt.Errorf("position %d: zeros, and then other bytes: the log is damaged", pos)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
