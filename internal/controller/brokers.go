package controller

import (
	"cmp"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// Sessions say when each broker was last heard of. They are soft: a new leader of
// the quorum begins with everybody heard of just now. The zero value is empty. It
// is for one goroutine at a time.
type Sessions struct {
	last map[int32]session
}

type session struct {
	epoch int64
	at    time.Time
}

// Reset forgets all and counts every unfenced broker of the image as heard of at now.
func (s *Sessions) Reset(img *metadata.Image, now time.Time) {
	s.last = map[int32]session{}
	for _, b := range img.Brokers() {
		if !b.Fenced {
			s.last[b.ID] = session{b.Epoch, now}
		}
	}
}

// NextExpiry returns when the first session ends unless its broker is heard of
// before; false when there is none.
func (s *Sessions) NextExpiry(timeout time.Duration) (at time.Time, ok bool) {
	for _, v := range s.last {
		if end := v.at.Add(timeout); !ok || end.Before(at) {
			at, ok = end, true
		}
	}
	return at, ok
}

func (s *Sessions) touch(id int32, epoch int64, now time.Time) {
	if s.last == nil {
		s.last = map[int32]session{}
	}
	s.last[id] = session{epoch, now}
}

func (s *Sessions) end(id int32) { delete(s.last, id) }

// valid reports whether the broker was heard of in that epoch within the timeout.
func (s *Sessions) valid(id int32, epoch int64, now time.Time, timeout time.Duration) bool {
	v, ok := s.last[id]
	return ok && v.epoch == epoch && now.Sub(v.at) < timeout
}

// checkEpoch returns STALE_BROKER_EPOCH unless the broker is registered in that epoch.
func checkEpoch(img *metadata.Image, id int32, epoch int64) error {
	b := img.Broker(id)
	if b == nil {
		return code.Errorf(code.StaleBrokerEpoch, "Broker %d is not registered; register first.", id)
	}
	if b.Epoch != epoch {
		return code.Errorf(code.StaleBrokerEpoch, "Broker %d is registered in epoch %d and not %d; register again.", id, b.Epoch, epoch)
	}
	return nil
}

// Registration is a broker that wants to be part of the cluster.
type Registration struct {
	// Request is what Kafka's brokers send (KIP-631). PreviousBrokerEpoch is the epoch that
	// the broker kept at its last clean stop, -1 when it stopped uncleanly.
	Request *wire.BrokerRegistrationRequest
	// Serving says that the broker's logs are open and its listeners accept, so that
	// it need not be fenced until its first heartbeat.
	Serving bool
}

// RegisterBroker decides on a registration; the response is a
// *wire.BrokerRegistrationResponse with the new epoch.
//
// A broker that is heard of under another incarnation is not replaced, unless the
// new one has a log directory of the old: directories are locked, so the old one is
// dead. A broker that did not stop cleanly leaves every ISR and ELR (KAFKA-15586),
// but for partitions of which it has the only replica.
func RegisterBroker(reg Registration) Decision {
	req := reg.Request
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		resp := &wire.BrokerRegistrationResponse{BrokerEpoch: -1}
		if err := checkRegistration(img, env, req); err != nil {
			resp.ErrorCode = int16(code.Of(err))
			return nil, resp, nil
		}
		old := img.Broker(req.BrokerId)
		r := wire.NewRegisterBrokerRecord()
		r.BrokerId, r.IncarnationId, r.Rack, r.LogDirs = req.BrokerId, req.IncarnationId, req.Rack, req.LogDirs
		r.Fenced = !reg.Serving
		for _, l := range req.Listeners {
			r.EndPoints = append(r.EndPoints, wire.RegisterBrokerRecordBrokerEndpoint{Name: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol})
		}
		for _, f := range req.Features {
			r.Features = append(r.Features, wire.RegisterBrokerRecordBrokerFeature{Name: f.Name, MinSupportedVersion: f.MinSupportedVersion, MaxSupportedVersion: f.MaxSupportedVersion})
		}
		slices.SortFunc(r.Features, func(a, b wire.RegisterBrokerRecordBrokerFeature) int { return cmp.Compare(a.Name, b.Name) })
		recs := []metadata.Record{r}
		switch {
		case old != nil && old.Incarnation == req.IncarnationId:
			r.BrokerEpoch, r.Fenced, r.InControlledShutdown = old.Epoch, old.Fenced, old.InControlledShutdown
			resp.BrokerEpoch = r.BrokerEpoch
			env.Sessions.touch(req.BrokerId, r.BrokerEpoch, env.Now)
			return recs, resp, nil
		case old != nil:
			recs = append(recs, restart(img, env, old, req.PreviousBrokerEpoch == old.Epoch, reg.Serving)...)
		case reg.Serving:
			recs = append(recs, withBroker(img, env, req.BrokerId)...)
		}
		r.BrokerEpoch = env.NextOffset
		if len(recs) > 1 {
			r.BrokerEpoch++ // behind the begin record
		}
		resp.BrokerEpoch = r.BrokerEpoch
		env.Sessions.touch(req.BrokerId, r.BrokerEpoch, env.Now)
		return recs, resp, nil
	}
}

