package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/app"
)

// carryOut prints plans and, when apply is set, moves their groups: a group is moved whole or refused.
func (c *cluster) carryOut(ctx context.Context, a *app.App, cmd *cobra.Command, form *app.Form, plans []plan, apply bool) error {
	var moves []move
	var fails []*app.Failure
	busy := map[string]*app.Failure{}
	for _, p := range plans {
		moves = append(moves, p.moves...)
		if len(p.Members) > 0 {
			busy[p.Group] = p.busy("moved")
		}
	}
	if err := printMoves(a, form, moves); err != nil {
		return err
	}
	done := 0
	for _, p := range plans {
		changed := p.changed()
		f := busy[p.Group]
		if !apply || f == nil {
			a.Say("%s", p.summary(changed, apply))
		}
		switch {
		case len(changed) == 0:
			done++
		case !apply && f != nil:
			a.Say("group %s cannot be moved now: %s", p.Group, f.Why)
		case !apply:
		case f != nil:
			fails = append(fails, f)
		default:
			moved, more := c.move(ctx, p, changed)
			fails = append(fails, more...)
			if len(moved) > 0 {
				done++
				a.Say("moved group %s: %s", p.Group, app.CountText(len(moved), "partition"))
				for _, line := range reversing(a, cmd, p, moved) {
					a.Say("to reverse: %s", line)
				}
			}
		}
	}
	if !apply {
		a.Say("this is the plan and nothing was done; --apply acts")
		return nil
	}
	return app.Partly(a, done, fails)
}

// printMoves is a row for each partition.
func printMoves(a *app.App, form *app.Form, moves []move) error {
	columns := []app.Column[move]{
		{Name: "topic", Text: func(m move) string { return m.Topic }},
		{Name: "partition", Text: func(m move) string { return fmt.Sprint(m.Partition) }},
		{Name: "from_offset", Text: func(m move) string { return app.OffsetText(m.From) }},
		{Name: "to_offset", Text: func(m move) string { return app.OffsetText(m.To) }},
		{Name: "records_again", Text: func(m move) string { return fmt.Sprint(m.Again) }},
		{Name: "records_skipped", Text: func(m move) string { return fmt.Sprint(m.Skipped) }},
		{Name: "start_offset", Wide: true, Text: func(m move) string { return app.OffsetText(m.Start) }},
		{Name: "end_offset", Wide: true, Text: func(m move) string { return app.OffsetText(m.End) }},
	}
	several := slices.ContainsFunc(moves, func(m move) bool { return m.Group != moves[0].Group })
	columns = slices.Insert(columns, 0, app.Column[move]{Name: "group", Wide: !several, Text: func(m move) string { return m.Group }})
	noted := slices.ContainsFunc(moves, func(m move) bool { return m.Note != "" })
	columns = append(columns, app.Column[move]{Name: "note", Wide: !noted, Text: func(m move) string {
		if form.Human() {
			return app.OrDash(m.Note)
		}
		return m.Note
	}})
	return app.PrintList(a, form, app.List[move]{Items: moves, ID: func(m move) string { return m.key().String() }, Columns: columns})
}

// changed are the moves that change something.
func (p *plan) changed() []move {
	var list []move
	for _, m := range p.moves {
		if m.From != m.To {
			list = append(list, m)
		}
	}
	return list
}

// summary is a plan in a sentence.
func (p *plan) summary(changed []move, apply bool) string {
	if len(changed) == 0 {
		return fmt.Sprintf("group %s is there already", p.Group)
	}
	var again, skipped, fresh, away int64
	for _, m := range changed {
		again += m.Again
		skipped += m.Skipped
		if m.From == noOffset {
			fresh++
		}
		if m.To == noOffset {
			away++
		}
	}
	verb := "would move"
	if apply {
		verb = "move"
	}
	s := fmt.Sprintf("%s group %s in %s: about %s read again, %d skipped", verb, p.Group, app.CountText(len(changed), "partition"), app.CountText(again, "record"), skipped)
	if fresh > 0 {
		s += fmt.Sprintf("; %s without an offset until now", app.CountText(fresh, "partition"))
	}
	if away > 0 {
		s += fmt.Sprintf("; %s without one from now on", app.CountText(away, "partition"))
	}
	return s
}

// busy is the refusal of a group with members, who are named.
func (p *page) busy(deed string) *app.Failure {
	const most = 3
	var who []string
	for _, m := range p.Members[:min(len(p.Members), most)] {
		who = append(who, fmt.Sprintf("%s at %s", cmp.Or(m.ClientID, m.MemberID), cmp.Or(m.Host, "an unknown address")))
	}
	if len(p.Members) > most {
		who = append(who, "and more")
	}
	return &app.Failure{
		Exit: app.ExitRefused, Code: app.CodeRefused, What: fmt.Sprintf("group %s was not %s", p.Group, deed),
		Why: fmt.Sprintf("it has %s: %s", app.CountText(len(p.Members), "member"), strings.Join(who, ", ")),
		Try: "stop them first; klamm group members " + quote(p.Group),
	}
}

