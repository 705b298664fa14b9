package grant_test

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// A gate in a process of its own, for tests that kill it: this test's binary,
// started again. It reads orders from descriptor 3 and answers on 4.

// playbill is what gate and test must agree on.
type playbill struct {
	Seed      uint64
	AtUnixNS  int64
	Path, DSN string // of the store: one of them
	Log       string // directory of the transparency log
	LogKey    []byte
}

// order is what the test tells a gate.
type order struct {
	Do       string // "challenge", "grant", "prune", "arm", "limit"
	Question grant.Question
	Request  grant.Request
	N        uint64 // arm: die at the N-th point from now, 0: never; limit: of file sizes in bytes, 0: none
}

// answer is what it says.
type answer struct {
	Challenge          []byte
	Lease              []byte
	Granted            bool
	RefusedBy, Trouble string // trouble: nothing is known of the outcome
	Halted             bool   // trouble that ends only when a person comes
	Gone               int
}

// fuse counts the points at which a gate may die: steps of a transaction, reads
// of the transparency log's source, and the moments around a decision.
type fuse struct {
	left atomic.Int64
	full bool // no file may grow
}

// burn dies when the fuse has burnt down: as a killed process, with whatever is
// under way.
func (f *fuse) burn() {
	if f.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// frayed is a log's source at whose reads the process may die.
type frayed struct {
	ledger.Source
	f *fuse
}

// Data reads leaves.
func (s frayed) Data(ctx context.Context, from, to uint64) ([][]byte, error) {
	s.f.burn()
	b, err := s.Source.Data(ctx, from, to)
	s.f.burn()
	return b, err
}

// beforeGate is what the gate's process does first.
var beforeGate = func() error { return nil }

// TestGateProcess is no test but the gate's process.
func TestGateProcess(t *testing.T) {
	if os.Getenv("URSA_TEST_GATE") == "" {
		t.Skip("this is the other end of the campaigns")
	}
	in, out := os.NewFile(3, "orders"), os.NewFile(4, "answers")
	signal.Ignore(syscall.SIGXFSZ)
	if err := beforeGate(); err != nil {
		fmt.Fprintln(os.Stderr, "gate process:", err)
		os.Exit(1)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the log's library complains of the full disk
	if err := gateProcess(gob.NewDecoder(in), out); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "gate process:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func gateProcess(in *gob.Decoder, out io.Writer) error {
	var p playbill
	if err := in.Decode(&p); err != nil {
		return err
	}
	f := &fuse{}
	g, err := openGate(p, f)
	if err != nil {
		return err
	}
	enc := gob.NewEncoder(out)
	if err := enc.Encode(answer{}); err != nil { // it is there
		return err
	}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return err
		}
		if err := enc.Encode(fulfil(g, o, f)); err != nil {
			return err
		}
	}
}

// openGate opens store and log and makes the gate.
func openGate(p playbill, f *fuse) (*grant.Gate, error) {
	ctx := context.Background()
	s, err := stage.New(p.Seed, time.Unix(0, p.AtUnixNS))
	if err != nil {
		return nil, err
	}
	opt := store.Options{Fault: func(store.Step) error { f.burn(); return nil }}
	var st *store.SQL
	if p.DSN != "" {
		st, err = store.OpenPostgres(ctx, p.DSN, opt)
	} else {
		st, err = store.OpenSQLite(ctx, p.Path, opt)
	}
	if err != nil {
		return nil, err
	}
	key, err := ledger.ParseKey(p.LogKey)
	if err != nil {
		return nil, err
	}
	log, err := ledger.OpenLog(ctx, ledger.LogConfig{Dir: p.Log, Key: key, Source: frayed{ledger.FromStore(st), f}})
	if err != nil {
		return nil, err
	}
	s.Policy.Budgets = roomy
	s.Policy.MaxAgeMS = new(uint64(statement.MaxTTL.Milliseconds())) // a request that is sent again and again, on a slow machine, stays good
	return grant.New(ctx, grant.Config{Key: s.GateKey, Store: st, Directory: s.Directory, Policy: s.Policy, Ledger: log,
		Shared: p.DSN != "", TTL: statement.MaxTTL})
}

