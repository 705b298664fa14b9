package monitor

import (
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// decision is what an auditor takes from evidence that verified: facts, which no
// option of an audit changes. So they can be kept, and added up again in another
// way.
type decision struct {
	Core      identity.ID `cbor:"1,keyasint"`
	Chip      [32]byte    `cbor:"2,keyasint"`
	Tenant    string      `cbor:"3,keyasint"` // as the gate has it
	Policy    [32]byte    `cbor:"4,keyasint"`
	Epoch     uint64      `cbor:"5,keyasint"` // of the directory
	Revoked   uint64      `cbor:"6,keyasint"` // epoch of the revocations
	DecidedNS int64       `cbor:"7,keyasint"`
	Touches   string      `cbor:"8,keyasint"` // such as DE, or AT DE; empty: not known
	Heard     []heard     `cbor:"9,keyasint"`

	// The request, and the account that it was decided on.
	Nonce     [32]byte `cbor:"10,keyasint"`
	Previous  [32]byte `cbor:"11,keyasint"` // the proof that this one names
	Want      uint64   `cbor:"12,keyasint"`
	Redeemed  uint64   `cbor:"13,keyasint"` // sequence of the newest lease that the lock redeemed
	Used      uint64   `cbor:"14,keyasint"`
	Held      uint64   `cbor:"15,keyasint"` // allowance left
	LastSeq   uint64   `cbor:"16,keyasint"` // of the newest lease before, by the gate
	Available uint64   `cbor:"17,keyasint"` // units of the wallet, or of the burn
	Burnt     bool     `cbor:"18,keyasint"` // a burn paid, not the wallet

	// What became of it.
	Granted   bool   `cbor:"19,keyasint"`
	RefusedBy string `cbor:"20,keyasint"`
	Units     uint64 `cbor:"21,keyasint"`
	Leaf      uint64 `cbor:"22,keyasint"`

	// What its leaf must say, when it was granted.
	Object     [32]byte `cbor:"23,keyasint"`
	Commitment [32]byte `cbor:"24,keyasint"`
	LeaseUnits uint64   `cbor:"25,keyasint"`
	LeasePol   [32]byte `cbor:"26,keyasint"`
	HoldsNS    int64    `cbor:"27,keyasint"` // until when the proof holds, Unix ns
}

// heard is how far a core was from a beacon.
type heard struct {
	Beacon identity.ID `cbor:"1,keyasint"`
	Place  string      `cbor:"2,keyasint"`
	RTT    earth.RTT   `cbor:"3,keyasint"`
}

// verified is evidence after its verification.
type verified struct {
	decision
	policy  policy.Policy
	encoded []byte // the policy
	err     error
}

// verify makes a decision again.
func verify(trust [32]byte, file []byte) verified {
	r, err := evidence.Verify(file, evidence.Options{Trust: trust})
	if err != nil {
		return verified{err: err}
	}
	b, d := r.Bundle, r.Bundle.Decision
	v := verified{policy: r.Policy, encoded: b.Policy}
	hash, err := r.Policy.Hash()
	if err != nil {
		return verified{err: err}
	}
	v.decision = decision{Core: b.Request.Core, Chip: b.Account.Chip, Tenant: b.Account.Tenant, Policy: hash, Epoch: r.Directory.Epoch,
		Revoked: r.Revoked.Epoch, DecidedNS: d.DecidedUnixNS, Nonce: b.Request.LockNonce, Previous: r.Finding.Previous, Want: b.Request.Want,
		Redeemed: b.Request.Usage[1], Used: b.Request.Usage[3], Held: b.Request.Usage[4], LastSeq: b.Account.LastSeq,
		Available: b.Account.Available, Burnt: b.Request.Burn != [16]byte{}, Granted: d.Granted, RefusedBy: d.RefusedBy, Units: d.Units,
		Leaf: d.Leaf, HoldsNS: d.DecidedUnixNS + int64(r.Finding.Life)}
	if t, ok := r.Finding.Verdict.Touches(); ok {
		v.Touches = strings.Join(t, " ")
	}
	if !d.Granted {
		return v
	}
	for _, f := range r.Finding.Verified.Facts {
		v.Heard = append(v.Heard, heard{f.Beacon, f.Place, f.Bound(statement.TimingBoth)})
	}
	if v.Object, err = r.Lease.Hash(); err != nil {
		return verified{err: err}
	}
	t := r.Lease.Terms
	v.Commitment, v.LeaseUnits, v.LeasePol = ledger.Commit(d.Salt, t.Core, t.ProofHash), t.Units, t.PolicyHash
	return v
}

// at is when it was decided.
func (d decision) at() time.Time { return time.Unix(0, d.DecidedNS) }
