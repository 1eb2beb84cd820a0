package metadata

import (
	"iter"
	"slices"
	"sort"
)

// chunkSize is the most items of a chunk; one that grows beyond it is halved.
const chunkSize = 128

// item orders an index's items by a key of their own.
type item[K any] interface {
	// compare is negative when the item stands before key, 0 when it has that key.
	compare(key K) int
}

// index is a sorted set that is changed by copying: what is changed is one chunk
// and the list of chunks, so that one topic among ten thousand costs two kilobytes.
// The zero value is empty.
type index[K any, V item[K]] struct {
	chunks []*chunk[V]
	size   int
	owner  *edit // who may change the list of chunks in place
}

// chunk holds at most chunkSize items in order, and at least one.
type chunk[V any] struct {
	items []V
	owner *edit // who may change it in place
}

// edit names one change of an image; what it has copied already it may change in place.
type edit struct{ _ byte }

// find returns the chunk and the place of key, or where it belongs.
func (x *index[K, V]) find(key K) (c, i int, ok bool) {
	c = sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].items[0].compare(key) > 0 }) - 1
	if c < 0 {
		return 0, 0, false
	}
	items := x.chunks[c].items
	i = sort.Search(len(items), func(i int) bool { return items[i].compare(key) >= 0 })
	return c, i, i < len(items) && items[i].compare(key) == 0
}

// get returns the item with the key.
func (x *index[K, V]) get(key K) (v V, ok bool) {
	c, i, ok := x.find(key)
	if !ok {
		return v, false
	}
	return x.chunks[c].items[i], true
}

// all yields the items in order.
func (x *index[K, V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, c := range x.chunks {
			for _, v := range c.items {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// put sets the item with the key.
func (x *index[K, V]) put(e *edit, key K, v V) {
	c, i, ok := x.find(key)
	x.own(e)
	if len(x.chunks) == 0 {
		x.chunks = append(x.chunks, &chunk[V]{items: []V{v}, owner: e})
		x.size = 1
		return
	}
	k := x.ownChunk(e, c)
	if ok {
		k.items[i] = v
		return
	}
	k.items = slices.Insert(k.items, i, v)
	x.size++
	if len(k.items) > chunkSize {
		half := len(k.items) / 2
		if c == len(x.chunks)-1 && i == len(k.items)-1 {
			half = chunkSize // items that come in order fill their chunks
		}
		right := &chunk[V]{items: slices.Clone(k.items[half:]), owner: e}
		k.items = slices.Clip(k.items[:half])
		x.chunks = slices.Insert(x.chunks, c+1, right)
	}
}

// remove takes out the item with the key and reports whether there was one.
func (x *index[K, V]) remove(e *edit, key K) bool {
	c, i, ok := x.find(key)
	if !ok {
		return false
	}
	x.own(e)
	x.size--
	if len(x.chunks[c].items) == 1 {
		x.chunks = slices.Delete(x.chunks, c, c+1)
		return true
	}
	k := x.ownChunk(e, c)
	k.items = slices.Delete(k.items, i, i+1)
	return true
}

func (x *index[K, V]) own(e *edit) {
	if x.owner != e {
		x.chunks, x.owner = slices.Clone(x.chunks), e
	}
}

func (x *index[K, V]) ownChunk(e *edit, c int) *chunk[V] {
	k := x.chunks[c]
	if k.owner != e {
		k = &chunk[V]{items: slices.Clone(k.items), owner: e}
		x.chunks[c] = k
	}
	return k
}
