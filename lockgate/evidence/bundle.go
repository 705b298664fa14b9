// Package evidence is what a gate keeps of a decision so that anybody can make
// it again: one file with everything the decision rested on, sealed by the gate.
//
// What it promises: [Verify] needs nothing but the file. It checks the seal over
// every byte, then walks the whole road again, by the same functions as the gate
// did (directory, challenge, statements, attestation, verdict, policy, usage
// report, lease), and compares what it comes to with what is recorded. A file in
// which one bit is flipped is refused, naming the check; so is a file whose gate
// decided otherwise than its own evidence says.
//
// What it believes: nothing of the gate. It is only told by whom the directory
// must be signed: the trust fingerprint that the reader has from elsewhere.
// Without it a file can show that it is sound within itself, and the report says
// that this is all it shows.
//
// What an attacker may do: be the gate, and seal anything. He cannot make beacons'
// or cores' signatures, so he cannot show an inside verdict for a core that was
// not inside. He can invent the numbers that only a gate knows, the age of a
// challenge, a core's account and what buckets have released; the ledger is there
// for what he grants.
package evidence

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Version of the file format.
const Version = 1

// MaxSize is the most bytes that a file may have.
const MaxSize = 24 << 20

// TypeEvidence is the context of the gate's seal.
const TypeEvidence identity.ObjectType = "decision"

// Bundle is the content of a file: a claim until Verify.
type Bundle struct {
	Version    uint64            `cbor:"1,keyasint"`
	Directory  []byte            `cbor:"2,keyasint"` // signed by its roots
	Roots      []identity.Public `cbor:"3,keyasint"` // who may sign a directory
	Threshold  uint64            `cbor:"4,keyasint"` // how many of them must
	Gate       identity.Public   `cbor:"5,keyasint"` // who decided
	Policy     []byte            `cbor:"6,keyasint"` // canonical encoding
	PermitHash [32]byte          `cbor:"7,keyasint"` // what its region meant to the gate's atlas
	Request    Request           `cbor:"8,keyasint"`
	Account    Account           `cbor:"9,keyasint"` // the core's, when it was decided
	Decision   Decision          `cbor:"10,keyasint"`
	Revoked    []byte            `cbor:"11,keyasint,omitempty"` // the list in force, in its canonical encoding; absent: none
}

// Request is what the core asked; see grant.Request.
type Request struct {
	Core      identity.ID `cbor:"1,keyasint"`
	RequestID [16]byte    `cbor:"2,keyasint"`
	LockNonce [32]byte    `cbor:"3,keyasint"`
	LockSeq   uint64      `cbor:"4,keyasint"`
	Want      uint64      `cbor:"5,keyasint"`
	Usage     [5]uint64   `cbor:"6,keyasint"` // seq, redeemed, accepted, used, allowance
	Proof     []byte      `cbor:"7,keyasint"` // with the gate's challenge inside
	Burn      [16]byte    `cbor:"8,keyasint"` // the burn that pays; zero: none
}

// Account is what the gate knew of the core; see store.Account.
type Account struct {
	Chip      [32]byte `cbor:"1,keyasint"`
	Available uint64   `cbor:"2,keyasint"` // units of the wallet, or of the burn
	LastSeq   uint64   `cbor:"3,keyasint"`
	LastUnits uint64   `cbor:"4,keyasint"`
	Accepted  uint64   `cbor:"5,keyasint"`
	Used      uint64   `cbor:"6,keyasint"`
	Redeemed  uint64   `cbor:"7,keyasint"`
	LastProof [32]byte `cbor:"8,keyasint"`
	PrevProof [32]byte `cbor:"9,keyasint"`
	LastAtNS  int64    `cbor:"10,keyasint"`
	Tenant    string   `cbor:"11,keyasint"`
	Drawn     []Drawn  `cbor:"12,keyasint,omitempty"` // on the buckets of the policy's budgets; absent: it has none
}

// Drawn is what a bucket had released before; see policy.Drawn.
type Drawn struct {
	Of    policy.Bucket `cbor:"1,keyasint"`
	Per   policy.Window `cbor:"2,keyasint"`
	Units uint64        `cbor:"3,keyasint"`
}

// Decision is what the gate came to.
type Decision struct {
	Granted       bool     `cbor:"1,keyasint"`
	RefusedBy     string   `cbor:"2,keyasint"`           // short name of the check; empty when granted
	Reason        string   `cbor:"3,keyasint"`           // one line for people
	Verdict       string   `cbor:"4,keyasint"`           // of the locator; empty when it did not come to one
	Units         uint64   `cbor:"5,keyasint"`           // released
	IssuedUnixNS  int64    `cbor:"6,keyasint"`           // of the challenge, the gate's clock
	DecidedUnixNS int64    `cbor:"7,keyasint"`           // the gate's clock
	AgeNS         int64    `cbor:"8,keyasint"`           // of the challenge, the gate's monotonic clock
	Lease         []byte   `cbor:"9,keyasint,omitempty"` // envelope, when granted
	Salt          [32]byte `cbor:"10,keyasint"`          // opens the ledger's commitment
	Leaf          uint64   `cbor:"11,keyasint"`          // index in the ledger, when granted

	// Outside is what the gate's estimate said, in thousandths, where the policy
	// lets it veto. Only the gate knows; it can only have denied.
	Outside *uint64 `cbor:"12,keyasint,omitempty"`
}

