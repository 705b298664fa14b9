package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the embedded engine, pure Go
)

// OpenSQLite opens or makes the embedded store in the file at path (WAL,
// synchronous=FULL), takes it over from
// any gate that still has it open (the other one gets ErrFenced from then on),
// and compares it with the head that was seen.
func OpenSQLite(ctx context.Context, path string, opt Options) (*SQL, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	s := &SQL{opt: opt, d: dialect{name: "sqlite", words: func(schema string) string { return schema }, bind: func(q string) string { return q }, fenced: true, oneConn: true}}
	var err error
	if s.write, err = dial(path, "immediate", "busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = dial(path, "deferred", "busy_timeout(5000)", "query_only(1)"); err != nil {
		_ = s.write.Close()
		return nil, err
	}
	keep(s.read, 4)
	s.kept = &prepared{db: s.read}
	return s.open(ctx)
}

// keep bounds a pool's connections and keeps them open: making one costs more
// than a read.
func keep(db *sql.DB, connections int) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
}

// private makes the file before the engine does, readable by its owner only: it
// holds wrapped keys and the accounts of every tenant.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("store: cannot open %s: %w", filepath.Base(path), err)
	}
	return f.Close()
}

func dial(path, lockMode string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {lockMode}, "_pragma": pragmas}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return db, nil
}
