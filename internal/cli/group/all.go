package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// Page is all that is told of a group; its JSON is that of klamm group describe.
type Page = page

// All describes every group with its offsets and lag in records. With an error there may be pages of other groups.
func All(ctx context.Context, a *app.App, cl *kgo.Client, adm *kadm.Client) ([]Page, error) {
	names, err := groupNames(ctx, cl)
	if err != nil {
		return nil, err
	}
	pages, fails := (&cluster{cl: cl, adm: adm}).survey(ctx, a, names, offsetDepth)
	if pages == nil {
		pages = []Page{}
	}
	if fails = stillThere(fails); len(fails) > 0 {
		return pages, fails[0]
	}
	return pages, nil
}