// ErrNothing is a decision that did not come to a proof: there is nothing to
// verify again.
var ErrNothing = errors.New("evidence: the decision did not come to a proof")

// Trust names who must have signed a directory: the roots and their threshold.
type Trust struct {
	Roots     []identity.Public
	Threshold int
}

// Fingerprint is what a reader compares: it changes with every root and with
// the threshold. The order of the roots does not matter.
func (t Trust) Fingerprint() [32]byte {
	ids := make([]identity.ID, len(t.Roots))
	for i, r := range t.Roots {
		ids[i] = r.ID()
	}
	slices.SortFunc(ids, identity.ID.Compare)
	parts := [][]byte{fmt.Appendf(nil, "%d of %d", t.Threshold, len(t.Roots))}
	for _, id := range ids {
		parts = append(parts, id[:])
	}
	return identity.Hash("trust", parts...)
}

// Seal makes the file of a decision: directory is the signed directory that was
// in force.
func Seal(gate *identity.Private, directory []byte, trust Trust, r grant.Request, d grant.Decision) ([]byte, error) {
	rec := d.Record
	if rec.DecidedUnixNS == 0 {
		return nil, ErrNothing
	}
	p, err := rec.Policy.Encode()
	if err != nil {
		return nil, err
	}
	b := Bundle{Version: Version, Directory: directory, Roots: trust.Roots, Threshold: uint64(trust.Threshold), Gate: gate.Public(),
		Policy: p, PermitHash: rec.PermitHash, Request: requestOf(r), Account: accountOf(rec),
		Decision: Decision{Granted: d.Granted, RefusedBy: d.RefusedBy, Reason: d.Reason, IssuedUnixNS: rec.IssuedUnixNS,
			DecidedUnixNS: rec.DecidedUnixNS, AgeNS: int64(rec.Age), Lease: d.Lease, Salt: rec.Salt, Leaf: rec.Leaf, Outside: d.Finding.Outside}}
	if rec.Revoked.Epoch > 0 {
		if b.Revoked, err = rec.Revoked.Encode(); err != nil {
			return nil, err
		}
	}
	if d.Finding.Judged {
		b.Decision.Verdict = d.Finding.Verdict.Kind().String()
	}
	if d.Granted {
		b.Decision.Units = uint64(d.Finding.Units)
	}
	return b.seal(gate)
}

func (b Bundle) seal(gate *identity.Private) ([]byte, error) {
	payload, err := canon.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	env, err := identity.Seal(gate, TypeEvidence, payload)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return env.Encode()
}

func requestOf(r grant.Request) Request {
	u := r.Usage
	return Request{Core: r.Core, RequestID: r.RequestID, LockNonce: r.LockNonce, LockSeq: r.LockSeq, Want: uint64(r.Want),
		Usage: [5]uint64{u.Seq, u.Redeemed, uint64(u.Accepted), uint64(u.Used), uint64(u.Allowance)}, Proof: r.Proof, Burn: r.Burn}
}

func (r Request) grant() grant.Request {
	u := r.Usage
	return grant.Request{Core: r.Core, RequestID: r.RequestID, LockNonce: r.LockNonce, LockSeq: r.LockSeq, Want: lock.Units(r.Want),
		Usage: lock.Usage{Seq: u[0], Redeemed: u[1], Accepted: lock.Units(u[2]), Used: lock.Units(u[3]), Allowance: lock.Units(u[4])},
		Proof: r.Proof, Burn: r.Burn}
}

func accountOf(rec grant.Record) Account {
	a := rec.Account
	var drawn []Drawn
	for _, d := range rec.Drawn {
		drawn = append(drawn, Drawn{d.Of, d.Per, uint64(d.Units)})
	}
	return Account{Drawn: drawn, Chip: a.Chip, Available: uint64(rec.Available), LastSeq: a.LastSeq, LastUnits: uint64(a.LastUnits),
		Accepted: uint64(a.Accepted), Used: uint64(a.Used), Redeemed: a.Redeemed, LastProof: a.LastProof, PrevProof: a.PrevProof, LastAtNS: a.LastAtNS, Tenant: a.Tenant}
}

func (a Account) store() store.Account {
	return store.Account{Chip: a.Chip, Tenant: a.Tenant, Enabled: true, LastSeq: a.LastSeq, LastUnits: lock.Units(a.LastUnits),
		Accepted: lock.Units(a.Accepted), Used: lock.Units(a.Used), Redeemed: a.Redeemed, LastProof: a.LastProof, PrevProof: a.PrevProof, LastAtNS: a.LastAtNS}
}

// Age of the challenge at the decision.
func (d Decision) Age() time.Duration { return time.Duration(d.AgeNS) }

// Doubt answers as the gate's estimate did.
func (d Decision) Doubt([]statement.Fact, string) *uint64 { return d.Outside }

// Asked is the request that was decided.
func (b Bundle) Asked() grant.Request { return b.Request.grant() }

// Available is what paid for it.
func (b Bundle) Available() lock.Units { return lock.Units(b.Account.Available) }

// Drawn is what the buckets had released before.
func (b Bundle) Drawn() []policy.Drawn {
	var out []policy.Drawn
	for _, d := range b.Account.Drawn {
		out = append(out, policy.Drawn{Of: d.Of, Per: d.Per, Units: lock.Units(d.Units)})
	}
	return out
}

// Known is what the gate knew of the core's account.
func (b Bundle) Known() store.Account {
	a := b.Account.store()
	a.Core = b.Request.Core
	return a
}
