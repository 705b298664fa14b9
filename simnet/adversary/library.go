package adversary

import (
	"errors"
	"fmt"
	"strings"
)

// Name names an adversary of the library.
type Name string

// The adversaries. Honest is nobody: the control.
const (
	Honest              Name = "none"
	AddDelayConstant    Name = "add-delay-constant"
	AddDelaySelective   Name = "add-delay-selective"
	AddDelayAdaptive    Name = "add-delay-adaptive"
	Drop                Name = "drop"
	Reorder             Name = "reorder"
	ReplayProof         Name = "replay"
	PreAnswer           Name = "pre-answer"
	RelayNear           Name = "relay"
	DistanceHijack      Name = "distance-hijack"
	FasterLink          Name = "faster-link"
	LyingShort          Name = "lying-short"
	LyingLong           Name = "lying-long"
	LyingMoved          Name = "lying-moved"
	Colluders           Name = "colluders"
	StolenKey           Name = "stolen-key"
	ClonedCore          Name = "cloned-core"
	MovedCore           Name = "moved-core"
	SlowCore            Name = "slow-clock"
	PausedVM            Name = "paused-vm"
	PickyProver         Name = "picky-prover"
	PoisonedCalibration Name = "poisoned-calibration"
	Flooding            Name = "flooding"
)

// Refusal says what stands in an adversary's way.
type Refusal string

// The refusals.
const (
	ByVerdict  Refusal = "verdict"  // bounds, region and verdict: a sampled run shows it
	ByProtocol Refusal = "protocol" // a signature, MAC or nonce: only the real programs show it (see the stories)
	ByNobody   Refusal = "nobody"   // it breaks what every verdict assumes
)

// Kind describes one adversary of the library.
type Kind struct {
	Name    Name    `json:"name"`
	Owns    string  `json:"owns"`
	Tries   string  `json:"tries"`
	Breaks  string  `json:"breaks"`  // the assumption that it breaks, and at which strength; empty: none
	Refused Refusal `json:"refused"` // what refuses it, as long as the assumptions hold
	Means   string  `json:"means"`   // what the strength is; empty: it has none
	Default float64 `json:"default"` // strength
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`

	before, after func(*Scene, float64) // what it changes before and after the exchanges
	attempts      bool                  // the strength is how many proofs it tries
}

// Adversary is an adversary of the library at a strength.
type Adversary struct {
	Name     Name    `json:"name"`
	Strength float64 `json:"strength"`
}

// String prints "colluders(1)".
func (a Adversary) String() string {
	if k, err := Find(a.Name); err != nil || k.Means == "" {
		return string(a.Name)
	}
	return fmt.Sprintf("%s(%g)", a.Name, a.Strength)
}

// Errors of choosing an adversary.
var (
	ErrName     = errors.New("unknown adversary")
	ErrStrength = errors.New("impossible strength of an adversary")
)

// Library returns every adversary, the control first.
func Library() []Kind { return append([]Kind(nil), library...) }

// Find returns the adversary of a name.
func Find(name Name) (Kind, error) {
	names := make([]string, len(library))
	for i, k := range library {
		if k.Name == name {
			return k, nil
		}
		names[i] = string(k.Name)
	}
	return Kind{}, fmt.Errorf("%w %.40q: use one of %s", ErrName, string(name), strings.Join(names, ", "))
}

// Usual returns the adversary at its default strength.
func Usual(name Name) (Adversary, error) {
	k, err := Find(name)
	return Adversary{name, k.Default}, err
}

// Kind returns the description of an adversary whose strength is possible.
func (a Adversary) Kind() (Kind, error) {
	k, err := Find(a.Name)
	switch {
	case err != nil:
		return k, err
	case k.Means == "" && a.Strength != 0:
		return k, fmt.Errorf("%w: %s has none; leave it 0", ErrStrength, a.Name)
	case !(a.Strength >= k.Least && a.Strength <= k.Most):
		return k, fmt.Errorf("%w: %s takes %g..%g (%s), not %g", ErrStrength, a.Name, k.Least, k.Most, k.Means, a.Strength)
	}
	return k, nil
}

// Holds says whether the assumptions of a verdict hold against the adversary: f faulty domains are allowed for, and vacuum says
// whether the class is the speed of light. Where they hold, no false Inside may be; where they do not, there may. A beacon that states more than it
// measured excludes no place, so lying-long breaks nothing however many they are.
func (a Adversary) Holds(f int, vacuum bool) bool {
	switch a.Name {
	case LyingShort, LyingMoved, StolenKey, PausedVM:
		return int(a.Strength) <= f
	case PoisonedCalibration:
		return f >= 1 // the beacon that it hides
	case Colluders:
		return a.Strength <= 0
	case ClonedCore:
		return false
	case MovedCore:
		return a.Strength <= FastestCore
	case FasterLink, RelayNear:
		return vacuum || a.Strength <= fibreShare
	}
	return true
}

// FastestCore is the v_max of a default verdict in metres a second.
const FastestCore = 350

// fibreShare is the share of the speed of light that the class fibre allows for.
const fibreShare = 0.69
