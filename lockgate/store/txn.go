package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// querier is a transaction or a database.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// txn is one write transaction. dirty turns true with the first write of a job.
type txn struct {
	tx    bound
	fault func(Step) error
	dirty bool
}

// exec writes; the transaction does not stop halfway for an impatient caller,
// so no context is passed down.
func (t *txn) exec(step Step, query string, args ...any) error {
	t.dirty = true
	if err := t.fault(step); err != nil {
		return err
	}
	if _, err := t.tx.ExecContext(context.Background(), query, args...); err != nil {
		return fmt.Errorf("store: cannot write (%s): %w", step, err)
	}
	return nil
}

// fence refuses to write when another gate has taken over.
func (t *txn) fence(epoch int64) error {
	var now int64
	if err := t.tx.QueryRowContext(context.Background(), `SELECT v FROM meta WHERE k = 'epoch'`).Scan(&now); err != nil {
		return fmt.Errorf("store: cannot read the epoch: %w", err)
	}
	if now != epoch {
		return ErrFenced
	}
	return nil
}

// grant is the one transaction: all checks first, then all writes.
func (t *txn) grant(g Grant) (Result, error) {
	ctx := context.Background()
	if r, ok, err := lookup(ctx, t.tx, g.Core, g.RequestID, g.RequestHash); err != nil || ok {
		return r, err
	}
	a, err := account(ctx, t.tx, g.Core)
	if err != nil {
		return Result{}, err
	}
	if err := t.allowed(g, a); err != nil {
		return Result{}, err
	}
	return t.write(g)
}

// allowed holds the checks that only the transaction can make, because a grant
// for the same core or chip may have come in since the decision.
func (t *txn) allowed(g Grant, a Account) error {
	switch {
	case !a.Enabled:
		return ErrDisabled
	case a.Chip != g.Chip:
		return ErrChipMismatch
	}
	for _, c := range []struct {
		table string
		n     [32]byte
		err   error
	}{{"nonce", g.Nonce, ErrNonceUsed}, {"lock_nonce", g.LockNonce, ErrLockNonceUsed}} {
		if used, err := has(context.Background(), t.tx, c.table, c.n); err != nil {
			return err
		} else if used {
			return c.err
		}
	}
	switch {
	case a.LastSeq != g.PrevSeq:
		return ErrStale
	case g.LockSeq <= a.LastSeq:
		return ErrSequence
	case g.Units > maxCount-a.Granted:
		return ErrUnits
	}
	if g.Asked {
		if err := t.openChallenge(g); err != nil {
			return err
		}
	}
	if g.Burn != ([16]byte{}) {
		b, err := burnt(context.Background(), t.tx, g.Core, g.Burn)
		if err == nil && g.Units > b.Left() {
			err = ErrBurnUsed
		}
		return err
	}
	return t.covers(g.Chip, g.Units, g.AtUnixNS)
}

// covers says whether a wallet holds so many units.
func (t *txn) covers(chip [32]byte, units lock.Units, at int64) error {
	have, err := wallet(context.Background(), t.tx, chip, at)
	if err == nil && units > have {
		err = ErrBudget
	}
	return err
}

// wallet is what a chip has left: its budget and the deposits that have come
// into force, less what was spent.
func wallet(ctx context.Context, q querier, chip [32]byte, at int64) (lock.Units, error) {
	var budget, spent, deposits int64
	err := q.QueryRowContext(ctx, `SELECT budget, spent, (SELECT CAST(coalesce(sum(units), 0) AS BIGINT) FROM deposit WHERE chip = ?1 AND not_before <= ?2)
		FROM chip WHERE id = ?1`, chip[:], at).Scan(&budget, &spent, &deposits)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrUnknownCore
	}
	if err != nil {
		return 0, fmt.Errorf("store: cannot read the wallet: %w", err)
	}
	if have := uint64(budget) + uint64(deposits); have > uint64(spent) { // each is below 2^63
		return lock.Units(have) - lock.Units(spent), nil
	}
	return 0, nil
}

// burnt reads a burn.
func burnt(ctx context.Context, q querier, core [32]byte, id [16]byte) (Burnt, error) {
	var units, used, leaf int64
	err := q.QueryRowContext(ctx, `SELECT units, used, leaf FROM burn WHERE core = ? AND id = ?`, core[:], id[:]).Scan(&units, &used, &leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return Burnt{}, ErrUnknownBurn
	}
	if err != nil {
		return Burnt{}, fmt.Errorf("store: cannot read burns: %w", err)
	}
	if units <= 0 || used < 0 || used > units || leaf < 0 {
		return Burnt{}, fmt.Errorf("%w: a burn", ErrChain)
	}
	return Burnt{Units: lock.Units(units), Used: lock.Units(used), Leaf: uint64(leaf)}, nil
}

