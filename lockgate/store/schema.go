package store

import (
	"context"
	"fmt"
	"strings"
)

// firstSchema is version 1, in SQLite's words; other dialects translate it. It is
// never edited: what changes is a migration.
const firstSchema = `
CREATE TABLE IF NOT EXISTS meta (k TEXT PRIMARY KEY, v INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chip (id BLOB PRIMARY KEY, budget INTEGER NOT NULL, spent INTEGER NOT NULL,
  CHECK (length(id) = 32 AND spent >= 0 AND budget >= 0)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS core (id BLOB PRIMARY KEY, chip BLOB NOT NULL REFERENCES chip(id), tenant TEXT NOT NULL,
  platform TEXT NOT NULL, public BLOB NOT NULL, enabled INTEGER NOT NULL, last_seq INTEGER NOT NULL,
  last_units INTEGER NOT NULL, granted INTEGER NOT NULL, accepted INTEGER NOT NULL, used INTEGER NOT NULL,
  redeemed INTEGER NOT NULL, last_at INTEGER NOT NULL, last_proof BLOB NOT NULL, prev_proof BLOB NOT NULL,
  CHECK (length(id) = 32 AND granted >= 0)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leaf (i INTEGER PRIMARY KEY, data BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS request (core BLOB NOT NULL REFERENCES core(id), id BLOB NOT NULL, hash BLOB NOT NULL,
  response BLOB NOT NULL, sum BLOB NOT NULL, units INTEGER NOT NULL, burnt INTEGER NOT NULL,
  leaf INTEGER NOT NULL REFERENCES leaf(i), at INTEGER NOT NULL, PRIMARY KEY (core, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonce (n BLOB PRIMARY KEY, CHECK (length(n) = 32)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lock_nonce (n BLOB PRIMARY KEY, CHECK (length(n) = 32)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deposit (id BLOB PRIMARY KEY, chip BLOB NOT NULL REFERENCES chip(id), units INTEGER NOT NULL,
  not_before INTEGER NOT NULL, leaf INTEGER NOT NULL REFERENCES leaf(i), at INTEGER NOT NULL,
  CHECK (units > 0)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deposit_of ON deposit(chip, not_before);
CREATE TABLE IF NOT EXISTS burn (core BLOB NOT NULL REFERENCES core(id), id BLOB NOT NULL, units INTEGER NOT NULL,
  used INTEGER NOT NULL, leaf INTEGER NOT NULL REFERENCES leaf(i), at INTEGER NOT NULL,
  PRIMARY KEY (core, id), CHECK (units > 0 AND used >= 0 AND used <= units)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS denial (reason TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`

// migrations lead from each version to the next; the first one leads from 1 to
// 2. They run in the transaction that opens the store, so a gate that dies in
// the middle leaves the version before.
var migrations = []string{
	// 2: answers and challenge nonces can be pruned (an answer names its nonce,
	// and a core counts what is gone), and gates on one store answer for one
	// another's challenges. Answers of version 1 name no nonce and stay.
	`ALTER TABLE request ADD COLUMN nonce BLOB;
ALTER TABLE core ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE core ADD COLUMN gone_units INTEGER NOT NULL DEFAULT 0;
ALTER TABLE core ADD COLUMN gone_burnt INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX request_leaf ON request(leaf);
CREATE TABLE challenge (core BLOB PRIMARY KEY REFERENCES core(id), nonce BLOB NOT NULL, envelope BLOB NOT NULL,
  lock_nonce BLOB NOT NULL, issued INTEGER NOT NULL, ttl INTEGER NOT NULL, request BLOB, refused TEXT NOT NULL,
  reason TEXT NOT NULL, CHECK (length(nonce) = 32 AND length(lock_nonce) = 32)) STRICT, WITHOUT ROWID;`,
	// 3: what tenants, policies and the fleet draw is counted by the hour of UTC.
	// The answers that are there say what was drawn before, but not under which
	// policy.
	`CREATE TABLE bucket (kind TEXT NOT NULL, name TEXT NOT NULL, hour INTEGER NOT NULL, units INTEGER NOT NULL,
  PRIMARY KEY (kind, name, hour), CHECK (units >= 0)) STRICT, WITHOUT ROWID;
INSERT INTO bucket (kind, name, hour, units) SELECT 'fleet', '', at / 3600000000000, CAST(sum(units) AS BIGINT)
  FROM request GROUP BY at / 3600000000000;
INSERT INTO bucket (kind, name, hour, units) SELECT 'tenant', c.tenant, r.at / 3600000000000, CAST(sum(r.units) AS BIGINT)
  FROM request r JOIN core c ON c.id = r.core GROUP BY c.tenant, r.at / 3600000000000;`,
}

// schemaVersion is what this program writes.
var schemaVersion = int64(len(migrations) + 1)

// migrate makes the tables, or brings those of an older version up to this one.
// Tables of a newer version are left alone.
func (s *SQL) migrate(ctx context.Context, b bound) error {
	do := func(schema string) error {
		for _, statement := range statements(s.d.words(schema)) {
			if _, err := b.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("store: cannot make tables: %w", err)
			}
		}
		return nil
	}
	for _, p := range s.d.prepare {
		if _, err := b.ExecContext(ctx, p); err != nil {
			return fmt.Errorf("store: cannot make tables: %w", err)
		}
	}
	if err := do(firstSchema); err != nil {
		return err
	}
	if _, err := b.ExecContext(ctx, `INSERT INTO meta VALUES ('schema', 1), ('epoch', 0) ON CONFLICT DO NOTHING`); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	var version int64
	if err := b.QueryRowContext(ctx, `SELECT v FROM meta WHERE k = 'schema'`).Scan(&version); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if version < 1 || version > schemaVersion {
		return fmt.Errorf("%w: schema %d, this program has %d", ErrSchema, version, schemaVersion)
	}
	for ; version < schemaVersion; version++ {
		if err := do(migrations[version-1]); err != nil {
			return err
		}
		if _, err := b.ExecContext(ctx, `UPDATE meta SET v = ? WHERE k = 'schema'`, version+1); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

// statements splits a schema.
func statements(schema string) []string {
	var out []string
	for s := range strings.SplitSeq(schema, ";") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
