package kafka

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteRecordsTool deletes the first records of partitions.
func deleteRecordsTool() tool {
	return tool{
		name: "kafka-delete-records", short: "Delete old records, as kafka-delete-records.sh does it",
		about: "This tool helps to delete records of the given partitions down to the specified offset.",
		example: `  klamm kafka-delete-records --bootstrap-server localhost:9092 --offset-json-file delete.json
  klamm kafka-delete-records --bootstrap-server localhost:9092 --offset-json-file <(echo '{"partitions":[{"topic":"orders","partition":0,"offset":100}]}')`,
		options: []option{
			text("bootstrap-server", "server(s) to use for bootstrapping", "The brokers to connect to, host:port[,host:port]."),
			text("offset-json-file", "Offset json file path", `The offsets before which records are deleted: {"partitions": [{"topic": "foo", "partition": 1, "offset": 1}], "version": 1}. Offset -1 is the end.`),
			text("command-config", "command config property file path", "A file of properties for the client."),
		},
		run: runDeleteRecords,
	}
}

// runDeleteRecords is kafka-delete-records.
func runDeleteRecords(r *run) error {
	if err := r.need("bootstrap-server", "offset-json-file"); err != nil {
		return err
	}
	file, err := os.ReadFile(r.text("offset-json-file"))
	if err != nil {
		return saysf("%s", r.text("offset-json-file"))
	}
	before, err := parseDeleteFile(file)
	if err != nil {
		return err
	}
	cl, _, err := r.admin()
	if err != nil {
		return err
	}
	defer cl.Close()
	r.println("Executing records delete operation")
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 30000
	for p, offset := range before {
		i := slices.IndexFunc(req.Topics, func(t kmsg.DeleteRecordsRequestTopic) bool { return t.Topic == p.topic })
		if i < 0 {
			i = len(req.Topics)
			t := kmsg.NewDeleteRecordsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = p.partition, offset
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	done := map[place]found{}
	var fail error
	for _, shard := range cl.RequestSharded(r.ctx, req) {
		if shard.Err != nil {
			fail = shard.Err
			continue
		}
		for _, t := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			for _, p := range t.Partitions {
				done[place{t.Topic, p.Partition}] = found{p.LowWatermark, refused(p.ErrorCode, nil)}
			}
		}
	}
	r.println("Records delete operation completed:")
	for _, p := range sortedPlan(before) {
		d, ok := done[p]
		if !ok {
			d.err = first(fail, refused(3, nil))
		}
		if d.err != nil {
			r.printf("partition: %s\terror: %s\n", p, wrapped(d.err))
			continue
		}
		r.printf("partition: %s\tlow_watermark: %d\n", p, d.offset)
	}
	return nil
}

// parseDeleteFile reads the file of offsets before which records are deleted.
func parseDeleteFile(b []byte) (map[place]int64, error) {
	var file struct {
		Version    *int             `json:"version"`
		Partitions *json.RawMessage `json:"partitions"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, saysf("The input string is not a valid JSON")
	}
	if file.Version != nil && *file.Version != 1 {
		return nil, saysf("Not supported version field value %d", *file.Version)
	}
	if file.Partitions == nil {
		return nil, saysf("Missing partitions field")
	}
	var rows []struct {
		Topic     *string `json:"topic"`
		Partition *int32  `json:"partition"`
		Offset    *int64  `json:"offset"`
	}
	if err := json.Unmarshal(*file.Partitions, &rows); err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	all := map[place]int64{}
	for i, row := range rows {
		if row.Topic == nil || row.Partition == nil || row.Offset == nil {
			return nil, fmt.Errorf("partitions: entry %d lacks one of topic, partition and offset", i)
		}
		p := place{*row.Topic, *row.Partition}
		if _, twice := all[p]; twice {
			return nil, saysf("Offset json file contains duplicate topic partitions: %s", p)
		}
		all[p] = *row.Offset
	}
	return all, nil
}
