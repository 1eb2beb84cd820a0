package kafka

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// reset is --reset-offsets.
func (g groupsRun) reset() error {
	names, err := g.named()
	if err != nil {
		return err
	}
	groups, err := describeGroups(g.ctx, g.cl, names)
	if err != nil {
		return twice(err)
	}
	plans := map[string]map[place]int64{}
	for _, n := range names {
		d := groups[n]
		switch {
		case errors.Is(d.err, kerr.GroupIDNotFound), d.err == nil && (d.state == "Empty" || d.state == "Dead"):
			if plans[n], err = g.resetGroup(n); err != nil {
				return err
			}
		case d.err != nil:
			return twice(d.err)
		default:
			g.groupError("Assignments can only be reset if the group '" + n + "' is inactive, but the current state is " + d.state + ".")
			plans[n] = nil
		}
	}
	if g.has("export") {
		g.exportPlans(names, plans)
		return nil
	}
	g.printPlans(names, plans)
	return nil
}

// resetGroup finds a group's new offsets and sets them with --execute.
func (g groupsRun) resetGroup(name string) (map[place]int64, error) {
	places, err := g.resetScope(name)
	if err != nil {
		return nil, err
	}
	plan, err := g.plan(name, places)
	if err != nil || !g.has("execute") {
		return plan, err
	}
	offsets := kadm.Offsets{}
	for p, at := range plan {
		offsets.Add(kadm.Offset{Topic: p.topic, Partition: p.partition, At: at, LeaderEpoch: -1})
	}
	if len(offsets) == 0 {
		return plan, nil
	}
	res, err := g.adm.CommitOffsets(g.ctx, name, offsets)
	if err == nil {
		err = res.Error()
	}
	return plan, err
}

// resetScope are the partitions that --all-topics or --topic means.
func (g groupsRun) resetScope(name string) (places []place, err error) {
	switch {
	case g.has("all-topics"):
		committed, err := g.committed(name)
		if err != nil {
			return nil, err
		}
		for p := range committed {
			places = append(places, p)
		}
	case g.has("topic"):
		for _, t := range g.all("topic") {
			if strings.Contains(t, ":") {
				some, err := parsePlaces(t)
				if err != nil {
					return nil, err
				}
				places = append(places, some...)
				continue
			}
			topics, errs, _, err := metadata(g.ctx, g.cl, []string{t})
			if err == nil {
				err = errs[t]
			}
			if err != nil {
				return nil, err
			}
			for _, p := range topics[0].partitions {
				places = append(places, place{t, p.id})
			}
		}
	case !g.has("from-file"):
		return nil, usagef("One of the reset scopes should be defined: --all-topics, --topic.")
	}
	slices.SortFunc(places, comparePlaces)
	return slices.Compact(places), nil
}

// parsePlaces reads topic:0,1,2.
func parsePlaces(arg string) ([]place, error) {
	topic, list, _ := strings.Cut(arg, ":")
	if list == "" || strings.Contains(list, ":") {
		return nil, usagef("Invalid topic arg '%s', expected topic name and partitions", arg)
	}
	var all []place
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return nil, usagef("Invalid partition '%s' specified in topic arg '%s''", s, arg)
		}
		all = append(all, place{topic, int32(n)})
	}
	return all, nil
}

// plan finds the new offsets of partitions.
func (g groupsRun) plan(name string, places []place) (map[place]int64, error) {
	if err := g.checkPlaces(places); err != nil {
		return nil, err
	}
	same := func(at int64) map[place]int64 {
		all := map[place]int64{}
		for _, p := range places {
			all[p] = at
		}
		return all
	}
	switch {
	case g.has("to-offset"):
		return g.within(same(g.number("to-offset")))
	case g.has("to-earliest"):
		return g.offsetsAt(same(earliest))
	case g.has("to-latest"):
		return g.offsetsAt(same(latest))
	case g.has("shift-by"):
		committed, err := g.committed(name)
		if err != nil {
			return nil, err
		}
		all := map[place]int64{}
		for _, p := range places {
			c, ok := committed[p]
			if !ok {
				return nil, usagef("Cannot shift offset for partition %s since there is no current committed offset", p)
			}
			all[p] = c.At + g.number("shift-by")
		}
		return g.within(all)
	case g.has("to-datetime"):
		at, err := parseDateTime(g.text("to-datetime"))
		if err != nil {
			return nil, err
		}
		return g.offsetsOfTime(same(at.UnixMilli()))
	case g.has("by-duration"):
		d, err := parseISODuration(g.text("by-duration"))
		if err != nil {
			return nil, err
		}
		return g.offsetsOfTime(same(g.app.Time().Add(-d).UnixMilli()))
	case g.has("from-file"):
		return g.planOfFile(name)
	case g.has("to-current"):
		committed, err := g.committed(name)
		if err != nil {
			return nil, err
		}
		all, rest := map[place]int64{}, map[place]int64{}
		for _, p := range places {
			if c, ok := committed[p]; ok {
				all[p] = c.At
			} else {
				rest[p] = latest
			}
		}
		ends, err := g.offsetsAt(rest)
		for p, at := range ends {
			all[p] = at
		}
		return all, err
	}
	return nil, usagef("Option '[reset-offsets]' requires one of the following scenarios: [%s]", bracketed(resetWays()))
}

