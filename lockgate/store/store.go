// Package store is the memory of a gate: accounts, the nonces that are used up,
// the bytes of every answer that was given, and the chain of ledger leaves.
//
// What it promises: [Store.Grant] is one durable transaction. Either everything
// a grant means has happened (the request id holds the already wrapped bytes,
// the chip is debited, the gate's nonce and the lock's nonce are consumed, the
// ledger has its leaf) or nothing has. A retry of the same request finds the
// identical bytes. The debit never exceeds the budget, which hangs on the chip
// and not on the core, so enrolling a chip twice doubles nothing. What a tenant, a
// policy and the fleet draw is counted by the hour in the same transaction, and a
// grant that any [Budget] does not hold is refused there, however many gates write.
//
// What it believes: that fsync means what it says. When a commit fails nobody
// can know whether it was applied; the error says so ([ErrUncertain]) and a
// retry of the same request finds out, because it takes the same road.
//
// What an attacker may do: send anything through the gate, kill the process at
// any step, fill the disk, restore yesterday's files. The last is found at
// [OpenSQLite] when the newest ledger head that was seen elsewhere is handed in.
//
// What an answer takes on the disk is given back when nobody can ask for it any
// more ([SQL.Prune]); accounts, leaves and lock nonces stay. Tables of an older
// version are brought up to date when a store is opened; stop every gate of the
// older version first.
//
// A core, a chip and every hash are 32 bytes; an identity.ID may be handed in
// as it is.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Refusals. Each names one check of a transaction.
var (
	ErrUnknownCore   = errors.New("store: this core is not enrolled")
	ErrDisabled      = errors.New("store: this core is switched off")
	ErrChipMismatch  = errors.New("store: this core is enrolled on another chip")
	ErrRequestReused = errors.New("store: this request id was used for another request")
	ErrNonceUsed     = errors.New("store: the challenge nonce is already consumed")
	ErrLockNonceUsed = errors.New("store: the lock nonce is already consumed")
	ErrSequence      = errors.New("store: the lock's sequence does not go forward")
	ErrStale         = errors.New("store: another grant for this core came first")
	ErrBudget        = errors.New("store: the chip's budget does not hold that many units")
	ErrUnits         = errors.New("store: a grant of zero units, or of more than can be counted")
	ErrMalformed     = errors.New("store: a required field of the record is empty")
	ErrFenced        = errors.New("store: another gate has taken over this store")
	ErrRolledBack    = errors.New("store: older than the newest ledger head seen; halt and investigate")
	ErrChain         = errors.New("store: the chain of ledger leaves is broken; halt and investigate")
	ErrSchema        = errors.New("store: written by another version of this program")
	ErrUncertain     = errors.New("store: the commit failed and may or may not have been applied; retry the same request")
	ErrClosed        = errors.New("store: closed")
	ErrDeposit       = errors.New("store: this deposit id stands for another deposit")
	ErrBurnUsed      = errors.New("store: the burn does not hold that many units any more")
	ErrUnknownBurn   = errors.New("store: no such burn of this core")
	ErrRange         = errors.New("store: leaf range is empty or outside the ledger")
)

// Account is what enrolment and past grants say of a core.
type Account struct {
	Core     [32]byte
	Chip     [32]byte   // the registry entry that the budget hangs on
	Tenant   string     // whose core it is
	Platform string     // attestation platform it enrolled with
	Public   []byte     // the core's public identity, as enrolled
	Enabled  bool       // false: switched off
	Budget   lock.Units // of the chip, for all its cores together, without deposits
	Spent    lock.Units // of the chip's budget

	LastSeq   uint64     // lock sequence of the newest grant; 0: none yet
	LastUnits lock.Units // units of the newest grant
	Granted   lock.Units // units granted to this core ever
	Accepted  lock.Units // by the lock's newest report
	Used      lock.Units // by the lock's newest report
	Redeemed  uint64     // sequence of the newest lease redeemed, by that report
	LastAtNS  int64      // the gate's clock at the newest grant, Unix ns; 0: none yet
	LastProof [32]byte   // hash of the proof of the newest grant; zero: none yet
	PrevProof [32]byte   // of the one before; zero: there was none
}

