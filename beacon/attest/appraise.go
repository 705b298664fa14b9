package attest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of evidence by the rules that hold for every platform.
var (
	ErrAppraiser      = errors.New("appraiser is not well configured")
	ErrNoVerifier     = errors.New("no verifier for the platform")
	ErrReportData     = errors.New("report is bound to another identity or nonce than the evidence names")
	ErrDebug          = errors.New("machine is in debug mode")
	ErrMigratable     = errors.New("environment can be migrated")
	ErrEvidenceOld    = errors.New("evidence is too old")
	ErrEvidenceFuture = errors.New("evidence was made in the future")
	ErrWant           = errors.New("appraisal needs a subject, a nonce and the time")
)

// Appraiser compares evidence with a policy and signs its conclusions. Safe for concurrent use.
type Appraiser struct {
	key        *identity.Private
	policy     Policy
	policyHash [32]byte
	audience   string
	ttl        time.Duration
	verifiers  map[Platform]Verifier

	needRevocations bool
	revocations     atomic.Pointer[Revocations] // the list in use; SetRevocations
}

// AppraiserConfig configures an appraiser.
type AppraiserConfig struct {
	Key       *identity.Private // of role appraiser
	Policy    Policy            // what it affirms
	Audience  string            // who may rely on it: the constellation's name
	TTL       time.Duration     // of results; at most MaxResultTTL, which is also the default for zero
	Verifiers []Verifier        // one for each platform
	// NeedRevocations refuses everything until SetRevocations gave a list, and whenever that list is past its date. A list that was
	// given is heeded in any case.
	NeedRevocations bool
}

// NewAppraiser checks the configuration: ErrAppraiser with what is wrong.
func NewAppraiser(c AppraiserConfig) (*Appraiser, error) {
	if c.TTL == 0 {
		c.TTL = MaxResultTTL
	}
	switch {
	case c.Key.Public().Role() != identity.RoleAppraiser:
		return nil, fmt.Errorf("%w: key of role %q, want %q", ErrAppraiser, c.Key.Public().Role(), identity.RoleAppraiser)
	case c.Audience == "":
		return nil, fmt.Errorf("%w: no audience", ErrAppraiser)
	case c.TTL < 0 || c.TTL > MaxResultTTL:
		return nil, fmt.Errorf("%w: results of %s, at most %s", ErrAppraiser, c.TTL, MaxResultTTL)
	}
	hash, err := c.Policy.Hash()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAppraiser, err)
	}
	a := &Appraiser{key: c.Key, policy: c.Policy, policyHash: hash, audience: c.Audience, ttl: c.TTL, needRevocations: c.NeedRevocations,
		verifiers: make(map[Platform]Verifier, len(c.Verifiers))}
	for _, v := range c.Verifiers {
		if _, twice := a.verifiers[v.Platform()]; twice {
			return nil, fmt.Errorf("%w: two verifiers for %q", ErrAppraiser, v.Platform())
		}
		a.verifiers[v.Platform()] = v
	}
	return a, nil
}

// Want is what the appraiser is asked about.
type Want struct {
	Subject   identity.ID // whose key
	Nonce     [32]byte    // that was given to the attester just now
	NowUnixNS int64
}

// Appraise verifies evidence and, if every rule holds, returns a signed and encoded affirming result. The rules, in this order,
// each with its own error:
//
//	ErrWant              the question is complete
//	ErrEvidence          size and canonical encoding (wraps canon's errors); ErrVersion
//	ErrSim, ErrPlatform  the policy names the platform
//	ErrNonce             the evidence answers the wanted nonce
//	ErrSubject           and is about the wanted identity
//	ErrNoVerifier        its platform can be verified
//	                     signatures and chains, by the platform's verifier: ErrWrongRoot, ErrReportSignature and its own
//	ErrReportData        the report itself is bound to that identity and nonce
//	ErrDebug             debug mode is off
//	ErrMigratable        the environment cannot be moved
//	ErrMeasurement       the policy names the code, with its measured configuration where the platform has one
//	ErrTCB               and the security version is high enough
//	ErrEvidenceOld       the platform's clock, where it has one, is at most MaxEvidenceAge behind
//	ErrEvidenceFuture    and at most MaxClockSkew ahead
//	ErrRevocationsMissing  there is a revocation list, if one is needed
//	ErrRevocationsStale  which is not past its date
//	ErrMachineRevoked, ErrCodeRevoked  and names neither machine nor code
func (a *Appraiser) Appraise(encoded []byte, w Want) ([]byte, error) {
	if w.Subject.IsZero() || w.Nonce == [32]byte{} || w.NowUnixNS <= 0 {
		return nil, ErrWant
	}
	e, err := DecodeEvidence(encoded)
	if err != nil {
		return nil, err
	}
	if _, err := a.policy.allowsPlatform(e.Platform); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	if e.Nonce != w.Nonce {
		return nil, fmt.Errorf("evidence: %w", ErrNonce)
	}
	if e.Subject != w.Subject {
		return nil, fmt.Errorf("evidence: %w: %s, want %s", ErrSubject, e.Subject.Short(), w.Subject.Short())
	}
	v, ok := a.verifiers[e.Platform]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoVerifier, e.Platform)
	}
	claims, err := v.Verify(e.Body, w.NowUnixNS)
	if err != nil {
		return nil, err
	}
	if err := Judge(e.Platform, claims, ReportData(e.Subject, e.Nonce), a.policy, w.NowUnixNS); err != nil {
		return nil, err
	}
	if err := a.checkRevoked(claims, w.NowUnixNS); err != nil {
		return nil, err
	}
	return a.conclude(encoded, e, claims, w.NowUnixNS)
}

// Judge holds the rules that are the same for all platforms: a genuine report can still be unacceptable. It is the part of Appraise from
// ErrReportData on.
func Judge(platform Platform, c Claims, reportData [32]byte, policy Policy, now int64) error {
	switch {
	case c.ReportData != reportData:
		return ErrReportData
	case c.Debug:
		return ErrDebug
	case c.Migratable:
		return ErrMigratable
	}
	if err := policy.allows(platform, Configured(c.Measurement, c.Configuration), c.TCB); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	switch {
	case !c.HasClock:
		return nil
	case c.IssuedUnixNS <= 0 || now-c.IssuedUnixNS > int64(MaxEvidenceAge):
		return fmt.Errorf("%w: at most %s", ErrEvidenceOld, MaxEvidenceAge)
	case c.IssuedUnixNS-int64(MaxClockSkew) > now:
		return ErrEvidenceFuture
	}
	return nil
}

func (a *Appraiser) conclude(encoded []byte, e Evidence, c Claims, now int64) ([]byte, error) {
	payload, err := canon.Marshal(Result{
		Version: Version, Status: StatusAffirming, Subject: e.Subject, Platform: e.Platform, Measurement: Configured(c.Measurement, c.Configuration),
		TCB: c.TCB, Machine: c.Machine, Nonce: e.Nonce, EvidenceHash: identity.Hash("evidence", encoded), PolicyHash: a.policyHash,
		Audience: a.audience, IssuedUnixNS: now, ExpiresUnixNS: now + int64(a.ttl),
	})
	if err != nil {
		return nil, err
	}
	signed, err := identity.Seal(a.key, identity.TypeResult, payload)
	if err != nil {
		return nil, err
	}
	return signed.Encode()
}
