package world

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
)

// Table is a law of the excess of round trips over light in fibre, as fitted to measurements: its quantiles by distance, and how
// alike the pairs are that have something in common.
//
// A pair's excess is the quantile Φ(z) at its distance. z is a standard normal deviate which is not drawn for the pair alone: the
// share Node of its variance comes from the two places (a host behind a poor uplink is far from everybody), the share Corridor from
// the two countries (all of one country reach all of another by the same cable), the rest from the pair. So the
// distribution over all pairs of a distance is the table's, whatever the shares; they only say who is slow together.
type Table struct {
	Levels   []float64 // rising probabilities, within 0..1 exclusive
	Rows     []Row     // rising light time
	Node     float64   // share of the variance of z, 0 to 1
	Corridor float64   // with Node at most 1

	z []float64 // the normal deviates of Levels
}

// Row holds the quantiles of the excess in milliseconds at one distance, given as light in fibre there and back.
type Row struct {
	LightMS float64
	Excess  []float64 // one for each level, never falling, above zero

	log []float64
}

// ErrTable reports a table that is none.
var ErrTable = errors.New("wrong table of excess")

// NewTable checks a table and prepares it for drawing.
func NewTable(t Table) (*Table, error) {
	if len(t.Levels) < 2 || len(t.Rows) == 0 {
		return nil, fmt.Errorf("%w: %d levels and %d rows; two and one are the least", ErrTable, len(t.Levels), len(t.Rows))
	}
	if !(t.Node >= 0 && t.Corridor >= 0 && t.Node+t.Corridor <= 1) {
		return nil, fmt.Errorf("%w: shares of %v and %v; each is at least 0, both together at most 1", ErrTable, t.Node, t.Corridor)
	}
	out := &Table{Levels: append([]float64(nil), t.Levels...), Node: t.Node, Corridor: t.Corridor}
	for i, p := range t.Levels {
		if !(p > 0 && p < 1) || i > 0 && p <= t.Levels[i-1] {
			return nil, fmt.Errorf("%w: level %v; levels rise and lie between 0 and 1", ErrTable, p)
		}
		out.z = append(out.z, distuv.UnitNormal.Quantile(p))
	}
	for i, r := range t.Rows {
		if !(r.LightMS > 0 && r.LightMS <= 1e4) || i > 0 && r.LightMS <= t.Rows[i-1].LightMS || len(r.Excess) != len(t.Levels) {
			return nil, fmt.Errorf("%w: row %d: rows rise in light_ms, and have one excess for each of %d levels", ErrTable, i+1, len(t.Levels))
		}
		row := Row{LightMS: r.LightMS, Excess: append([]float64(nil), r.Excess...)}
		for k, ms := range r.Excess {
			if !(ms > 0 && ms <= 1e5) || k > 0 && ms < r.Excess[k-1] {
				return nil, fmt.Errorf("%w: row %d: an excess of %v ms; they are above 0 and never fall", ErrTable, i+1, ms)
			}
			row.log = append(row.log, math.Log(ms))
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// ExcessMS returns the excess in milliseconds of the normal deviate z at a distance. Between rows its logarithm runs straight
// against the logarithm of the light time, between levels against the deviate; outside the outer row or level it goes no further.
func (t *Table) ExcessMS(light, z float64) float64 {
	i := len(t.Rows) - 1
	for i > 0 && light < t.Rows[i].LightMS {
		i--
	}
	here := t.Rows[i].at(t.z, z)
	if i == len(t.Rows)-1 || light <= t.Rows[i].LightMS {
		return math.Exp(here)
	}
	next := t.Rows[i+1].at(t.z, z)
	part := math.Log(light/t.Rows[i].LightMS) / math.Log(t.Rows[i+1].LightMS/t.Rows[i].LightMS)
	return math.Exp(here + (next-here)*part)
}

func (r *Row) at(levels []float64, z float64) float64 {
	last := len(levels) - 1
	switch {
	case z <= levels[0]:
		return r.log[0]
	case z >= levels[last]:
		return r.log[last]
	}
	k := 0
	for z >= levels[k+1] {
		k++
	}
	return r.log[k] + (r.log[k+1]-r.log[k])*(z-levels[k])/(levels[k+1]-levels[k])
}

// tableMillis draws the least round trip of a pair of towns from the profile's table.
func (w *World) tableMillis(p Profile, a, b Place, light float64) float64 {
	t := p.Table
	own := 1 - t.Node - t.Corridor
	z := math.Sqrt(math.Max(0, own)) * source.Pair(w.seed, "route", a.Metro, b.Metro).NormFloat64()
	if t.Node > 0 {
		both := w.uplink(a.Metro) + w.uplink(b.Metro)
		z += math.Sqrt(t.Node/2) * both
	}
	if t.Corridor > 0 {
		from, to := corridor(a), corridor(b)
		z += math.Sqrt(t.Corridor) * source.Pair(w.seed, "corridor", from, to).NormFloat64()
	}
	light *= max(1, p.Stretch)
	return math.Min(longest, light+t.ExcessMS(light, z))
}

// uplink is the deviate of a town, which all its routes share.
func (w *World) uplink(town string) float64 {
	if z, ok := w.uplinks[town]; ok {
		return z
	}
	return source.New(w.seed, "uplink", town).NormFloat64()
}

// corridor is what a place shares with its neighbours on the way out: its country, or itself where that is not known.
func corridor(p Place) string {
	if p.Country == "" {
		return p.Metro
	}
	return p.Country
}
