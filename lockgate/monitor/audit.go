package monitor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

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

	verify func(trust [32]byte, file []byte) verified // nil: by the evidence alone
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
	decided     []ruled // all decisions that were opened
	burns       map[uint64]*burnt
	seen        map[uint64]string                 // leaf → file that opened it
	tenants     map[uint64]string                 // leaf → tenant, by the evidence that opened it
	early       []release                         // whose leaf was not read yet
	nonces      map[[32]byte]drawn                // by lock nonce
	chain       map[identity.ID]map[[32]byte]link // core → previous proof
	wallets     map[[32]byte]*wallet              // by chip
	habits      map[identity.ID]*habit
	usage       usage
	halls       halls
	report      Report
}

type burnt struct{ units, used uint64 }

// release is opened evidence of one, by its file.
type release struct {
	name string
	decision
}

func (x release) finding(k Kind, format string, args ...any) Finding {
	return Finding{Kind: k, Core: x.Core.String(), File: x.name, Detail: fmt.Sprintf(format, args...)}
}

// NewAuditor makes one that has seen nothing.
func NewAuditor(o Options) *Auditor {
	a := &Auditor{o: o, grants: map[uint64]ledger.Leaf{}, policies: map[[32]byte]uint64{}, known: map[[32]byte]policy.Policy{}, signed: map[[32]byte]bool{},
		epochs: map[uint64]bool{}, burns: map[uint64]*burnt{}, seen: map[uint64]string{}, tenants: map[uint64]string{}, nonces: map[[32]byte]drawn{},
		chain: map[identity.ID]map[[32]byte]link{}, wallets: map[[32]byte]*wallet{}, habits: map[identity.ID]*habit{}, usage: newUsage(o.Per), halls: halls{}, report: newReport()}
	if a.o.Grace <= 0 {
		a.o.Grace = time.Minute
	}
	if a.o.verify == nil {
		a.o.verify = verify
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
func (a *Auditor) Open(o Opened) { a.take(o.Name, a.o.verify(a.o.Trust, o.File)) }

// take compares a decision with its leaf and adds it to the sums.
func (a *Auditor) take(name string, v verified) {
	if v.err != nil {
		a.Found(Finding{Kind: BadEvidence, File: name, Detail: v.err.Error()})
		return
	}
	a.report.Opened++
	core, x := v.Core, release{name, v.decision}
	a.known[v.Policy] = v.policy
	tenant := a.o.Tenant[core]
	if tenant == "" {
		tenant = v.Tenant
	}
	a.asks(v.decision, v.policy)
	a.usage.add(tenant, v.decision)
	a.decided = append(a.decided, ruled{name, core, v.DecidedNS / int64(time.Millisecond), v.Revoked})
	if !v.Granted {
		a.report.Denied[v.RefusedBy]++
		return
	}
	a.halls.add(a.o.Per, v.decision)
	if other, twice := a.nonces[v.Nonce]; twice {
		a.Found(x.finding(GrantedTwice, "the lock nonce had its lease already, by %s", other.name))
	}
	a.nonces[v.Nonce] = drawn{name, core}
	if a.chain[core] == nil {
		a.chain[core] = map[[32]byte]link{}
	}
	// A lost answer lets a core name the same proof twice, once; a third time
	// there are two of it.
	settled := v.Redeemed == v.LastSeq
	if other, forked := a.chain[core][v.Previous]; forked && settled {
		a.Found(x.finding(ProofsForked, "its proof and that of %s name the same one before", other.name))
	}
	a.chain[core][v.Previous] = link{name, settled}
	a.pays(v.decision)
	a.leafOf(x)
}

// ruled is under which revocations a decision was made.
type ruled struct {
	name  string
	core  identity.ID
	atMS  int64
	epoch uint64
}

// ignored are the decisions that were made without the revocations that were in
// force by the ledger. A revocation may be read after the evidence that should
// have heeded it, so they are looked for when all is there.
func (a *Auditor) ignored() []Finding {
	list := slices.Clone(a.revocations)
	slices.SortStableFunc(list, func(x, y ledger.Leaf) int { return cmp.Compare(x.AtUnixMS, y.AtUnixMS) })
	newest := make([]uint64, len(list)+1) // epoch after so many of them
	for i, l := range list {
		newest[i+1] = max(newest[i], l.Epoch)
	}
	var out []Finding
	for _, d := range a.decided {
		n, _ := slices.BinarySearchFunc(list, d.atMS-a.o.Grace.Milliseconds()+1, func(l ledger.Leaf, at int64) int { return cmp.Compare(l.AtUnixMS, at) })
		if epoch := newest[n]; d.epoch < epoch {
			out = append(out, Finding{Kind: RevokedIgnored, Core: d.core.String(), File: d.name,
				Detail: fmt.Sprintf("decided under revocations of epoch %d, when %d was in force", d.epoch, epoch)})
		}
	}
	return out
}

// leafOf compares a release with its leaf, when that was read; Report misses it
// when it does not come.
func (a *Auditor) leafOf(x release) {
	if x.Leaf >= a.size {
		a.early = append(a.early, x)
		return
	}
	l, released := a.grants[x.Leaf]
	if other, twice := a.seen[x.Leaf]; twice {
		a.Found(x.finding(GrantedTwice, "leaf %d stands for %s already", x.Leaf, other))
	}
	a.seen[x.Leaf] = x.name
	a.tenants[x.Leaf] = x.Tenant
	switch {
	case !released || l.Object != x.Object || l.Commitment != x.Commitment:
		a.Found(x.finding(NoLeaf, "leaf %d is of something else", x.Leaf))
	case l.Units != x.LeaseUnits || l.PolicyHash != x.LeasePol || l.Epoch != x.Epoch:
		a.Found(x.finding(LeafDiffers, "leaf %d says %d units, the lease %d", x.Leaf, l.Units, x.LeaseUnits))
	case l.NotAfterMS > x.HoldsNS/int64(time.Millisecond)+1:
		a.Found(x.finding(LeaseTooLong, "leaf %d: the lease ends after the proof holds", x.Leaf))
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
	r.Findings = append(r.Findings, a.ignored()...)
	for _, x := range a.early {
		if now.Sub(x.at()) >= a.o.Grace {
			r.Findings = append(r.Findings, x.finding(NoLeaf, "it names leaf %d, which the ledger does not have", x.Leaf))
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
	slices.SortStableFunc(r.Findings, Finding.compare)
	return r
}
