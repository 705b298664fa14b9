package stage

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Machines are what beacons and cores of a constellation run on. The simulated platform is one such, made by Simulated; others bring
// real evidence.
type Machines interface {
	Platform() attest.Platform
	// Open is called first, with the appraiser whose enrolments and results will count: it returns the roots that the directory lists
	// and who verifies evidence.
	Open(ctx context.Context, appraiser *identity.Private) ([]directory.AttestRoot, attest.Verifier, error)
	// Machine returns the n-th machine, beacons first, what it must measure as, and its name. A beacon's evidence covers its
	// configuration where the platform can; nil is a core.
	Machine(ctx context.Context, n int, c *attest.Configuration) (attest.Attester, directory.Expectation, [32]byte, error)
}

// simulated pretends: one key is the root of all machines.
type simulated struct{ root *identity.Private }

// Simulated returns machines of the simulated platform. They prove nothing.
func Simulated() Machines { return &simulated{} }

// Platform returns attest.Sim.
func (*simulated) Platform() attest.Platform { return attest.Sim }

// Open makes the root key.
func (s *simulated) Open(context.Context, *identity.Private) ([]directory.AttestRoot, attest.Verifier, error) {
	var err error
	if s.root, err = identity.Generate(identity.RoleSimRoot, rand.Reader); err != nil {
		return nil, nil, err
	}
	encoded, err := s.root.Public().MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	v, err := attest.NewSimVerifier(s.root.Public())
	return []directory.AttestRoot{{Platform: string(attest.Sim), Key: encoded}}, v, err
}

// Machine makes a machine with a name drawn at random.
func (s *simulated) Machine(context.Context, int, *attest.Configuration) (attest.Attester, directory.Expectation, [32]byte, error) {
	m := attest.SimMachine{Root: s.root, Measurement: measurement[:], TCB: 1, NowUnixNS: func() int64 { return time.Now().UnixNano() }}
	_, err := rand.Read(m.Machine[:])
	return m, directory.Expectation{Platform: string(attest.Sim), Measurements: [][]byte{measurement[:]}, MinTCB: 1}, m.Machine, err
}

// Clock source and survey of a simulated place, as real machines measure them.
func configurationOf(s Site) *attest.Configuration {
	return &attest.Configuration{ClockSource: "simulated distance", PositionMM: s.At.ECEF(0).Millimetres(), PosUncMM: surveyMM}
}

// admit makes a key of the role for a machine and lets it attest.
func (f *founding) admit(ctx context.Context, role identity.Role, c *attest.Configuration) (Machine, error) {
	key, err := identity.Generate(role, rand.Reader)
	if err != nil {
		return Machine{}, err
	}
	m := Machine{Key: key}
	if m.Attester, m.Expect, m.Chip, err = f.machines.Machine(ctx, f.made, c); err != nil {
		return m, fmt.Errorf("machine %d: %w", f.made+1, err)
	}
	f.made++
	if role == identity.RoleCore {
		if m.TimedKey, err = identity.NewTimedKey(nil); err != nil {
			return m, err
		}
	}
	f.expected[key.ID()] = m.Expect
	m.Result, err = attestTo(ctx, f.appraiser, m)
	return m, err
}

// attestTo collects evidence of a machine and has it appraised.
func attestTo(ctx context.Context, appraiser *attest.Appraiser, m Machine) ([]byte, error) {
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	evidence, err := attest.Collect(ctx, m.Attester, attest.Binding{Subject: m.Key.ID(), TimedKey: m.TimedKey.ID(), Nonce: nonce})
	if err != nil {
		return nil, err
	}
	return appraiser.Appraise(evidence, attest.Want{Subject: m.Key.ID(), Nonce: nonce, NowUnixNS: time.Now().UnixNano()})
}

// Attest makes a fresh result about a machine of the constellation: they live an hour at most.
func (c *Constellation) Attest(ctx context.Context, m Machine) ([]byte, error) {
	return attestTo(ctx, c.appraiser, m)
}

// Inspect is how a core looks at beacons before it lets itself be timed: prober.Config.Appraise.
func (c *Constellation) Inspect(audience string) (func(context.Context, prober.Presented) error, error) {
	x, err := attest.NewExaminer(false, c.Verifier)
	if err != nil {
		return nil, err
	}
	i := attest.Inspector{Examiner: x, Relying: attest.Relying{Directory: c.Directory, Audience: audience}}
	return func(_ context.Context, p prober.Presented) error {
		_, err := i.Inspect(p.Beacon.ID(), attest.PolicyOf(p.Beacon), p.Result, p.Evidence, p.Nonce, time.Now().UnixNano())
		return err
	}, nil
}