// burn takes units out of the wallet.
func (t *txn) burn(b Burn) (Burnt, error) {
	ctx := context.Background()
	was, err := burnt(ctx, t.tx, b.Core, b.ID)
	switch {
	case err == nil && was.Units != b.Units:
		return Burnt{}, ErrRequestReused
	case err == nil, !errors.Is(err, ErrUnknownBurn):
		return was, err
	}
	a, err := account(ctx, t.tx, b.Core)
	if err != nil {
		return Burnt{}, err
	}
	if !a.Enabled {
		return Burnt{}, ErrDisabled
	}
	if err := t.covers(a.Chip, b.Units, b.AtUnixNS); err != nil {
		return Burnt{}, err
	}
	if err := t.exec(StepDebit, `UPDATE chip SET spent = spent + ? WHERE id = ?`, int64(b.Units), a.Chip[:]); err != nil {
		return Burnt{}, err
	}
	i, err := t.append(b.Leaf)
	if err != nil {
		return Burnt{}, err
	}
	err = t.exec(StepRequest, `INSERT INTO burn VALUES (?, ?, ?, 0, ?, ?)`, b.Core[:], b.ID[:], int64(b.Units), int64(i), b.AtUnixNS)
	return Burnt{Units: b.Units, Leaf: i}, err
}

// deposit adds to a wallet.
func (t *txn) deposit(d Deposit) (uint64, error) {
	var chip []byte
	var units, notBefore, leaf int64
	err := t.tx.QueryRowContext(context.Background(), `SELECT chip, units, not_before, leaf FROM deposit WHERE id = ?`, d.ID[:]).Scan(&chip, &units, &notBefore, &leaf)
	switch {
	case err == nil && (string(chip) != string(d.Chip[:]) || units != int64(d.Units) || notBefore != d.NotBeforeNS):
		return 0, ErrDeposit
	case err == nil:
		return uint64(leaf), nil
	case !errors.Is(err, sql.ErrNoRows):
		return 0, fmt.Errorf("store: cannot read deposits: %w", err)
	}
	var total int64 // of all deposits of the chip, in force or not: the sum must be countable
	err = t.tx.QueryRowContext(context.Background(), `SELECT CAST(budget + (SELECT coalesce(sum(units), 0) FROM deposit WHERE chip = ?1) AS BIGINT) FROM chip WHERE id = ?1`, d.Chip[:]).Scan(&total)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrUnknownCore
	}
	if err != nil {
		return 0, fmt.Errorf("store: cannot read deposits: %w", err)
	}
	if total < 0 || d.Units > maxCount-lock.Units(total) {
		return 0, ErrUnits
	}
	i, err := t.append(d.Leaf)
	if err != nil {
		return 0, err
	}
	return i, t.exec(StepRequest, `INSERT INTO deposit VALUES (?, ?, ?, ?, ?, ?)`, d.ID[:], d.Chip[:], int64(d.Units), d.NotBeforeNS, int64(i), d.AtUnixNS)
}

