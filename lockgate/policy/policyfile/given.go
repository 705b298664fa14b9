package policyfile

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Given are facts that an example takes as given instead of a proof. What is not
// said is not known, and denies where a rule asks for it.
type Given struct {
	Facts   policy.Facts
	Place   *earth.LatLon // a core that is known to stand here; the verdict follows from the region
	Subject policy.Subject
}

// Granted is the outcome of an example that is released.
const Granted = "granted"

// Decisions are the checks by which an example can be refused.
var Decisions = []string{policy.RuleValid, policy.RuleWindow, policy.RuleHours, policy.RulePlatform, policy.RuleAge, policy.RuleStatements, policy.RuleDomains,
	policy.RuleVerdict, policy.RuleVeto, policy.RuleUnits, policy.RuleReport, grant.RefusedRevoked, grant.RefusedFork, grant.RefusedProof,
	grant.RefusedAttestation, grant.RefusedLife, grant.RefusedBudget, grant.RefusedTenantBudget, grant.RefusedPolicyBudget,
	grant.RefusedFleetBudget, grant.RefusedBurn, grant.RefusedSequence, grant.RefusedBeaconSig,
	grant.RefusedTimedKey, grant.RefusedProofSig, grant.RefusedChallenge, grant.RefusedStatement, grant.RefusedStale, grant.RefusedMismatch,
	grant.RefusedPosition, grant.RefusedQuarantine, grant.RefusedStranger, grant.RefusedResults, grant.RefusedRounds, grant.RefusedDuplicate,
	grant.RefusedCore, grant.RefusedRecent, grant.RefusedExpired, grant.RefusedGate, grant.RefusedDirectory, grant.RefusedPolicyHash, grant.RefusedEpoch}

var givenFields = []string{"at", "place", "verdict", "platform", "statements", "domains", "age", "units", "report", "outside", "core", "chip", "tenant"}

// given reads facts.
func (r *reader) given(n *yaml.Node) *Given {
	g := &Given{}
	values := r.keys(n, nil, givenFields)
	var none File
	set := func(name string, read func(*reader, *yaml.Node, *File)) {
		if v := values[name]; v != nil {
			read(r, v, &none)
		}
	}
	set("at", instant(func(_ *File, ns *int64) { g.Facts.NowUnixNS = ns }))
	set("verdict", text(func(_ *File, s string) { g.Facts.Verdict = s }))
	set("platform", text(func(_ *File, s string) { g.Facts.Platform = s }))
	set("statements", count(func(_ *File, n *uint64) { g.Facts.Statements = n }))
	set("domains", count(func(_ *File, n *uint64) { g.Facts.Domains = n }))
	set("age", duration(func(_ *File, n *uint64) { g.Facts.AgeMS = n }))
	set("units", count(func(_ *File, n *uint64) { g.Facts.WantUnits = n }))
	set("outside", share(func(_ *File, n *uint64) { g.Facts.OutsidePerMille = n }))
	set("tenant", text(func(_ *File, s string) { g.Subject.Tenant = s }))
	set("report", func(r *reader, n *yaml.Node, _ *File) {
		if n.Value != "sound" && n.Value != "unsound" {
			r.bad(n, "write sound or unsound; leave it out when there is none")
			return
		}
		g.Facts.ReportOK = new(n.Value == "sound")
	})
	set("place", func(r *reader, n *yaml.Node, _ *File) { g.Place = r.place(n) })
	for name, to := range map[string]*[32]byte{"core": &g.Subject.Core, "chip": &g.Subject.Chip} {
		set(name, func(r *reader, n *yaml.Node, _ *File) {
			b, err := hex.DecodeString(n.Value)
			if err != nil || len(b) != 32 {
				r.bad(n, "write its 64 hexadecimal digits")
				return
			}
			*to = [32]byte(b)
		})
	}
	if g.Place != nil && g.Facts.Verdict != "" {
		r.bad(values["verdict"], "give a place or a verdict: one follows from the other")
	}
	return g
}

// place reads such as "50.11, 8.68".
func (r *reader) place(n *yaml.Node) *earth.LatLon {
	s, ok := r.scalar(n, "latitude and longitude, such as 50.11, 8.68")
	if !ok {
		return nil
	}
	a, b, _ := strings.Cut(s, ",")
	lat, errA := strconv.ParseFloat(strings.TrimSpace(a), 64)
	lon, errB := strconv.ParseFloat(strings.TrimSpace(b), 64)
	at := earth.LatLon{Lat: lat, Lon: lon}
	if errA != nil || errB != nil || at.Validate() != nil {
		r.bad(n, "%q is no place: write latitude and longitude in degrees, such as 50.11, 8.68", s)
		return nil
	}
	return &at
}

// Decide is what the policy makes of given facts.
func (g Given) Decide(p policy.Policy) (Decision, error) {
	f := g.Facts
	if f.NowUnixNS != nil {
		p = p.For(g.Subject, *f.NowUnixNS)
	}
	if g.Place != nil {
		r, err := atlas.Parse(p.Permit, atlas.Options{})
		if err != nil {
			return Decision{}, fmt.Errorf("permit: %w", err)
		}
		f.Verdict = map[atlas.Class]string{atlas.In: "Inside", atlas.Out: "Outside", atlas.Border: "Undetermined"}[r.ClassPoint(*g.Place)]
	}
	if f.WantUnits != nil && p.MaxUnits != nil {
		f.WantUnits = new(min(*f.WantUnits, *p.MaxUnits)) // gates clip before they ask
	}
	d := Decision{Granted: true, Finding: grant.Finding{Outcome: policy.Evaluate(p, f)}}
	if f.WantUnits != nil {
		d.Units = *f.WantUnits
	}
	if check, refused := d.Finding.Outcome.Refusal(); refused {
		d.Granted, d.RefusedBy, d.Reason, d.Units = false, check.Rule, check.Why, 0
	}
	return d, nil
}
