package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/config"
)

// completeWithin bounds what a press of the tabulator may take.
const completeWithin = 2 * time.Second

// Completion is what cobra asks for the words that may stand next.
type Completion = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// complete asks the cluster for words, silently and within completeWithin.
func (a *App) complete(ask func(ctx context.Context, adm *kadm.Client) []string) Completion {
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
		defer cancel()
		cl, err := a.Client(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer cl.Close()
		var words []string
		for _, w := range ask(ctx, a.AdminOf(cl)) {
			if strings.HasPrefix(w, begun) && !slices.Contains(args, w) {
				words = append(words, w)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteTopics completes names of topics.
func (a *App) CompleteTopics() Completion { return a.complete(topicNames) }

// CompleteGroups completes names of groups.
func (a *App) CompleteGroups() Completion { return a.complete(groupNames) }

// CompleteOnce is a completion for the first argument alone.
func CompleteOnce(f Completion) Completion {
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(c, args, begun)
	}
}

// CompleteTopicConfigs completes key=value of a topic's configuration for a flag; with keysOnly the key alone.
// Keys and the present values are those that the cluster itself tells.
func (a *App) CompleteTopicConfigs(keysOnly bool) Completion {
	return a.complete(func(ctx context.Context, adm *kadm.Client) (words []string) {
		for _, c := range topicConfigs(ctx, adm) {
			if keysOnly {
				words = append(words, c.Key)
			} else {
				words = append(words, c.Key+"="+c.MaybeValue())
			}
		}
		return words
	})
}

// CompleteBrokerConfigs completes keys of the brokers' configuration.
func (a *App) CompleteBrokerConfigs() Completion {
	return a.complete(func(ctx context.Context, adm *kadm.Client) (words []string) {
		brokers, err := adm.ListBrokers(ctx)
		if err != nil || len(brokers) == 0 {
			return nil
		}
		res, err := adm.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
		if err != nil {
			return nil
		}
		for _, r := range res {
			for _, c := range r.Configs {
				words = append(words, c.Key)
			}
		}
		return words
	})
}

// CompleteValues completes values that are known beforehand, for a flag.
func CompleteValues(values ...string) Completion {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

func topicNames(ctx context.Context, adm *kadm.Client) []string {
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil
	}
	return topics.Names()
}

func groupNames(ctx context.Context, adm *kadm.Client) []string {
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		return nil
	}
	return groups.Groups()
}

// topicConfigs are the keys that a topic may have, taken from any topic; a cluster without one has none to tell.
func topicConfigs(ctx context.Context, adm *kadm.Client) []kadm.Config {
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil || len(topics) == 0 {
		return nil
	}
	// A person's own topic tells what is usual; the broker's own are compacted.
	sorted := topics.Sorted()
	Sort(sorted, func(x, y kadm.TopicDetail) int {
		switch {
		case x.IsInternal == y.IsInternal:
			return 0
		case x.IsInternal:
			return 1
		}
		return -1
	})
	res, err := adm.DescribeTopicConfigs(ctx, sorted[0].Topic)
	if err != nil || len(res) == 0 {
		return nil
	}
	return slices.DeleteFunc(res[0].Configs, func(c kadm.Config) bool { return c.Source == kmsg.ConfigSourceUnknown && c.Key == "" })
}

// MissingTopic is the failure for a topic that is not there, with the nearest name that is.
func (a *App) MissingTopic(ctx context.Context, adm *kadm.Client, name string) *Failure {
	return missing("topic", name, "klamm topic list", topicNames(ctx, adm))
}

// MissingGroup is the failure for a group that is not there, with the nearest name that is.
func (a *App) MissingGroup(ctx context.Context, adm *kadm.Client, name string) *Failure {
	return missing("group", name, "klamm group list", groupNames(ctx, adm))
}

// missing is NotFound with a suggestion.
func missing(kind, name, try string, known []string) *Failure {
	f := NotFound(kind, name, try)
	if near := Nearest(name, known); near != "" {
		f.Try = "did you mean " + near + "? " + try
	}
	return f
}

// Nearest is the word that is most like name, or "" when none is like it: at most a third of its letters
// differ, or one begins with the other.
func Nearest(name string, words []string) string {
	best, least := "", len(name)/3+2
	for _, w := range words {
		d := config.Distance(strings.ToLower(name), strings.ToLower(w), least)
		if len(name) >= 3 && strings.HasPrefix(w, name) {
			d = min(d, 1)
		}
		if d < least {
			best, least = w, d
		}
	}
	return best
}
