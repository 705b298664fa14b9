package grant

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Config of a gate.
type Config struct {
	Key       *identity.Private    // the gate's, listed in the directory; needed
	Store     store.Store          // needed
	Directory *directory.Directory // verified; needed
	Policy    policy.Policy        // complete; needed
	Permit    verdict.Permit       // nil: the policy's expression, from the atlas
	Touching  verdict.Touching     // nil with Permit: verdicts do not say what they touch

	// Ledger, when set, must have published the leaf of a grant under a
	// checkpoint before the lease is sent; ledger.Log is one.
	Ledger Publisher

	// Audiences may be named in tokens; none: no tokens.
	Audiences []string

	// Doubt, when set, says how likely it finds it that a core with these facts
	// stands where nothing is permitted, in thousandths; nil: it cannot say. Only a
	// policy's veto asks for it, and it can only deny.
	Doubt func(facts []statement.Fact, permit string) *uint64

	// MustRevoke makes the gate grant only while a list of revocations is in
	// force; see SetRevocations.
	MustRevoke bool

	// StepSecret is what the keys of later steps follow from; gates on one store
	// share it. Zero: drawn at the start, so that leases in steps end with the
	// process.
	StepSecret [32]byte

	// Shared: other gates with the same key serve the same store, and any of them
	// grants on a challenge that this one issued; costs a write for each challenge.
	Shared bool
	// ClockSkew is by how much the clocks of such gates may differ; another one's
	// challenge counts as so much older. 0: DefaultClockSkew.
	ClockSkew time.Duration
	// Keep is how long Prune leaves an answer for late retries; at least as long
	// as a challenge and a lease live. 0: a day.
	Keep time.Duration

	Metro, Random        int              // beacons near the claim, and drawn; both 0: 8 and 4
	RoundsMin, RoundsMax uint64           // valid rounds needed, and sent at most, per beacon; 0: 8 and 32
	TTL                  time.Duration    // of a challenge; 0: the policy's greatest age, at most a minute
	Now                  func() time.Time // nil: time.Now; its readings carry a monotonic clock
	Entropy              io.Reader        // nil: the system's
}

// Publisher waits until a leaf is published.
type Publisher interface {
	Await(ctx context.Context, leaf uint64) error
}

// ErrConfig is a configuration that lacks something.
var ErrConfig = errors.New("grant: key, store, verified directory and complete policy must be set")

// ErrDirectoryGate is a directory that does not list the gate.
var ErrDirectoryGate = errors.New("grant: the directory does not list this gate")

// compiled is a policy in force with what it means.
type compiled struct {
	policy     policy.Policy
	hash       [32]byte
	permit     verdict.Permit
	permitHash [32]byte // zero when the permit was handed in
	revoked    revoke.List
	touching   verdict.Touching
	wider      map[string]area // regions of exemptions, by what is permitted with them
}

// area is a compiled region.
type area struct {
	permit verdict.Permit
	hash   [32]byte
}

// area is what a policy permits as it stands for one core: most often what it
// permits to everybody.
func (c *compiled) area(p policy.Policy) (area, error) {
	if p.Permit == c.policy.Permit {
		return area{c.permit, c.permitHash}, nil
	}
	if a, ok := c.wider[p.Permit]; ok {
		return a, nil
	}
	a, h, err := Permit(c.revoked.Permit(p.Permit)) // several exemptions at once
	return area{a, h}, err
}

// Gate issues challenges and leases. All methods may be called at once.
type Gate struct {
	cfg       Config
	rules     atomic.Pointer[compiled]
	directory atomic.Pointer[directory.Directory]
	roots     *identity.RootCache // of beacons' statements
	results   *identity.RootCache // of appraisers
	keys      keyring
	book      book
}

