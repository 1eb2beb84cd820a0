package isr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRandomClusterKeepsItsPromises drives small clusters of States with naive logs
// through fetches, elections, crashes that lose what was not flushed, and changes of
// the ISR that are late, lost and refused. After every step the invariants of
// KIP-966 are checked; after the faults have ended everybody catches up.
func TestRandomClusterKeepsItsPromises(t *testing.T) {
	seeds, steps := 500, 2000
	if testing.Short() {
		seeds = 100
	}
	var elections, committed, joined, refused int
	for seed := range uint64(seeds) {
		c := newCluster(seed)
		for range steps {
			c.step()
			if err := c.check(); err != nil {
				t.Fatalf("seed=%d: %v\n%s", seed, err, c)
			}
		}
		if err := c.heal(); err != nil {
			t.Fatalf("seed=%d: %v\n%s", seed, err, c)
		}
		elections, committed, joined, refused = elections+c.elections, committed+len(c.committed), joined+c.joined, refused+c.refused
	}
	t.Logf("%d clusters: %d elections, %d records committed, %d replicas joined an ISR, %d changes refused", seeds, elections, committed, joined, refused)
	if elections < seeds || committed < seeds*20 || joined < seeds || refused < seeds/10 {
		t.Fatal("the driver does not reach what it is to test")
	}
}

const maxLag = 10 * time.Second

// entry is one record: the epoch it was appended in and a number that no other has.
type entry struct {
	epoch int32
	value int
}

// node is one broker with its replica.
type node struct {
	id      int32
	state   *State // soft: gone with a crash
	up      bool
	seen    int // how much of the metadata log it has applied
	log     []entry
	epochs  []epochStart
	flushed int
	saved   int64 // watermark that a restart begins with
	broker  int64 // broker epoch
	change  *Change
}

type epochStart struct {
	epoch int32
	start int
}

// cluster is the nodes, and a controller whose log is a list of decisions.
type cluster struct {
	rand      *rand.Rand
	now       time.Time
	durable   bool // flush before it counts; a crash then loses the rest
	min       int
	weights   []int // summed up
	nodes     []*node
	meta      []Partition
	fenced    map[int32]bool
	nextEpoch int64
	flying    []flight // changes on their way to the controller
	fetches   []Fetch  // on their way to whoever leads when they arrive
	values    int
	committed []entry
	marks     map[mark]int64
	history   []string

	elections, joined, refused int
}

type flight struct {
	from   *node
	change *Change
}

// mark is one leadership, whose watermark must not move back.
type mark struct {
	node  int32
	epoch int32
}

func newCluster(seed uint64) *cluster {
	c := &cluster{rand: rand.New(rand.NewPCG(seed, 1)), now: epoch, fenced: map[int32]bool{}, marks: map[mark]int64{}}
	n := 3 + c.rand.IntN(3)
	c.min, c.durable = 1+c.rand.IntN(n-1), c.rand.IntN(2) == 0
	// How often what happens differs from cluster to cluster.
	sum := 0
	for _, w := range []int{60, 200, 20, 80, 40, 40, 20, 12, 4, 4, 4, 4} {
		sum += 1 + c.rand.IntN(w)
		c.weights = append(c.weights, sum)
	}
	p := Partition{Leader: 0}
	for i := range n {
		p.Replicas = append(p.Replicas, int32(i))
	}
	p.ISR = slices.Clone(p.Replicas)
	c.meta = []Partition{p}
	for i := range n {
		c.nextEpoch++
		c.nodes = append(c.nodes, &node{id: int32(i), broker: c.nextEpoch})
		c.start(c.nodes[i])
	}
	return c
}

func (c *cluster) say(format string, args ...any) {
	c.history = append(c.history, fmt.Sprintf(format, args...))
}

func (c *cluster) String() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "min=%d durable=%t controller=%+v fenced=%v\n", c.min, c.durable, c.meta[len(c.meta)-1], c.fenced)
	for _, n := range c.nodes {
		fmt.Fprintf(b, "%d up=%t seen=%d end=%d flushed=%d %v %v\n", n.id, n.up, n.seen, len(n.log), n.flushed, n.state, n.epochs)
	}
	for _, h := range c.history[max(0, len(c.history)-60):] {
		b.WriteString(h + "\n")
	}
	return b.String()
}

func (c *cluster) any() *node { return c.nodes[c.rand.IntN(len(c.nodes))] }

