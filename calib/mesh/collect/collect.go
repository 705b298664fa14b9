// Package collect runs a plan: it instructs receivers, verifies what they bring and writes it into the book.
//
// What it believes: nothing that is not verified. A receiver's proof is checked by the function that the gate uses, for the nonce, the
// beacon and the receiver that were asked. A receiver is believed to stand beside its beacon only when it measures it next door, which
// no key elsewhere can.
//
// What it promises: a pair counts as finished when its record is on disk. Killed at any moment and started again with the same book,
// plan and start, it goes on where it was; at most the exchanges under way are repeated. Pairs that fail are tried again, ever more
// rarely, within every beacon's budget, and the last failures are reported.
//
// What an attacker may do: as receiver refuse, stall until the time-out, or report long round trips; as network delay. Both are the
// audit's and the drift's business. Time comes from Config.Now and Config.Wait, so that tests run in virtual time.
package collect

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/calib/mesh"
	"github.com/ursa-virtual/ursa/calib/mesh/book"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Member is a beacon that takes part, with the key of its receiver.
type Member struct {
	Beacon   identity.ID
	Receiver identity.Public
}

// Link carries an instruction to a member's receiver and its proof back.
type Link interface {
	Measure(ctx context.Context, m Member, instruction []byte) (proof []byte, err error)
}

// Progress is told after each exchange.
type Progress struct {
	From, To Member
	RTT      earth.RTT // 0 with Err
	Err      error
	Left     int // ordered pairs that are not finished
}

// Config describes a run; every field but Progress is required.
type Config struct {
	Plan      *mesh.Plan
	Members   []Member  // ascending by beacon; the plan's numbers index them
	Start     time.Time // of the period
	Gate      *identity.Private
	Directory *directory.Directory
	Link      Link
	Book      *book.Book
	Random    io.Reader                                  // of nonces
	Now       func() time.Time                           // wall clock
	Wait      func(context.Context, time.Duration) error // sleeps
	Timeout   time.Duration                              // of one exchange with its instruction
	NextDoor  earth.RTT                                  // the longest round trip between a beacon and its own receiver
	Progress  func(Progress)                             // from one goroutine
}

// What a run may fail with.
var (
	ErrConfig  = errors.New("configuration of a calibration run")
	ErrAnswer  = errors.New("not the answer to the instruction")
	ErrAway    = errors.New("receiver does not stand beside its beacon")
	ErrPremise = errors.New("too few members")
)

// policyHash stands where a gate's challenge names its policy: calibration judges by none.
var policyHash = identity.Hash("calibration", []byte("no policy"))

// The rounds of an exchange: the protocol's defaults.
const roundsMin, roundsMax = 8, 32

func (c Config) check() error {
	sorted := slices.IsSortedFunc(c.Members, func(a, b Member) int { return a.Beacon.Compare(b.Beacon) })
	switch {
	case c.Plan == nil || c.Gate == nil || c.Link == nil || c.Book == nil || c.Random == nil || c.Now == nil || c.Wait == nil:
		return fmt.Errorf("%w: a field is missing", ErrConfig)
	case c.Start.IsZero() || c.Timeout <= 0 || c.NextDoor <= 0:
		return fmt.Errorf("%w: start, time-out and distance next door must be given", ErrConfig)
	case !c.Directory.Verified():
		return fmt.Errorf("%w: the directory is not verified", ErrConfig)
	case !sorted || len(c.Members)*(len(c.Members)-1) != c.Plan.Pairs():
		return fmt.Errorf("%w: %d members do not fit a plan of %d pairs, or are not in ascending order", ErrConfig, len(c.Members), c.Plan.Pairs())
	}
	return nil
}

// PeriodOf names the period of a run: its plan's seed and shape, its members and its start.
func PeriodOf(c mesh.Config, members []Member, start time.Time) book.Period {
	h := sha256.New()
	h.Write([]byte("ursa/1 calibration period"))
	h.Write(c.Seed[:])
	for _, v := range []int64{int64(c.Beacons), int64(c.Period), int64(c.Exchange), int64(c.PerMinute), start.UnixNano()} {
		_ = binary.Write(h, binary.BigEndian, v) // a hash takes everything
	}
	p := book.Period{StartUnixNS: start.UnixNano()}
	for _, m := range members {
		h.Write(m.Beacon[:])
		p.Members = append(p.Members, m.Beacon)
	}
	copy(p.ID[:], h.Sum(nil))
	return p
}

