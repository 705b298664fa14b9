package evidence

import (
	"errors"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Refusals, in the order of the checks.
var (
	ErrFormat    = errors.New("format: not a file of evidence")
	ErrVersion   = errors.New("version: evidence of an unknown version")
	ErrSeal      = errors.New("seal: the gate's signature over the file does not verify")
	ErrTrust     = errors.New("trust: the directory's roots are not the ones you trust")
	ErrDirectory = errors.New("directory: its signatures or rules do not hold")
	ErrGate      = errors.New("gate: the directory does not list the gate that sealed the file")
	ErrTimes     = errors.New("times: the recorded times contradict each other")
	ErrPolicy    = errors.New("policy: it is not a complete policy")
	ErrRevoked   = errors.New("revoked: it is not a list of revocations")
	ErrPermit    = errors.New("permit: the region means something else to this program's atlas")
	ErrProof     = errors.New("proof: it does not verify")
	ErrVerdict   = errors.New("verdict: the recorded one is not what the evidence says")
	ErrDecision  = errors.New("decision: the recorded one is not what the evidence says")
	ErrLease     = errors.New("lease: it is not what was decided")
)

// Options of a verification.
type Options struct {
	// Trust is the fingerprint of the roots that the directory must be signed
	// by. The zero value checks the file only within itself.
	Trust [32]byte
	// Now, when set, is when the file is read: it must not come from the future.
	Now time.Time
}

// MaxClockSkew is how far in the future of the reader's clock a file may come from.
const MaxClockSkew = time.Minute

// maxAgeError is by how much a gate's wall clock may have run ahead of its
// monotonic one between challenge and decision.
const maxAgeError = 5 * time.Second

// Verify makes a decision again from its file. Checks, in this order, each with
// its own error: ErrFormat (size, canonical encoding), ErrVersion, ErrSeal (by
// the gate that the file names), ErrTrust, ErrDirectory (signatures of its roots,
// rules, in force at the decision), ErrGate (the directory lists it), ErrTimes,
// ErrPolicy, ErrRevoked, ErrPermit (the same region to this atlas), ErrProof (challenge,
// statements, countersignatures, attestation: with the error of the check),
// ErrVerdict (kind), ErrDecision (granted or refused by the same check, the same
// units), ErrLease (signed by the gate, for this core, nonce, policy, challenge
// and proof, no longer than the verdict holds).
func Verify(file []byte, o Options) (*Report, error) {
	b, err := open(file)
	if err != nil {
		return nil, err
	}
	r := &Report{Bundle: b, Trust: Trust{Roots: b.Roots, Threshold: int(b.Threshold)}}
	r.Fingerprint = r.Trust.Fingerprint()
	r.step("seal", "by gate %s over %d bytes", b.Gate.ID().Short(), len(file))
	if o.Trust != ([32]byte{}) {
		if r.Fingerprint != o.Trust {
			return nil, fmt.Errorf("%w: file %x, yours %x", ErrTrust, r.Fingerprint[:8], o.Trust[:8])
		}
		r.Trusted = true
		r.step("trust", "the directory's roots are yours: %x", r.Fingerprint[:8])
	}
	if err := r.times(o); err != nil {
		return nil, err
	}
	if err := r.signed(); err != nil {
		return nil, err
	}
	if err := r.decide(); err != nil {
		return nil, err
	}
	return r, r.lease()
}

// open reads a file and checks its seal by the gate that it names.
func open(file []byte) (Bundle, error) {
	env, err := identity.DecodeEnvelope(file, MaxSize)
	if err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var b Bundle
	if err := canon.Unmarshal(env.Payload, &b, MaxSize); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if b.Version != Version {
		return Bundle{}, fmt.Errorf("%w: %d, this program reads %d", ErrVersion, b.Version, Version)
	}
	if b.Gate.Role() != identity.RoleGate {
		return Bundle{}, fmt.Errorf("%w: sealed by no gate", ErrSeal)
	}
	if _, err := env.Open(b.Gate, TypeEvidence); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	return b, nil
}

func (r *Report) times(o Options) error {
	d := r.Bundle.Decision
	wall := d.DecidedUnixNS - d.IssuedUnixNS
	switch {
	case d.IssuedUnixNS <= 0 || d.AgeNS <= 0 || wall < 0:
		return fmt.Errorf("%w: decided before it was asked", ErrTimes)
	case d.AgeNS < wall-int64(maxAgeError):
		return fmt.Errorf("%w: %v old, %v after the challenge", ErrTimes, d.Age(), time.Duration(wall))
	case !o.Now.IsZero() && d.DecidedUnixNS > o.Now.Add(MaxClockSkew).UnixNano():
		return fmt.Errorf("%w: decided in the future", ErrTimes)
	}
	r.step("times", "decided %s, %v after the challenge", time.Unix(0, d.DecidedUnixNS).UTC().Format(time.RFC3339), d.Age().Round(time.Microsecond))
	return nil
}

// signed verifies the directory and that it lists the gate.
func (r *Report) signed() error {
	b := r.Bundle
	var err error
	if r.Directory, err = directory.Verify(b.Directory, b.Roots, int(min(b.Threshold, 1<<16)), b.Decision.DecidedUnixNS); err != nil {
		return fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	r.step("directory", "epoch %d, %d beacons, signed by %d of %d roots", r.Directory.Epoch, len(r.Directory.Beacons), b.Threshold, len(b.Roots))
	listed, ok := r.Directory.Gate(b.Gate.ID())
	if !ok || !listed.Equal(b.Gate) {
		return fmt.Errorf("%w: %s", ErrGate, b.Gate.ID().Short())
	}
	r.step("gate", "%s is listed", b.Gate.ID().Short())
	return nil
}

// decide makes the decision again and compares.
func (r *Report) decide() error {
	b := r.Bundle
	var err error
	if r.Policy, err = policy.Decode(b.Policy); err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if problems := r.Policy.Validate(); len(problems) > 0 {
		return fmt.Errorf("%w: %w", ErrPolicy, problems[0])
	}
	if len(b.Revoked) > 0 {
		if r.Revoked, err = revoke.Decode(b.Revoked); err != nil {
			return fmt.Errorf("%w: %w", ErrRevoked, err)
		}
		r.step("revoked", "epoch %d, %d entries", r.Revoked.Epoch, len(r.Revoked.Entries))
	}
	stands := r.Policy.For(grant.Subject(b.Known()), b.Decision.DecidedUnixNS)
	area, hash, err := grant.Permit(r.Revoked.Permit(stands.Permit))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPermit, err)
	}
	if hash != b.PermitHash {
		return fmt.Errorf("%w: %q", ErrPermit, r.Policy.Permit)
	}
	policyHash, err := r.Policy.Hash()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	r.step("policy", "%q version %d permits %s", r.Policy.Name, r.Policy.Version, r.Policy.Permit)
	x, err := statement.Expecting(b.Request.Proof, r.Directory, b.Decision.DecidedUnixNS)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	// What only the gate could know is the nonce: it signed it. Everything else
	// is expected from the file.
	x.Gate, x.Core, x.PolicyHash = b.Gate.ID(), b.Request.Core, policyHash
	r.Finding = grant.Decide(grant.Case{Request: b.Asked(), Account: b.Known(), Expect: x, Policy: stands,
		Permit: area, Touching: atlas.CountriesTouching, Doubt: b.Decision.Doubt, Age: b.Decision.Age(), Available: b.Available(), Drawn: b.Drawn(), Revoked: r.Revoked})
	return r.compare()
}