func (c *cluster) step() {
	c.now = c.now.Add(time.Duration(c.rand.IntN(100)) * time.Millisecond)
	n := c.any()
	pick := c.rand.IntN(c.weights[len(c.weights)-1])
	switch i, _ := slices.BinarySearch(c.weights, pick+1); i {
	case 0:
		c.append(n)
	case 1:
		c.fetch(n)
	case 2:
		c.flush(n)
	case 3:
		c.observe(n)
	case 4:
		c.propose(n)
	case 5:
		c.deliver()
	case 6:
		c.start(n)
	case 7:
		c.late()
	case 8:
		c.crash(n)
	case 9:
		c.fence(n)
	case 10:
		c.elect(true)
	case 11:
		c.now = c.now.Add(maxLag)
	}
}

func (c *cluster) append(n *node) {
	if !n.up || !n.state.Leading() {
		return
	}
	c.values++
	n.log = append(n.log, entry{n.state.LeaderEpoch(), c.values})
	c.say("%d appends %d at %d in epoch %d", n.id, c.values, len(n.log)-1, n.state.LeaderEpoch())
	c.advance(n)
}

func (c *cluster) flush(n *node) {
	if n.up {
		n.flushed = len(n.log)
		c.advance(n)
	}
}

// counts is how much of the log counts for the watermark.
func (c *cluster) counts(n *node) int {
	if c.durable {
		return n.flushed
	}
	return len(n.log)
}

func (c *cluster) advance(n *node) {
	if !n.state.Advance(int64(c.counts(n))) {
		return
	}
	hw := int(n.state.Watermark())
	if isr := c.meta[n.seen-1].ISR; len(isr) < min(c.min, len(c.nodes)) {
		panic(fmt.Sprintf("%d raises the watermark to %d with the ISR %v and min.insync.replicas %d", n.id, hw, isr, c.min))
	}
	c.say("%d raises the watermark to %d", n.id, hw)
	for i := len(c.committed); i < hw; i++ {
		c.committed = append(c.committed, n.log[i])
	}
}

func (n *node) lastEpoch() int32 {
	if len(n.epochs) == 0 {
		return -1
	}
	return n.epochs[len(n.epochs)-1].epoch
}

// endOf is OffsetForLeaderEpoch.
func (n *node) endOf(epoch int32) (int32, int) {
	for i := len(n.epochs) - 1; i >= 0; i-- {
		if n.epochs[i].epoch > epoch {
			continue
		}
		if i+1 < len(n.epochs) {
			return n.epochs[i].epoch, n.epochs[i+1].start
		}
		return n.epochs[i].epoch, len(n.log)
	}
	return -1, 0
}

func (n *node) begin(epoch int32) {
	if epoch <= n.lastEpoch() {
		return
	}
	for len(n.epochs) > 0 && n.epochs[len(n.epochs)-1].start >= len(n.log) {
		n.epochs = n.epochs[:len(n.epochs)-1]
	}
	n.epochs = append(n.epochs, epochStart{epoch, len(n.log)})
}

func (n *node) truncate(to int) {
	n.log, n.flushed = n.log[:min(to, len(n.log))], min(to, n.flushed)
	for len(n.epochs) > 0 && n.epochs[len(n.epochs)-1].start >= to {
		n.epochs = n.epochs[:len(n.epochs)-1]
	}
	if n.state != nil {
		n.state.Cut(int64(to))
	}
}

// fetch lets a follower fetch from whom it takes for its leader.
func (c *cluster) fetch(n *node) {
	if !n.up || n.state.Leading() || n.seen == 0 {
		return
	}
	p := c.meta[n.seen-1]
	if p.Leader < 0 {
		return
	}
	leader := c.nodes[p.Leader]
	if !leader.up || !leader.state.Leading() || leader.state.LeaderEpoch() != p.LeaderEpoch {
		return
	}
	if c.durable { // what is not flushed is not told
		n.flushed = len(n.log)
	}
	if last := n.lastEpoch(); last >= 0 && len(n.log) > 0 {
		epoch, end := leader.endOf(last)
		if epoch < last || end < len(n.log) {
			_, own := n.endOf(epoch)
			c.say("%d differs from %d behind epoch %d, cuts to %d", n.id, leader.id, epoch, min(own, end))
			n.truncate(min(own, end))
			return
		}
	}
	if c.rand.IntN(8) == 0 { // it takes its time, and the follower does not wait
		c.fetches = append(c.fetches, Fetch{n.id, p.LeaderEpoch, n.broker, int64(len(n.log))})
		return
	}
	err := leader.state.Fetched(Fetch{n.id, p.LeaderEpoch, n.broker, int64(len(n.log))}, int64(len(leader.log)), c.now)
	if err != nil {
		c.say("%d is refused by %d: %v", n.id, leader.id, err)
		return
	}
	told := leader.state.Watermark()
	c.advance(leader)
	if c.rand.IntN(10) == 0 {
		return // the answer is lost
	}
	for i := 1 + c.rand.IntN(4); i > 0 && len(n.log) < len(leader.log); i-- {
		e := leader.log[len(n.log)]
		n.begin(e.epoch)
		n.log = append(n.log, e)
	}
	n.state.Follow(told, int64(len(n.log)))
}

