package relay_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/relay"
)

// The promise of the whole system, over real sockets: whatever befalls the packets on their way, no round of the timed exchange measures
// less than the distance. Both sides are the real ones (QUIC, machines, signatures); between them stands the relay, which is never early.
//
// A plain run does some thousand rounds. URSA_LONG=1 does a hundred thousand, in two to three minutes on two processors.
func TestNoBoundBelowTheDistance(t *testing.T) {
	const perSession = 32
	target, workers, limit := 150, 4, 5*time.Minute // which only what hangs reaches
	switch {
	case os.Getenv("URSA_LONG") != "":
		target, workers, limit = 100_000/len(crossings)+1, 8, 10*time.Minute
	case testing.Short():
		target = 80
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	clock := hostClock(t)
	walks := make([]*walk, len(crossings))
	var all sync.WaitGroup
	for i, c := range crossings {
		walks[i] = newWalk(t, c, clock, uint64(i+1), perSession)
		all.Go(func() { walks[i].untilRounds(ctx, target, workers) })
	}
	all.Wait()
	total := 0
	var sum tally
	for _, w := range walks {
		w.close()
		w.verdict(t)
		total += w.tally.rounds
		sum.add(&w.tally)
	}
	t.Logf("%d rounds in %d sessions over %d ways: %s", total, sum.sessions, len(walks), &sum)
	sum.requireHardCases(t)
	if total < target*len(walks) {
		t.Errorf("%d rounds in %v, want %d: something hangs", total, limit, target*len(walks))
	}
}

// verdict requires that nothing of a walk was below the distance, and prints what happened.
func (w *walk) verdict(t *testing.T) {
	t.Helper()
	w.tally.mu.Lock()
	defer w.tally.mu.Unlock()
	t.Logf("%-44s %v at least: %s; relay: %s", w.crossing.name, w.crossing.floor(), &w.tally, w.relayStats)
	for _, line := range w.tally.below {
		t.Error(line)
	}
	// A session may fail: a lossy way, or one with a short time-out, may leave fewer than eight rounds. What failed states no bound.
	if w.tally.sessions == 0 || w.crossing.timeout == 0 && w.tally.failedSessions > 1+w.tally.sessions/4 {
		t.Errorf("%s: %d sessions, %d failed: %v", w.crossing.name, w.tally.sessions, w.tally.failedSessions, w.tally.failures)
	}
	s := w.relayStats
	w.tally.lost, w.tally.duplicated = s.Lost, s.Duplicated
}

// requireHardCases fails a run in which what it is about did not happen.
func (s *tally) requireHardCases(t *testing.T) {
	t.Helper()
	for what, n := range map[string]uint64{
		"packets lost": s.lost, "packets duplicated": s.duplicated,
		"answers refused because they came twice or late":            s.refused[exchange.ErrNoChallenge] + s.refused[exchange.ErrWrongRound],
		"challenges refused because they came twice":                 s.refused[exchange.ErrAnswered],
		"acknowledgements between a challenge and its answer":        uint64(s.acknowledged),
		"rounds that a stamp of the last write would have shortened": uint64(s.unsound),
	} {
		if n == 0 {
			t.Errorf("%s: none, so this run shows nothing about them", what)
		}
	}
}

// crossing is a way between a core and a beacon, and what befalls packets on it.
type crossing struct {
	name     string
	path     exchange.PathKind
	up, down relay.Direction
	timeout  time.Duration // of a round; 0: generous
}

// floor is the configured delay there and back, below which nothing may be measured.
func (c crossing) floor() time.Duration { return c.up.Link.OneWay + c.down.Link.OneWay }

func way(oneWay time.Duration, jitter fabric.Law, loss, duplicate float64) relay.Direction {
	return relay.Direction{Link: fabric.Link{OneWay: oneWay, Jitter: jitter, Loss: loss}, Overtake: true, Duplicate: duplicate}
}

const (
	ms = time.Millisecond
	us = time.Microsecond
)

var crossings = []crossing{
	{name: "wrapped, nothing but distance", path: exchange.PathWrapped, up: way(ms, nil, 0, 0), down: way(ms, nil, 0, 0)},
	{name: "wrapped, light queues, some loss", path: exchange.PathWrapped,
		up: way(2*ms, fabric.Exponential{Mean: 300 * us}, 0.02, 0.02), down: way(3*ms, fabric.Uniform{Max: ms}, 0.02, 0.02)},
	{name: "wrapped, answers after their time-out", path: exchange.PathWrapped, timeout: 15 * ms,
		up: way(2*ms, fabric.Exponential{Mean: 2 * ms}, 0.05, 0.1), down: way(2*ms, fabric.Exponential{Mean: 2 * ms}, 0.05, 0.1)},
	{name: "steered, queues often empty", path: exchange.PathSteered,
		up: way(500*us, fabric.Mixture{Clean: 0.5, Else: fabric.Exponential{Mean: 2 * ms}}, 0.03, 0.1), down: way(700*us, nil, 0.03, 0.1)},
	{name: "steered, long and one-sided", path: exchange.PathSteered,
		up: way(ms, nil, 0.01, 0), down: way(19*ms, fabric.Exponential{Mean: ms}, 0.01, 0.05)},
	{name: "transport, wild", path: exchange.PathTransport,
		up: way(4*ms, fabric.Uniform{Max: 8 * ms}, 0.1, 0.2), down: way(4*ms, fabric.Uniform{Max: 8 * ms}, 0.1, 0.2)},
	{name: "datagram, delayed acknowledgements", path: exchange.PathDatagram, up: way(20*ms, nil, 0, 0), down: way(20*ms, nil, 0, 0)},
	{name: "datagram, delayed acknowledgements and loss", path: exchange.PathDatagram,
		up: way(15*ms, fabric.Exponential{Mean: ms}, 0.03, 0.1), down: way(20*ms, fabric.Exponential{Mean: ms}, 0.03, 0.1)},
}

// TestDelayedAcknowledgement: on a path of 40 ms QUIC acknowledges an answer some 25 ms after it came, when the next challenge has been
// under way for as long. Whoever takes the last packet written for the challenge reads 15 ms, a bound 3,750 km too small. A
// departure belongs to the write that it wraps, so here it reads 40 ms.
func TestDelayedAcknowledgement(t *testing.T) {
	c := crossing{name: "datagram, 40 ms", path: exchange.PathDatagram, up: way(20*ms, nil, 0, 0), down: way(20*ms, nil, 0, 0)}
	w := newWalk(t, c, hostClock(t), 1, 16)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := &w.tally
	shown := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.unsound > 0 && s.leastLastWrite <= 30*time.Millisecond
	}
	for n := 1; n <= 64 && !shown(); n++ { // once, but for a machine that stalls
		w.untilRounds(ctx, n*16, 1)
	}
	w.close()
	w.verdict(t)
	if s.unsound == 0 || s.leastLastWrite > 30*time.Millisecond {
		t.Errorf("a stamp of the last write reads at least %v, below 40 ms in %d of %d rounds: no acknowledgement went out in between",
			s.leastLastWrite, s.unsound, s.rounds)
	}
	t.Logf("the last packet written would read %v, %.0f km too little; the statement says %v", s.leastLastWrite,
		(40*time.Millisecond-s.leastLastWrite).Seconds()*299792.458/2, 40*time.Millisecond+s.leastBeacon)
}

