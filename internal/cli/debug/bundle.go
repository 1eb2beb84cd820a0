package debug

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/group"
	"github.com/klamm/klamm/internal/cli/settings"
)

// index is what a bundle has in it: the first file of the zip.
type index struct {
	MadeAt  string    `json:"made_at"`
	Klamm   string    `json:"klamm"`
	Go      string    `json:"go"`
	OS      string    `json:"os"`
	Arch    string    `json:"arch"`
	Cluster string    `json:"cluster_id"`
	Files   []part    `json:"files"`
	Missing []missing `json:"missing"` // what could not be had
}

// part is a file of a bundle.
type part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// missing is what could not be had.
type missing struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// The bounds of one part of a bundle.
const (
	partWithin = 10 * time.Second
	partMost   = 64 << 20
)

// bundle puts what helps others help into one file.
func bundle(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "bundle FILE.zip", Short: "Put all that helps others help into one file, without secrets", Args: app.Exactly("FILE.zip"),
		Long: "Put all that helps others help into one file: versions, the configuration of brokers and topics, logs, metrics,\ngoroutines, log directories, metadata and groups. Values of keys that are secret, and what looks like a secret in\n" +
			"logs, are left out; no record is in it. What could not be had is in its index.json; the exit code is 7 then.",
		Example: "  klamm debug bundle cluster.zip\n  klamm debug bundle cluster.zip --admin 10.0.0.5:9644",
	}
	admin := adminFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		path := args[0]
		if _, err := os.Lstat(path); err == nil {
			return &app.Failure{Exit: app.ExitFailed, Code: app.CodeExists, What: fmt.Sprintf("%s exists already", path), Try: "another name"}
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			md, err := adm.Metadata(ctx)
			if err != nil {
				return app.Failed(err, "the metadata could not be read")
			}
			file, err := os.CreateTemp(filepath.Dir(path), ".klamm-bundle-*")
			if err != nil {
				return app.Input(err, "%s cannot be written", path)
			}
			defer os.Remove(file.Name()) // gone already when all went well
			defer file.Close()
			b := &bundling{a: a, ctx: ctx, cl: cl, adm: adm, md: md, out: zip.NewWriter(file), index: index{
				MadeAt: a.Time().UTC().Format(time.RFC3339), Klamm: app.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cluster: md.Cluster,
				Files: []part{}, Missing: []missing{},
			}}
			b.fill(*admin)
			for _, step := range []func() error{ctx.Err, b.end, file.Sync, file.Close, func() error { return os.Rename(file.Name(), path) }} {
				if err := step(); err != nil {
					return app.Failed(err, "%s could not be written", path)
				}
			}
			a.Say("wrote %s: %s, without secrets; look through it before you send it", path, app.CountText(len(b.index.Files), "file"))
			if n := len(b.index.Missing); n > 0 {
				return &app.Failure{Exit: app.ExitPartly, Code: app.CodePartly, What: fmt.Sprintf("%s could not be had", app.CountText(n, "part")), Why: b.index.Missing[0].Name + ": " + b.index.Missing[0].Why, Try: "index.json in " + path + " lists them"}
			}
			return nil
		})
	}
	return c
}

// bundling is a bundle that is being made.
type bundling struct {
	a     *app.App
	ctx   context.Context
	cl    *kgo.Client
	adm   *kadm.Client
	md    kadm.Metadata
	out   *zip.Writer
	index index
}

// add puts a part into the bundle, or says that it could not be had.
func (b *bundling) add(name string, make func(ctx context.Context, w io.Writer) error) {
	ctx, cancel := context.WithTimeout(b.ctx, partWithin)
	defer cancel()
	var text bytes.Buffer
	if err := make(ctx, &text); err != nil {
		b.lack(name, err)
		if text.Len() == 0 {
			return
		}
	}
	w, err := b.out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.a.Time()})
	if err == nil {
		_, err = w.Write(text.Bytes())
	}
	if err != nil {
		b.lack(name, err)
		return
	}
	b.index.Files = append(b.index.Files, part{name, int64(text.Len())})
}

// addJSON is add for a value.
func (b *bundling) addJSON(name string, get func(ctx context.Context) (any, error)) {
	b.add(name, func(ctx context.Context, w io.Writer) error {
		v, err := get(ctx)
		if v == nil {
			return err
		}
		return errors.Join(app.PrintJSON(w, v), err)
	})
}

// lack notes what could not be had.
func (b *bundling) lack(name string, err error) {
	why := app.Explain(err).Error()
	b.index.Missing = append(b.index.Missing, missing{name, why})
	b.a.Say("without %s: %s", name, why)
}

// end writes the index and ends the file.
func (b *bundling) end() error {
	w, err := b.out.CreateHeader(&zip.FileHeader{Name: "index.json", Method: zip.Deflate, Modified: b.a.Time()})
	if err != nil {
		return err
	}
	return errors.Join(app.PrintJSON(w, b.index), b.out.Close())
}

