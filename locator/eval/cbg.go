package eval

import (
	"math"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// countryOf returns the country of a cell's middle, empty at sea.
func countryOf(id s2.CellID) string {
	if place, ok := atlas.Lookup(earth.LatLonOf(id.Point())); ok {
		return place.Country
	}
	return ""
}

// bestline fits a beacon's line to its round trips with the other beacons of the target. Points below 2/3 c, which claimed places
// that are off can make, are left out, or no line would exist.
func (t *task) bestline(beacon, target int, greatest float64) (model.Bestline, bool) {
	absent := t.absent(target)
	var points []model.XY
	for _, b := range t.roster {
		ms := t.ms[beacon][b]
		if b == absent || b == target || b == beacon || !(ms > 0) || ms < t.km[beacon][b]*model.TwoThirds {
			continue
		}
		points = append(points, model.XY{KM: t.km[beacon][b], MS: ms})
	}
	line, err := model.FitBestline(points, model.TwoThirds, greatest)
	return line, err == nil
}

// cbg is constraint-based geolocation: Gueye, Ziviani, Crovella, Fdida, Constraint-based geolocation of Internet hosts, IEEE/ACM
// Transactions on Networking 14(6), 2006. Each beacon turns its round trip into a distance by its bestline; the target is in the
// intersection of the disks, and the answer is its centroid.
//
// Left out: nothing of the method. Where the paper is silent: an empty intersection falls back on the quickest beacon and counts as
// empty; a disk is never larger than half the circumference. The region has no probability attached, so that its coverage is given
// as that of a region; the probability of a country is its share of the region's land.
func (t *task) cbg(target int, seen []sight) answer {
	o := &overlay{}
	for _, s := range seen {
		if line, ok := t.bestline(s.beacon, target, math.Inf(1)); ok {
			o.disks = append(o.disks, disk{t.vec[s.beacon], float64(line.Distance(s.ms))})
		}
	}
	return t.regionAnswer(target, seen, o.region(len(o.disks)))
}

// regionAnswer scores a region of cells.
func (t *task) regionAnswer(target int, seen []sight, cells []s2.CellID) answer {
	if len(cells) == 0 {
		a := t.shortestPing(target, seen)
		a.empty, a.region, a.logP = true, no, logOf(0)
		return a
	}
	a := noAnswer()
	s := summarise(cells)
	t.answerAt(&a, target, s.centroid)
	a.region, a.area = triOf(holds(cells, t.vec[target])), s.area
	a.logP = logOf(s.byLand[t.country[target]])
	return a
}
