package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/locator/estimate"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// fold is a part of the roster; what is learnt from the others locates the targets in it.
type fold struct{ members []int }

// The number of folds: the more the closer each training is to the whole roster; the cost grows with folds times roster.
const (
	leastFolds = 8
	foldBudget = 1200
)

// foldsOf deals the roster into folds, those that are too near each other into one. The reserve, when there is one, is a fold of its own, which also serves every target outside
// the roster: what is then learnt comes from exactly the beacons.
func foldsOf(t *task, want int) []fold {
	members := t.roster
	if t.reserve >= 0 {
		members = members[:len(members)-1]
	}
	if want <= 0 {
		want = max(leastFolds, foldBudget/max(1, len(members)))
	}
	n := min(len(members), want)
	out := make([]fold, n)
	for i, group := range t.metros(members) {
		out[i%n].members = append(out[i%n].members, group...)
	}
	out = slices.DeleteFunc(out, func(f fold) bool { return len(f.members) == 0 })
	if t.reserve >= 0 {
		out = append(out, fold{[]int{t.reserve}})
	}
	return out
}

// metros groups nodes that are joined by steps of less than t.apart, in the order of their first members.
func (t *task) metros(members []int) [][]int {
	var out [][]int
	done := map[int]bool{}
	for _, first := range members {
		if done[first] {
			continue
		}
		done[first] = true
		group := []int{first}
		for i := 0; i < len(group); i++ {
			for _, m := range members {
				if !done[m] && t.km[group[i]][m] < t.apart {
					done[m] = true
					group = append(group, m)
				}
			}
		}
		out = append(out, group)
	}
	return out
}

// runUrsa answers for every target, in the order of t.targets.
func runUrsa(ctx context.Context, t *task, o Options, p *progress) ([]answer, string, int, error) {
	mesh, err := t.mesh(t.roster)
	if err != nil {
		return nil, "", 0, err
	}
	place := map[int]int{} // in the roster
	for i, m := range t.roster {
		place[m] = i
	}
	out := make([]answer, len(t.targets))
	folds := foldsOf(t, o.Folds)
	learnt := ""
	for _, f := range folds {
		var others []int
		for i, m := range t.roster {
			if !slices.Contains(f.members, m) {
				others = append(others, i)
			}
		}
		trained, err := estimate.Train(ctx, mesh.Only(others), estimate.TrainOptions{Workers: o.Workers, ApartKM: t.apart, Progress: p.step})
		if err != nil {
			return nil, "", 0, fmt.Errorf("training: %w", err)
		}
		if learnt == "" {
			learnt = trained.Text()
		}
		locator := estimate.NewLocator(mesh, trained, o.Workers)
		var mine []int
		for i, target := range t.targets {
			if slices.Contains(f.members, t.absent(target)) {
				mine = append(mine, i)
			}
		}
		err = each(ctx, len(mine), o.Workers, func(i int) {
			out[mine[i]] = t.ursa(locator, place, t.targets[mine[i]], o)
			p.step()
		})
		if err != nil {
			return nil, "", 0, err
		}
	}
	return out, learnt, len(folds), nil
}

// mesh makes a constellation of some nodes.
func (t *task) mesh(members []int) (*estimate.Mesh, error) {
	beacons := make([]estimate.Beacon, len(members))
	for i, m := range members {
		n := t.set.Nodes[t.node[m]]
		beacons[i] = estimate.Beacon{Name: n.ID, At: n.At, Country: n.Country}
	}
	return estimate.NewMesh(beacons, func(i, j int) (earth.RTT, bool) {
		return t.set.RTT(t.node[members[i]], t.node[members[j]])
	})
}

// ursa locates one target by all beacons but the one that is absent for it.
func (t *task) ursa(l *estimate.Locator, place map[int]int, target int, o Options) answer {
	a := noAnswer()
	without := []int{place[t.absent(target)]}
	for m, i := range place {
		if m != target && t.km[target][m] < t.apart {
			without = append(without, i)
		}
	}
	var seen []estimate.Observation
	for _, s := range t.sights(target) {
		r, _ := t.set.RTT(t.node[target], t.node[s.beacon])
		seen = append(seen, estimate.Observation{Beacon: place[s.beacon], RTT: r})
	}
	begin := clock(o)
	e, err := l.Locate(seen, estimate.Options{Without: without, Brief: true})
	if err != nil { // nothing was measured with these beacons
		a.errorKM, a.empty = lostKM, true
		return a
	}
	best, countries := e.Best(), e.Jurisdictions()
	a.nanos = clock(o).Sub(begin).Nanoseconds()
	t.answerAt(&a, target, best.At)
	a.right = len(countries) > 0 && countries[0].Country == t.country[target] && t.country[target] != ""
	a.logP = logOf(e.P(t.country[target]))
	for i, p := range []float64{0.5, 0.9, 0.95} {
		a.covers[i] = triOf(e.Region(p).Contains(t.at[target]))
	}
	a.area90 = e.Region(0.9).AreaKM2()
	a.nominal = make([]float64, len(reliability))
	for i, p := range reliability {
		if e.Region(p).Contains(t.at[target]) {
			a.nominal[i] = 1
		}
	}
	return a
}
