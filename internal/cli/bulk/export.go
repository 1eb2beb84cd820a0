package bulk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// export writes a topic into a file.
func export(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "export TOPIC", Short: "Write a topic into a file: JSON lines, or a binary form that is small", Args: app.Exactly("TOPIC"),
		Example: `  klamm topic export orders > orders.jsonl
  klamm topic export orders --file orders.klamm --binary
  klamm topic export orders --file orders.klamm --binary --resume    # goes on where it stopped
  klamm topic export orders -o @-1d:now | gzip > yesterday.jsonl.gz`,
		Long: "Write a topic into a file, in one of two forms that topic import reads: a line of JSON for each record, or with\n--binary blocks that are packed and have checksums. Both keep topic, partition, offset, timestamp, key, value and\nheaders. The end is that of now, and records of a partition are in their order.\n\n" +
			"With --file it is written beside under the name FILE.part, and has its own name when it is whole. --resume goes on\nin such a file where it stops, and in a whole one with what came since.\n\n" + records.RangeHelp,
	}
	f := c.Flags()
	e := exporting{scan: scan{app: a, label: "exported"}}
	from := f.StringP("offset", "o", "start:end", "the range to export")
	f.BoolVar(&e.binary, "binary", false, "the binary form")
	f.StringVar(&e.file, "file", "", "write this file and not standard output")
	f.BoolVar(&e.resume, "resume", false, "go on in --file where it stops")
	records.PartitionsFlag(c, &e.scan.partitions, "the partitions of these `numbers` alone: 0,1")
	records.IsolationFlag(c, &e.scan.isolation, "read_committed")
	flags := records.NewFormFlags(c, "json")
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, topics []string) error {
		var err error
		e.scan.topics = topics
		if e.scan.span, err = records.ParseRange(*from, a.Time()); err != nil {
			return app.Usage(c, "-o %s: %s", *from, err)
		}
		if e.form, err = flags.Form(c, false); err != nil {
			return err
		}
		layout := f.Lookup("format").Value.String()
		switch {
		case e.binary && f.Changed("format"):
			return app.Usage(c, "--binary and -f both say the form")
		case e.resume && e.file == "":
			return app.Usage(c, "--resume goes on in a file; which, --file says")
		case e.resume && !e.binary && layout != "json":
			return app.Usage(c, "-f %s: what such a file has cannot be told from it; --resume needs JSON or --binary", layout)
		case e.binary && e.file == "" && a.Pretty():
			return app.Usage(c, "--binary is nothing for a terminal; > FILE or --file FILE")
		}
		return e.run(c)
	}
	return c
}

// exporting is one run of export.
type exporting struct {
	scan   scan
	form   *records.Form
	binary bool
	file   string
	resume bool

	of     source
	done   map[int32]int64 // the offset behind the last that the file has, of each partition
	w      *bufio.Writer
	blocks *binaryWriter // with --binary
	line   []byte
	n      int64
}

// run exports.
func (e *exporting) run(c *cobra.Command) error {
	a, ctx := e.scan.app, c.Context()
	e.scan.prints = e.file == ""
	cl, err := a.Client(ctx, c)
	if err != nil {
		return err
	}
	defer cl.Close()
	var o records.ReadOptions
	spans, err := e.scan.resolve(ctx, c, cl, &o)
	if err != nil {
		return err
	}
	if err := e.look(ctx, cl); err != nil {
		return err
	}
	out, path, err := e.open()
	if err != nil {
		return err
	}
	for i := range spans {
		spans[i].Start = min(max(spans[i].Start, e.done[spans[i].Partition]), spans[i].End)
	}
	began := time.Now()
	err = e.begin(out)
	if err == nil {
		err = e.scan.spans(ctx, cl, spans, o, e.record)
	}
	whole := err == nil
	if e.blocks != nil && whole {
		err = e.blocks.end()
	} else if e.blocks != nil {
		err = errors.Join(err, e.blocks.flush())
	}
	if ferr := e.w.Flush(); err == nil {
		err = ferr
	}
	if app.ClosedPipe(err) {
		return nil
	}
	if path != "" {
		err = e.close(out.(*os.File), path, whole && err == nil, err)
	}
	if err != nil {
		failure := app.Failed(err, "topic %s was not exported to its end", e.scan.topics[0])
		if path != "" {
			failure.Try = c.CommandPath() + " " + e.scan.topics[0] + " --file " + e.file + " --resume"
			if e.binary {
				failure.Try += " --binary"
			}
		}
		return failure
	}
	to := ""
	if e.file != "" {
		to = " to " + e.file
	}
	a.Say("exported %s%s: %s", e.scan.topics[0], to, app.Summary(e.n, e.scan.bytes, time.Since(began)))
	return nil
}

