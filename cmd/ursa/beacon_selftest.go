package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// check is one line of a status: what was looked at and what was found.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// coarse is the granularity above which a clock costs more than a good link's noise: 10 µs are 3 km of radius.
const coarse = 10_000

// metresOf turns an interval into the radius that it costs.
func metresOf(ns int64) earth.Metres { return earth.Metres(float64(ns) * float64(earth.Light) / 2e9) }

// selfTest looks at the host: its clock, and a whole exchange over loopback between a throwaway beacon and a throwaway core, through
// the same kind of socket that the real beacon serves on. It takes a few hundred milliseconds.
func selfTest(ctx context.Context, clock stamp.Clock) []check {
	q := clock.Quality()
	cost := metresOf(int64(2 * q.GranularityNS))
	checks := []check{{"clock", q.GranularityNS <= coarse,
		fmt.Sprintf("granularity %d ns (%s of every radius), rate within %d ppm", q.GranularityNS, cost, q.ErrPPB/1000)}}
	a, err := exchangeWithSelf(ctx, clock)
	if err != nil {
		return append(checks, check{"exchange", false, err.Error()})
	}
	s := a.Statement
	return append(checks, check{"exchange", true, fmt.Sprintf("over loopback %s in %d of %d rounds (%s of radius), flags %s",
		earth.RTT(s.RTTBeaconMinNS), s.RoundsOK, s.RoundsSent, metresOf(s.RTTBeaconMinNS), s.Flags)})
}

var errNoSelfAnswer = errors.New("the throwaway beacon gave no statement")

// exchangeWithSelf is one exchange over loopback.
func exchangeWithSelf(ctx context.Context, clock stamp.Clock) (prober.Answer, error) {
	here, err := timing.Listen("udp", "127.0.0.1:0", clock, exchange.ModeBlocking)
	if err != nil {
		return prober.Answer{}, err
	}
	defer func() { _ = here.Close() }()
	there, err := timing.Listen("udp", "127.0.0.1:0", clock, exchange.ModeBlocking)
	if err != nil {
		return prober.Answer{}, err
	}
	defer func() { _ = there.Close() }()
	t, err := newThrowaway(here.Conn().LocalAddr().String())
	if err != nil {
		return prober.Answer{}, err
	}
	s, err := server.New(server.Config{Key: t.beacon, Directory: t.directory, Clock: clock, Attestation: []byte("self-test"), Drain: time.Second})
	if err != nil {
		return prober.Answer{}, err
	}
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.ServeOn(serving, here) }()
	out, err := prober.Run(ctx, prober.Config{Key: t.core, TimedKey: t.timed, Directory: t.directory, Socket: there, Clock: clock,
		Attestation: []byte("self-test"), Timeout: 5 * time.Second}, t.challenge)
	stop()
	switch served := <-done; {
	case err != nil || served != nil:
		return prober.Answer{}, errors.Join(err, served)
	case len(out.Failures) > 0:
		return prober.Answer{}, fmt.Errorf("%w: %w", errNoSelfAnswer, out.Failures[0].Err)
	case len(out.Answers) == 0:
		return prober.Answer{}, errNoSelfAnswer
	}
	return out.Answers[0], nil
}

// throwaway is a constellation of one beacon that lives for one exchange.
type throwaway struct {
	beacon, core *identity.Private
	timed        *identity.TimedKey
	directory    *directory.Directory
	challenge    []byte
}

func newThrowaway(address string) (*throwaway, error) {
	keys := map[identity.Role]*identity.Private{}
	for _, role := range []identity.Role{identity.RoleBeacon, identity.RoleCore, identity.RoleGate, identity.RoleDirectory} {
		k, err := identity.Generate(role, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[role] = k
	}
	now := time.Now()
	from, to := now.Add(-time.Minute).UnixNano(), now.Add(time.Minute).UnixNano()
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: from, ExpiresUnixNS: to, Gates: []identity.Public{keys[identity.RoleGate].Public()},
		Beacons: []directory.Beacon{{Key: keys[identity.RoleBeacon].Public(), Place: "self-test", Position: earth.LatLon{}.ECEF(0).Millimetres(),
			PosUncMM: 1, Domains: []string{"self-test"}, Address: address, Attest: []directory.Expectation{simExpectation()},
			NotBeforeUnixNS: from, ExpiresUnixNS: to}}}
	signed, err := directory.Sign(d, keys[identity.RoleDirectory])
	if err != nil {
		return nil, err
	}
	t := &throwaway{beacon: keys[identity.RoleBeacon], core: keys[identity.RoleCore]}
	if t.timed, err = identity.NewTimedKey(nil); err != nil {
		return nil, err
	}
	if t.directory, err = directory.Verify(signed, []identity.Public{keys[identity.RoleDirectory].Public()}, 1, now.UnixNano()); err != nil {
		return nil, err
	}
	c := statement.Challenge{Core: t.core.ID(), DirectoryEpoch: 1, DirectoryHash: t.directory.Hash(), Committee: []identity.ID{t.beacon.ID()},
		IssuedUnixNS: now.UnixNano(), TTLNS: int64(time.Minute), RoundsMin: statement.MinRounds, RoundsMax: 64}
	for _, b := range [][]byte{c.NonceG[:], c.PolicyHash[:]} {
		if _, err := rand.Read(b); err != nil {
			return nil, err
		}
	}
	env, err := c.Seal(keys[identity.RoleGate])
	if err != nil {
		return nil, err
	}
	t.challenge, err = env.Encode()
	return t, err
}
