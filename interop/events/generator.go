package main

import (
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"time"
)

// generator makes events shaped like Wikipedia's stream of edits, the same ones
// for the same seed: a few pages and users take most of the edits, sizes vary,
// and titles and comments hold characters beyond ASCII and such as JSON escapes.
type generator struct {
	rng   *rand.Rand
	page  *rand.Zipf
	user  *rand.Zipf
	clock time.Time
	next  int
}

// newGenerator starts the stream of seed with event 0.
func newGenerator(seed uint64) *generator {
	rng := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	return &generator{
		rng:   rng,
		page:  rand.NewZipf(rng, 1.05, 40, pages-1),
		user:  rand.NewZipf(rng, 1.1, 20, 30000),
		clock: time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
	}
}

// pages is how many different pages, and so keys, there are.
const pages = 50000

var (
	nouns    = []string{"Lake", "Battle", "Café", "Station", "Župa", "River", "日本の鉄道", "Île", "Cathedral", "Mountain", "Симфония", "Album", "Football_club", "Straße", "Treaty"}
	wikis    = []string{"enwiki", "dewiki", "frwiki", "jawiki", "plwiki", "commonswiki", "wikidatawiki"}
	comments = []string{
		"/* Early life */ fix typo", "Undid revision by [[Special:Contributions]] (talk)", "/* References */ +1 ref, see \\\"archived\\\" copy",
		"ajout d’une catégorie", "rv unexplained removal of sourced content", "カテゴリを追加", "/* wbsetclaim-create:2||1 */ [[Property:P31]]: human",
		"update infobox, population as of the last census", "copyedit", "removed dead link & tagged for cleanup; the archived version seems to be gone as well",
	}
)

// append adds the next event's key (the page's title) and value (a JSON object
// of 200 to 500 bytes whose first member is the event's number) to the slices.
func (g *generator) append(key, value []byte) ([]byte, []byte) {
	id := g.next
	g.next++
	g.clock = g.clock.Add(time.Duration(g.rng.IntN(40)) * time.Millisecond)
	page := g.page.Uint64()
	noun := nouns[page%uint64(len(nouns))]
	key = append(key, noun...)
	key = append(key, '_')
	key = strconv.AppendUint(key, page, 10)

	before := 200 + g.rng.IntN(180000)
	delta := g.rng.IntN(2400) - 700
	value = append(value, `{"id":`...)
	value = strconv.AppendInt(value, int64(id), 10)
	value = append(value, `,"type":"edit","wiki":"`...)
	value = append(value, wikis[g.rng.IntN(len(wikis))]...)
	value = append(value, `","namespace":0,"title":"`...)
	value = append(value, key...)
	value = append(value, `","user":"Editor`...)
	value = strconv.AppendUint(value, g.user.Uint64(), 10)
	value = append(value, `","bot":`...)
	value = strconv.AppendBool(value, g.rng.IntN(5) == 0)
	value = append(value, `,"minor":`...)
	value = strconv.AppendBool(value, g.rng.IntN(3) == 0)
	value = append(value, `,"revision":{"old":`...)
	value = strconv.AppendInt(value, 1_200_000_000+g.rng.Int64N(9_000_000), 10)
	value = append(value, `,"new":`...)
	value = strconv.AppendInt(value, 1_209_000_000+int64(id), 10)
	value = append(value, `},"length":{"old":`...)
	value = strconv.AppendInt(value, int64(before), 10)
	value = append(value, `,"new":`...)
	value = strconv.AppendInt(value, int64(before+delta), 10)
	value = append(value, `},"delta":`...)
	value = strconv.AppendInt(value, int64(delta), 10)
	value = append(value, `,"timestamp":"`...)
	value = g.clock.AppendFormat(value, "2006-01-02T15:04:05.000Z")
	value = append(value, `","comment":"`...)
	value = append(value, comments[g.rng.IntN(len(comments))]...)
	value = append(value, `"}`...)
	return key, value
}

// fingerprint is a hash of a key and a value, comparable within this process.
func fingerprint(key, value []byte) uint64 {
	return maphash.Bytes(hashSeed, key)*31 ^ maphash.Bytes(hashSeed, value)
}

var hashSeed = maphash.MakeSeed()

// eventID reads the number that a value begins with; -1 where there is none.
func eventID(value []byte) int {
	const prefix = `{"id":`
	if len(value) <= len(prefix) || string(value[:len(prefix)]) != prefix {
		return -1
	}
	n := 0
	for i, c := range value[len(prefix):] {
		if c < '0' || c > '9' {
			if i == 0 || c != ',' {
				return -1
			}
			return n
		}
		if n = n*10 + int(c-'0'); n > 1<<40 {
			return -1
		}
	}
	return -1
}
