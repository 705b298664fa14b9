package statement

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Limits of a proof, in bytes and entries.
const (
	MaxProofSize  = 2 << 20
	MaxResultSize = 64 << 10
	MaxResults    = directory.MaxCommittee + 16
)

// The refusals of a proof, beside those of its challenge and statements.
var (
	ErrProof            = errors.New("not a proof")
	ErrProofSignature   = errors.New("core's signature of the proof does not verify")
	ErrCoreRole         = errors.New("proof's key is not a core's")
	ErrUnexpected       = errors.New("verifier did not say what it expects")
	ErrWrongNonce       = errors.New("proof answers another nonce")
	ErrWrongPolicy      = errors.New("proof was asked for under another policy")
	ErrGateExpected     = errors.New("challenge comes from another gate than expected")
	ErrMadeTime         = errors.New("proof was made at no sensible time")
	ErrNoStatement      = errors.New("proof holds no statement")
	ErrTooManyStatement = errors.New("proof holds too many statements")
	ErrStatementOrder   = errors.New("statements are not in ascending order of beacons")
	ErrDuplicateBeacon  = errors.New("two statements of one beacon")
	ErrDuplicateSession = errors.New("two statements about one session")
	ErrTimedKeys        = errors.New("statement is about another timed key than the proof: the core was started anew, or exists twice")
	ErrResultMissing    = errors.New("statement names an attestation result that the proof does not hold")
	ErrResultUnused     = errors.New("proof holds an attestation result that no statement names")
	ErrResultOrder      = errors.New("attestation results are not in ascending order, or too many or too large")
)

// Proof is everything a core shows about one challenge: a claim. On the wire it is an envelope of type "proof" signed by the core,
// which is the core's countersignature of every statement in it.
type Proof struct {
	Version       uint64              `cbor:"1,keyasint"`
	Suite         uint64              `cbor:"2,keyasint"`
	Core          identity.Public     `cbor:"3,keyasint"`
	Challenge     identity.Envelope   `cbor:"4,keyasint"` // signed by the gate
	Statements    []identity.Envelope `cbor:"5,keyasint"` // of type "statement", signed by beacons; ascending by beacon
	Results       [][]byte            `cbor:"6,keyasint"` // encoded attestation results that statements name; ascending by bytes
	PreviousProof [32]byte            `cbor:"7,keyasint"` // hash of the core's last proof, or FirstProof
	MadeUnixNS    int64               `cbor:"8,keyasint"` // on the core's clock

	TimedKey identity.TimedPublic `cbor:"9,keyasint"` // the key that the statements name; what a gate releases is wrapped to it
}

// Seal brings statements and results into order, drops repeated results, fills in Version, Suite and Core, and returns the signed
// and encoded proof with its hash, which the core's next proof will name. It checks form and size only: a core verifies before it
// countersigns.
func (p Proof) Seal(core *identity.Private) (encoded []byte, hash [32]byte, err error) {
	p.Version, p.Suite, p.Core = Version, identity.Suite, core.Public()
	p.Statements = slices.Clone(p.Statements)
	slices.SortFunc(p.Statements, func(a, b identity.Envelope) int { return a.Signer.Compare(b.Signer) })
	p.Results = slices.Clone(p.Results)
	slices.SortFunc(p.Results, bytes.Compare)
	p.Results = slices.CompactFunc(p.Results, bytes.Equal)
	if err := p.check(); err != nil {
		return nil, [32]byte{}, err
	}
	payload, err := canon.Marshal(p)
	if err != nil {
		return nil, [32]byte{}, err
	}
	e, err := identity.Seal(core, identity.TypeProof, payload)
	if err != nil {
		return nil, [32]byte{}, err
	}
	if encoded, err = e.Encode(); err != nil {
		return nil, [32]byte{}, err
	}
	if len(encoded) > MaxProofSize {
		return nil, [32]byte{}, fmt.Errorf("%w: %d bytes, at most %d", ErrProof, len(encoded), MaxProofSize)
	}
	return encoded, hashProof(payload), nil
}

func hashProof(payload []byte) [32]byte { return identity.Hash("proof", payload) }

// DecodeProof reads an encoded proof without verifying any signature: a claim, for showing and for looking up what to expect.
func DecodeProof(encoded []byte) (Proof, error) {
	_, p, err := decodeProof(encoded)
	return p, err
}

