package core

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Run gates a workload until the context ends or the workload ends by itself
// (ErrExited). It proves and asks whenever the allowance runs low, freezes the
// workload whenever there is none, and leaves it ended.
//
// Run may follow an Obtain that was called before: what the lock holds is used.
func (a *Agent) Run(ctx context.Context, w Workload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.mu.Lock()
	a.counted, a.cpu, a.clock.worked, a.clock.cores = 0, 0, 0, time.Duration(processors(w))
	a.mu.Unlock()
	renewing := make(chan struct{})
	low := make(chan struct{}, 1)
	go func() {
		defer close(renewing)
		a.renew(ctx, low)
	}()
	err := a.gate(ctx, w, low)
	cancel()
	<-renewing
	a.mu.Lock()
	_ = a.step(lock.Halt{})
	a.mu.Unlock()
	if stop := w.Stop(); stop != nil {
		err = errors.Join(err, fmt.Errorf("core: the workload did not end: %w", stop))
	}
	kind := Stopped
	if errors.Is(err, ErrExited) {
		kind = Exited
	}
	a.event(Event{Kind: kind})
	return err
}

// processors is how many can work for a workload at once.
func processors(w Workload) int {
	if p, ok := w.(interface{ Processors() int }); ok {
		return max(p.Processors(), 1)
	}
	return runtime.NumCPU()
}

// renew keeps the lock fed: it obtains a lease whenever the meter says that the
// allowance is low, and after a failure tries again later and later.
func (a *Agent) renew(ctx context.Context, low <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-low:
		}
		for pause := a.cfg.Retry; ; pause = min(2*pause, 30*a.cfg.Retry) {
			err := a.more(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			e := Event{Kind: Failed, Err: err, Reason: err.Error()}
			var no *Denied
			if errors.As(err, &no) {
				e = Event{Kind: DeniedKind, Denied: no, Reason: no.Error()}
			}
			a.event(e)
			if !sleep(ctx, a.jitter(pause)) {
				return
			}
		}
	}
}

// more gets something to run on: the next step of the lease, or a new lease when
// the old one's steps or its time will not last until a new one is here.
func (a *Agent) more(ctx context.Context) error {
	o := a.outlook()
	if o.step > 0 && o.life > o.ahead && o.left+o.pending > o.burn(o.ahead) {
		if stepped, err := a.nextStep(ctx); stepped {
			return err
		}
	}
	return a.Obtain(ctx)
}

// gate is the meter: it reads, draws, and freezes or thaws. The workload is
// frozen on every way out.
func (a *Agent) gate(ctx context.Context, w Workload, low chan<- struct{}) error {
	m := meter{agent: a, w: w, low: low, cores: processors(w), begun: time.Now()}
	if err := w.Freeze(); err != nil {
		return err
	}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return m.freeze("the agent ends")
		case <-w.Done():
			return ErrExited
		case <-a.wake:
		case <-t.C:
		}
		begun := time.Now()
		pause, err := m.look()
		// A meter that takes its time is read less often, so that it costs a tenth of
		// a processor at most; what is overdrawn meanwhile is paid from the next lease.
		pause = max(pause, min(9*time.Since(begun), dearest))
		if err != nil {
			// A workload that cannot be metered does not run.
			return errors.Join(err, m.freeze("the meter fails"))
		}
		t.Reset(pause)
	}
}

// dearest is the longest pause that a slow meter can bring about: a guard hears
// of the agent several times in its patience.
const dearest = 100 * time.Millisecond

// meter holds what gate remembers between two readings.
type meter struct {
	agent   *Agent
	w       Workload
	low     chan<- struct{}
	cores   int
	running bool
	begun   time.Time     // when the run began, for the rate
	told    lock.Units    // allowance when it was last told
	mark    lock.Units    // a renewal is asked for when the allowance is down to it; 0: to be drawn
	slice   time.Time     // start of the present slice of a degraded run
	sliced  time.Duration // CPU time at that start
}

// look reads the meter once, draws, decides whether the workload may run, and
// says when to look again.
func (m *meter) look() (time.Duration, error) {
	used, err := m.w.Used()
	if err != nil {
		return 0, err
	}
	left, fraction, forfeited := m.agent.account(used)
	m.askAhead(left, used)
	if left == 0 {
		why := "the allowance is used up"
		if forfeited {
			why = "the lease has run out"
		}
		if err := m.freeze(why); err != nil {
			return 0, err
		}
		return m.agent.cfg.Tick, nil
	}
	if rest, hold := m.throttle(used, fraction); hold {
		if m.running {
			m.running = false
			if err := m.w.Freeze(); err != nil {
				return 0, err
			}
		}
		return rest, nil
	}
	// Again and again: a guard may have frozen it while this process did not run.
	if err := m.w.Thaw(); err != nil {
		return m.agent.cfg.Tick, ignoreEnd(m.w, err)
	}
	if !m.running {
		m.running = true
		m.agent.event(Event{Kind: Running})
	}
	m.report(left)
	// With every CPU busy the allowance lasts at least so long.
	return min(m.agent.cfg.Tick, max(time.Duration(left)*Unit/time.Duration(m.cores), Unit)), nil
}