// checkPlaces refuses partitions that are not there or have no leader.
func (g groupsRun) checkPlaces(places []place) error {
	ask := map[place]int64{}
	for _, p := range places {
		ask[p] = latest
	}
	leaders, err := g.partitionsOf(ask)
	if err != nil {
		return err
	}
	var missing, leaderless []string
	for _, p := range places {
		leader, ok := leaders[p]
		switch {
		case !ok:
			missing = append(missing, p.String())
		case leader < 0:
			leaderless = append(leaderless, p.String())
		}
	}
	if len(missing) > 0 {
		return saysf("The partitions \"%s\" do not exist", strings.Join(missing, ","))
	}
	if len(leaderless) > 0 {
		return saysf("The partitions \"%s\" have no leader", strings.Join(leaderless, ","))
	}
	return nil
}

// offsetsAt asks for offsets of which every one must be there.
func (g groupsRun) offsetsAt(ask map[place]int64) (map[place]int64, error) {
	res, err := listOffsets(g.ctx, g.cl, ask)
	if err != nil {
		return nil, twice(err)
	}
	all := map[place]int64{}
	for p, f := range res {
		if f.err != nil {
			return nil, twice(f.err)
		}
		all[p] = f.offset
	}
	return all, nil
}

// offsetsOfTime asks for the offsets of a time; a partition without a record of then or later is at its end.
func (g groupsRun) offsetsOfTime(ask map[place]int64) (map[place]int64, error) {
	all, err := g.offsetsAt(ask)
	if err != nil {
		return nil, err
	}
	rest := map[place]int64{}
	var order []place
	for p, at := range all {
		if at < 0 {
			rest[p] = latest
			order = append(order, p)
		}
	}
	slices.SortFunc(order, comparePlaces)
	for _, p := range order {
		g.printf("\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", p.partition, p.topic)
	}
	ends, err := g.offsetsAt(rest)
	for p, at := range ends {
		all[p] = at
	}
	return all, err
}

// within keeps offsets inside what their partitions hold, and warns of those that are not.
func (g groupsRun) within(wanted map[place]int64) (map[place]int64, error) {
	ask := func(at int64) (map[place]int64, error) {
		q := map[place]int64{}
		for p := range wanted {
			q[p] = at
		}
		return g.offsetsAt(q)
	}
	starts, err := ask(earliest)
	if err != nil {
		return nil, err
	}
	ends, err := ask(latest)
	if err != nil {
		return nil, err
	}
	all := map[place]int64{}
	for p, at := range wanted {
		all[p] = min(max(at, starts[p]), ends[p])
		switch {
		case at > ends[p]:
			fmt.Fprintf(g.err, "WARN New offset (%d) is higher than latest offset for topic partition %s. Value will be set to %d\n", at, p, ends[p])
		case at < starts[p]:
			fmt.Fprintf(g.err, "WARN New offset (%d) is lower than earliest offset for topic partition %s. Value will be set to %d\n", at, p, starts[p])
		}
	}
	return all, nil
}

