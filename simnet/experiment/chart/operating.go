package chart

import (
	"cmp"
	"slices"

	"gonum.org/v1/plot/plotter"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/simnet/experiment/summary"
)

// strengthKey is the key along which operating points are told apart.
const strengthKey = "adversary.strength"

// setKeys are the keys that set the gate: a policy that is swept over them moves along the curve.
var setKeys = []string{"policy.f", "policy.speed", "committee", "rounds"}

// operating draws, for each strength of the adversary, what the gate accepts of those outside against what it accepts of those inside: the
// receiver operating characteristic, at the settings that were tried. It needs cores of both kinds.
func operating(s *result.Set) ([]*Picture, error) {
	strengths := summary.Distinct(s, strengthKey)
	if len(strengths) == 0 {
		return nil, nil
	}
	accepts, _ := summary.ShareOf("proven")
	falsely, _ := summary.ShareOf("false_inside")
	rows := summary.Collapse(s, summary.Pooled(s), append([]string{strengthKey}, setKeys...)...)
	p := blank(s.Header.Name+": Accepted inside against accepted outside", "false accepts, of cores outside", "accepted, of cores inside")
	chance, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}})
	if err != nil {
		return nil, err
	}
	chance.Color = faint
	p.Add(chance)
	drawn := 0
	for i, strength := range strengths[:min(len(strengths), maxCurves)] {
		xy := plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}} // refuse everybody, accept everybody
		for k := range rows {
			r := &rows[k]
			x, y := r.Interval(falsely), r.Interval(accepts)
			if r.Value(s, strengthKey) == strength && x.Known && y.Known {
				xy = append(xy, plotter.XY{X: x.Share, Y: y.Share})
			}
		}
		if len(xy) == 2 {
			continue
		}
		slices.SortFunc(xy, func(a, b plotter.XY) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
		if err := curve(p, xy, i, "strength "+strength, false); err != nil {
			return nil, err
		}
		drawn++
	}
	if drawn == 0 {
		return nil, nil
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.02, 1, 0, 1.02
	p.Legend.Top = false
	return []*Picture{{Name: "roc", Caption: "One point for each setting of the gate that was tried, joined through refusing and accepting everybody. Left is safe, up is useful.",
		plot: p, width: height * 1.3, height: height}}, nil
}
