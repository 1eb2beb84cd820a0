package kafka

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// logDirsTool tells where the brokers keep partitions and how big they are.
func logDirsTool() tool {
	return tool{
		name: "kafka-log-dirs", short: "Where partitions are kept, as kafka-log-dirs.sh tells it",
		about: "This tool helps to query log directory usage on the specified brokers.",
		example: `  klamm kafka-log-dirs --bootstrap-server localhost:9092 --describe
  klamm kafka-log-dirs --bootstrap-server localhost:9092 --describe --topic-list orders,payments | tail -1`,
		options: []option{
			text("bootstrap-server", "The server(s) to use for bootstrapping", "The brokers to connect to, host:port[,host:port]."),
			text("command-config", "Admin client property file", "A file of properties for the client."),
			flag("describe", "Describe the directories."),
			text("topic-list", "Topic list", "The topics, with commas between them; all when it is not given."),
			text("broker-list", "Broker list", "The ids of the brokers, with commas between them; all when it is not given."),
		},
		run: runLogDirs,
	}
}

// The JSON of kafka-log-dirs, its fields in the order of Java's tool.
type (
	logDirsJSON struct {
		Brokers []logDirsBroker `json:"brokers"`
		Version int             `json:"version"`
	}
	logDirsBroker struct {
		Broker  int32     `json:"broker"`
		LogDirs []logsDir `json:"logDirs"`
	}
	logsDir struct {
		Partitions []logsPartition `json:"partitions"`
		Error      *string         `json:"error"`
		LogDir     string          `json:"logDir"`
	}
	logsPartition struct {
		Partition string `json:"partition"`
		Size      int64  `json:"size"`
		OffsetLag int64  `json:"offsetLag"`
		IsFuture  bool   `json:"isFuture"`
	}
)

// runLogDirs is kafka-log-dirs.
func runLogDirs(r *run) error {
	if err := r.need("bootstrap-server", "describe"); err != nil {
		return err
	}
	split := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
	}
	topics := split(r.text("topic-list"))
	var asked []int32
	for _, s := range split(r.text("broker-list")) {
		id, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return saysf("For input string: %q", s)
		}
		asked = append(asked, int32(id))
	}
	cl, _, err := r.admin()
	if err != nil {
		return err
	}
	defer cl.Close()
	_, _, nodes, err := metadata(r.ctx, cl, []string{})
	if err != nil {
		return err
	}
	var here, missing []int32
	for _, n := range nodes {
		here = append(here, n.id)
	}
	for _, id := range asked {
		if !slices.Contains(here, id) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return saysf("ERROR: The given brokers do not exist from --broker-list: %s. Current existent brokers: %s", ids(missing), ids(here))
	}
	if len(asked) == 0 {
		asked = here
	}
	slices.Sort(asked)
	r.println("Querying brokers for log directories information")
	out := logDirsJSON{Brokers: []logDirsBroker{}, Version: 1}
	for _, id := range slices.Compact(asked) {
		res, err := kmsg.NewPtrDescribeLogDirsRequest().RequestWith(r.ctx, cl.Broker(int(id)))
		if err == nil {
			err = refused(res.ErrorCode, nil)
		}
		if err != nil {
			return future(err)
		}
		out.Brokers = append(out.Brokers, logDirsBroker{id, logDirsOf(res, topics)})
	}
	r.printf("Received log directory information from brokers %s\n", ids(slices.Compact(asked)))
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	r.println(string(b))
	return nil
}

// logDirsOf are a broker's directories with the partitions of some topics, or of all.
func logDirsOf(res *kmsg.DescribeLogDirsResponse, topics []string) []logsDir {
	dirs := []logsDir{}
	for _, d := range res.Dirs {
		dir := logsDir{LogDir: d.Dir, Partitions: []logsPartition{}}
		if d.ErrorCode != 0 {
			class := refusal{code: d.ErrorCode}.class()
			dir.Error = &class
		}
		for _, t := range d.Topics {
			if len(topics) > 0 && !slices.Contains(topics, t.Topic) {
				continue
			}
			for _, p := range t.Partitions {
				dir.Partitions = append(dir.Partitions, logsPartition{place{t.Topic, p.Partition}.String(), p.Size, p.OffsetLag, p.IsFuture})
			}
		}
		slices.SortFunc(dir.Partitions, func(a, b logsPartition) int { return strings.Compare(a.Partition, b.Partition) })
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b logsDir) int { return strings.Compare(a.LogDir, b.LogDir) })
	return dirs
}
