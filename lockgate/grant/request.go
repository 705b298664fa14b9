package grant

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Request asks for a lease. That the core signed it, usage report included, has
// been checked by whoever made it (package server).
type Request struct {
	Core      identity.ID
	RequestID [16]byte   // the same in every retry
	LockNonce lock.Nonce // the lock's outstanding nonce
	LockSeq   uint64     // its sequence
	Want      lock.Units // units asked for; clipped to what the policy and the budget allow
	Usage     lock.Usage // the lock's account, made when the nonce was
	Burn      [16]byte   // the burn that pays for it; zero: none
	Proof     []byte     // answers the challenge that was asked with this lock nonce
}

// Hash covers the whole request: the id cannot be used for another one.
func (r Request) Hash() ([32]byte, error) {
	proof := identity.Hash("request proof", r.Proof)
	b, err := canon.Marshal(struct {
		Core      identity.ID `cbor:"1,keyasint"`
		ID        [16]byte    `cbor:"2,keyasint"`
		LockNonce [32]byte    `cbor:"3,keyasint"`
		Numbers   [7]uint64   `cbor:"4,keyasint"`
		Proof     [32]byte    `cbor:"5,keyasint"`
		Burn      [16]byte    `cbor:"6,keyasint"`
	}{r.Core, r.RequestID, r.LockNonce, [7]uint64{r.LockSeq, uint64(r.Want), r.Usage.Seq, r.Usage.Redeemed,
		uint64(r.Usage.Accepted), uint64(r.Usage.Used), uint64(r.Usage.Allowance)}, proof, r.Burn})
	if err != nil {
		return [32]byte{}, fmt.Errorf("grant: %w", err)
	}
	return identity.Hash("lease request", b), nil
}

// Refusals of a usage report. A report that does not add up is a forged one, a
// lock whose words were set back, or one of two copies.
var (
	ErrReportSeq      = errors.New("usage report was made for another lock nonce")
	ErrReportSum      = errors.New("usage report does not add up: used and left are more than was accepted")
	ErrReportRedeemed = errors.New("usage report names a lease that was never granted")
	ErrReportBack     = errors.New("usage report goes back behind the one before")
	ErrReportAccepted = errors.New("usage report accepts other units than were granted")
)

// checkReport compares a lock's account with the gate's.
//
// The gate knows what the last report said (a.Accepted, a.Used, a.Redeemed) and
// which lease it granted on that (a.LastSeq, a.LastUnits). Since then the lock
// can have redeemed that lease or not, and nothing else; if not, its units count
// as spent.
func checkReport(u lock.Usage, seq uint64, a store.Account) error {
	switch {
	case u.Seq != seq:
		return ErrReportSeq
	case u.Used > u.Accepted || u.Allowance > u.Accepted-u.Used:
		return ErrReportSum
	case u.Redeemed > a.LastSeq:
		return ErrReportRedeemed
	case u.Used < a.Used || u.Redeemed < a.Redeemed:
		return ErrReportBack
	}
	want := a.Accepted
	switch {
	case a.LastSeq == 0:
		if u.Redeemed != 0 {
			return ErrReportRedeemed
		}
	case u.Redeemed == a.LastSeq:
		want += a.LastUnits
	case u.Redeemed != a.Redeemed:
		return ErrReportRedeemed
	}
	if u.Accepted != want {
		return fmt.Errorf("%w: %d, want %d", ErrReportAccepted, u.Accepted, want)
	}
	return nil
}

// previousProofs are the hashes that a core's next proof may name: the one
// granted last, and, as long as that lease was not redeemed, the one before,
// because the answer may never have reached the core.
func previousProofs(a store.Account, u lock.Usage, first [32]byte) [][32]byte {
	if a.LastSeq == 0 {
		return [][32]byte{first}
	}
	out := [][32]byte{a.LastProof}
	if u.Redeemed < a.LastSeq {
		out = append(out, a.PrevProof)
	}
	return out
}
