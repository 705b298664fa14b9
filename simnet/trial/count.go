package trial

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Tally counts outcomes. All of it is whole numbers, so the order in which outcomes come leaves no trace.
type Tally struct {
	Honest       int64 `json:"honest"`        // cores that claimed where they stand
	Proven       int64 `json:"proven"`        // of these, verdict Inside
	FalseRejects int64 `json:"false_rejects"` // of these, not Inside though they stand inside: refused, not wronged
	Alarms       int64 `json:"alarms"`        // of these, those about whom something raised an alarm
	Cheats       int64 `json:"cheats"`        // cores that claimed another place
	Detected     int64 `json:"detected"`      // of these, those that raised an alarm
	Outside      int64 `json:"outside"`       // of these, those that did not stand inside
	FalseAccepts int64 `json:"false_accepts"` // Inside, of cores that did not stand inside
	Lost         int64 `json:"lost"`          // cores whom their region does not hold: an assumption does not hold
	Proofs       int64 `json:"proofs"`        // made and judged
}

// Add counts an outcome.
func (t *Tally) Add(o Outcome) {
	count := func(n *int64, yes bool) {
		if yes {
			*n++
		}
	}
	count(&t.Honest, !o.Cheats)
	count(&t.Proven, !o.Cheats && o.Kind == verdict.Inside)
	count(&t.FalseRejects, o.FalseReject)
	count(&t.Alarms, !o.Cheats && o.Detected != Unnoticed)
	count(&t.Cheats, o.Cheats)
	count(&t.Detected, o.Cheats && o.Detected != Unnoticed)
	count(&t.Outside, o.Cheats && o.Stands != atlas.In)
	count(&t.FalseAccepts, o.FalseAccept)
	count(&t.Lost, !o.Holds)
	t.Proofs += int64(o.Proofs)
}

// Merge adds another tally.
func (t *Tally) Merge(o Tally) {
	into := []*int64{&t.Honest, &t.Proven, &t.FalseRejects, &t.Alarms, &t.Cheats, &t.Detected, &t.Outside, &t.FalseAccepts, &t.Lost, &t.Proofs}
	for i, n := range []int64{o.Honest, o.Proven, o.FalseRejects, o.Alarms, o.Cheats, o.Detected, o.Outside, o.FalseAccepts, o.Lost, o.Proofs} {
		*into[i] += n
	}
}

// piece is how many cores a worker takes at a time.
const piece = 32

// Many runs cores 0 to n-1 on all processors and hands each outcome to visit: the outcomes of one worker in its own goroutine, with
// the worker's number below runtime.GOMAXPROCS(0). It stops at the first error, or when the context ends.
func (t *Trial) Many(ctx context.Context, n uint64, core func(i uint64) (Core, bool), visit func(worker int, i uint64, o Outcome)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Uint64
	var wg sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for from := next.Add(piece) - piece; from < n && ctx.Err() == nil; from = next.Add(piece) - piece {
				for i := from; i < min(n, from+piece); i++ {
					c, ok := core(i)
					if !ok {
						continue
					}
					o, err := t.Run(c)
					if err != nil {
						stop(err)
						return
					}
					visit(worker, i, o)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// Count tries n honest and n cheating cores of a class of access and counts what comes of it.
func (t *Trial) Count(ctx context.Context, n uint64, access world.Access) (Tally, error) {
	tallies := make([]Tally, runtime.GOMAXPROCS(0))
	err := t.Many(ctx, 2*n, func(i uint64) (Core, bool) {
		if i%2 == 0 {
			return t.Honest(i/2, access)
		}
		return t.Cheat(i/2, access)
	}, func(worker int, _ uint64, o Outcome) { tallies[worker].Add(o) })
	var sum Tally
	for _, x := range tallies {
		sum.Merge(x)
	}
	return sum, err
}
