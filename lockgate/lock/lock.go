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
//	            Ask               Feed, good           Feed, bad   Work u<a    Work u≥a    Halt
//	Idle        Idle, new n       Active a=units       Idle !      Idle !      Idle !      Idle
//	Active a    Active a, new n   Active min(a+u,cap)  Idle !      Active a-u  Idle        Idle
//
// Boot (power on) always starts in Idle with no nonce outstanding. Degraded is
// not a state: it is a class of lease, and Active carries the class of the
// newest one.
package lock

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
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
	ErrUnits    = errors.New("lock: a lease of zero units")
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
}

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
// what was forfeited at the cap or by falling to Idle.
type Usage struct {
	Seq       uint64 // nonces ever issued
	Redeemed  uint64 // the Seq of the newest nonce whose lease was accepted; 0: none yet
	Accepted  Units  // units accepted ever
	Used      Units  // units spent ever: worked or forfeited
	Allowance Units  // units that may still be worked
}

// Event is something that happens to a lock: Ask, Feed, Work or Halt.
type Event interface{ isEvent() }

// Ask makes the lock issue a fresh nonce. Any earlier one is void from then on.
type Ask struct{ Entropy [32]byte }

// Feed hands the lock a verified lease and its key.
type Feed struct {
	Grant Grant
	Key   Key
}

// Work draws units from the allowance.
type Work struct{ Units Units }

// Halt stops the lock: tamper, unknown input, or the end.
type Halt struct{}

func (Ask) isEvent()  {}
func (Feed) isEvent() {}
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
		return s.accept(ev.Grant)
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
	if g.Units == 0 {
		return ErrUnits
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

func (s State) accept(g Grant) (State, Output, error) {
	s.nonce, s.outstanding = Nonce{}, false
	s.words.Redeemed = s.words.Seq
	s.words.Accepted = add(s.words.Accepted, g.Units)
	room := s.cfg.Cap - s.allowance // allowance never exceeds the cap
	taken := min(g.Units, room)
	s.words.Used = add(s.words.Used, g.Units-taken) // what the cap cuts off is forfeited
	s.allowance += taken
	s.phase, s.class, s.perMille = Active, g.Class, g.PerMille
	return s, Output{Persist: s.words.Encode()}, nil
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

// spend ends the allowance but keeps the nonce: running dry is no offence, and
// the renewal may be on its way.
func (s State) spend(u Units) State {
	s.words.Used = add(s.words.Used, u)
	s.phase, s.class, s.perMille, s.allowance = Idle, 0, 0, 0
	return s
}

// idle forfeits everything: allowance and nonce.
func (s State) idle() State {
	s = s.spend(s.allowance)
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
