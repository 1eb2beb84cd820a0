package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxLine bounds a line of JSON: a record of the greatest size that brokers are known to be set to, in base64.
const maxLine = 256 << 20

// Source reads records from a text.
type Source struct {
	next func() (*JSONRecord, error)
	read int64
}

// NewSource reads records in a form: json, or a text in franz-go's record format. The layout is wrong when it
// returns an error.
func NewSource(r io.Reader, layout string) (*Source, error) {
	if layout == "json" {
		lines := NewLines(r)
		return &Source{next: func() (*JSONRecord, error) {
			for {
				line, err := lines.Next()
				if err != nil {
					return nil, err
				}
				if len(bytes.TrimSpace(line)) > 0 {
					return ParseJSON(line)
				}
			}
		}}, nil
	}
	has := func(verb string) bool { return strings.Contains(strings.ReplaceAll(layout, "%%", ""), verb) }
	partition, when, topic := has("%p"), has("%d"), has("%t")
	r = &finalNewline{r: r, add: strings.HasSuffix(layout, `\n`)}
	if layout == `%v\n` {
		lines := NewLines(r)
		return &Source{next: func() (*JSONRecord, error) {
			line, err := lines.Next()
			if err != nil {
				return nil, err
			}
			return &JSONRecord{Record: kgo.Record{Value: whole(bytes.Clone(line))}}, nil
		}}, nil
	}
	reader, err := kgo.NewRecordReader(r, layout)
	if err != nil {
		return nil, err
	}
	return &Source{next: func() (*JSONRecord, error) {
		rec := &JSONRecord{HasPartition: partition, HasTime: when, HasTopic: topic}
		return rec, reader.ReadRecordInto(&rec.Record)
	}}, nil
}

// Next is the next record, or io.EOF when the input ends where a record does. Other errors name the record by
// its number, from 1 on.
func (s *Source) Next() (*JSONRecord, error) {
	r, err := s.next()
	switch {
	case err == nil:
		s.read++
		return r, nil
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, io.EOF
	}
	return nil, fmt.Errorf("record %d: %w", s.read+1, err)
}

// Lines reads lines of any length up to 256 MiB.
type Lines struct {
	r    *bufio.Reader
	long []byte
	// Read is how many bytes were read, up to the end of the line that Next returned last.
	Read int64
}

// NewLines reads lines from r.
func NewLines(r io.Reader) *Lines { return &Lines{r: bufio.NewReaderSize(r, 256<<10)} }

// Next is the next line without its end, valid until the next call. The last line may lack its end. The error is
// io.EOF when there is none.
func (l *Lines) Next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.Read += int64(len(part))
		switch {
		case err == nil && len(l.long) == 0:
			return part[:len(part)-1], nil
		case err == nil:
			l.long = append(l.long, part...)
			return l.long[:len(l.long)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			if l.long = append(l.long, part...); len(l.long) > maxLine {
				return nil, fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
			}
		case errors.Is(err, io.EOF) && len(part)+len(l.long) > 0:
			l.long = append(l.long, part...)
			return l.long, nil
		default:
			return nil, err
		}
	}
}

// finalNewline adds a newline to an input that does not end in one, when add is set.
type finalNewline struct {
	r    io.Reader
	add  bool
	last byte
	seen bool
	done bool
}

// Read is io.Reader.
func (f *finalNewline) Read(p []byte) (int, error) {
	if f.done {
		return 0, io.EOF
	}
	n, err := f.r.Read(p)
	if n > 0 {
		f.last, f.seen = p[n-1], true
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		f.done = true
		if f.add && f.seen && f.last != '\n' && len(p) > 0 {
			p[0] = '\n'
			return 1, nil
		}
	}
	return n, err
}