func checkRegistration(img *metadata.Image, env *Env, req *wire.BrokerRegistrationRequest) error {
	if req.BrokerId < 0 {
		return code.Errorf(code.InvalidRequest, "Broker id %d is negative.", req.BrokerId)
	}
	if img.ClusterID() != "" && req.ClusterId != img.ClusterID() {
		return code.Errorf(code.InconsistentClusterId, "Broker %d is of cluster %s and this is cluster %s.", req.BrokerId, req.ClusterId, img.ClusterID())
	}
	for i, d := range req.LogDirs {
		if !metadata.IsRealDirectory(d) || slices.Contains(req.LogDirs[:i], d) {
			return code.Errorf(code.InvalidRequest, "Broker %d names the log directory %s twice, or it is a reserved id.", req.BrokerId, d)
		}
		for _, b := range img.Brokers() {
			if b.ID != req.BrokerId && slices.Contains(b.Directories, d) {
				return code.Errorf(code.DuplicateBrokerRegistration, "Broker %d names the log directory %s, which broker %d has.", req.BrokerId, d, b.ID)
			}
		}
	}
	if level := img.Feature(metadata.VersionFeature); level != 0 {
		i := slices.IndexFunc(req.Features, func(f wire.BrokerRegistrationRequestFeature) bool { return f.Name == metadata.VersionFeature })
		if i < 0 || req.Features[i].MinSupportedVersion > level || req.Features[i].MaxSupportedVersion < level {
			return code.Errorf(code.UnsupportedVersion, "Broker %d does not support %s %d, which is finalized.", req.BrokerId, metadata.VersionFeature, level)
		}
	}
	old := img.Broker(req.BrokerId)
	if old != nil && old.Incarnation != req.IncarnationId && !sameDirectory(old.Directories, req.LogDirs) &&
		env.Sessions.valid(old.ID, old.Epoch, env.Now, env.Defaults.SessionTimeout) {
		return code.Errorf(code.DuplicateBrokerRegistration, "Another broker is registered with id %d and alive; if it was just restarted, its session ends within %s.", req.BrokerId, env.Defaults.SessionTimeout)
	}
	return nil
}

// restart returns what becomes of the partitions of a broker that registers again.
// The only replica of a partition keeps leading it when the broker serves already:
// nobody else could, and after an unclean stop a new leader epoch lets consumers
// find out that the log's tail may have changed (KIP-320).
func restart(img *metadata.Image, env *Env, old *metadata.Broker, clean, serving bool) (recs []metadata.Record) {
	alive := func(id int32) bool {
		if id == old.ID {
			return serving
		}
		return active(img, id)
	}
	for t := range img.Topics() {
		minISR := -1
		for n, p := range t.Partitions {
			if !slices.Contains(p.Replicas, old.ID) {
				continue
			}
			sole := len(p.Replicas) == 1
			if sole && serving && p.Leader == old.ID && len(p.ISR) == 1 {
				if !clean {
					r := wire.NewPartitionChangeRecord()
					r.TopicId, r.PartitionId, r.Leader = t.ID, int32(n), old.ID
					recs = append(recs, r)
				}
				continue
			}
			if minISR < 0 {
				minISR = env.minISR(img, t.Name)
			}
			c := newChange(t.ID, int32(n), p, minISR, alive)
			if env.unclean(img, t.Name) {
				c.election = unclean
			}
			c.without(old.ID, !clean && !sole)
			if r := c.record(); r != nil {
				recs = append(recs, r)
			}
		}
	}
	return recs
}

