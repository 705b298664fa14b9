package adversary

import (
	"errors"
	"fmt"
	"strings"
)

// Attack names what an adversary does in a run.
type Attack string

// The attacks. In each of them the core stands outside the permitted region and claims a place inside.
const (
	None        Attack = "none"
	AddDelay    Attack = "add-delay"
	Relay       Attack = "relay"
	LyingBeacon Attack = "lying-beacon"
	Replay      Attack = "replay"
)

// Attacks lists them in the order of the help.
var Attacks = []Attack{None, AddDelay, Relay, LyingBeacon, Replay}

// ErrUnknown reports a word that is no attack.
var ErrUnknown = errors.New("unknown attack")

// Parse reads an attack's name.
func Parse(s string) (Attack, error) {
	names := make([]string, len(Attacks))
	for i, a := range Attacks {
		if string(a) == s {
			return a, nil
		}
		names[i] = string(a)
	}
	return "", fmt.Errorf("%w %q: use one of %s", ErrUnknown, s, strings.Join(names, ", "))
}

// Owns says what the adversary has in its hands.
func (a Attack) Owns() string {
	switch a {
	case AddDelay:
		return "the core and its network"
	case Relay:
		return "the core and a machine at the claimed place"
	case LyingBeacon:
		return "the core and one beacon, both with clocks that run slow"
	case Replay:
		return "the core and a proof that it made when it was inside"
	}
	return "nothing"
}

// Tries says what it does with it.
func (a Attack) Tries() string {
	switch a {
	case AddDelay:
		return "holds each beacon's packets back until the round trips look like those of the claimed place"
	case Relay:
		return "lets the machine at the claimed place pass every packet on to the core and back"
	case LyingBeacon:
		return "lets the beacon state a round trip that fits the claimed place"
	case Replay:
		return "answers a new challenge with the old proof"
	}
	return "tells the truth"
}
