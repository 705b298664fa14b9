package grant

import (
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// ErrChip is a core that attested elsewhere than where it is enrolled: budgets
// hang on the chip.
var ErrChip = errors.New("the core attested on another machine than the one it is enrolled on")

// Case is everything that a decision rests on. Nothing else is looked at.
type Case struct {
	Request  Request
	Account  store.Account
	Expect   statement.Expect // PreviousProof is filled in by Decide
	Policy   policy.Policy
	Permit   verdict.Permit
	Touching verdict.Touching // may be nil
	Age      time.Duration    // since the challenge was issued, on the gate's clock
	// Revoked is what does not count any more. Permit must leave out its regions
	// already. The zero list revokes nothing.
	Revoked revoke.List
	// Doubt estimates how likely it is, in thousandths, that a core with these
	// facts stands where nothing is permitted; nil when it cannot say. It is asked
	// only where the policy has a veto, and can only deny. May be nil.
	Doubt func(facts []statement.Fact, permit string) *uint64
	// Available is what pays for it: the chip's wallet, or what is left of the
	// burn that the request names.
	Available lock.Units
	// Drawn is what was drawn so far, in the windows of the decision, on the buckets
	// of the policy's budgets. A budget of which it says nothing denies.
	Drawn []policy.Drawn
	// Results remembers the signatures of attestation results, which come again in
	// every proof of the hour; may be nil. Like Expect.Roots it changes no decision.
	Results *identity.RootCache

	read *statement.Claim // the request's proof, if somebody has read it already
}

// Finding is what a case comes to.
type Finding struct {
	RefusedBy string // short name of the check; empty: nothing refused
	Reason    string // one line for people

	Verified *statement.Verified // nil when the proof was not accepted
	Previous [32]byte            // the proof that this one names
	Verdict  verdict.Verdict     // zero when it did not come to one
	Judged   bool                // whether it did
	Platform string              // of the core, as appraised
	Outside  *uint64             // what Doubt said; nil: nothing, or it was not asked
	Outcome  policy.Outcome      // of the policy
	Units    lock.Units          // to be released, clipped
	Life     time.Duration       // for which the verdict holds, at most the policy's

	results attest.ProofResults // what the proof's attestation amounts to
}

func (f Finding) refuse(by, reason string) Finding {
	f.RefusedBy, f.Reason = by, reason
	return f
}

// Decide verifies a case; it is a pure function of it. What it does not refuse
// may be released.
func Decide(c Case) Finding {
	var f Finding
	if why, no := Switched(c.Revoked, c.Account, c.Expect.PolicyHash); no {
		return f.refuse(RefusedRevoked, why)
	}
	claim, err := c.claim()
	if err != nil {
		return f.refuse(nameOf(err, RefusedProof), err.Error())
	}
	f.Previous = pick(previousProofs(c.Account, c.Request.Usage, statement.FirstProof(c.Request.Core)), claim.Previous())
	c.Expect.PreviousProof = f.Previous
	if f.Verified, err = claim.Verify(c.Expect); err != nil {
		return f.refuse(nameOf(err, RefusedProof), err.Error())
	}
	if f.results, err = c.appraise(f.Verified); err != nil {
		return f.refuse(nameOf(err, RefusedAttestation), err.Error())
	}
	core := f.results.Core.Result()
	f.Platform = string(core.Platform)
	if why, no := withdrawn(c.Revoked, core); no {
		return f.refuse(RefusedRevoked, why)
	}
	if f.Verdict, err = Judge(f.standing(c.Revoked), c.Policy, c.Age, c.Permit, c.Touching); err != nil {
		return f.refuse(judgeName(err), err.Error())
	}
	f.Judged = true
	return f.weigh(c)
}

// Subject is whom an account is about, for the exemptions of a policy.
func Subject(a store.Account) policy.Subject {
	return policy.Subject{Core: a.Core, Chip: a.Chip, Tenant: a.Tenant}
}

// Switched says whether a list switches a core off, and why: the core itself, its
// chip, its tenant, the whole fleet, or the policy that would release.
func Switched(l revoke.List, a store.Account, policyHash [32]byte) (string, bool) {
	for _, c := range []struct {
		what string
		kind revoke.Kind
		name string
	}{
		{"this core", revoke.Core, hex.EncodeToString(a.Core[:])},
		{"its chip", revoke.Chip, hex.EncodeToString(a.Chip[:])},
		{"its tenant", revoke.Tenant, a.Tenant},
		{"the fleet", revoke.Fleet, "all"},
		{"the policy", revoke.Policy, hex.EncodeToString(policyHash[:])},
	} {
		if e, no := l.Names(c.kind, c.name); no {
			return because(c.what, e), true
		}
	}
	return "", false
}

func because(what string, e revoke.Entry) string {
	if e.Reason == "" {
		return what + " is revoked"
	}
	return what + " is revoked: " + e.Reason
}

// withdrawn says whether a list names what an attestation rests on, and why: the
// machine, its code with or without configuration, or a key or certificate that
// it attests with.
func withdrawn(l revoke.List, r attest.Result) (string, bool) {
	if e, no := l.NamesBytes(revoke.Chip, r.Machine[:]); no {
		return because("the machine that it runs on", e), true
	}
	for _, code := range [][]byte{r.Measurement, r.Code} {
		if e, no := l.NamesBytes(revoke.Measurement, code); no {
			return because("the code that runs there", e), true
		}
	}
	for _, credential := range r.Credentials {
		if e, no := l.NamesBytes(revoke.Credential, credential[:]); no {
			return because("what it attests with", e), true
		}
	}
	return "", false
}

// standing leaves out the facts of revoked beacons and domains, and of beacons
// whose machine, code or credentials are revoked: they count as dropped, and
// dropping never helps.
func (f Finding) standing(l revoke.List) []statement.Fact {
	if len(l.Entries) == 0 {
		return f.Verified.Facts
	}
	return slices.DeleteFunc(slices.Clone(f.Verified.Facts), func(x statement.Fact) bool {
		_, no := l.Names(revoke.Beacon, x.Beacon.String())
		_, machine := withdrawn(l, f.results.Beacons[x.Beacon].Result())
		return no || machine || slices.ContainsFunc(x.Domains, func(d string) bool { _, no := l.Names(revoke.Domain, d); return no })
	})
}

// claim is the request's proof as it was read, unverified.
func (c Case) claim() (statement.Claim, error) {
	if c.read != nil {
		return *c.read, nil
	}
	return statement.ReadProof(c.Request.Proof)
}

// appraise verifies every attestation result that the proof rests on, and that
// the core's is of the chip that it is enrolled on.
func (c Case) appraise(v *statement.Verified) (attest.ProofResults, error) {
	res, err := attest.VerifyProofAs(v, attest.Relying{Directory: c.Expect.Directory, Policy: attest.Policy{Accept: c.Policy.Attest},
		Audience: c.Policy.Audience, NowUnixNS: c.Expect.NowUnixNS, Known: c.Results})
	if err == nil && res.Core.Result().Machine != c.Account.Chip {
		err = ErrChip
	}
	return res, err
}

// pick finds what the proof names among what it may name; if it names anything
// else, verification will say so.
func pick(allowed [][32]byte, named [32]byte) [32]byte {
	for _, a := range allowed {
		if a == named {
			return a
		}
	}
	return allowed[0]
}

func judgeName(err error) string {
	if errors.Is(err, ErrPolicy) {
		return RefusedOutcome
	}
	return RefusedVerdict
}

// weigh lets the policy speak on what was found.
func (f Finding) weigh(c Case) Finding {
	f.Units = c.Request.Want
	if c.Policy.MaxUnits != nil {
		f.Units = min(f.Units, lock.Units(*c.Policy.MaxUnits))
	}
	if c.Policy.TOffMS != nil && c.Policy.MaxUnits != nil && f.Units > 0 {
		f.Units = min(f.Units, appetite(c))
	}
	clipped := uint64(f.Units)
	reportErr := checkReport(c.Request.Usage, c.Request.LockSeq, c.Account)
	ageMS := uint64((c.Age + time.Millisecond - 1) / time.Millisecond)
	if c.Doubt != nil && c.Policy.VetoPerMille != nil {
		f.Outside = c.Doubt(f.standing(c.Revoked), c.Policy.Permit)
	}
	statements, domains := uint64(f.Verdict.Statements()), uint64(f.Verdict.Domains())
	f.Outcome = policy.Evaluate(c.Policy, policy.Facts{NowUnixNS: &c.Expect.NowUnixNS, Verdict: f.Verdict.Kind().String(),
		Statements: &statements, Domains: &domains, AgeMS: &ageMS, Platform: f.Platform, WantUnits: &clipped,
		ReportOK: new(reportErr == nil), OutsidePerMille: f.Outside})
	if check, refused := f.Outcome.Refusal(); refused {
		why := check.Why
		switch check.Rule {
		case policy.RuleVerdict:
			why = f.Verdict.Reason()
		case policy.RuleReport:
			why = reportErr.Error()
		}
		return f.refuse(check.Rule, why)
	}
	if c.Policy.Scheme.Burns() && c.Request.Burn == ([16]byte{}) {
		return f.refuse(RefusedBurn, "the policy asks for a burn, and the request names none")
	}
	if f.Units = min(f.Units, c.Available); f.Units == 0 {
		return f.refuse(RefusedBudget, "the wallet, or the burn, holds nothing more")
	}
	for _, b := range c.Policy.Budgets {
		left, known := b.Left(c.Drawn)
		if f.Units = min(f.Units, left); f.Units == 0 {
			return f.refuse(bucketRefusal(b.Of), emptied(b, known, c.Expect.NowUnixNS))
		}
	}
	if f.Life = life(c, f); f.Life <= 0 {
		return f.refuse(RefusedLife, "a core moving at v_max would leave the permitted region at once")
	}
	return f
}

// life is how long a lease may live: no longer than the policy says and stands
// as it does, than the proof would still be young enough, and than the region, growing at v_max, stays
// inside. Most often it does to the end, which a short look shows; only else the
// last moment is searched for.
func life(c Case, f Finding) time.Duration {
	limit := time.Duration(*c.Policy.LeaseTTLMS) * time.Millisecond
	limit = min(limit, time.Duration(*c.Policy.NotAfterUnixNS-c.Expect.NowUnixNS))
	limit = min(limit, time.Duration(*c.Policy.MaxAgeMS)*time.Millisecond-c.Age).Truncate(time.Millisecond)
	if limit <= 0 {
		return 0
	}
	if f.Verdict.HoldsFor(limit) {
		return limit
	}
	return f.Verdict.StaysInside(limit)
}

// appetite is the most that a core may get now, so that it never holds more than
// it consumes in T_off: the rate at which it has used units since its last
// lease, over T_off, twice over so that it can grow, less what it holds. A core
// that has shown no appetite yet may hold a sixteenth of a greatest lease; one
// that holds enough gets a single unit, which prolongs what it has.
func appetite(c Case) lock.Units {
	a, u, most := c.Account, c.Request.Usage, *c.Policy.MaxUnits
	if a.LastSeq == 0 {
		return lock.Units(most) // nothing is known of it yet
	}
	elapsed := max((c.Expect.NowUnixNS-a.LastAtNS)/int64(time.Millisecond), 1)
	var used lock.Units
	if u.Used > a.Used {
		used = u.Used - a.Used
	}
	hold := max(2*float64(used)/float64(elapsed)*float64(*c.Policy.TOffMS), float64(most/16))
	if room := hold - float64(u.Allowance); room >= 1 {
		return lock.Units(min(room, float64(most)))
	}
	return 1
}
