package result

import (
	"errors"

	"github.com/ursa-virtual/ursa/locator/verdict"
)

// maxCount bounds every number of a journal, so that sums of them do not overflow.
const maxCount = 1 << 40

// Tally counts the trials of one point. All of it is whole numbers: adding tallies knows no order.
type Tally struct {
	Cores        int64 `json:"cores"`
	Inside       int64 `json:"inside,omitempty"` // the four verdicts
	Outside      int64 `json:"outside,omitempty"`
	Undetermined int64 `json:"undetermined,omitempty"`
	Inconsistent int64 `json:"inconsistent,omitempty"`
	Unanswered   int64 `json:"unanswered,omitempty"` // no judgement: nothing usable was measured

	Entitled     int64 `json:"entitled,omitempty"`      // cores that stand inside the permit, or honestly on its edge
	Proven       int64 `json:"proven,omitempty"`        // of these, verdict Inside
	Intruders    int64 `json:"intruders,omitempty"`     // cores that do not
	FalseInside  int64 `json:"false_inside,omitempty"`  // verdict Inside of cores that are not certainly there
	FalseOutside int64 `json:"false_outside,omitempty"` // entitled cores with verdict Outside
	Attacked     int64 `json:"attacked,omitempty"`      // trials in which an adversary acted
	Detected     int64 `json:"detected,omitempty"`      // of these, those that raised an alarm
	Alarms       int64 `json:"alarms,omitempty"`        // trials without an adversary that raised one
	Missed       int64 `json:"missed,omitempty"`        // regions that do not hold the core's true place

	RegionKM2 Histogram `json:"region_km2"`
	ErrorKM   Histogram `json:"error_km"`

	Targets   int64 `json:"targets,omitempty"` // hosts located by an estimate
	Country   int64 `json:"country,omitempty"` // of these, placed in their own country
	Within90  int64 `json:"within_90,omitempty"`
	Claimed90 int64 `json:"claimed_90,omitempty"` // targets of methods whose regions have probabilities
}

// Trial is what one core experienced.
type Trial struct {
	Entitled  bool // the core stands inside the permit, or honestly on its edge, where nothing can be proven
	Attacked  bool // an adversary acted
	Judged    bool // there was something to judge
	Kind      verdict.Kind
	False     bool // the verdict is Inside and the core is not certainly there
	Detected  bool // something raised an alarm
	Missed    bool // the region does not hold the core
	RegionKM2 float64
	HasRegion bool
	ErrorKM   float64 // from the middle of the region to the truth
	HasError  bool
}

// Add counts a trial.
func (t *Tally) Add(x Trial) {
	t.Cores++
	inside := x.Judged && x.Kind == verdict.Inside
	switch {
	case !x.Judged:
		t.Unanswered++
	case x.Kind == verdict.Inside:
		t.Inside++
	case x.Kind == verdict.Outside:
		t.Outside++
	case x.Kind == verdict.Inconsistent:
		t.Inconsistent++
	default:
		t.Undetermined++
	}
	count(&t.Entitled, x.Entitled)
	count(&t.Proven, x.Entitled && inside && !x.False)
	count(&t.Intruders, !x.Entitled)
	count(&t.FalseInside, x.False)
	count(&t.FalseOutside, x.Entitled && x.Judged && x.Kind == verdict.Outside)
	count(&t.Attacked, x.Attacked)
	count(&t.Detected, x.Attacked && x.Detected)
	count(&t.Alarms, !x.Attacked && x.Detected)
	count(&t.Missed, x.Missed)
	if x.HasRegion {
		t.RegionKM2.Add(x.RegionKM2)
	}
	if x.HasError {
		t.ErrorKM.Add(x.ErrorKM)
	}
}

func count(n *int64, yes bool) {
	if yes {
		*n++
	}
}

// counts lists the plain numbers.
func (t *Tally) counts() []*int64 {
	return []*int64{&t.Cores, &t.Inside, &t.Outside, &t.Undetermined, &t.Inconsistent, &t.Unanswered, &t.Entitled, &t.Proven, &t.Intruders,
		&t.FalseInside, &t.FalseOutside, &t.Attacked, &t.Detected, &t.Alarms, &t.Missed, &t.Targets, &t.Country, &t.Within90, &t.Claimed90}
}

// Merge adds another tally.
func (t *Tally) Merge(o Tally) {
	for i, from := range o.counts() {
		*t.counts()[i] += *from
	}
	t.RegionKM2.Merge(o.RegionKM2)
	t.ErrorKM.Merge(o.ErrorKM)
}

// errTally reports numbers that no count of trials gives.
var errTally = errors.New("impossible tally")

// validate refuses what Add cannot have made.
func (t *Tally) validate() error {
	for _, n := range t.counts() {
		if *n < 0 || *n > maxCount {
			return errTally
		}
	}
	parts := t.Inside + t.Outside + t.Undetermined + t.Inconsistent + t.Unanswered
	if t.Targets == 0 && (parts != t.Cores || t.Entitled+t.Intruders != t.Cores) || t.Proven+t.FalseInside > t.Cores ||
		t.Detected > t.Attacked || t.Country > t.Targets || t.Within90 > t.Claimed90 || t.Claimed90 > t.Targets {
		return errTally
	}
	return nil
}
