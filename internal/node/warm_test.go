package node_test

import (
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/klamm/klamm/internal/wire"
)

// TestWarmProduceAndFetchAllocateNothing sends the same frames over and over to a
// node in this process and counts every allocation of the process: of the server,
// the APIs, the partition and the log. Few per thousand are left to its timers.
func TestWarmProduceAndFetchAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	addr, _ := start(t, t.TempDir(), "log.flush.before.ack=false")
	r := dialRaw(t, addr)
	r.createTopic("warm", 1)
	r.put("warm", 1, plain(t, "first"))

	fetch := fetchRequest("warm", 0, 1, 500)
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"Produce acks=1", frame(produceRequest("warm", 0, 1, plain(t, "a record of the usual size, or nearly")), 9, 1)},
		{"Produce acks=all", frame(produceRequest("warm", 0, -1, plain(t, "a record of the usual size, or nearly")), 9, 1)},
		{"Fetch", frame(fetch, 11, 1)},
		{"Fetch with a session", sessionFrame(t, r, "warm")},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := make([]byte, 1<<20)
			epoch := int32(1)
			round := func() {
				if c.name == "Fetch with a session" {
					binary.BigEndian.PutUint32(c.frame[sessionEpochAt(c.frame):], uint32(epoch))
					epoch++
				}
				if _, err := r.c.Write(c.frame); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(r.c, reply[:4]); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(r.c, reply[:binary.BigEndian.Uint32(reply)]); err != nil {
					t.Fatal(err)
				}
			}
			for range 2000 {
				round()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			const rounds = 5000
			for range rounds {
				round()
			}
			runtime.ReadMemStats(&after)
			if n := float64(after.Mallocs-before.Mallocs) / rounds; n > 0.1 {
				t.Errorf("%.2f allocations a request", n)
			} else {
				t.Logf("%.4f allocations a request", n)
			}
		})
	}
}

// sessionFrame opens a fetch session and returns a frame that fetches within it, naming the partition anew.
func sessionFrame(t *testing.T, r *raw, topic string) []byte {
	q := fetchRequest(topic, 0, 1, 500)
	q.SessionId, q.SessionEpoch = 0, 0
	a := ask[*wire.FetchResponse](r, q, 11)
	if a.SessionId == 0 {
		t.Fatal("no session was opened")
	}
	q.SessionId, q.SessionEpoch = a.SessionId, 1
	return frame(q, 11, 1)
}

// sessionEpochAt is where the session's epoch stands in a Fetch v11 frame: behind the
// header with its client id, replica id, wait, least and most bytes, isolation and session id.
func sessionEpochAt(f []byte) int {
	client := int(int16(binary.BigEndian.Uint16(f[12:])))
	return 14 + max(0, client) + 4 + 4 + 4 + 4 + 1 + 4
}
