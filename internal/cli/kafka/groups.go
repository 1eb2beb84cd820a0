package kafka

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// resetWays are the options that say where --reset-offsets goes.
func resetWays() []string {
	return []string{"to-offset", "shift-by", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "from-file"}
}

// groupsTool lists, describes, deletes and moves consumer groups.
func groupsTool() tool {
	beside := func(o option, with ...string) option { o.with = with; return o }
	state := option{name: "state", takes: takesMaybe, kind: "String", with: []string{"describe", "list"}, help: "With --describe the state of the group; with --list the states of all, or only groups in some states: --list --state stable,empty."}
	kinds := option{name: "type", takes: takesMaybe, kind: "String", with: []string{"list"}, help: "With --list the types of all groups, or only groups of some types: --list --type classic,consumer."}
	return tool{
		name: "kafka-consumer-groups", short: "Groups, as kafka-consumer-groups.sh does it",
		about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
		example: `  klamm kafka-consumer-groups --bootstrap-server localhost:9092 --list
  klamm kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group billing
  klamm kafka-consumer-groups --bootstrap-server localhost:9092 --group billing --topic orders --reset-offsets --to-earliest --dry-run
  klamm kafka-consumer-groups --bootstrap-server localhost:9092 --group billing --all-topics --reset-offsets --shift-by -100 --execute`,
		options: []option{
			bootstrap(),
			texts("group", "consumer group", "The group, or several."),
			texts("topic", "topic", "The topic whose offsets are reset or deleted, or several; topic:0,1,2 for some partitions."),
			flag("all-topics", "Reset the offsets of every topic of the group."),
			flag("list", "List the groups."),
			flag("describe", "Describe groups and how far behind they are."),
			flag("all-groups", "Take every group."),
			flag("delete", "Delete groups with their offsets: --group g1 --group g2."),
			long("timeout", "timeout (ms)", "30000", "How long to wait for the brokers."),
			text("command-config", "command config property file", "A file of properties for the client."),
			flag("reset-offsets", "Reset the offsets of groups without members, by one of --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current and --to-offset, for --all-topics or --topic. --dry-run, which is the default, shows what would be; --execute does it; --export prints it as CSV."),
			flag("delete-offsets", "Delete a group's offsets of topics."),
			flag("dry-run", "Show the offsets that --reset-offsets would set."),
			flag("execute", "Set the offsets of --reset-offsets."),
			flag("export", "Print the offsets of --reset-offsets as CSV."),
			long("to-offset", "offset", "", "Reset to this offset."),
			text("from-file", "path to CSV file", "Reset to the offsets of a file of CSV: topic,partition,offset, or group,topic,partition,offset."),
			text("to-datetime", "datetime", "Reset to the first record of a time, 2026-01-31T15:04:05.000, or a later one."),
			text("by-duration", "duration", "Reset to the first record of so long ago, PnDTnHnMnS, or a later one."),
			flag("to-earliest", "Reset to the first record."),
			flag("to-latest", "Reset to the end."),
			flag("to-current", "Reset to where the group is."),
			long("shift-by", "number-of-offsets", "", "Reset by so many records, back if it is below zero."),
			beside(flag("members", "Describe the members of the group."), "describe"),
			beside(flag("verbose", "Tell more, with --describe."), "describe"),
			beside(flag("offsets", "Describe the offsets of the group; this is what --describe does alone."), "describe"),
			state, kinds,
			text("validate-regex", "regex", "Say whether a regular expression is valid in RE2's form."),
		},
		run: runGroups,
	}
}