// Outcome is what a run came to.
type Outcome struct {
	Finished int              // pairs in the book, those of earlier runs included
	Away     map[int]error    // members whose receivers are not believed, by number
	Failed   map[[2]int]error // the last error of each unfinished pair, by the numbers of asker and asked
}

// run is one call of Run.
type run struct {
	Config
	period  book.Period
	keeper  *mesh.Keeper
	results chan result
	running int
	waived  int // unfinished pairs whose asker is away: nobody waits for them
	done    map[[2]int]bool
	out     Outcome
}

type result struct {
	task   mesh.Task
	record book.Record
	err    error
}

// Run works through the period until every pair is finished, the period has been over for as long as it lasted, or ctx ends. The two
// latter are no errors: the outcome says what is left.
func Run(ctx context.Context, c Config, period book.Period) (Outcome, error) {
	if err := c.check(); err != nil {
		return Outcome{}, err
	}
	if err := c.Book.Begin(ctx, period); err != nil {
		return Outcome{}, err
	}
	r := &run{Config: c, period: period, results: make(chan result), out: Outcome{Away: map[int]error{}, Failed: map[[2]int]error{}}}
	if err := r.resume(ctx); err != nil {
		return r.out, err
	}
	if err := r.findAway(ctx); err != nil {
		return r.out, err
	}
	err := r.walk(ctx)
	r.out.Finished = c.Plan.Pairs() - r.keeper.Left()
	return r.out, err
}

// resume reads what is finished.
func (r *run) resume(ctx context.Context) error {
	number := map[identity.ID]int{}
	for i, m := range r.Members {
		number[m.Beacon] = i
	}
	r.done = map[[2]int]bool{}
	err := r.Book.Each(ctx, r.period.ID, func(x book.Record) error {
		r.done[[2]int{number[x.From], number[x.To]}] = true
		return nil
	})
	r.keeper = mesh.NewKeeper(r.Plan, func(from, to int) bool { return r.done[[2]int{from, to}] })
	return err
}

// findAway lets every receiver measure its own beacon.
func (r *run) findAway(ctx context.Context) error {
	for i := range r.Members {
		x, err := r.exchange(ctx, i, i)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && x.RTT > r.NextDoor {
			err = fmt.Errorf("%w: %v, at most %v", ErrAway, x.RTT, r.NextDoor)
		}
		if err != nil {
			r.out.Away[i] = err
			for j := range r.Members {
				if j != i && !r.done[[2]int{i, j}] {
					r.waived++
				}
			}
		}
	}
	if len(r.Members)-len(r.out.Away) < 2 {
		return fmt.Errorf("%w: %d of %d receivers are believed", ErrPremise, len(r.Members)-len(r.out.Away), len(r.Members))
	}
	return nil
}

// most is how rarely the keeper is asked: starts are then late by half of it on average, which a plan of rounds of seconds does not
// feel. Shorter rounds are asked for eight times each.
const most = 250 * time.Millisecond

// walk follows the keeper. Exchanges run on goroutines of their own; everything else happens here.
func (r *run) walk(ctx context.Context) error {
	last := 2 * time.Duration(r.Plan.Rounds()) * r.Plan.Slot()
	tick := max(time.Millisecond, min(most, r.Plan.Slot()/8))
	var failed error
	for r.keeper.Left() > r.waived && failed == nil && ctx.Err() == nil {
		now := r.Now().Sub(r.Start)
		if now > last {
			break
		}
		for _, t := range r.keeper.Due(now) {
			r.begin(ctx, t)
		}
		failed = r.settle(ctx, false)
		if err := r.Wait(ctx, tick); err != nil {
			break
		}
	}
	return errors.Join(failed, r.settle(ctx, true))
}

