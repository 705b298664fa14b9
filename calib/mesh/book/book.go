// Package book keeps what receivers measured: verified statements, one row for each ordered pair and period, in an SQLite file that
// only grows.
//
// What it believes: whoever puts a record in has verified it; the proof stands beside it, so that anybody can verify it again.
//
// What it promises: a record that Put returned for is on disk. Nothing is changed or removed: triggers refuse it. A pair is recorded once
// in a period; a second attempt is no error and changes nothing, so that a run that was killed may repeat its last step.
//
// What an attacker may do: whoever can write the file can replace it; the proofs in it cannot be forged.
package book

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the engine

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// What a book may refuse.
var (
	ErrOpen    = errors.New("book of measurements cannot be opened")
	ErrRecord  = errors.New("not a record")
	ErrAnother = errors.New("the book holds another period under this id")
)

// Period is one walk through a plan.
type Period struct {
	ID          [32]byte // names plan, members and start
	StartUnixNS int64
	Members     []identity.ID // the beacons that the plan's numbers index
}

// Record is one measured pair.
type Record struct {
	From, To  identity.ID // beacons: From's receiver asked To
	AtUnixNS  int64       // start of the exchange, on To's clock
	RTT       earth.RTT   // on which a bound may rest: the larger of both sides' minima
	RTTBeacon earth.RTT   // To's minimum
	RTTCore   earth.RTT   // From's minimum
	Rounds    uint64      // valid ones
	Proof     []byte      // encoded
}

const schema = `
CREATE TABLE IF NOT EXISTS period (id BLOB PRIMARY KEY, start_unix_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS member (period BLOB NOT NULL, number INTEGER NOT NULL, beacon BLOB NOT NULL, PRIMARY KEY (period, number)) STRICT;
CREATE TABLE IF NOT EXISTS measurement (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, period BLOB NOT NULL, src BLOB NOT NULL, dst BLOB NOT NULL, at_unix_ns INTEGER NOT NULL,
	rtt_ns INTEGER NOT NULL, rtt_beacon_ns INTEGER NOT NULL, rtt_core_ns INTEGER NOT NULL, rounds INTEGER NOT NULL, proof BLOB NOT NULL,
	UNIQUE (period, src, dst)) STRICT;
CREATE TRIGGER IF NOT EXISTS measurement_keeps BEFORE UPDATE ON measurement BEGIN SELECT RAISE(ABORT, 'measurements are not changed'); END;
CREATE TRIGGER IF NOT EXISTS measurement_stays BEFORE DELETE ON measurement BEGIN SELECT RAISE(ABORT, 'measurements are not removed'); END;
`

// Book is an open file. It is safe for concurrent use by one process.
type Book struct{ db *sql.DB }

// Open opens a book, and begins it when the file is new.
func Open(ctx context.Context, path string) (*Book, error) {
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "foreign_keys(1)"}, "_txlock": {"immediate"}}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrOpen, path, err)
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrOpen, path, err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrOpen, path, err)
	}
	return &Book{db}, nil
}

// Close closes the file.
func (b *Book) Close() error { return b.db.Close() }

// Begin records a period and its members, or finds that it was begun before.
func (b *Book) Begin(ctx context.Context, p Period) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var start int64
	switch err := tx.QueryRowContext(ctx, `SELECT start_unix_ns FROM period WHERE id = ?`, p.ID[:]).Scan(&start); {
	case err == nil && start == p.StartUnixNS:
		return nil
	case err == nil:
		return fmt.Errorf("%w: it began at %d, not at %d", ErrAnother, start, p.StartUnixNS)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO period VALUES (?, ?)`, p.ID[:], p.StartUnixNS); err != nil {
		return err
	}
	for i, m := range p.Members {
		if _, err := tx.ExecContext(ctx, `INSERT INTO member VALUES (?, ?, ?)`, p.ID[:], i, m[:]); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Last returns the period that began last; ok is false for an empty book.
func (b *Book) Last(ctx context.Context) (p Period, ok bool, err error) {
	var id []byte
	err = b.db.QueryRowContext(ctx, `SELECT id, start_unix_ns FROM period ORDER BY start_unix_ns DESC, id LIMIT 1`).Scan(&id, &p.StartUnixNS)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	if copy(p.ID[:], id) != len(p.ID) {
		return p, false, fmt.Errorf("%w: a period id of %d bytes", ErrRecord, len(id))
	}
	p.Members, err = b.members(ctx, p.ID)
	return p, err == nil, err
}

func (b *Book) members(ctx context.Context, period [32]byte) (list []identity.ID, err error) {
	rows, err := b.db.QueryContext(ctx, `SELECT beacon FROM member WHERE period = ? ORDER BY number`, period[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, err
		}
		id, err := idOf(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, id)
	}
	return list, rows.Err()
}

// Put records a pair of a period, once.
func (b *Book) Put(ctx context.Context, period [32]byte, r Record) error {
	if r.RTT <= 0 || r.RTTBeacon <= 0 || r.RTTCore <= 0 || r.From == r.To || len(r.Proof) == 0 {
		return fmt.Errorf("%w: %s to %s in %d ns with a proof of %d bytes", ErrRecord, r.From.Short(), r.To.Short(), int64(r.RTT), len(r.Proof))
	}
	_, err := b.db.ExecContext(ctx, `INSERT INTO measurement (period, src, dst, at_unix_ns, rtt_ns, rtt_beacon_ns, rtt_core_ns, rounds, proof)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (period, src, dst) DO NOTHING`,
		period[:], r.From[:], r.To[:], r.AtUnixNS, int64(r.RTT), int64(r.RTTBeacon), int64(r.RTTCore), int64(r.Rounds), r.Proof)
	return err
}

// Each calls do with every record of a period in the order in which they were put, until do fails.
func (b *Book) Each(ctx context.Context, period [32]byte, do func(Record) error) error {
	rows, err := b.db.QueryContext(ctx, `SELECT src, dst, at_unix_ns, rtt_ns, rtt_beacon_ns, rtt_core_ns, rounds, proof
		FROM measurement WHERE period = ? ORDER BY seq`, period[:])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r Record
		var from, to []byte
		var rtt, beacon, core, rounds int64
		if err := rows.Scan(&from, &to, &r.AtUnixNS, &rtt, &beacon, &core, &rounds, &r.Proof); err != nil {
			return err
		}
		if r.From, err = idOf(from); err != nil {
			return err
		}
		if r.To, err = idOf(to); err != nil {
			return err
		}
		r.RTT, r.RTTBeacon, r.RTTCore, r.Rounds = earth.RTT(rtt), earth.RTT(beacon), earth.RTT(core), uint64(rounds)
		if err := do(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

func idOf(raw []byte) (id identity.ID, err error) {
	if len(raw) != len(id) {
		return id, fmt.Errorf("%w: an id of %d bytes", ErrRecord, len(raw))
	}
	copy(id[:], raw)
	return id, nil
}
