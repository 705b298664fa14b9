package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Kind of a finding.
type Kind string

// The kinds of findings.
const (
	BadCheckpoint  Kind = "bad-checkpoint"   // not signed by the log's two keys
	RolledBack     Kind = "rolled-back"      // the ledger is shorter than it was
	Forked         Kind = "forked"           // another ledger than was seen before
	BadRoot        Kind = "bad-root"         // leaves and checkpoint do not fit
	BadLeaf        Kind = "bad-leaf"         // a leaf that no gate of this program writes
	TimeBack       Kind = "time-back"        // a leaf is older than the one before it
	NoPolicy       Kind = "no-policy"        // released under a policy that was not in force
	NoDirectory    Kind = "no-directory"     // released under a directory that was not in force
	PolicyBack     Kind = "policy-back"      // a policy's version did not go up
	BurnOverdrawn  Kind = "burn-overdrawn"   // more was granted on a burn than was burnt
	NoBurn         Kind = "no-burn"          // a grant names a burn that is not in the ledger
	BadEvidence    Kind = "bad-evidence"     // a decision that its evidence does not bear out
	NoLeaf         Kind = "no-leaf"          // a release without a leaf
	LeafDiffers    Kind = "leaf-differs"     // a release whose leaf says something else
	LeaseTooLong   Kind = "lease-too-long"   // a lease that outlives its proof
	GrantedTwice   Kind = "granted-twice"    // two releases for one lock nonce or one leaf
	OverRequest    Kind = "over-request"     // a core asks again and again for far more than it gets
	Hoarding       Kind = "hoarding"         // a core holds far more than it uses
	ProofsForked   Kind = "proofs-forked"    // two proofs of one core name the same one before: a copy of it
	EvidenceWanted Kind = "evidence-missing" // a leaf whose evidence was not opened, though all was to be
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   Kind    `json:"kind"`
	Leaf   *uint64 `json:"leaf,omitempty"` // index in the ledger, when it concerns one
	Core   string  `json:"core,omitempty"` // id, when it concerns one
	File   string  `json:"file,omitempty"` // of the evidence, when it concerns one
	Detail string  `json:"detail"`
}

// String is one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s", f.Kind)
	if f.Leaf != nil {
		fmt.Fprintf(&b, " leaf %d", *f.Leaf)
	}
	if f.Core != "" {
		fmt.Fprintf(&b, " core %s", f.Core[:min(len(f.Core), 8)])
	}
	if f.File != "" {
		fmt.Fprintf(&b, " %s", f.File)
	}
	return b.String() + ": " + f.Detail
}

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
	Tenant   map[identity.ID]string // whose core it is, for the sums
}

// Auditor adds up what a ledger says and what opened evidence says of it.
type Auditor struct {
	o        Options
	entries  map[uint64]Entry
	last     int64
	policies map[[32]byte]uint64 // hash → leaf
	version  uint64              // of the newest policy that was opened
	epochs   map[uint64]bool
	burns    map[uint64]*burnt
	seen     map[uint64]string                   // leaf → file that opened it
	nonces   map[[32]byte]string                 // lock nonce → file
	chain    map[identity.ID]map[[32]byte]string // core → previous proof → file
	habits   map[identity.ID]*habit
	report   Report
}

type burnt struct{ units, used uint64 }

// habit is how a core asks.
type habit struct {
	requests, greedy, full int
}

// NewAuditor makes one that has seen nothing.
func NewAuditor(o Options) *Auditor {
	return &Auditor{o: o, entries: map[uint64]Entry{}, policies: map[[32]byte]uint64{}, epochs: map[uint64]bool{},
		burns: map[uint64]*burnt{}, seen: map[uint64]string{}, nonces: map[[32]byte]string{},
		chain: map[identity.ID]map[[32]byte]string{}, habits: map[identity.ID]*habit{}, report: newReport()}
}

// Found records what a reader found.
func (a *Auditor) Found(list ...Finding) { a.report.Findings = append(a.report.Findings, list...) }

// Read takes in leaves, in their order.
func (a *Auditor) Read(entries []Entry) {
	for _, e := range entries {
		l, at := e.Leaf, e.Index
		a.entries[at] = e
		a.report.Leaves++
		if l.AtUnixMS < a.last {
			a.Found(Finding{Kind: TimeBack, Leaf: &at, Detail: fmt.Sprintf("%d ms older than the leaf before", a.last-l.AtUnixMS)})
		}
		a.last = max(a.last, l.AtUnixMS)
		switch l.Kind {
		case ledger.KindPolicy:
			a.policies[l.PolicyHash] = at
			a.policy(at, l.PolicyHash)
		case ledger.KindDirectory:
			a.epochs[l.Epoch] = true
		case ledger.KindBurn:
			a.burns[at] = &burnt{units: l.Units}
			a.report.Burnt += l.Units
		case ledger.KindDeposit:
			a.report.Deposited += l.Units
		case ledger.KindGrant:
			a.grant(at, l)
		}
	}
}

