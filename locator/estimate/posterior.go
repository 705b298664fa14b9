package estimate

import (
	"math"
	"slices"

	"github.com/golang/geo/s2"
)

// broadShare is by how much the broad fallback scales the likelihood down: it believes a third of what the pool believes.
const broadShare = 0.35

// normalise turns scores into probabilities.
func normalise(score []float64) {
	top, sum := math.Inf(-1), 0.0
	for _, s := range score {
		top = max(top, s)
	}
	for i, s := range score {
		score[i] = math.Exp(s - top)
		sum += score[i]
	}
	for i := range score {
		score[i] /= sum
	}
}

// posterior mixes the pool with its broad fallback.
func posterior(list []candidate, p *pool, broad float64) []float64 {
	sharp, wide := make([]float64, len(list)), make([]float64, len(list))
	for i := range list {
		sharp[i] = p.score(&list[i].f, 1) + list[i].fixed
		wide[i] = p.score(&list[i].f, broadShare) + list[i].fixed
	}
	normalise(sharp)
	normalise(wide)
	for i := range sharp {
		sharp[i] = (1-broad)*sharp[i] + broad*wide[i]
	}
	return sharp
}

// piece is a cell of the final posterior: a metro cell, or what remains of a fine cell without its metro cells.
type piece struct {
	id      s2.CellID
	mass    float64
	density float64 // probability per km²
}

// raster is the posterior as disjoint pieces, densest first.
type raster struct {
	pieces []piece
	metros []s2.CellID // sorted
}

// spot is one point of a quadrature of the two-dimensional normal distribution: an offset in km and a share.
type spot struct{ east, north, share float64 }

// disc makes a quadrature for a standard deviation in km: rings half a deviation apart out to two and a half, the outermost with the
// tail beyond, and on each so many points that no metro cell in between is left out.
func disc(spreadKM float64) []spot {
	const step, spacingKM = 0.5, 7
	within := func(radius float64) float64 { return 1 - math.Exp(-radius*radius/2) }
	out := []spot{{share: within(step / 2)}}
	for k := 1; k <= 5; k++ {
		radius := step * float64(k)
		share := within(radius+step/2) - within(radius-step/2)
		if k == 5 {
			share = 1 - within(radius-step/2)
		}
		n := max(6, int(math.Ceil(2*math.Pi*radius*spreadKM/spacingKM)))
		for i := range n {
			s, c := math.Sincos(2 * math.Pi * (float64(i) + 0.5*float64(k%2)) / float64(n))
			out = append(out, spot{radius * spreadKM * c, radius * spreadKM * s, share / float64(n)})
		}
	}
	return out
}

// rasterise spreads the candidates over cells: places and beacon sites over the metro cells around them, cells evenly over their
// land.
func rasterise(list []candidate, mass []float64, spreadKM float64, withSea bool) *raster {
	metros := metroMass(list, mass, spreadKM)
	fines := fineMass(list, mass, withSea)
	r := &raster{pieces: make([]piece, 0, len(metros)+len(fines))}
	used := map[s2.CellID]float64{} // area of a fine cell's metro cells
	for _, p := range metros {
		area := areaKM2(p.id)
		parent := p.id.Parent(fineLevel)
		if i, ok := slices.BinarySearchFunc(fines, parent, comparePiece); ok {
			p.mass += fines[i].density * area
			used[parent] += area
		}
		p.density = p.mass / area
		r.pieces = append(r.pieces, p)
		r.metros = append(r.metros, p.id)
	}
	for _, p := range fines {
		p.mass -= p.density * used[p.id]
		if p.mass > 0 {
			r.pieces = append(r.pieces, p)
		}
	}
	slices.SortFunc(r.pieces, func(a, b piece) int {
		switch {
		case a.density != b.density:
			if a.density > b.density {
				return -1
			}
			return 1
		case a.id < b.id:
			return -1
		}
		return 1
	})
	return r
}

func comparePiece(p piece, id s2.CellID) int {
	switch {
	case p.id < id:
		return -1
	case p.id > id:
		return 1
	}
	return 0
}

// merge adds up the masses of equal cells. It sorts by cell, and by mass within one so that sums do not depend on the order.
func merge(list []piece) []piece {
	slices.SortFunc(list, func(a, b piece) int {
		if c := comparePiece(a, b.id); c != 0 {
			return c
		}
		switch {
		case a.mass < b.mass:
			return -1
		case a.mass > b.mass:
			return 1
		}
		return 0
	})
	out := list[:0]
	for _, p := range list {
		if n := len(out); n > 0 && out[n-1].id == p.id {
			out[n-1].mass += p.mass
		} else {
			out = append(out, p)
		}
	}
	return out
}

// worthSpreading is the probability from which a place is spread over its surroundings; below, it stays in its own cell.
const worthSpreading = 1e-4

func metroMass(list []candidate, mass []float64, spreadKM float64) []piece {
	var out []piece
	spots := disc(spreadKM)
	for i := range list {
		c := &list[i]
		if c.kind >= coarseCell || mass[i] < 1e-9 {
			continue
		}
		if mass[i] < worthSpreading {
			out = append(out, piece{id: metroCell(c.at), mass: mass[i]})
			continue
		}
		east := vec{X: -c.at.Y, Y: c.at.X}
		if east.Norm2() < 1e-12 {
			east = vec{X: 1}
		}
		east = east.Normalize()
		north := c.at.Cross(east)
		for _, p := range spots {
			at := c.at.Add(east.Mul(p.east / radiusKM)).Add(north.Mul(p.north / radiusKM)).Normalize()
			out = append(out, piece{id: metroCell(at), mass: mass[i] * p.share})
		}
	}
	return merge(out)
}

func fineMass(list []candidate, mass []float64, withSea bool) []piece {
	var out []piece
	g := grid()
	for i := range list {
		switch c := &list[i]; c.kind {
		case fineCell:
			out = append(out, piece{id: g[c.ref/fineInside].fine[c.ref%fineInside], mass: mass[i]})
		case coarseCell:
			cell := &g[c.ref]
			count := cell.land
			if withSea {
				count = fineInside
			}
			for k, id := range cell.fine {
				if cell.country[k] != sea || withSea {
					out = append(out, piece{id: id, mass: mass[i] / float64(count)})
				}
			}
		}
	}
	out = merge(out)
	for i := range out {
		out[i].density = out[i].mass / areaKM2(out[i].id)
	}
	return out
}

// cellOf returns the piece that holds a place: its metro cell when that is a piece, else its fine cell.
func (r *raster) cellOf(v vec) s2.CellID {
	id := metroCell(v)
	if _, ok := slices.BinarySearch(r.metros, id); ok {
		return id
	}
	return id.Parent(fineLevel)
}

// before returns the probability of all pieces denser than the one that holds a place; 1 when no piece holds it.
func (r *raster) before(v vec) float64 {
	id := r.cellOf(v)
	sum := 0.0
	for _, p := range r.pieces {
		if p.id == id {
			return min(1, sum)
		}
		sum += p.mass
	}
	return 1
}

// until returns the densest pieces that hold all probability before a level.
func (r *raster) until(level float64) []piece {
	sum := 0.0
	for i, p := range r.pieces {
		if sum >= level {
			return r.pieces[:i]
		}
		sum += p.mass
	}
	return r.pieces
}
