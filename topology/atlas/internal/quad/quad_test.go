package quad_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/quad"
)

func randomPoint(r *rand.Rand) s2.Point {
	return s2.PointFromCoords(r.NormFloat64(), r.NormFloat64(), r.NormFloat64())
}

func step(r *rand.Rand, p s2.Point, by float64) s2.Point {
	towards := s2.Rotate(s2.Point{Vector: p.Ortho()}, p, s1.Angle(2*math.Pi*r.Float64()))
	return s2.InterpolateAtDistance(s1.Angle(by), p, towards)
}

// chains draws random walks: many short edges, some as long as an eighth of the sphere, and now and then a vertex twice.
func chains(r *rand.Rand, n, length int) (edges quad.Edges, all []int32) {
	for range n {
		p := randomPoint(r)
		stride := math.Pow(10, -5+4.5*r.Float64())
		for i := range length {
			if i+1 < length {
				all = append(all, int32(len(edges)))
			}
			edges = append(edges, p)
			if r.IntN(20) > 0 {
				p = step(r, p, stride*r.Float64())
			}
		}
	}
	return edges, all
}

func newTree(edges quad.Edges, all []int32, margin s1.Angle, few int) *quad.Tree[int] {
	return quad.New(edges, all, quad.Config[int]{
		Margin: margin, Floor: 14,
		Grow: func(parent, n *quad.Node[int]) (int, bool) {
			level := 0
			if parent != nil {
				level = parent.Value + 1
			}
			return level, !n.Few(few)
		},
	})
}

// The promise of the package, by brute force: every edge that comes within the margin of a cell is among those handed out for it.
func TestNoEdgeIsMissed(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		edges, all := chains(r, 12, 120)
		margin := s1.Angle(math.Pow(10, -5+4*r.Float64()))
		if seed == 0 {
			margin = 0
		}
		tree := newTree(edges, all, margin, int(seed))
		hits := 0
		for range 150 {
			near := step(r, edges[r.IntN(len(edges))], math.Pow(10, -6+5*r.Float64()))
			id := s2.CellFromPoint(near).ID().Parent(r.IntN(19))
			cell := s2.CellFromCellID(id)
			n := tree.Find(id)
			if !n.ID.Contains(id) {
				t.Fatalf("seed %d: asked for %v, found %v", seed, id.ToToken(), n.ID.ToToken())
			}
			got := map[int32]bool{}
			n.Edges(nil, func(e int32) bool { got[e] = true; return true })
			within := false
			for _, e := range all {
				if cell.DistanceToEdge(edges[e], edges[e+1]).Angle() > margin {
					continue
				}
				within = true
				hits++
				if !got[e] {
					t.Fatalf("seed %d: edge %d comes within %v of cell %v (level %d) and is missing", seed, e, margin, id.ToToken(), id.Level())
				}
			}
			if within && (n.Clear() || !n.Within(cell)) {
				t.Fatalf("seed %d: cell %v is said to be clear", seed, id.ToToken())
			}
			if !within && n.Within(cell) && cell.DistanceToEdge(edges[all[0]], edges[all[0]+1]).Angle() > margin+1e-9 {
				if least := leastDistance(edges, all, cell); least > margin+1e-9 {
					t.Fatalf("seed %d: cell %v is %v from the nearest edge, and said to be within %v", seed, id.ToToken(), least, margin)
				}
			}
		}
		if hits < 100 {
			t.Errorf("seed %d: only %d edges came near", seed, hits)
		}
	}
}

func leastDistance(edges quad.Edges, all []int32, cell s2.Cell) s1.Angle {
	least := s1.InfAngle()
	for _, e := range all {
		least = min(least, cell.DistanceToEdge(edges[e], edges[e+1]).Angle())
	}
	return least
}

