package estimate

import (
	"math"
)

// neighbours is how many beacons around a place predict the field there. More add little: the nearest screen the rest.
const neighbours = 9

// listed is how many nearest beacons of a place are known: neighbours, and one more for the prior's densities.
const listed = neighbours + 1

// absent marks beacons of a mesh that are as if they did not exist: nobody when nil. What is prepared for a whole mesh can then
// serve each of its beacons as a target; wherever an absent one took part, it is made anew.
type absent []bool

func (a absent) has(beacon int) bool { return a != nil && a[beacon] }

// around is the beacons nearest to a place, nearest first.
type around struct {
	n      int
	beacon [listed]int32
	km     [listed]float64
}

// nearestBeacons finds them by looking at all.
func nearestBeacons(m *Mesh, at vec, gone absent) around {
	var a around
	var chord [listed]float64 // squared, as good for comparing
	for j, b := range m.at {
		if gone.has(j) {
			continue
		}
		dx, dy, dz := at.X-b.X, at.Y-b.Y, at.Z-b.Z
		d := dx*dx + dy*dy + dz*dz
		if a.n == listed && d >= chord[listed-1] {
			continue
		}
		i := min(a.n, listed-1)
		for i > 0 && chord[i-1] > d {
			chord[i], a.beacon[i] = chord[i-1], a.beacon[i-1]
			i--
		}
		chord[i], a.beacon[i] = d, int32(j)
		a.n = min(a.n+1, listed)
	}
	for i := range a.n {
		a.km[i] = 2 * radiusKM * math.Asin(min(1, math.Sqrt(chord[i])/2))
	}
	return a
}

// misses says whether an absent beacon is in the list.
func (a *around) misses(gone absent) bool {
	for _, b := range a.beacon[:a.n] {
		if gone.has(int(b)) {
			return true
		}
	}
	return false
}

// weights is what kriging needs to know about a place: how much each neighbour counts for the field and for the regional effect,
// and which share of the field's variance they leave open.
type weights struct {
	n        int
	beacon   [neighbours]int32
	field    [neighbours]float64
	regional [neighbours]float64
	open     float64
}

// krige solves the two simple kriging systems (Matheron, Principles of geostatistics, Economic Geology 58, 1963) of a place. The
// nugget of the field is what a single neighbour's row deviates by on its own; that of the regional effect its own access link.
func (c *kernel) krige(m *Mesh, a around) weights {
	n := min(a.n, neighbours)
	w := weights{n: n, open: 1}
	var field, regional [neighbours][neighbours]float64
	var toField, toRegional [neighbours]float64
	total := c.near + c.far
	for i := range n {
		w.beacon[i] = a.beacon[i]
		row := m.km[a.beacon[i]]
		for j := range i {
			field[i][j], regional[i][j] = c.at(row[a.beacon[j]])
		}
		field[i][i], regional[i][i] = total+c.calm+c.own, c.regional+c.access
		toField[i], toRegional[i] = c.at(a.km[i])
	}
	w.field, w.regional = toField, toRegional
	solve(&field, &w.field, n)
	solve(&regional, &w.regional, n)
	for i := range n {
		w.open -= w.field[i] * toField[i] / total
	}
	w.open = max(0, w.open)
	return w
}

// solve solves the symmetric positive definite system given by the lower triangle of a, in place, by Cholesky's method. The nugget
// on the diagonal keeps it well away from singular.
func solve(a *[neighbours][neighbours]float64, x *[neighbours]float64, n int) {
	for i := range n {
		for j := range i {
			sum := a[i][j]
			for k := range j {
				sum -= a[i][k] * a[j][k]
			}
			a[i][j] = sum / a[j][j]
		}
		sum := a[i][i]
		for k := range i {
			sum -= a[i][k] * a[i][k]
		}
		a[i][i] = math.Sqrt(max(1e-12, sum))
	}
	for i := range n {
		for k := range i {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= a[k][i] * x[k]
		}
		x[i] /= a[i][i]
	}
}
