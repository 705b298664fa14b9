// Package lock is the state machine inside a core that turns keys into
// allowance and allowance into work. It is idle by default.
//
// What it believes: nothing it is told. A lease counts only when it answers
// the one nonce that this lock has outstanding and comes with a key whose hash
// the lease names. Whoever feeds the lock must have checked the gate's
// signature first (package keys is the only maker of a [Grant] in this
// program); a hardware lock would hold that check too.
//
// What it promises: a key is accepted at most once, whatever is replayed,
// reordered, flipped or cut off in the middle, and whichever write of the
// persistent words was lost. Work done never exceeds the units accepted. Time
// plays no part, so a host that stops or turns back its clock gains nothing:
// work is counted, not seconds.
//
// What an attacker may do: feed anything, at any time, as often as liked; cut
// the power between any two steps; lose, tear or restore an older version of
// the persistent words. All of it leads to Idle and costs the attacker the
// allowance. Two things are outside: restoring the lock's *memory* (a snapshot
// of the running place; state continuity is what attestation must forbid), and
// entropy that repeats while at the same time a write was lost.
//
// # The one table
//
// Step is the only way from one state to the next. The columns are what is fed
// in; n is the outstanding nonce, a the allowance. "!" means refused with an
// error. Every refusal but two leads to Idle and forfeits allowance and nonce;
// the two are a Work that asks for nothing, and an Ask on a lock whose words
// are spoilt, which is idle anyway.
//
//	            Ask               Feed, good           Open, good           Feed or Open, bad  Work u<a    Work u≥a    Halt
//	Idle        Idle, new n       Active a=s           Active a=s           Idle !             Idle !      Idle !      Idle
//	Active a    Active a, new n   Active min(a+s,cap)  Active min(a+s,cap)  Idle !             Active a-u  Idle        Idle
//
// Boot (power on) always starts in Idle with no nonce outstanding. Degraded is
// not a state: it is a class of lease, and Active carries the class of the
// newest one.
//
// # Steps
//
// A lease may be opened in steps (s is a step's units): its first key comes with
// it, the others later, one by one, as long as the gate still agrees. They form a
// hash chain (PayWord, Rivest and Shamir 1996): each key is the preimage of the
// one before, so a step costs one hash and no signature, a key opens its step
// once, and a key that was lost on the way is made good by the next. The chain is
// made anew for each lease and hangs on its nonce; a table of targets that
// outlives a lease would have to remember durably which of them were used, and a
// lost write would open one twice. Running dry between two steps keeps the chain,
// as it keeps the nonce; every refusal forfeits both.
package lock

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Units count compute. One unit is one millisecond of CPU time of the
// workload; the lock itself only counts.
type Units uint64

// Phase says whether the lock lets work through.
type Phase uint8

// The phases. The zero value is Idle: off is the default.
const (
	Idle Phase = iota
	Active
)

