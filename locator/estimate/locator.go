package estimate

import (
	"math"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/calib/model"
)

// Trained is what a mesh taught: the delay curve, the covariance of its scores, the weights of the pool and the levels of the
// regions. It holds nothing about single beacons, so that it can be applied to a mesh with more or fewer of them.
type Trained struct {
	profile   model.Profile
	curve     *model.Curve
	table     *model.Table
	kernel    *kernel
	weights   pool
	broad     float64 // share of the broad fallback
	spreadKM  float64 // how far from the middle of a populated place its hosts stand, as a standard deviation in each direction
	levels    levels
	trainedOn int // beacons
}

// Locator is a mesh with what was learnt. It is immutable and safe for concurrent use.
type Locator struct {
	mesh     *Mesh
	t        *Trained
	z        [][]float64 // scores of the mesh's pairs; NaN when not measured
	sites    []site
	siteFrom []int32   // of each coarse cell, and an end
	near     []around  // of each site
	krige    []weights // of each site
}

// NewLocator prepares a mesh for locating targets with what was learnt on it or on another. It costs some tenths of a second.
func NewLocator(m *Mesh, t *Trained, workers int) *Locator {
	l := &Locator{mesh: m, t: t, z: scores(m, t.curve), sites: sites(), siteFrom: siteRanges()}
	l.near, l.krige = make([]around, len(l.sites)), make([]weights, len(l.sites))
	const chunk = 512
	parallel((len(l.sites)+chunk-1)/chunk, workers, func(c int) {
		for i := c * chunk; i < min(len(l.sites), (c+1)*chunk); i++ {
			l.near[i] = nearestBeacons(m, l.sites[i].at, nil)
			l.krige[i] = t.kernel.krige(m, l.near[i])
		}
	})
	return l
}

// siteRanges tells where each coarse cell's sites begin.
func siteRanges() []int32 {
	g, list := grid(), sites()
	out := make([]int32, len(g)+1)
	for i := range g {
		from, to := sitesIn(list, g[i].id)
		out[i], out[i+1] = int32(from), int32(to)
	}
	return out
}

// scores returns the normal scores of all pairs.
func scores(m *Mesh, c *model.Curve) [][]float64 {
	z := square(m.Len())
	for i := range z {
		z[i][i] = math.NaN()
		for j := range i {
			v := math.NaN()
			if l := m.log[i][j]; !math.IsNaN(l) {
				s := c.At(model.Kilometres(m.km[i][j]))
				v, _ = s.Score(l)
			}
			z[i][j], z[j][i] = v, v
		}
	}
	return z
}

// candidates returns all candidates of a target with their features. ok is false when nothing was measured.
func (l *Locator) candidates(seen []observed, gone absent, withSea bool) (q *search, ok bool) {
	s := newSight(l.mesh, l.z, gone, seen)
	if s == nil {
		return nil, false
	}
	s.believe(l.t.kernel)
	q = &search{l: l, s: s, gone: gone, vetoes: vetoesOf(l.mesh, s.quick), withSea: withSea}
	q.run()
	return q, true
}

// metroCell returns the metro cell of a place.
func metroCell(v vec) s2.CellID { return s2.CellFromPoint(s2.Point{Vector: v}).ID().Parent(metroLevel) }
