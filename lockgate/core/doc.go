// Package core is the agent in a core: it proves where the core is, asks the
// gate, feeds the lock with what the gate answers, and lets the workload run
// exactly as long as the lock has allowance.
//
// One unit of compute is one millisecond of CPU time of the workload, of all its
// processes together, rounded up; where GPUs are metered, a millisecond of GPU
// time is one as well.
//
// What it promises. The workload is frozen before the first lease and from the
// moment the allowance is gone until the next lease. What it overdraws between
// two readings of the meter is taken from the next lease before anything else,
// so over time nothing runs unpaid. A lease that is not used up within T_off of
// the question that led to it is forfeited: the workload stops within T_off of
// the last lease, whether or not the gate can be reached. Time is taken on
// monotonic clocks, so setting the host's clock back prolongs nothing; when they
// stand still, the work that was done says how much time has passed at least.
// Renewal begins ahead of time and with jitter; the workload does not stop for
// it as long as the gate answers in time.
//
// What it believes: the gate's public key it was given. Of the gate's answers it
// believes what keys.Open believes. What an attacker may do: drop, delay, replay
// and forge everything that is not signed; the workload stays frozen then.
// Stopping or killing the agent ends the workload with it (package workload).
//
//	            ┌────────── renewal ahead of time ─────────┐
//	            ▼                                          │
//	ask the lock ─▶ challenge ─▶ prove ─▶ lease ─▶ lock ─▶ thaw ─▶ meter ─▶ freeze
//	   ▲                 │          │        │                                │
//	   └──── wait, with back-off, after any refusal or failure ◀──────────────┘
package core

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Unit is one unit of compute in CPU time.
const Unit = time.Millisecond

// Workload is what the agent gates; package workload makes real ones.
type Workload interface {
	Thaw() error                  // let it run; may be called again while it runs
	Freeze() error                // stop it; returns when it has stopped
	Used() (time.Duration, error) // CPU time of all its processes ever; never goes back
	Done() <-chan struct{}        // closed when it has ended by itself
	Stop() error                  // end it for good
}

// Prover makes a proof: it runs the exchange with every beacon that the
// challenge names. The proof names the core's previous one by its hash, so that
// clones that are used in parallel fork the chain and are seen.
type Prover interface {
	Prove(ctx context.Context, challenge []byte, previous [32]byte) (proof []byte, hash [32]byte, err error)
}

// Gate is what the agent needs of a gate. A definite no is a *Denied; any other
// error means that the answer is not known and the same request may be sent
// again.
type Gate interface {
	Challenge(ctx context.Context, q Question) (challenge []byte, err error)
	Lease(ctx context.Context, r Request) (lease []byte, err error)
}

// StepKeeper is a gate whose leases are opened in steps. A Gate that is none
// must open its leases at once.
type StepKeeper interface {
	StepKey(ctx context.Context, q StepQuestion) (lock.Key, error)
}

// StepQuestion asks for the key of a later step of the newest lease.
type StepQuestion struct {
	RequestID [16]byte // of the request that was answered with the lease
	Step      uint32   // from 2
	Previous  lock.Key // of the step before
	Usage     lock.Usage
}

// Burner is a gate that wants units burnt before they are asked for. The id stays
// the same in every retry.
type Burner interface {
	Burn(ctx context.Context, id [16]byte, units lock.Units) error
}

// Question asks for a challenge.
type Question struct {
	LockNonce lock.Nonce
	LockSeq   uint64
	Want      lock.Units
}

// Request asks for a lease. The RequestID stays the same in every retry.
type Request struct {
	RequestID [16]byte
	LockNonce lock.Nonce
	LockSeq   uint64
	Want      lock.Units
	Usage     lock.Usage // the lock's account, for the signed usage report
	Burn      [16]byte   // the burn that pays; zero: none
	Proof     []byte
}

// Denied is a gate's definite no.
type Denied struct {
	RefusedBy string // short name of the check
	Reason    string // one line for people
	Verdict   string // of the locator; empty when it did not come to one
}

// Error tells the reason.
func (d *Denied) Error() string { return fmt.Sprintf("denied by %s: %s", d.RefusedBy, d.Reason) }

// Memory keeps what an agent must remember across power loss. The save methods
// return when it is durable.
type Memory interface {
	LoadWords() (slots [][]byte, err error) // the lock's persistent words
	SaveWords(words []byte) error
	LoadChain() (hash [32]byte, ok bool, err error) // of the last proof that was granted
	SaveChain(hash [32]byte) error
}

