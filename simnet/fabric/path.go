package fabric

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Path says how long packets are under way.
type Path interface {
	// Delay returns the one-way delay of one packet of size bytes, or that it is lost (also when there is no way at all). It is
	// called once for each packet, for one directed pair never twice at a time; all chance must come from rnd, the pair's own
	// source. A negative delay counts as zero.
	Delay(from, to netip.AddrPort, size int, rnd *rand.Rand) (delay time.Duration, lost bool)
}

// TimedPath is a Path whose delays depend on when a packet leaves: routes change, and queues follow the hour.
type TimedPath interface {
	Path
	// DelayAt is Delay at a time since the start of the network. A network that knows its time calls it in place of Delay.
	DelayAt(now time.Duration, from, to netip.AddrPort, size int, rnd *rand.Rand) (delay time.Duration, lost bool)
}

// delayAt asks a path, with the time where it wants it.
func delayAt(path Path, now time.Duration, from, to netip.AddrPort, size int, rnd *rand.Rand) (time.Duration, bool) {
	if timed, ok := path.(TimedPath); ok {
		return timed.DelayAt(now, from, to, size, rnd)
	}
	return path.Delay(from, to, size, rnd)
}

// Link is a Path that is the same between all endpoints.
type Link struct {
	OneWay time.Duration // the least delay of one direction
	Jitter Law           // added to it; nil adds nothing
	Loss   float64       // share of packets lost, 0 to 1
}

// Delay draws first the loss and then the jitter, so that the loss of a run does not depend on its law.
func (l Link) Delay(_, _ netip.AddrPort, _ int, rnd *rand.Rand) (time.Duration, bool) {
	lost := l.Loss > 0 && rnd.Float64() < l.Loss
	delay := l.OneWay
	if l.Jitter != nil {
		delay += max(0, l.Jitter.Draw(rnd))
	}
	return delay, lost
}

// Law is a distribution of delays that come on top of a path's least: what queues and radio add.
type Law interface {
	Draw(rnd *rand.Rand) time.Duration // never negative
	String() string                    // as ParseLaw reads it
}

// Exponential has its density highest at zero and the given mean: continuous light queueing.
type Exponential struct{ Mean time.Duration }

// Draw returns an exponential deviate.
func (e Exponential) Draw(rnd *rand.Rand) time.Duration {
	return time.Duration(rnd.ExpFloat64() * float64(e.Mean))
}

// String returns "exp:MEAN".
func (e Exponential) String() string { return "exp:" + e.Mean.String() }

// Uniform lies anywhere from 0 to Max.
type Uniform struct{ Max time.Duration }

// Draw returns a uniform deviate.
func (u Uniform) Draw(rnd *rand.Rand) time.Duration {
	return time.Duration(rnd.Float64() * float64(u.Max))
}

// String returns "uniform:MAX".
func (u Uniform) String() string { return "uniform:" + u.Max.String() }

// Mixture lets the share Clean of packets through without delay and draws the rest from Else: queues that are often empty.
type Mixture struct {
	Clean float64
	Else  Law
}

// Draw returns zero or a deviate of Else.
func (m Mixture) Draw(rnd *rand.Rand) time.Duration {
	if rnd.Float64() < m.Clean {
		return 0
	}
	return m.Else.Draw(rnd)
}

// String returns "mix:CLEAN,LAW".
func (m Mixture) String() string {
	return "mix:" + strconv.FormatFloat(m.Clean, 'g', -1, 64) + "," + m.Else.String()
}

// ErrLaw reports a jitter law that cannot be read.
var ErrLaw = errors.New("not a jitter law")

// ParseLaw reads "none", "exp:MEAN", "uniform:MAX" or "mix:CLEAN,LAW", durations as Go writes them; "none" is a nil Law.
func ParseLaw(s string) (Law, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "none":
		if rest == "" {
			return nil, nil
		}
	case "exp", "uniform":
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > time.Minute {
			return nil, fmt.Errorf("%w: %q; %s wants a duration up to 1m, e.g. %s:2ms", ErrLaw, s, kind, kind)
		}
		if kind == "exp" {
			return Exponential{d}, nil
		}
		return Uniform{d}, nil
	case "mix":
		return parseMixture(s, rest)
	}
	return nil, fmt.Errorf("%w: %q; use none, exp:2ms, uniform:2ms or mix:0.5,exp:2ms", ErrLaw, s)
}

func parseMixture(s, rest string) (Law, error) {
	share, other, ok := strings.Cut(rest, ",")
	clean, err := strconv.ParseFloat(share, 64)
	if !ok || err != nil || !(clean >= 0 && clean <= 1) {
		return nil, fmt.Errorf("%w: %q; mix wants the share of clean packets and a law, e.g. mix:0.5,exp:2ms", ErrLaw, s)
	}
	if strings.HasPrefix(other, "mix") {
		return nil, fmt.Errorf("%w: %q; a mixture of a mixture is a mixture: multiply the shares", ErrLaw, s)
	}
	law, err := ParseLaw(other)
	if err != nil || law == nil {
		return nil, fmt.Errorf("%w: %q; the second part of mix must be exp:… or uniform:…", ErrLaw, s)
	}
	return Mixture{clean, law}, nil
}
