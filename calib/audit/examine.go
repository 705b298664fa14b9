package audit

import (
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// examination is one audit under way: the graph's key first, then the residuals' key.
type examination struct {
	o         Options
	f         *field
	conflicts []pair
	g         *graph
	cover     answer
	maxLiars  int
	refuted   bool
	needed    map[int]int // node that every explanation of at most maxLiars needs → by how many liars it is cheaper, at least
	open      []pair      // conflicts that no needed node explains
	w         *witness

	convicted, suspected []accusation
}

// accusation is a node with what speaks against it.
type accusation struct {
	node, place int // place is a node's index, or -1
	margin      int
	nats, rate  float64
	convicted   bool
	grounds     string
}

func examine(f *field, o Options) *examination {
	e := &examination{o: o, f: f, conflicts: f.conflicts(o.Class, 2*o.ClaimUnc), needed: map[int]int{}}
	e.g = conflictGraph(len(f.at), e.conflicts)
	e.turnGraphKey()
	e.callWitnesses()
	e.turnResidualKey()
	return e
}

// turnGraphKey finds the nodes that every explanation of at most maxLiars needs.
func (e *examination) turnGraphKey() {
	s := &search{g: e.g, budget: e.o.Effort}
	alive := e.g.touched()
	e.cover = s.smallest(alive)
	e.maxLiars = e.cover.high
	if e.o.MaxLiars != nil {
		e.maxLiars = *e.o.MaxLiars
		e.refuted = e.maxLiars < e.cover.low
	}
	if e.refuted { // no explanation is small enough; "in all of them" would be true of everybody
		e.open = e.conflicts
		return
	}
	// A node in every small cover is in this one too, if this one is small enough to count.
	candidates := e.cover.cover
	if e.cover.high > e.maxLiars {
		candidates = alive
	}
	candidates.each(func(v int) {
		if a := s.without(v, alive, e.maxLiars+1); a.low > e.maxLiars {
			e.needed[v] = a.low - e.maxLiars
		}
	})
	for _, p := range e.conflicts {
		if e.needed[p.i] == 0 && e.needed[p.j] == 0 {
			e.open = append(e.open, p)
		}
	}
}

// callWitnesses fits the law on the pairs of nodes that nobody accuses.
func (e *examination) callWitnesses() {
	trusted := make([]bool, len(e.f.at))
	for i := range trusted {
		trusted[i] = e.needed[i] == 0
	}
	for _, p := range e.open {
		trusted[p.i], trusted[p.j] = false, false
	}
	e.w = &witness{f: e.f, trusted: trusted, against: e.g}
	e.w.law = fitLaw(e.f.pairs, func(p pair) bool { return trusted[p.i] && trusted[p.j] })
	e.w.calibrate()
}

// turnResidualKey decides between conviction and suspicion.
func (e *examination) turnResidualKey() {
	for v := range e.f.at {
		margin := e.needed[v]
		if margin == 0 {
			continue
		}
		a := e.accuse(v, margin)
		a.convicted, a.grounds = e.judge(a)
		if a.convicted {
			e.convicted = append(e.convicted, a)
		} else {
			e.suspected = append(e.suspected, a)
		}
	}
	e.suspectOpen()
}

func (e *examination) accuse(v, margin int) accusation {
	a := accusation{node: v, place: -1, margin: margin, rate: 1}
	if c, ok := e.w.bestPlace(v); ok {
		a.place = c
		a.nats = e.w.better(v, c)
		a.rate = e.w.falseAlarm(e.f.chord(v, c), a.nats)
	}
	return a
}

// judge turns the second key on a node that every explanation needs.
func (e *examination) judge(a accusation) (bool, string) {
	accusers := e.accusers(a.node)
	switch {
	case e.o.MaxLiars != nil:
		return true, "in every explanation by at most f liars"
	case a.place < 0 || e.w.thirds(a.node) < minThirds:
		return false, "in every smallest explanation, but too few third parties to ask"
	case 2*e.g.adj[a.node].count() > e.f.peers(a.node):
		return true, "contradicted by most of all nodes it was measured with"
	case e.distinctPlaces(accusers) < 2:
		return false, "in every smallest explanation, but accused from one place only"
	case a.nats <= 0:
		return false, "in every smallest explanation, but third parties find it where it claims to be"
	case a.margin >= 2:
		return true, "in every smallest explanation and in those with one liar more; third parties find it elsewhere"
	}
	for _, c := range accusers {
		if e.w.better(c, a.node) >= 0 {
			return false, "in every smallest explanation by a margin of one, and third parties do not clear " + e.f.set.Nodes[c].ID
		}
	}
	return true, "in every smallest explanation; third parties find it elsewhere and its accusers at their places"
}

// minThirds is how many trusted third parties must be heard before residuals turn a key.
const minThirds = 5

// thirds counts the trusted third parties of a node.
func (w *witness) thirds(i int) int {
	n := 0
	for j, ms := range w.f.rtt[i] {
		if ms > 0 && w.trusted[j] && !w.against.adj[i].has(j) {
			n++
		}
	}
	return n
}

// accusers are the nodes that contradict v and that no explanation needs as liars themselves.
func (e *examination) accusers(v int) []int {
	var list []int
	e.g.adj[v].each(func(c int) {
		if e.needed[c] == 0 {
			list = append(list, c)
		}
	})
	return list
}

// distinctPlaces counts how many of the nodes claim places farther apart than a claim's uncertainty: two hosts in one hall are one
// witness, for they fail together.
func (e *examination) distinctPlaces(nodes []int) int {
	var places []int
	for _, i := range nodes {
		if !slices.ContainsFunc(places, func(p int) bool { return earth.Chord(e.f.at[i], e.f.at[p]) <= e.o.ClaimUnc }) {
			places = append(places, i)
		}
	}
	return len(places)
}

// sideRate is the false-alarm rate at which third parties are believed about which end of a single contradiction is wrong.
const sideRate = 0.05

// suspectOpen names the ends of the contradictions that no needed node explains: the one that third parties find at the other's
// place while they find the other at home, else both.
func (e *examination) suspectOpen() {
	worst := map[int]accusation{}
	note := func(v, other int, grounds string) {
		nats := e.w.better(v, other)
		a := accusation{node: v, place: other, nats: nats, rate: e.w.falseAlarm(e.f.chord(v, other), nats), grounds: grounds}
		if old, seen := worst[v]; !seen || a.nats > old.nats {
			worst[v] = a
		}
	}
	for _, p := range e.open {
		switch {
		case e.sides(p.i, p.j):
			note(p.i, p.j, "one end of a contradiction; third parties find it at the other end and that one at home")
		case e.sides(p.j, p.i):
			note(p.j, p.i, "one end of a contradiction; third parties find it at the other end and that one at home")
		default:
			note(p.i, p.j, "one end of a contradiction; third parties cannot tell which end is wrong")
			note(p.j, p.i, "one end of a contradiction; third parties cannot tell which end is wrong")
		}
	}
	for v := range e.f.at {
		if a, ok := worst[v]; ok {
			e.suspected = append(e.suspected, a)
		}
	}
}

// sides says whether third parties clearly find v at the place of other, and other not at that of v.
func (e *examination) sides(v, other int) bool {
	nats := e.w.better(v, other)
	return nats > 0 && e.w.better(other, v) < 0 && e.w.falseAlarm(e.f.chord(v, other), nats) <= sideRate
}