// late delivers what was under way for long: a fetch, or a decision that is known already.
func (c *cluster) late() {
	n := c.any()
	if !n.up || n.seen == 0 {
		return
	}
	n.state.Become(c.meta[c.rand.IntN(n.seen)], int64(len(n.log)), c.now)
	if len(c.fetches) == 0 {
		return
	}
	i := c.rand.IntN(len(c.fetches))
	q := c.fetches[i]
	if n.state.Leading() && q.Replica != n.id && q.Offset <= int64(len(n.log)) {
		c.say("%d gets a late %+v: %v", n.id, q, n.state.Fetched(q, int64(len(n.log)), c.now))
		c.advance(n)
		c.fetches = slices.Delete(c.fetches, i, i+1)
	}
}

// observe applies one more of the controller's decisions; at times it skips some.
func (c *cluster) observe(n *node) {
	if !n.up || n.seen == len(c.meta) {
		return
	}
	n.seen = n.seen + 1 + c.rand.IntN(len(c.meta)-n.seen)
	p := c.meta[n.seen-1]
	if n.state.Become(p, int64(len(n.log)), c.now) {
		n.begin(p.LeaderEpoch)
	}
	c.say("%d learns %+v", n.id, p)
	c.advance(n)
}

func (c *cluster) propose(n *node) {
	if !n.up {
		return
	}
	if change := n.state.Propose(n.broker, c.now); change != nil {
		n.change = change
		c.say("%d asks for %v", n.id, change.ISR)
	}
	if n.state.pending != nil { // sent, or sent again
		c.flying = append(c.flying, flight{n, n.state.pending})
	}
}

// deliver lets one AlterPartition reach the controller; the answer may be lost.
func (c *cluster) deliver() {
	if len(c.flying) == 0 {
		return
	}
	i := c.rand.IntN(len(c.flying))
	f := c.flying[i]
	if c.rand.IntN(4) > 0 { // else it comes again
		c.flying = slices.Delete(c.flying, i, i+1)
	}
	p := c.meta[len(c.meta)-1]
	if f.change.PartitionEpoch != p.PartitionEpoch || f.change.LeaderEpoch != p.LeaderEpoch || f.from.id != p.Leader {
		return // INVALID_UPDATE_VERSION, FENCED_LEADER_EPOCH: the metadata log will tell
	}
	var isr []int32
	for _, m := range f.change.ISR {
		if !slices.Contains(p.ISR, m.ID) && (c.fenced[m.ID] || m.BrokerEpoch != c.nodes[m.ID].broker) {
			c.refused++
			c.say("controller refuses %v", f.change.ISR)
			if f.from.up && c.rand.IntN(2) == 0 {
				f.from.state.Refused(f.change)
			}
			return
		}
		isr = append(isr, m.ID)
	}
	if len(isr) > len(p.ISR) {
		c.joined++
	}
	p.ISR = isr
	c.decide(p, false)
}

func (c *cluster) decide(p Partition, election bool) {
	p.PartitionEpoch++
	if election {
		p.LeaderEpoch++
		c.elections++
	}
	c.meta = append(c.meta, p)
	c.say("controller: %+v", p)
}

// elect makes an unfenced member of the ISR the leader; other says that the
// present leader does not do, even if it is well.
func (c *cluster) elect(other bool) {
	p := c.meta[len(c.meta)-1]
	var candidates []int32
	for _, id := range p.ISR {
		if !c.fenced[id] && !(other && id == p.Leader) {
			candidates = append(candidates, id)
		}
	}
	switch {
	case len(candidates) > 0:
		p.Leader = candidates[c.rand.IntN(len(candidates))]
	case other && !c.fenced[p.Leader]:
		return
	default:
		p.Leader = -1
	}
	c.decide(p, true)
}

// fence takes a broker out of what it leads and, unless it is the last one, out of the ISR.
func (c *cluster) fence(n *node) {
	if c.fenced[n.id] {
		return
	}
	c.fenced[n.id] = true
	p := c.meta[len(c.meta)-1]
	if slices.Contains(p.ISR, n.id) && len(p.ISR) > 1 {
		p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == n.id })
		c.decide(p, false)
	}
	if p.Leader == n.id {
		c.elect(false)
	}
}

