package core

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Agent is the holder of a lock. Obtain and Run may be called once at a time.
type Agent struct {
	cfg Config

	mu       sync.Mutex    // guards the lock and its accounts
	state    lock.State    // the only place that the lock lives in
	clock    timepiece     // what leases are timed by
	deadline time.Duration // allowance is forfeited then, by that clock; 0: there is none
	debt     lock.Units    // worked beyond the allowance, to be paid from the next lease
	counted  lock.Units    // units of the meter's reading that are accounted for
	cpu      time.Duration // the meter's newest reading
	took     time.Duration // from question to lease, the last time
	stepTook time.Duration // from question to step key, the last time
	rate     float64       // CPU time used per time that passed
	chain    [32]byte      // hash of the last proof that was granted
	burn     Burnt         // the one that pays now
	lease    openLease     // the newest one, as far as it is opened

	wake chan struct{} // a lease came in
	tell sync.Mutex    // keeps events in order
}

// New boots the lock from its persistent words.
func New(cfg Config) (*Agent, error) {
	cfg, err := cfg.fill()
	if err != nil {
		return nil, err
	}
	slots, err := cfg.Memory.LoadWords()
	if err != nil {
		return nil, fmt.Errorf("core: cannot read the lock's words: %w", err)
	}
	state, err := lock.Boot(lock.Config{ID: cfg.Key.ID(), Cap: cfg.Cap}, slots...)
	if err != nil {
		return nil, err
	}
	chain, ok, err := cfg.Memory.LoadChain()
	if err != nil {
		return nil, fmt.Errorf("core: cannot read the chain of proofs: %w", err)
	}
	if !ok {
		chain = statement.FirstProof(cfg.Key.ID())
	}
	a := &Agent{cfg: cfg, state: state, chain: chain, clock: newTimepiece(cfg.Clock, runtime.NumCPU()), wake: make(chan struct{}, 1)}
	if m, ok := cfg.Memory.(BurnMemory); ok && cfg.Burn > 0 {
		if a.burn, err = m.LoadBurn(); err != nil {
			return nil, fmt.Errorf("core: cannot read the burn: %w", err)
		}
	}
	return a, nil
}

// Allowance is what the lock holds now.
func (a *Agent) Allowance() lock.Units {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.Allowance()
}

// Lease names the newest lease by the request that was answered with it, to ask
// for a token with; false when the lock holds none.
func (a *Agent) Lease() (request [16]byte, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lease.request, a.lease.request != [16]byte{} && a.state.Phase() == lock.Active
}

func (a *Agent) event(e Event) {
	e.At = time.Now()
	a.mu.Lock()
	e.Allowance, e.CPU = a.state.Allowance(), a.cpu
	a.mu.Unlock()
	a.tell.Lock()
	defer a.tell.Unlock()
	a.cfg.Events(e)
}

// step moves the lock and makes durable what has to be, before anyone may use
// what came of it. A lock whose words cannot be kept is halted.
func (a *Agent) step(ev lock.Event) error {
	next, out, err := a.state.Step(ev)
	a.state = next
	if len(out.Persist) == 0 {
		return err
	}
	if werr := a.cfg.Memory.SaveWords(out.Persist); werr != nil {
		a.state, _, _ = a.state.Step(lock.Halt{})
		return fmt.Errorf("core: cannot keep the lock's words: %w", werr)
	}
	return err
}