func decodeProof(encoded []byte) (identity.Envelope, Proof, error) {
	e, err := identity.DecodeEnvelope(encoded, MaxProofSize)
	if err != nil {
		return identity.Envelope{}, Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var p Proof
	if err := canon.Unmarshal(e.Payload, &p, MaxProofSize); err != nil {
		return identity.Envelope{}, Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if err := p.check(); err != nil {
		return identity.Envelope{}, Proof{}, err
	}
	return e, p, nil
}

// check judges the proof by itself.
func (p Proof) check() error {
	switch {
	case p.Version != Version:
		return fmt.Errorf("proof: %w %d, want %d", ErrVersion, p.Version, Version)
	case p.Suite != identity.Suite:
		return fmt.Errorf("proof: %w %d, want %d", ErrSuite, p.Suite, identity.Suite)
	case p.Core.Role() != identity.RoleCore:
		return fmt.Errorf("%w: %s", ErrCoreRole, p.Core)
	case p.PreviousProof == [32]byte{}:
		return fmt.Errorf("%w: previous proof", ErrNoHash)
	case p.MadeUnixNS <= 0:
		return ErrMadeTime
	case len(p.Statements) == 0:
		return ErrNoStatement
	case len(p.Statements) > directory.MaxCommittee:
		return fmt.Errorf("%w: %d, at most %d", ErrTooManyStatement, len(p.Statements), directory.MaxCommittee)
	case len(p.Results) > MaxResults:
		return fmt.Errorf("%w: %d", ErrResultOrder, len(p.Results))
	}
	for i := 1; i < len(p.Statements); i++ {
		switch c := p.Statements[i-1].Signer.Compare(p.Statements[i].Signer); {
		case c == 0:
			return fmt.Errorf("%w: %s", ErrDuplicateBeacon, p.Statements[i].Signer.Short())
		case c > 0:
			return fmt.Errorf("%w: entry %d", ErrStatementOrder, i)
		}
	}
	for i, r := range p.Results {
		if len(r) == 0 || len(r) > MaxResultSize || i > 0 && bytes.Compare(p.Results[i-1], r) >= 0 {
			return fmt.Errorf("%w: entry %d", ErrResultOrder, i)
		}
	}
	return nil
}

// Expect is what a verifier knows before it opens a proof. Every field but Roots is required: an empty one would be a check that
// silently did not happen.
type Expect struct {
	Directory     *directory.Directory
	Gate          identity.ID // who asked
	Core          identity.ID // who was asked
	NonceG        [32]byte    // and with which nonce
	PolicyHash    [32]byte    // under which policy
	PreviousProof [32]byte    // hash of the core's last proof, or FirstProof
	NowUnixNS     int64
	Roots         *identity.RootCache // of beacons' batch signatures; may be nil
}

// Expecting returns expectations taken from the proof itself, for an auditor who has only the file and wants to know whether it is
// sound within itself: gate (which the directory must list), core, nonce, policy and previous proof are then whatever the signed
// proof says, and whoever uses the result must say so.
func Expecting(encoded []byte, d *directory.Directory, nowUnixNS int64) (Expect, error) {
	p, err := DecodeProof(encoded)
	if err != nil {
		return Expect{}, err
	}
	c, err := DecodeChallenge(p.Challenge.Payload)
	if err != nil {
		return Expect{}, err
	}
	return Expect{Directory: d, Gate: c.Gate, Core: p.Core.ID(), NonceG: c.NonceG, PolicyHash: c.PolicyHash,
		PreviousProof: p.PreviousProof, NowUnixNS: nowUnixNS}, nil
}

// Verified is a proof that VerifyProof accepted.
type Verified struct {
	Asked      Asked
	Core       identity.Public
	Facts      []Fact               // ascending by beacon
	Results    map[[32]byte][]byte  // encoded attestation results by HashResult: claims, which beacon/attest verifies
	Hash       [32]byte             // what the core's next proof must name
	MadeUnixNS int64                // on the core's clock, as it says
	TimedKey   identity.TimedPublic // whose holder was timed: by every statement
}

// VerifyProof makes facts from an encoded proof. Checks, in this order, each with its own error:
//
//	ErrUnexpected         every expectation is given
//	ErrProof              size and canonical encoding of envelope and proof (wraps identity's and canon's errors)
//	ErrVersion, ErrSuite, ErrCoreRole, ErrNoHash, ErrMadeTime, ErrNoStatement, ErrTooManyStatement, ErrDuplicateBeacon,
//	ErrStatementOrder, ErrResultOrder  the proof by itself
//	ErrWrongCore          it is the expected core's
//	ErrProofSignature     type, signer and both halves of the core's signature (wraps identity's errors)
//	                      the challenge: all errors of VerifyChallenge
//	ErrGateExpected       it comes from the expected gate
//	ErrWrongCore          and asks this core
//	ErrWrongNonce         with the expected nonce
//	ErrWrongPolicy        and policy
//	ErrPreviousProof      the proof continues the expected chain
//	                      each statement: all errors of VerifyStatement, with the beacon's id
//	ErrTimedKeys          all statements are about the proof's timed key
//	ErrDuplicateSession   and no two about one session
//	ErrResultMissing      every attestation result that a statement names is there
//	ErrResultUnused       and no other
//
// One bad statement refuses the whole proof: an honest core verified each before it countersigned.
func VerifyProof(encoded []byte, x Expect) (*Verified, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	c, err := ReadProof(encoded)
	if err != nil {
		return nil, err
	}
	return c.Verify(x)
}

// Claim is a proof that was read and not verified: it can be looked at, and verified without being read again. Nothing of it can
// be changed in between.
type Claim struct {
	proof    Proof
	envelope identity.Envelope
}

// ReadProof reads an encoded proof without verifying any signature. Its errors are DecodeProof's.
func ReadProof(encoded []byte) (Claim, error) {
	e, p, err := decodeProof(encoded)
	return Claim{p, e}, err
}

// Challenge is what the claim says it answers, unverified.
func (c Claim) Challenge() (Challenge, error) { return DecodeChallenge(c.proof.Challenge.Payload) }

// Previous is the proof that the claim names as the core's last one, unverified.
func (c Claim) Previous() [32]byte { return c.proof.PreviousProof }

// check refuses expectations that lack one.
func (x Expect) check() error {
	if x.Gate.IsZero() || x.Core.IsZero() || x.NonceG == [32]byte{} || x.PolicyHash == [32]byte{} ||
		x.PreviousProof == [32]byte{} || x.NowUnixNS <= 0 || x.Directory == nil {
		return ErrUnexpected
	}
	return nil
}

// Verify is VerifyProof of what ReadProof read: the signature covers the envelope's bytes, of which the claim is the reading.
func (c Claim) Verify(x Expect) (*Verified, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	e, p := c.envelope, c.proof
	if p.Core.ID() != x.Core {
		return nil, fmt.Errorf("proof: %w: %s, want %s", ErrWrongCore, p.Core, x.Core.Short())
	}
	payload, err := e.Open(p.Core, identity.TypeProof)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProofSignature, err)
	}
	asked, err := VerifyChallenge(p.Challenge, x.Directory, x.NowUnixNS)
	if err != nil {
		return nil, err
	}
	if err := x.fits(p, asked.challenge); err != nil {
		return nil, err
	}
	v := &Verified{Asked: asked, Core: p.Core, Hash: hashProof(payload), MadeUnixNS: p.MadeUnixNS, TimedKey: p.TimedKey}
	if v.Facts, err = x.facts(p, asked); err != nil {
		return nil, err
	}
	if v.Results, err = results(p.Results, v.Facts); err != nil {
		return nil, err
	}
	return v, nil
}

