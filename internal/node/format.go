package node

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/klamm/klamm/internal/commitlog"
)

// Formatted is a directory that Format made ready.
type Formatted struct {
	Dir         string
	ClusterID   string
	NodeID      int32
	DirectoryID string
}

// Format makes the directories of cfg ready with ids that are known beforehand. Nothing needs it: a first
// start draws what is missing. directoryIDs are for cfg's log directories in their order; the rest, and a
// cluster id that cfg has not, are drawn at random. A directory that is in use already is refused.
func Format(cfg Config, h Host, directoryIDs []string) ([]Formatted, error) {
	dirs := slices.Clone(cfg.LogDirs)
	if !slices.Contains(dirs, cfg.MetadataDir) {
		dirs = append(dirs, cfg.MetadataDir)
	}
	if len(directoryIDs) > len(dirs) {
		return nil, fmt.Errorf("%d directory ids for %d directories; give at most one each", len(directoryIDs), len(dirs))
	}
	cluster := cfg.ClusterID
	if cluster == "" {
		cluster = idText(commitlog.NewDirectoryID())
	}
	ids := make([][16]byte, len(dirs))
	for i := range ids {
		if i >= len(directoryIDs) {
			ids[i] = commitlog.NewDirectoryID()
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(directoryIDs[i])
		if err != nil || len(b) != 16 {
			return nil, fmt.Errorf("directory id %q is not 16 bytes in URL-safe base64, 22 letters; klamm format without it draws one", directoryIDs[i])
		}
		ids[i] = [16]byte(b)
	}
	var done []Formatted
	for i, d := range dirs {
		m := commitlog.Meta{ClusterID: cluster, NodeID: cfg.NodeID, DirectoryID: ids[i]}
		if err := commitlog.InitDir(h.Disk, d, m); err != nil {
			return done, err
		}
		done = append(done, Formatted{d, cluster, cfg.NodeID, idText(m.DirectoryID)})
	}
	return done, nil
}

// idText writes an id as Kafka does.
func idText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