// policy looks at a policy that came into force, when it was opened.
func (a *Auditor) policy(at uint64, hash [32]byte) {
	for _, p := range a.o.Policies {
		h, err := p.Hash()
		if err != nil || h != hash {
			continue
		}
		if p.Version < a.version {
			a.Found(Finding{Kind: PolicyBack, Leaf: &at, Detail: fmt.Sprintf("version %d after %d", p.Version, a.version)})
		}
		a.version = max(a.version, p.Version)
	}
}

func (a *Auditor) grant(at uint64, l ledger.Leaf) {
	a.report.Grants++
	a.report.Units += l.Units
	a.report.day(l.AtUnixMS).Units += l.Units
	a.report.day(l.AtUnixMS).Grants++
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

// Open verifies the evidence of a decision, compares it with its leaf, and adds
// it to the sums. All leaves up to it must have been read.
func (a *Auditor) Open(o Opened) {
	r, err := evidence.Verify(o.File, evidence.Options{Trust: a.o.Trust})
	if err != nil {
		a.Found(Finding{Kind: BadEvidence, File: o.Name, Detail: err.Error()})
		return
	}
	a.report.Opened++
	b := r.Bundle
	core := b.Request.Core
	finding := func(k Kind, format string, args ...any) {
		a.Found(Finding{Kind: k, Core: core.String(), File: o.Name, Detail: fmt.Sprintf(format, args...)})
	}
	a.asks(core, b, r)
	if !b.Decision.Granted {
		a.report.Denied[b.Decision.RefusedBy]++
		return
	}
	a.report.add(a.o.Tenant[core], r)
	if other, twice := a.nonces[b.Request.LockNonce]; twice {
		finding(GrantedTwice, "the lock nonce had its lease already, by %s", other)
	}
	a.nonces[b.Request.LockNonce] = o.Name
	prev := r.Finding.Previous
	if a.chain[core] == nil {
		a.chain[core] = map[[32]byte]string{}
	}
	// A lost answer lets a core name the same proof twice, once; a third time
	// there are two of it.
	if other, forked := a.chain[core][prev]; forked && b.Request.Usage[1] == b.Account.LastSeq {
		finding(ProofsForked, "its proof and that of %s name the same one before", other)
	}
	a.chain[core][prev] = o.Name
	a.leafOf(o.Name, r, finding)
}

// leafOf compares a release with its leaf.
func (a *Auditor) leafOf(name string, r *evidence.Report, finding func(Kind, string, ...any)) {
	d := r.Bundle.Decision
	e, ok := a.entries[d.Leaf]
	if !ok {
		finding(NoLeaf, "it names leaf %d, which the ledger does not have", d.Leaf)
		return
	}
	if other, twice := a.seen[d.Leaf]; twice {
		finding(GrantedTwice, "leaf %d stands for %s already", d.Leaf, other)
	}
	a.seen[d.Leaf] = name
	object, err := r.Lease.Hash()
	t := r.Lease.Terms
	want := ledger.Commit(d.Salt, t.Core, t.ProofHash)
	l := e.Leaf
	switch {
	case l.Kind != ledger.KindGrant || err != nil || l.Object != object || l.Commitment != want:
		finding(NoLeaf, "leaf %d is of something else", d.Leaf)
	case l.Units != t.Units || l.PolicyHash != t.PolicyHash || l.Epoch != r.Directory.Epoch:
		finding(LeafDiffers, "leaf %d says %d units, the lease %d", d.Leaf, l.Units, t.Units)
	case l.NotAfterMS > (d.DecidedUnixNS+int64(r.Finding.Life))/int64(time.Millisecond)+1:
		finding(LeaseTooLong, "leaf %d: the lease ends after the proof holds", d.Leaf)
	}
}

// greedy and full are what counts as asking and holding too much; often is how
// many times make a habit.
const (
	greedyFactor = 10
	often        = 5
)

// asks looks at how a core asks.
func (a *Auditor) asks(core identity.ID, b evidence.Bundle, r *evidence.Report) {
	h := a.habits[core]
	if h == nil {
		h = &habit{}
		a.habits[core] = h
	}
	h.requests++
	most := uint64(0)
	if r.Policy.MaxUnits != nil {
		most = *r.Policy.MaxUnits
	}
	if b.Request.Want/greedyFactor > most {
		if h.greedy++; h.greedy == often {
			a.Found(Finding{Kind: OverRequest, Core: core.String(), Detail: fmt.Sprintf("%d times it asked for more than %d times the most in one lease", often, greedyFactor)})
		}
	}
	if b.Request.Usage[4] > most {
		if h.full++; h.full == often {
			a.Found(Finding{Kind: Hoarding, Core: core.String(), Detail: fmt.Sprintf("%d times it held more than a greatest lease when it asked for more", often)})
		}
	}
}

// Report closes the sums.
func (a *Auditor) Report() Report {
	r := a.report
	r.Unopened = r.Grants - uint64(len(a.seen))
	if a.o.Complete {
		for at, e := range a.entries {
			if e.Leaf.Kind == ledger.KindGrant && a.seen[at] == "" {
				r.Findings = append(r.Findings, Finding{Kind: EvidenceWanted, Leaf: &at, Detail: "nobody opened its evidence"})
			}
		}
	}
	r.Findings = slices.Clone(r.Findings)
	slices.SortStableFunc(r.Findings, func(x, y Finding) int { return strings.Compare(string(x.Kind), string(y.Kind)) })
	return r
}
