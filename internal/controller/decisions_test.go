package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// TestDecisions runs the scripts in testdata. Each line of a command's input is one
// element of its request; the output is the response and what became of the image.
func TestDecisions(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		c := newCluster(t, 1)
		incarnation := byte(0)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			c.t = t
			out := new(strings.Builder)
			before := c.img
			switch d.Cmd {
			case "register": // register 1 rack=a serving previous=7 same
				id := number(d.CmdArgs[0].Key)
				rack, previous := "", int64(-1)
				if d.HasArg("rack") {
					d.ScanArgs(t, "rack", &rack)
				}
				if d.HasArg("clean") {
					previous = c.img.Broker(id).Epoch
				}
				if !d.HasArg("same") {
					incarnation++
				}
				r := c.register(id, incarnation, previous, d.HasArg("serving"), rack)
				fmt.Fprintf(out, "%v\n", codeOf(r.ErrorCode))
			case "foreign": // a broker with an id that is taken and directories of its own
				r := c.run(RegisterBroker(Registration{Request: &wire.BrokerRegistrationRequest{BrokerId: number(d.CmdArgs[0].Key), ClusterId: d.CmdArgs[1].Key, LogDirs: []wire.UUID{{1, 1, 1}},
					Features: []wire.BrokerRegistrationRequestFeature{{Name: metadata.VersionFeature, MinSupportedVersion: 7, MaxSupportedVersion: int16(number(d.CmdArgs[2].Key))}}}})).(*wire.BrokerRegistrationResponse)
				fmt.Fprintf(out, "%v\n", codeOf(r.ErrorCode))
			case "heartbeat": // heartbeat 1 fence shutdown
				r := c.heartbeat(number(d.CmdArgs[0].Key), d.HasArg("fence"), d.HasArg("shutdown"))
				fmt.Fprintf(out, "%v fenced=%v shutdown=%v\n", codeOf(r.ErrorCode), r.IsFenced, r.ShouldShutDown)
			case "pass": // pass 10s
				after, err := time.ParseDuration(d.CmdArgs[0].Key)
				if err != nil {
					t.Fatal(err)
				}
				c.env.Now = c.env.Now.Add(after)
				fmt.Fprintf(out, "fenced %v\n", c.run(Expire()))
			case "unregister":
				r := c.run(UnregisterBroker(&wire.UnregisterBrokerRequest{BrokerId: number(d.CmdArgs[0].Key)})).(*wire.UnregisterBrokerResponse)
				line(out, "", r.ErrorCode, r.ErrorMessage)
			case "defaults": // defaults partitions=3 delete=false limit=10
				if d.HasArg("partitions") {
					d.ScanArgs(t, "partitions", &c.env.Defaults.NumPartitions)
				}
				if d.HasArg("limit") {
					d.ScanArgs(t, "limit", &c.env.Defaults.MaxPartitionsPerRequest)
				}
				if d.HasArg("delete") {
					d.ScanArgs(t, "delete", &c.env.Defaults.DeleteTopicEnable)
				}
			case "create": // each line: name partitions factor [0:1,2] [key=value]
				req := &wire.CreateTopicsRequest{ValidateOnly: d.HasArg("validate")}
				for _, f := range lines(d.Input) {
					topic := wire.CreateTopicsRequestCreatableTopic{Name: strings.Trim(f[0], "'"), NumPartitions: number(f[1]), ReplicationFactor: int16(number(f[2]))}
					for _, x := range f[3:] {
						if k, v, ok := strings.Cut(x, "="); ok {
							topic.Configs = append(topic.Configs, wire.CreateTopicsRequestCreatableTopicConfig{Name: k, Value: value(v)})
							continue
						}
						p, list, _ := strings.Cut(x, ":")
						topic.Assignments = append(topic.Assignments, wire.CreateTopicsRequestCreatableReplicaAssignment{PartitionIndex: number(p), BrokerIds: ids(list)})
					}
					req.Topics = append(req.Topics, topic)
				}
				for _, r := range c.run(CreateTopics(req)).(*wire.CreateTopicsResponse).Topics {
					if r.ErrorCode == 0 {
						fmt.Fprintf(out, "%s NONE partitions=%d factor=%d configs=%d", r.Name, r.NumPartitions, r.ReplicationFactor, len(r.Configs))
						for _, k := range r.Configs {
							if k.ConfigSource != int8(config.Default) {
								fmt.Fprintf(out, " %s=%s(%v)", k.Name, *k.Value, config.Source(k.ConfigSource))
							}
						}
						fmt.Fprintf(out, " id=%v\n", !r.TopicId.IsZero())
						continue
					}
					line(out, r.Name, r.ErrorCode, r.ErrorMessage)
				}
			case "delete": // each line: a name, or id:name, or both:name, or none
				version := int16(6)
				if d.HasArg("version") {
					d.ScanArgs(t, "version", &version)
				}
				req := &wire.DeleteTopicsRequest{}
				for _, f := range lines(d.Input) {
					s := wire.DeleteTopicsRequestDeleteTopicState{}
					how, name, ok := strings.Cut(f[0], ":")
					if !ok {
						s.Name, req.TopicNames = &f[0], append(req.TopicNames, f[0])
					} else if topic := c.img.Topic(name); topic != nil {
						s.TopicId = topic.ID
					} else if how != "none" {
						s.TopicId = wire.UUID{9}
					}
					if how == "both" {
						s.Name = &name
					}
					req.Topics = append(req.Topics, s)
				}
				for _, r := range c.run(DeleteTopics(req, version)).(*wire.DeleteTopicsResponse).Responses {
					name := "-"
					if r.Name != nil {
						name = *r.Name
					}
					line(out, name, r.ErrorCode, r.ErrorMessage)
				}
			case "partitions": // each line: name count [1,2 3,1]
				req := &wire.CreatePartitionsRequest{ValidateOnly: d.HasArg("validate")}
				for _, f := range lines(d.Input) {
					topic := wire.CreatePartitionsRequestCreatePartitionsTopic{Name: f[0], Count: number(f[1])}
					for _, x := range f[2:] {
						topic.Assignments = append(topic.Assignments, wire.CreatePartitionsRequestCreatePartitionsAssignment{BrokerIds: ids(x)})
					}
					req.Topics = append(req.Topics, topic)
				}
				for _, r := range c.run(CreatePartitions(req)).(*wire.CreatePartitionsResponse).Results {
					line(out, r.Name, r.ErrorCode, r.ErrorMessage)
				}
			case "alter": // alter receiver=1; each line: type name op:key=value ...
				req := &wire.IncrementalAlterConfigsRequest{ValidateOnly: d.HasArg("validate")}
				receiver := int32(1)
				if d.HasArg("receiver") {
					d.ScanArgs(t, "receiver", &receiver)
				}
				for _, f := range lines(d.Input) {
					r := wire.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: int8(number(f[0])), ResourceName: strings.Trim(f[1], "'")}
					for _, x := range f[2:] {
						op, kv, _ := strings.Cut(x, ":")
						k, v, ok := strings.Cut(kv, "=")
						a := wire.IncrementalAlterConfigsRequestAlterableConfig{Name: k, ConfigOperation: int8(slices.Index([]string{"set", "del", "add", "sub"}, op))}
						if ok {
							a.Value = value(v)
						}
						r.Configs = append(r.Configs, a)
					}
					req.Resources = append(req.Resources, r)
				}
				for _, r := range c.run(IncrementalAlterConfigs(req, receiver)).(*wire.IncrementalAlterConfigsResponse).Responses {
					line(out, fmt.Sprintf("%d '%s'", r.ResourceType, r.ResourceName), r.ErrorCode, r.ErrorMessage)
				}
			case "replace": // the old AlterConfigs; each line: type name key=value ...
				req := &wire.AlterConfigsRequest{}
				for _, f := range lines(d.Input) {
					r := wire.AlterConfigsRequestAlterConfigsResource{ResourceType: int8(number(f[0])), ResourceName: strings.Trim(f[1], "'")}
					for _, x := range f[2:] {
						k, v, _ := strings.Cut(x, "=")
						r.Configs = append(r.Configs, wire.AlterConfigsRequestAlterableConfig{Name: k, Value: value(v)})
					}
					req.Resources = append(req.Resources, r)
				}
				for _, r := range c.run(AlterConfigs(req, 1)).(*wire.AlterConfigsResponse).Responses {
					line(out, fmt.Sprintf("%d '%s'", r.ResourceType, r.ResourceName), r.ErrorCode, r.ErrorMessage)
				}
			case "elect": // elect type=1; each line: name partitions
				req := &wire.ElectLeadersRequest{}
				if d.HasArg("type") {
					d.ScanArgs(t, "type", &req.ElectionType)
				}
				for _, f := range lines(d.Input) {
					req.TopicPartitions = append(req.TopicPartitions, wire.ElectLeadersRequestTopicPartitions{Topic: f[0], Partitions: ids(f[1])})
				}
				r := c.run(ElectLeaders(req)).(*wire.ElectLeadersResponse)
				fmt.Fprintf(out, "%v\n", codeOf(r.ErrorCode))
				for _, topic := range r.ReplicaElectionResults {
					for _, p := range topic.PartitionResult {
						line(out, fmt.Sprintf("%s-%d", topic.Topic, p.PartitionId), p.ErrorCode, p.ErrorMessage)
					}
				}
			case "isr": // isr t-0 1,2 broker=1 epoch=+1 leader=-1 partition=0 stale=2 recovering unknown
				name, n, _ := strings.Cut(d.CmdArgs[0].Key, "-")
				topic := c.img.Topic(name)
				p := topic.Partitions[number(n)]
				data := wire.AlterPartitionRequestPartitionData{PartitionIndex: number(n), LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
				req := &wire.AlterPartitionRequest{BrokerId: p.Leader}
				plus := func(arg string, to *int32) {
					if d.HasArg(arg) {
						var by int32
						d.ScanArgs(t, arg, &by)
						*to += by
					}
				}
				plus("leader", &data.LeaderEpoch)
				plus("partition", &data.PartitionEpoch)
				plus("index", &data.PartitionIndex)
				if d.HasArg("broker") {
					d.ScanArgs(t, "broker", &req.BrokerId)
				}
				if b := c.img.Broker(req.BrokerId); b != nil {
					req.BrokerEpoch = b.Epoch
				}
				if d.HasArg("old") {
					req.BrokerEpoch--
				}
				stale := int32(-1)
				if d.HasArg("stale") {
					d.ScanArgs(t, "stale", &stale)
				}
				for _, id := range ids(d.CmdArgs[1].Key) {
					s := wire.AlterPartitionRequestBrokerState{BrokerId: id, BrokerEpoch: -1}
					if b := c.img.Broker(id); b != nil {
						s.BrokerEpoch = b.Epoch
					}
					if id == stale {
						s.BrokerEpoch--
					}
					data.NewIsrWithEpochs = append(data.NewIsrWithEpochs, s)
				}
				if d.HasArg("recovering") {
					data.LeaderRecoveryState = metadata.Recovering
				}
				rt := wire.AlterPartitionRequestTopicData{TopicId: topic.ID, Partitions: []wire.AlterPartitionRequestPartitionData{data}}
				if d.HasArg("unknown") {
					rt.TopicId = wire.UUID{9}
				}
				req.Topics = append(req.Topics, rt)
				r := c.run(AlterPartition(req, 3)).(*wire.AlterPartitionResponse)
				if r.ErrorCode != 0 {
					fmt.Fprintf(out, "%v\n", codeOf(r.ErrorCode))
					break
				}
				fmt.Fprintf(out, "%v\n", codeOf(r.Topics[0].Partitions[0].ErrorCode))
			case "producers": // producers 1 stale
				req := &wire.AllocateProducerIdsRequest{BrokerId: number(d.CmdArgs[0].Key)}
				if b := c.img.Broker(req.BrokerId); b != nil {
					req.BrokerEpoch = b.Epoch
				}
				if d.HasArg("stale") {
					req.BrokerEpoch--
				}
				r := c.run(AllocateProducerIds(req)).(*wire.AllocateProducerIdsResponse)
				fmt.Fprintf(out, "%v %d+%d\n", codeOf(r.ErrorCode), r.ProducerIdStart, r.ProducerIdLen)
			case "feature": // feature name level type
				r := c.run(UpdateFeatures(&wire.UpdateFeaturesRequest{FeatureUpdates: []wire.UpdateFeaturesRequestFeatureUpdateKey{{Feature: d.CmdArgs[0].Key,
					MaxVersionLevel: int16(number(d.CmdArgs[1].Key)), UpgradeType: int8(number(d.CmdArgs[2].Key))}}}, 1)).(*wire.UpdateFeaturesResponse)
				line(out, d.CmdArgs[0].Key, r.ErrorCode, r.ErrorMessage)
			case "show": // show topic...
				for _, a := range d.CmdArgs {
					topic := c.img.Topic(a.Key)
					if topic == nil {
						fmt.Fprintf(out, "%s does not exist\n", a.Key)
						continue
					}
					for n, p := range topic.Partitions {
						fmt.Fprintf(out, "%s-%d %s\n", a.Key, n, show(p))
					}
				}
				return out.String()
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			changes(out, before, c.img)
			return out.String()
		})
	})
}

