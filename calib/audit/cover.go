package audit

// A vertex cover of the conflict graph is an explanation: a set of nodes which, if they lie, leaves no contradiction. This file
// finds a smallest one exactly. Vertex cover is NP-hard in general but fixed-parameter tractable in its size (Buss; Chen, Kanj,
// Jia, "Vertex cover: further observations and further improvements", J. Algorithms 41, 2001): here the graph of honest nodes is
// empty, so that the liars are a cover, and two old reductions (degree one, degree above the limit) and the relaxation of
// Nemhauser and Trotter (lpbound.go) leave little to search. Where the search still exceeds its budget it says so and the caller
// works with bounds: never wrong, at worst undecided.

// graph is an undirected graph without loops.
type graph struct {
	n   int
	adj []bitset
}

func newGraph(n int) *graph {
	g := &graph{n: n, adj: make([]bitset, n)}
	for i := range g.adj {
		g.adj[i] = newBitset(n)
	}
	return g
}

func (g *graph) connect(i, j int) { g.adj[i].add(j); g.adj[j].add(i) }

// degree counts the neighbours of v within alive.
func (g *graph) degree(v int, alive bitset) int { return g.adj[v].countWith(alive) }

// touched returns the nodes that have a neighbour.
func (g *graph) touched() bitset {
	t := newBitset(g.n)
	for i := range g.adj {
		for _, w := range g.adj[i] {
			if w != 0 {
				t.add(i)
				break
			}
		}
	}
	return t
}

// component returns the nodes of alive that are connected with v.
func (g *graph) component(v int, alive bitset) bitset {
	seen, queue := newBitset(g.n), []int{v}
	seen.add(v)
	for len(queue) > 0 {
		u := queue[0]
		queue = queue[1:]
		for w := range alive {
			fresh := g.adj[u][w] & alive[w] &^ seen[w]
			seen[w] |= fresh
			bitset{fresh}.each(func(i int) { queue = append(queue, w*64+i) })
		}
	}
	return seen
}

// answer is what a search knows of the smallest cover: low ≤ size ≤ high. Exact searches have low == high and a witness.
type answer struct {
	low, high int
	cover     bitset // a cover of `high` nodes
}

func (a answer) exact() bool { return a.low == a.high }

// search is one exact search with a budget of steps, so that it ends at the same point on every machine.
type search struct {
	g      *graph
	budget int
}

// smallest returns the smallest cover of g[alive], component by component.
func (s *search) smallest(alive bitset) answer {
	total := answer{cover: newBitset(s.g.n)}
	rest := alive.clone()
	for {
		v, ok := rest.firstWith(rest)
		if !ok {
			return total
		}
		part := s.g.component(v, rest)
		rest.minus(part)
		a := s.component(part)
		total.low += a.low
		total.high += a.high
		total.cover.union(a.cover)
	}
}

// component searches one connected part: between the relaxation's bound and a greedy cover, the limit rises from below until a
// cover fits or the budget is spent.
func (s *search) component(part bitset) answer {
	best := s.g.greedy(part)
	a := answer{low: s.g.relaxed(part), high: best.count(), cover: best}
	for a.low < a.high {
		found, ok := s.within(part.clone(), a.low)
		switch {
		case found != nil:
			return answer{a.low, a.low, found}
		case !ok:
			return a
		}
		a.low++
	}
	return a
}

// within returns a cover of at most limit nodes, nil when there is none; ok is false when the budget ended the search before it
// could say. It consumes alive.
func (s *search) within(alive bitset, limit int) (cover bitset, ok bool) {
	if s.budget--; s.budget < 0 {
		return nil, false
	}
	taken := newBitset(s.g.n)
	v, degree, left := s.reduce(alive, taken, limit)
	switch {
	case left < 0:
		return nil, true
	case degree == 0:
		return taken, true
	case s.g.relaxed(alive) > left:
		return nil, true
	}
	// Either v lies, or all its neighbours do.
	with := alive.clone()
	with.remove(v)
	if found, ok := s.within(with, left-1); found != nil || !ok {
		return unite(found, taken, v), ok
	}
	neighbours := s.g.adj[v].clone()
	for w := range neighbours {
		neighbours[w] &= alive[w]
	}
	alive.minus(neighbours)
	alive.remove(v)
	found, ok := s.within(alive, left-degree)
	if found != nil {
		found.union(neighbours)
		found.union(taken)
	}
	return found, ok
}

func unite(found, taken bitset, v int) bitset {
	if found != nil {
		found.union(taken)
		found.add(v)
	}
	return found
}

// reduce applies what needs no choice: a node without neighbours goes, the neighbour of a node with one is taken, a node with more
// neighbours than the limit is taken. It returns the node of highest degree that is left and the limit that is left.
func (s *search) reduce(alive, taken bitset, limit int) (top, degree, left int) {
	left = limit
	for {
		changed := false
		top, degree = -1, 0
		alive.each(func(v int) {
			if !alive.has(v) || left < 0 { // each walks a copied word: v may be gone
				return
			}
			switch d := s.g.degree(v, alive); {
			case d == 0:
				alive.remove(v)
			case d == 1:
				u, _ := s.g.adj[v].firstWith(alive)
				taken.add(u)
				alive.remove(u)
				alive.remove(v)
				left--
				changed = true
			case d > left:
				taken.add(v)
				alive.remove(v)
				left--
				changed = true
			case d > degree:
				top, degree = v, d
			}
		})
		if left < 0 || !changed {
			return top, degree, left
		}
	}
}

// greedy returns some cover: the node of highest degree, again and again. An upper bound.
func (g *graph) greedy(alive bitset) bitset {
	cover, rest := newBitset(g.n), alive.clone()
	degree := make(map[int]int)
	rest.each(func(v int) { degree[v] = g.degree(v, rest) })
	for {
		top, most := -1, 0
		rest.each(func(v int) {
			if degree[v] > most {
				top, most = v, degree[v]
			}
		})
		if top < 0 {
			return cover
		}
		cover.add(top)
		rest.remove(top)
		g.adj[top].each(func(u int) { degree[u]-- })
	}
}

// without returns the size of the smallest cover that leaves v out, as bounds: its neighbours must all be in, and the rest is
// covered on its own. It stops caring above the limit: low > limit says enough. v lies if at most `limit` nodes do and low > limit.
func (s *search) without(v int, alive bitset, limit int) answer {
	neighbours := s.g.adj[v].clone()
	for w := range neighbours {
		neighbours[w] &= alive[w]
	}
	must := neighbours.count()
	rest := alive.clone()
	rest.minus(neighbours)
	rest.remove(v)
	if must > limit {
		return answer{low: must, high: must + s.g.greedy(rest).count()}
	}
	if low := must + s.g.relaxed(rest); low > limit {
		return answer{low: low, high: must + s.g.greedy(rest).count()}
	}
	a := s.smallest(rest)
	a.low += must
	a.high += must
	a.cover.union(neighbours)
	return a
}
