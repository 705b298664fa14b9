package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// variant is something that can be measured again and again in short blocks.
type variant struct {
	name  string
	block func(ctx context.Context) error
}

// maxFailures in a row of one variant end the run; a single block may fail on a machine that is too busy.
const maxFailures = 3

// interleave runs all variants in a new random order again and again until the time is up, at least atLeast times. What was begun is
// ended, so the turns are whole and can be compared one by one. Progress is told after each block which share of the time is over. It
// returns how many blocks failed.
func interleave(ctx context.Context, variants []variant, budget time.Duration, atLeast int, rnd *rand.Rand, progress func(share float64)) (failed int, err error) {
	began := time.Now()
	inARow := make([]int, len(variants))
	for turn := 0; turn < atLeast || time.Since(began) < budget; turn++ {
		for _, i := range rnd.Perm(len(variants)) {
			if ctx.Err() != nil {
				return failed, ctx.Err()
			}
			err := variants[i].block(ctx)
			switch {
			case ctx.Err() != nil:
				return failed, ctx.Err()
			case err == nil:
				inARow[i] = 0
			default:
				failed++
				if inARow[i]++; inARow[i] >= maxFailures {
					return failed, fmt.Errorf("measuring %s: %w", variants[i].name, err)
				}
			}
			progress(min(1, time.Since(began).Seconds()/max(1e-9, budget.Seconds())))
		}
	}
	return failed, nil
}