// TestTheCheckCanFail: a beacon whose clock runs at a tenth states less than the distance, however much a busy machine adds, and that is seen.
func TestTheCheckCanFail(t *testing.T) {
	c := crossing{name: "slow clock", path: exchange.PathTransport, up: way(5*ms, nil, 0, 0), down: way(5*ms, nil, 0, 0)}
	slow := adversary.NewLever(hostClock(t))
	slow.Slow(1, 10)
	w := newWalk(t, c, slow, 1, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	w.untilRounds(ctx, 8, 1)
	w.close()
	if w.tally.sessions == 0 || len(w.tally.below) == 0 {
		t.Errorf("%d sessions, failures %v: a clock at a tenth went unnoticed", w.tally.sessions, w.tally.failures)
	}
}

// String prints what happened in one line.
func (s *tally) String() string {
	var refused []string
	for err, n := range s.refused {
		refused = append(refused, fmt.Sprintf("%d × %v", n, err))
	}
	return fmt.Sprintf("%d rounds of %d sent in %d sessions (%d failed, %d rounds dropped by the clock rule); beyond the distance at least %v by the beacon, %v by the core; a last-write stamp would have shortened %d; packets refused: %s",
		s.rounds, s.sent, s.sessions, s.failedSessions, s.unstable, s.leastBeacon, s.leastCore, s.unsound, strings.Join(refused, ", "))
}
