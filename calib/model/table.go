package model

import (
	"math"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// tableStep is the spacing of a table's rows in km. Between rows quantiles run straight; the curve's own bend over 8 km moves them
// by less than a thousandth.
const tableStep = 8

const tableRows = farKM/tableStep + 2

// Table is a curve prepared for asking millions of times: the quantiles of LogRTT at every 8 km.
type Table struct {
	q     [tableRows][levels]float64
	slope [tableRows][levels + 1]float64 // log(dz/dlogRTT) before the first quantile, between them, and after the last
}

// Delay is a round trip as a table is asked about it.
type Delay struct {
	Log      float64 // LogRTT
	farthest float64 // km beyond which it is faster than physics allows
}

// DelayOf prepares a round trip given by its LogRTT.
func DelayOf(logRTT float64) Delay {
	return Delay{Log: logRTT, farthest: (math.Exp(logRTT)-scaleMS)/floorMSPerKM + claimKM}
}

// DelayOfRTT prepares a round trip.
func DelayOfRTT(r earth.RTT) Delay { return DelayOf(LogRTT(r)) }

// Table prepares the curve.
func (c *Curve) Table() *Table {
	t := new(Table)
	for i := range tableRows {
		s := c.At(Kilometres(i * tableStep))
		t.q[i] = s.q
		for k := range levels + 1 {
			from := max(0, min(levels-2, k-1))
			g := (normal[from+1] - normal[from]) / (s.q[from+1] - s.q[from])
			if k == levels {
				g *= rightTail
			}
			t.slope[i][k] = math.Log(g)
		}
	}
	return t
}

// Score is Section.Score at a distance from 0 to half the circumference, but for what lies between two rows.
func (t *Table) Score(r Delay, d Kilometres) (z, slope float64) {
	if float64(d) > r.farthest {
		return belowFloor, 0
	}
	x := float64(d) / tableStep
	row := max(0, min(tableRows-2, int(x)))
	share := x - float64(row)
	a, b := &t.q[row], &t.q[row+1]
	k := 0
	upper := 0.0
	for ; k < levels; k++ {
		if upper = a[k] + share*(b[k]-a[k]); upper >= r.Log {
			break
		}
	}
	from := max(0, min(levels-2, k-1))
	lo, hi := a[from]+share*(b[from]-a[from]), a[from+1]+share*(b[from+1]-a[from+1])
	g := (normal[from+1] - normal[from]) / (hi - lo)
	slope = t.slope[row][k]
	switch k {
	case 0:
		return max(belowFloor, normal[0]+(r.Log-lo)*g), slope
	case levels:
		return normal[levels-1] + (r.Log-hi)*g*rightTail, slope
	}
	return normal[from] + (r.Log-lo)*g, slope
}
