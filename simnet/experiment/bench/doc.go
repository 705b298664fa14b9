// Package bench sets up what a point of an experiment describes and runs its trials: the world, the constellation and the cores over
// simnet/trial, whose judge is the real one; or, where the estimate is measured, locator/eval over round trips of the world.
//
// What it promises: a bench is a pure function of the settings and of the files that they name. What is drawn comes from the point's
// seed and the names of hosts: core 17 of a point is the same core whoever runs it, alone or in a thousand.
//
// What it believes: the world. Where a world has fewer towns than beacons are asked for, further beacons stand in the towns again, in
// domains of their own. A core on the edge of the permit, where the atlas does not commit itself, counts as entitled and can never be
// proven: leaving it out would flatter the constellation.
package bench

import (
	"context"
	"errors"

	"github.com/ursa-virtual/ursa/simnet/experiment"
	"github.com/ursa-virtual/ursa/simnet/experiment/file"
)

// What a point's settings can get wrong that its file does not show.
var (
	ErrNowhere = errors.New("no place to stand")
	ErrTooFew  = errors.New("too few places")
	ErrWorld   = errors.New("unsuitable world")
)

// Builder makes benches; files that settings name are relative to a folder.
func Builder(dir string) experiment.Builder {
	stock := &stock{dir: dir}
	return func(ctx context.Context, s file.Settings) (experiment.Bench, error) {
		if s.Measure.Estimate {
			return stock.estimates(s)
		}
		return stock.Verdicts(s)
	}
}

// Replay makes the bench of one point's verdicts, to run single trials on it.
func Replay(dir string, s file.Settings) (*Verdicts, error) { return (&stock{dir: dir}).Verdicts(s) }