// New makes a gate. Policy and directory in force become leaves of the ledger.
func New(ctx context.Context, cfg Config) (*Gate, error) {
	if cfg.Key == nil || cfg.Store == nil || cfg.Directory == nil {
		return nil, ErrConfig
	}
	if cfg.Metro == 0 && cfg.Random == 0 {
		cfg.Metro, cfg.Random = 8, 4
	}
	if cfg.RoundsMin == 0 {
		cfg.RoundsMin = statement.MinRounds
	}
	if cfg.RoundsMax == 0 {
		cfg.RoundsMax = max(32, cfg.RoundsMin)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Entropy == nil {
		cfg.Entropy = rand.Reader
	}
	if cfg.ClockSkew <= 0 {
		cfg.ClockSkew = DefaultClockSkew
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 24 * time.Hour
	}
	if cfg.StepSecret == ([32]byte{}) {
		if _, err := io.ReadFull(cfg.Entropy, cfg.StepSecret[:]); err != nil {
			return nil, fmt.Errorf("grant: no entropy: %w", err)
		}
	}
	g := &Gate{cfg: cfg, roots: identity.NewRootCache(4096), results: identity.NewRootCache(4096)}
	if err := g.SetDirectory(ctx, cfg.Directory); err != nil {
		return nil, err
	}
	if err := g.setPolicy(ctx, cfg.Policy, cfg.Permit, cfg.Touching); err != nil {
		return nil, err
	}
	return g, nil
}

// Public is the gate's public key.
func (g *Gate) Public() identity.Public { return g.cfg.Key.Public() }

// Policy is the one in force.
func (g *Gate) Policy() policy.Policy { return g.rules.Load().policy }

// Directory is the one in force.
func (g *Gate) Directory() *directory.Directory { return g.directory.Load() }

// SetDirectory puts a verified directory into force. Open challenges of another
// epoch are refused from then on.
func (g *Gate) SetDirectory(ctx context.Context, d *directory.Directory) error {
	now := g.cfg.Now()
	if err := d.ValidAt(now.UnixNano()); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if old := g.directory.Load(); old != nil && d.Epoch < old.Epoch {
		return fmt.Errorf("grant: %w", directory.ErrOldEpoch)
	}
	if _, ok := d.Gate(g.cfg.Key.ID()); !ok {
		return ErrDirectoryGate
	}
	if err := g.note(ctx, ledger.Leaf{Kind: ledger.KindDirectory, Epoch: d.Epoch, Object: d.Hash()}); err != nil {
		return err
	}
	g.directory.Store(d)
	return nil
}

// SetPolicy puts a policy into force that succeeds the present one. Open
// challenges under the old one are refused from then on.
func (g *Gate) SetPolicy(ctx context.Context, p policy.Policy) error {
	if err := p.Succeeds(g.rules.Load().policy); err != nil {
		return err
	}
	return g.setPolicy(ctx, p, nil, nil)
}

func (g *Gate) setPolicy(ctx context.Context, p policy.Policy, given verdict.Permit, touching verdict.Touching) error {
	if problems := p.Validate(); len(problems) > 0 {
		return fmt.Errorf("%w: %w", ErrConfig, errors.Join(problems...))
	}
	var list revoke.List
	if old := g.rules.Load(); old != nil {
		list = old.revoked
	}
	c, err := compile(p, list, given, touching)
	if err != nil {
		return err
	}
	if err := g.note(ctx, ledger.Leaf{Kind: ledger.KindPolicy, PolicyHash: c.hash, Object: c.hash}); err != nil {
		return err
	}
	g.rules.Store(c)
	return nil
}

// compile joins a policy with what is revoked.
func compile(p policy.Policy, l revoke.List, given verdict.Permit, touching verdict.Touching) (*compiled, error) {
	c := &compiled{policy: p, revoked: l, permit: given, touching: touching, wider: map[string]area{}}
	var err error
	if c.hash, err = p.Hash(); err != nil {
		return nil, err
	}
	if given == nil {
		if c.permit, c.permitHash, err = Permit(l.Permit(p.Permit)); err != nil {
			return nil, err
		}
		c.touching = atlas.CountriesTouching
	}
	for _, x := range p.Exemptions {
		if x.Permit == "" {
			continue
		}
		both := fmt.Sprintf("(%s)+(%s)", p.Permit, x.Permit)
		a, hash, err := Permit(l.Permit(both))
		if err != nil {
			return nil, fmt.Errorf("exemption of %s %s: %w", x.Kind, x.Name, err)
		}
		c.wider[both] = area{a, hash}
	}
	return c, nil
}

// note appends a leaf that is no grant.
func (g *Gate) note(ctx context.Context, l ledger.Leaf) error {
	b, err := g.leaf(l)
	if err != nil {
		return err
	}
	if _, err := g.cfg.Store.Append(ctx, b); err != nil {
		return fmt.Errorf("grant: cannot write the ledger: %w", err)
	}
	return nil
}

// Question is a core's wish for a challenge. That the core signed it has been
// checked by whoever made it.
type Question struct {
	Core      identity.ID
	Claim     earth.LatLon // where it says it is: chooses the committee, proves nothing
	LockNonce lock.Nonce
	LockSeq   uint64
}

// Denial is a refusal before it came to a decision on a proof.
type Denial struct {
	RefusedBy string
	Reason    string
}

// Error says both.
func (d *Denial) Error() string { return d.RefusedBy + ": " + d.Reason }

// Challenge issues a challenge for an enrolled core. A *Denial is a definite
// no; any other error is the gate's own trouble.
func (g *Gate) Challenge(ctx context.Context, q Question) ([]byte, error) {
	a, err := g.cfg.Store.Account(ctx, q.Core)
	if err != nil {
		if name, no := refusal(err); no {
			return nil, g.deny(ctx, name, plain(err))
		}
		return nil, err
	}
	if by, why := g.off(a); by != "" {
		return nil, g.deny(ctx, by, why)
	}
	switch {
	case q.LockNonce == lock.Nonce{}:
		return nil, g.deny(ctx, RefusedLockNonce, "the lock nonce is missing")
	case q.LockSeq <= a.LastSeq:
		return nil, g.deny(ctx, RefusedSequence, plain(store.ErrSequence))
	case q.Claim.Validate() != nil:
		return nil, g.deny(ctx, RefusedPlace, q.Claim.Validate().Error())
	}
	issued := g.cfg.Now() // before anything that can be answered
	c, err := g.question(q, issued.UnixNano())
	if err != nil {
		return nil, g.deny(ctx, RefusedCommittee, plain(err))
	}
	env, err := c.Seal(g.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("grant: cannot seal a challenge: %w", err)
	}
	out, err := env.Encode()
	if err != nil {
		return nil, fmt.Errorf("grant: %w", err)
	}
	e := &entry{nonce: c.NonceG, envelope: out, lockNonce: q.LockNonce, issued: issued, ttl: time.Duration(c.TTLNS)}
	if err := g.share(ctx, q.Core, e); err != nil {
		return nil, err
	}
	g.book.put(q.Core, e)
	return out, nil
}

// question composes a challenge.
func (g *Gate) question(q Question, now int64) (statement.Challenge, error) {
	rules, d := g.rules.Load(), g.directory.Load()
	c := statement.Challenge{Core: q.Core, PolicyHash: rules.hash, DirectoryEpoch: d.Epoch, DirectoryHash: d.Hash(),
		IssuedUnixNS: now, TTLNS: int64(g.ttl(rules.policy)), RoundsMin: g.cfg.RoundsMin, RoundsMax: g.cfg.RoundsMax}
	if _, err := io.ReadFull(g.cfg.Entropy, c.NonceG[:]); err != nil {
		return c, fmt.Errorf("no entropy for a nonce: %w", err)
	}
	if err := d.ValidAt(now); err != nil {
		return c, err
	}
	var err error
	c.Committee, err = d.Committee(directory.Selection{Claim: q.Claim.ECEF(0), NonceG: c.NonceG, Metro: g.cfg.Metro,
		Random: g.cfg.Random, F: int(*rules.policy.F), NowUnixNS: now})
	return c, err
}

func (g *Gate) ttl(p policy.Policy) time.Duration {
	if g.cfg.TTL > 0 {
		return min(g.cfg.TTL, statement.MaxTTL)
	}
	return min(time.Duration(*p.MaxAgeMS)*time.Millisecond, time.Minute)
}

// plain is an error's line for people: without the name of the package.
func plain(err error) string {
	s := err.Error()
	for _, p := range []string{"store: ", "grant: ", "keys: "} {
		s = strings.TrimPrefix(s, p)
	}
	return s
}

// deny counts a refusal. That it cannot be counted changes nothing of it.
func (g *Gate) deny(ctx context.Context, by, reason string) *Denial {
	_ = g.cfg.Store.Deny(ctx, by)
	return &Denial{RefusedBy: by, Reason: reason}
}

// Ready says whether the gate could grant now: the store answers, directory and
// policy are in force.
func (g *Gate) Ready(ctx context.Context) error {
	now := g.cfg.Now().UnixNano()
	if err := g.directory.Load().ValidAt(now); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	if p := g.rules.Load().policy; now < *p.NotBeforeUnixNS || now >= *p.NotAfterUnixNS {
		return fmt.Errorf("grant: policy %q version %d is not in force", p.Name, p.Version)
	}
	if g.cfg.MustRevoke {
		if err := g.rules.Load().revoked.ValidAt(now); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	_, err := g.cfg.Store.Head(ctx)
	return err
}
