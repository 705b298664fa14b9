package audit

import "math"

// law is the density of log round trip given log distance, fitted on the set under audit itself: no constant of another network
// enters but a weak prior. It is a table: a kernel estimate on a grid, rows of distance, columns of round trip.
//
// The bandwidths follow Scott's rule in two dimensions (Multivariate Density Estimation, 1992, 6.3): spread · pairs^(-1/6), where
// the spread is the typical one of log RTT given distance (0.6 with access included) and of log distance (1.4).
type law struct {
	log [lawRows][lawCols]float32 // natural log of the share per column
}

const (
	lawRows, lawCols = 56, 112

	// Distances are shifted by 20 km and round trips by 0.3 ms before the logarithm: below a city's size and a host's own latency
	// neither carries information.
	shiftKM, shiftMS = 20.0, 0.3
	minKM, maxKM     = 0.0, 12_760.0 // chords end at the diameter
	minMS, maxMS     = 0.0, 2_000.0

	// The prior, worth priorPairs pairs in each row: stretch over light in fibre 2.15, log standard deviation 0.39 plus
	// one millisecond of access; medians of eleven public sets (2016-2026) lie at 2.0-2.3 and 0.37-0.39.
	priorPairs, priorStretch, priorSpread, priorAccessMS = 4.0, 2.15, 0.39, 1.0

	// A share of pairs follows no law: wrong places that nobody has found yet, odd routes. Spread evenly it bounds what one pair can
	// say to a few nats.
	lawless = 0.02

	// minInforming is the number of pairs of ten nodes.
	minInforming = 45
)

var (
	lawX0, lawX1 = math.Log(minKM + shiftKM), math.Log(maxKM + shiftKM)
	lawY0, lawY1 = math.Log(minMS + shiftMS), math.Log(maxMS + shiftMS)
)

// informs returns how much the claimed distances tell about the round trips of the pairs for which use says yes, in nats a pair: the
// mean of log p(rtt | distance) / p(rtt). Honest claims inform, invented ones do not. ok is false for fewer than minInforming pairs.
func informs(pairs []pair, use func(p pair) bool) (nats float64, ok bool) {
	l := fitLaw(pairs, use)
	var all [lawCols]float64
	n := 0.0
	for _, p := range pairs {
		if use(p) {
			all[nearest(lawCol(p.rtt.Millis()), lawCols)]++
			n++
		}
	}
	if n < minInforming {
		return 0, false
	}
	all = smooth(all, kernel(bandwidthMS(n)))
	var marginal law
	marginal.normalise(0, all)
	for _, p := range pairs {
		if use(p) {
			ms := p.rtt.Millis()
			nats += l.at(p.chord.Kilometres(), ms) - float64(marginal.log[0][nearest(lawCol(ms), lawCols)])
		}
	}
	return nats / n, true
}

// column and row place a value on the grid, in cells from the first cell's centre.
func lawRow(km float64) float64 { return (math.Log(km+shiftKM)-lawX0)/(lawX1-lawX0)*lawRows - 0.5 }
func lawCol(ms float64) float64 { return (math.Log(ms+shiftMS)-lawY0)/(lawY1-lawY0)*lawCols - 0.5 }

// fitLaw fits the density on the pairs for which use says yes.
func fitLaw(pairs []pair, use func(p pair) bool) *law {
	var cells [lawRows][lawCols]float64
	n := 0.0
	for _, p := range pairs {
		if !use(p) {
			continue
		}
		r, c := nearest(lawRow(p.chord.Kilometres()), lawRows), nearest(lawCol(p.rtt.Millis()), lawCols)
		cells[r][c]++
		n++
	}
	rowKernel, colKernel := kernel(bandwidthKM(n)), kernel(bandwidthMS(n))
	var l law
	for r := range cells {
		row := smoothRow(&cells, r, rowKernel)
		addPrior(&row, r)
		row = smooth(row, colKernel)
		l.normalise(r, row)
	}
	return &l
}

// bandwidthKM and bandwidthMS are the kernels' widths in cells for n pairs.
func bandwidthKM(n float64) float64 {
	return 1.4 * math.Pow(max(n, 1), -1.0/6) / (lawX1 - lawX0) * lawRows
}

func bandwidthMS(n float64) float64 {
	return max(0.1, 0.6*math.Pow(max(n, 1), -1.0/6)) / (lawY1 - lawY0) * lawCols
}

func (l *law) normalise(r int, row [lawCols]float64) {
	total := 0.0
	for _, v := range row {
		total += v
	}
	for c, v := range row {
		l.log[r][c] = float32(math.Log((1-lawless)*v/total + lawless/lawCols))
	}
}

// addPrior adds the prior's pairs to a row of distance.
func addPrior(row *[lawCols]float64, r int) {
	km := math.Exp(lawX0+(float64(r)+0.5)/lawRows*(lawX1-lawX0)) - shiftKM
	median := priorAccessMS + priorStretch*2*max(km, 0)*1.468/299.792458
	centre := lawCol(median)
	spread := priorSpread / (lawY1 - lawY0) * lawCols
	for c := range row {
		u := (float64(c) - centre) / spread
		row[c] += priorPairs * math.Exp(-u*u/2) / (spread * math.Sqrt(2*math.Pi))
	}
}

// at returns the log density of a round trip at a distance.
func (l *law) at(km, ms float64) float64 {
	x := lawRow(km)
	c := nearest(lawCol(ms), lawCols)
	low := int(math.Floor(x))
	t := float32(x - float64(low))
	a, b := clamp(low, lawRows), clamp(low+1, lawRows)
	return float64(l.log[a][c]*(1-t) + l.log[b][c]*t)
}

func nearest(x float64, n int) int { return clamp(int(math.Round(x)), n) }

func clamp(i, n int) int { return min(max(i, 0), n-1) }

// kernel returns the right half of a Gaussian of the given width in cells.
func kernel(width float64) []float64 {
	half := make([]float64, int(4*width)+1)
	for i := range half {
		u := float64(i) / max(width, 1e-9)
		half[i] = math.Exp(-u * u / 2)
	}
	return half
}

func smoothRow(cells *[lawRows][lawCols]float64, r int, k []float64) (row [lawCols]float64) {
	for d := -len(k) + 1; d < len(k); d++ {
		if from := r + d; from >= 0 && from < lawRows {
			weight := k[max(d, -d)]
			for c, v := range cells[from] {
				row[c] += weight * v
			}
		}
	}
	return row
}

func smooth(row [lawCols]float64, k []float64) (out [lawCols]float64) {
	for c, v := range row {
		if v == 0 {
			continue
		}
		for d := -len(k) + 1; d < len(k); d++ {
			if to := c + d; to >= 0 && to < lawCols {
				out[to] += v * k[max(d, -d)]
			}
		}
	}
	return out
}
