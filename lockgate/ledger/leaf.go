// Package ledger says what the ledger says: the leaves that a gate appends, one
// for every release and every change of the rules.
//
// What it promises: a leaf names no place and no core. A grant's leaf commits to
// core and proof under a salt that lies in the sealed evidence, so whoever holds
// the evidence can show which leaf it belongs to, and nobody else learns who was
// where. Units, policy and time stand there openly, so that anybody can add up
// what was released under which rules.
//
// What an attacker may do: append nothing, change nothing and remove nothing
// that somebody who has seen a later head would not notice (package store keeps
// the chain).
package ledger

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Kind of a leaf.
type Kind string

// The kinds.
const (
	KindDeposit    Kind = "deposit"    // units were put into a wallet
	KindBurn       Kind = "burn"       // units were taken out of a wallet, to ask for leases with
	KindGrant      Kind = "grant"      // a lease was released
	KindPolicy     Kind = "policy"     // a policy came into force
	KindDirectory  Kind = "directory"  // a directory epoch came into force
	KindRevocation Kind = "revocation" // something was switched off or on
)

// Version of the leaf format.
const Version = 1

// MaxSize is the most bytes that a leaf may have.
const MaxSize = 4 << 10

// Leaf is one entry. Which fields are set depends on the kind; see check.
type Leaf struct {
	Version     uint64   `cbor:"1,keyasint"`
	Kind        Kind     `cbor:"2,keyasint"`
	AtUnixMS    int64    `cbor:"3,keyasint"`            // the gate's clock
	Units       uint64   `cbor:"4,keyasint,omitempty"`  // grant: released; deposit, burn: how many
	PolicyHash  [32]byte `cbor:"5,keyasint"`            // grant, policy: the policy
	Epoch       uint64   `cbor:"6,keyasint,omitempty"`  // grant, directory: its epoch
	Object      [32]byte `cbor:"7,keyasint"`            // grant: hash of the lease; others: hash of what is named
	Commitment  [32]byte `cbor:"8,keyasint"`            // grant: Commit of salt, core and proof; others: zero
	NotAfterMS  int64    `cbor:"9,keyasint,omitempty"`  // grant: the lease's end
	NotBeforeMS int64    `cbor:"10,keyasint,omitempty"` // deposit: from when on it may be used
	Burn        *uint64  `cbor:"11,keyasint,omitempty"` // grant: leaf of the burn that paid for it, if one did
}

// Refusals.
var (
	ErrLeaf  = errors.New("ledger: not a leaf")
	ErrKind  = errors.New("ledger: a leaf of an unknown kind or version")
	ErrField = errors.New("ledger: a leaf lacks a field or has one too many")
)

// Commit hides core and proof under a salt.
func Commit(salt [32]byte, core identity.ID, proof [32]byte) [32]byte {
	return identity.Hash("ledger commitment", salt[:], core[:], proof[:])
}

// ObjectOf names a deposit (of a chip) or a burn (of a core) by its id, which is
// drawn at random and so hides whose it is.
func ObjectOf(k Kind, id [16]byte, whose [32]byte) [32]byte {
	return identity.Hash("ledger "+string(k), id[:], whose[:])
}

// Encode checks a leaf and encodes it.
func (l Leaf) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	b, err := canon.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote.
func Decode(b []byte) (Leaf, error) {
	var l Leaf
	if err := canon.Unmarshal(b, &l, MaxSize); err != nil {
		return Leaf{}, fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	return l, l.check()
}

func (l Leaf) check() error {
	var zero [32]byte
	if l.Version != Version || l.AtUnixMS <= 0 {
		return ErrKind
	}
	grant := l.Units > 0 && l.PolicyHash != zero && l.Epoch > 0 && l.Object != zero && l.Commitment != zero && l.NotAfterMS > l.AtUnixMS
	plain := l.NotBeforeMS == 0 && l.Burn == nil
	value := l.Units > 0 && l.PolicyHash == zero && l.Epoch == 0 && l.Object != zero && l.Commitment == zero && l.NotAfterMS == 0 && l.Burn == nil
	bare := plain && l.Units == 0 && l.Commitment == zero && l.NotAfterMS == 0 && l.Object != zero
	ok := false
	switch l.Kind {
	case KindGrant:
		ok = grant && l.NotBeforeMS == 0
	case KindDeposit:
		ok = value && l.NotBeforeMS >= 0
	case KindBurn:
		ok = value && l.NotBeforeMS == 0
	case KindPolicy:
		ok = bare && l.PolicyHash == l.Object && l.Epoch == 0
	case KindDirectory:
		ok = bare && l.PolicyHash == zero && l.Epoch > 0
	case KindRevocation:
		ok = bare && l.PolicyHash == zero
	default:
		return ErrKind
	}
	if !ok {
		return fmt.Errorf("%w: %s", ErrField, l.Kind)
	}
	return nil
}
