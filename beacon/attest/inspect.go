package attest

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// The refusals of what a machine shows of itself to somebody who looks before relying on it.
var (
	ErrNoEvidence = errors.New("machine shows no evidence")
	ErrMixed      = errors.New("evidence and result are about different machines")
)

// Inspector is a relying side that does not stop at a result: it asks the machine for evidence over a nonce of its own and examines
// that too. What changed since the appraiser looked, at most an hour ago, shows at once.
type Inspector struct {
	Examiner *Examiner // with a verifier for every platform but sim that policies name
	Relying  Relying   // Subject, Policy and NowUnixNS are filled in by Inspect; Nonce stays nil, as the result answered the appraiser's
}

// Inspect checks what a machine showed: its appraiser's result, and evidence that must answer the nonce. In this order:
//
//	VerifyResult's errors  the result counts
//	ErrNoVerifier          its platform can be verified; sim without evidence is left at its result, for it proves nothing anyhow
//	ErrNoEvidence          there is evidence
//	Examine's errors       which is good by the same policy
//	ErrMixed               and is of the result's machine and platform
func (i Inspector) Inspect(subject identity.ID, policy Policy, result, evidence []byte, nonce [32]byte, nowUnixNS int64) (Appraised, error) {
	r := i.Relying
	r.Subject, r.Policy, r.NowUnixNS = subject, policy, nowUnixNS
	a, err := VerifyResult(result, r)
	if err != nil {
		return Appraised{}, err
	}
	if a.Simulated() && len(evidence) == 0 {
		return a, nil
	}
	if i.Examiner == nil || !i.Examiner.Verifies(a.result.Platform) {
		return Appraised{}, fmt.Errorf("%w: %q", ErrNoVerifier, a.result.Platform)
	}
	if len(evidence) == 0 {
		return Appraised{}, ErrNoEvidence
	}
	e, claims, err := i.Examiner.Examine(evidence, Want{Subject: subject, Nonce: nonce, NowUnixNS: nowUnixNS}, policy)
	if err != nil {
		return Appraised{}, err
	}
	if e.Platform != a.result.Platform || claims.Machine != a.result.Machine {
		return Appraised{}, fmt.Errorf("%w: %x and %x", ErrMixed, claims.Machine[:4], a.result.Machine[:4])
	}
	return a, nil
}