// question makes the lock issue a nonce.
func (a *Agent) question() (Question, lock.Usage, error) {
	var ask lock.Ask
	if _, err := io.ReadFull(a.cfg.Random, ask.Entropy[:]); err != nil {
		return Question{}, lock.Usage{}, fmt.Errorf("core: no entropy: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.step(ask); err != nil {
		return Question{}, lock.Usage{}, err
	}
	n, _ := a.state.Outstanding()
	u := a.state.Usage()
	// What would not fit under the cap would be forfeited.
	want := max(min(a.cfg.Want, a.cfg.Cap-u.Allowance), 1)
	return Question{LockNonce: n, LockSeq: u.Seq, Want: want}, u, nil
}

// Obtain goes the whole way once: ask, prove, request, feed the lock. A
// definite no is a *Denied.
func (a *Agent) Obtain(ctx context.Context) error {
	paid, err := a.pay(ctx)
	if err != nil {
		return err
	}
	begun, asked := time.Now(), a.now() // before the nonce: a lease can only be younger
	q, usage, err := a.question()
	if err != nil {
		return err
	}
	a.event(Event{Kind: Asking, Units: q.Want})
	challenge, err := a.cfg.Gate.Challenge(ctx, q)
	if err != nil {
		return fmt.Errorf("core: asking for a challenge: %w", err)
	}
	a.event(Event{Kind: Challenged, Challenge: challenge, Took: time.Since(begun)})
	begun = time.Now()
	proof, hash, err := a.cfg.Prover.Prove(ctx, challenge, a.previous())
	if err != nil {
		return fmt.Errorf("core: proving the place: %w", err)
	}
	a.event(Event{Kind: Proved, Proof: proof, Took: time.Since(begun)})
	begun = time.Now()
	envelope, err := a.request(ctx, Request{LockNonce: q.LockNonce, LockSeq: q.LockSeq, Want: q.Want, Usage: usage, Burn: paid, Proof: proof})
	if err != nil {
		a.spoilBurn(err)
		return fmt.Errorf("core: asking for a lease: %w", err)
	}
	units, err := a.feed(envelope, hash, asked)
	if err != nil {
		return err
	}
	a.event(Event{Kind: Granted, Units: units, Lease: envelope, Took: time.Since(begun)})
	a.remind()
	return nil
}

// request sends one lease request until the answer is known: the gate answers
// every retry of it with the same bytes.
func (a *Agent) request(ctx context.Context, r Request) ([]byte, error) {
	if _, err := io.ReadFull(a.cfg.Random, r.RequestID[:]); err != nil {
		return nil, fmt.Errorf("core: no entropy: %w", err)
	}
	pause := a.cfg.Retry / 4
	for try := 1; ; try++ {
		lease, err := a.cfg.Gate.Lease(ctx, r)
		var no *Denied
		if err == nil || errors.As(err, &no) || try >= a.cfg.Attempts || ctx.Err() != nil {
			return lease, err
		}
		if !sleep(ctx, a.jitter(pause)) {
			return nil, err
		}
		pause *= 2
	}
}

func (a *Agent) previous() [32]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chain
}

// feed opens a lease, remembers the proof that it rests on, gives it to the
// lock, pays the debt, and sets the instant at which the rest is forfeited. The
// gate knows the proof as the last one by now; it forgives a core that does not
// only as long as the lease was not redeemed, so the chain goes first.
func (a *Agent) feed(envelope []byte, proof [32]byte, asked time.Duration) (lock.Units, error) {
	l, feed, err := keys.Open(envelope, a.cfg.GateKey, a.cfg.Key.ID(), a.cfg.TimedKey)
	if err != nil {
		return 0, err
	}
	life := time.Duration(min(l.Terms.TOffMS, uint64(maxLife/time.Millisecond))) * time.Millisecond
	// The end of the lease as the gate put it, as a length of time: the wall
	// clock here may be anything.
	if d := time.Duration(l.Terms.NotAfterUnixNS - l.Terms.IssuedUnixNS); d < life {
		life = d
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.cfg.Memory.SaveChain(proof); err != nil {
		return 0, fmt.Errorf("core: cannot keep the chain of proofs: %w", err)
	}
	a.chain = proof
	if err := a.step(feed); err != nil {
		return 0, err
	}
	now := a.clock.now(a.cpu)
	a.deadline, a.took = asked+life, now-asked
	if b := a.burn; b.ID != ([16]byte{}) {
		if b.Left -= min(b.Left, feed.Grant.Units); b.Left == 0 {
			b = Burnt{}
		}
		a.keepBurn(b)
	}
	a.lease = openLease{request: l.Terms.RequestID, key: feed.Key, step: 1, steps: l.Terms.Steps}
	if a.debt > 0 {
		a.draw(a.debt)
	}
	return feed.Grant.Units, nil
}

const maxLife = 24 * time.Hour

// openLease is how far a lease that is opened in steps has come.
type openLease struct {
	request     [16]byte
	key         lock.Key // of the newest step that is open
	step, steps uint32
}

// nextStep opens the next step of the newest lease; false when there is none left.
func (a *Agent) nextStep(ctx context.Context) (bool, error) {
	keeper, ok := a.cfg.Gate.(StepKeeper)
	a.mu.Lock()
	l, u := a.lease, a.state.Usage()
	_, left := a.state.Pending()
	a.mu.Unlock()
	if !ok || left == 0 || l.step >= l.steps {
		return false, nil
	}
	begun := time.Now()
	k, err := keeper.StepKey(ctx, StepQuestion{RequestID: l.request, Step: l.step + 1, Previous: l.key, Usage: u})
	if err != nil {
		return true, fmt.Errorf("core: asking for step %d: %w", l.step+1, err)
	}
	if lock.PreviousKey(k) != l.key {
		return true, ErrStep // the lock would forfeit everything for it
	}
	a.mu.Lock()
	if a.lease != l {
		a.mu.Unlock()
		return true, nil // a new lease has come in between
	}
	before := a.state.Allowance()
	err = a.step(lock.Open{Key: k})
	if err == nil {
		a.lease.key, a.lease.step = k, l.step+1
		a.stepTook = time.Since(begun)
	}
	opened := a.state.Allowance() - min(before, a.state.Allowance())
	if a.debt > 0 {
		a.draw(a.debt)
	}
	a.mu.Unlock()
	if err != nil {
		return true, err
	}
	a.event(Event{Kind: Opened, Units: opened, Took: time.Since(begun)})
	a.remind()
	return true, nil
}

// now is the time by the clock that leases are timed by.
func (a *Agent) now() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.clock.now(a.cpu)
}

