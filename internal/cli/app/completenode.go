package app

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// CompleteNodes completes the ids of the brokers.
func (a *App) CompleteNodes() Completion {
	return a.complete(func(ctx context.Context, adm *kadm.Client) (words []string) {
		brokers, err := adm.ListBrokers(ctx)
		if err != nil {
			return nil
		}
		for _, id := range brokers.NodeIDs() {
			words = append(words, strconv.Itoa(int(id)))
		}
		return words
	})
}

// CompleteBrokerSettings completes key= of the brokers' configuration, for a flag that takes key=value.
func (a *App) CompleteBrokerSettings() Completion {
	keys := a.CompleteBrokerConfigs()
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		words, directive := keys(c, nil, begun)
		for i := range words {
			words[i] += "="
		}
		return words, directive | cobra.ShellCompDirectiveNoSpace
	}
}
