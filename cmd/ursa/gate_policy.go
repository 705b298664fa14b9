package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// policyFlags are a policy as words of the command line.
type policyFlags struct {
	keys                                          keyFlags
	home                                          gateHome
	signers                                       []string
	name, permit, speed, timing, attest, scheme   string
	f, domains, statements, units, step, perMille uint64
	vMax                                          float64
	age, tOff, lease, valid                       time.Duration
}

func gatePolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Which region is permitted, and what a proof must show",
		Long:    "The policy that a gate decides by, in its folder. Whatever it does not say denies.",
		Example: "  ursa gate policy set --dir gate --permit EU27+CH --attest sim\n  ursa gate policy show --dir gate",
	}
	cmd.AddCommand(gatePolicySetCommand(), gatePolicyShowCommand())
	return cmd
}

func gatePolicySetCommand() *cobra.Command {
	var p policyFlags
	cmd := &cobra.Command{
		Use:   "set [POLICY]",
		Short: "Put the next version of the policy into force",
		Long: "Puts a policy into force that enough of the gate's authors signed: a file of 'ursa policy sign', or, when the folder has an author\n" +
			"of its own, a policy file, or the next version after the present one, made from the flags, which are signed here.\n\n" +
			"A gate that serves takes it over at once; challenges that were asked under the version before are refused from then on.",
		Example: "  ursa gate policy set --dir gate europe.ursa\n  ursa gate policy set --dir gate europe.yaml --passphrase-file pass\n" +
			"  ursa gate policy set --dir gate --permit EU27+CH --attest sim --passphrase-file pass\n" +
			"  ursa gate policy set --dir gate --permit 'DE+FR' --f 1 --t-off 30s --lease 1m --max-units 60000 --attest sim",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return p.install(cmd, args[0])
			}
			if err := needFlags(cmd, "permit", "attest"); err != nil {
				return err
			}
			return p.set(cmd)
		},
	}
	p.home.register(cmd)
	p.keys.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&p.signers, "key", nil, "`FILE` of an author's key that signs; default: the folder's own")
	f.StringVar(&p.name, "name", "gate", "`NAME` of the policy, for people")
	f.StringVar(&p.permit, "permit", "", "permitted region, an `EXPR` over the atlas such as EU27+CH")
	f.StringVar(&p.attest, "attest", "", "attestation `PLATFORM` accepted: sim, which proves nothing about hardware; for others write a file, see 'ursa policy'")
	f.StringVar(&p.speed, "speed", "vacuum", "fastest signal assumed: vacuum or fibre")
	f.Uint64Var(&p.f, "f", 0, "faulty beacon domains to survive")
	f.Uint64Var(&p.domains, "min-domains", 0, "domains that must answer; 0: 2f+1")
	f.Uint64Var(&p.statements, "min-statements", 0, "beacons that must answer; 0: 2f+1")
	f.StringVar(&p.timing, "timing", string(policy.TimingBoth), "whose clock bounds count: both, or beacon")
	f.DurationVar(&p.age, "max-age", time.Minute, "oldest challenge that still counts")
	f.Float64Var(&p.vMax, "v-max", 350, "fastest that a core may travel, in m/s")
	f.Uint64Var(&p.units, "max-units", 5000, "most units in one lease (ms of CPU time)")
	f.StringVar(&p.scheme, "scheme", string(policy.SchemeCombined), "what pays for a lease and how it is opened: lease, keys (in steps), burn (units are burnt before), combined (both)")
	f.Uint64Var(&p.step, "step-units", 0, "units that one key opens, with keys and combined; 0: a tenth of --max-units")
	f.Uint64Var(&p.perMille, "per-mille", 1000, "speed granted, in thousandths")
	f.DurationVar(&p.tOff, "t-off", 30*time.Second, "a core stops within this of its last lease")
	f.DurationVar(&p.lease, "lease", time.Minute, "longest life of a lease")
	f.DurationVar(&p.valid, "valid", 365*24*time.Hour, "how long the version is in force")
	return cmd
}

