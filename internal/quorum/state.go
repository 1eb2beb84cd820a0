package quorum

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/disk"
)

// stateFile holds raft's term, vote and commit.
const stateFile = "quorum-state"

// maxStateBytes is the most that a state file may have.
const maxStateBytes = 4 << 10

// hardState is the content of quorum-state: this as JSON, and on a line of its own
// the CRC-32C of the line before in hexadecimal.
type hardState struct {
	Version int    `json:"data_version"`
	Term    uint64 `json:"term"`
	Vote    uint64 `json:"vote"`   // raft id, 0 is none
	Commit  uint64 `json:"commit"` // at least this offset is committed
}

// stateVersion is the version of quorum-state that is written and read.
const stateVersion = 1

func appendState(b []byte, h *raftpb.HardState) []byte {
	line, err := json.Marshal(hardState{stateVersion, h.GetTerm(), h.GetVote(), h.GetCommit()})
	if err != nil {
		panic(fmt.Sprintf("quorum: numbers do not encode: %v", err))
	}
	b = append(append(b, line...), '\n')
	return fmt.Appendf(b, "%08x\n", crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli)))
}

func parseState(b []byte) (*raftpb.HardState, error) {
	line, rest, ok := bytes.Cut(b, []byte{'\n'})
	want := fmt.Sprintf("%08x\n", crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli)))
	if !ok || string(rest) != want {
		return nil, errors.New("its checksum does not match")
	}
	var s hardState
	if err := json.Unmarshal(line, &s); err != nil {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("it has version %d and this build reads %d", s.Version, stateVersion)
	}
	return &raftpb.HardState{Term: &s.Term, Vote: &s.Vote, Commit: &s.Commit}, nil
}

// readState reads quorum-state; nil when there is none.
func readState(fsys disk.FS, dir string) (*raftpb.HardState, error) {
	name := path.Join(dir, stateFile)
	b, err := readFile(fsys, name, maxStateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h, err := parseState(b)
	if err != nil {
		return nil, fmt.Errorf("quorum: %s: %w; this voter no longer knows whom it voted for: remove its directory and let it join anew", name, err)
	}
	return h, nil
}

// writeState replaces quorum-state durably.
func writeState(fsys disk.FS, dir string, h *raftpb.HardState) error {
	return replaceFile(fsys, dir, stateFile, appendState(nil, h))
}

// replaceFile writes b under another name, makes it durable, and gives it its name at once.
func replaceFile(fsys disk.FS, dir, name string, b []byte) error {
	temp, final := path.Join(dir, name+partSuffix), path.Join(dir, name)
	err := func() error {
		if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err := fsys.Create(temp)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := f.Sync(); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return err
		}
		if err := fsys.Rename(temp, final); err != nil {
			return err
		}
		return fsys.SyncDir(dir)
	}()
	if err != nil {
		return fmt.Errorf("quorum: write %s: %w", final, err)
	}
	return nil
}

// partSuffix ends the names of files that are being written.
const partSuffix = ".part"

// readFile reads a whole file of at most max bytes.
func readFile(fsys disk.FS, name string, max int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("quorum: %s: %w", name, err)
	}
	if size > max {
		return nil, fmt.Errorf("quorum: %s has %d bytes; at most %d are allowed", name, size, max)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("quorum: read %s: %w", name, err)
	}
	return b, nil
}
