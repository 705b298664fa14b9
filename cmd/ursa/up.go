package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/box"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// upFlags are the words of the command line; up is what they mean.
type upFlags struct {
	data, core, permit, speed, attack, saveProof, attest string
	beacons, f, leases                                   int
	seed                                                 uint64
	once, json, virtual                                  bool
}

// up is a checked wish for a run.
type up struct {
	flags   upFlags
	world   *world.World
	region  *atlas.Region
	speed   earth.SpeedClass
	scene   box.Scene
	leftOut []audit.Accused
	command []string // the workload
}

// What the core asks for at a time, and what its chip may have in all: units are milliseconds of CPU time.
const (
	upWant   lock.Units = 2_000
	upBudget lock.Units = 1 << 40
	upTOff              = 15 * time.Second // a core stops within this of its last lease
	upTTL               = 30 * time.Second // no lease lives longer
)

func upCommand() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [flags] [-- COMMAND...]",
		Short: "Run the whole system on this machine: beacons, gate and core over simulated distance",
		Long: "Starts beacons at real cities, a gate and a core in one process. QUIC, signatures, store and workload are real;\n" +
			"only the distance is simulated. Tells what happens, ends with the workload stopped.\n\n" +
			"In an attack the core stands outside the permitted region and claims a place inside; --core names one of the two.",
		Example: "  ursa up\n  ursa up --once --json\n  ursa up --once --core Tokyo --permit JP+KR\n" +
			"  ursa up --once --attack relay\n  ursa up --once --attest tpm\n  ursa up --permit 'EU27+EEA+CH+GB' -- sh -c 'while :; do :; done'",
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); len(args) > 0 && n != 0 {
				return fmt.Errorf("unexpected word %q: a workload stands behind --", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := newUp(f, args)
			if err != nil {
				return err
			}
			run := func(ctx context.Context) error {
				return u.run(ctx, newStory(cmd.OutOrStdout(), cmd.ErrOrStderr(), f.json))
			}
			if f.virtual {
				return virtually(cmd, run)
			}
			return run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "take places and delays from the measured matrix in `DIR` (nodes.csv, rtt.csv)")
	flags.StringVar(&f.core, "core", "Frankfurt", "where the core is: a `PLACE` of the world")
	flags.StringVar(&f.permit, "permit", "EU27", "permitted region, an `EXPR` over the atlas such as EU27+CH or 'US minus US-HI'")
	flags.IntVar(&f.beacons, "beacons", 12, "how many beacons")
	flags.IntVar(&f.f, "f", 0, "how many faulty beacon domains to survive")
	flags.StringVar(&f.speed, "speed", "vacuum", "fastest signal assumed: vacuum or fibre")
	flags.StringVar(&f.attack, "attack", "none", "what the core tries: none, add-delay, relay, lying-beacon or replay")
	flags.StringVar(&f.attest, "attest", "sim", "what beacons and core run on: sim, which proves nothing about hardware, or tpm: software TPMs (swtpm), really quoted")
	flags.BoolVar(&f.once, "once", false, "end after the first decision")
	flags.BoolVar(&f.json, "json", false, "print each decision as one JSON object, and nothing else, on standard output")
	flags.BoolVar(&f.virtual, "virtual", false, "with --once: in virtual time, where the verdict does not depend on how busy this machine is")
	flags.StringVar(&f.saveProof, "save-proof", "", "write the evidence of the decision to `FILE`, for ursa verify")
	flags.IntVar(&f.leases, "leases", 3, "switch the core off after so many leases; 0: never")
	flags.Uint64Var(&f.seed, "seed", 1, "of the simulated delays")
	return cmd
}

