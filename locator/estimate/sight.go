package estimate

import (
	"cmp"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/calib/model"
)

const (
	// used is how many beacons of a target enter the likelihood: the quickest two thirds, and a third spread over the others. Beyond
	// that the copula says that they repeat each other.
	used      = 42
	usedQuick = 28
	// openLevels is the number of steps in which the covariance follows the variance that kriging leaves open.
	openLevels = 6
	// tooQuick is the share of round trips that may be quicker than anything here explains: false places, false clocks. detours is
	// that of those that are slower: a missing peering. Either spreads wild times wider than the rest, and is shrunk before it can
	// mislead what follows.
	tooQuick = 0.03
	detours  = 0.10
	wild     = 4.0
	// farOff is where an innovation stops to get worse, so that its density stays above zero in floating point.
	farOff = 30.0
)

// observed is one round trip of a target: a beacon's index and the log of the round trip.
type observed struct {
	beacon int
	log    float64
}

// sight is one target seen by a mesh: everything about its likelihood that does not depend on where it stands, and scratch space.
// It belongs to one goroutine.
type sight struct {
	m     *Mesh
	order []observed // quickest first, then the spread
	quick []observed // all, quickest first
	delay []model.Delay
	// rest[k·len(order)+i] is the mesh's score between beacon k and order[i].beacon without both ends' effects, 0 where unknown.
	rest   []float64
	effect []float64               // of each beacon on all its pairs
	factor [openLevels + 1]*factor // of the scores' covariance, for each level of openness; nil until asked for

	// Set by place.
	kernel *kernel
	f      *factor
	expect []float64 // scores expected from the mesh
	y      []float64 // innovations so far
}

// factor is a Cholesky factor, packed by rows, and the logarithm of its diagonal. Row i needs only rows before it, so the first
// beacons alone are a likelihood of their own: the search uses that.
type factor struct{ row, logDiagonal []float64 }

// newSight prepares a target that has measured the given round trips. The absent beacons of the mesh do not exist for it; the target
// itself is one of them when it is a beacon. It returns nil when nothing was measured.
func newSight(m *Mesh, z [][]float64, gone absent, seen []observed) *sight {
	s := &sight{m: m}
	for _, o := range seen {
		if !gone.has(o.beacon) {
			s.quick = append(s.quick, o)
		}
	}
	if len(s.quick) == 0 {
		return nil
	}
	slices.SortFunc(s.quick, func(a, b observed) int {
		if a.log != b.log {
			return cmp.Compare(a.log, b.log)
		}
		return a.beacon - b.beacon
	})
	s.order = choose(s.quick)
	s.effects(z, gone)
	n := len(s.order)
	s.y, s.expect, s.delay = make([]float64, n), make([]float64, n), make([]model.Delay, n)
	for i, o := range s.order {
		s.delay[i] = model.DelayOf(o.log)
	}
	return s
}

// choose takes the quickest, and of the others as many as fit, evenly.
func choose(quick []observed) []observed {
	if len(quick) <= used {
		return quick
	}
	out := append([]observed(nil), quick[:usedQuick]...)
	others := quick[usedQuick:]
	for i := range used - usedQuick {
		out = append(out, others[i*len(others)/(used-usedQuick)])
	}
	return out
}

// effects averages each beacon's scores, drawn to zero by half an observation, and takes both ends' averages off the scores.
func (s *sight) effects(z [][]float64, gone absent) {
	n := len(z)
	s.effect = make([]float64, n)
	for i, row := range z {
		sum, count := 0.0, 0.5
		for j, v := range row {
			if v == v && !gone.has(j) {
				sum += v
				count++
			}
		}
		s.effect[i] = sum / count
	}
	s.rest = make([]float64, n*len(s.order))
	for k, row := range z {
		for i, o := range s.order {
			if v := row[o.beacon]; v == v && k != o.beacon {
				s.rest[k*len(s.order)+i] = v - s.effect[k] - s.effect[o.beacon]
			}
		}
	}
}

// believe sets the covariance that place and innovation use, and forgets the factors of another.
func (s *sight) believe(c *kernel) {
	s.kernel = c
	s.factor = [openLevels + 1]*factor{}
}

// factorise builds the covariance of the scores for a level of openness and factorises it.
func (s *sight) factorise(level int) *factor {
	n, c := len(s.order), s.kernel
	total := c.near + c.far
	smooth := c.own + total*float64(level)/openLevels
	out := &factor{make([]float64, n*(n+1)/2), make([]float64, n)}
	for i, o := range s.order {
		row := out.row[i*(i+1)/2:]
		distances := s.m.km[o.beacon]
		for j := range i {
			other := out.row[j*(j+1)/2:]
			shape, _ := c.at(distances[s.order[j].beacon])
			sum := c.access + smooth*shape/total
			for k := range j {
				sum -= row[k] * other[k]
			}
			row[j] = sum / other[j]
		}
		sum := c.access + smooth + c.noise(math.Expm1(o.log))
		for k := range i {
			sum -= row[k] * row[k]
		}
		row[i] = math.Sqrt(max(1e-9, sum))
		out.logDiagonal[i] = math.Log(row[i])
	}
	return out
}

// place turns to a place, given by what kriging says about it, for the first beacons in order. The openness is rounded to a level.
func (s *sight) place(w *weights, until int) {
	level := int(math.Round(min(1, w.open) * openLevels))
	if s.factor[level] == nil {
		s.factor[level] = s.factorise(level)
	}
	s.f = s.factor[level]
	base := 0.0
	for i := range w.n {
		base += w.regional[i] * s.effect[w.beacon[i]]
	}
	expect := s.expect[:until]
	for k := range expect {
		expect[k] = base + s.effect[s.order[k].beacon]
	}
	for i := range w.n {
		v := w.field[i]
		rest := s.rest[int(w.beacon[i])*len(s.order):][:until]
		for k := range expect {
			expect[k] += v * rest[k]
		}
	}
}

// innovation takes the k-th score in its turn and returns its density given those before, but for a constant and for the factor's
// diagonal, whose logarithm is for the caller to subtract. With the slope of the score (model.Table.Score) added to its logarithm
// it is the density of the round trip.
func (s *sight) innovation(k int, z float64) float64 {
	y := z - s.expect[k]
	row := s.f.row[k*(k+1)/2:][:k+1]
	done := s.y[:k]
	for i, v := range done {
		y -= row[i] * v
	}
	y = max(-farOff, min(farOff, y/row[k]))
	far := math.Exp(-y * y / (2 * wild * wild))
	honest := far * far // wild = 4: the honest exponent is sixteen times the wild one
	honest *= honest
	honest *= honest
	strange := tooQuick
	if y > 0 {
		strange = detours
	}
	honest *= honest * (1 - strange)
	density := honest + strange/wild*far
	s.y[k] = y * honest / density
	return density
}
