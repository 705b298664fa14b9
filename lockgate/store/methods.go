package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Grant is the one transaction; see Store.
func (s *SQL) Grant(ctx context.Context, g Grant) (r Result, err error) {
	if err := g.validate(); err != nil {
		return Result{}, err
	}
	err = s.submit(ctx, func(t *txn) (err error) {
		r, err = t.grant(g)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	return r, nil
}

// Lookup finds the answer to a request that was granted before; see Store.
func (s *SQL) Lookup(ctx context.Context, core [32]byte, id [16]byte, hash [32]byte) (Result, bool, error) {
	return lookup(ctx, s.reader(), core, id, hash)
}

// Answer finds what a request id was answered with; see Store.
func (s *SQL) Answer(ctx context.Context, core [32]byte, id [16]byte) (Result, bool, error) {
	r, _, ok, err := answered(ctx, s.reader(), core, id)
	return r, ok, err
}

// Consumed says whether a challenge nonce was used for a grant; see Store.
func (s *SQL) Consumed(ctx context.Context, nonce [32]byte) (bool, error) {
	return has(ctx, s.reader(), "nonce", nonce)
}

// Account reads a core; see Store.
func (s *SQL) Account(ctx context.Context, core [32]byte) (Account, error) {
	return account(ctx, s.reader(), core)
}

// Enrol adds or updates a core; see Store.
func (s *SQL) Enrol(ctx context.Context, a Account) error {
	if err := a.validate(); err != nil {
		return err
	}
	return s.submit(ctx, func(t *txn) error {
		was, err := account(context.Background(), t.tx, a.Core)
		switch {
		case errors.Is(err, ErrUnknownCore):
		case err != nil:
			return err
		case was.Chip != a.Chip || !bytes.Equal(was.Public, a.Public):
			return ErrChipMismatch
		}
		if err := t.exec(StepDebit, `INSERT INTO chip VALUES (?, ?, 0) ON CONFLICT(id) DO UPDATE SET budget = excluded.budget`,
			a.Chip[:], int64(a.Budget)); err != nil {
			return err
		}
		return t.exec(StepRequest, `INSERT INTO core (id, chip, tenant, platform, public, enabled, last_seq, last_units, granted, accepted, used, redeemed, last_at,
			last_proof, prev_proof) VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, ?, ?)
			ON CONFLICT(id) DO UPDATE SET tenant = excluded.tenant, platform = excluded.platform, enabled = excluded.enabled`,
			a.Core[:], a.Chip[:], a.Tenant, a.Platform, a.Public, flag(a.Enabled), []byte{}, []byte{})
	})
}

// Enable switches a core on or off; see Store.
func (s *SQL) Enable(ctx context.Context, core [32]byte, on bool) error {
	return s.submit(ctx, func(t *txn) error {
		if _, err := account(context.Background(), t.tx, core); err != nil {
			return err
		}
		return t.exec(StepRequest, `UPDATE core SET enabled = ? WHERE id = ?`, flag(on), core[:])
	})
}

// Append adds a leaf that is no grant; see Store.
func (s *SQL) Append(ctx context.Context, leaf []byte) (i uint64, err error) {
	if len(leaf) == 0 {
		return 0, ErrMalformed
	}
	err = s.submit(ctx, func(t *txn) (err error) {
		i, err = t.append(leaf)
		return err
	})
	return i, err
}

// Deposit adds to a wallet; see Store.
func (s *SQL) Deposit(ctx context.Context, d Deposit) (leaf uint64, err error) {
	switch {
	case d.ID == [16]byte{}, d.Chip == [32]byte{}, len(d.Leaf) == 0, d.AtUnixNS <= 0, d.NotBeforeNS < 0:
		return 0, ErrMalformed
	case d.Units == 0 || d.Units > maxCount:
		return 0, ErrUnits
	}
	err = s.submit(ctx, func(t *txn) (err error) {
		leaf, err = t.deposit(d)
		return err
	})
	return leaf, err
}

// Burn takes units out of the wallet; see Store.
func (s *SQL) Burn(ctx context.Context, b Burn) (out Burnt, err error) {
	switch {
	case b.ID == [16]byte{}, b.Core == [32]byte{}, len(b.Leaf) == 0, b.AtUnixNS <= 0:
		return Burnt{}, ErrMalformed
	case b.Units == 0 || b.Units > maxCount:
		return Burnt{}, ErrUnits
	}
	err = s.submit(ctx, func(t *txn) (err error) {
		out, err = t.burn(b)
		return err
	})
	if err != nil {
		return Burnt{}, err
	}
	return out, nil
}

// Wallet is what a chip has left to use at an instant; see Store.
func (s *SQL) Wallet(ctx context.Context, chip [32]byte, atUnixNS int64) (lock.Units, error) {
	return wallet(ctx, s.reader(), chip, atUnixNS)
}

// Burnt reads a core's burn; see Store.
func (s *SQL) Burnt(ctx context.Context, core [32]byte, id [16]byte) (Burnt, error) {
	return burnt(ctx, s.reader(), core, id)
}

// Deny counts a denial; see Store.
func (s *SQL) Deny(ctx context.Context, reason string) error {
	if reason == "" {
		return ErrMalformed
	}
	return s.submit(ctx, func(t *txn) error {
		return t.exec(StepRequest, `INSERT INTO denial VALUES (?, 1) ON CONFLICT(reason) DO UPDATE SET n = denial.n + 1`, reason)
	})
}

// Denials reads the counts of Deny.
func (s *SQL) Denials(ctx context.Context) (map[string]uint64, error) {
	rows, err := s.reader().QueryContext(ctx, `SELECT reason, n FROM denial`)
	if err != nil {
		return nil, fmt.Errorf("store: cannot read denials: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]uint64{}
	for rows.Next() {
		var reason string
		var n int64
		if err := rows.Scan(&reason, &n); err != nil {
			return nil, fmt.Errorf("store: cannot read denials: %w", err)
		}
		out[reason] = uint64(n)
	}
	return out, rows.Err()
}

// Head is the newest state of the ledger.
func (s *SQL) Head(ctx context.Context) (Head, error) { return head(ctx, s.reader()) }

// Leaves reads leaves from..to (to excluded).
func (s *SQL) Leaves(ctx context.Context, from, to uint64) ([]Leaf, error) {
	h, err := s.Head(ctx)
	if err != nil {
		return nil, err
	}
	if from >= to || to > h.Size {
		return nil, fmt.Errorf("%w: %d to %d of %d", ErrRange, from, to, h.Size)
	}
	rows, err := s.reader().QueryContext(ctx, `SELECT i, data, hash FROM leaf WHERE i >= ? AND i < ? ORDER BY i`, int64(from), int64(to))
	if err != nil {
		return nil, fmt.Errorf("store: cannot read the ledger: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := make([]Leaf, 0, to-from)
	for rows.Next() {
		var i int64
		var data, hash []byte
		if err := rows.Scan(&i, &data, &hash); err != nil {
			return nil, fmt.Errorf("store: cannot read the ledger: %w", err)
		}
		l := Leaf{Index: uint64(i), Data: data}
		copy(l.Hash[:], hash)
		out = append(out, l)
	}
	return out, rows.Err()
}

// Check walks the whole chain, and the debits against the answers given: the
// chips' spending, the cores' grants and the requests must add up to the same
// units, the buckets' hours must hold them, and every answer must have its leaf
// and its consumed nonces.
func (s *SQL) Check(ctx context.Context) error {
	raw, err := s.read.BeginTx(ctx, s.d.check)
	if err != nil {
		return fmt.Errorf("store: cannot check: %w", err)
	}
	defer func() { _ = raw.Rollback() }()
	tx := bound{raw, s.d.bind}
	if err := checkChain(ctx, tx); err != nil {
		return err
	}
	for _, c := range append([]struct{ what, query string }{
		{"a chip's spending is not what its cores were granted and have burnt", `SELECT count(*) FROM chip h WHERE spent <>
			(SELECT coalesce(sum(r.units), 0) FROM request r JOIN core c ON c.id = r.core WHERE c.chip = h.id AND r.burnt = 0) +
			(SELECT coalesce(sum(c.gone_units), 0) FROM core c WHERE c.chip = h.id) +
			(SELECT coalesce(sum(b.units), 0) FROM burn b JOIN core c ON c.id = b.core WHERE c.chip = h.id)`},
		{"what is used of burns is not what was granted on them", `SELECT CAST(abs((SELECT coalesce(sum(used), 0) FROM burn) -
			(SELECT coalesce(sum(units), 0) FROM request WHERE burnt <> 0) - (SELECT coalesce(sum(gone_burnt), 0) FROM core)) AS BIGINT)`},
		{"a core's grants are not what its answers say", `SELECT count(*) FROM core c WHERE granted <> gone_units + gone_burnt +
			(SELECT coalesce(sum(units), 0) FROM request WHERE core = c.id)`},
		{"an answer without a leaf", `SELECT count(*) FROM request WHERE leaf NOT IN (SELECT i FROM leaf)`},
		{"two answers with one leaf", `SELECT count(*) FROM (SELECT leaf FROM request GROUP BY leaf HAVING count(*) > 1) AS twice`},
		{"an answer without its nonce", `SELECT count(*) FROM request WHERE nonce IS NOT NULL AND nonce NOT IN (SELECT n FROM nonce)`},
		{"answers and challenge nonces differ in number", `SELECT abs((SELECT count(*) FROM request) - (SELECT count(*) FROM nonce))`},
		{"answers ever given and lock nonces differ in number", `SELECT CAST(abs((SELECT count(*) FROM request) + (SELECT coalesce(sum(gone), 0) FROM core) -
			(SELECT count(*) FROM lock_nonce)) AS BIGINT)`},
	}, bucketChecks...) {
		var n int64
		if err := tx.QueryRowContext(ctx, c.query).Scan(&n); err != nil {
			return fmt.Errorf("store: cannot check: %w", err)
		}
		if n != 0 {
			return fmt.Errorf("%w: %s", ErrChain, c.what)
		}
	}
	return nil
}

func checkChain(ctx context.Context, q querier) error {
	rows, err := q.QueryContext(ctx, `SELECT i, data, hash FROM leaf ORDER BY i`)
	if err != nil {
		return fmt.Errorf("store: cannot check: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var prev [32]byte
	for want := uint64(0); rows.Next(); want++ {
		var i int64
		var data, hash []byte
		if err := rows.Scan(&i, &data, &hash); err != nil {
			return fmt.Errorf("store: cannot check: %w", err)
		}
		next := ChainHash(prev, want, data)
		if uint64(i) != want || string(hash) != string(next[:]) {
			return fmt.Errorf("%w: at leaf %d", ErrChain, want)
		}
		prev = next
	}
	return rows.Err()
}