// Burnt is what an agent knows of a burn. The gate knows better: what Left says
// too much, it refuses.
type Burnt struct {
	ID    [16]byte // zero: there is none
	Asked lock.Units
	Left  lock.Units // 0: the answer is not known yet
}

// BurnMemory is a Memory that keeps a burn as well, so that what was burnt and
// not used outlives the agent.
type BurnMemory interface {
	LoadBurn() (Burnt, error)
	SaveBurn(b Burnt) error
}

// Config of an agent.
type Config struct {
	Key      *identity.Private    // the core's; needed
	TimedKey *identity.TimedKey   // with which Prover proves, and for which leases come; needed
	GateKey  identity.Public      // whose leases count; needed
	Gate     Gate                 // needed
	Prover   Prover               // needed
	Memory   Memory               // needed
	Want     lock.Units           // units to ask for at a time; needed
	Cap      lock.Units           // most allowance at a time; 0: twice Want
	Burn     lock.Units           // units to burn at a time; 0: the gate asks for no burns
	Tick     time.Duration        // longest pause between two readings of the meter; 0: 10 ms
	Retry    time.Duration        // first pause after a failure, doubled up to 30 times it; 0: 500 ms
	Clock    func() time.Duration // time since some instant, read from one goroutine at a time; nil: the process's monotonic clock
	Attempts int                  // times that one lease request is sent before it is given up; 0: 4
	Random   io.Reader            // entropy of nonces and request ids, and jitter; nil: the system's
	Events   func(Event)          // told what happens, in order; it must not call back; nil: nobody
}

// Refusals of a configuration, and ends of a run.
var (
	ErrConfig = errors.New("core: key, gate key, gate, prover, memory and want must be set")
	ErrExited = errors.New("core: the workload has ended by itself")
	ErrBurn   = errors.New("core: this gate takes no burns")
	ErrStep   = errors.New("core: the gate's key opens no step of this lease")
)

func (c Config) fill() (Config, error) {
	if c.Key == nil || c.TimedKey.ID().IsZero() || c.GateKey.IsZero() || c.Gate == nil || c.Prover == nil || c.Memory == nil || c.Want == 0 {
		return c, ErrConfig
	}
	if c.Cap == 0 {
		c.Cap = 2 * c.Want
		if c.Cap < c.Want {
			c.Cap = ^lock.Units(0)
		}
	}
	if c.Tick <= 0 {
		c.Tick = 10 * time.Millisecond
	}
	if c.Retry <= 0 {
		c.Retry = 500 * time.Millisecond
	}
	if c.Attempts <= 0 {
		c.Attempts = 4
	}
	if c.Clock == nil {
		c.Clock = goClock()
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Events == nil {
		c.Events = func(Event) {}
	}
	return c, nil
}

// Kind of an event.
type Kind string

// The kinds of events, in the order of a happy story.
const (
	Burning    Kind = "burning"    // units were burnt
	Asking     Kind = "asking"     // a question goes to the gate
	Challenged Kind = "challenged" // the gate's challenge came
	Proved     Kind = "proved"     // the proof is made
	Granted    Kind = "granted"    // the lock took a lease
	Opened     Kind = "opened"     // the lock took the key of a later step
	Running    Kind = "running"    // the workload was thawed
	Allowance  Kind = "allowance"  // some of it is used
	Frozen     Kind = "frozen"     // the workload was frozen; Reason says why
	DeniedKind Kind = "denied"     // the gate said no
	Failed     Kind = "failed"     // something went wrong on the way; it will be tried again
	Exited     Kind = "exited"     // the workload ended by itself
	Stopped    Kind = "stopped"    // the agent ended the workload
)

// Event is one line of the story.
type Event struct {
	Kind      Kind
	At        time.Time     // the agent's clock
	Took      time.Duration // of the step that the event ends
	Units     lock.Units    // granted, for Granted
	Allowance lock.Units    // left after the event
	CPU       time.Duration // the workload's so far
	Challenge []byte        // for Challenged: the envelope
	Proof     []byte        // for Proved
	Lease     []byte        // for Granted: the envelope
	Denied    *Denied       // for DeniedKind
	Reason    string        // for people
	Err       error         // for Failed
}
