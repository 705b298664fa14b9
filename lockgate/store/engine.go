package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Step names a point inside a transaction, for fault injection.
type Step string

// The steps of a write, in their order. A fault at StepCommitted is the pair of
// the others: applied, but reported as failed.
const (
	StepBegin     Step = "begin"
	StepDebit     Step = "debit"
	StepNonces    Step = "nonces"
	StepLeaf      Step = "leaf"
	StepRequest   Step = "request"
	StepCommit    Step = "commit"
	StepCommitted Step = "committed"
)

// Steps lists them all.
func Steps() []Step {
	return []Step{StepBegin, StepDebit, StepNonces, StepLeaf, StepRequest, StepCommit, StepCommitted}
}

// Options of an embedded store. The zero value is the sound default.
type Options struct {
	// Seen is the newest ledger head known from outside this file (a
	// checkpoint, a witness, an auditor). A store that does not contain it is
	// older than the ledger and is not opened. The zero head asks for nothing.
	Seen Head
	// Batch is how many writes may share one fsync; 0 means 256.
	Batch int
	// Fault, when set, is called at every step of a transaction; its error
	// makes the step fail there. For tests of what a crash leaves behind.
	Fault func(Step) error
}

// SQL is a store in a relational database: one writer that puts what is waiting
// into one transaction (group commit), readers beside it. OpenSQLite and
// OpenPostgres make one.
type SQL struct {
	opt   Options
	d     dialect
	write *sql.DB
	read  *sql.DB
	begin beginner  // where the writer begins its transactions; owned by the run goroutine
	pin   *pinned   // the writer's only connection, where the dialect wants one
	kept  *prepared // the readers' statements, where the driver keeps none
	epoch int64     // fencing: fixed at open
	queue chan *job

	mu     sync.RWMutex // guards closed against late senders
	closed bool
	done   chan struct{}
}

// beginner is a database or one connection of it.
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// dialect is what databases say differently.
type dialect struct {
	name    string
	words   func(schema string) string // translates a schema
	prepare []string                   // before tables are made
	bind    func(query string) string  // writes parameters as the database wants them
	tx      *sql.TxOptions             // of writes
	check   *sql.TxOptions             // of Check: one state throughout
	join    bool                       // every statement is a journey: writes travel together
	fenced  bool                       // one gate at a time: a new one shuts the old one out
	retry   func(error) bool           // the transaction was not applied and may be tried again
	oneConn bool                       // the writer keeps one connection
}

type job struct {
	ctx  context.Context
	do   func(*txn) error
	err  error
	done chan struct{}
}

var _ Store = (*SQL)(nil)

// open begins to serve on two handles to one database.
func (s *SQL) open(ctx context.Context) (*SQL, error) {
	if s.opt.Batch <= 0 {
		s.opt.Batch = 256
	}
	s.queue, s.done = make(chan *job, s.opt.Batch), make(chan struct{})
	s.begin = s.write
	if s.d.oneConn {
		conn, err := s.write.Conn(ctx)
		if err != nil {
			_ = s.closeAll()
			return nil, fmt.Errorf("store: cannot open: %w", err)
		}
		s.pin, s.begin = &pinned{conn: conn}, conn
	}
	if err := s.takeOver(ctx); err != nil {
		_ = s.closeAll()
		return nil, err
	}
	go s.run()
	return s, nil
}

// takeOver makes the tables, checks the schema and the seen head, and, where one
// gate is to shut out another, raises the fencing epoch, all in one transaction.
func (s *SQL) takeOver(ctx context.Context) error {
	var err error
	for try := range maxTries {
		if err = s.tryTakeOver(ctx); err == nil || s.d.retry == nil || !s.d.retry(err) {
			return err
		}
		pause(try)
	}
	return err
}

func (s *SQL) tryTakeOver(ctx context.Context) error {
	tx, err := s.begin.BeginTx(ctx, s.d.tx)
	if err != nil {
		return fmt.Errorf("store: cannot open: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	b := bound{tx, s.d.bind}
	if err := s.migrate(ctx, b); err != nil {
		return err
	}
	if err := contains(ctx, b, s.opt.Seen); err != nil {
		return err
	}
	if s.d.fenced {
		if err := b.QueryRowContext(ctx, `UPDATE meta SET v = v + 1 WHERE k = 'epoch' RETURNING v`).Scan(&s.epoch); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: cannot take over: %w", err)
	}
	return nil
}

// contains says whether the ledger here has grown out of the head.
func contains(ctx context.Context, q querier, h Head) error {
	if h.Size == 0 {
		return nil
	}
	var hash []byte
	err := q.QueryRowContext(ctx, `SELECT hash FROM leaf WHERE i = ?`, int64(h.Size-1)).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: it lacks leaf %d", ErrRolledBack, h.Size-1)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if string(hash) != string(h.Hash[:]) {
		return fmt.Errorf("%w: leaf %d is another one", ErrRolledBack, h.Size-1)
	}
	return nil
}

// Close waits for the writes that were handed over, then closes the files.
func (s *SQL) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	<-s.done
	return s.closeAll()
}

