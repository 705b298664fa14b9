package audit

import (
	"math"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Kind says what a contradiction looks like. It describes; it convicts nobody.
type Kind string

// The kinds. A node stands elsewhere when one other place fits every trusted peer's bound. One id answers from two places when no
// single place fits but two do: a key in two hosts, or an anycast address. It is too quick for any place when not even two fit: its
// clock, or the host that holds its clock, shortens round trips.
const (
	Elsewhere Kind = "elsewhere"
	TwoPlaces Kind = "two places"
	TooQuick  Kind = "too quick for any place"
)

// strays is how many peers may disagree before a kind is dropped: they may lie themselves, undiscovered.
const strays = 3

// kind looks for the places that fit what trusted peers measured with v. A node is within reach of each honest peer, so a peer
// contradicts a place near c when it is farther from c than its own reach and that of c together. The peers with the shortest reach
// are tried as the places. second is the other place of a node that answers from two, -1 otherwise.
func (e *examination) kind(v int) (k Kind, first, second int) {
	reach := e.reaches(v)
	first, rest := e.unexplained(reach)
	if first < 0 || len(rest) < strays {
		return Elsewhere, first, -1
	}
	second, rest = e.unexplained(rest)
	if len(rest) < strays {
		return TwoPlaces, first, second
	}
	return TooQuick, first, -1
}

// bound is how far v can be from a peer.
type bound struct {
	peer  int
	reach earth.Metres
}

func (e *examination) reaches(v int) []bound {
	var list []bound
	for j, ms := range e.f.rtt[v] {
		if ms > 0 && e.w.trusted[j] {
			list = append(list, bound{j, earth.Metres(float64(e.o.Class.Speed()) / 2 * float64(ms) * 1e-3)})
		}
	}
	return list
}

// unexplained puts the node at the peer of shortest reach and returns the bounds that this contradicts.
func (e *examination) unexplained(bounds []bound) (at int, rest []bound) {
	at, shortest := -1, earth.Metres(math.Inf(1))
	for _, b := range bounds {
		if b.reach < shortest {
			at, shortest = b.peer, b.reach
		}
	}
	for _, b := range bounds {
		if at >= 0 && earth.Chord(e.f.at[at], e.f.at[b.peer]) > shortest+b.reach+2*e.o.ClaimUnc {
			rest = append(rest, b)
		}
	}
	return at, rest
}

// otherPlace is the place of a node with two that it does not claim.
func (e *examination) otherPlace(v, first, second int) int {
	if earth.Chord(e.f.at[v], e.f.at[first]) < earth.Chord(e.f.at[v], e.f.at[second]) {
		return second
	}
	return first
}
