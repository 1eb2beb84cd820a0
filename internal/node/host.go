package node

import (
	"context"
	"log/slog"
	"net"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// Host is all that a node needs of the machine it runs on.
type Host struct {
	// Listen opens a listening socket, as net.Listen does.
	Listen func(network, addr string) (net.Listener, error)
	// Dial connects to another node, as net.Dialer.DialContext does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Disk is where the directories are.
	Disk disk.FS
	// Interceptor stands between the server and the APIs of this node; nil for nobody, and then costs nothing.
	Interceptor Interceptor
}

// Interceptor lets somebody stand between the server and the APIs, to have requests go wrong for example.
type Interceptor interface {
	// Over returns what the server asks in place of table. topic finds the name of a topic, "" where there is none.
	Over(table rpc.Table, topic func(wire.UUID) string, log *slog.Logger) rpc.Table
}

// OSHost is this machine: its network and its file systems.
func OSHost() Host {
	var d net.Dialer
	return Host{Listen: net.Listen, Dial: d.DialContext, Disk: disk.OS()}
}

// MemHost is this machine's network and a disk of the node's own in its memory: all that the node keeps
// is gone when the process ends, and directories are names in that memory.
func MemHost() Host {
	h := OSHost()
	h.Disk = disk.NewRAM()
	return h
}
