package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Challenge is a question that a gate asked a core, for other gates on the same
// store to know. There is one for each core: a newer one takes its place.
type Challenge struct {
	Core         [32]byte
	Nonce        [32]byte
	Envelope     []byte   // as it was sent
	LockNonce    [32]byte // with which it was asked for
	IssuedUnixNS int64    // the asking gate's clock, read before anybody could answer
	TTLNS        int64

	Request   [32]byte // hash of the request that used it up; zero: it is open, or was granted
	RefusedBy string   // how that was refused; empty: it is open
	Reason    string
}

func (c Challenge) validate() error {
	var zero [32]byte
	if c.Core == zero || c.Nonce == zero || c.LockNonce == zero || len(c.Envelope) == 0 || c.IssuedUnixNS <= 0 || c.TTLNS <= 0 ||
		c.Request != zero || c.RefusedBy != "" {
		return ErrMalformed
	}
	return nil
}

// Ask keeps a core's newest challenge; see Store.
func (s *SQL) Ask(ctx context.Context, c Challenge) error {
	if err := c.validate(); err != nil {
		return err
	}
	return s.submit(ctx, func(t *txn) error {
		if _, err := account(context.Background(), t.tx, c.Core); err != nil {
			return err
		}
		return t.exec(StepRequest, `INSERT INTO challenge VALUES (?, ?, ?, ?, ?, ?, NULL, '', '')
			ON CONFLICT(core) DO UPDATE SET nonce = excluded.nonce, envelope = excluded.envelope, lock_nonce = excluded.lock_nonce,
			issued = excluded.issued, ttl = excluded.ttl, request = NULL, refused = '', reason = ''`,
			c.Core[:], c.Nonce[:], c.Envelope, c.LockNonce[:], c.IssuedUnixNS, c.TTLNS)
	})
}

// Asked is a core's newest challenge; see Store.
func (s *SQL) Asked(ctx context.Context, core [32]byte) (Challenge, bool, error) {
	c := Challenge{Core: core}
	var nonce, lockNonce, request []byte
	err := s.reader().QueryRowContext(ctx, `SELECT nonce, envelope, lock_nonce, issued, ttl, request, refused, reason FROM challenge WHERE core = ?`, core[:]).
		Scan(&nonce, &c.Envelope, &lockNonce, &c.IssuedUnixNS, &c.TTLNS, &request, &c.RefusedBy, &c.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return Challenge{}, false, nil
	}
	if err != nil {
		return Challenge{}, false, fmt.Errorf("store: cannot read challenges: %w", err)
	}
	copy(c.Nonce[:], nonce)
	copy(c.LockNonce[:], lockNonce)
	copy(c.Request[:], request)
	return c, true, nil
}

// Refuse uses a challenge up without a grant; see Store.
func (s *SQL) Refuse(ctx context.Context, c Challenge) error {
	if c.RefusedBy == "" || c.Request == [32]byte{} {
		return ErrMalformed
	}
	return s.submit(ctx, func(t *txn) error {
		return t.exec(StepRequest, `UPDATE challenge SET request = ?, refused = ?, reason = ? WHERE core = ? AND nonce = ? AND refused = ''`,
			c.Request[:], c.RefusedBy, c.Reason, c.Core[:], c.Nonce[:])
	})
}

// closeChallenge takes the challenge that a grant answers out of the store.
// Whoever comes second finds none: another gate has refused or granted on it, or
// has asked anew.
func closeChallenge(g Grant) write {
	return write{StepNonces, `DELETE FROM challenge WHERE core = ? AND nonce = ?`, []any{g.Core[:], g.Nonce[:]}}
}

// openChallenge says whether the challenge is still to be answered.
func (t *txn) openChallenge(g Grant) error {
	var n int
	err := t.tx.QueryRowContext(context.Background(), `SELECT count(*) FROM challenge WHERE core = ? AND nonce = ? AND refused = ''`, g.Core[:], g.Nonce[:]).Scan(&n)
	if err != nil {
		return fmt.Errorf("store: cannot read challenges: %w", err)
	}
	if n == 0 {
		return ErrNonceUsed
	}
	return nil
}
