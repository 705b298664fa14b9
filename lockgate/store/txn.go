package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"

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
	join  bool // writes of several tables may be one statement
	dirty bool
	top   *Head // of the ledger, once it was read; only this transaction moves it
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

// write is one statement that changes one table; its parameters are plain
// question marks.
type write struct {
	step  Step
	query string
	args  []any
}

// all writes several tables. Where every statement is a journey to a server they
// travel as one, with common table expressions; none of them reads what another
// one writes.
func (t *txn) all(list ...write) error {
	if !t.join {
		for _, w := range list {
			if err := t.exec(w.step, w.query, w.args...); err != nil {
				return err
			}
		}
		return nil
	}
	t.dirty = true
	var query strings.Builder
	var args []any
	last := len(list) - 1
	for i, w := range list {
		if err := t.fault(w.step); err != nil {
			return err
		}
		switch {
		case i == last:
			query.WriteString(" " + w.query)
		case i == 0:
			fmt.Fprintf(&query, "WITH w%d AS (%s)", i, w.query)
		default:
			fmt.Fprintf(&query, ", w%d AS (%s)", i, w.query)
		}
		args = append(args, w.args...)
	}
	if _, err := t.tx.ExecContext(context.Background(), query.String(), args...); err != nil {
		return fmt.Errorf("store: cannot write: %w", err)
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
	a, more, err := accountWith(context.Background(), t.tx, g.Core, `, (SELECT count(*) FROM request WHERE core = ?1 AND id = ?2),
		(SELECT count(*) FROM nonce WHERE n = ?3), (SELECT count(*) FROM lock_nonce WHERE n = ?4), `+depositsInForce+` <= ?5)`,
		4, g.RequestID[:], g.Nonce[:], g.LockNonce[:], g.AtUnixNS)
	if err != nil {
		return Result{}, err
	}
	if more[0] > 0 {
		r, _, err := lookup(context.Background(), t.tx, g.Core, g.RequestID, g.RequestHash)
		return r, err
	}
	if err := t.allowed(g, a, more[1] > 0, more[2] > 0, left(a, more[3])); err != nil {
		return Result{}, err
	}
	d := g.draw(a.Tenant)
	if err := t.budgeted(d, g.Units); err != nil {
		return Result{}, err
	}
	return t.write(g, d)
}

// allowed holds the checks that only the transaction can make, because a grant
// for the same core or chip may have come in since the decision.
func (t *txn) allowed(g Grant, a Account, nonceUsed, lockUsed bool, have lock.Units) error {
	switch {
	case !a.Enabled:
		return ErrDisabled
	case a.Chip != g.Chip:
		return ErrChipMismatch
	case nonceUsed:
		return ErrNonceUsed
	case lockUsed:
		return ErrLockNonceUsed
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
	if g.Units > have {
		return ErrBudget
	}
	return nil
}

// covers says whether a wallet holds so many units.
func (t *txn) covers(chip [32]byte, units lock.Units, at int64) error {
	have, err := wallet(context.Background(), t.tx, chip, at)
	if err == nil && units > have {
		err = ErrBudget
	}
	return err
}

// depositsInForce sums up a chip's deposits, up to an instant that the query
// names after it.
const depositsInForce = `(SELECT CAST(coalesce(sum(units), 0) AS BIGINT) FROM deposit WHERE chip = h.id AND not_before`

// left is what a chip with such an account has to use: its budget and the
// deposits that have come into force, less what was spent.
func left(a Account, deposits int64) lock.Units {
	if have := uint64(a.Budget) + uint64(deposits); have > uint64(a.Spent) { // each is below 2^63
		return lock.Units(have) - a.Spent
	}
	return 0
}

// wallet is what a chip has left.
func wallet(ctx context.Context, q querier, chip [32]byte, at int64) (lock.Units, error) {
	var budget, spent, deposits int64
	err := q.QueryRowContext(ctx, `SELECT h.budget, h.spent, `+depositsInForce+` <= ?2) FROM chip h WHERE h.id = ?1`, chip[:], at).Scan(&budget, &spent, &deposits)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrUnknownCore
	}
	if err != nil {
		return 0, fmt.Errorf("store: cannot read the wallet: %w", err)
	}
	return left(Account{Budget: lock.Units(budget), Spent: lock.Units(spent)}, deposits), nil
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

func (t *txn) write(g Grant, d Draw) (Result, error) {
	fromBurn := g.Burn != [16]byte{}
	debit := write{StepDebit, `UPDATE chip SET spent = spent + ? WHERE id = ?`, []any{int64(g.Units), g.Chip[:]}}
	if fromBurn { // the wallet paid when it was burnt
		debit = write{StepDebit, `UPDATE burn SET used = used + ? WHERE core = ? AND id = ?`, []any{int64(g.Units), g.Core[:], g.Burn[:]}}
	}
	i, leaf, err := t.next(g.Leaf)
	if err != nil {
		return Result{}, err
	}
	sum := sha256.Sum256(g.Response)
	list := []write{debit, d.charge(g.Units),
		{StepDebit, `UPDATE core SET last_seq = ?, last_units = ?, granted = granted + ?, accepted = ?, used = ?,
			redeemed = ?, last_at = ?, last_proof = ?, prev_proof = ? WHERE id = ?`,
			[]any{int64(g.LockSeq), int64(g.Units), int64(g.Units), int64(g.Accepted), int64(g.Used),
				int64(g.Redeemed), g.AtUnixNS, g.ProofHash[:], g.PrevProof[:], g.Core[:]}},
		{StepNonces, `INSERT INTO nonce VALUES (?)`, []any{g.Nonce[:]}},
		{StepNonces, `INSERT INTO lock_nonce VALUES (?)`, []any{g.LockNonce[:]}}}
	if g.Asked {
		list = append(list, closeChallenge(g))
	}
	list = append(list, leaf, write{StepRequest, `INSERT INTO request (core, id, hash, response, sum, units, burnt, leaf, at, nonce) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		[]any{g.Core[:], g.RequestID[:], g.RequestHash[:], g.Response, sum[:], int64(g.Units), flag(fromBurn), int64(i), g.AtUnixNS, g.Nonce[:]}})
	if err := t.all(list...); err != nil {
		return Result{}, err
	}
	return Result{Response: g.Response, Leaf: i}, nil
}

// append adds a leaf to the chain.
func (t *txn) append(data []byte) (uint64, error) {
	i, w, err := t.next(data)
	if err != nil {
		return 0, err
	}
	return i, t.exec(w.step, w.query, w.args...)
}

// next is the write of the chain's next leaf. A transaction of which a write
// fails is given up as a whole, so the head that it remembers is the true one.
func (t *txn) next(data []byte) (uint64, write, error) {
	if t.top == nil {
		h, err := head(context.Background(), t.tx)
		if err != nil {
			return 0, write{}, err
		}
		t.top = &h
	}
	i := t.top.Size
	hash := ChainHash(t.top.Hash, i, data)
	t.top = &Head{Size: i + 1, Hash: hash}
	return i, write{StepLeaf, `INSERT INTO leaf VALUES (?, ?, ?)`, []any{int64(i), data, hash[:]}}, nil
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
	a, _, err := accountWith(ctx, q, core, "", 0)
	return a, err
}

// accountWith reads a core and further whole numbers in the same query; ?1 is the
// core.
func accountWith(ctx context.Context, q querier, core [32]byte, further string, count int, args ...any) (Account, []int64, error) {
	a := Account{Core: core}
	var chip, last, prev []byte
	var enabled int64
	n, more := [9]int64{}, make([]int64, count)
	to := []any{&chip, &a.Tenant, &a.Platform, &a.Public, &enabled, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &last, &prev}
	for i := range more {
		to = append(to, &more[i])
	}
	err := q.QueryRowContext(ctx, `SELECT c.chip, c.tenant, c.platform, c.public, c.enabled,
		h.budget, h.spent, c.last_seq, c.last_units, c.granted, c.accepted, c.used,
		c.redeemed, c.last_at, c.last_proof, c.prev_proof`+further+`
		FROM core c JOIN chip h ON h.id = c.chip WHERE c.id = ?1`, append([]any{core[:]}, args...)...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, nil, ErrUnknownCore
	}
	if err != nil {
		return Account{}, nil, fmt.Errorf("store: cannot read the account: %w", err)
	}
	for _, v := range append(n[:], more...) {
		if v < 0 {
			return Account{}, nil, fmt.Errorf("%w: a negative counter", ErrChain)
		}
	}
	a.Enabled = enabled == 1
	copy(a.Chip[:], chip)
	copy(a.LastProof[:], last)
	copy(a.PrevProof[:], prev)
	a.Redeemed, a.LastAtNS = uint64(n[7]), n[8]
	a.Budget, a.Spent, a.LastSeq, a.LastUnits = lock.Units(n[0]), lock.Units(n[1]), uint64(n[2]), lock.Units(n[3])
	a.Granted, a.Accepted, a.Used = lock.Units(n[4]), lock.Units(n[5]), lock.Units(n[6])
	return a, more, nil
}

// flag is how databases that know no truth value keep one.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
