package store

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// Exec runs a statement on the writer's own connection, as a fault would.
func (s *SQL) Exec(query string) error {
	_, err := s.pin.conn.ExecContext(context.Background(), query)
	return err
}

// WriteVersion1 fills an empty database with what version 1 of the schema held
// after one grant (storetest.Nth of 1, units 10, one leaf).
func WriteVersion1(path string, core, chip, request, hash, nonce, lockNonce, proof, prev []byte, response, leaf string) error {
	db, err := dial(path, "immediate")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements(firstSchema) {
		if _, err := db.Exec(statement); err != nil {
			return err
		}
	}
	sum := sha256.Sum256([]byte(response))
	first := ChainHash([32]byte{}, 0, []byte(leaf))
	for _, w := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO meta VALUES ('schema', 1), ('epoch', 3)`, nil},
		{`INSERT INTO chip VALUES (?, 100, 10)`, []any{chip}},
		{`INSERT INTO core VALUES (?, ?, 't', 'sim', ?, 1, 1, 10, 10, 0, 0, 0, 1, ?, ?)`, []any{core, chip, []byte("pub"), proof, prev}},
		{`INSERT INTO leaf VALUES (0, ?, ?)`, []any{[]byte(leaf), first[:]}},
		{`INSERT INTO request VALUES (?, ?, ?, ?, ?, 10, 0, 0, 1)`, []any{core, request, hash, []byte(response), sum[:]}},
		{`INSERT INTO nonce VALUES (?)`, []any{nonce}},
		{`INSERT INTO lock_nonce VALUES (?)`, []any{lockNonce}},
	} {
		if _, err := db.Exec(w.query, w.args...); err != nil {
			return fmt.Errorf("%s: %w", w.query, err)
		}
	}
	return nil
}
