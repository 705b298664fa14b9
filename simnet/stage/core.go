package stage

import (
	"context"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/server/client"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Core is a running core. Prober and Prover may be changed while it does not prove.
type Core struct {
	CoreSpec
	Machine
	Probe, Talk *fabric.Endpoint // its sockets to the beacons and to the gate
	Clock       *adversary.Lever
	Prober      prober.Config     // with what it asks the beacons
	Honest      *prober.Committee // asks them
	Prover      core.Prover       // what its agent proves with: Honest, until somebody puts another in its place
	Agent       *core.Agent

	stage *Stage
}

// makeCores starts the cores, and enrols those that have a key of their own.
func (s *Stage) makeCores(ctx context.Context) error {
	own := s.Made.Cores
	for _, spec := range s.cfg.Cores {
		c := &Core{CoreSpec: spec, Clock: adversary.NewLever(s.cfg.Clock), stage: s}
		if of := s.Core(spec.CloneOf); of != nil {
			c.Machine = of.Machine
			if spec.Stolen {
				var err error
				if c.TimedKey, err = identity.NewTimedKey(nil); err != nil {
					return err
				}
			}
		} else {
			c.Machine, own = own[0], own[1:]
			err := s.Gate.Enrol(ctx, c.Key.Public(), store.Account{Chip: c.Chip, Tenant: "stage", Platform: "sim", Enabled: true, Budget: s.cfg.Budget})
			if err != nil {
				return err
			}
		}
		if err := c.start(); err != nil {
			return err
		}
		s.Cores = append(s.Cores, c)
	}
	return nil
}

// Core returns the core of a name, or nil.
func (s *Stage) Core(name string) *Core {
	for _, c := range s.Cores {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Beacon returns the beacon of a name, or nil.
func (s *Stage) Beacon(name string) *Beacon {
	for _, b := range s.Beacons {
		if b.Name == name {
			return b
		}
	}
	return nil
}

func (c *Core) start() (err error) {
	s := c.stage
	if c.Probe, err = s.Listen("core "+c.Name, c.Stands); err != nil {
		return err
	}
	if c.Talk, err = s.Listen("core "+c.Name+" to gate", c.Stands); err != nil {
		return err
	}
	c.Prober = prober.Config{Key: c.Key, TimedKey: c.TimedKey, Directory: s.Made.Directory, Conn: c.Probe, Clock: c.Clock, Attestation: c.Result, Resolve: Resolve}
	c.Honest = &prober.Committee{Prepare: func(context.Context) (prober.Config, error) { return c.Prober, nil }}
	c.Prover = c.Honest
	to, err := client.New(client.Config{Key: c.Key, Claim: c.Claim.At, Address: s.at, Conn: c.Talk, Resolve: Resolve})
	if err != nil {
		return err
	}
	s.onClose(func() { _ = to.Close() })
	c.Agent, err = core.New(core.Config{Key: c.Key, TimedKey: c.TimedKey, GateKey: s.Made.Gate.Public(), Gate: to, Prover: current{c},
		Memory: &core.Forgetful{}, Want: s.cfg.Want})
	return err
}

// current proves with whatever the core proves with now.
type current struct{ core *Core }

// Prove implements core.Prover.
func (p current) Prove(ctx context.Context, challenge []byte, previous [32]byte) ([]byte, [32]byte, error) {
	return p.core.Prover.Prove(ctx, challenge, previous)
}

// Move puts a core somewhere else, without telling anybody.
func (c *Core) Move(to world.Place) {
	c.Stands = to
	for _, e := range []*fabric.Endpoint{c.Probe, c.Talk} {
		c.stage.Ground.Place(e.AddrPort().Addr(), to)
	}
}

// Prove lets the core ask for a lease and returns what the gate decided. A denial is a decision; an error says that it did not come to
// one, though the core tried again once, as an agent does: a connection to the gate that has long been idle is found dead only when
// it is used.
func (c *Core) Prove(ctx context.Context) (Decided, error) {
	err := c.Agent.Obtain(ctx)
	if no := (*core.Denied)(nil); err != nil && !errors.As(err, &no) && ctx.Err() == nil {
		err = c.Agent.Obtain(ctx)
	}
	d, decided := c.stage.take(c.Key.ID())
	var no *core.Denied
	switch {
	case errors.As(err, &no) && !decided: // denied before it came to a proof
		d.Decision.RefusedBy, d.Decision.Reason = no.RefusedBy, no.Reason
	case errors.As(err, &no):
	case err != nil:
		return Decided{}, err
	case !decided:
		return Decided{}, fmt.Errorf("%w: the gate answered without a decision", ErrConfig)
	}
	return d, nil
}