// BrokerHeartbeat decides on a broker's heartbeat (KIP-631); the response is a
// *wire.BrokerHeartbeatResponse. It notes in the Env's sessions that the broker is alive.
//
// A fenced broker that no longer wants to be is unfenced once it has applied its
// own registration. One that wants to shut down gives its leaderships away first;
// when no other broker is alive there is nobody to give them to, and it may stop at once.
func BrokerHeartbeat(req *wire.BrokerHeartbeatRequest) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		resp := &wire.BrokerHeartbeatResponse{IsFenced: true}
		if err := checkEpoch(img, req.BrokerId, req.BrokerEpoch); err != nil {
			resp.ErrorCode = int16(code.Of(err))
			return nil, resp, nil
		}
		b := img.Broker(req.BrokerId)
		resp.IsCaughtUp = req.CurrentMetadataOffset >= b.Epoch
		resp.IsFenced = b.Fenced
		env.Sessions.touch(b.ID, b.Epoch, env.Now)
		change := wire.BrokerRegistrationChangeRecord{BrokerId: b.ID, BrokerEpoch: b.Epoch, LogDirs: []wire.UUID{}}
		switch {
		case b.Fenced && (req.WantShutDown || b.InControlledShutdown):
			env.Sessions.end(b.ID)
			resp.ShouldShutDown = true
		case b.Fenced && !req.WantFence && resp.IsCaughtUp:
			change.Fenced = unfence
			resp.IsFenced = false
			return append([]metadata.Record{&change}, withBroker(img, env, b.ID)...), resp, nil
		case b.Fenced:
		case req.WantFence:
			resp.IsFenced, resp.ShouldShutDown = true, req.WantShutDown
			change.Fenced = fence
			return append([]metadata.Record{&change}, withoutBroker(img, env, b.ID, false)...), resp, nil
		case req.WantShutDown && !othersAlive(img, b.ID):
			env.Sessions.end(b.ID)
			resp.ShouldShutDown = true
		case req.WantShutDown && !b.InControlledShutdown && leads(img, b.ID):
			change.InControlledShutdown = 1
			return append([]metadata.Record{&change}, withoutBroker(img, env, b.ID, false)...), resp, nil
		case (req.WantShutDown || b.InControlledShutdown) && !leads(img, b.ID):
			resp.IsFenced, resp.ShouldShutDown = true, true
			env.Sessions.end(b.ID)
			change.Fenced = fence
			return append([]metadata.Record{&change}, withoutBroker(img, env, b.ID, false)...), resp, nil
		}
		return nil, resp, nil
	}
}

// The values of Fenced in a BrokerRegistrationChangeRecord.
const (
	fence   = 1
	unfence = -1
)

func othersAlive(img *metadata.Image, broker int32) bool {
	for _, b := range img.Brokers() {
		if b.ID != broker && b.Active() {
			return true
		}
	}
	return false
}

// Expire fences the brokers that were not heard of for the session timeout. Whoever
// hosts the controller runs it when Sessions.NextExpiry is due. The response is
// the []int32 of the brokers that it fenced.
func Expire() Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		var recs []metadata.Record
		var fenced []int32
		now := img
		for _, b := range img.Brokers() {
			if env.Sessions.valid(b.ID, b.Epoch, env.Now, env.Defaults.SessionTimeout) {
				continue
			}
			env.Sessions.end(b.ID)
			if b.Fenced {
				continue
			}
			fenced = append(fenced, b.ID)
			change := &wire.BrokerRegistrationChangeRecord{BrokerId: b.ID, BrokerEpoch: b.Epoch, Fenced: fence, LogDirs: []wire.UUID{}}
			more := append([]metadata.Record{change}, withoutBroker(now, env, b.ID, false)...)
			recs = append(recs, more...)
			var err error
			if now, _, err = now.Apply(more, env.NextOffset, 0); err != nil {
				return nil, nil, err
			}
		}
		return recs, fenced, nil
	}
}

// UnregisterBroker decides on the removal of a broker's registration; the response
// is a *wire.UnregisterBrokerResponse.
func UnregisterBroker(req *wire.UnregisterBrokerRequest) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		resp := &wire.UnregisterBrokerResponse{}
		b := img.Broker(req.BrokerId)
		if b == nil {
			err := code.Errorf(code.BrokerIdNotRegistered, "Broker %d is not registered.", req.BrokerId)
			resp.ErrorCode, resp.ErrorMessage = int16(code.Of(err)), code.Message(err)
			return nil, resp, nil
		}
		env.Sessions.end(b.ID)
		recs := []metadata.Record{&wire.UnregisterBrokerRecord{BrokerId: b.ID, BrokerEpoch: b.Epoch}}
		return append(recs, withoutBroker(img, env, b.ID, false)...), resp, nil
	}
}