// S2's distance from a cell to an edge is what soundness rests on: points of the two are never closer.
func TestCellDistanceIsALowerBound(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		a := randomPoint(r)
		size := math.Pow(10, -7+6.5*r.Float64())
		b := step(r, a, size)
		cell := s2.CellFromCellID(s2.CellFromPoint(step(r, a, 2*size*r.Float64())).ID().Parent(r.IntN(24)))
		d := cell.DistanceToEdge(a, b).Angle()
		for range 10 {
			across := r.Float64()
			x := s2.Interpolate(r.Float64(), s2.Interpolate(across, cell.Vertex(0), cell.Vertex(1)), s2.Interpolate(across, cell.Vertex(3), cell.Vertex(2)))
			if got := s2.DistanceFromSegment(x, a, b); got+quad.Slack < d {
				t.Fatalf("seed %d: a point of cell %v is %v from the edge, the cell %v", seed, cell.ID().ToToken(), got, d)
			}
		}
	}
}

func TestNearErrsTowardsYes(t *testing.T) {
	const seed = 4
	r := rand.New(rand.NewPCG(seed, 0))
	yes, no := 0, 0
	for range 20_000 {
		a := randomPoint(r)
		size := math.Pow(10, -7+6.8*r.Float64())
		edges := quad.Edges{a, step(r, a, size)}
		x := step(r, a, 3*size*r.Float64())
		d := s2.DistanceFromSegment(x, edges[0], edges[1])
		limit := d * s1.Angle(0.8+0.4*r.Float64())
		got := edges.Near(x, 0, quad.NewLimit(limit))
		if d <= limit && !got {
			t.Fatalf("seed %d: %v is within %v and not near", seed, d, limit)
		}
		if d > limit+1e-9 && got {
			t.Fatalf("seed %d: %v is not within %v and near", seed, d, limit)
		}
		if got {
			yes++
		} else {
			no++
		}
	}
	if yes < 1000 || no < 1000 {
		t.Errorf("seed %d: %d near, %d far: no test of both", seed, yes, no)
	}
}

func TestNearestEdge(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 0))
	edges, all := chains(r, 10, 150)
	const margin = s1.Angle(0.02)
	tree := newTree(edges, all, margin, 8)
	found := 0
	for range 400 {
		x := step(r, edges[r.IntN(len(edges))], 0.03*r.Float64())
		best, want := s1.Angle(margin), int32(-1)
		for _, e := range all {
			if d := s2.DistanceFromSegment(x, edges[e], edges[e+1]); d < best {
				best, want = d, e
			}
		}
		got, d, ok := tree.Find(s2.CellFromPoint(x).ID()).Nearest(x, margin)
		if ok != (want >= 0) || ok && math.Abs(float64(d-best)) > 1e-12 {
			t.Fatalf("seed %d: nearest is edge %d at %v, got %d at %v, %v", seed, want, best, got, d, ok)
		}
		if ok {
			found++
		}
	}
	if found < 100 {
		t.Errorf("seed %d: only %d found", seed, found)
	}
}

// A tree that is dropped and grown anew, asked by many, says what it said before.
func TestManyAskersAndALowLimit(t *testing.T) {
	const seed = 6
	r := rand.New(rand.NewPCG(seed, 0))
	edges, all := chains(r, 8, 200)
	want := newTree(edges, all, 1e-3, 4)
	small := quad.New(edges, all, quad.Config[int]{Margin: 1e-3, Floor: 14, Limit: 60, Grow: func(parent, n *quad.Node[int]) (int, bool) {
		if parent == nil {
			return 0, !n.Few(4)
		}
		return parent.Value + 1, !n.Few(4)
	}})
	var ids []s2.CellID
	for range 300 {
		ids = append(ids, s2.CellFromPoint(step(r, edges[r.IntN(len(edges))], 0.01*r.Float64())).ID().Parent(5+r.IntN(12)))
	}
	var group sync.WaitGroup
	for k := range 4 {
		group.Go(func() {
			for i := range ids {
				id := ids[(i*7+k*31)%len(ids)]
				a, b := want.Find(id), small.Find(id)
				if a.ID != b.ID || a.Value != b.Value || a.Clear() != b.Clear() || a.Value != a.ID.Level() {
					t.Errorf("seed %d: cell %v: %v and %v", seed, id.ToToken(), a.ID.ToToken(), b.ID.ToToken())
					return
				}
			}
		})
	}
	group.Wait()
	if small.Size() > 200 {
		t.Errorf("%d nodes, limit 60", small.Size())
	}
}
