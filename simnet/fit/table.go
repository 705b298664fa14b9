package fit

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// The grid of a table: rows at these light times where the set has pairs, and these quantiles as far as the pairs of a row allow.
var (
	rowsAt = []float64{0.2, 0.5, 1, 2, 3.5, 5, 7, 10, 13, 16, 20, 25, 31, 38, 46, 55, 65, 75, 82, 90, 98, 106, 115, 125, 137, 150, 162, 175, 196}
	levels = []float64{0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995}
)

// leastInRow is how many pairs a row speaks for at least.
const leastInRow = 30

// fitTable summarises the training pairs by the quantiles of their excess at each distance. A row speaks for the pairs nearest to
// it, weighted by nearness; what is between them and it goes along the law's median, so that few rows and few pairs do.
func fitTable(train []pair, law world.Profile, nodes []dataset.Node) (world.TableSpec, error) {
	byLight := slices.Clone(train)
	slices.SortStableFunc(byLight, func(x, y pair) int { return compare(x.light, y.light) })
	window := min(len(byLight), max(leastInRow, len(byLight)/40))
	spec := world.TableSpec{Levels: levelsFor(window)}
	for _, light := range rowsBetween(byLight[0].light, byLight[len(byLight)-1].light) {
		spec.Rows = append(spec.Rows, row(light, byLight, window, law, spec.Levels))
	}
	table, err := world.NewTable(world.Table{Levels: spec.Levels, Rows: rowsOf(spec)})
	if err != nil {
		return spec, err
	}
	spec.Node, spec.Corridor = shares(train, table, nodes)
	return spec, nil
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rowsBetween returns the rows of the grid from the last at or below the nearest pair to the first at or above the farthest.
func rowsBetween(nearest, farthest float64) []float64 {
	from, to := 0, len(rowsAt)-1
	for from < to && rowsAt[from+1] <= nearest {
		from++
	}
	for to > from && rowsAt[to-1] >= farthest {
		to--
	}
	return rowsAt[from : to+1]
}

func rowsOf(spec world.TableSpec) []world.Row {
	var out []world.Row
	for _, r := range spec.Rows {
		out = append(out, world.Row{LightMS: r.LightMS, Excess: r.Excess})
	}
	return out
}

// levelsFor leaves out the outer quantiles that so few pairs cannot tell.
func levelsFor(n int) []float64 {
	var out []float64
	for _, p := range levels {
		if math.Min(p, 1-p)*float64(n) >= 0.7 {
			out = append(out, p)
		}
	}
	return out
}

// row takes the window of pairs nearest to a light time, by the logarithm, and their weighted quantiles.
func row(light float64, byLight []pair, window int, law world.Profile, levels []float64) world.RowSpec {
	nearest := slices.Clone(byLight)
	away := func(p pair) float64 { return math.Abs(math.Log(math.Max(p.light, 0.01) / light)) }
	slices.SortStableFunc(nearest, func(x, y pair) int { return compare(away(x), away(y)) })
	nearest = nearest[:window]
	reach := math.Max(1e-6, away(nearest[window-1])*1.0001)
	type weighted struct{ residual, weight float64 }
	list, total := make([]weighted, window), 0.0
	for i, p := range nearest {
		u := away(p) / reach
		w := math.Pow(1-u*u*u, 3) + 0.05 // tricube, and a little for the last
		list[i] = weighted{math.Log(p.excess()) - math.Log(median(law, p.light)), w}
		total += w
	}
	slices.SortStableFunc(list, func(x, y weighted) int { return compare(x.residual, y.residual) })
	out := world.RowSpec{LightMS: light}
	sum, k := 0.0, 0
	for _, p := range levels {
		for k < len(list)-1 && (sum+list[k].weight/2)/total < p {
			sum += list[k].weight
			k++
		}
		value := list[k].residual
		if k > 0 { // between the two neighbours' mid-weights
			lo, hi := (sum-list[k-1].weight/2)/total, (sum+list[k].weight/2)/total
			part := math.Min(1, math.Max(0, (p-lo)/(hi-lo)))
			value = list[k-1].residual + (list[k].residual-list[k-1].residual)*part
		}
		ms := round(median(law, light) * math.Exp(value))
		if n := len(out.Excess); n > 0 {
			ms = math.Max(ms, out.Excess[n-1])
		}
		out.Excess = append(out.Excess, math.Max(1e-3, ms))
	}
	return out
}

// deviates returns the normal deviate of each pair's excess at its distance: what the table makes of it, inverted.
func deviates(pairs []pair, t *world.Table) []float64 {
	most := distuv.UnitNormal.Quantile(t.Levels[len(t.Levels)-1])
	least := distuv.UnitNormal.Quantile(t.Levels[0])
	out := make([]float64, len(pairs))
	for i, p := range pairs {
		lo, hi := least, most
		for range 40 {
			if z := (lo + hi) / 2; t.ExcessMS(p.light, z) < p.excess() {
				lo = z
			} else {
				hi = z
			}
		}
		out[i] = (lo + hi) / 2
	}
	return out
}

// moments sums products of deviates of couples of pairs.
type moments struct{ sum, count float64 }

func (m *moments) mean() float64 {
	if m.count == 0 {
		return 0
	}
	return m.sum / m.count
}

// shares estimates by the method of moments which share of the variance two pairs have in common that share a host, and two that
// lead from the same country to the same country without sharing a host.
func shares(train []pair, t *world.Table, nodes []dataset.Node) (node, corridor float64) {
	z := deviates(train, t)
	mean, variance := 0.0, 0.0
	for _, v := range z {
		mean += v / float64(len(z))
	}
	for i := range z {
		z[i] -= mean
		variance += z[i] * z[i] / float64(len(z))
	}
	if variance == 0 {
		return 0, 0
	}
	countries := func(p pair) [2]string {
		a, b := nodes[p.a].Country, nodes[p.b].Country
		return [2]string{min(a, b), max(a, b)}
	}
	byNode := make([][]int, len(nodes))
	byLane := make(map[[2]string][]int)
	for i, p := range train {
		byNode[p.a], byNode[p.b] = append(byNode[p.a], i), append(byNode[p.b], i)
		if c := countries(p); c[0] != "" {
			byLane[c] = append(byLane[c], i)
		}
	}
	var host, lane moments
	couples(byNode, &host, z, func(i, j int) bool { return countries(train[i]) != countries(train[j]) || countries(train[i])[0] == "" })
	lanes := make([][]int, 0, len(byLane))
	for _, list := range byLane {
		lanes = append(lanes, list)
	}
	slices.SortFunc(lanes, func(x, y []int) int { return x[0] - y[0] }) // sums depend on their order
	couples(lanes, &lane, z, func(i, j int) bool {
		p, q := train[i], train[j]
		return p.a != q.a && p.a != q.b && p.b != q.a && p.b != q.b
	})
	node = math.Max(0, 2*host.mean()/variance)
	corridor = math.Max(0, lane.mean()/variance)
	if both := node + corridor; both > 0.95 {
		node, corridor = node*0.95/both, corridor*0.95/both
	}
	return round(node), round(corridor)
}

// couples averages the products of all couples within each group that count, and then the groups, each by its pairs up to a few: one
// country with many hosts is one draw of chance, not many. Groups beyond a few hundred are thinned evenly.
func couples(groups [][]int, m *moments, z []float64, counts func(i, j int) bool) {
	const most, heaviest = 300, 20
	for _, g := range groups {
		step := max(1, len(g)/most)
		var own moments
		for x := 0; x < len(g); x += step {
			for y := 0; y < x; y += step {
				if counts(g[x], g[y]) {
					own.sum += z[g[x]] * z[g[y]]
					own.count++
				}
			}
		}
		if own.count > 0 {
			weight := math.Min(heaviest, own.count)
			m.sum += own.mean() * weight
			m.count += weight
		}
	}
}
