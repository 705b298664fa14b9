package audit

import (
	"cmp"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// report puts the examination into words.
func (e *examination) report(set *dataset.Set) Report {
	r := Report{
		Data: set.Name, Nodes: set.Len(), Pairs: len(e.f.pairs),
		Class: e.o.Class, Speed: e.o.Class.String(), ClaimUncKM: e.o.ClaimUnc.Kilometres(),
		MaxLiars: e.maxLiars, Given: e.o.MaxLiars != nil, Refuted: e.refuted, Framed: e.framed,
		CoverAtLeast: e.cover.low, CoverAtMost: e.cover.high, Conflicts: len(e.conflicts),
	}
	for _, a := range e.convicted {
		r.Convicted = append(r.Convicted, e.accused(a))
	}
	for _, a := range e.suspected {
		r.Suspected = append(r.Suspected, e.accused(a))
	}
	for _, list := range [][]Accused{r.Convicted, r.Suspected} {
		slices.SortStableFunc(list, func(a, b Accused) int {
			return cmp.Or(cmp.Compare(b.Contradictions, a.Contradictions), cmp.Compare(b.Nats, a.Nats), cmp.Compare(a.ID, b.ID))
		})
	}
	r.Refused = e.refusals()
	return r
}

// accused fills in one accusation.
func (e *examination) accused(a accusation) Accused {
	n := e.f.set.Nodes[a.node]
	out := Accused{
		Index: a.node, ID: n.ID, Name: n.Name, Claims: n.Country,
		FalseAlarmRate: round(a.rate, 5), Margin: a.margin, Contradictions: e.g.adj[a.node].count(),
		Nats: round(a.nats, 2), Grounds: a.grounds, Kind: a.kind,
	}
	if a.place >= 0 {
		p := e.f.set.Nodes[a.place]
		out.Likely, out.LikelyLat, out.LikelyLon, out.Near = p.Country, p.At.Lat, p.At.Lon, p.ID
		out.OffByKM = round(e.f.chord(a.node, a.place), 1)
	}
	if a.also >= 0 {
		out.Also = e.f.set.Nodes[a.also].ID
	}
	worst := earth.Metres(0)
	for _, p := range e.conflicts {
		if p.i != a.node && p.j != a.node {
			continue
		}
		if ex := p.excess(e.o.Class); ex > worst {
			worst = ex
		}
		out.Evidence = append(out.Evidence, e.evidence(p, p.i+p.j-a.node))
	}
	out.PosUncKM = round(math.Ceil(max(worst, e.o.ClaimUnc).Kilometres()), 0)
	slices.SortStableFunc(out.Evidence, func(x, y Evidence) int {
		return cmp.Compare(x.RTTMS/x.LightMS, y.RTTMS/y.LightMS)
	})
	out.Evidence = listed(out.Evidence[:min(len(out.Evidence), maxEvidence)])
	return out
}

// evidence states a pair against the strictest class that it contradicts.
func (e *examination) evidence(p pair, peer int) Evidence {
	class := e.o.Class
	if p.excess(earth.Vacuum) > 0 {
		class = earth.Vacuum
	}
	return Evidence{
		Peer: e.f.set.Nodes[peer].ID, RTTMS: p.rtt.Millis(), LightMS: round(2e3*float64(p.chord)/float64(class.Speed()), 4),
		DistanceKM: round(p.chord.Kilometres(), 2), Class: class.String(),
	}
}

// refusals lists the pairs of unconvicted nodes that contradict a class without any tolerance.
func (e *examination) refusals() []Refusal {
	gone := make([]bool, len(e.f.at))
	for _, a := range e.convicted {
		gone[a.node] = true
	}
	accused := make([]bool, len(e.f.at))
	for _, a := range e.suspected {
		accused[a.node] = true
	}
	var out []Refusal
	for _, p := range e.f.conflicts(earth.Fibre, 0) {
		if gone[p.i] || gone[p.j] {
			continue
		}
		x := Refusal{I: p.i, J: p.j, A: e.f.set.Nodes[p.i].ID, B: e.f.set.Nodes[p.j].ID, RTTMS: p.rtt.Millis(),
			ExcessKM: round(p.excess(earth.Fibre).Kilometres(), 2), Class: earth.Fibre.String(), Reason: "within the claims' uncertainty"}
		if p.excess(earth.Vacuum) > 0 {
			x.Class, x.ExcessKM = earth.Vacuum.String(), round(p.excess(earth.Vacuum).Kilometres(), 2)
		}
		if accused[p.i] || accused[p.j] {
			x.Reason = "an end is suspected, none can be convicted"
		}
		out = append(out, x)
	}
	return out
}

func round(x float64, digits int) float64 {
	s := math.Pow(10, float64(digits))
	return math.Round(x*s) / s
}