// fulfil does what is told. Trouble that does not end by itself (a full disk)
// ends the wait for a checkpoint after a while.
func fulfil(g *grant.Gate, o order, f *fuse) answer {
	patience := time.Minute
	if f.full {
		patience = 3 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var a answer
	var err error
	switch o.Do {
	case "arm":
		f.left.Store(int64(o.N))
		return a
	case "limit":
		f.full = o.N > 0
		return answer{Trouble: words(setFileLimit(o.N))}
	case "challenge":
		a.Challenge, err = g.Challenge(ctx, o.Question)
		var no *grant.Denial
		if errors.As(err, &no) {
			a.RefusedBy, err = no.RefusedBy, nil
		}
	case "grant":
		f.burn() // read, and nothing done
		var d grant.Decision
		d, err = g.Grant(ctx, o.Request)
		a.Lease, a.Granted, a.RefusedBy = d.Lease, d.Granted, d.RefusedBy
	case "prune":
		a.Gone, err = g.Prune(ctx)
	}
	f.burn() // done, and nothing said
	a.Trouble, a.Halted = words(err), errors.Is(err, ledger.ErrDiverged) || errors.Is(err, ledger.ErrRolledBack)
	return a
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// setFileLimit makes writes beyond a size fail, in the middle of a write as well:
// what a full disk does.
func setFileLimit(n uint64) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
		return err
	}
	r.Cur = r.Max
	if n > 0 {
		r.Cur = n
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &r)
}

// gateProc is the test's end of a gate's process.
type gateProc struct {
	t    testing.TB
	bill playbill
	cmd  *exec.Cmd
	in   *gob.Encoder
	out  *gob.Decoder
	ends []io.Closer
	died int
	disk traced   // nil: the machine's own
	said *os.File // what it complained of, on such a disk
}

// traced starts a process on a disk that fails at times, and says when it has
// ended.
type traced interface {
	start(*exec.Cmd) error
	ended()
}

// words is where a process that is expected to complain may do so.
func (p *gateProc) words() *os.File {
	if p.said == nil {
		var err error
		if p.said, err = os.CreateTemp(p.t.TempDir(), "said"); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { _ = p.said.Close() })
	}
	return p.said
}

// lastWords are the end of that.
func (p *gateProc) lastWords() string {
	if p.said == nil {
		return ""
	}
	b, _ := os.ReadFile(p.said.Name())
	return string(b[max(0, len(b)-2000):])
}

// errDead is a gate that died before it answered.
var errDead = errors.New("the gate's process is dead")

// start starts the process and waits until it is there. At times it dies before:
// it was killed, or another one opens the store at the same moment, or the
// database recovers.
func (p *gateProc) start() {
	for n := range 60 {
		if p.try() == nil {
			return
		}
		p.reap()
		time.Sleep(time.Duration(min(n, 20)) * 50 * time.Millisecond)
	}
	p.t.Fatal("no gate starts on this store ", p.lastWords())
}

func (p *gateProc) try() error {
	orders, toGate, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	fromGate, answers, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestGateProcess$", "-test.timeout=0", "-test.count=1")
	p.cmd.Env = append(os.Environ(), "URSA_TEST_GATE=1")
	p.cmd.ExtraFiles = []*os.File{orders, answers}
	p.cmd.Stderr = os.Stderr
	start := (*exec.Cmd).Start
	if p.disk != nil {
		p.cmd.Env, p.cmd.Stderr = append(p.cmd.Env, "URSA_TEST_DISK=1"), p.words() // it complains of the disk
		start = p.disk.start
	}
	if err := start(p.cmd); err != nil {
		p.t.Fatal(err)
	}
	_, _ = orders.Close(), answers.Close()
	p.ends = []io.Closer{toGate, fromGate}
	p.in, p.out = gob.NewEncoder(toGate), gob.NewDecoder(fromGate)
	if err := p.in.Encode(p.bill); err != nil {
		return err
	}
	var a answer
	return p.out.Decode(&a)
}

// do gives an order. errDead: the process died of it, or before; it has been
// started again.
func (p *gateProc) do(o order) (answer, error) {
	if p.cmd == nil {
		p.start()
	}
	var a answer
	err := p.in.Encode(o)
	if err == nil {
		err = p.out.Decode(&a)
	}
	if err != nil {
		p.died++
		p.reap()
		return answer{}, errDead
	}
	return a, nil
}

// reap ends the process if it still runs; the next order starts another one.
func (p *gateProc) reap() {
	if p.cmd == nil {
		return
	}
	for _, e := range p.ends {
		_ = e.Close()
	}
	_ = p.cmd.Process.Kill()
	if p.disk != nil {
		p.disk.ended()
		_ = p.cmd.Process.Release()
	} else {
		_ = p.cmd.Wait()
	}
	p.cmd = nil
}

// killSoon kills the process from outside after a while, whatever it does then.
func (p *gateProc) killSoon(after time.Duration) (wait func()) {
	if p.cmd == nil {
		p.start()
	}
	victim := p.cmd.Process
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(after)
		_ = victim.Kill()
	})
	return wg.Wait
}

// campaignRounds is how long a campaign lasts: URSA_CAMPAIGN rounds, else as many
// as a test may.
func campaignRounds(usual, short int) int {
	if n, err := strconv.Atoi(os.Getenv("URSA_CAMPAIGN")); err == nil {
		return n
	}
	if testing.Short() {
		return short
	}
	return usual
}