// crash ends a node. It may lose what was not flushed; then the controller hears of
// that before anything else. The last member of the ISR must not lose what counts:
// no rule can save that.
func (c *cluster) crash(n *node) {
	if !n.up {
		return
	}
	n.up, n.saved = false, n.state.Watermark()
	n.state = nil
	last := slices.Equal(c.meta[len(c.meta)-1].ISR, []int32{n.id})
	if (c.durable || !last) && c.rand.IntN(2) == 0 {
		keep := n.flushed + c.rand.IntN(len(n.log)-n.flushed+1)
		c.say("%d crashes and keeps %d of %d", n.id, keep, len(n.log))
		n.truncate(keep)
		c.fence(n)
	} else {
		c.say("%d crashes", n.id)
	}
	n.flushed = min(n.flushed, len(n.log))
}

// start brings a node up, registered anew. What it hears first is the state after
// its registration: from an image of before it could take itself for the leader of
// an epoch that has ended.
func (c *cluster) start(n *node) {
	if n.up {
		return
	}
	c.fence(n)
	c.nextEpoch++
	n.broker, n.up, n.seen = c.nextEpoch, true, 0
	n.flushed = len(n.log) // recovery flushes what it found
	n.state = New(n.id, min(n.saved, int64(len(n.log))), maxLag)
	n.state.SetMinISR(c.min)
	delete(c.fenced, n.id)
	c.say("%d starts with broker epoch %d", n.id, n.broker)
	n.seen = len(c.meta) - 1
	c.observe(n)
	if p := c.meta[len(c.meta)-1]; p.Leader < 0 {
		c.elect(false)
	}
}

func (c *cluster) check() error {
	p := c.meta[len(c.meta)-1]
	if len(p.ISR) == 0 {
		return fmt.Errorf("the ISR is empty")
	}
	for _, id := range p.ISR {
		n := c.nodes[id]
		if !slices.Contains(p.Replicas, id) {
			return fmt.Errorf("%d is in the ISR and no replica", id)
		}
		if c.fenced[id] && len(p.ISR) > 1 {
			return fmt.Errorf("%d is fenced and in the ISR", id)
		}
		if len(n.log) < len(c.committed) {
			return fmt.Errorf("LeaderCandidateCompleteness: %d ends at %d and %d records are committed", id, len(n.log), len(c.committed))
		}
		for i, e := range c.committed {
			if n.log[i] != e {
				return fmt.Errorf("NoCommittedRecordLost: %d has %v at %d, committed was %v", id, n.log[i], i, e)
			}
		}
	}
	for _, n := range c.nodes {
		if !n.up {
			continue
		}
		hw := n.state.Watermark()
		if hw > int64(len(n.log)) {
			return fmt.Errorf("watermark %d of %d is beyond its end %d", hw, n.id, len(n.log))
		}
		if hw > int64(len(c.committed)) {
			return fmt.Errorf("watermark %d of %d is beyond what was ever committed, %d", hw, n.id, len(c.committed))
		}
		for i, e := range n.log[:hw] {
			if c.committed[i] != e {
				return fmt.Errorf("ConsistentRead: %d shows %v at %d, committed was %v", n.id, e, i, c.committed[i])
			}
		}
		if n.state.Leading() {
			m := mark{n.id, n.state.LeaderEpoch()}
			if hw < c.marks[m] {
				return fmt.Errorf("the watermark of %d in epoch %d went back from %d to %d", m.node, m.epoch, c.marks[m], hw)
			}
			c.marks[m] = hw
		}
	}
	return nil
}

// heal ends all faults and waits until every replica is in sync and equal.
func (c *cluster) heal() error {
	c.flying, c.fetches = nil, nil
	for round := range 200 {
		c.now = c.now.Add(time.Second)
		for _, n := range c.nodes {
			c.start(n)
			if c.fenced[n.id] { // fenced by mistake: it registers again
				delete(c.fenced, n.id)
				c.nextEpoch++
				n.broker = c.nextEpoch
			}
			for n.seen < len(c.meta) {
				c.observe(n)
			}
			for range 4 {
				c.fetch(n)
			}
			c.flush(n)
			c.propose(n)
			c.deliver()
			if err := c.check(); err != nil {
				return err
			}
		}
		if p := c.meta[len(c.meta)-1]; p.Leader < 0 {
			c.elect(false)
		}
		if round > 10 && c.settled() {
			return nil
		}
	}
	return fmt.Errorf("not everybody caught up")
}

func (c *cluster) settled() bool {
	p := c.meta[len(c.meta)-1]
	if len(p.ISR) != len(p.Replicas) {
		return false
	}
	for _, n := range c.nodes {
		if n.seen != len(c.meta) || !slices.Equal(n.log, c.nodes[0].log) || n.state.Watermark() != int64(len(n.log)) {
			return false
		}
	}
	return true
}
