package controller

import (
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// The upgrade types of UpdateFeatures (KIP-778).
const (
	upgradeOnly     = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// Bootstrap finalizes metadata.version at this build's level in a cluster that has
// none; the response is nil.
func Bootstrap() Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		if img.Feature(metadata.VersionFeature) != 0 {
			return nil, nil, nil
		}
		return []metadata.Record{&wire.FeatureLevelRecord{Name: metadata.VersionFeature, FeatureLevel: metadata.MaxVersion}}, nil, nil
	}
}

// UpdateFeatures decides on an UpdateFeatures request of the given version
// (KIP-584); the response is a *wire.UpdateFeaturesResponse. The one feature is
// metadata.version, and records are written at this build's level alone: it can be
// raised to that and nowhere else. One refusal refuses the request.
func UpdateFeatures(req *wire.UpdateFeaturesRequest, version int16) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		resp := &wire.UpdateFeaturesResponse{Results: []wire.UpdateFeaturesResponseUpdatableFeatureResult{}}
		var recs []metadata.Record
		seen := map[string]bool{}
		for _, u := range req.FeatureUpdates {
			kind := u.UpgradeType
			if version == 0 {
				kind = upgradeOnly
				if u.AllowDowngrade {
					kind = safeDowngrade
				}
			}
			rec, err := updateFeature(img, u.Feature, u.MaxVersionLevel, kind)
			if err == nil && seen[u.Feature] {
				err = code.Errorf(code.InvalidRequest, "Feature %s comes more than once; name each feature once.", u.Feature)
			}
			seen[u.Feature] = true
			if err != nil {
				resp.ErrorCode, resp.ErrorMessage = int16(code.Of(err)), code.Message(err)
				resp.Results = []wire.UpdateFeaturesResponseUpdatableFeatureResult{}
				return nil, resp, nil
			}
			if rec != nil {
				recs = append(recs, rec)
			}
			resp.Results = append(resp.Results, wire.UpdateFeaturesResponseUpdatableFeatureResult{Feature: u.Feature})
		}
		if req.ValidateOnly {
			recs = nil
		}
		return recs, resp, nil
	}
}

func updateFeature(img *metadata.Image, name string, level int16, kind int8) (metadata.Record, error) {
	current := img.Feature(name)
	switch {
	case kind < upgradeOnly || kind > unsafeDowngrade:
		return nil, code.Errorf(code.InvalidUpdateVersion, "Invalid upgrade type %d for feature %s; upgrade is 1, safe downgrade 2, unsafe downgrade 3.", kind, name)
	case name != metadata.VersionFeature:
		return nil, code.Errorf(code.InvalidUpdateVersion, "Invalid update version %d for feature %s: this controller does not support this feature; it supports %s.", level, name, metadata.VersionFeature)
	case level < metadata.MinVersion || level > metadata.MaxVersion:
		return nil, code.Errorf(code.InvalidUpdateVersion, "Invalid update version %d for feature %s: this controller supports versions %d to %d.", level, name, metadata.MinVersion, metadata.MaxVersion)
	case level == current:
		return nil, nil
	case level < current && kind == upgradeOnly:
		return nil, code.Errorf(code.InvalidUpdateVersion, "Invalid update version %d for feature %s: it is at %d, and the upgrade type allows no downgrade.", level, name, current)
	case level < current:
		return nil, code.Errorf(code.InvalidUpdateVersion, "Unsupported downgrade of %s from %d to %d: records at the newer level would be lost.", name, current, level)
	case level != metadata.MaxVersion:
		return nil, code.Errorf(code.InvalidUpdateVersion, "Invalid update version %d for feature %s: it can be raised to %d only.", level, name, metadata.MaxVersion)
	}
	return &wire.FeatureLevelRecord{Name: name, FeatureLevel: level}, nil
}