// newUp checks every word before anything starts.
func newUp(f upFlags, command []string) (*up, error) {
	u := &up{flags: f, command: command}
	attack, err := adversary.Parse(f.attack)
	if err != nil {
		return nil, usagef("--attack: %w", err)
	}
	if u.speed, err = earth.ParseSpeedClass(f.speed); err != nil {
		return nil, usagef("--speed: %w", err)
	}
	if u.region, err = atlas.Parse(f.permit, atlas.Options{}); err != nil {
		return nil, usagef("--permit: %w", err)
	}
	switch {
	case f.attest != "sim" && f.attest != "tpm":
		return nil, usagef("--attest %q: use sim or tpm", f.attest)
	case f.beacons < 1 || f.beacons > 20:
		return nil, usagef("--beacons %d: use 1 to 20; all of them are asked", f.beacons)
	case f.f < 0 || 2*f.f+1 > f.beacons:
		return nil, usagef("--f %d: surviving f faulty domains takes 2f+1 beacons, so with --beacons %d use 0 to %d", f.f, f.beacons, (f.beacons-1)/2)
	case f.virtual && !f.once:
		return nil, usagef("--virtual without --once: a workload runs in real time")
	case f.virtual && f.attest != "sim":
		return nil, usagef("--virtual --attest %s: software TPMs run in real time, use sim", f.attest)
	case f.leases < 0:
		return nil, usagef("--leases %d: use 0 for no end, or a positive number", f.leases)
	}
	if err := u.openWorld(); err != nil {
		return nil, err
	}
	place, err := u.world.Find(f.core)
	if err != nil {
		return nil, usagef("--core: %w", err)
	}
	u.scene, err = box.Arrange(u.world, box.Ask{Core: place, Beacons: f.beacons, Permit: u.region, Attack: attack, Without: u.isLeftOut})
	if err != nil {
		return nil, usagef("%w", err)
	}
	if len(u.command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find this program to run its own workload: %w", err)
		}
		u.command = []string{self, spinName}
	}
	if _, err := exec.LookPath(u.command[0]); err != nil {
		return nil, usagef("%q cannot be run: name a program behind --", u.command[0])
	}
	return u, nil
}

// openWorld makes the built-in world, or reads a measured one and leaves out as beacons those whose claimed places the audit refutes.
func (u *up) openWorld() (err error) {
	if u.flags.data == "" {
		u.world, err = world.Builtin(world.Config{Seed: u.flags.seed})
		return err
	}
	set, err := dataset.Load(u.flags.data)
	if err != nil {
		return err
	}
	if u.world, err = world.Measured(set, u.flags.seed); err != nil {
		return err
	}
	report, err := audit.Run(set, audit.Options{})
	u.leftOut = report.Convicted
	return err
}

func (u *up) isLeftOut(id string) bool {
	for _, a := range u.leftOut {
		if a.ID == id {
			return true
		}
	}
	return false
}

// policy is the gate's: what the flags say, and this run's attested build.
func (u *up) policy(attested []directory.Expectation) policy.Policy {
	now := time.Now()
	need := uint64(2*u.flags.f + 1)
	ms := func(d time.Duration) *uint64 { return new(uint64(d.Milliseconds())) }
	return policy.Policy{Name: "up", Version: 1, Permit: u.flags.permit, Speed: u.speed.String(), F: new(uint64(u.flags.f)),
		MinDomains: &need, MinStatements: &need, MaxAgeMS: ms(time.Minute), VMaxMMPS: new(uint64(350_000)), Timing: policy.TimingBoth,
		Attest: attested, Audience: box.Audience, MaxUnits: new(uint64(upWant)), TOffMS: ms(upTOff), LeaseTTLMS: ms(upTTL),
		NotBeforeUnixNS: new(now.Add(-time.Minute).UnixNano()), NotAfterUnixNS: new(now.Add(24 * time.Hour).UnixNano())}
}

// decided is one decision of the gate.
type decided struct {
	request  grant.Request
	decision grant.Decision
}