func (r *Report) compare() error {
	d, f := r.Bundle.Decision, r.Finding
	if f.Verified == nil {
		if d.Granted || d.RefusedBy != f.RefusedBy {
			return fmt.Errorf("%w: refused by %s: %s", ErrProof, f.RefusedBy, f.Reason)
		}
		r.step("proof", "refused again by %s: %s", f.RefusedBy, f.Reason)
		return nil
	}
	if issued := f.Verified.Asked.Challenge().IssuedUnixNS; issued != d.IssuedUnixNS {
		return fmt.Errorf("%w: the challenge was issued at another time", ErrTimes)
	}
	r.step("proof", "%d statements verify, of a committee of %d", len(f.Verified.Facts), len(f.Verified.Asked.Challenge().Committee))
	if attested := f.Attested(); attested != "" {
		r.step("attested", "%s", attested)
	}
	kind := ""
	if f.Judged {
		kind = f.Verdict.Kind().String()
	}
	if kind != d.Verdict {
		return fmt.Errorf("%w: recorded %q, evidence says %q", ErrVerdict, d.Verdict, kind)
	}
	if f.Judged {
		r.step("verdict", "%s again: %s", kind, f.Verdict.Reason())
	}
	switch {
	case d.Granted && f.RefusedBy != "":
		return fmt.Errorf("%w: granted, though %s refuses: %s", ErrDecision, f.RefusedBy, f.Reason)
	case d.Granted && (uint64(f.Units) != d.Units || d.RefusedBy != ""):
		return fmt.Errorf("%w: %d units granted, the evidence says %d", ErrDecision, d.Units, f.Units)
	case !d.Granted && (d.RefusedBy == "" || d.Units != 0 || len(d.Lease) != 0):
		return fmt.Errorf("%w: refused, but by nothing or with a lease", ErrDecision)
	case !d.Granted && f.RefusedBy != "" && f.RefusedBy != d.RefusedBy:
		return fmt.Errorf("%w: refused by %s, the evidence says %s", ErrDecision, d.RefusedBy, f.RefusedBy)
	}
	if d.Granted {
		r.step("decision", "granted again: %d units", d.Units)
	} else {
		r.step("decision", "refused by %s: %s", d.RefusedBy, d.Reason)
	}
	return nil
}

// lease checks that what was released is what was decided.
func (r *Report) lease() error {
	b, d := r.Bundle, r.Bundle.Decision
	if !d.Granted {
		return nil
	}
	l, err := keys.Verify(d.Lease, b.Gate)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLease, err)
	}
	policyHash, err := r.Policy.Hash()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	t := l.Terms
	class, perMille := r.Policy.Class()
	switch {
	case t.Core != b.Request.Core, t.RequestID != b.Request.RequestID, t.LockNonce != b.Request.LockNonce, t.LockSeq != b.Request.LockSeq:
		return fmt.Errorf("%w: it answers another request", ErrLease)
	case t.Units != d.Units, t.Class != uint8(class), t.PerMille != perMille:
		return fmt.Errorf("%w: other units or another class", ErrLease)
	case t.PolicyHash != policyHash, t.ChallengeHash != r.Finding.Verified.Asked.Hash(), t.ProofHash != r.Finding.Verified.Hash:
		return fmt.Errorf("%w: it names another policy, challenge or proof", ErrLease)
	case t.IssuedUnixNS != d.DecidedUnixNS, t.NotAfterUnixNS > d.DecidedUnixNS+int64(r.Finding.Life):
		return fmt.Errorf("%w: it lasts longer than the verdict holds", ErrLease)
	case t.TOffMS > *r.Policy.TOffMS:
		return fmt.Errorf("%w: its T_off is longer than the policy's", ErrLease)
	}
	r.Lease = &l
	r.step("lease", "%d units, %s, until %s", t.Units, class, time.Unix(0, t.NotAfterUnixNS).UTC().Format(time.RFC3339))
	return nil
}
