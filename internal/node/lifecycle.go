package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// cleanStop is the file that a clean stop leaves in the first log directory: the
// broker's epoch, by which the controller knows that nothing was lost (KIP-966). It
// is removed as soon as it is read, so that a crash while starting is none (KAFKA-10471).
const cleanStop = "clean-stop"

// takeCleanStop returns the epoch that the last clean stop left, or -1, and removes it.
func takeCleanStop(d disk.FS, dir string) (epoch int64, err error) {
	name := path.Join(dir, cleanStop)
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if err := f.Close(); err != nil {
		return -1, err
	}
	if err := d.Remove(name); err != nil {
		return -1, err
	}
	if err := d.SyncDir(dir); err != nil {
		return -1, err
	}
	epoch, err = strconv.ParseInt(strings.TrimSpace(string(b[:n])), 10, 64)
	if err != nil {
		return -1, nil // half written: the stop was not clean
	}
	return epoch, nil
}

// leaveCleanStop writes the epoch durably, once everything else has been.
func leaveCleanStop(d disk.FS, dir string, epoch int64) error {
	f, err := d.Create(path.Join(dir, cleanStop))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendln(nil, epoch), 0)
	err = errors.Join(err, f.Sync(), f.Close())
	return errors.Join(err, d.SyncDir(dir))
}

// register makes the broker part of the cluster. Its logs are open and its listeners accept.
func (n *Node) register(ctx context.Context, previous int64) error {
	req := wire.NewBrokerRegistrationRequest()
	req.BrokerId, req.ClusterId, req.IncarnationId, req.PreviousBrokerEpoch = n.cfg.NodeID, n.clusterID, n.incarnation, previous
	for _, l := range n.cfg.Listeners {
		if l.Controller {
			continue
		}
		e := n.advertised(l)
		req.Listeners = append(req.Listeners, wire.BrokerRegistrationRequestListener{Name: l.Name, Host: e.Host, Port: uint16(e.Port)})
	}
	req.Features = []wire.BrokerRegistrationRequestFeature{{Name: metadata.VersionFeature, MinSupportedVersion: metadata.MinVersion, MaxSupportedVersion: metadata.MaxVersion}}
	req.Rack = nil // where broker.rack is not set; the message's own default is a rack without a name
	if rack := n.cfg.Static["broker.rack"]; rack != "" {
		req.Rack = &rack
	}
	for _, d := range n.dirs {
		req.LogDirs = append(req.LogDirs, d.Meta().DirectoryID)
	}
	response, err := n.quorum.Propose(ctx, controller.RegisterBroker(controller.Registration{Request: req, Serving: true}))
	if err != nil {
		return fmt.Errorf("register broker %d: %w", n.cfg.NodeID, err)
	}
	r := response.(*wire.BrokerRegistrationResponse)
	if r.ErrorCode != 0 {
		return fmt.Errorf("register broker %d: the controller refused it: %w", n.cfg.NodeID, code.Error(r.ErrorCode))
	}
	n.epoch = r.BrokerEpoch
	return nil
}

// heartbeat tells the controller that the broker is alive until ctx ends.
func (n *Node) heartbeat(ctx context.Context) error {
	t := time.NewTicker(n.duration("broker.heartbeat.interval.ms"))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if _, err := n.beat(ctx, false); err != nil && ctx.Err() == nil {
			n.log.Warn("a heartbeat did not reach the controller", "event", "heartbeat_failed", "error", err)
		}
	}
}

// beat sends one heartbeat; stopping asks for the broker's leaderships to be given away first. It reports whether the broker may stop.
func (n *Node) beat(ctx context.Context, stopping bool) (mayStop bool, err error) {
	offset, _ := n.quorum.Image().Offset()
	response, err := n.quorum.Propose(ctx, controller.BrokerHeartbeat(&wire.BrokerHeartbeatRequest{
		BrokerId: n.cfg.NodeID, BrokerEpoch: n.epoch, CurrentMetadataOffset: offset, WantShutDown: stopping,
	}))
	if err != nil {
		return false, err
	}
	r := response.(*wire.BrokerHeartbeatResponse)
	if r.ErrorCode != 0 {
		return false, code.Error(r.ErrorCode)
	}
	return r.ShouldShutDown, nil
}

// resign gives the broker's leaderships away before it stops, for as long as ctx allows.
func (n *Node) resign(ctx context.Context) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		switch mayStop, err := n.beat(ctx, true); {
		case mayStop:
			return
		case err != nil:
			n.log.Warn("the controller could not be told that this broker stops", "event", "resign_failed", "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