// runGroups is kafka-consumer-groups. A refusal of the brokers is told on standard output, and the exit code
// stays 0, as it does with Java's tool.
func runGroups(r *run) error {
	if err := r.checkGroups(); err != nil {
		return err
	}
	if r.has("validate-regex") {
		if _, err := regexp.Compile(r.text("validate-regex")); err != nil {
			r.printf("The regular expression `%s` is invalid: %s.\n", r.text("validate-regex"), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			return nil
		}
		r.printf("The regular expression `%s` is valid.\n", r.text("validate-regex"))
		return nil
	}
	cl, adm, err := r.admin(kgo.RetryTimeout(time.Duration(r.number("timeout")) * time.Millisecond))
	if err != nil {
		r.groupError("Executing consumer group command failed due to " + message(err))
		return silent(1)
	}
	defer cl.Close()
	g := groupsRun{run: r, cl: cl, adm: adm}
	switch {
	case r.has("list"):
		err = g.list()
	case r.has("describe"):
		err = g.describe()
	case r.has("delete"):
		err = g.delete()
	case r.has("reset-offsets"):
		err = g.reset()
	default:
		err = g.deleteOffsets()
	}
	var use usageError
	if err == nil || errors.As(err, &use) {
		return err
	}
	r.groupError("Executing consumer group command failed due to " + message(err))
	return nil
}

// groupError tells an error as Java's tool does.
func (r *run) groupError(text string) { r.printf("\nError: %s\n", text) }

// checkGroups refuses command lines as Java's tool does.
func (r *run) checkGroups() error {
	if !r.has("validate-regex") {
		if err := r.need("bootstrap-server"); err != nil {
			return err
		}
	}
	scope := func(action string) error {
		if r.has(action) && !r.hasAny("group", "all-groups") {
			return usagef("Option [%s] takes one of these options: %s", action, bracketed([]string{"group", "all-groups"}))
		}
		return nil
	}
	if r.has("describe") {
		n := 0
		for _, o := range []string{"members", "offsets", "state"} {
			if r.has(o) {
				n++
			}
		}
		switch {
		case scope("describe") != nil:
			return scope("describe")
		case n > 1:
			return usagef("Option [describe] takes at most one of these options: [members], [offsets], [state]")
		case r.text("state") != "":
			return usagef("Option [describe] does not take a value for [state]")
		}
	}
	if err := scope("delete"); err != nil {
		return err
	}
	if r.has("delete") && r.has("topic") {
		return usagef("The consumer does not support topic-specific offset deletion from a consumer group.")
	}
	if r.has("delete-offsets") && !(r.has("group") && r.has("topic")) {
		return usagef("Option [delete-offsets] takes the following options: [group], [topic]")
	}
	if r.has("reset-offsets") {
		if r.has("dry-run") && r.has("execute") {
			return usagef("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
		}
		if !r.hasAny("dry-run", "execute") {
			fmt.Fprintln(r.err, "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.")
		}
		if err := scope("reset-offsets"); err != nil {
			return err
		}
		for _, way := range resetWays() {
			if err := r.not(way, resetWays()...); err != nil {
				return err
			}
		}
	}
	if err := first(r.not("group", "all-groups"), r.not("group", "list"), r.not("topic", "list", "describe")); err != nil {
		return err
	}
	actions := []string{"list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"}
	n := 0
	for _, a := range actions {
		if r.has(a) {
			n++
		}
	}
	if n != 1 {
		return usagef("Command must include exactly one action: --%s", strings.Join(actions, ", --"))
	}
	return nil
}

// groupsRun is a run of kafka-consumer-groups on a cluster.
type groupsRun struct {
	*run
	cl  *kgo.Client
	adm *kadm.Client
}

// listedGroup is a group in a list.
type listedGroup struct{ name, kind, state string }

// listGroups asks every broker for its consumer groups, of some types and in some states; nothing is all.
func (g groupsRun) listGroups(kinds, states []string) ([]listedGroup, error) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, kinds
	var all []listedGroup
	for _, shard := range g.cl.RequestSharded(g.ctx, req) {
		if shard.Err != nil {
			return nil, future(shard.Err)
		}
		res := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := refused(res.ErrorCode, nil); err != nil {
			return nil, future(err)
		}
		for _, l := range res.Groups {
			if l.ProtocolType != "" && l.ProtocolType != "consumer" {
				continue
			}
			kind := canonical(l.GroupType, "Classic", "Consumer", "Share", "Streams")
			if len(kinds) > 0 && l.GroupType != "" && !slices.Contains(kinds, strings.ToLower(kind)) {
				continue
			}
			all = append(all, listedGroup{l.Group, kind, groupState(l.GroupState)})
		}
	}
	slices.SortFunc(all, func(a, b listedGroup) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// canonical is the one of some words that s is but for its letters' case, or Unknown.
func canonical(s string, words ...string) string {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return w
		}
	}
	return "Unknown"
}

// groupStates are the states of consumer groups.
func groupStates() []string {
	return []string{"PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"}
}

// groupState is a state as Java writes it.
func groupState(s string) string { return canonical(s, append(groupStates(), "NotReady")...) }

// chosen reads a list of words for --state and --type; each must be one of those that are valid.
func chosen(value, what, kind string, valid []string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	var all []string
	for w := range strings.SplitSeq(value, ",") {
		c := canonical(strings.TrimSpace(w), valid...)
		if c == "Unknown" {
			return nil, usagef("Invalid %s list '%s'. Valid %s are: %s", what, value, kind, strings.Join(valid, ", "))
		}
		all = append(all, c)
	}
	return all, nil
}

// list is --list.
func (g groupsRun) list() error {
	kinds, err := chosen(g.text("type"), "types", "types", []string{"Classic", "Consumer"})
	if err != nil {
		return err
	}
	states, err := chosen(g.text("state"), "state", "states", groupStates())
	if err != nil {
		return err
	}
	for i := range kinds {
		kinds[i] = strings.ToLower(kinds[i])
	}
	if len(kinds) == 0 && !g.hasAny("type", "state") {
		kinds = []string{"classic", "consumer"}
	}
	all, err := g.listGroups(kinds, states)
	if err != nil {
		return err
	}
	if !g.hasAny("type", "state") {
		for _, l := range all {
			g.println(l.name)
		}
		return nil
	}
	width := 15
	for _, l := range all {
		width = max(width, len(l.name))
	}
	row := func(name, kind, state string) {
		g.printf("%-*s", width+10, name)
		if g.has("type") {
			g.printf(" %-20s", kind)
		}
		if g.has("state") {
			g.printf(" %-20s", state)
		}
		g.printf("\n")
	}
	row("GROUP", "TYPE", "STATE")
	for _, l := range all {
		row(l.name, l.kind, l.state)
	}
	return nil
}

// named are the groups that the command line names, in order.
func (g groupsRun) named() ([]string, error) {
	names := slices.Clone(g.all("group"))
	if g.has("all-groups") {
		all, err := g.listGroups([]string{"classic", "consumer"}, nil)
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			names = append(names, l.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// member is a member of a group.
type member struct {
	id, host, clientID, instance string
	assigned, target             []place
	epoch, targetEpoch           *int32
	upgraded                     *bool // of the consumer protocol, in a group that moves to it
}

// group is a described group.
type group struct {
	name, state, assignor string
	coordinator           kgo.BrokerMetadata
	members               []member
	epoch, targetEpoch    *int32
	err                   error
}

// describeGroups describes groups of both protocols: those that the new one does not know are asked for by the old.
func describeGroups(ctx context.Context, cl *kgo.Client, names []string) (map[string]group, error) {
	all := map[string]group{}
	if len(names) == 0 {
		return all, nil
	}
	classic := names
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = names
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			continue // an older broker: the old request does it
		}
		for _, d := range shard.Resp.(*kmsg.ConsumerGroupDescribeResponse).Groups {
			if d.ErrorCode == kerr.GroupIDNotFound.Code || d.ErrorCode == kerr.UnsupportedVersion.Code {
				continue
			}
			all[d.Group] = newProtocolGroup(d, shard.Meta)
			classic = slices.DeleteFunc(slices.Clone(classic), func(n string) bool { return n == d.Group })
		}
	}
	if len(classic) == 0 {
		return all, nil
	}
	old := kmsg.NewPtrDescribeGroupsRequest()
	old.Groups = classic
	for _, shard := range cl.RequestSharded(ctx, old) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, d := range shard.Resp.(*kmsg.DescribeGroupsResponse).Groups {
			all[d.Group] = classicGroup(d, shard.Meta)
		}
	}
	return all, nil
}

// newProtocolGroup is a group of the protocol of KIP-848.
func newProtocolGroup(d kmsg.ConsumerGroupDescribeResponseGroup, at kgo.BrokerMetadata) group {
	g := group{name: d.Group, state: groupState(d.State), assignor: d.AssignorName, coordinator: at, epoch: &d.Epoch, targetEpoch: &d.AssignmentEpoch, err: refused(d.ErrorCode, d.ErrorMessage)}
	places := func(a kmsg.Assignment) (all []place) {
		for _, t := range a.TopicPartitions {
			for _, p := range t.Partitions {
				all = append(all, place{t.Topic, p})
			}
		}
		return all
	}
	for _, m := range d.Members {
		one := member{id: m.MemberID, host: m.ClientHost, clientID: m.ClientID, assigned: places(m.Assignment), target: places(m.TargetAssignment), epoch: &m.MemberEpoch, targetEpoch: &d.AssignmentEpoch}
		if m.InstanceID != nil {
			one.instance = *m.InstanceID
		}
		if m.MemberType >= 0 {
			up := m.MemberType == 1
			one.upgraded = &up
		}
		g.members = append(g.members, one)
	}
	return g
}

// classicGroup is a group of the classic protocol.
func classicGroup(d kmsg.DescribeGroupsResponseGroup, at kgo.BrokerMetadata) group {
	g := group{name: d.Group, state: groupState(d.State), assignor: d.Protocol, coordinator: at, err: refused(d.ErrorCode, d.ErrorMessage)}
	if g.err == nil && d.ProtocolType != "" && d.ProtocolType != "consumer" {
		g.err = saysf("GroupId %s is not a consumer group (%s).", d.Group, d.ProtocolType)
	}
	for _, m := range d.Members {
		one := member{id: m.MemberID, host: m.ClientHost, clientID: m.ClientID}
		if m.InstanceID != nil {
			one.instance = *m.InstanceID
		}
		var a kmsg.ConsumerMemberAssignment
		if len(m.MemberAssignment) > 0 && a.ReadFrom(m.MemberAssignment) == nil {
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					one.assigned = append(one.assigned, place{t.Topic, p})
				}
			}
		}
		g.members = append(g.members, one)
	}
	return g
}