// Deposit adds units to a chip's wallet, from an instant on: units may be paid
// for before they may be used. There is no way to take units out of a wallet but
// to use them, and none from one wallet to another.
type Deposit struct {
	ID          [16]byte // chosen by the operator: the same deposit twice is one
	Chip        [32]byte
	Units       lock.Units
	NotBeforeNS int64 // Unix ns; 0: at once
	Leaf        []byte
	AtUnixNS    int64
}

// Burn takes units out of a wallet for one core, before it asks for leases.
type Burn struct {
	ID       [16]byte // chosen by the core: the same burn twice is one
	Core     [32]byte
	Units    lock.Units
	Leaf     []byte
	AtUnixNS int64
}

// Burnt is a burn that was made, and what of it was granted already.
type Burnt struct {
	Units lock.Units
	Used  lock.Units
	Leaf  uint64
}

// Left is what may still be granted on a burn.
func (b Burnt) Left() lock.Units { return b.Units - b.Used }

// Grant is everything one grant writes.
type Grant struct {
	Core        [32]byte
	Chip        [32]byte
	RequestID   [16]byte // chosen by the core; with the core it names the answer
	RequestHash [32]byte // of the whole request: the id cannot be used for another one
	Nonce       [32]byte // the gate's challenge nonce, consumed
	LockNonce   [32]byte // consumed
	LockSeq     uint64   // must be above PrevSeq
	PrevSeq     uint64   // LastSeq of the account that the decision was made on
	Units       lock.Units
	Accepted    lock.Units // from the lock's usage report
	Used        lock.Units // from the lock's usage report
	Redeemed    uint64     // from the lock's usage report
	Burn        [16]byte   // the burn that pays for it; zero: the chip's wallet does
	Policy      string     // name of the policy, whose bucket it draws on; empty: of none
	Budgets     []Budget   // that its windows must not exceed
	ProofHash   [32]byte   // the core's next proof has to name it
	PrevProof   [32]byte   // what this proof named
	Response    []byte     // the already wrapped and signed answer
	Asked       bool       // the challenge is in the store (see Store.Ask) and must be open there
	Leaf        []byte     // what the ledger says of it
	AtUnixNS    int64
}

// Result is what a grant left behind.
type Result struct {
	Response []byte // identical for every retry of the request
	Leaf     uint64 // index in the ledger
	Repeated bool   // true: the request had been granted before
}

// Head is a state of the ledger: so many leaves, and the hash over all of them.
type Head struct {
	Size uint64
	Hash [32]byte
}

// Leaf is one entry of the ledger with the head right after it.
type Leaf struct {
	Index uint64
	Data  []byte
	Hash  [32]byte
}

