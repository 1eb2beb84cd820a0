package node

import (
	"context"
	"net"

	"github.com/klamm/klamm/internal/disk"
)

// Host is all that a node needs of the machine it runs on.
type Host struct {
	// Listen opens a listening socket, as net.Listen does.
	Listen func(network, addr string) (net.Listener, error)
	// Dial connects to another node, as net.Dialer.DialContext does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Disk is where the directories are.
	Disk disk.FS
}

// OSHost is this machine: its network and its file systems.
func OSHost() Host {
	var d net.Dialer
	return Host{Listen: net.Listen, Dial: d.DialContext, Disk: disk.OS()}
}