// remind wakes the meter: there is something to run on.
func (a *Agent) remind() {
	select {
	case a.wake <- struct{}{}:
	default: // one reminder is enough
	}
}

// draw takes work from the lock; what it cannot pay stays as debt. The caller
// holds mu.
func (a *Agent) draw(u lock.Units) {
	pay := min(u, a.state.Allowance())
	a.debt = u - pay
	if pay > 0 {
		_ = a.step(lock.Work{Units: pay}) // cannot be refused: it is active and pays no more than it has
	}
}

// jitter spreads a pause over 75 to 125 % of itself, so that a fleet that was
// cut off together does not come back together.
func (a *Agent) jitter(d time.Duration) time.Duration {
	var b [2]byte
	if _, err := io.ReadFull(a.cfg.Random, b[:]); err != nil {
		return d
	}
	return d*3/4 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/(1<<16)
}

// sleep pauses, and says whether the context still stands afterwards.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// keepBurn remembers a burn, also across the end of the process where the memory
// can: what it holds is spent otherwise. A memory that fails costs no more than
// that. The caller holds mu.
func (a *Agent) keepBurn(b Burnt) {
	a.burn = b
	if m, ok := a.cfg.Memory.(BurnMemory); ok {
		_ = m.SaveBurn(b)
	}
}

// pay makes sure that a burn holds something, and names it; zero when the gate
// asks for none.
func (a *Agent) pay(ctx context.Context) ([16]byte, error) {
	if a.cfg.Burn == 0 {
		return [16]byte{}, nil
	}
	a.mu.Lock()
	b := a.burn
	a.mu.Unlock()
	if b.Left > 0 {
		return b.ID, nil
	}
	burner, ok := a.cfg.Gate.(Burner)
	if !ok {
		return [16]byte{}, ErrBurn
	}
	begun := time.Now()
	for units := a.cfg.Burn; ; units /= 2 {
		b, err := a.burnOnce(ctx, burner, units)
		var no *Denied
		switch {
		case err == nil:
			a.event(Event{Kind: Burning, Units: b.Asked, Took: time.Since(begun)})
			return b.ID, nil
		case !errors.As(err, &no) || no.RefusedBy != "budget" || units == 1:
			return [16]byte{}, fmt.Errorf("core: burning: %w", err)
		}
		// The wallet holds less: half as much, rather than standing still before a
		// wallet that is not empty.
	}
}

// burnOnce makes one burn, or goes on with the one whose answer was lost.
func (a *Agent) burnOnce(ctx context.Context, burner Burner, units lock.Units) (Burnt, error) {
	a.mu.Lock()
	b := a.burn
	a.mu.Unlock()
	if b.ID == ([16]byte{}) {
		if _, err := io.ReadFull(a.cfg.Random, b.ID[:]); err != nil {
			return b, fmt.Errorf("no entropy: %w", err)
		}
		b.Asked = units
		a.mu.Lock()
		a.keepBurn(b)
		a.mu.Unlock()
	}
	err := burner.Burn(ctx, b.ID, b.Asked)
	var no *Denied
	if err != nil && !errors.As(err, &no) {
		return b, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.keepBurn(Burnt{})
		return b, err
	}
	b.Left = b.Asked
	a.keepBurn(b)
	return b, nil
}

// spoilBurn forgets a burn that the gate did not take for a lease: the next
// question makes another.
func (a *Agent) spoilBurn(err error) {
	var no *Denied
	if errors.As(err, &no) && (no.RefusedBy == "burn" || no.RefusedBy == "budget") {
		a.mu.Lock()
		a.keepBurn(Burnt{})
		a.mu.Unlock()
	}
}