func (t *txn) write(g Grant) (Result, error) {
	fromBurn := g.Burn != [16]byte{}
	var err error
	if fromBurn { // the wallet paid when it was burnt
		err = t.exec(StepDebit, `UPDATE burn SET used = used + ? WHERE core = ? AND id = ?`, int64(g.Units), g.Core[:], g.Burn[:])
	} else {
		err = t.exec(StepDebit, `UPDATE chip SET spent = spent + ? WHERE id = ?`, int64(g.Units), g.Chip[:])
	}
	if err != nil {
		return Result{}, err
	}
	err = t.exec(StepDebit, `UPDATE core SET last_seq = ?, last_units = ?, granted = granted + ?, accepted = ?, used = ?,
		redeemed = ?, last_at = ?, last_proof = ?, prev_proof = ? WHERE id = ?`,
		int64(g.LockSeq), int64(g.Units), int64(g.Units), int64(g.Accepted), int64(g.Used),
		int64(g.Redeemed), g.AtUnixNS, g.ProofHash[:], g.PrevProof[:], g.Core[:])
	if err != nil {
		return Result{}, err
	}
	if err := t.exec(StepNonces, `INSERT INTO nonce VALUES (?)`, g.Nonce[:]); err != nil {
		return Result{}, err
	}
	if err := t.exec(StepNonces, `INSERT INTO lock_nonce VALUES (?)`, g.LockNonce[:]); err != nil {
		return Result{}, err
	}
	if g.Asked {
		if err := t.closeChallenge(g); err != nil {
			return Result{}, err
		}
	}
	i, err := t.append(g.Leaf)
	if err != nil {
		return Result{}, err
	}
	sum := sha256.Sum256(g.Response)
	err = t.exec(StepRequest, `INSERT INTO request (core, id, hash, response, sum, units, burnt, leaf, at, nonce) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		g.Core[:], g.RequestID[:], g.RequestHash[:], g.Response, sum[:], int64(g.Units), flag(fromBurn), int64(i), g.AtUnixNS, g.Nonce[:])
	if err != nil {
		return Result{}, err
	}
	return Result{Response: g.Response, Leaf: i}, nil
}

// append adds a leaf to the chain.
func (t *txn) append(data []byte) (uint64, error) {
	h, err := head(context.Background(), t.tx)
	if err != nil {
		return 0, err
	}
	hash := ChainHash(h.Hash, h.Size, data)
	if err := t.exec(StepLeaf, `INSERT INTO leaf VALUES (?, ?, ?)`, int64(h.Size), data, hash[:]); err != nil {
		return 0, err
	}
	return h.Size, nil
}

func head(ctx context.Context, q querier) (Head, error) {
	var i int64
	var hash []byte
	err := q.QueryRowContext(ctx, `SELECT i, hash FROM leaf ORDER BY i DESC LIMIT 1`).Scan(&i, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("store: cannot read the ledger: %w", err)
	}
	h := Head{Size: uint64(i) + 1}
	if i < 0 || copy(h.Hash[:], hash) != 32 || len(hash) != 32 {
		return Head{}, ErrChain
	}
	return h, nil
}

// has says whether a nonce is in a table of consumed ones.
func has(ctx context.Context, q querier, table string, n [32]byte) (bool, error) {
	var count int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM `+table+` WHERE n = ?`, n[:]).Scan(&count); err != nil {
		return false, fmt.Errorf("store: cannot read nonces: %w", err)
	}
	return count != 0, nil
}

func lookup(ctx context.Context, q querier, core [32]byte, id [16]byte, hash [32]byte) (Result, bool, error) {
	r, was, ok, err := answered(ctx, q, core, id)
	if err != nil || !ok {
		return Result{}, false, err
	}
	if was != hash {
		return Result{}, false, ErrRequestReused
	}
	return r, true, nil
}

// answered reads the answer to a request id, with the hash of the request.
func answered(ctx context.Context, q querier, core [32]byte, id [16]byte) (r Result, hash [32]byte, ok bool, err error) {
	var was, response, sum []byte
	var leaf int64
	err = q.QueryRowContext(ctx, `SELECT hash, response, sum, leaf FROM request WHERE core = ? AND id = ?`, core[:], id[:]).Scan(&was, &response, &sum, &leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return Result{}, hash, false, nil
	}
	if err != nil {
		return Result{}, hash, false, fmt.Errorf("store: cannot read requests: %w", err)
	}
	if now := sha256.Sum256(response); string(now[:]) != string(sum) || len(was) != len(hash) {
		return Result{}, hash, false, fmt.Errorf("%w: a stored answer has changed", ErrChain)
	}
	return Result{Response: response, Leaf: uint64(leaf), Repeated: true}, [32]byte(was), true, nil
}

func account(ctx context.Context, q querier, core [32]byte) (Account, error) {
	a := Account{Core: core}
	var chip, last, prev []byte
	var enabled int64
	var n [9]int64
	err := q.QueryRowContext(ctx, `SELECT c.chip, c.tenant, c.platform, c.public, c.enabled,
		h.budget, h.spent, c.last_seq, c.last_units, c.granted, c.accepted, c.used,
		c.redeemed, c.last_at, c.last_proof, c.prev_proof
		FROM core c JOIN chip h ON h.id = c.chip WHERE c.id = ?`, core[:]).
		Scan(&chip, &a.Tenant, &a.Platform, &a.Public, &enabled, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &last, &prev)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, ErrUnknownCore
	}
	if err != nil {
		return Account{}, fmt.Errorf("store: cannot read the account: %w", err)
	}
	for _, v := range n {
		if v < 0 {
			return Account{}, fmt.Errorf("%w: a negative counter", ErrChain)
		}
	}
	a.Enabled = enabled == 1
	copy(a.Chip[:], chip)
	copy(a.LastProof[:], last)
	copy(a.PrevProof[:], prev)
	a.Redeemed, a.LastAtNS = uint64(n[7]), n[8]
	a.Budget, a.Spent, a.LastSeq, a.LastUnits = lock.Units(n[0]), lock.Units(n[1]), uint64(n[2]), lock.Units(n[3])
	a.Granted, a.Accepted, a.Used = lock.Units(n[4]), lock.Units(n[5]), lock.Units(n[6])
	return a, nil
}

// flag is how databases that know no truth value keep one.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
