package attest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of evidence by the rules that hold for every platform.
var (
	ErrAppraiser      = errors.New("appraiser is not well configured")
	ErrNoVerifier     = errors.New("no verifier for the platform")
	ErrReportData     = errors.New("report is bound to another identity, timed key or nonce than the evidence names")
	ErrDebug          = errors.New("machine is in debug mode")
	ErrMigratable     = errors.New("environment can be migrated")
	ErrEvidenceOld    = errors.New("evidence is too old")
	ErrEvidenceFuture = errors.New("evidence was made in the future")
	ErrWant           = errors.New("appraisal needs a subject, a nonce and the time")
)

// Appraiser compares evidence with a policy and signs its conclusions. Safe for concurrent use.
type Appraiser struct {
	*Examiner
	key      *identity.Private
	policy   func(identity.ID) (Policy, error)
	audience string
	ttl      time.Duration
}

// AppraiserConfig configures an appraiser.
type AppraiserConfig struct {
	Key    *identity.Private // of role appraiser
	Policy Policy            // what it affirms, whoever attests
	// PolicyFor, if given, is asked instead of Policy: what it affirms about one subject, such as a beacon by its directory entry.
	PolicyFor func(subject identity.ID) (Policy, error)
	Audience  string        // who may rely on it: the constellation's name
	TTL       time.Duration // of results; at most MaxResultTTL, which is also the default for zero
	Verifiers []Verifier    // one for each platform
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
	if c.PolicyFor == nil {
		if _, err := c.Policy.Hash(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAppraiser, err)
		}
		c.PolicyFor = func(identity.ID) (Policy, error) { return c.Policy, nil }
	}
	x, err := NewExaminer(c.NeedRevocations, c.Verifiers...)
	return &Appraiser{Examiner: x, key: c.Key, policy: c.PolicyFor, audience: c.Audience, ttl: c.TTL}, err
}

// Want is what the appraiser is asked about.
type Want struct {
	Subject   identity.ID // whose key
	Nonce     [32]byte    // that was given to the attester just now
	NowUnixNS int64
}

// Appraise examines evidence and, if every rule of Examiner.Examine holds, returns a signed and encoded affirming result. Beside its
// errors: those of PolicyFor, and ErrPolicy.
func (a *Appraiser) Appraise(encoded []byte, w Want) ([]byte, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	policy, err := a.policy(w.Subject)
	if err != nil {
		return nil, err
	}
	hash, err := policy.Hash()
	if err != nil {
		return nil, err
	}
	e, claims, err := a.Examine(encoded, w, policy)
	if err != nil {
		return nil, err
	}
	return a.conclude(encoded, e, claims, hash, w.NowUnixNS)
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
	if err := policy.allows(platform, Configured(c.Measurement, c.Configuration), c.TCB, c.Machine); err != nil {
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

func (a *Appraiser) conclude(encoded []byte, e Evidence, c Claims, policy [32]byte, now int64) ([]byte, error) {
	r := Result{
		Version: Version, Status: StatusAffirming, Subject: e.Subject, Platform: e.Platform, Measurement: Configured(c.Measurement, c.Configuration),
		TCB: c.TCB, Machine: c.Machine, Nonce: e.Nonce, EvidenceHash: identity.Hash("evidence", encoded), PolicyHash: policy,
		Audience: a.audience, IssuedUnixNS: now, ExpiresUnixNS: now + int64(a.ttl), Credentials: c.Credentials, TimedKey: e.TimedKey,
	}
	if c.Configuration != [32]byte{} {
		r.Code = c.Measurement
	}
	payload, err := canon.Marshal(r)
	if err != nil {
		return nil, err
	}
	signed, err := identity.Seal(a.key, identity.TypeResult, payload)
	if err != nil {
		return nil, err
	}
	return signed.Encode()
}
