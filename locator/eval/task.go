package eval

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// minDegree is the number of measured others from which a node is a target.
const minDegree = 10

// What Run refuses.
var (
	ErrBeacons = errors.New("impossible number of beacons")
	ErrApart   = errors.New("impossible distance between a target and its beacons")
	ErrNoData  = errors.New("nothing to score")
)

// task is a set without the convicted nodes, with the beacons chosen and distances worked out.
type task struct {
	set     *dataset.Set
	audit   audit.Report
	node    []int // indices in the set of those that are left
	at      []earth.LatLon
	vec     []s2.Point
	country []string
	ms      [][]float64 // smaller round trip of each pair; 0 when not measured (a measured one is positive)
	km      [][]float64
	targets []int // indices in node
	// roster holds the nodes that can be beacons: all, or the chosen number and one in reserve. Nodes are numbered as in node.
	roster []int
	chosen int // beacons for each target: all but the target, or this many
	// reserve is the member of the roster that does not exist for a target that is none of the others; -1 when all are beacons.
	reserve int
	apart   float64 // km; nearer nodes are no beacons of a target
}

func newTask(set *dataset.Set, o Options) (*task, error) {
	report, err := audit.Run(set, audit.Options{Countries: countriesWithin})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	t := &task{set: set, audit: report, reserve: -1, apart: o.ApartKM}
	dropped := report.ConvictedIDs()
	for i, n := range set.Nodes {
		if !slices.Contains(dropped, n.ID) {
			t.node = append(t.node, i)
			t.at, t.vec, t.country = append(t.at, n.At), append(t.vec, n.At.Point()), append(t.country, n.Country)
		}
	}
	t.measure()
	for i := range t.node {
		degree := 0
		for _, ms := range t.ms[i] {
			if ms > 0 {
				degree++
			}
		}
		if degree >= minDegree {
			t.targets = append(t.targets, i)
		}
	}
	if len(t.targets) == 0 {
		return nil, fmt.Errorf("%w: no node of %s has %d measured others", ErrNoData, set.Name, minDegree)
	}
	return t, t.draw(o)
}

// countriesWithin names the countries near a place, for the audit's labels.
func countriesWithin(at earth.LatLon, within earth.Metres) []string {
	return atlas.CountriesWithin(within, s2.CellIDFromLatLng(s2.LatLngFromDegrees(at.Lat, at.Lon)))
}

func (t *task) measure() {
	n := len(t.node)
	t.ms, t.km = make([][]float64, n), make([][]float64, n)
	for i := range n {
		t.ms[i], t.km[i] = make([]float64, n), make([]float64, n)
		for j := range i {
			if r, ok := t.set.RTT(t.node[i], t.node[j]); ok {
				t.ms[i][j] = r.Millis()
				t.ms[j][i] = t.ms[i][j]
			}
			t.km[i][j] = earth.GreatCircle(t.at[i], t.at[j]).Kilometres()
			t.km[j][i] = t.km[i][j]
		}
	}
}

// draw chooses the beacons: a permutation from the seed, of which the first o.Beacons serve. One more stands in reserve, for when a
// target is one of them.
func (t *task) draw(o Options) error {
	n := len(t.node)
	if !(o.ApartKM >= 0 && o.ApartKM <= 5000) {
		return fmt.Errorf("%w: %v km, must be 0 to 5000", ErrApart, o.ApartKM)
	}
	if o.Beacons < 0 || o.Beacons >= n {
		return fmt.Errorf("%w: %d, must be below the %d nodes left; 0 means all", ErrBeacons, o.Beacons, n)
	}
	t.roster = rand.New(rand.NewPCG(o.Seed, 0x75727361)).Perm(n)
	t.chosen = n - 1
	if o.Beacons > 0 {
		t.chosen = o.Beacons
		t.roster = t.roster[:o.Beacons+1]
		t.reserve = t.roster[o.Beacons]
	}
	return nil
}

// absent returns the member of the roster that is not a beacon of the target: itself, or the reserve.
func (t *task) absent(target int) int {
	if t.reserve < 0 || slices.Contains(t.roster, target) {
		return target
	}
	return t.reserve
}

// sight is what one target has measured with its beacons, quickest first.
type sight struct {
	beacon int
	ms     float64
}

func (t *task) sights(target int) []sight {
	absent := t.absent(target)
	var out []sight
	for _, b := range t.roster {
		if ms := t.ms[target][b]; b != absent && b != target && ms > 0 && t.km[target][b] >= t.apart {
			out = append(out, sight{b, ms})
		}
	}
	slices.SortFunc(out, func(a, b sight) int {
		switch {
		case a.ms < b.ms:
			return -1
		case a.ms > b.ms:
			return 1
		}
		return a.beacon - b.beacon
	})
	return out
}
