package atlas

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// maxTrees bounds how many margins are remembered, against a caller who asks for ever new ones.
const maxTrees = 8

// byMargin remembers a tree for each margin asked for. Reading takes no lock.
type byMargin[V any] struct {
	trees atomic.Pointer[map[earth.Metres]*quad.Tree[V]]
	mu    sync.Mutex // held while a tree is added
}

// at returns the tree of a margin, making it at the first question.
func (b *byMargin[V]) at(margin earth.Metres, grow func() *quad.Tree[V]) *quad.Tree[V] {
	if m := b.trees.Load(); m != nil {
		if t, ok := (*m)[margin]; ok {
			return t
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := map[earth.Metres]*quad.Tree[V]{}
	if m := b.trees.Load(); m != nil && len(*m) < maxTrees {
		known = maps.Clone(*m)
	}
	if t, ok := known[margin]; ok {
		return t
	}
	t := grow()
	known[margin] = t
	b.trees.Store(&known)
	return t
}