// policy makes the next version after a previous one.
func (p policyFlags) policy(trust trustFile, previous policy.Policy, now time.Time) (policy.Policy, error) {
	if p.attest != string(attest.Sim) {
		return policy.Policy{}, usagef("--attest %q: use sim here; what other platforms must show stands in a policy file, see 'ursa policy --help'", p.attest)
	}
	ms := func(d time.Duration) *uint64 { return new(uint64(max(d.Milliseconds(), 0))) }
	need := func(n uint64) *uint64 {
		if n == 0 {
			n = 2*p.f + 1
		}
		return &n
	}
	if !(p.vMax > 0 && p.vMax < 1e6) {
		return policy.Policy{}, usagef("--v-max %v: use metres per second above 0", p.vMax)
	}
	out := policy.Policy{Name: p.name, Version: previous.Version + 1, Permit: p.permit, Speed: p.speed, F: &p.f, MinDomains: need(p.domains),
		MinStatements: need(p.statements), MaxAgeMS: ms(p.age), VMaxMMPS: new(uint64(p.vMax * 1000)), Timing: policy.Timing(p.timing),
		Attest: []directory.Expectation{simExpectation()}, Audience: trust.Constellation, MaxUnits: &p.units, TOffMS: ms(p.tOff),
		LeaseTTLMS: ms(p.lease), NotBeforeUnixNS: new(now.UnixNano()), NotAfterUnixNS: new(now.Add(p.valid).UnixNano())}
	if p.perMille != 1000 {
		out.PerMille = &p.perMille
	}
	out.Scheme = policy.Scheme(p.scheme)
	if out.Scheme.Steps() {
		out.StepUnits = new(p.step)
		if p.step == 0 {
			*out.StepUnits = max(p.units/10, 1)
		}
	} else if p.step != 0 {
		return out, usagef("--step-units %d: scheme %s opens leases at once; use keys or combined", p.step, p.scheme)
	}
	if problems := out.Validate(); len(problems) > 0 {
		return out, usagef("%w", errors.Join(problems...))
	}
	if _, _, err := grant.Permit(out.Permit); err != nil {
		return out, usagef("--permit: %w", err)
	}
	return out, nil
}

// set signs the next version and puts it into force.
func (p policyFlags) set(cmd *cobra.Command) error {
	trust, err := homeTrust(p.home.dir, "gate")
	if err != nil {
		return err
	}
	authors, err := p.home.authors()
	if err != nil {
		return err
	}
	previous, _, err := readSignedPolicy(p.home.path(signedPolicyName), authors)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next, err := p.policy(trust, previous, time.Now())
	if err != nil {
		return err
	}
	signed, err := p.sign(cmd, next, authors)
	if err != nil {
		return err
	}
	if err := p.enforce(cmd, signed, authors); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), simNotice)
	return nil
}

// sign signs a policy with the folder's author, or with those that are named.
func (p policyFlags) sign(cmd *cobra.Command, next policy.Policy, authors quorum.Authors) ([]byte, error) {
	if authors.Threshold > max(len(p.signers), 1) {
		return nil, usagef("%d of this gate's authors must sign: write a policy file and let them ('ursa policy sign'), then 'ursa gate policy set FILE'", authors.Threshold)
	}
	protect, err := p.keys.protector(cmd, false)
	if err != nil {
		return nil, err
	}
	keys, err := p.home.authorKeys(p.signers, protect)
	if err != nil {
		return nil, err
	}
	return policy.Sign(next, keys...)
}

// install puts a policy into force that was signed elsewhere, or a policy file that is signed here.
func (p policyFlags) install(cmd *cobra.Command, file string) error {
	if err := p.home.check(); err != nil {
		return err
	}
	authors, err := p.home.authors()
	if err != nil {
		return err
	}
	data, err := readLimited(file, policy.SignedSize)
	if err != nil {
		return err
	}
	if _, _, err := policy.Claimed(data); err != nil {
		f, _, err := policyfile.Check(file, data)
		if err != nil {
			return err
		}
		if data, err = p.sign(cmd, f.Policy, authors); err != nil {
			return err
		}
	}
	if _, err := policy.Open(data, authors); err != nil {
		return fmt.Errorf("%s is refused: %w", file, err)
	}
	return p.enforce(cmd, data, authors)
}

