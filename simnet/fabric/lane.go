package fabric

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Lane decides when the packets of one direction of one pair arrive: it draws delay and loss from a Path, keeps packets in order
// unless they may overtake, and duplicates some. It is pure: the time is handed in. One caller at a time.
type Lane struct {
	Rnd       *rand.Rand // the direction's own source
	Overtake  bool       // whether packets may overtake each other
	Duplicate float64    // share of packets that arrive twice

	last time.Duration // the latest due time so far
}

// Fate is what becomes of a packet: the times at which its copies are due, and how many copies were made and lost.
type Fate struct {
	due        [2]time.Duration
	arriving   int
	Duplicated bool
	Lost       int // copies; a packet that is not duplicated is one
}

// Due returns when the copies that are not lost are due, on the clock of the time that was handed in.
func (f *Fate) Due() []time.Duration { return f.due[:f.arriving] }

// Send decides on a packet handed in at a time. No copy is due before that time plus its delay.
func (l *Lane) Send(now time.Duration, path Path, from, to netip.AddrPort, size int) Fate {
	var f Fate
	l.copy(&f, now, path, from, to, size)
	if l.Duplicate > 0 && l.Rnd.Float64() < l.Duplicate {
		f.Duplicated = true
		l.copy(&f, now, path, from, to, size)
	}
	return f
}

func (l *Lane) copy(f *Fate, now time.Duration, path Path, from, to netip.AddrPort, size int) {
	delay, lost := delayAt(path, now, from, to, size, l.Rnd)
	if lost {
		f.Lost++
		return
	}
	due := now + max(0, delay)
	if !l.Overtake {
		due = max(due, l.last)
		l.last = due
	}
	f.due[f.arriving] = due
	f.arriving++
}
