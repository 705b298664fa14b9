package monitor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Opened is the evidence of one decision, opened by an auditor.
type Opened struct {
	Name string
	File []byte
}

// Options of an audit.
type Options struct {
	Trust    [32]byte               // fingerprint of the directory's roots; zero: not checked
	Complete bool                   // all evidence was handed in: a leaf without is a finding
	Policies []policy.Policy        // opened policies, to look at what their leaves mean
	Signed   bool                   // Policies are all that the authors signed: any other is a finding
	Tenant   map[identity.ID]string // whose core it is; what is not here is taken from the evidence
	Per      Period                 // of the sums over time; empty: Day

	// Hall is how many cores that answer as if from one hall are too many; 0:
	// never. See Hall.
	Hall int

	// Grace is how old a leaf or a revocation must be before its evidence, or its
	// effect, is missed, and how far back a leaf's time may go: the gate does one
	// after the other, and many side by side. 0: a minute.
	Grace time.Duration
}

// Auditor adds up what a ledger says and what opened evidence says of it.
type Auditor struct {
	o           Options
	grants      map[uint64]ledger.Leaf // by index
	size        uint64                 // leaves that were read, with those that could not be decoded
	last        int64
	policies    map[[32]byte]uint64 // hash → first leaf
	inForce     []Entry             // leaves of policies, in their order
	known       map[[32]byte]policy.Policy
	signed      map[[32]byte]bool
	epochs      map[uint64]bool
	revocations []ledger.Leaf
	burns       map[uint64]*burnt
	seen        map[uint64]string                   // leaf → file that opened it
	tenants     map[uint64]string                   // leaf → tenant, by the evidence that opened it
	early       []release                           // whose leaf was not read yet
	nonces      map[[32]byte]string                 // lock nonce → file
	chain       map[identity.ID]map[[32]byte]string // core → previous proof → file
	habits      map[identity.ID]*habit
	usage       usage
	halls       halls
	report      Report
}

type burnt struct{ units, used uint64 }

// release is opened evidence of one, by its file.
type release struct {
	name string
	r    *evidence.Report
}

func (x release) finding(k Kind, format string, args ...any) Finding {
	return Finding{Kind: k, Core: x.r.Bundle.Request.Core.String(), File: x.name, Detail: fmt.Sprintf(format, args...)}
}

// NewAuditor makes one that has seen nothing.
func NewAuditor(o Options) *Auditor {
	a := &Auditor{o: o, grants: map[uint64]ledger.Leaf{}, policies: map[[32]byte]uint64{}, known: map[[32]byte]policy.Policy{}, signed: map[[32]byte]bool{},
		epochs: map[uint64]bool{}, burns: map[uint64]*burnt{}, seen: map[uint64]string{}, tenants: map[uint64]string{}, nonces: map[[32]byte]string{},
		chain: map[identity.ID]map[[32]byte]string{}, habits: map[identity.ID]*habit{}, usage: newUsage(o.Per), halls: halls{}, report: newReport()}
	if a.o.Grace <= 0 {
		a.o.Grace = time.Minute
	}
	for _, p := range o.Policies {
		if h, err := p.Hash(); err == nil {
			a.known[h], a.signed[h] = p, true
		}
	}
	return a
}

// Found records what a reader found.
func (a *Auditor) Found(list ...Finding) { a.report.Findings = append(a.report.Findings, list...) }

// Read takes in leaves, in their order.
func (a *Auditor) Read(entries []Entry) {
	for _, e := range entries {
		l, at := e.Leaf, e.Index
		a.size = at + 1
		a.report.Leaves++
		if e.Bad != nil {
			a.Found(Finding{Kind: BadLeaf, Leaf: &at, Detail: e.Bad.Error()})
			continue
		}
		// Decisions are made side by side and take a moment, and several gates have
		// several clocks: a little back is no finding.
		if l.AtUnixMS < a.last-a.o.Grace.Milliseconds() {
			a.Found(Finding{Kind: TimeBack, Leaf: &at, Detail: fmt.Sprintf("%d ms older than a leaf before it", a.last-l.AtUnixMS)})
		}
		a.last = max(a.last, l.AtUnixMS)
		switch l.Kind {
		case ledger.KindPolicy:
			if _, again := a.policies[l.PolicyHash]; !again {
				a.policies[l.PolicyHash] = at
			}
			a.inForce = append(a.inForce, e)
		case ledger.KindDirectory:
			a.epochs[l.Epoch] = true
		case ledger.KindRevocation:
			a.revocations = append(a.revocations, l)
		case ledger.KindBurn:
			a.burns[at] = &burnt{units: l.Units}
			a.report.Burnt += l.Units
		case ledger.KindDeposit:
			a.report.Deposited += l.Units
		case ledger.KindGrant:
			a.grant(at, l)
		}
	}
	early := a.early
	a.early = nil
	for _, x := range early {
		a.leafOf(x)
	}
}

