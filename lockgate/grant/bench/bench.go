// Package bench measures what a gate can do on this machine: verified, durable
// grants a second with all that belongs to one, and each part by itself.
//
// The load is real: proofs with hybrid signatures by beacons and core, a
// directory, a policy, a store that syncs to the disk and a transparency log that
// publishes checkpoints. Only the network is missing, and the round trips are
// computed. Cores answer challenges of this very gate beforehand; what is measured
// begins when all have their proofs and ends when all have their leases.
//
// Figures of one run can be compared with each other, not with those of another
// machine or hour.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/pgtemp"
)

// Config of a run.
type Config struct {
	Grants   int    // in each whole run; 0: 1,000
	Clients  int    // requests under way at once; 0: 256
	Together int    // statements of a beacon under one signature, at most; 0: 64
	Postgres string // data source of a server; empty: one of its own, if this machine has the programs
	Alone    bool   // no PostgreSQL
	Dir      string // for stores and logs; empty: a temporary folder

	// Progress is told what is measured and how much of the whole is done; may be nil.
	Progress func(what string, share float64)
}

// Latency of what was measured, in milliseconds.
type Latency struct {
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
}

// Whole is a run of the whole gate.
type Whole struct {
	Store       string  `json:"store"`
	Grants      int     `json:"grants"`
	PerSecond   float64 `json:"grants_per_s"`
	Latency     Latency `json:"latency"`
	VerifyMS    float64 `json:"verify_p50_ms"` // reading, verifying, deciding and signing, waiting for a processor included
	CommitMS    float64 `json:"commit_p50_ms"` // in the store, waiting for the group included
	LedgerMS    float64 `json:"ledger_p50_ms"` // until a checkpoint shows the leaf
	ProcessorUS float64 `json:"processor_us_per_grant"`
}

// Verify is what verifying one proof costs of a processor, the median over many.
type Verify struct {
	How         string  `json:"how"`
	Statements  int     `json:"statements"`
	MicroS      float64 `json:"us_per_proof"`
	PerSecond   float64 `json:"proofs_per_s_and_processor"`
	Against     float64 `json:"times_one_by_one"`
	AllocatedKB float64 `json:"allocated_kb_per_proof"`
}

// Commit is a store alone.
type Commit struct {
	Store     string  `json:"store"`
	Clients   int     `json:"clients"`
	PerSecond float64 `json:"commits_per_s"`
	Latency   Latency `json:"latency"`
}

// Ledger is the transparency log alone.
type Ledger struct {
	Leaves      int     `json:"leaves_in_a_batch"`
	AppendMS    Latency `json:"append"` // of a batch, until it is durable in the log
	ProofMS     Latency `json:"inclusion_proof"`
	PublishedMS Latency `json:"published"` // until a checkpoint shows a leaf
}

// Report is what Run measured.
type Report struct {
	Processors int      `json:"processors"`
	Go         string   `json:"go"`
	Clients    int      `json:"clients"`
	Together   int      `json:"statements_under_one_signature"`
	Whole      []Whole  `json:"whole"`
	Verify     []Verify `json:"verify"`
	IssueUS    float64  `json:"lease_us"` // making, wrapping and signing a lease
	Commit     []Commit `json:"commit"`
	Ledger     Ledger   `json:"ledger"`
	LockFeedNS float64  `json:"lock_feed_ns"` // a lease with its key
	LockStepNS float64  `json:"lock_step_ns"` // the key of a later step
	NoPostgres string   `json:"no_postgres,omitempty"`
}

// ErrConfig is a configuration out of its limits.
var ErrConfig = errors.New("bench: 1 to 100000 grants, 1 to 4096 clients, 1 to 65536 statements together")

func (c Config) withDefaults() (Config, error) {
	set := func(v *int, usual int) {
		if *v == 0 {
			*v = usual
		}
	}
	set(&c.Grants, 1000)
	set(&c.Clients, 256)
	set(&c.Together, 64)
	if c.Grants < 1 || c.Grants > 100_000 || c.Clients < 1 || c.Clients > 4096 || c.Together < 1 || c.Together > 1<<16 {
		return c, ErrConfig
	}
	if c.Progress == nil {
		c.Progress = func(string, float64) {}
	}
	return c, nil
}

// opener makes an empty store by a name for people.
type opener struct {
	name string
	open func(ctx context.Context, batch int) (*store.SQL, error)
}

// Run measures. It needs a few seconds for each thousand grants.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "ursa-bench-gate-"); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		defer func() { _ = os.RemoveAll(cfg.Dir) }()
	}
	r := &Report{Processors: runtime.GOMAXPROCS(0), Go: runtime.Version(), Clients: cfg.Clients, Together: cfg.Together}
	stores := []opener{embedded(cfg.Dir)}
	stop := func() {}
	if !cfg.Alone {
		var pg opener
		if pg, stop, err = postgres(cfg.Postgres); errors.Is(err, pgtemp.ErrNone) {
			r.NoPostgres = err.Error()
		} else if err != nil {
			return nil, err
		} else {
			stores = append(stores, pg)
		}
	}
	defer stop()
	w := &work{cfg: cfg, r: r}
	return r, w.all(ctx, stores)
}

// embedded opens SQLite files in a folder.
func embedded(dir string) opener {
	n := 0
	path := func() string { return filepath.Join(dir, fmt.Sprintf("gate-%d.db", n)) }
	return opener{name: "SQLite", open: func(ctx context.Context, batch int) (*store.SQL, error) {
		n++
		return store.OpenSQLite(ctx, path(), store.Options{Batch: batch})
	}}
}

// postgres opens schemas on a server.
func postgres(dsn string) (opener, func(), error) {
	server := pgtemp.Existing(dsn)
	if dsn == "" {
		var err error
		if server, err = pgtemp.Start(); err != nil {
			return opener{}, func() {}, err
		}
	}
	return opener{name: "PostgreSQL", open: func(ctx context.Context, batch int) (*store.SQL, error) {
		dsn, err := server.Schema(ctx)
		if err != nil {
			return nil, err
		}
		return store.OpenPostgres(ctx, dsn, store.Options{Batch: batch})
	}}, server.Stop, nil
}

// latency sums durations up; it sorts them.
func latency(d []time.Duration) Latency {
	slices.Sort(d)
	return Latency{P50MS: ms(quantile(d, 0.5)), P99MS: ms(quantile(d, 0.99))}
}

// quantile of sorted durations, rounded up.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(int(math.Ceil(q*float64(len(d))))-1, len(d)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
