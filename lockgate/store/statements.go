package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// transaction is what a batch of writes runs in.
type transaction interface {
	querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	Commit() error
	Rollback() error
}

// pinned is the writer's only connection, where the dialect wants one, with every
// statement that it has run kept prepared: an embedded engine spends more on
// reading a statement than on running it. It is owned by the writer's goroutine.
type pinned struct {
	conn *sql.Conn
	kept map[string]*sql.Stmt
	open bool
}

// begin begins the next transaction. What a failed one may have left is rolled
// back first: nothing of it may leak into this one.
func (p *pinned) begin() (transaction, error) {
	if p.open {
		_ = p.Rollback()
	}
	if _, err := p.conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	p.open = true
	return p, nil
}

// Commit ends the transaction. When it fails the transaction may be open still.
func (p *pinned) Commit() error {
	_, err := p.conn.ExecContext(context.Background(), "COMMIT")
	if err == nil {
		p.open = false
	}
	return err
}

// Rollback gives it up; after a commit it does nothing.
func (p *pinned) Rollback() error {
	if !p.open {
		return nil
	}
	p.open = false
	_, err := p.conn.ExecContext(context.Background(), "ROLLBACK") // refused when the engine has done so itself
	return err
}

// statement finds or makes one; nil when it cannot be prepared, so that
// running it plainly says why.
func (p *pinned) statement(ctx context.Context, query string) *sql.Stmt {
	if s, ok := p.kept[query]; ok {
		return s
	}
	s, err := p.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	if p.kept == nil {
		p.kept = map[string]*sql.Stmt{}
	}
	p.kept[query] = s
	return s
}

// ExecContext is database/sql's.
func (p *pinned) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s := p.statement(ctx, query); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return p.conn.ExecContext(ctx, query, args...)
}

// QueryRowContext is database/sql's.
func (p *pinned) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := p.statement(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.conn.QueryRowContext(ctx, query, args...)
}

// QueryContext is database/sql's.
func (p *pinned) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := p.statement(ctx, query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.conn.QueryContext(ctx, query, args...)
}

// close lets statements and connection go.
func (p *pinned) close() error {
	var errs []error
	for _, s := range p.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.conn.Close())...)
}

// prepared is a pool of readers that keeps its statements, for an engine whose
// driver does not.
type prepared struct {
	db   *sql.DB
	kept sync.Map // from query to *sql.Stmt
}

// statement finds or makes one; nil when it cannot be prepared, so that running
// it plainly says why.
func (p *prepared) statement(ctx context.Context, query string) *sql.Stmt {
	if s, ok := p.kept.Load(query); ok {
		return s.(*sql.Stmt)
	}
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	if first, loaded := p.kept.LoadOrStore(query, s); loaded {
		_ = s.Close()
		return first.(*sql.Stmt)
	}
	return s
}

// ExecContext is database/sql's.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.db.ExecContext(ctx, query, args...)
}

// QueryRowContext is database/sql's.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := p.statement(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.db.QueryRowContext(ctx, query, args...)
}

// QueryContext is database/sql's.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := p.statement(ctx, query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.db.QueryContext(ctx, query, args...)
}

// close lets the statements go.
func (p *prepared) close() error {
	var errs []error
	p.kept.Range(func(_, s any) bool {
		errs = append(errs, s.(*sql.Stmt).Close())
		return true
	})
	return errors.Join(errs...)
}