// begin starts an exchange; one with a member who is away fails at once.
func (r *run) begin(ctx context.Context, t mesh.Task) {
	if away := r.out.Away[t.From]; away != nil {
		r.keeper.Finish(t, false, r.Now().Sub(r.Start))
		r.out.Failed[[2]int{t.From, t.To}] = away
		return
	}
	r.running++
	go func() {
		x, err := r.exchange(ctx, t.From, t.To)
		r.results <- result{t, x, err}
	}()
}

// settle takes the results that are there, or waits for all.
func (r *run) settle(ctx context.Context, all bool) error {
	var failed error
	for r.running > 0 {
		var x result
		if all {
			x = <-r.results
		} else {
			select {
			case x = <-r.results:
			default:
				return failed
			}
		}
		r.running--
		failed = errors.Join(failed, r.finish(ctx, x))
	}
	return failed
}

// finish writes a result into the book. Only then is the pair finished.
func (r *run) finish(ctx context.Context, x result) error {
	pair := [2]int{x.task.From, x.task.To}
	var failed error
	if x.err == nil {
		failed = r.Book.Put(context.WithoutCancel(ctx), r.period.ID, x.record)
	}
	ok := x.err == nil && failed == nil
	r.keeper.Finish(x.task, ok, r.Now().Sub(r.Start))
	delete(r.out.Failed, pair)
	if !ok {
		r.out.Failed[pair] = errors.Join(x.err, failed)
	}
	if r.Progress != nil {
		r.Progress(Progress{From: r.Members[pair[0]], To: r.Members[pair[1]], RTT: x.record.RTT, Err: r.out.Failed[pair], Left: r.keeper.Left()})
	}
	return failed
}

// exchange instructs one receiver to measure one beacon and verifies what it brings.
func (r *run) exchange(ctx context.Context, from, to int) (book.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	asker, asked := r.Members[from], r.Members[to]
	x := statement.Expect{Directory: r.Directory, Gate: r.Gate.ID(), Core: asker.Receiver.ID(), PolicyHash: policyHash,
		PreviousProof: statement.FirstProof(asker.Receiver.ID())}
	if _, err := io.ReadFull(r.Random, x.NonceG[:]); err != nil {
		return book.Record{}, err
	}
	instruction, err := r.instruction(x, asked.Beacon)
	if err != nil {
		return book.Record{}, err
	}
	proof, err := r.Link.Measure(ctx, asker, instruction)
	if err != nil {
		return book.Record{}, err
	}
	x.NowUnixNS = r.Now().UnixNano()
	v, err := statement.VerifyProof(proof, x)
	if err != nil {
		return book.Record{}, err
	}
	if len(v.Facts) != 1 || v.Facts[0].Beacon != asked.Beacon {
		return book.Record{}, fmt.Errorf("%w: %d statements, one by %s was asked for", ErrAnswer, len(v.Facts), asked.Beacon.Short())
	}
	f := v.Facts[0]
	return book.Record{From: asker.Beacon, To: asked.Beacon, AtUnixNS: f.StartUnixNS, RTT: f.Bound(statement.TimingBoth),
		RTTBeacon: f.RTTBeacon, RTTCore: f.RTTCore, Rounds: f.RoundsOK, Proof: proof}, nil
}

// instruction is a gate's challenge about one beacon. It lives a little longer than the exchange may take.
func (r *run) instruction(x statement.Expect, asked identity.ID) ([]byte, error) {
	c := statement.Challenge{Core: x.Core, NonceG: x.NonceG, PolicyHash: policyHash,
		DirectoryEpoch: r.Directory.Epoch, DirectoryHash: r.Directory.Hash(), Committee: []identity.ID{asked},
		IssuedUnixNS: r.Now().UnixNano(), TTLNS: int64(r.Timeout + 10*time.Second), RoundsMin: roundsMin, RoundsMax: roundsMax}
	e, err := c.Seal(r.Gate)
	if err != nil {
		return nil, err
	}
	return e.Encode()
}

// Sleep waits in real time: Config.Wait of everything but tests.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