// planOfFile reads a group's offsets of --from-file: topic,partition,offset lines for one group, with the group
// before them for several.
func (g groupsRun) planOfFile(name string) (map[place]int64, error) {
	file, err := os.Open(g.text("from-file"))
	if err != nil {
		return nil, saysf("java.nio.file.NoSuchFileException: %s", g.text("from-file"))
	}
	defer file.Close()
	rd := csv.NewReader(file)
	rd.FieldsPerRecord, rd.TrimLeadingSpace = -1, true
	rows, err := rd.ReadAll()
	if err != nil {
		return nil, err
	}
	wanted, named := map[place]int64{}, false
	for i, row := range rows {
		group := name
		if len(row) == 4 {
			group, row = row[0], row[1:]
		} else if len(g.all("group")) != 1 {
			row = nil
		}
		if len(row) != 3 {
			return nil, saysf("%s: line %d is not topic,partition,offset, nor group,topic,partition,offset for several groups", g.text("from-file"), i+1)
		}
		id, err1 := strconv.ParseInt(strings.TrimSpace(row[1]), 10, 32)
		at, err2 := strconv.ParseInt(strings.TrimSpace(row[2]), 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, saysf("%s: line %d: a partition and an offset must be numbers", g.text("from-file"), i+1)
		}
		if group == name {
			wanted[place{row[0], int32(id)}], named = at, true
		}
	}
	if !named {
		g.groupError("No reset plan for group " + name + " found")
		return nil, nil
	}
	return g.within(wanted)
}

// sortedPlan is a plan's partitions in order.
func sortedPlan(plan map[place]int64) []place {
	var places []place
	for p := range plan {
		places = append(places, p)
	}
	slices.SortFunc(places, comparePlaces)
	return places
}

// printPlans prints the table of new offsets.
func (g groupsRun) printPlans(names []string, plans map[string]map[place]int64) {
	wGroup, wTopic := 15, 15
	for n, plan := range plans {
		wGroup = max(wGroup, len(n))
		for p := range plan {
			wTopic = max(wTopic, len(p.topic))
		}
	}
	line := func(group, topic, partition, at string) {
		g.printf("\n%-*s %-*s %-10s %s", wGroup, group, wTopic, topic, partition, at)
	}
	if len(plans) > 0 {
		line("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")
	}
	for _, n := range names {
		for _, p := range sortedPlan(plans[n]) {
			line(n, p.topic, fmt.Sprint(p.partition), fmt.Sprint(plans[n][p]))
		}
	}
	g.printf("\n")
}

// exportPlans prints new offsets as CSV, with the group before them when there are several.
func (g groupsRun) exportPlans(names []string, plans map[string]map[place]int64) {
	one := len(g.all("group")) == 1
	for _, n := range names {
		for _, p := range sortedPlan(plans[n]) {
			if !one {
				g.printf("%s,", csvField(n))
			}
			g.printf("%s,%d,%d\n", csvField(p.topic), p.partition, plans[n][p])
		}
	}
	g.printf("\n")
}

// csvField quotes a text as Java's tool does: a long one, and one with a character up to the comma.
func csvField(s string) string {
	if len(s) > 24 || strings.ContainsFunc(s, func(c rune) bool { return c <= ',' }) {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// parseDateTime reads a date and time, which is UTC when it names no zone.
func parseDateTime(s string) (time.Time, error) {
	if !strings.Contains(s, "T") {
		return time.Time{}, usagef("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format")
	}
	for _, form := range []string{"2006-01-02T15:04:05.999", "2006-01-02T15:04:05.999Z07:00", "2006-01-02T15:04:05.999Z0700", "2006-01-02T15:04:05.999Z07"} {
		if t, err := time.ParseInLocation(form, s, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, saysf("java.text.ParseException: Unparseable date: \"%s\"", s)
}

// parseISODuration reads a duration of ISO 8601: PnDTnHnMn.nS.
func parseISODuration(s string) (time.Duration, error) {
	m := regexp.MustCompile(`(?i)^([-+]?)P(?:([-+]?\d+)D)?(T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+(?:[.,]\d{0,9})?)S)?)?$`).FindStringSubmatch(s)
	if m == nil || strings.EqualFold(m[3], "T") || m[2] == "" && m[3] == "" {
		return 0, saysf("Text cannot be parsed to a Duration")
	}
	var total time.Duration
	for i, unit := range map[int]time.Duration{2: 24 * time.Hour, 4: time.Hour, 5: time.Minute, 6: time.Second} {
		if m[i] == "" {
			continue
		}
		n, err := strconv.ParseFloat(strings.ReplaceAll(m[i], ",", "."), 64)
		if err != nil || n*float64(unit) > float64(1<<62) || n*float64(unit) < -float64(1<<62) {
			return 0, saysf("Text cannot be parsed to a Duration")
		}
		total += time.Duration(n * float64(unit))
	}
	if m[1] == "-" {
		total = -total
	}
	return total, nil
}