// fits compares proof and challenge with what was expected.
func (x Expect) fits(p Proof, c Challenge) error {
	switch {
	case c.Gate != x.Gate:
		return fmt.Errorf("%w: %s, want %s", ErrGateExpected, c.Gate.Short(), x.Gate.Short())
	case c.Core != x.Core:
		return fmt.Errorf("challenge: %w: %s, want %s", ErrWrongCore, c.Core.Short(), x.Core.Short())
	case c.NonceG != x.NonceG:
		return ErrWrongNonce
	case c.PolicyHash != x.PolicyHash:
		return ErrWrongPolicy
	case p.PreviousProof != x.PreviousProof:
		return fmt.Errorf("proof: %w", ErrPreviousProof)
	}
	return nil
}

// facts verifies every statement.
func (x Expect) facts(p Proof, asked Asked) ([]Fact, error) {
	context := Context{Directory: x.Directory, Asked: asked, Core: p.Core, PreviousProof: x.PreviousProof,
		NowUnixNS: x.NowUnixNS, Roots: x.Roots}
	facts := make([]Fact, 0, len(p.Statements))
	sessions := make(map[[16]byte]bool, len(p.Statements))
	for _, e := range p.Statements {
		s, b, err := context.verify(e)
		if err != nil {
			return nil, fmt.Errorf("statement of beacon %s: %w", e.Signer.Short(), err)
		}
		f := factOf(s, b)
		if f.TimedKey != p.TimedKey.ID() {
			return nil, fmt.Errorf("%w: beacon %s", ErrTimedKeys, e.Signer.Short())
		}
		if sessions[f.SessionID] {
			return nil, fmt.Errorf("%w: %x", ErrDuplicateSession, f.SessionID[:4])
		}
		sessions[f.SessionID] = true
		facts = append(facts, f)
	}
	return facts, nil
}

// results matches the attestation results with the facts that name them.
func results(list [][]byte, facts []Fact) (map[[32]byte][]byte, error) {
	held := make(map[[32]byte][]byte, len(list))
	for _, r := range list {
		held[HashResult(r)] = r
	}
	named := make(map[[32]byte]bool, len(list))
	for _, f := range facts {
		for _, h := range [][32]byte{f.BeaconResult, f.CoreResult} {
			if _, ok := held[h]; !ok {
				return nil, fmt.Errorf("%w: %x, named by beacon %s", ErrResultMissing, h[:4], f.Beacon.Short())
			}
			named[h] = true
		}
	}
	if len(named) != len(held) {
		return nil, fmt.Errorf("%w: %d held, %d named", ErrResultUnused, len(held), len(named))
	}
	return held, nil
}
