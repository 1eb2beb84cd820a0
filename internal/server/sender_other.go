//go:build !linux

package server

import "net"

// sysSender is empty where the portable calls serve.
type sysSender struct{}

func (o *sender) canSplice() bool { return false }

// writeAll sends the pieces together where the system can.
func (o *sender) writeAll(bool) error {
	if o.raw == nil {
		return o.writeEach()
	}
	v := net.Buffers(o.iov)
	n, err := v.WriteTo(o.nc)
	o.sent += n
	return err
}

func (o *sender) splice(uintptr, int64, int) error { panic("server: splice without sendfile") }
