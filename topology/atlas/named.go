package atlas

import "github.com/ursa-virtual/ursa/topology/earth"

// Accuracy is the distance in metres within which the atlas does not commit itself: the 95th percentile of the source's error
// (4.8 km, measured on land borders against a 10 m reference), the 250 m by which simplifying may have moved a border, 43 m for
// reading the source's straight lines as geodesics and 4 m for rounding, and the sum rounded up. Five borders in a hundred are off by more: put a buffer around what must not be touched.
const Accuracy earth.Metres = 5_100

// isNamed says whether an expression combines named areas alone, so that it can be answered atom by atom.
func isNamed(e expr) bool {
	all := func(list []expr) bool {
		for _, x := range list {
			if !isNamed(x) {
				return false
			}
		}
		return true
	}
	switch e := e.(type) {
	case nameExpr:
		return true
	case unionExpr:
		return all(e.list)
	case meetExpr:
		return all(e.list)
	case minusExpr:
		return isNamed(e.from) && isNamed(e.what)
	}
	return false
}

// landCode and seaCode stand for all land and all sea, earthCode for both.
const (
	landCode  = "LAND"
	seaCode   = "SEA"
	earthCode = "*"
)

// seaClaim is the claim of nobody on the sea.
var seaClaim = claim{seaCode, ""}

// heldBy says whether an expression over named areas holds a place, if the claim on it is right.
func heldBy(e expr, c claim) bool {
	switch e := e.(type) {
	case nameExpr:
		return nameHolds(e.name, c)
	case unionExpr:
		for _, x := range e.list {
			if heldBy(x, c) {
				return true
			}
		}
		return false
	case meetExpr:
		for _, x := range e.list {
			if !heldBy(x, c) {
				return false
			}
		}
		return true
	case minusExpr:
		return heldBy(e.from, c) && !heldBy(e.what, c)
	}
	return false
}

func nameHolds(name string, c claim) bool {
	switch name {
	case earthCode:
		return true
	case landCode:
		return c != seaClaim
	case c.country, c.sub:
		return true
	}
	if u, ok := unionNamed(name); ok {
		for _, m := range u.Members {
			if m == c.country {
				return true
			}
		}
	}
	return false
}

// reading is an expression over named areas, atom by atom: low holds those in it whoever is right, high those in it if anybody is.
// Zones are read alike: cut are those where somebody's claim takes a place out, added those where one puts it in.
type reading struct {
	low, high  atomSet
	cut, added []int
}

// read asks each atom and each zone once per claimant.
func (w *world) read(e expr, rule DisputeRule) reading {
	r := reading{low: w.newAtomSet(), high: w.newAtomSet()}
	answers := make(map[claim]bool, len(w.atoms))
	held := func(c claim) bool {
		v, ok := answers[c]
		if !ok {
			v = heldBy(e, c)
			answers[c] = v
		}
		return v
	}
	if held(seaClaim) {
		r.low.add(0)
		r.high.add(0)
	}
	for i := range w.atoms[1:] {
		claims := w.atoms[i+1].claims
		if rule == FirstClaim {
			claims = claims[:1]
		}
		all, any := true, false
		for _, c := range claims {
			all, any = all && held(c), any || held(c)
		}
		if all {
			r.low.add(i + 1)
		}
		if any {
			r.high.add(i + 1)
		}
	}
	if rule == Strict {
		r.cut, r.added = w.readZones(held)
	}
	return r
}

func (w *world) compileNamed(e expr, o Options) node {
	r := w.read(e, o.Disputes)
	land := shapeNode{
		low:      &w.sets.of(r.low, r.cut, false).shape,
		high:     &w.sets.of(r.high, r.added, true).shape,
		accuracy: o.Accuracy,
	}
	if o.Sea == Land || r.low.has(0) {
		return land
	}
	coast := coastOf(w, r, land)
	if o.Sea == Neutral {
		return neutralNode{coast}
	}
	return territorialNode{coast}
}

// readZones returns the zones where somebody's claim would take a place out of the expression, and those where one would put it in.
func (w *world) readZones(held func(claim) bool) (cut, added []int) {
	for i, z := range w.zones {
		all, any := true, false
		for _, c := range z.claimants {
			all, any = all && held(claim{country: c}), any || held(claim{country: c})
		}
		if !all {
			cut = append(cut, i)
		}
		if any {
			added = append(added, i)
		}
	}
	return cut, added
}
