package topic

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/app"
)

// isPattern says that an argument is a pattern and no name: no topic's name may have these letters.
func isPattern(arg string) bool { return strings.ContainsAny(arg, "*?[") }

// matchers makes a test of names of each argument: of a regular expression that must match the whole name, of
// a pattern in the manner of shells, or of a name.
func matchers(c *cobra.Command, args []string, regex bool) ([]func(string) bool, error) {
	var list []func(string) bool
	for _, arg := range args {
		switch {
		case regex:
			re, err := regexp.Compile("^(?:" + arg + ")$")
			if err != nil {
				return nil, app.Usage(c, "%s is no regular expression: %s", arg, err)
			}
			list = append(list, re.MatchString)
		case isPattern(arg):
			if _, err := path.Match(arg, ""); err != nil {
				return nil, app.Usage(c, "%s is no pattern such as orders-*", arg)
			}
			list = append(list, func(name string) bool { ok, _ := path.Match(arg, name); return ok })
		default:
			list = append(list, func(name string) bool { return name == arg })
		}
	}
	return list, nil
}

// find looks topics up by names and patterns: those that are there in the order of the arguments, and a failure
// for each argument that finds none. Patterns find no internal topics.
func find(ctx context.Context, a *app.App, c *cobra.Command, adm *kadm.Client, args []string) ([]kadm.TopicDetail, []*app.Failure, error) {
	tests, err := matchers(c, args, false)
	if err != nil {
		return nil, nil, err
	}
	asked := args
	if slices.ContainsFunc(args, isPattern) {
		asked = nil
	}
	topics, err := adm.ListTopicsWithInternal(ctx, asked...)
	if err != nil {
		return nil, nil, app.Failed(err, "the topics could not be looked up")
	}
	sorted := topics.Sorted()
	var found []kadm.TopicDetail
	var fails []*app.Failure
	seen := map[string]bool{}
	for i, arg := range args {
		hit := false
		for _, t := range sorted {
			switch {
			case !tests[i](t.Topic), isPattern(arg) && t.IsInternal, errors.Is(t.Err, kerr.UnknownTopicOrPartition):
				continue
			case t.Err != nil:
				fails = append(fails, app.Failed(t.Err, "topic %s could not be looked up", t.Topic))
			case !seen[t.Topic]:
				seen[t.Topic] = true
				found = append(found, t)
			}
			hit = true
		}
		switch {
		case hit:
		case isPattern(arg):
			fails = append(fails, &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("no topic matches %s", arg), Try: "klamm topic list"})
		default:
			fails = append(fails, a.MissingTopic(ctx, adm, arg))
		}
	}
	return found, fails, nil
}

// findOne is find for a command on one topic.
func findOne(ctx context.Context, a *app.App, c *cobra.Command, adm *kadm.Client, name string) (kadm.TopicDetail, error) {
	if isPattern(name) {
		return kadm.TopicDetail{}, app.Usage(c, "%s is a pattern; this needs the name of one topic", name)
	}
	found, fails, err := find(ctx, a, c, adm, []string{name})
	switch {
	case err != nil:
		return kadm.TopicDetail{}, err
	case len(fails) > 0:
		return kadm.TopicDetail{}, fails[0]
	}
	return found[0], nil
}

// names are the names of topics.
func names(topics []kadm.TopicDetail) []string {
	list := make([]string, len(topics))
	for i, t := range topics {
		list[i] = t.Topic
	}
	return list
}

// anyLeader is a broker that leads a partition of topics, -1 when there is none.
func anyLeader(topics ...kadm.TopicDetail) int32 {
	for _, t := range topics {
		for _, p := range t.Partitions {
			if p.Leader >= 0 {
				return p.Leader
			}
		}
	}
	return -1
}