// fill adds all parts.
func (b *bundling) fill(admin string) {
	b.addJSON("metadata.json", func(context.Context) (any, error) { return newClusterPage(b.md), nil })
	b.addJSON("api-versions.json", b.versions)
	b.brokerConfigs()
	b.addJSON("topic-configs.json", b.topicConfigs)
	b.addJSON("log-dirs.json", b.logDirs)
	b.addJSON("groups.json", func(ctx context.Context) (any, error) {
		pages, err := group.All(ctx, b.a, b.cl, b.adm)
		if pages == nil && err != nil {
			return nil, err
		}
		return pages, err
	})
	scrub := newScrubber()
	for _, at := range admins(b.ctx, b.cl, b.md.Brokers, b.md.Cluster, admin) {
		node := "node-" + strconv.Itoa(int(at.node))
		if at.node < 0 {
			node = "node"
		}
		for _, p := range []struct{ name, path string }{
			{"logs.jsonl", "/debug/logs"}, {"metrics.txt", "/metrics"}, {"metrics-detail.txt", "/metrics/detail"}, {"goroutines.txt", "/debug/pprof/goroutine?debug=1"}, {"clients.json", "/clients"},
		} {
			b.add(node+"/"+p.name, func(ctx context.Context, w io.Writer) error {
				if at.err != nil {
					return at.err
				}
				var text bytes.Buffer
				if err := get(ctx, at.addr, p.path, partMost, &text); err != nil {
					return err
				}
				_, err := w.Write(scrub.line(text.Bytes()))
				return err
			})
		}
	}
}

// versions are the APIs of all brokers.
func (b *bundling) versions(ctx context.Context) (any, error) {
	answers, err := b.adm.ApiVersions(ctx)
	if err != nil {
		return nil, err
	}
	var rows []apiRow
	var errs []error
	for _, v := range answers.Sorted() {
		if v.Err != nil {
			errs = append(errs, fmt.Errorf("broker %d: %w", v.NodeID, v.Err))
			continue
		}
		rows = append(rows, apiRows(v.NodeID, v.Raw(), false)...)
	}
	return rows, errors.Join(errs...)
}

// brokerConfigs adds a file for each broker.
func (b *bundling) brokerConfigs() {
	var names []string
	for _, d := range b.md.Brokers {
		names = append(names, strconv.Itoa(int(d.NodeID)))
	}
	ctx, cancel := context.WithTimeout(b.ctx, partWithin)
	defer cancel()
	configs := settings.Describe(ctx, b.cl, settings.Query{Kind: kmsg.ConfigResourceTypeBroker, Names: names})
	for _, n := range names {
		b.addJSON("node-"+n+"/config.json", func(context.Context) (any, error) {
			if r := configs[n]; r.Err != nil {
				return nil, r.Err
			}
			return withoutSecrets(configs[n].Rows), nil
		})
	}
}

// topicConfig is the configuration of a topic.
type topicConfig struct {
	Topic   string         `json:"topic"`
	Configs []settings.Row `json:"configs"`
}

// topicConfigs are those of all topics, by 500.
func (b *bundling) topicConfigs(ctx context.Context) (any, error) {
	list := []topicConfig{}
	var errs []error
	for part := range slices.Chunk(b.md.Topics.Names(), 500) {
		configs := settings.Describe(ctx, b.cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: part})
		for _, n := range part {
			if r := configs[n]; r.Err != nil {
				errs = append(errs, fmt.Errorf("topic %s: %w", n, r.Err))
			} else {
				list = append(list, topicConfig{n, withoutSecrets(r.Rows)})
			}
		}
	}
	app.Sort(list, func(x, y topicConfig) int { return strings.Compare(x.Topic, y.Topic) })
	return list, errors.Join(errs...)
}

// dirLine is a log directory of a broker.
type dirLine struct {
	NodeID     int32     `json:"node_id"`
	Dir        string    `json:"directory"`
	Total      int64     `json:"total_bytes"`  // -1 when it is not told
	Usable     int64     `json:"usable_bytes"` // -1 when it is not told
	Error      string    `json:"error,omitempty"`
	Partitions []logLine `json:"partitions"`
}

// logLine is a log in a directory.
type logLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Bytes     int64  `json:"bytes"`
	OffsetLag int64  `json:"offset_lag"`
	Future    bool   `json:"future"`
}

// logDirs are the directories of all brokers.
func (b *bundling) logDirs(ctx context.Context) (any, error) {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Topics = nil // all
	list := []dirLine{}
	var errs []error
	for _, shard := range b.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			errs = append(errs, fmt.Errorf("broker %d: %w", shard.Meta.NodeID, shard.Err))
			continue
		}
		for _, d := range shard.Resp.(*kmsg.DescribeLogDirsResponse).Dirs {
			l := dirLine{NodeID: shard.Meta.NodeID, Dir: d.Dir, Total: d.TotalBytes, Usable: d.UsableBytes, Error: codeName(d.ErrorCode), Partitions: []logLine{}}
			for _, t := range d.Topics {
				for _, p := range t.Partitions {
					l.Partitions = append(l.Partitions, logLine{t.Topic, p.Partition, p.Size, p.OffsetLag, p.IsFuture})
				}
			}
			app.Sort(l.Partitions, func(x, y logLine) int {
				return cmp.Or(strings.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
			})
			list = append(list, l)
		}
	}
	app.Sort(list, func(x, y dirLine) int { return cmp.Or(cmp.Compare(x.NodeID, y.NodeID), strings.Compare(x.Dir, y.Dir)) })
	if len(list) == 0 && len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return list, errors.Join(errs...)
}
