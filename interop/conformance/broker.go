package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// patience is how long an answer may take.
const patience = 20 * time.Second

// broker is one of the two that are compared.
type broker struct {
	address string
	id      string             // part of all names, for a run against brokers that keep their data
	serves  map[int16][2]int16 // versions by key; after agree those that both serve
}

// connection is one connection to a broker. It reconnects after the broker closed it.
type connection struct {
	address string
	conn    net.Conn
	next    int32
}

func (c *connection) open() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.address, patience)
	c.conn = conn
	return err
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// frame is a request with its header, without the size before it.
func (c *connection) frame(key, version int16, body []byte) []byte {
	c.next++
	client := "conformance"
	h := wire.RequestHeader{RequestApiKey: key, RequestApiVersion: version, CorrelationId: c.next, ClientId: &client}
	return append(h.Append(nil, wire.RequestHeaderVersion(key, version)), body...)
}

// send writes a frame.
func (c *connection) send(frame []byte) error {
	if err := c.open(); err != nil {
		return err
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

// errClosed says that the broker closed the connection instead of answering.
var errClosed = errors.New("connection closed")

// receive reads an answer's body and decodes it.
func (c *connection) receive(key, version int16, m wire.Message) error {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		c.close()
		if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
			return err
		}
		return errClosed
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.conn, b); err != nil {
		c.close()
		return errClosed
	}
	var h wire.ResponseHeader
	d := wire.NewDecoder(b)
	// A decoder checks the end of what it reads, so the header is read of a frame of its own.
	n := 4
	if wire.ResponseHeaderVersion(key, version) == 1 {
		n = 5 // no tagged fields: their number, 0
	}
	if len(b) < n {
		return fmt.Errorf("an answer of %d bytes has no header", len(b))
	}
	d.Reset(b[:n])
	h.Decode(&d, wire.ResponseHeaderVersion(key, version))
	if err := d.Done(); err != nil {
		return err
	}
	if h.CorrelationId != c.next {
		return fmt.Errorf("answer %d to request %d", h.CorrelationId, c.next)
	}
	d.Reset(b[n:])
	m.Decode(&d, version)
	return d.Done()
}

// call asks and waits.
func (c *connection) call(key, version int16, q wire.Message) (wire.Message, error) {
	m := wire.NewResponse(key)
	if err := c.send(c.frame(key, version, q.Append(nil, version))); err != nil {
		return nil, err
	}
	return m, c.receive(key, version, m)
}

// ready waits until the broker answers what later cases need: its versions, a
// coordinator for groups, and producer ids.
func (b *broker) ready() error {
	c := &connection{address: b.address}
	defer c.close()
	m, err := c.call(18, 0, &wire.ApiVersionsRequest{})
	if err != nil {
		return err
	}
	b.serves = map[int16][2]int16{}
	for _, k := range m.(*wire.ApiVersionsResponse).ApiKeys {
		b.serves[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	var last code.Error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		m, err := c.call(10, 1, &wire.FindCoordinatorRequest{KeyField: "conformance"})
		if err != nil {
			return err
		}
		if last = code.Error(m.(*wire.FindCoordinatorResponse).ErrorCode); last != code.None {
			continue
		}
		missing := false
		for i := range 100 { // names that fall on many partitions of the topic of offsets
			m, err := c.call(12, 1, &wire.HeartbeatRequest{GroupId: fmt.Sprint("conformance-", i), MemberId: "x"})
			if err != nil {
				return err
			}
			if last = code.Error(m.(*wire.HeartbeatResponse).ErrorCode); last != code.UnknownMemberId && last != code.None {
				missing = true
				break
			}
		}
		if missing {
			continue
		}
		m, err = c.call(22, 1, &wire.InitProducerIdRequest{TransactionTimeoutMs: 1000})
		if err != nil {
			return err
		}
		if last = code.Error(m.(*wire.InitProducerIdResponse).ErrorCode); last == code.None {
			return nil
		}
	}
	return fmt.Errorf("not ready: %w", last)
}

// agree returns the versions that both serve; nothing yet on one side is all.
func agree(x, y map[int16][2]int16) map[int16][2]int16 {
	if len(x) == 0 {
		x = y
	}
	both := map[int16][2]int16{}
	for key, v := range x {
		w, ok := y[key]
		lo, hi := max(v[0], w[0]), min(v[1], w[1])
		api, known := wire.APIOf(key)
		if !ok || !known {
			continue
		}
		if lo, hi = max(lo, api.Min), min(hi, api.Max); lo <= hi {
			both[key] = [2]int16{lo, hi}
		}
	}
	return both
}
