package coordinator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/group"
)

// summarized are the groups' offsets in order.
func summarized(t *testing.T, c *cluster) (list []string, whole bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	summaries, whole := c.g.Summaries(ctx)
	for _, s := range summaries {
		slices.SortFunc(s.Offsets, func(a, b group.CommittedOffset) int { return strings.Compare(a.Topic, b.Topic) })
		list = append(list, fmt.Sprintf("%s %s %d members %v", s.ID, s.State, s.Members, s.Offsets))
	}
	slices.Sort(list)
	return list, whole
}

func TestSummariesTellOfAllGroupsWithTheirOffsets(t *testing.T) {
	bubble(t, 5, func(t *testing.T, c *cluster) {
		c.call("a", commit("a", "t", 0, 5))
		c.call("a", commit("a", "u", 3, 7))
		c.call("b", commit("b", "t", 1, 1))
		c.call("m", join("m", ""))
		got, whole := summarized(t, c)
		want := []string{
			"a Empty 0 members [{t 0 AAAAAAAAAAAAAAAAAAAAAA 5} {u 3 AAAAAAAAAAAAAAAAAAAAAA 7}]",
			"b Empty 0 members [{t 1 AAAAAAAAAAAAAAAAAAAAAA 1}]",
			"m CompletingRebalance 1 members []",
		}
		if !whole || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("whole %t\n%s\nwant\n%s", whole, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestSummariesWakeNoShardThatHoldsNothing(t *testing.T) {
	bubble(t, 50, func(t *testing.T, c *cluster) {
		c.call("a", commit("a", "t", 0, 5))
		got, whole := summarized(t, c)
		if len(got) != 1 || !whole {
			t.Errorf("%v, whole %t", got, whole)
		}
		synctest.Wait()
		machines := 0
		for _, s := range c.g.all() {
			if !s.empty() {
				machines++
			}
		}
		if machines != 1 {
			t.Errorf("%d shards hold something", machines)
		}
	})
}

func TestSummariesLeaveOutAShardThatIsBeingLoaded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("a", commit("a", "t", 0, 5))
		c.parts[0].mu.Lock()
		c.parts[0].fails = code.KafkaStorageError
		c.parts[0].mu.Unlock()
		if _, err := c.g.Call(t.Context(), "a", commit("a", "t", 0, 6)); err == nil {
			t.Fatal("the append did not fail")
		}
		if got, whole := summarized(t, c); len(got) > 0 || whole {
			t.Errorf("%v, whole %t", got, whole)
		}
	})
}

func TestSummariesDoNotWaitLongerThanTheyAreLet(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("a", commit("a", "t", 0, 5))
		c.parts[0].hold()
		defer c.parts[0].release()
		w := NewPending()
		c.g.Do("a", commit("a", "t", 0, 6), w) // is not replicated, and the summary comes behind it
		began := time.Now()
		if got, whole := summarized(t, c); len(got) > 0 || whole || time.Since(began) > 2*time.Second {
			t.Errorf("%v, whole %t, after %v", got, whole, time.Since(began))
		}
	})
}
