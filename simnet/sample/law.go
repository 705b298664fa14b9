package sample

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// ErrLaw reports a law for which no distribution function is known in closed form.
var ErrLaw = errors.New("no closed law")

// Law is the distribution of what the bound of an exchange of a fixed number of rounds has beyond its path's least, for beacons in
// data centres, whose packets hardly ever queue behind each other, and clocks that count nanoseconds. One draw costs one look
// into a table. It does not change.
type Law struct {
	rounds int
	excess *quantile
}

// fewest rounds must be verified; that a law ignores it is allowed while fewer are all but impossible.
const (
	fewest     = 8
	impossible = 1e-9
)

// NewLaw reckons the law for a core of the given access class in a world, without the factors of hosts and hours, and 8 to 64
// rounds; loss is the share of packets lost besides what the classes lose. It takes some ten milliseconds and is kept for the run.
func NewLaw(w *world.World, core world.Access, rounds int, loss float64) (*Law, error) {
	if _, err := Fixed(rounds); err != nil {
		return nil, err
	}
	if !core.Valid() {
		return nil, fmt.Errorf("%w: %w %d", ErrLaw, world.ErrAccess, core)
	}
	ofClass := func(a world.Access) float64 { return w.WaitAt(world.Place{Access: a}, 0).Loss }
	j := joint{rounds: float64(rounds), keepB: (1 - ofClass(world.DataCentre)) * (1 - loss), keepC: (1 - ofClass(core)) * (1 - loss)}
	if !(loss >= 0 && loss < 1) || tooFew(rounds, j.keepB*j.keepC) > impossible {
		return nil, fmt.Errorf("%w: with a loss of %v of %d rounds fewer than %d may remain; draw by Exchange", ErrLaw, loss, rounds, fewest)
	}
	j.b, j.c = lawOf(w, world.DataCentre), lawOf(w, core)
	return &Law{rounds: rounds, excess: j.invert()}, nil
}

// tooFew returns how likely it is that fewer than fewest of the rounds are verified when each is with probability p.
func tooFew(rounds int, p float64) float64 {
	sum, ways := 0.0, 1.0
	for i := range fewest {
		sum += ways * math.Pow(p, float64(i)) * math.Pow(1-p, float64(rounds-i))
		ways *= float64(rounds-i) / float64(i+1)
	}
	return sum
}

// Bound draws the larger of the two sides' minima over a path whose least round trip is given and positive.
func (l *Law) Bound(least earth.RTT, key Key) earth.RTT {
	d := key.Draws()
	return least + earth.RTT(math.Ceil(l.excess.at(d.Float64())))
}

// Rounds returns how many rounds the law is for.
func (l *Law) Rounds() int { return l.rounds }

// joint reckons the distribution function of the package comment.
type joint struct {
	b, c         *quantile // waits at the beacon and at the core
	rounds       float64
	keepB, keepC float64
}

// cell is a piece of the core's law: its share and the wait in its middle.
type cell struct{ share, wait float64 }

// cells cuts the core's law where its table has knots, every eighth.
func (j *joint) cells() []cell {
	var out []cell
	from := 0.0
	cut := func(to float64) {
		out = append(out, cell{to - from, j.c.at((from + to) / 2)})
		from = to
	}
	for i := 0; i < knots; i += 8 {
		cut(argument(i))
	}
	for i := knots - 9; i >= 0; i -= 8 {
		cut(1 - argument(i))
	}
	return out
}

// distribution returns F(z), the share of exchanges whose bound has at most z nanoseconds beyond the least.
func (j *joint) distribution(cells []cell, z float64) float64 {
	one, both := 0.0, 0.0 // P(B + C ≤ z), P(B + C ≤ z and B' + C ≤ z), packets lost counted as endless waits
	for _, c := range cells {
		if c.wait >= z {
			break
		}
		g := j.keepB * j.b.share(z-c.wait)
		one += c.share * g
		both += c.share * g * g
	}
	beacon := one * j.keepC                // P(T_b ≤ z) of one round
	core := beacon * j.keepB               // P(T_c ≤ z): the challenge has to arrive as well
	either := beacon + core - both*j.keepC // P(T_b ≤ z or T_c ≤ z)
	none := func(p float64) float64 { return math.Exp(j.rounds * math.Log1p(-min(p, 1-1e-17))) }
	return 1 - none(beacon) - none(core) + none(either)
}

// invert tabulates the inverse of F: F is reckoned on a grid of delays that are closer where they are shorter, and lines are drawn
// between their logarithms.
func (j *joint) invert() *quantile {
	cells := j.cells()
	var zs, fs, tails []float64
	top := j.b.at(1-smallest) + j.c.at(1-smallest)
	for z := 1.0; z < 2*top; z *= 1.02 {
		f := j.distribution(cells, z)
		if len(fs) > 0 && f <= fs[len(fs)-1] || f <= 0 {
			continue
		}
		zs, fs, tails = append(zs, z), append(fs, f), append(tails, 1-f)
	}
	return newQuantile(func(p float64) float64 {
		i := sort.SearchFloat64s(fs, p)
		switch {
		case i == 0:
			return zs[0] * p / fs[0]
		case i == len(fs):
			return zs[i-1]
		}
		at, from, to := math.Log(p), math.Log(fs[i-1]), math.Log(fs[i])
		if p > 0.5 && tails[i] > 0 {
			at, from, to = math.Log1p(-p), math.Log(tails[i-1]), math.Log(tails[i])
		}
		return math.Exp(math.Log(zs[i-1]) + (math.Log(zs[i])-math.Log(zs[i-1]))*(at-from)/(to-from))
	})
}
