package controller

import (
	"math"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// ProducerIDBlock is how many producer ids a broker gets at a time (KIP-730).
const ProducerIDBlock = 1000

// AllocateProducerIds gives a broker the next block of producer ids; the response
// is a *wire.AllocateProducerIdsResponse.
func AllocateProducerIds(req *wire.AllocateProducerIdsRequest) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		resp := &wire.AllocateProducerIdsResponse{}
		first := img.NextProducerID()
		err := checkEpoch(img, req.BrokerId, req.BrokerEpoch)
		if err == nil && first > math.MaxInt64-ProducerIDBlock {
			err = code.Errorf(code.UnknownServerError, "Producer ids are used up.")
		}
		if err != nil {
			resp.ErrorCode = int16(code.Of(err))
			return nil, resp, nil
		}
		resp.ProducerIdStart, resp.ProducerIdLen = first, ProducerIDBlock
		return []metadata.Record{&wire.ProducerIdsRecord{BrokerId: req.BrokerId, BrokerEpoch: req.BrokerEpoch, NextProducerId: first + ProducerIDBlock}}, resp, nil
	}
}
