package monitor

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Hall is a group of cores that answer as if they stood in one hall: in one
// period, their shortest round trips differ by at most HallSpread for every
// beacon that they share, of which there are at least HallBeacons. It is a hint and
// no proof. A core that adds delay of its own leaves its hall, and halls that
// are as near as a few kilometres look like one.
type Hall struct {
	Period  string   `json:"period"`
	Nearest string   `json:"nearest"` // place of the beacon that answers them soonest
	RTTNS   int64    `json:"rtt_ns"`  // of the soonest of them
	Cores   []string `json:"cores"`   // ids, ascending
	Units   uint64   `json:"units"`   // released to them in the period
	Share   float64  `json:"share"`   // of all that was released in the period, as far as it was opened
}

// What makes cores neighbours.
const (
	HallSpread  = earth.RTT(300_000) // 300 µs: 30 km of fibre and back
	HallBeacons = 3
)

func (h Hall) finding() Finding {
	return Finding{Kind: Concentration, Period: h.Period, Core: h.Cores[0], Detail: fmt.Sprintf("%s: it and others, %d cores in all, answer as if from one hall, %.3f ms from %s; %d units, %.0f %% of what was released",
		h.Period, len(h.Cores), float64(h.RTTNS)/1e6, h.Nearest, h.Units, 100*h.Share)}
}

// profile is how far a core is from beacons, in round trips.
type profile struct {
	core    identity.ID
	rtt     map[identity.ID]earth.RTT // by beacon: the shortest in the period
	nearest string
	least   earth.RTT
	units   uint64
}

// halls are the profiles of cores by period.
type halls map[string]map[identity.ID]*profile

func (h halls) add(per Period, d decision) {
	period, core := per.of(d.at()), d.Core
	if h[period] == nil {
		h[period] = map[identity.ID]*profile{}
	}
	p := h[period][core]
	if p == nil {
		p = &profile{core: core, rtt: map[identity.ID]earth.RTT{}, least: earth.RTT(1 << 62)}
		h[period][core] = p
	}
	p.units += d.Units
	for _, f := range d.Heard {
		rtt := f.RTT
		if have, ok := p.rtt[f.Beacon]; !ok || rtt < have {
			p.rtt[f.Beacon] = rtt
		}
		if rtt < p.least {
			p.least, p.nearest = rtt, f.Place
		}
	}
}

// near says whether two cores answer alike.
func (p *profile) near(q *profile) bool {
	shared := 0
	for beacon, rtt := range p.rtt {
		other, ok := q.rtt[beacon]
		if !ok {
			continue
		}
		if d := rtt - other; d > HallSpread || d < -HallSpread {
			return false
		}
		shared++
	}
	return shared >= HallBeacons
}

// list groups the cores of each period, in the order of their ids: each joins the
// first group whose first core is near.
func (h halls) list() []Hall {
	var out []Hall
	for _, period := range slices.Sorted(maps.Keys(h)) {
		cores := slices.SortedFunc(maps.Values(h[period]), func(a, b *profile) int { return bytes.Compare(a.core[:], b.core[:]) })
		var total uint64
		for _, p := range cores {
			total += p.units
		}
		for _, g := range grouped(cores) {
			if len(g) > 1 {
				out = append(out, hallOf(period, g, total))
			}
		}
	}
	return out
}

// shelf is where a group lies, to be found without looking at all of them: a
// beacon, and the round trip of the group's first core in steps of HallSpread.
type shelf struct {
	beacon identity.ID
	step   earth.RTT
}

func grouped(cores []*profile) [][]*profile {
	var groups [][]*profile
	shelves := map[shelf][]int{}
	for _, p := range cores {
		at := -1
		shared := map[int]int{}
		for beacon, rtt := range p.rtt {
			for step := rtt/HallSpread - 1; step <= rtt/HallSpread+1; step++ {
				for _, g := range shelves[shelf{beacon, step}] {
					if shared[g]++; shared[g] == HallBeacons && (at < 0 || g < at) && groups[g][0].near(p) {
						at = g
					}
				}
			}
		}
		if at >= 0 {
			groups[at] = append(groups[at], p)
			continue
		}
		for beacon, rtt := range p.rtt {
			s := shelf{beacon, rtt / HallSpread}
			shelves[s] = append(shelves[s], len(groups))
		}
		groups = append(groups, []*profile{p})
	}
	return groups
}

func hallOf(period string, g []*profile, total uint64) Hall {
	first := slices.MinFunc(g, func(a, b *profile) int { return cmp.Compare(a.least, b.least) })
	out := Hall{Period: period, Nearest: first.nearest, RTTNS: int64(first.least)}
	for _, p := range g {
		out.Cores = append(out.Cores, p.core.String())
		out.Units += p.units
	}
	if total > 0 {
		out.Share = float64(out.Units) / float64(total)
	}
	return out
}
