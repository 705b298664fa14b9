package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// OpenPostgres opens or makes the store in a PostgreSQL database, or in one that
// speaks its protocol and has serialisable transactions (CockroachDB,
// YugabyteDB). Several gates may share it: nobody is shut out, every write is a
// serialisable transaction with synchronous commit, and one that met another is
// run again from its first check. The tables lie in the first schema of the
// connection's search path.
func OpenPostgres(ctx context.Context, dsn string, opt Options) (*SQL, error) {
	s := &SQL{opt: opt, d: dialect{name: "postgres", words: pgWords, prepare: []string{"SET LOCAL client_min_messages = warning"},
		bind: dollars, join: true, tx: &sql.TxOptions{Isolation: sql.LevelSerializable}, retry: pgRetry,
		check: &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}}}
	var err error
	if s.write, err = sql.Open("pgx", dsn); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("pgx", dsn); err != nil {
		_ = s.write.Close()
		return nil, fmt.Errorf("store: %w", err)
	}
	keep(s.read, 8)
	return s.open(ctx)
}

// pgWords translates a schema.
func pgWords(schema string) string {
	return strings.NewReplacer("BLOB", "BYTEA", "INTEGER", "BIGINT", " STRICT, WITHOUT ROWID", "", " STRICT", "").Replace(schema)
}

// dollars writes ? and ?1 as $1. No query has a question mark in a text.
func dollars(query string) string {
	var b strings.Builder
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		b.WriteByte('$')
		if i+1 < len(query) && query[i+1] >= '1' && query[i+1] <= '9' {
			continue // it has its number
		}
		n++
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// pgRetry says whether the server has said that the transaction was not applied
// and may be tried again: serialisation failure, deadlock, and two gates that
// make the same row or table at once.
func pgRetry(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40001", "40P01", "23505", "42P07", "XX000":
		return pg.Code != "XX000" || strings.Contains(pg.Message, "concurrently")
	}
	return false
}
