package dataset

import (
	"fmt"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// MaxNodes limits a set: the dense matrix of 4,096 nodes takes 134 MB, that of 1,000 nodes 8 MB.
const MaxNodes = 4096

// Node is one host at a known place.
type Node struct {
	ID      string       // unique in the set, not empty
	Name    string       // for people, usually the city; may be empty
	Country string       // ISO 3166-1 alpha-2, upper case; empty when the source gives none
	At      earth.LatLon // WGS84, as claimed
	Source  string       // where the row comes from, free text
}

// Ignored counts the rows that carry no distance and were left out.
type Ignored struct {
	Self  int // from a node to itself
	Empty int // neither min_ms nor median_ms given
}

// Set is a number of nodes and the round trips measured between them. Nodes is to be read, not changed; the index of a node in
// it is the i and j of the methods. A Set is safe for concurrent use once it is filled.
type Set struct {
	Name    string
	Nodes   []Node
	Ignored Ignored

	index map[string]int
	// rows[i][j] is the round trip that i measured to j in nanoseconds, negative when it is a median and not a minimum, zero
	// when nothing was measured. A row is allocated when its first value arrives.
	rows [][]int64
}

// New returns a set of the given nodes without any round trip. It refuses what ReadNodes refuses.
func New(name string, nodes []Node) (*Set, error) {
	if len(nodes) > MaxNodes {
		return nil, fmt.Errorf("%w: %d nodes, at most %d", ErrTooLarge, len(nodes), MaxNodes)
	}
	s := &Set{Name: name, Nodes: append([]Node(nil), nodes...), index: make(map[string]int, len(nodes)), rows: make([][]int64, len(nodes))}
	for i, n := range s.Nodes {
		if err := n.validate(); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		if first, dup := s.index[n.ID]; dup {
			return nil, fmt.Errorf("node %d: %w: %q is node %d already", i, ErrDuplicate, n.ID, first)
		}
		s.index[n.ID] = i
	}
	return s, nil
}

// Len returns the number of nodes.
func (s *Set) Len() int { return len(s.Nodes) }

// Index returns the index of the node with this id.
func (s *Set) Index(id string) (int, bool) {
	i, ok := s.index[id]
	return i, ok
}

// Add records that i measured a round trip to j, a median instead of a minimum if so said; of several the smallest stays.
func (s *Set) Add(i, j int, rtt earth.RTT, median bool) error {
	if i < 0 || j < 0 || i >= len(s.Nodes) || j >= len(s.Nodes) {
		return fmt.Errorf("%w: no node %d or %d in a set of %d", ErrUnknownNode, i, j, len(s.Nodes))
	}
	if i == j {
		return fmt.Errorf("%w: %q to itself", ErrSelf, s.Nodes[i].ID)
	}
	if rtt <= 0 || rtt > MaxRTT {
		return fmt.Errorf("%w: %d ns is not within 1 ns..%v", ErrRTT, int64(rtt), MaxRTT.Duration())
	}
	if s.rows[i] == nil {
		s.rows[i] = make([]int64, len(s.Nodes))
	}
	if old := s.rows[i][j]; old != 0 && magnitude(old) <= int64(rtt) {
		return nil
	}
	s.rows[i][j] = int64(rtt)
	if median {
		s.rows[i][j] = -int64(rtt)
	}
	return nil
}

// RTT returns the round trip of a pair, the smaller when both directions were measured. ok is false when neither was, and when
// i or j is no node.
func (s *Set) RTT(i, j int) (rtt earth.RTT, ok bool) {
	there, okThere := s.Directed(i, j)
	back, okBack := s.Directed(j, i)
	if okThere && okBack {
		return min(there, back), true
	}
	return max(there, back), okThere || okBack
}

// Directed returns the round trip that i measured to j.
func (s *Set) Directed(i, j int) (rtt earth.RTT, ok bool) {
	v := s.cell(i, j)
	return earth.RTT(magnitude(v)), v != 0
}

// IsMedian says whether the value of Directed is a median (or the source's average), because no minimum was given.
func (s *Set) IsMedian(i, j int) bool { return s.cell(i, j) < 0 }

// Degree returns the number of other nodes to or from which node i was measured.
func (s *Set) Degree(i int) int {
	n := 0
	for j := range s.Nodes {
		if s.cell(i, j) != 0 || s.cell(j, i) != 0 {
			n++
		}
	}
	return n
}

// Pairs returns the number of unordered pairs with a round trip.
func (s *Set) Pairs() int {
	n := 0
	for i := range s.Nodes {
		for j := range i {
			if s.cell(i, j) != 0 || s.cell(j, i) != 0 {
				n++
			}
		}
	}
	return n
}

func (s *Set) cell(i, j int) int64 {
	if i < 0 || j < 0 || i >= len(s.rows) || j >= len(s.rows) || s.rows[i] == nil {
		return 0
	}
	return s.rows[i][j]
}

func magnitude(v int64) int64 { return max(v, -v) }
