package trial

import (
	"cmp"
	"math"
	"slices"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/sample"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Core is who is tried. An honest core claims where it stands; its adversary, if any, is somebody else, who troubles it. A core that
// claims another place is the adversary's own.
type Core struct {
	ID     string // seeds what is drawn for it
	Stands world.Place
	Claim  world.Place
}

// Cheats says whether the core claims another place than the one where it stands.
func (c Core) Cheats() bool { return c.Stands.ID != c.Claim.ID || c.Stands.At != c.Claim.At }

// Detection names what raised an alarm.
type Detection string

// The detections, the first that applies counts.
const (
	Unnoticed    Detection = ""
	ByProtocol   Detection = "protocol"           // a signature, MAC or nonce; not sampled but known
	ByChain      Detection = "chain"              // two proofs follow one: the key is in two places
	ByQuarantine Detection = "quarantine"         // the audit convicted a liar of the committee
	ByEmpty      Detection = "inconsistent"       // the verdict
	ByOutside    Detection = "outside"            // the verdict
	ByClocks     Detection = "direction-mismatch" // a flag in a statement: the two sides' minima differ by over a millisecond
)

// Outcome is what came of a trial.
type Outcome struct {
	Core        string
	Cheats      bool
	Stands      atlas.Class // how the core's true place, when it is judged, lies to the permit
	Kind        verdict.Kind
	Check       verdict.Check
	FalseAccept bool // Inside, though the core does not stand inside
	FalseReject bool // not Inside, though an honest core stands inside
	Holds       bool // the region holds the core's true place
	Detected    Detection
	RegionKM2   float64   // an upper estimate of the region's area
	Asked       int       // beacons
	Answered    int       // beacons whose statements were judged
	Shortest    earth.RTT // the smallest bound, by round trip; 0 when none answered
	Proofs      int       // that the adversary tried, at least 1
}

// Run prepares the setup and tries one core. For many cores prepare once.
func (s Setup) Run(c Core) (Outcome, error) {
	t, err := s.Prepare()
	if err != nil {
		return Outcome{}, err
	}
	return t.Run(c)
}

// Run tries one core. An error means that the real judge refused the input, which a setup that was prepared never makes it.
func (t *Trial) Run(c Core) (Outcome, error) {
	var first Outcome
	for attempt := range t.setup.Adversary.Attempts() {
		o, err := t.attempt(c, attempt)
		if err != nil {
			return Outcome{}, err
		}
		if attempt == 0 {
			first = o
		}
		if o.Kind == verdict.Inside || !c.Cheats() {
			o.Proofs = attempt + 1
			return o, nil
		}
		first.Proofs = attempt + 1
	}
	return first, nil
}

// attempt makes one proof and judges it.
func (t *Trial) attempt(c Core, attempt int) (Outcome, error) {
	scene, committee := t.scene(c, attempt)
	t.setup.Adversary.Before(scene)
	t.exchange(scene, c, committee)
	t.setup.Adversary.After(scene)

	truth, age := c.Stands.At, t.setup.Age
	if t.setup.Adversary.Name == adversary.MovedCore && c.Cheats() {
		age = flight
		truth = along(c.Claim.At, c.Stands.At, t.setup.Adversary.Strength*flight.Seconds())
	}
	obs := make([]verdict.Observation, 0, len(scene.Links))
	for i := range scene.Links {
		l := &scene.Links[i]
		if l.Silent {
			continue
		}
		s := &t.fleet[committee[i]]
		obs = append(obs, verdict.Observation{Beacon: s.Place.ID, Place: s.Place.Name, Domains: s.Domains, Position: s.at, PosUnc: s.PosUnc,
			RTT: l.Found.Bound(), Granularity: 1, ErrPPB: uint64(stamp.QuartzPPB), Age: age})
	}
	v, err := verdict.Judge(obs, t.params, t.setup.Permit, nil)
	if err != nil {
		return Outcome{}, err
	}
	return t.outcome(c, scene, obs, v, truth), nil
}

// scene sets the committee out; the second result says who it is.
func (t *Trial) scene(c Core, attempt int) (*adversary.Scene, []int) {
	committee := t.committee(c.Claim.At)
	s := &adversary.Scene{World: t.setup.World, Stands: c.Stands, Claim: c.Claim, At: t.setup.At, Cheats: c.Cheats(), F: t.setup.F, Speed: t.setup.Class.Speed(),
		Attempt: attempt, Draws: sample.KeyOf(t.setup.Seed, sample.Hash(c.ID), sample.Hash("adversary"), uint64(attempt)).Draws(),
		Links: make([]adversary.Link, len(committee))}
	for i, k := range committee {
		b := &t.fleet[k]
		l := &s.Links[i]
		*l = adversary.Link{Beacon: b.Place, Stated: b.at, Domains: b.Domains, Adds: t.setup.Access}
		l.Path, _ = sample.Between(s.World, b.Place, c.Stands, s.At)
	}
	return s, committee
}

// exchange draws what is measured. Every proof of a core has chance of its own.
func (t *Trial) exchange(s *adversary.Scene, c Core, committee []int) {
	core := sample.Hash(c.ID)
	for i := range s.Links {
		l := &s.Links[i]
		if l.Silent {
			continue
		}
		found, ok := t.sampler.Exchange(l.Path, sample.KeyOf(t.setup.Seed, core, t.fleet[committee[i]].name, uint64(s.Attempt)))
		if !ok {
			l.Silent = true
			continue
		}
		found.Beacon += l.Adds
		found.Core += l.Adds
		l.Found = found
	}
}

func (t *Trial) outcome(c Core, s *adversary.Scene, obs []verdict.Observation, v verdict.Verdict, truth earth.LatLon) Outcome {
	o := Outcome{Core: c.ID, Cheats: s.Cheats, Kind: v.Kind(), Check: v.Check(), Asked: len(s.Links), Answered: len(obs), Proofs: 1}
	o.Stands = t.setup.Permit.ClassPoint(truth)
	o.RegionKM2, _ = v.RegionKM2()
	if r, ok := v.Region(); ok {
		o.Holds = r.Contains(truth)
	}
	o.FalseAccept = o.Kind == verdict.Inside && o.Stands != atlas.In
	o.FalseReject = o.Kind != verdict.Inside && o.Stands == atlas.In && !s.Cheats
	for i, m := range obs {
		if i == 0 || m.RTT < o.Shortest {
			o.Shortest = m.RTT
		}
	}
	o.Detected = t.detected(s, o.Kind)
	return o
}

// mismatch is the tolerance of beacon/exchange between the two sides' minima.
const mismatch earth.RTT = 1e6

func (t *Trial) detected(s *adversary.Scene, kind verdict.Kind) Detection {
	switch {
	case t.kind.Refused == adversary.ByProtocol && s.Cheats:
		return ByProtocol
	case t.setup.Adversary.Name == adversary.ClonedCore && s.Cheats && s.Draws.Float64() < t.setup.Adversary.Strength:
		return ByChain
	case kind == verdict.Inconsistent:
		return ByEmpty
	case kind == verdict.Outside:
		return ByOutside
	case len(t.caught) > 0:
		return ByQuarantine
	}
	for _, l := range s.Links {
		if d := l.Found.Beacon - l.Found.Core; !l.Silent && (d > mismatch || -d > mismatch) {
			return ByClocks
		}
	}
	return Unnoticed
}

// Committee returns the ids of the beacons that are asked about a claim, sorted.
func (t *Trial) Committee(claim earth.LatLon) []string {
	var ids []string
	for _, i := range t.committee(claim) {
		ids = append(ids, t.fleet[i].Place.ID)
	}
	slices.Sort(ids)
	return ids
}

// committee returns who is asked about a claim: the nearest by stated place, ties by id, but first the nearest that bring new
// domains until 2f+1 are there. It is the rule of topology/plan for delays that grow with distance.
func (t *Trial) committee(claim earth.LatLon) []int {
	m := t.setup.Committee
	if m == 0 || m > len(t.fleet) {
		m = len(t.fleet)
	}
	x := claim.ECEF(0)
	all := make([]ranked, len(t.fleet))
	for i := range t.fleet {
		all[i] = ranked{i, earth.Chord(x, t.fleet[i].at)}
	}
	t.sortNearest(all, m)
	return t.choose(all, m)
}

type ranked struct {
	index int
	far   earth.Metres
}

// sortNearest brings the m nearest to the front, in order; the rest only when the m do not have domains enough.
func (t *Trial) sortNearest(all []ranked, m int) {
	order := func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(t.fleet[a.index].Place.ID, t.fleet[b.index].Place.ID))
	}
	if len(all) <= 4*m {
		slices.SortFunc(all, order)
		return
	}
	near := all[:m]
	slices.SortFunc(near, order)
	for i := m; i < len(all); i++ {
		if order(all[i], near[m-1]) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(near, all[i], order)
		last := near[m-1]
		in := all[i]
		copy(near[at+1:], near[at:m-1])
		near[at], all[i] = in, last
	}
	if t.domains(near) < 2*t.setup.F+1 {
		slices.SortFunc(all, order)
	}
}

