package store

import (
	"context"
	"fmt"
	"iter"
)

// Prune forgets answers that nobody can ask for again, each with its challenge
// nonce: those given before an instant, except each core's newest, at most limit
// of them (which must be positive) in one transaction. Their units stay in the
// accounts, their leaves in the ledger, their lock nonces for good. What buckets
// counted goes two days before the instant, which must not lie in the future.
//
// What this asks of its caller: a challenge of before the instant must not be
// answerable any more for another reason than that its nonce is remembered here.
// A gate's are not: it forgets them itself when they are used or expired.
func (s *SQL) Prune(ctx context.Context, beforeUnixNS int64, limit int) (gone int, err error) {
	if beforeUnixNS <= 0 || limit <= 0 {
		return 0, ErrMalformed
	}
	err = s.submit(ctx, func(t *txn) (err error) {
		gone, err = t.prune(beforeUnixNS, limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}

// old are the answers that may go, by their leaves. An answer that names no
// nonce was given before version 2 of the schema; it stays.
const old = `SELECT r.leaf FROM request r JOIN core c ON c.id = r.core WHERE r.at < ?1 AND r.at < c.last_at AND r.nonce IS NOT NULL ORDER BY r.leaf LIMIT ?2`

func (t *txn) prune(before int64, limit int) (int, error) {
	ctx := context.Background()
	if err := t.pruneBuckets(before); err != nil {
		return 0, err
	}
	var n int
	if err := t.tx.QueryRowContext(ctx, `SELECT count(*) FROM (`+old+`) AS old`, before, limit).Scan(&n); err != nil {
		return 0, fmt.Errorf("store: cannot read answers: %w", err)
	}
	if n == 0 {
		return 0, nil
	}
	for _, w := range []struct {
		step  Step
		query string
	}{
		{StepDebit, `UPDATE core SET gone = gone + x.n, gone_units = gone_units + x.units, gone_burnt = gone_burnt + x.burnt FROM
			(SELECT core, CAST(count(*) AS BIGINT) AS n, CAST(sum(CASE WHEN burnt = 0 THEN units ELSE 0 END) AS BIGINT) AS units,
			CAST(sum(CASE WHEN burnt = 0 THEN 0 ELSE units END) AS BIGINT) AS burnt
			FROM request WHERE leaf IN (` + old + `) GROUP BY core) AS x WHERE core.id = x.core`},
		{StepNonces, `DELETE FROM nonce WHERE n IN (SELECT nonce FROM request WHERE leaf IN (` + old + `))`},
		{StepRequest, `DELETE FROM request WHERE leaf IN (` + old + `)`},
	} {
		if err := t.exec(w.step, w.query, before, limit); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Accounts reads all cores in the order of their ids, a page at a time: a core
// that is enrolled meanwhile may be among them or not. The first error ends it.
func (s *SQL) Accounts(ctx context.Context) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		for after := []byte{}; ; {
			ids, err := s.coresAfter(ctx, after)
			if err != nil {
				yield(Account{}, err)
				return
			}
			for _, id := range ids {
				a, err := account(ctx, s.reader(), [32]byte(id))
				if !yield(a, err) || err != nil {
					return
				}
				after = id
			}
			if len(ids) == 0 {
				return
			}
		}
	}
}

// coresAfter is the next page of ids.
func (s *SQL) coresAfter(ctx context.Context, after []byte) ([][]byte, error) {
	rows, err := s.reader().QueryContext(ctx, `SELECT id FROM core WHERE id > ? ORDER BY id LIMIT 256`, after)
	if err != nil {
		return nil, fmt.Errorf("store: cannot read cores: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var ids [][]byte
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("store: cannot read cores: %w", err)
		}
		if len(id) != 32 {
			return nil, ErrChain
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