// Store is what a gate needs of its memory. All methods may be called at once.
type Store interface {
	// Enrol adds a core, and its chip with the budget when the chip is new. An
	// enrolled core is updated in tenant, platform and budget; it never changes
	// its chip or its keys, and counters are never reset.
	Enrol(ctx context.Context, a Account) error
	// Enable switches a core on or off.
	Enable(ctx context.Context, core [32]byte, on bool) error
	// Account reads a core. ErrUnknownCore when there is none.
	Account(ctx context.Context, core [32]byte) (Account, error)
	// Lookup finds the answer to a request that was granted before; false when
	// there is none, ErrRequestReused when the id stands for another request.
	Lookup(ctx context.Context, core [32]byte, id [16]byte, hash [32]byte) (Result, bool, error)
	// Answer finds what a request id was answered with, whatever was asked; false
	// when it was not granted.
	Answer(ctx context.Context, core [32]byte, id [16]byte) (Result, bool, error)
	// Grant is the one transaction.
	Grant(ctx context.Context, g Grant) (Result, error)
	// Deposit adds to a wallet, with a leaf in the ledger. Again: nothing happens.
	Deposit(ctx context.Context, d Deposit) (leaf uint64, err error)
	// Wallet is what a chip has left to use at an instant.
	Wallet(ctx context.Context, chip [32]byte, atUnixNS int64) (lock.Units, error)
	// Burn takes units out of the wallet, with a leaf in the ledger. Again: the
	// same burn, whatever was used of it.
	Burn(ctx context.Context, b Burn) (Burnt, error)
	// Burnt reads a core's burn. ErrUnknownBurn when there is none.
	Burnt(ctx context.Context, core [32]byte, id [16]byte) (Burnt, error)
	// Drawn is what was drawn so far on the bucket of each budget, in the window
	// that holds the instant.
	Drawn(ctx context.Context, d Draw) ([]lock.Units, error)
	// Consumed says whether a challenge nonce was used for a grant.
	Consumed(ctx context.Context, nonce [32]byte) (bool, error)
	// Ask keeps a core's newest challenge, for other gates on this store; the one
	// before is void from then on.
	Ask(ctx context.Context, c Challenge) error
	// Asked is a core's newest challenge; false when there is none, or it was
	// answered by a grant.
	Asked(ctx context.Context, core [32]byte) (Challenge, bool, error)
	// Refuse uses a challenge up (Core, Nonce) by the Request and the refusal named
	// in it. One that is used up or replaced already stays as it is.
	Refuse(ctx context.Context, c Challenge) error
	// Prune forgets at most limit answers from before an instant that are not
	// their core's newest, with their challenge nonces. See SQL.Prune for what it
	// asks of the caller.
	Prune(ctx context.Context, beforeUnixNS int64, limit int) (gone int, err error)
	// Accounts reads all cores in the order of their ids.
	Accounts(ctx context.Context) iter.Seq2[Account, error]
	// Append adds a leaf that is no grant: a policy, a deposit, a revocation.
	Append(ctx context.Context, leaf []byte) (uint64, error)
	// Deny counts a denial by the check that refused.
	Deny(ctx context.Context, reason string) error
	// Denials reads the counts.
	Denials(ctx context.Context) (map[string]uint64, error)
	// Head is the newest state of the ledger.
	Head(ctx context.Context) (Head, error)
	// Leaves reads leaves from..to (to excluded).
	Leaves(ctx context.Context, from, to uint64) ([]Leaf, error)
	// Check walks the whole chain and the debits and compares them.
	Check(ctx context.Context) error
	// Close waits for what was begun.
	Close() error
}

// ChainHash is the head after a leaf: each head commits to all before it.
func ChainHash(prev [32]byte, index uint64, data []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("ursa/1 ledger\x00"))
	h.Write(prev[:])
	var i [8]byte
	binary.BigEndian.PutUint64(i[:], index)
	h.Write(i[:])
	h.Write(data)
	var out [32]byte
	h.Sum(out[:0])
	return out
}

const maxCount = lock.Units(1)<<63 - 1 // what the database can count

// validate refuses records that lack something, before any of it is written.
func (g Grant) validate() error {
	var zero [32]byte
	switch {
	case g.Core == zero, g.Chip == zero, g.Nonce == zero, g.LockNonce == zero, g.RequestHash == zero,
		g.ProofHash == zero, g.PrevProof == zero,
		g.RequestID == [16]byte{}, len(g.Response) == 0, len(g.Leaf) == 0, g.AtUnixNS <= 0:
		return ErrMalformed
	case g.Units == 0 || g.Units > maxCount || g.Accepted > maxCount || g.Used > g.Accepted:
		return ErrUnits
	case g.Redeemed > g.PrevSeq || g.LockSeq <= g.PrevSeq || g.LockSeq > uint64(maxCount):
		return ErrSequence
	}
	return g.draw("of the account").problem()
}

func (a Account) validate() error {
	var zero [32]byte
	if a.Core == zero || a.Chip == zero || len(a.Public) == 0 || a.Tenant == "" || a.Platform == "" {
		return ErrMalformed
	}
	if a.Budget > maxCount {
		return ErrUnits
	}
	return nil
}