// look finds out what topic it is.
func (e *exporting) look(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, e.scan.app.Timeout())
	defer cancel()
	found, err := e.scan.app.AdminOf(cl).ListTopicsWithInternal(ctx, e.scan.topics...)
	d := found[e.scan.topics[0]]
	if err == nil {
		err = d.Err
	}
	if err != nil {
		return app.Failed(err, "topic %s could not be looked up", e.scan.topics[0])
	}
	e.of = source{topic: d.Topic, id: d.ID, partitions: int32(len(d.Partitions))}
	return nil
}

// open opens what is written to; path is its name while it is not whole, "" for standard output.
func (e *exporting) open() (w io.Writer, path string, err error) {
	if e.file == "" {
		e.scan.app.HearClosedPipe()
		return e.scan.app.Out, "", nil
	}
	path = e.file + ".part"
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	if !e.resume {
		for _, name := range []string{e.file, path} {
			if exists(name) {
				return nil, "", &app.Failure{Exit: app.ExitFailed, Code: app.CodeExists, What: fmt.Sprintf("there is a file %s already", name), Try: "--resume to go on in it, or another --file"}
			}
		}
	} else if !exists(path) && exists(e.file) {
		path = e.file
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, "", app.Input(err, "the file %s cannot be written", path)
	}
	if err := e.goOn(f); err != nil {
		_ = f.Close()
		return nil, "", app.Input(err, "the export in %s cannot be gone on with", path)
	}
	return f, path, nil
}

// goOn reads what a file has, cuts off what is torn at its end, and leaves it there.
func (e *exporting) goOn(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	e.done = map[int32]int64{}
	have := func(r *kgo.Record) error {
		e.done[r.Partition] = max(e.done[r.Partition], r.Offset+1)
		return nil
	}
	whole := int64(0)
	switch {
	case st.Size() == 0:
	case e.binary:
		whole, err = e.readBinary(f, have)
	default:
		whole, err = e.readLines(f, st.Size(), have)
	}
	if err != nil {
		return err
	}
	if torn := st.Size() - whole; torn > 0 {
		e.scan.app.Say("cut %s off the end of %s, which were torn", app.CountText(torn, "byte"), f.Name())
		if err := f.Truncate(whole); err != nil {
			return err
		}
	}
	_, err = f.Seek(whole, io.SeekStart)
	return err
}

// readBinary reads an export in the binary form, and returns how much of it is whole.
func (e *exporting) readBinary(f *os.File, have func(*kgo.Record) error) (int64, error) {
	r, err := newBinaryReader(bufio.NewReaderSize(f, 1<<20))
	if errors.Is(err, errTorn) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	switch {
	case r.of.topic != e.of.topic:
		return 0, fmt.Errorf("it is of topic %s", r.of.topic)
	case r.of.id != e.of.id && r.of.id != [16]byte{} && e.of.id != [16]byte{}:
		return 0, fmt.Errorf("it is of another topic of the name %s, which was deleted since", e.of.topic)
	}
	for {
		err := r.records(have)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return r.whole, nil
		case r.atEnd():
			return r.whole, nil // the length was written, and not all of the bytes
		default:
			return 0, err
		}
	}
}

// readLines reads an export in JSON, and returns how much of it is whole.
func (e *exporting) readLines(f *os.File, size int64, have func(*kgo.Record) error) (int64, error) {
	lines := records.NewLines(f)
	for whole := int64(0); ; whole = lines.Read {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		ended := lines.Read > whole+int64(len(line))
		r, err := records.ParseJSON(line)
		switch {
		case !ended, err != nil && lines.Read == size:
			return whole, nil
		case err != nil:
			return 0, fmt.Errorf("byte %d: %w", whole, err)
		case !r.HasOffset || !r.HasPartition:
			return 0, fmt.Errorf("byte %d: the record does not tell its partition and offset", whole)
		case r.Topic != e.of.topic:
			return 0, fmt.Errorf("it is of topic %s", r.Topic)
		}
		if err := have(&r.Record); err != nil {
			return 0, err
		}
	}
}

// begin makes what writes in the form.
func (e *exporting) begin(w io.Writer) error {
	e.w = bufio.NewWriterSize(w, 1<<20)
	if !e.binary {
		return nil
	}
	more := false
	if f, ok := w.(*os.File); ok && e.file != "" {
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		more = at > 0
	}
	var err error
	e.blocks, err = newBinaryWriter(e.w, e.of, more)
	return err
}

// record writes one record.
func (e *exporting) record(r *kgo.Record) error {
	e.n++
	if e.blocks != nil {
		return e.blocks.record(r)
	}
	e.line = e.form.Append(e.line[:0], r)
	_, err := e.w.Write(e.line)
	return err
}

// close closes the file, and gives it its name when it is whole. err is what stopped the export.
func (e *exporting) close(f *os.File, path string, whole bool, err error) error {
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil || !whole || path == e.file {
		return err
	}
	if err := os.Rename(path, e.file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(e.file))
}

// syncDir makes the names in a directory last. Where directories cannot be synced, they need not be.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