// describe is --describe.
func (g groupsRun) describe() error {
	names, err := g.named()
	if err != nil {
		return err
	}
	groups, err := describeGroups(g.ctx, g.cl, names)
	if err != nil {
		return future(err)
	}
	for _, n := range names {
		if err := groups[n].err; err != nil {
			return future(err)
		}
	}
	for _, n := range names {
		switch {
		case g.has("members"):
			g.printMembers(groups[n])
		case g.has("state"):
			g.printState(groups[n])
		default:
			if err := g.printOffsets(groups[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// shown says whether a group has something to show, and tells of states that matter.
func (g groupsRun) shown(d group, rows int) bool {
	switch d.state {
	case "Dead":
		g.groupError("Consumer group '" + d.name + "' does not exist.")
	case "Empty":
		fmt.Fprintf(g.err, "\nConsumer group '%s' has no active members.\n", d.name)
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		fmt.Fprintf(g.err, "\nWarning: Consumer group '%s' is rebalancing.\n", d.name)
	}
	return d.state != "Dead" && rows > 0
}

// offsetRow is a line of --describe --offsets.
type offsetRow struct {
	place
	epoch, offset, end, lag string
	id, host, clientID      string
}

// printOffsets describes a group's offsets.
func (g groupsRun) printOffsets(d group) error {
	committed, err := g.committed(d.name)
	if err != nil {
		return err
	}
	free := map[place]bool{}
	for p := range committed {
		free[p] = true
	}
	ask := map[place]int64{}
	for _, m := range d.members {
		for _, p := range m.assigned {
			ask[p] = latest
			delete(free, p)
		}
	}
	for p := range free {
		ask[p] = latest
	}
	if err := g.withLeader(ask); err != nil {
		return err
	}
	ends, err := listOffsets(g.ctx, g.cl, ask)
	if err != nil {
		return twice(err)
	}
	var rows []offsetRow
	add := func(places []place, id, host, clientID string) error {
		slices.SortFunc(places, comparePlaces)
		for _, p := range places {
			row := offsetRow{p, "-", "-", "-", "-", id, host, clientID}
			end, known := ends[p]
			if end.err != nil {
				return twice(end.err)
			}
			if known {
				row.end = fmt.Sprint(end.offset)
			}
			if c, ok := committed[p]; ok {
				row.offset = fmt.Sprint(c.At)
				if c.LeaderEpoch >= 0 {
					row.epoch = fmt.Sprint(c.LeaderEpoch)
				}
				if known && c.At != -1 {
					row.lag = fmt.Sprint(end.offset - c.At)
				}
			}
			rows = append(rows, row)
		}
		return nil
	}
	members := slices.Clone(d.members)
	slices.SortStableFunc(members, func(a, b member) int { return len(b.assigned) - len(a.assigned) })
	for _, m := range members {
		if err := add(slices.Clone(m.assigned), m.id, m.host, m.clientID); err != nil {
			return err
		}
	}
	var rest []place
	for p := range free {
		rest = append(rest, p)
	}
	if err := add(rest, "-", "-", "-"); err != nil {
		return err
	}
	if g.shown(d, len(rows)) {
		g.printOffsetRows(d.name, rows)
	}
	return nil
}

// printOffsetRows prints the table of --describe --offsets.
func (g groupsRun) printOffsetRows(name string, rows []offsetRow) {
	wGroup, wTopic, wID, wHost := max(15, len(name)), 15, 15, 15
	for _, r := range rows {
		wTopic, wID, wHost = max(wTopic, len(r.topic)), max(wID, len(r.id)), max(wHost, len(r.host))
	}
	line := func(group, topic, partition string, r offsetRow) {
		g.printf("\n%-*s %-*s %-10s ", wGroup, group, wTopic, topic, partition)
		if g.has("verbose") {
			g.printf("%-15s ", r.epoch)
		}
		g.printf("%-15s %-15s %-15s %-*s %-*s %s", r.offset, r.end, r.lag, wID, r.id, wHost, r.host, r.clientID)
	}
	line("GROUP", "TOPIC", "PARTITION", offsetRow{place{}, "LEADER-EPOCH", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"})
	for _, r := range rows {
		line(name, r.topic, fmt.Sprint(r.partition), r)
	}
	g.printf("\n")
}

// comparePlaces orders partitions by topic and number.
func comparePlaces(a, b place) int {
	if c := strings.Compare(a.topic, b.topic); c != 0 {
		return c
	}
	return int(a.partition - b.partition)
}

// committed are a group's committed offsets.
func (g groupsRun) committed(name string) (map[place]kadm.Offset, error) {
	res, err := g.adm.FetchOffsets(g.ctx, name)
	if err != nil {
		return nil, twice(err)
	}
	all := map[place]kadm.Offset{}
	for _, o := range res.Sorted() {
		if o.Err != nil {
			return nil, twice(o.Err)
		}
		if o.At >= 0 {
			all[place{o.Topic, o.Partition}] = o.Offset
		}
	}
	return all, nil
}

// withLeader takes partitions without a leader out of a question, and fails when a topic is not there.
func (g groupsRun) withLeader(ask map[place]int64) error {
	topics, err := g.partitionsOf(ask)
	if err != nil {
		return err
	}
	for p := range ask {
		if leader, ok := topics[p]; ok && leader < 0 {
			delete(ask, p)
		}
	}
	return nil
}

// partitionsOf are the leaders of all partitions of the topics that are asked for.
func (g groupsRun) partitionsOf(ask map[place]int64) (map[place]int32, error) {
	names := []string{}
	for p := range ask {
		if !slices.Contains(names, p.topic) {
			names = append(names, p.topic)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	topics, errs, _, err := metadata(g.ctx, g.cl, names)
	if err != nil {
		return nil, twice(err)
	}
	for _, n := range names {
		if errs[n] != nil {
			return nil, twice(errs[n])
		}
	}
	all := map[place]int32{}
	for _, t := range topics {
		for _, p := range t.partitions {
			all[place{t.name, p.id}] = p.leader
		}
	}
	return all, nil
}

// assignmentText writes partitions as --members --verbose does: topic:0,1;other:2.
func assignmentText(places []place) string {
	if len(places) == 0 {
		return "-"
	}
	places = slices.Clone(places)
	slices.SortFunc(places, comparePlaces)
	var b strings.Builder
	for i, p := range places {
		switch {
		case i > 0 && places[i-1].topic == p.topic:
			fmt.Fprintf(&b, ",%d", p.partition)
		default:
			if i > 0 {
				b.WriteByte(';')
			}
			fmt.Fprintf(&b, "%s:%d", p.topic, p.partition)
		}
	}
	return b.String()
}

// orDash is a number, or a dash.
func orDash(n *int32) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// printMembers describes a group's members.
func (g groupsRun) printMembers(d group) {
	wGroup, wID, wInstance, wHost, wClient, wNow, wTarget := 15, 15, 17, 15, 15, 20, 20
	instances, classic, consumer := false, false, false
	if g.shown(d, len(d.members)) {
		wGroup = max(wGroup, len(d.name))
		for _, m := range d.members {
			wID, wInstance, wHost, wClient = max(wID, len(m.id)), max(wInstance, len(m.instance)), max(wHost, len(m.host)), max(wClient, len(m.clientID))
			wNow, wTarget = max(wNow, len(assignmentText(m.assigned))), max(wTarget, len(assignmentText(m.target)))
			instances = instances || m.instance != ""
			if m.upgraded != nil {
				classic, consumer = classic || !*m.upgraded, consumer || *m.upgraded
			}
		}
	}
	line := func(group, id, instance, host, client, n, epoch, now, targetEpoch, target, upgraded string) {
		g.printf("%-*s %-*s ", wGroup, group, wID, id)
		if instances {
			g.printf("%-*s ", wInstance, instance)
		}
		g.printf("%-*s %-*s %-15s ", wHost, host, wClient, client, n)
		if g.has("verbose") {
			g.printf("%-15s %-*s %-15s %-*s", epoch, wNow, now, targetEpoch, wTarget, target)
			if classic && consumer {
				g.printf(" %s", upgraded)
			}
		}
		g.printf("\n")
	}
	g.printf("\n")
	line("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT", "UPGRADED")
	for _, m := range d.members {
		upgraded := "-"
		if m.upgraded != nil {
			upgraded = fmt.Sprint(*m.upgraded)
		}
		line(d.name, m.id, m.instance, m.host, m.clientID, fmt.Sprint(len(m.assigned)), orDash(m.epoch), assignmentText(m.assigned), orDash(m.targetEpoch), assignmentText(m.target), upgraded)
	}
}

// printState describes a group's state.
func (g groupsRun) printState(d group) {
	if !g.shown(d, 1) {
		return
	}
	coordinator := fmt.Sprintf("%s:%d  (%d)", d.coordinator.Host, d.coordinator.Port, d.coordinator.NodeID)
	wGroup, wCoordinator := max(15, len(d.name)), max(25, len(coordinator))
	line := func(group, coordinator, assignor, state, epoch, targetEpoch, members string) {
		g.printf("\n%-*s %-*s %-20s %-20s ", wGroup, group, wCoordinator, coordinator, assignor, state)
		if g.has("verbose") {
			g.printf("%-15s %-25s ", epoch, targetEpoch)
		}
		g.printf("%s", members)
	}
	assignor := d.assignor
	if assignor == "" {
		assignor = "-"
	}
	line("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH", "#MEMBERS")
	line(d.name, coordinator, assignor, d.state, orDash(d.epoch), orDash(d.targetEpoch), fmt.Sprint(len(d.members)))
	g.printf("\n")
}

// delete is --delete.
func (g groupsRun) delete() error {
	names, err := g.named()
	if err != nil {
		return err
	}
	res, err := g.adm.DeleteGroups(g.ctx, names...)
	if err != nil && len(res) == 0 {
		return future(err)
	}
	var done, failed []string
	for _, n := range names {
		d, ok := res[n]
		switch {
		case !ok:
			failed = append(failed, "* Group '"+n+"' could not be deleted due to: "+wrapped(err))
		case d.Err != nil:
			failed = append(failed, "* Group '"+n+"' could not be deleted due to: "+wrapped(d.Err))
		default:
			done = append(done, "'"+n+"'")
		}
	}
	if len(failed) == 0 {
		g.println("Deletion of requested consumer groups (" + strings.Join(done, ", ") + ") was successful.")
		return nil
	}
	g.groupError("Deletion of some consumer groups failed:")
	for _, f := range failed {
		g.println(f)
	}
	if len(done) > 0 {
		g.printf("\nThese consumer groups were deleted successfully: %s\n", strings.Join(done, ", "))
	}
	return nil
}

// deleteOffsets is --delete-offsets.
func (g groupsRun) deleteOffsets() error {
	name := g.text("group")
	set := kadm.TopicsSet{}
	results := map[place]error{}
	for _, t := range g.all("topic") {
		if strings.Contains(t, ":") {
			places, err := parsePlaces(t)
			if err != nil {
				return err
			}
			for _, p := range places {
				set.Add(p.topic, p.partition)
			}
			continue
		}
		topics, errs, _, err := metadata(g.ctx, g.cl, []string{t})
		switch {
		case err != nil:
			return future(err)
		case errs[t] != nil:
			results[place{t, -1}] = errs[t]
		default:
			for _, p := range topics[0].partitions {
				set.Add(t, p.id)
			}
		}
	}
	var top error
	if len(set) > 0 {
		res, err := g.adm.DeleteOffsets(g.ctx, name, set)
		top = err
		for _, tp := range set.Sorted() {
			for _, p := range tp.Partitions {
				perr := err
				if perr == nil {
					perr, _ = res.Lookup(tp.Topic, p)
				}
				results[place{tp.Topic, p}] = perr
				if top == nil {
					top = perr
				}
			}
		}
	}
	var k *kerr.Error
	errors.As(top, &k)
	switch {
	case top == nil:
		g.println("Request succeeded for deleting offsets from group " + name + ".")
	case k == kerr.InvalidGroupID, k == kerr.GroupIDNotFound, k == kerr.GroupAuthorizationFailed, k == kerr.NonEmptyGroup:
		g.groupError(codeText(k.Code))
	case k == kerr.GroupSubscribedToTopic, k == kerr.TopicAuthorizationFailed, k == kerr.UnknownTopicOrPartition:
		g.groupError("Encountered some partition-level error, see the follow-up details.")
	default:
		g.groupError("Encountered some unknown error: " + message(top))
	}
	g.printDeletedOffsets(results)
	return nil
}

// printDeletedOffsets prints the table of --delete-offsets.
func (g groupsRun) printDeletedOffsets(results map[place]error) {
	width := 15
	var places []place
	for p := range results {
		width = max(width, len(p.topic))
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return strings.Compare(fmt.Sprint(a.topic, a.partition), fmt.Sprint(b.topic, b.partition))
	})
	line := func(topic, partition, status string) { g.printf("\n%-*s %-10s %-15s", width, topic, partition, status) }
	line("TOPIC", "PARTITION", "STATUS")
	for _, p := range places {
		partition, status := "-", "Successful"
		if p.partition >= 0 {
			partition = fmt.Sprint(p.partition)
		}
		if err := results[p]; err != nil {
			status = "Error: " + wrapped(err)
		}
		line(p.topic, partition, status)
	}
	g.printf("\n")
}
