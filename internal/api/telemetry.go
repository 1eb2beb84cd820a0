package api

import (
	"cmp"
	"context"
	"net"
	"strconv"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/telemetry"
	"github.com/klamm/klamm/internal/wire"
)

// telemetrySession is a connection's state once it has asked for subscriptions or pushed.
type telemetrySession struct {
	manager    *telemetry.Manager
	connection uint64
}

// Close implements io.Closer: the connection has ended.
func (s *telemetrySession) Close() error {
	s.manager.Disconnected(s.connection)
	return nil
}

// telemetryClient is who pushes, its library "unknown" where it told none, and sees to it that its end is heard of.
func (b *Broker) telemetryClient(c *rpc.Call) telemetry.Client {
	if c.Conn.Attach == nil {
		c.Conn.Attach = &telemetrySession{b.Telemetry, c.Conn.ID}
	}
	who := telemetry.Client{Connection: c.Conn.ID, ID: c.Header.ClientID, Software: cmp.Or(c.Conn.Client.Name, "unknown"), Version: cmp.Or(c.Conn.Client.Version, "unknown"),
		Principal: c.Conn.Principal.String(), Address: hostOf(c.Conn.Remote)}
	if tcp, ok := c.Conn.Remote.(*net.TCPAddr); ok {
		who.Port = strconv.Itoa(tcp.Port)
	}
	return who
}

// getTelemetrySubscriptions tells a client which metrics to push, and how often (KIP-714).
func (b *Broker) getTelemetrySubscriptions(_ context.Context, c *rpc.Call, q *wire.GetTelemetrySubscriptionsRequest, _ *rpc.Reply) wire.Message {
	a := wire.NewGetTelemetrySubscriptionsResponse()
	t, err := b.Telemetry.Ask(q.ClientInstanceId, b.telemetryClient(c), c.Arrived)
	if err != nil {
		a.ErrorCode = int16(code.Of(err))
		return a
	}
	a.ClientInstanceId, a.SubscriptionId, a.RequestedMetrics = t.Instance, t.Subscription, t.Metrics
	a.PushIntervalMs, a.TelemetryMaxBytes = int32(t.Interval.Milliseconds()), int32(b.Telemetry.MaxBytes())
	a.AcceptedCompressionTypes, a.DeltaTemporality = telemetry.Accepted(), true
	return a
}

// pushTelemetry takes a client's metrics (KIP-714).
func (b *Broker) pushTelemetry(_ context.Context, c *rpc.Call, q *wire.PushTelemetryRequest, _ *rpc.Reply) wire.Message {
	a := wire.NewPushTelemetryResponse()
	who := b.telemetryClient(c)
	p := telemetry.Push{Instance: q.ClientInstanceId, Subscription: q.SubscriptionId, Terminating: q.Terminating, Compression: q.CompressionType, Size: len(q.Metrics)}
	err := b.Telemetry.Admit(p, who, c.Arrived)
	if err == nil {
		err = b.keepTelemetry(c, p, who, q.Metrics)
		b.Telemetry.Settle(p, err)
	}
	if err != nil {
		a.ErrorCode = int16(code.Of(err))
		b.Logger.Debug("a push of a client's metrics was refused", "event", "telemetry_refused", "client_id", c.Header.ClientID, "remote", c.Conn.Remote, "error", err)
	}
	return a
}

// keepTelemetry decompresses the metrics of a push and keeps them.
func (b *Broker) keepTelemetry(c *rpc.Call, p telemetry.Push, who telemetry.Client, metrics []byte) error {
	if len(metrics) == 0 {
		return nil
	}
	const magic = 2 // of the frames that LZ4 has
	plain, err := b.Codecs.Decompress(metrics, record.Codec(p.Compression), magic, b.Telemetry.MaxBytes())
	switch code.Of(err) {
	case code.None:
	case code.MessageTooLarge:
		return code.Errorf(code.TelemetryTooLarge, "a push decompresses to more than telemetry.max.bytes (%d); push fewer metrics, or raise it", b.Telemetry.MaxBytes())
	default:
		return code.Errorf(code.InvalidRecord, "the metrics of a push cannot be decompressed: %v", err)
	}
	defer plain.Release()
	return b.Telemetry.Keep(p, who, plain.Bytes(), c.Arrived)
}
