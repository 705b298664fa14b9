package audit

// The relaxation of vertex cover to a linear programme (every node a share of 0..1, every edge a sum of at least 1) has an optimum
// in halves, and that optimum is half the largest matching of the graph's bipartite double (Nemhauser and Trotter, "Vertex
// packings: structural properties and algorithms", Math. Programming 8, 1975). Rounded up it bounds every cover from below, and it
// is never below the largest matching of the graph itself.

// relaxed returns a lower bound of every cover of g[alive].
func (g *graph) relaxed(alive bitset) int {
	m := &matching{g: g, alive: alive, right: fill(g.n), left: fill(g.n), level: make([]int, g.n)}
	size := 0
	for m.layer() {
		alive.each(func(u int) {
			if m.left[u] < 0 && m.augment(u) {
				size++
			}
		})
	}
	return (size + 1) / 2
}

// matching is the algorithm of Hopcroft and Karp on the double: each node once on the left, once on the right, and left u is
// joined with right v where g joins u and v.
type matching struct {
	g           *graph
	alive       bitset
	left, right []int // partner on the other side, -1 when free
	level       []int
}

func fill(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = -1
	}
	return list
}

// layer numbers the left nodes by the length of the alternating path that reaches them and says whether one ends free.
func (m *matching) layer() bool {
	var queue []int
	seen := newBitset(m.g.n) // right nodes
	m.alive.each(func(u int) {
		m.level[u] = -1
		if m.left[u] < 0 {
			m.level[u] = 0
			queue = append(queue, u)
		}
	})
	found := false
	for len(queue) > 0 {
		u := queue[0]
		queue = queue[1:]
		for w := range m.alive {
			fresh := m.g.adj[u][w] & m.alive[w] &^ seen[w]
			seen[w] |= fresh
			bitset{fresh}.each(func(i int) {
				next := m.right[w*64+i]
				if next < 0 {
					found = true
				} else if m.level[next] < 0 {
					m.level[next] = m.level[u] + 1
					queue = append(queue, next)
				}
			})
		}
	}
	return found
}

// augment looks for an alternating path from left u to a free right node along rising levels and flips it.
func (m *matching) augment(u int) bool {
	for w := range m.alive {
		candidates := m.g.adj[u][w] & m.alive[w]
		for candidates != 0 {
			i := trailing(candidates)
			candidates &= candidates - 1
			v := w*64 + i
			next := m.right[v]
			if next < 0 || (m.level[next] == m.level[u]+1 && m.augment(next)) {
				m.left[u], m.right[v] = v, u
				return true
			}
		}
	}
	m.level[u] = -1 // a dead end for the rest of this phase
	return false
}