func (s *SQL) closeAll() error {
	var errs []error
	if s.pin != nil {
		errs = append(errs, s.pin.close())
	}
	if s.kept != nil {
		errs = append(errs, s.kept.close())
	}
	return errors.Join(append(errs, s.write.Close(), s.read.Close())...)
}

// submit hands a write to the writer and waits for its commit.
func (s *SQL) submit(ctx context.Context, do func(*txn) error) error {
	j := &job{ctx: ctx, do: do, done: make(chan struct{})}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return ErrClosed
	}
	select {
	case s.queue <- j:
		s.mu.RUnlock()
	case <-ctx.Done():
		s.mu.RUnlock()
		return ctx.Err()
	}
	<-j.done // once handed over it is decided; leaving early would only hide it
	return j.err
}

// run is the single writer: whatever waits goes into the next transaction.
func (s *SQL) run() {
	defer close(s.done)
	for j := range s.queue {
		batch := []*job{j}
	fill:
		for len(batch) < s.opt.Batch {
			select {
			case j, ok := <-s.queue:
				if !ok {
					break fill
				}
				batch = append(batch, j)
			default:
				break fill
			}
		}
		s.commit(batch)
		for _, j := range batch {
			close(j.done)
		}
	}
}

// maxTries bounds how often a transaction is tried again that met another one.
const maxTries = 100

// pause lets the other gate finish before a transaction that met its is tried
// again: longer each time, and never as long as the other one pauses.
func pause(try int) {
	time.Sleep(rand.N(min(time.Millisecond<<min(try, 10), 50*time.Millisecond)))
}

// commit runs a batch in one transaction. A job that a check refuses has
// written nothing and only fails itself; a job that fails while writing takes
// the whole batch with it, because half of it may be in the transaction. A
// transaction that the database says it did not apply, because it met another
// gate's, is run again from its first check.
func (s *SQL) commit(batch []*job) {
	var err error
	for try := range maxTries {
		for _, j := range batch {
			j.err = nil
		}
		if err = s.try(batch); err == nil || s.d.retry == nil || !s.d.retry(err) {
			break
		}
		pause(try)
	}
	if err == nil {
		return
	}
	for _, j := range batch {
		if j.err == nil {
			j.err = err
		}
	}
}

// start begins a transaction of the writer.
func (s *SQL) start() (transaction, error) {
	if s.pin != nil {
		return s.pin.begin()
	}
	return s.begin.BeginTx(context.Background(), s.d.tx)
}

func (s *SQL) try(batch []*job) error {
	if err := s.fault(StepBegin); err != nil {
		return err
	}
	tx, err := s.start()
	if err != nil {
		return fmt.Errorf("store: cannot write: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	t := &txn{tx: bound{tx, s.d.bind}, fault: s.fault, join: s.d.join}
	if s.d.fenced {
		if err := t.fence(s.epoch); err != nil {
			return err
		}
	}
	live := 0
	for _, j := range batch {
		if j.err = j.ctx.Err(); j.err != nil {
			continue
		}
		t.dirty = false
		if j.err = j.do(t); j.err != nil && (t.dirty || s.d.retry != nil && s.d.retry(j.err)) {
			return j.err
		}
		if j.err == nil {
			live++
		}
	}
	if live == 0 {
		return nil
	}
	if err := s.fault(StepCommit); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if s.d.retry != nil && s.d.retry(err) {
			return err // said to be not applied
		}
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	if err := s.fault(StepCommitted); err != nil {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return nil
}

func (s *SQL) fault(step Step) error {
	if s.opt.Fault == nil {
		return nil
	}
	return s.opt.Fault(step)
}

// bound writes parameters as the database wants them, on the way to a transaction or a database.
type bound struct {
	q interface {
		querier
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	}
	bind func(string) string
}

// QueryRowContext is database/sql's.
func (b bound) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return b.q.QueryRowContext(ctx, b.bind(query), args...)
}

// QueryContext is database/sql's.
func (b bound) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return b.q.QueryContext(ctx, b.bind(query), args...)
}

// ExecContext is database/sql's.
func (b bound) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return b.q.ExecContext(ctx, b.bind(query), args...)
}

// reader is where reads go.
func (s *SQL) reader() bound {
	if s.kept != nil {
		return bound{s.kept, s.d.bind}
	}
	return bound{s.read, s.d.bind}
}