// changes writes what a decision did to brokers, partitions and configs, beyond what a response says.
func changes(out *strings.Builder, before, after *metadata.Image) {
	d := metadata.Diff(before, after)
	for _, t := range d.Deleted {
		fmt.Fprintf(out, "  - %s\n", t.Name)
	}
	for _, id := range d.Brokers {
		b := after.Broker(id)
		if b == nil {
			fmt.Fprintf(out, "  - broker %d\n", id)
			continue
		}
		fmt.Fprintf(out, "  broker %d fenced=%v shutdown=%v\n", id, b.Fenced, b.InControlledShutdown)
	}
	for _, c := range d.Changed {
		for _, n := range c.Partitions {
			was := "new"
			if int(n) < len(c.Before.Partitions) {
				was = show(c.Before.Partitions[n])
			}
			fmt.Fprintf(out, "  %s-%d %s -> %s\n", c.After.Name, n, was, show(c.After.Partitions[n]))
		}
	}
	for _, r := range d.Configs {
		fmt.Fprintf(out, "  config %d '%s' %v\n", r.Type, r.Name, after.Config(r.Type, r.Name))
	}
}

func show(p metadata.Partition) string {
	s := fmt.Sprintf("%v isr=%v leader=%d epoch=%d/%d", p.Replicas, p.ISR, p.Leader, p.LeaderEpoch, p.PartitionEpoch)
	if len(p.ELR) > 0 {
		s += fmt.Sprintf(" elr=%v", p.ELR)
	}
	if len(p.LastKnownELR) > 0 {
		s += fmt.Sprintf(" last=%v", p.LastKnownELR)
	}
	if p.RecoveryState != metadata.Recovered {
		s += " recovering"
	}
	return s
}

func line(out *strings.Builder, what string, c int16, message *string) {
	fmt.Fprintf(out, "%s %v", what, codeOf(c))
	if message != nil {
		fmt.Fprintf(out, ": %s", *message)
	}
	out.WriteString("\n")
}

func codeOf(c int16) string {
	if c == 0 {
		return "NONE"
	}
	return code.Error(c).Error()
}

func number(s string) int32 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

func ids(s string) (list []int32) {
	for _, x := range strings.Split(s, ",") {
		if x != "" {
			list = append(list, number(x))
		}
	}
	return list
}

func value(s string) *string {
	if s == "NULL" {
		return nil
	}
	return &s
}

func lines(s string) (all [][]string) {
	for _, l := range strings.Split(s, "\n") {
		if f := strings.Fields(l); len(f) > 0 {
			all = append(all, f)
		}
	}
	return all
}
