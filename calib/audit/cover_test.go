package audit

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func drawGraph(t *rapid.T, most int) *graph {
	n := rapid.IntRange(1, most).Draw(t, "nodes")
	density := rapid.Float64Range(0, 0.9).Draw(t, "density")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	g := newGraph(n)
	for i := range n {
		for j := range i {
			if r.Float64() < density {
				g.connect(i, j)
			}
		}
	}
	return g
}

// covers says whether the mask touches every edge.
func (g *graph) covers(mask uint) bool {
	for i := range g.n {
		if mask>>i&1 == 0 && uint(g.adj[i][0])&^mask != 0 {
			return false
		}
	}
	return true
}

// The slow twin: all subsets. It knows the smallest cover, and for each node the smallest cover that leaves it out.
func allSubsets(g *graph) (smallest int, without []int) {
	smallest = g.n
	without = make([]int, g.n)
	for i := range without {
		without[i] = g.n
	}
	for mask := range uint(1) << g.n {
		if !g.covers(mask) {
			continue
		}
		k := bits.OnesCount(mask)
		smallest = min(smallest, k)
		for v := range g.n {
			if mask>>v&1 == 0 {
				without[v] = min(without[v], k)
			}
		}
	}
	return smallest, without
}

func TestSmallestCoverAgainstAllSubsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, 11)
		want, without := allSubsets(g)
		alive := g.touched()
		s := &search{g: g, budget: 1 << 20}
		a := s.smallest(alive)
		if !a.exact() || a.high != want {
			t.Fatalf("smallest cover %d..%d, all subsets say %d", a.low, a.high, want)
		}
		if a.cover.count() != want || !g.covers(uint(a.cover[0])) {
			t.Fatalf("%v is no cover of %d", a.cover.members(), want)
		}
		if low := g.relaxed(alive); low > want {
			t.Fatalf("the relaxation claims %d, a cover of %d exists", low, want)
		}
		limit := rapid.IntRange(0, g.n).Draw(t, "limit")
		alive.each(func(v int) {
			if a := s.without(v, alive, limit); a.low > without[v] || a.high < without[v] || (a.low <= limit && !a.exact()) {
				t.Fatalf("without %d: %d..%d at limit %d, all subsets say %d", v, a.low, a.high, limit, without[v])
			}
		})
	})
}

// A search that runs out of budget still tells the truth.
func TestCutShortSearchBounds(t *testing.T) {
	g := petersen() // the relaxation says 5, a greedy cover 6: only a search can tell
	s := &search{g: g, budget: 0}
	if a := s.smallest(g.touched()); a.exact() || a.low > 6 || a.high < 6 {
		t.Fatalf("no search was cut short: %d..%d", a.low, a.high)
	}
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t, 11)
		want, without := allSubsets(g)
		alive := g.touched()
		s := &search{g: g, budget: rapid.IntRange(0, 3).Draw(t, "budget")}
		a := s.smallest(alive)
		if a.low > want || a.high < want || !g.covers(uint(a.cover[0])) {
			t.Fatalf("smallest cover %d..%d, all subsets say %d", a.low, a.high, want)
		}
		alive.each(func(v int) {
			if a := s.without(v, alive, want); a.low > without[v] || a.high < without[v] {
				t.Fatalf("without %d: %d..%d, all subsets say %d", v, a.low, a.high, without[v])
			}
		})
	})
}

// petersen is Petersen's graph: ten nodes, each with three neighbours, no triangle and no square.
func petersen() *graph {
	g := newGraph(10)
	for i := range 5 {
		g.connect(i, (i+1)%5)
		g.connect(i, i+5)
		g.connect(i+5, (i+2)%5+5)
	}
	return g
}

// Known covers: a star needs its centre, a cycle of n needs ⌈n/2⌉, a clique all but one, Petersen's graph 6.
func TestKnownCovers(t *testing.T) {
	star, cycle, clique := newGraph(70), newGraph(131), newGraph(20)
	for i := 1; i < star.n; i++ {
		star.connect(0, i)
	}
	for i := range cycle.n {
		cycle.connect(i, (i+1)%cycle.n)
	}
	for i := range clique.n {
		for j := range i {
			clique.connect(i, j)
		}
	}
	for _, c := range []struct {
		name string
		g    *graph
		want int
	}{{"star", star, 1}, {"odd cycle", cycle, 66}, {"clique", clique, 19}, {"Petersen", petersen(), 6}} {
		s := &search{g: c.g, budget: 1 << 16}
		if a := s.smallest(c.g.touched()); !a.exact() || a.high != c.want {
			t.Errorf("%s: smallest cover %d..%d, want %d", c.name, a.low, a.high, c.want)
		}
	}
	s := &search{g: star, budget: 100}
	if a := s.without(0, star.touched(), 1); a.low != 69 {
		t.Errorf("a star without its centre needs %d nodes, want its 69 leaves", a.low)
	}
}