// run starts the box, goes the road once, and then, unless --once, lets the workload run until it is switched off.
func (u *up) run(ctx context.Context, tell *story) error {
	dir, err := os.MkdirTemp("", "ursa-up-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the gate's store: %w", err)
	}
	defer os.RemoveAll(dir)
	decisions := make(chan decided, 64)
	tell.begin(u)
	machines, endMachines, err := u.machines()
	if err != nil {
		return err
	}
	defer endMachines()
	b, err := box.Start(ctx, box.Config{Scene: u.scene, Machines: machines, Policy: u.policy, Seed: u.flags.seed, Dir: dir, Budget: upBudget, Want: upWant,
		Probing: tell.probing, Events: tell.agent,
		Decided: func(r grant.Request, d grant.Decision) {
			select {
			case decisions <- decided{r, d}:
			default: // a run that makes so many decisions unread has ended
			}
		}})
	if err != nil {
		return err
	}
	defer b.Close()
	tell.started(b)
	if u.scene.Attack == adversary.Replay {
		if err := u.rehearse(ctx, b, decisions, tell); err != nil {
			return err
		}
	}
	first, err := u.decide(ctx, b, decisions)
	if err != nil {
		return err
	}
	if err := tell.decided(u, b, first); err != nil {
		return err
	}
	if err := u.save(b, first, tell); err != nil {
		return err
	}
	if !first.decision.Granted {
		return deniedError{}
	}
	if u.flags.once {
		return nil
	}
	return u.work(ctx, b, decisions, tell)
}

// rehearse is the first act of a replay: the core makes an honest proof where it may, and then moves.
func (u *up) rehearse(ctx context.Context, b *box.Box, decisions <-chan decided, tell *story) error {
	first, err := u.decide(ctx, b, decisions)
	if err != nil {
		return err
	}
	tell.rehearsed(u, first)
	b.Move()
	return nil
}

// decide lets the core ask once and returns what the gate decided. A denial is a decision and no error.
func (u *up) decide(ctx context.Context, b *box.Box, decisions <-chan decided) (decided, error) {
	err := b.Agent.Obtain(ctx)
	var no *core.Denied
	if err != nil && !errors.As(err, &no) {
		return decided{}, err
	}
	select {
	case d := <-decisions:
		return d, nil
	default:
	}
	if no != nil { // denied before it came to a proof
		return decided{decision: grant.Decision{RefusedBy: no.RefusedBy, Reason: no.Reason}}, nil
	}
	return decided{}, errors.New("the gate answered without a decision")
}

// save writes the evidence of a decision.
func (u *up) save(b *box.Box, d decided, tell *story) error {
	if u.flags.saveProof == "" {
		return nil
	}
	file, err := b.Evidence(d.request, d.decision)
	if err != nil {
		return fmt.Errorf("cannot save the proof: %w", err)
	}
	if err := os.WriteFile(filepath.Clean(u.flags.saveProof), file, 0o644); err != nil {
		return fmt.Errorf("cannot save the proof: %w", err)
	}
	trust := b.Fingerprint()
	tell.saved(u.flags.saveProof, len(file), hex.EncodeToString(trust[:]))
	return nil
}

// work runs the workload behind the lock. After the last lease of the demonstration the defender switches the core off: no renewal
// succeeds, the allowance runs out, the workload stands still.
func (u *up) work(ctx context.Context, b *box.Box, decisions <-chan decided, tell *story) error {
	process, err := workload.Start(workload.Config{Command: u.command, Stdout: tell.workloadOut(), Stderr: os.Stderr})
	if err != nil {
		return err
	}
	tell.workload(u.command, process)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tell.whenFrozen(cancel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.follow(ctx, b, decisions, tell)
	}()
	err = b.Agent.Run(ctx, process)
	cancel()
	<-done
	tell.end(process)
	if errors.Is(err, core.ErrExited) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// follow reports the decisions on renewals and switches the core off after the last lease.
func (u *up) follow(ctx context.Context, b *box.Box, decisions <-chan decided, tell *story) {
	leases := 1
	for {
		if leases == u.flags.leases {
			if err := b.SwitchOff(ctx); err == nil {
				tell.switchedOff()
			}
		}
		select {
		case <-ctx.Done():
			return
		case d := <-decisions:
			if d.decision.Granted {
				leases++
			}
			if err := tell.renewed(u, b, d); err != nil {
				return
			}
		}
	}
}