// enforce checks that a signed policy succeeds the one in the folder, writes it there, and tells the gate that serves.
func (p policyFlags) enforce(cmd *cobra.Command, signed []byte, authors quorum.Authors) error {
	next, err := policy.Open(signed, authors)
	if err != nil {
		return err
	}
	path := p.home.path(signedPolicyName)
	previous, old, err := readSignedPolicy(path, authors)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !bytes.Equal(old, signed) {
		if err := next.Succeeds(previous); err != nil {
			return err
		}
	}
	if problems := next.Validate(); len(problems) > 0 {
		return problems[0]
	}
	if _, _, err := grant.Permit(next.Permit); err != nil {
		return err
	}
	if err := writeWhole(path, signed, 0o644); err != nil {
		return err
	}
	state := "in force now"
	if _, err := askGate(cmd.Context(), p.home, gateOrder{Do: orderReload}); errors.Is(err, errNotRunning) {
		state = "in force when the gate serves"
	} else if err != nil {
		return fmt.Errorf("version %d is written, but the gate that serves refused it: %w", next.Version, err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "policy  %q version %d permits %s, scheme %s, %s\n", next.Name, next.Version, next.Permit, next.Scheme, state)
	return err
}

// policyJSON is what `ursa gate policy show` prints.
type policyJSON struct {
	Name          string   `json:"name"`
	Version       uint64   `json:"version"`
	Hash          string   `json:"hash"`
	Permit        string   `json:"permit"`
	Speed         string   `json:"speed"`
	F             *uint64  `json:"f"`
	MinDomains    *uint64  `json:"min_domains"`
	MinStatements *uint64  `json:"min_statements"`
	MaxAgeMS      *uint64  `json:"max_age_ms"`
	VMaxMMPS      *uint64  `json:"v_max_mm_per_s"`
	Timing        string   `json:"timing"`
	Platforms     []string `json:"platforms"`
	Audience      string   `json:"audience"`
	MaxUnits      *uint64  `json:"max_units"`
	PerMille      *uint64  `json:"per_mille"`
	Scheme        string   `json:"scheme"`
	StepUnits     *uint64  `json:"step_units"`
	TOffMS        *uint64  `json:"t_off_ms"`
	LeaseTTLMS    *uint64  `json:"lease_ttl_ms"`
	NotBefore     string   `json:"not_before"`
	NotAfter      string   `json:"not_after"`
}

func gatePolicyShowCommand() *cobra.Command {
	var home gateHome
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print the policy of a gate's folder as JSON",
		Long:    "Prints the policy of a gate's folder as one JSON object.",
		Example: "  ursa gate policy show --dir gate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			authors, err := home.authors()
			if err != nil {
				return err
			}
			p, _, err := readSignedPolicy(home.path(signedPolicyName), authors)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s has no policy: 'ursa gate policy set' writes one", home.dir)
			}
			if err != nil {
				return err
			}
			hash, err := p.Hash()
			if err != nil {
				return err
			}
			out := policyJSON{Name: p.Name, Version: p.Version, Hash: fmt.Sprintf("%x", hash), Permit: p.Permit, Speed: p.Speed, F: p.F, MinDomains: p.MinDomains,
				MinStatements: p.MinStatements, MaxAgeMS: p.MaxAgeMS, VMaxMMPS: p.VMaxMMPS, Timing: string(p.Timing), Audience: p.Audience,
				MaxUnits: p.MaxUnits, PerMille: p.PerMille, TOffMS: p.TOffMS, LeaseTTLMS: p.LeaseTTLMS, Scheme: string(p.Scheme), StepUnits: p.StepUnits}
			for _, a := range p.Attest {
				out.Platforms = append(out.Platforms, a.Platform)
			}
			if p.NotBeforeUnixNS != nil && p.NotAfterUnixNS != nil {
				out.NotBefore, out.NotAfter = utc(*p.NotBeforeUnixNS), utc(*p.NotAfterUnixNS)
			}
			return printJSON(cmd, out)
		},
	}
	home.register(cmd)
	return cmd
}
