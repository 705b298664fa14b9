package atlas

import (
	"encoding/binary"
	"sync"

	"github.com/golang/geo/s2"
)

// atomSet is a set of atoms by number; atom 0 is the sea.
type atomSet []uint64

func (w *world) newAtomSet() atomSet { return make(atomSet, (len(w.atoms)+63)/64) }

func (s atomSet) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s atomSet) add(i int)      { s[i>>6] |= 1 << (i & 63) }

// areaSet is a set of atoms as one shape: the edges that have a member on exactly one side. Edges between two members are gone, so
// a union has no seam where its members meet. Zones are added to the shape or cut out of it.
type areaSet struct {
	shape
	w     *world
	atoms atomSet
	zones []int
	add   bool // zones are added; else cut out
}

func (s *areaSet) holdsPoint(p s2.Point) bool {
	in := s.atoms.has(s.w.atomAt(p))
	if in != s.add {
		for _, z := range s.zones {
			if zone := &s.w.zones[z]; zone.bound.ContainsPoint(p) && zone.loop.ContainsPoint(p) {
				return s.add
			}
		}
	}
	return in
}

// setCache shares sets, and with them their trees, between regions.
type setCache struct {
	w  *world
	mu sync.Mutex
	by map[string]*areaSet
}

// maxSets bounds the memory that expressions can bind.
const maxSets = 128

func (c *setCache) of(atoms atomSet, zones []int, add bool) *areaSet {
	key := make([]byte, 0, 8*len(atoms)+len(zones)+1)
	for _, b := range atoms {
		key = binary.LittleEndian.AppendUint64(key, b)
	}
	for _, z := range zones {
		key = append(key, byte(z))
	}
	if add {
		key = append(key, 255)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.by[string(key)]; ok {
		return s
	}
	if c.by == nil || len(c.by) >= maxSets {
		c.by = map[string]*areaSet{}
	}
	s := &areaSet{w: c.w, atoms: atoms, zones: zones, add: add}
	s.edges, s.contains = c.w.points, s.holdsPoint
	for _, e := range c.w.borders {
		if atoms.has(int(c.w.left[e])) != atoms.has(int(c.w.right[e])) {
			s.rim = append(s.rim, e)
		}
	}
	for _, z := range zones {
		s.rim = append(s.rim, c.w.zoneRims[z]...)
	}
	c.by[string(key)] = s
	return s
}