func (a *Auditor) grant(at uint64, l ledger.Leaf) {
	a.grants[at] = l
	a.report.Grants++
	a.report.Units += l.Units
	p := sum(a.report.Periods, a.o.Per.of(time.UnixMilli(l.AtUnixMS)))
	p.Grants++
	p.Units += l.Units
	if _, ok := a.policies[l.PolicyHash]; !ok {
		a.Found(Finding{Kind: NoPolicy, Leaf: &at, Detail: fmt.Sprintf("policy %x has no leaf before it", l.PolicyHash[:4])})
	}
	if !a.epochs[l.Epoch] {
		a.Found(Finding{Kind: NoDirectory, Leaf: &at, Detail: fmt.Sprintf("directory epoch %d has no leaf before it", l.Epoch)})
	}
	if l.Burn == nil {
		return
	}
	b := a.burns[*l.Burn]
	if b == nil {
		a.Found(Finding{Kind: NoBurn, Leaf: &at, Detail: fmt.Sprintf("leaf %d is no burn before it", *l.Burn)})
		return
	}
	if b.used += l.Units; b.used > b.units {
		a.Found(Finding{Kind: BurnOverdrawn, Leaf: &at, Detail: fmt.Sprintf("%d units granted on a burn of %d", b.used, b.units)})
	}
}

// Open verifies the evidence of a decision and takes it in. It may come a moment
// before its leaf.
func (a *Auditor) Open(o Opened) { a.take(o.Name, verify(a.o.Trust, o)) }

// verified is evidence after its verification.
type verified struct {
	report *evidence.Report
	err    error
}

func verify(trust [32]byte, o Opened) verified {
	r, err := evidence.Verify(o.File, evidence.Options{Trust: trust})
	return verified{r, err}
}

// take compares a decision with its leaf and adds it to the sums.
func (a *Auditor) take(name string, v verified) {
	if v.err != nil {
		a.Found(Finding{Kind: BadEvidence, File: name, Detail: v.err.Error()})
		return
	}
	a.report.Opened++
	r, b := v.report, v.report.Bundle
	core, x := b.Request.Core, release{name, r}
	if h, err := r.Policy.Hash(); err == nil {
		a.known[h] = r.Policy
	}
	tenant := a.o.Tenant[core]
	if tenant == "" {
		tenant = b.Account.Tenant
	}
	a.asks(core, r)
	a.usage.add(tenant, r)
	a.ignores(x)
	if !b.Decision.Granted {
		a.report.Denied[b.Decision.RefusedBy]++
		return
	}
	a.halls.add(a.o.Per, core, r)
	if other, twice := a.nonces[b.Request.LockNonce]; twice {
		a.Found(x.finding(GrantedTwice, "the lock nonce had its lease already, by %s", other))
	}
	a.nonces[b.Request.LockNonce] = name
	prev := r.Finding.Previous
	if a.chain[core] == nil {
		a.chain[core] = map[[32]byte]string{}
	}
	// A lost answer lets a core name the same proof twice, once; a third time
	// there are two of it.
	if other, forked := a.chain[core][prev]; forked && b.Request.Usage[1] == b.Account.LastSeq {
		a.Found(x.finding(ProofsForked, "its proof and that of %s name the same one before", other))
	}
	a.chain[core][prev] = name
	a.leafOf(x)
}

// ignores looks whether a decision was made under the revocations that the
// ledger says were in force.
func (a *Auditor) ignores(x release) {
	decided := x.r.Bundle.Decision.DecidedUnixNS / int64(time.Millisecond)
	var epoch uint64
	for _, l := range a.revocations {
		if l.AtUnixMS+a.o.Grace.Milliseconds() <= decided {
			epoch = max(epoch, l.Epoch)
		}
	}
	if x.r.Revoked.Epoch < epoch {
		a.Found(x.finding(RevokedIgnored, "decided under revocations of epoch %d, when %d was in force", x.r.Revoked.Epoch, epoch))
	}
}