// String names the phase.
func (p Phase) String() string {
	switch p {
	case Idle:
		return "idle"
	case Active:
		return "active"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Class is the kind of lease. The zero value is no class and is refused.
type Class uint8

// The classes of lease.
const (
	// Full lets the workload run at full speed.
	Full Class = 1
	// Degraded lets the workload run at a fraction of its speed, named in the
	// grant in thousandths.
	Degraded Class = 2
)

// String names the class.
func (c Class) String() string {
	switch c {
	case Full:
		return "full"
	case Degraded:
		return "degraded"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Nonce is what a lease must answer.
type Nonce [32]byte

// Key opens one lease.
type Key [32]byte

// Refusals. Each names one check.
var (
	ErrNoNonce  = errors.New("lock: no nonce is outstanding; ask first")
	ErrNonce    = errors.New("lock: the lease answers another nonce")
	ErrKey      = errors.New("lock: the key is not the one the lease names")
	ErrClass    = errors.New("lock: unknown class of lease, or a fraction that does not fit it")
	ErrUnits    = errors.New("lock: a lease of zero units, or of more than the lock's account can hold")
	ErrSteps    = errors.New("lock: a lease of no steps, of too many, or of more steps than units")
	ErrNoSteps  = errors.New("lock: no step is left to open")
	ErrIdle     = errors.New("lock: idle, no allowance to draw work from")
	ErrNoWork   = errors.New("lock: work of zero units")
	ErrEvent    = errors.New("lock: unknown event")
	ErrSpoilt   = errors.New("lock: the persistent words are unreadable; enrol this core again")
	ErrExhaust  = errors.New("lock: the sequence is exhausted; enrol this core again")
	ErrNoConfig = errors.New("lock: identity and cap must be set")
)

// Grant is what a verified lease tells the lock.
type Grant struct {
	Nonce    Nonce
	Units    Units
	Class    Class
	PerMille uint16   // speed in thousandths: 1000 for Full, 1..999 for Degraded
	KeyHash  [32]byte // HashKey of the key that opens this lease
	Steps    uint32   // in which it is opened; 1 for all at once
}

// MaxSteps of one lease.
const MaxSteps = 4096

// maxSkip is how many keys may be lost on the way in a row: it bounds the hashes
// that one Open can cost.
const maxSkip = 64

// PreviousKey is the key of the step before: whoever knows a key knows all that
// came before it, and none that come after.
func PreviousKey(k Key) Key {
	var buf [len(stepContext) + 32]byte
	copy(buf[:], stepContext)
	copy(buf[len(stepContext):], k[:])
	return sha256.Sum256(buf[:])
}

// HashKey binds a key to the nonce it is for, so that a key revealed for one
// lease opens no other.
func HashKey(n Nonce, k Key) [32]byte {
	var buf [len(keyContext) + 64]byte
	copy(buf[:], keyContext)
	copy(buf[len(keyContext):], n[:])
	copy(buf[len(keyContext)+32:], k[:])
	return sha256.Sum256(buf[:])
}

const (
	keyContext   = "ursa/1 lock key\x00"
	stepContext  = "ursa/1 lock step\x00"
	nonceContext = "ursa/1 lock nonce\x00"
)

// Config is fixed for the life of a lock.
type Config struct {
	// ID is the identity of the core; it goes into every nonce.
	ID [32]byte
	// Cap is the most allowance the lock ever holds. What a lease grants above
	// it is forfeited. Must be positive.
	Cap Units
}

// State is the whole lock. It is a value: Step returns the next one.
type State struct {
	cfg         Config
	words       Words
	phase       Phase
	class       Class
	perMille    uint16
	allowance   Units
	nonce       Nonce
	outstanding bool
	spoilt      bool
	chain       chain
}

// chain is what is left to open of the newest lease.
type chain struct {
	last   Key    // the newest key that opened a step
	units  Units  // of the whole lease
	steps  uint32 // of the whole lease; 0: no lease
	opened uint32
}

// until is how many units the first n steps are worth: evenly spread, the sum
// exact.
func (c chain) until(n uint32) Units {
	if c.steps == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(c.units), uint64(n))
	q, _ := bits.Div64(hi, lo, uint64(c.steps)) // n ≤ steps, so the quotient fits
	return Units(q)
}

// pending are the units that are not opened yet.
func (c chain) pending() Units { return c.units - c.until(c.opened) }

// Phase says whether work is let through.
func (s State) Phase() Phase { return s.phase }

// Allowance is what may still be worked. It is zero when Idle.
func (s State) Allowance() Units { return s.allowance }

// Speed is the class of the newest lease and its fraction in thousandths; it
// says nothing (false) when Idle.
func (s State) Speed() (Class, uint16, bool) {
	return s.class, s.perMille, s.phase == Active
}

// Outstanding is the nonce that a lease may answer, if there is one.
func (s State) Outstanding() (Nonce, bool) { return s.nonce, s.outstanding }

// Pending are the units of the newest lease whose steps are not opened yet, and
// the number of those steps.
func (s State) Pending() (Units, uint32) { return s.chain.pending(), s.chain.steps - s.chain.opened }

// Words are what has to survive power loss; see Output.Persist.
func (s State) Words() Words { return s.words }

// Usage is the lock's account of itself, for the report that goes with the
// next request. See [Words] for the fields.
func (s State) Usage() Usage {
	return Usage{
		Seq: s.words.Seq, Redeemed: s.words.Redeemed,
		Accepted: s.words.Accepted, Used: s.words.Used, Allowance: s.allowance,
	}
}

// Usage is what a lock says of its life so far. Accepted = Used + Allowance +
// what is pending; what is forfeited counts as used.
type Usage struct {
	Seq       uint64 // nonces ever issued
	Redeemed  uint64 // the Seq of the newest nonce whose lease was accepted; 0: none yet
	Accepted  Units  // units accepted ever
	Used      Units  // units spent ever: worked or forfeited
	Allowance Units  // units that may still be worked
}

// Event is something that happens to a lock: Ask, Feed, Open, Work or Halt.
type Event interface{ isEvent() }

// Ask makes the lock issue a fresh nonce. Any earlier one is void from then on.
type Ask struct{ Entropy [32]byte }

// Feed hands the lock a verified lease and its key.
type Feed struct {
	Grant Grant
	Key   Key
}

// Open hands the lock the key of a later step of the lease that it was fed.
type Open struct{ Key Key }

// Work draws units from the allowance.
type Work struct{ Units Units }

// Halt stops the lock: tamper, unknown input, or the end.
type Halt struct{}

func (Ask) isEvent()  {}
func (Feed) isEvent() {}
func (Open) isEvent() {}
func (Work) isEvent() {}
func (Halt) isEvent() {}

// Output is what Step asks of its shell. Persist, when not empty, has to be
// durable before anything else that came of the step is used: before the nonce
// leaves, before the workload is thawed. When the write fails, Boot again.
type Output struct {
	Persist []byte
}

// Step is the transition function of the table above. An error names the check
// that refused; the returned state is to be used in every case.
func (s State) Step(ev Event) (State, Output, error) {
	switch ev := ev.(type) {
	case Ask:
		return s.ask(ev)
	case Feed:
		if err := s.check(ev); err != nil {
			return s.idle(), Output{}, err
		}
		return s.accept(ev)
	case Open:
		return s.open(ev.Key)
	case Work:
		return s.work(ev.Units)
	case Halt:
		return s.idle(), Output{}, nil
	}
	return s.idle(), Output{}, ErrEvent
}

func (s State) ask(ev Ask) (State, Output, error) {
	if s.spoilt {
		return s, Output{}, ErrSpoilt
	}
	if s.words.Seq == ^uint64(0) {
		return s.idle(), Output{}, ErrExhaust
	}
	s.words.Seq++
	var buf [len(nonceContext) + 32 + 8 + 32]byte
	n := copy(buf[:], nonceContext)
	n += copy(buf[n:], s.cfg.ID[:])
	binary.BigEndian.PutUint64(buf[n:], s.words.Seq)
	copy(buf[n+8:], ev.Entropy[:])
	s.nonce, s.outstanding = sha256.Sum256(buf[:]), true
	return s, Output{Persist: s.words.Encode()}, nil
}

// check refuses a lease that is not exactly the one asked for. The order is
// cheap first; none of the checks reveals anything about the key.
func (s State) check(ev Feed) error {
	g := ev.Grant
	if !s.outstanding {
		return ErrNoNonce
	}
	if subtle.ConstantTimeCompare(g.Nonce[:], s.nonce[:]) != 1 {
		return ErrNonce
	}
	if g.Units == 0 || g.Units > ^Units(0)-s.words.Accepted {
		return ErrUnits
	}
	if g.Steps == 0 || g.Steps > MaxSteps || Units(g.Steps) > g.Units {
		return ErrSteps
	}
	switch g.Class {
	case Full:
		if g.PerMille != 1000 {
			return ErrClass
		}
	case Degraded:
		if g.PerMille == 0 || g.PerMille >= 1000 {
			return ErrClass
		}
	default:
		return ErrClass
	}
	if h := HashKey(g.Nonce, ev.Key); subtle.ConstantTimeCompare(h[:], g.KeyHash[:]) != 1 {
		return ErrKey
	}
	return nil
}

func (s State) accept(ev Feed) (State, Output, error) {
	g := ev.Grant
	s.nonce, s.outstanding = Nonce{}, false
	s.words.Used = add(s.words.Used, s.chain.pending()) // of the lease before
	s.words.Redeemed = s.words.Seq
	s.words.Accepted = add(s.words.Accepted, g.Units)
	s.class, s.perMille = g.Class, g.PerMille
	s.chain = chain{last: ev.Key, units: g.Units, steps: g.Steps}
	s = s.advance(1)
	return s, Output{Persist: s.words.Encode()}, nil
}

// open accepts the key of the next step, or of one soon after it: the keys
// between follow from it.
func (s State) open(k Key) (State, Output, error) {
	left := min(s.chain.steps-s.chain.opened, maxSkip)
	if left == 0 {
		return s.idle(), Output{}, ErrNoSteps
	}
	at := k
	for n := range left {
		at = PreviousKey(at)
		if subtle.ConstantTimeCompare(at[:], s.chain.last[:]) == 1 {
			s.chain.last = k
			return s.advance(n + 1), Output{}, nil
		}
	}
	return s.idle(), Output{}, ErrKey
}

// advance opens steps: their units become allowance, up to the cap.
func (s State) advance(n uint32) State {
	u := s.chain.until(s.chain.opened+n) - s.chain.until(s.chain.opened)
	s.chain.opened += n
	taken := min(u, s.cfg.Cap-s.allowance)    // allowance never exceeds the cap
	s.words.Used = add(s.words.Used, u-taken) // what the cap cuts off is forfeited
	s.allowance += taken
	if s.allowance > 0 {
		s.phase = Active
	}
	return s
}

func (s State) work(u Units) (State, Output, error) {
	if s.phase != Active {
		return s.idle(), Output{}, ErrIdle
	}
	if u == 0 {
		return s, Output{}, ErrNoWork
	}
	if u >= s.allowance {
		return s.spend(s.allowance), Output{}, nil
	}
	s.allowance -= u
	s.words.Used = add(s.words.Used, u)
	return s, Output{}, nil
}

// spend ends the allowance but keeps nonce and chain: running dry is no offence,
// and the next key may be on its way.
func (s State) spend(u Units) State {
	s.words.Used = add(s.words.Used, u)
	s.phase, s.allowance = Idle, 0
	return s
}

// idle forfeits everything: allowance, chain and nonce.
func (s State) idle() State {
	s = s.spend(s.allowance)
	s.words.Used = add(s.words.Used, s.chain.pending())
	s.chain, s.class, s.perMille = chain{}, 0, 0
	s.nonce, s.outstanding = Nonce{}, false
	return s
}

// add saturates: a counter never wraps to a small value.
func add(a, b Units) Units {
	if a > ^Units(0)-b {
		return ^Units(0)
	}
	return a + b
}
