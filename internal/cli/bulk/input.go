package bulk

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/records"
)

// input is an export that is read, in either form.
type input struct {
	of source // of the binary form; empty of JSON
	// read is how many records next returned.
	read int64

	lines   *records.Source
	blocks  *binaryReader
	waiting []*records.JSONRecord
}

// newInput finds out the form and begins to read.
func newInput(r io.Reader) (*input, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	if head, _ := b.Peek(len(magic)); len(head) > 0 && string(head[:min(len(head), 7)]) == magic[:min(len(head), 7)] {
		blocks, err := newBinaryReader(b)
		if err != nil {
			return nil, err
		}
		return &input{blocks: blocks, of: blocks.of}, nil
	}
	lines, err := records.NewSource(b, "json")
	return &input{lines: lines}, err
}

// next is the next record, or io.EOF. A binary export that is not whole ends with an error.
func (i *input) next() (*records.JSONRecord, error) {
	if i.lines != nil {
		r, err := i.lines.Next()
		if err == nil {
			i.read++
		}
		return r, err
	}
	for len(i.waiting) == 0 {
		err := i.blocks.records(func(r *kgo.Record) error {
			i.waiting = append(i.waiting, &records.JSONRecord{Record: *r, HasTopic: true, HasPartition: true, HasOffset: true, HasTime: true})
			return nil
		})
		switch {
		case errors.Is(err, io.EOF) && !i.blocks.ended:
			return nil, errors.New("the export is not whole: it was interrupted, and topic export --resume goes on with it")
		case err != nil:
			return nil, err
		}
	}
	r := i.waiting[0]
	i.waiting = i.waiting[1:]
	i.read++
	return r, nil
}

// canSeek says that r can be read twice.
func canSeek(r io.Reader) bool {
	s, ok := r.(io.ReadSeeker)
	if ok {
		_, err := s.Seek(0, io.SeekCurrent)
		ok = err == nil
	}
	return ok
}

// seekable is r as what can be read twice. What cannot, a pipe, is copied into a file without a name first;
// remove takes that away.
func seekable(r io.Reader) (s io.ReadSeeker, remove func(), err error) {
	if canSeek(r) {
		return r.(io.ReadSeeker), func() {}, nil
	}
	f, err := os.CreateTemp("", "klamm-import-*")
	if err != nil {
		return nil, nil, err
	}
	remove = func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	if _, err = io.Copy(f, r); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	return f, remove, nil
}

// interruptible is a reader that ends with ctx, also while r waits for somebody who writes. The read that waits
// then goes on until the process ends.
type interruptible struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte
	left []byte
	err  error
	done chan struct{}
}

// Read is io.Reader.
func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.left) == 0 {
		if i.done == nil {
			if i.buf == nil {
				i.buf = make([]byte, 1<<20)
			}
			i.done = make(chan struct{})
			go func() {
				defer close(i.done)
				var n int
				n, i.err = i.r.Read(i.buf)
				i.left = i.buf[:n]
			}()
		}
		select {
		case <-i.done:
			i.done = nil
		case <-i.ctx.Done():
			return 0, i.ctx.Err()
		}
	}
	n := copy(p, i.left)
	if i.left = i.left[n:]; len(i.left) == 0 {
		return n, i.err
	}
	return n, nil
}
