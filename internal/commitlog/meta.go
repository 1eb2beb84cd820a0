package commitlog

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/disk"
)

// Meta is what meta.properties says of a log directory: whose it is.
type Meta struct {
	// ClusterID is the cluster's id, as a client sees it.
	ClusterID string
	// NodeID is the node's number.
	NodeID int32
	// DirectoryID tells this directory from every other, also from itself after it
	// was wiped.
	DirectoryID [16]byte
}

const (
	metaFile   = "meta.properties"
	metaFormat = 1
	maxMeta    = 64 << 10
)

// kafkaFiles are what Apache Kafka leaves in its log directories.
var kafkaFiles = []string{
	"recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint",
	"cleaner-offset-checkpoint", ".kafka_cleanshutdown", "bootstrap.checkpoint",
}

// ErrForeign is wrapped when a directory belongs to somebody else: another cluster,
// another node, a newer format, or Apache Kafka. Nothing in it has been touched.
var ErrForeign = errors.New("the log directory is not ours")

// NewDirectoryID draws a directory id.
func NewDirectoryID() (id [16]byte) {
	for id == ([16]byte{}) || id[0] == '-' {
		_, _ = rand.Read(id[:])
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
	}
	return id
}

// InitDir makes dir a log directory and writes its meta.properties durably. A
// directory that has one already, or holds Apache Kafka's files or partitions of
// unknown origin, is refused and left as it is.
func InitDir(f disk.FS, dir string, m Meta) error {
	if m.ClusterID == "" || strings.ContainsAny(m.ClusterID, "\r\n") {
		return fmt.Errorf("format %s: the cluster id %q is not one line of text", dir, m.ClusterID)
	}
	switch _, err := ReadMeta(f, dir); {
	case err == nil:
		return fmt.Errorf("format %s: it has a %s already; remove the directory's content to start anew", dir, metaFile)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := f.MkdirAll(dir); err != nil {
		return err
	}
	if err := f.SyncDir(path.Dir(path.Clean(dir))); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if m.DirectoryID == ([16]byte{}) {
		m.DirectoryID = NewDirectoryID()
	}
	text := fmt.Sprintf("# Written by klamm. Do not edit.\nklamm.format=%d\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n",
		metaFormat, m.ClusterID, m.NodeID, base64.RawURLEncoding.EncodeToString(m.DirectoryID[:]))
	return replaceFile(f, path.Join(dir, metaFile), []byte(text))
}

// replaceFile writes a file beside its name, makes it durable, and renames it.
func replaceFile(f disk.FS, name string, b []byte) error {
	tmp := name + ".tmp"
	if err := f.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := f.Create(tmp)
	if err != nil {
		return err
	}
	if _, err = w.WriteAt(b, 0); err == nil {
		err = w.Sync()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.Rename(tmp, name)
	}
	if err != nil {
		return err
	}
	return f.SyncDir(path.Dir(name))
}

// ReadMeta reads a log directory's meta.properties. The error is fs.ErrNotExist for
// a directory that is absent or empty, and ErrForeign for one that is not ours.
func ReadMeta(f disk.FS, dir string) (Meta, error) {
	name := path.Join(dir, metaFile)
	b, err := readSmall(f, name, maxMeta)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return Meta{}, err
		}
		if err := refuseUnknown(f, dir); err != nil {
			return Meta{}, err
		}
		return Meta{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return parseMeta(b, name, dir)
}

func parseMeta(b []byte, name, dir string) (Meta, error) {
	p := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			return Meta{}, fmt.Errorf("%s: the line %q is not key=value; restore the file", name, line)
		}
		p[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	if p["klamm.format"] == "" {
		if p["version"] != "" {
			return Meta{}, fmt.Errorf("%w: %s is Apache Kafka's data directory (its %s has version=%s); give klamm a directory of its own", ErrForeign, dir, metaFile, p["version"])
		}
		return Meta{}, fmt.Errorf("%w: %s has no klamm.format", ErrForeign, name)
	}
	format, err := strconv.Atoi(p["klamm.format"])
	if err != nil || format < 1 {
		return Meta{}, fmt.Errorf("%s: klamm.format=%s is no number from 1 on; restore the file", name, p["klamm.format"])
	}
	if format > metaFormat {
		return Meta{}, fmt.Errorf("%w: %s has format %d and this version reads up to %d; start the newer version of klamm", ErrForeign, name, format, metaFormat)
	}
	m := Meta{ClusterID: p["cluster.id"]}
	if m.ClusterID == "" {
		return Meta{}, fmt.Errorf("%s: cluster.id is missing; restore the file", name)
	}
	id, err := strconv.ParseInt(p["node.id"], 10, 32)
	if err != nil || id < 0 {
		return Meta{}, fmt.Errorf("%s: node.id=%s is no node's number; restore the file", name, p["node.id"])
	}
	m.NodeID = int32(id)
	d, err := base64.RawURLEncoding.DecodeString(p["directory.id"])
	if err != nil || len(d) != 16 {
		return Meta{}, fmt.Errorf("%s: directory.id=%s is no id; restore the file", name, p["directory.id"])
	}
	m.DirectoryID = [16]byte(d)
	return m, nil
}

// refuseUnknown refuses a directory without meta.properties that holds logs.
func refuseUnknown(f disk.FS, dir string) error {
	list, err := f.List(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, e := range list {
		for _, k := range kafkaFiles {
			if e.Name() == k {
				return fmt.Errorf("%w: %s is Apache Kafka's data directory (it holds %s); give klamm a directory of its own", ErrForeign, dir, k)
			}
		}
		if _, ok := parseDir(e.Name()); ok && e.IsDir() {
			return fmt.Errorf("%w: %s holds %s and no %s; restore that file, or give klamm an empty directory", ErrForeign, dir, e.Name(), metaFile)
		}
	}
	return nil
}

// parseDir splits a partition's directory name.
func parseDir(name string) (ID, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i+1 == len(name) {
		return ID{}, false
	}
	for _, c := range []byte(name[i+1:]) {
		if c < '0' || c > '9' {
			return ID{}, false
		}
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil {
		return ID{}, false
	}
	id := ID{Topic: name[:i], Partition: int32(n)}
	return id, id.dir() == name
}

// readSmall reads a file of at most limit bytes.
func readSmall(f disk.FS, name string, limit int64) ([]byte, error) {
	r, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	n, err := r.Size()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%s has %d bytes where at most %d belong; restore the file", name, n, limit)
	}
	b := make([]byte, n)
	if m, err := r.ReadAt(b, 0); m < len(b) && !errors.Is(err, io.EOF) {
		return nil, err
	} else {
		b = b[:m]
	}
	return b, nil
}