// move commits and takes away offsets, with one request of each kind. moved are those that were.
func (c *cluster) move(ctx context.Context, p plan, changed []move) (moved []move, fails []*app.Failure) {
	commit, away := kadm.Offsets{}, kadm.TopicsSet{}
	for _, m := range changed {
		if m.To == noOffset {
			away.Add(m.Topic, m.Partition)
		} else {
			commit.Add(kadm.Offset{Topic: m.Topic, Partition: m.Partition, At: m.To, LeaderEpoch: -1})
		}
	}
	result := map[partition]error{}
	if len(commit) > 0 {
		res, err := c.adm.CommitOffsets(ctx, p.Group, commit)
		for _, m := range changed {
			if r, ok := res.Lookup(m.Topic, m.Partition); ok && err == nil {
				result[m.key()] = r.Err
			} else if m.To != noOffset {
				result[m.key()] = cmp.Or(err, error(kerr.UnknownServerError))
			}
		}
	}
	if len(away) > 0 {
		for key, err := range c.takeAway(ctx, p.Group, away) {
			result[key] = err
		}
	}
	byError := map[string][]move{}
	var errs []error
	for _, m := range changed {
		err := result[m.key()]
		if err == nil {
			moved = append(moved, m)
			continue
		}
		if byError[err.Error()] == nil {
			errs = append(errs, err)
		}
		byError[err.Error()] = append(byError[err.Error()], m)
	}
	for _, err := range errs {
		first := byError[err.Error()][0]
		f := app.Failed(err, "group %s was not moved in %s, %s first", p.Group, app.CountText(len(byError[err.Error()]), "partition"), first.key())
		if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.StaleMemberEpoch) {
			f.Exit, f.Code, f.Why, f.Try = app.ExitRefused, app.CodeRefused, "a member joined it meanwhile", "stop its members first; klamm group members "+quote(p.Group)
		}
		fails = append(fails, f)
	}
	return moved, fails
}

// takeAway deletes committed offsets, with one request. nil means that it is gone.
func (c *cluster) takeAway(ctx context.Context, group string, which kadm.TopicsSet) map[partition]error {
	result := map[partition]error{}
	res, err := c.adm.DeleteOffsets(ctx, group, which)
	which.Each(func(topic string, index int32) {
		got, ok := res[topic][index]
		switch {
		case err != nil:
			got = err
		case !ok:
			got = kerr.UnknownServerError
		}
		result[partition{topic, index}] = got
	})
	return result
}

// mostLine is how long a command may become; shells and systems take more, but not always much more.
const mostLine = 60_000

// reversing is the command that takes moves back, in parts when there are very many.
func reversing(a *app.App, cmd *cobra.Command, p plan, moved []move) []string {
	where := connection(a, cmd)
	if !p.exists {
		return []string{fmt.Sprintf("klamm group delete %s -y%s", quote(p.Group), where)}
	}
	var lines []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			lines = append(lines, fmt.Sprintf("klamm group seek %s --to %s --apply%s", quote(p.Group), quote(b.String()), where))
			b.Reset()
		}
	}
	for i := 0; i < len(moved); {
		// Partitions in a row with one offset are told together.
		j := i + 1
		for j < len(moved) && moved[j].Topic == moved[i].Topic && moved[j].From == moved[i].From && moved[j].Partition == moved[j-1].Partition+1 {
			j++
		}
		if b.Len() > mostLine {
			flush()
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s", moved[i].key())
		if j > i+1 {
			fmt.Fprintf(&b, "-%d", moved[j-1].Partition)
		}
		if moved[i].From == noOffset {
			b.WriteString("=none")
		} else {
			fmt.Fprintf(&b, "=%d", moved[i].From)
		}
		i = j
	}
	flush()
	return lines
}

// connection is the flags that a command needs to reach the same cluster, with a space before them.
func connection(a *app.App, cmd *cobra.Command) (flags string) {
	if f := cmd.Flag("profile"); f != nil && f.Changed {
		flags += " --profile " + quote(f.Value.String())
	}
	if addrs, from, err := a.Seeds(); err == nil && from == "--brokers" {
		flags += " -b " + quote(strings.Join(addrs, ","))
	}
	return flags
}

// quote writes a word so that a shell reads it as one.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:,=/@+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