func (t *Trial) domains(of []ranked) int {
	seen := make(map[string]bool, len(of))
	for _, r := range of {
		for _, d := range t.fleet[r.index].Domains {
			seen[d] = true
		}
	}
	return len(seen)
}

// choose takes m of the sorted, domains first.
func (t *Trial) choose(sorted []ranked, m int) []int {
	out := make([]int, 0, m)
	if t.domains(sorted[:m]) >= min(2*t.setup.F+1, m) {
		for _, r := range sorted[:m] {
			out = append(out, r.index)
		}
		return out
	}
	taken, seen := make([]bool, len(sorted)), map[string]bool{}
	take := func(i int) {
		taken[i] = true
		out = append(out, sorted[i].index)
		for _, d := range t.fleet[sorted[i].index].Domains {
			seen[d] = true
		}
	}
	for i := 0; i < len(sorted) && len(seen) < 2*t.setup.F+1 && len(out) < m; i++ {
		if slices.ContainsFunc(t.fleet[sorted[i].index].Domains, func(d string) bool { return !seen[d] }) {
			take(i)
		}
	}
	for i := 0; i < len(sorted) && len(out) < m; i++ {
		if !taken[i] {
			take(i)
		}
	}
	return out
}

// along returns the place on the great circle from a to b after so many metres, b at the latest.
func along(a, b earth.LatLon, metres float64) earth.LatLon {
	whole := float64(earth.GreatCircle(a, b))
	if metres >= whole {
		return b
	}
	p, q := a.Point(), b.Point()
	angle := float64(p.Distance(q))
	part := metres / whole
	x := p.Mul(math.Sin((1-part)*angle) / math.Sin(angle)).Add(q.Mul(math.Sin(part*angle) / math.Sin(angle)))
	return earth.LatLonOf(pointOf(x))
}