// leafOf compares a release with its leaf, when that was read; Report misses it
// when it does not come.
func (a *Auditor) leafOf(x release) {
	d := x.r.Bundle.Decision
	if d.Leaf >= a.size {
		a.early = append(a.early, x)
		return
	}
	l, released := a.grants[d.Leaf]
	if other, twice := a.seen[d.Leaf]; twice {
		a.Found(x.finding(GrantedTwice, "leaf %d stands for %s already", d.Leaf, other))
	}
	a.seen[d.Leaf] = x.name
	a.tenants[d.Leaf] = x.r.Bundle.Account.Tenant
	object, err := x.r.Lease.Hash()
	t := x.r.Lease.Terms
	want := ledger.Commit(d.Salt, t.Core, t.ProofHash)
	switch {
	case !released || err != nil || l.Object != object || l.Commitment != want:
		a.Found(x.finding(NoLeaf, "leaf %d is of something else", d.Leaf))
	case l.Units != t.Units || l.PolicyHash != t.PolicyHash || l.Epoch != x.r.Directory.Epoch:
		a.Found(x.finding(LeafDiffers, "leaf %d says %d units, the lease %d", d.Leaf, l.Units, t.Units))
	case l.NotAfterMS > (d.DecidedUnixNS+int64(x.r.Finding.Life))/int64(time.Millisecond)+1:
		a.Found(x.finding(LeaseTooLong, "leaf %d: the lease ends after the proof holds", d.Leaf))
	}
}

// versions looks at the policies that came into force, as far as they are known.
func (a *Auditor) versions() []Finding {
	var out []Finding
	var version uint64
	unknown := map[[32]byte]bool{}
	for _, e := range a.inForce {
		at, hash := e.Index, e.Leaf.PolicyHash
		if a.o.Signed && !a.signed[hash] && !unknown[hash] {
			unknown[hash] = true
			out = append(out, Finding{Kind: UnknownPolicy, Leaf: &at, Detail: fmt.Sprintf("policy %x came into force, and no author's file says it", hash[:4])})
		}
		p, ok := a.known[hash]
		if !ok {
			continue
		}
		if p.Version < version {
			out = append(out, Finding{Kind: PolicyBack, Leaf: &at, Detail: fmt.Sprintf("version %d after %d", p.Version, version)})
		}
		version = max(version, p.Version)
	}
	return out
}

// Report closes the sums as of an instant. More may be taken in after it.
func (a *Auditor) Report(now time.Time) Report {
	r := a.report
	r.Periods, r.Denied = maps.Clone(r.Periods), maps.Clone(r.Denied)
	r.Unopened = r.Grants
	for at := range a.seen {
		if _, released := a.grants[at]; released {
			r.Unopened--
		}
	}
	r.Usage = a.usage.rows()
	r.Cores, r.Tenants, r.Jurisdictions = totals(r.Usage)
	r.Findings = append(append(slices.Clone(r.Findings), a.versions()...), a.overdrawn()...)
	for _, x := range a.early {
		if d := x.r.Bundle.Decision; now.Sub(time.Unix(0, d.DecidedUnixNS)) >= a.o.Grace {
			r.Findings = append(r.Findings, x.finding(NoLeaf, "it names leaf %d, which the ledger does not have", d.Leaf))
		}
	}
	r.Halls = a.halls.list()
	for _, h := range r.Halls {
		if a.o.Hall > 0 && len(h.Cores) >= a.o.Hall {
			r.Findings = append(r.Findings, h.finding())
		}
	}
	if a.o.Complete {
		for _, at := range slices.Sorted(maps.Keys(a.grants)) {
			if l := a.grants[at]; a.seen[at] == "" && l.AtUnixMS+a.o.Grace.Milliseconds() <= now.UnixMilli() {
				r.Findings = append(r.Findings, Finding{Kind: EvidenceWanted, Leaf: &at, Detail: "nobody opened its evidence"})
			}
		}
	}
	slices.SortStableFunc(r.Findings, func(x, y Finding) int { return strings.Compare(string(x.Kind), string(y.Kind)) })
	return r
}
