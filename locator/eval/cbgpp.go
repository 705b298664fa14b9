package eval

import (
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/calib/model"
)

// slowline is the greatest slope of a bestline in CBG++, in ms of round trip for a kilometre: 84.5 km/ms one way.
const slowline = 2 / 84.5

// cbgpp is CBG++: Weinberg, Cho, Christin, Sekar, Gill, How to catch when proxies lie, IMC 2018, section 5.1. Bestlines are held
// between the speed of 2/3 c and a slowline. The largest subset of the disks at 2/3 c that share a place gives the baseline region;
// bestline disks that do not touch it are left out; the largest subset of the rest that share a place within it is the answer. Only
// land counts, and nothing north of 85° N or south of 60° S.
//
// Left out: the web-based measuring of the round trips, which the paper's tool needed and a matrix does not; and the mask of lakes.
// The paper gives no point: here it is the region's centroid, as in CBG. The probability of a country is its share of the land.
func (t *task) cbgpp(target int, seen []sight) answer {
	base, line := &overlay{}, &overlay{}
	for _, s := range seen {
		base.disks = append(base.disks, disk{t.vec[s.beacon], s.ms / model.TwoThirds})
		if fitted, ok := t.bestline(s.beacon, target, slowline); ok {
			line.disks = append(line.disks, disk{t.vec[s.beacon], float64(fitted.Distance(s.ms))})
		}
	}
	baseline := base.region(base.depth())
	line.disks = touching(line.disks, baseline)
	// The bestline disks are to share a place within the baseline region: its disks join them, all of those that hold it.
	joint := &overlay{disks: line.disks}
	if len(baseline) > 0 {
		middle := baseline[len(baseline)/2].Point()
		for _, d := range base.disks {
			if kmBetween(middle, d.at) <= d.km {
				joint.disks = append(joint.disks, d)
			}
		}
	}
	cells := joint.region(joint.depth())
	var land []s2.CellID
	for _, id := range cells {
		if at := s2.LatLngFromPoint(id.Point()).Lat.Degrees(); at <= 85 && at >= -60 && countryOf(id) != "" {
			land = append(land, id)
		}
	}
	if len(land) == 0 {
		land = cells // an island too small for the cells
	}
	return t.regionAnswer(target, seen, land)
}

// touching keeps the disks that reach some cell of a region.
func touching(disks []disk, cells []s2.CellID) []disk {
	var out []disk
	for _, d := range disks {
		for _, id := range cells {
			limit := s2.CellFromCellID(id).CapBound()
			if kmBetween(limit.Center(), d.at) <= d.km+limit.Radius().Radians()*radiusKM {
				out = append(out, d)
				break
			}
		}
	}
	return out
}