// ignoreEnd: a workload that ended in this moment is told by Done.
func ignoreEnd(w Workload, err error) error {
	select {
	case <-w.Done():
		return nil
	default:
		return err
	}
}

func (m *meter) freeze(why string) error {
	was := m.running
	m.running = false
	if err := m.w.Freeze(); err != nil {
		return err
	}
	if !was {
		return nil
	}
	// What ran on until everything stood still is accounted for, too.
	if used, err := m.w.Used(); err == nil {
		m.agent.account(used)
	}
	m.agent.event(Event{Kind: Frozen, Reason: why})
	m.told = 0
	return nil
}

// report tells of the allowance about ten times in a lease.
func (m *meter) report(left lock.Units) {
	step := max(m.agent.cfg.Want/10, 1)
	if m.told >= left && m.told-left < step {
		return
	}
	m.told = left
	m.agent.event(Event{Kind: Allowance})
}

// askAhead asks for more when about half of what is open is left (of a lease, or
// of a step when there are more of them), or when units or time would run out
// before more can be here.
func (m *meter) askAhead(left lock.Units, used time.Duration) {
	elapsed := max(time.Since(m.begun), time.Millisecond)
	m.agent.setRate(min(float64(used)/float64(elapsed), float64(m.cores)))
	o := m.agent.outlook()
	if m.mark == 0 {
		m.mark = max(lock.Units(m.agent.jitter(time.Duration(min(m.agent.cfg.Want, 1<<60))))/2, 1)
	}
	mark, burn := m.mark, o.burn(o.ahead)
	if o.step > 0 && o.left+o.pending > burn {
		mark, burn = o.step/2, min(o.burn(o.stepAhead), o.step)
	}
	inTime := left == 0 || o.life > o.ahead
	if left > mark && left > burn && inTime {
		return
	}
	m.mark = 0 // drawn anew for the next time
	select {
	case m.low <- struct{}{}:
	default: // it has been told
	}
}

// period of a degraded run: it runs for its fraction of each.
const period = 100 * time.Millisecond

// throttle says whether a degraded lease has had its share of the present
// period, and for how long to hold still.
func (m *meter) throttle(used time.Duration, perMille uint16) (time.Duration, bool) {
	if perMille >= 1000 {
		return 0, false
	}
	now := time.Now()
	if now.Sub(m.slice) >= period {
		m.slice, m.sliced = now, used
	}
	share := period * time.Duration(perMille) / 1000
	if used-m.sliced < share {
		return 0, false
	}
	return period - now.Sub(m.slice), true
}

// account draws the workload's CPU time from the lock, forfeits what is left
// after the deadline, and says what remains and at which fraction of its speed
// the workload may run.
func (a *Agent) account(used time.Duration) (left lock.Units, perMille uint16, forfeited bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cpu = max(a.cpu, used)
	units := lock.Units((a.cpu + Unit - 1) / Unit) // rounded up
	if units > a.counted {
		a.draw(units - a.counted + a.debt)
		a.counted = units
	}
	if now := a.clock.now(a.cpu); a.deadline != 0 && now >= a.deadline {
		forfeited = a.state.Phase() == lock.Active
		if forfeited {
			a.deadline = 0
			a.forfeit()
		}
	}
	_, perMille, _ = a.state.Speed()
	return a.state.Allowance(), perMille, forfeited
}

// outlook is what the agent expects.
type outlook struct {
	left, pending lock.Units    // open, and still to be opened in steps
	step          lock.Units    // of the steps that are left; 0: there are none
	life          time.Duration // until the lease runs out; 0: it has, or there is none
	ahead         time.Duration // how long before the end to ask for a lease: twice as long as the last took
	stepAhead     time.Duration // and for a step
	rate          float64       // CPU time used per time that passed
}

// burn is what is used up in a time.
func (o outlook) burn(d time.Duration) lock.Units {
	return lock.Units(o.rate * float64(d/Unit))
}

func (a *Agent) outlook() outlook {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := outlook{left: a.state.Allowance(), life: max(a.deadline-a.clock.now(a.cpu), 0), ahead: 2*a.took + a.cfg.Tick, stepAhead: 2*a.stepTook + a.cfg.Tick, rate: a.rate}
	var steps uint32
	if o.pending, steps = a.state.Pending(); steps > 0 {
		o.step = max(o.pending/lock.Units(steps), 1)
	}
	return o
}

func (a *Agent) setRate(rate float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rate = rate
}

// forfeit drops the allowance but not the nonce of a renewal under way. The
// caller holds mu.
func (a *Agent) forfeit() {
	_ = a.step(lock.Work{Units: a.state.Allowance()})
}
