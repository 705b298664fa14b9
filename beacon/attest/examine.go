package attest

import (
	"fmt"
	"sync/atomic"
)

// Examiner verifies evidence and holds it against a policy: what appraisers and those who look at evidence themselves have in common.
// Safe for concurrent use.
type Examiner struct {
	verifiers       map[Platform]Verifier
	needRevocations bool
	revocations     atomic.Pointer[Revocations] // the list in use; SetRevocations
}

// NewExaminer takes one verifier for each platform (ErrAppraiser). With needRevocations everything is refused until SetRevocations gave
// a list, and whenever that list is past its date; a list that was given is heeded in any case.
func NewExaminer(needRevocations bool, verifiers ...Verifier) (*Examiner, error) {
	x := &Examiner{needRevocations: needRevocations, verifiers: make(map[Platform]Verifier, len(verifiers))}
	for _, v := range verifiers {
		if _, twice := x.verifiers[v.Platform()]; twice {
			return nil, fmt.Errorf("%w: two verifiers for %q", ErrAppraiser, v.Platform())
		}
		x.verifiers[v.Platform()] = v
	}
	return x, nil
}

// Verifies says whether evidence of the platform can be verified here.
func (x *Examiner) Verifies(p Platform) bool {
	_, ok := x.verifiers[p]
	return ok
}

func (w Want) check() error {
	if w.Subject.IsZero() || w.Nonce == [32]byte{} || w.NowUnixNS <= 0 {
		return ErrWant
	}
	return nil
}

// Examine verifies evidence and applies every rule of appraisal. The rules, in this order, each with its own error:
//
//	ErrWant              the question is complete
//	ErrEvidence          size and canonical encoding (wraps canon's errors); ErrVersion
//	ErrSim, ErrPlatform  the policy names the platform
//	ErrNonce             the evidence answers the wanted nonce
//	ErrSubject           and is about the wanted identity
//	ErrNoVerifier        its platform can be verified
//	                     signatures and chains, by the platform's verifier: ErrWrongRoot, ErrReportSignature and its own
//	ErrReportData        the report itself is bound to that identity and nonce, and to the timed key that the evidence names
//	ErrDebug             debug mode is off
//	ErrMigratable        the environment cannot be moved
//	ErrMeasurement       the policy names the code, with its measured configuration where the platform has one
//	ErrTCB               and the security version is high enough
//	ErrMachine           and the machine is one that the policy names, where it names any
//	ErrEvidenceOld       the platform's clock, where it has one, is at most MaxEvidenceAge behind
//	ErrEvidenceFuture    and at most MaxClockSkew ahead
//	ErrRevocationsMissing  there is a revocation list, if one is needed
//	ErrRevocationsStale  which is not past its date
//	ErrMachineRevoked, ErrCodeRevoked, ErrCredentialRevoked  and names neither machine nor code nor a key or certificate of the report
func (x *Examiner) Examine(encoded []byte, w Want, policy Policy) (Evidence, Claims, error) {
	if err := w.check(); err != nil {
		return Evidence{}, Claims{}, err
	}
	e, err := DecodeEvidence(encoded)
	if err != nil {
		return e, Claims{}, err
	}
	if _, err := policy.allowsPlatform(e.Platform); err != nil {
		return e, Claims{}, fmt.Errorf("evidence: %w", err)
	}
	if e.Nonce != w.Nonce {
		return e, Claims{}, fmt.Errorf("evidence: %w", ErrNonce)
	}
	if e.Subject != w.Subject {
		return e, Claims{}, fmt.Errorf("evidence: %w: %s, want %s", ErrSubject, e.Subject.Short(), w.Subject.Short())
	}
	v, ok := x.verifiers[e.Platform]
	if !ok {
		return e, Claims{}, fmt.Errorf("%w: %q", ErrNoVerifier, e.Platform)
	}
	claims, err := v.Verify(e.Body, w.NowUnixNS)
	if err != nil {
		return e, Claims{}, err
	}
	if err := Judge(e.Platform, claims, e.Binding().ReportData(), policy, w.NowUnixNS); err != nil {
		return e, Claims{}, err
	}
	return e, claims, x.checkRevoked(claims.withdrawable(), w.NowUnixNS)
}
