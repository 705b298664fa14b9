package monitor

import (
	"cmp"
	"fmt"
	"strings"
)

// Kind of a finding.
type Kind string

// The kinds of findings.
const (
	BadCheckpoint  Kind = "bad-checkpoint"     // not signed by the log's two keys
	Uncosigned     Kind = "uncosigned"         // too few witnesses cosigned the checkpoint
	BadCosignature Kind = "bad-cosignature"    // a witness's cosignature is false
	RolledBack     Kind = "rolled-back"        // the ledger is shorter than it was
	Forked         Kind = "forked"             // another ledger than was seen before
	SplitView      Kind = "split-view"         // another ledger than was seen before, and witnesses cosigned both
	BadRoot        Kind = "bad-root"           // leaves and checkpoint do not fit
	BadLeaf        Kind = "bad-leaf"           // a leaf that no gate of this program writes
	TimeBack       Kind = "time-back"          // a leaf is far older than one before it
	NoPolicy       Kind = "no-policy"          // released under a policy that was not in force
	NoDirectory    Kind = "no-directory"       // released under a directory that was not in force
	PolicyBack     Kind = "policy-back"        // a policy's version did not go up
	UnknownPolicy  Kind = "unknown-policy"     // a policy that is none of those that the authors signed
	RevokedIgnored Kind = "revocation-ignored" // decided without the revocations that were in force
	BurnOverdrawn  Kind = "burn-overdrawn"     // more was granted on a burn than was burnt
	NoBurn         Kind = "no-burn"            // a grant names a burn that is not in the ledger
	BudgetExceeded Kind = "budget-exceeded"    // more was released in an hour or a day than the policy lets fleet, policy or tenant have
	BudgetAcross   Kind = "budget-across"      // gates together released more than each of them may
	BadEvidence    Kind = "bad-evidence"       // a decision that its evidence does not bear out
	NoLeaf         Kind = "no-leaf"            // a release without a leaf
	LeafDiffers    Kind = "leaf-differs"       // a release whose leaf says something else
	LeaseTooLong   Kind = "lease-too-long"     // a lease that outlives its proof
	GrantedTwice   Kind = "granted-twice"      // two releases for one lock nonce or one leaf
	OverRequest    Kind = "over-request"       // a core asks again and again for far more than it gets
	Hoarding       Kind = "hoarding"           // a core holds far more than it uses
	ProofsForked   Kind = "proofs-forked"      // two proofs of one core name the same one before: a copy of it
	Concentration  Kind = "concentration"      // many cores answer as if from one hall
	EvidenceWanted Kind = "evidence-missing"   // a leaf whose evidence was not opened, though all was to be
)

// Kinds are all of them, in the order of their meaning: the log, the leaves, the
// evidence, habits.
var Kinds = []Kind{BadCheckpoint, Uncosigned, BadCosignature, RolledBack, Forked, SplitView, BadRoot, BadLeaf, TimeBack, NoPolicy, NoDirectory, PolicyBack, UnknownPolicy, RevokedIgnored,
	BurnOverdrawn, NoBurn, BudgetExceeded, BudgetAcross, BadEvidence, NoLeaf, LeafDiffers, LeaseTooLong, GrantedTwice, OverRequest, Hoarding, ProofsForked, Concentration, EvidenceWanted}

// Finding is one thing that is wrong.
type Finding struct {
	Kind   Kind    `json:"kind"`
	Ledger string  `json:"ledger,omitempty"` // its name, where there are several
	Leaf   *uint64 `json:"leaf,omitempty"`   // index in the ledger, when it concerns one
	Core   string  `json:"core,omitempty"`   // id, when it concerns one
	File   string  `json:"file,omitempty"`   // of the evidence, when it concerns one
	Period string  `json:"period,omitempty"`
	View   string  `json:"view,omitempty"` // where else the ledger is shown, when it concerns that
	Detail string  `json:"detail"`

	// Notes are the signed checkpoints that show it, for others to verify.
	Notes []string `json:"notes,omitempty"`
}

// Key is the same for the same trouble found again, though its details may have
// grown.
func (f Finding) Key() string {
	leaf := ""
	if f.Leaf != nil {
		leaf = fmt.Sprint(*f.Leaf)
	}
	return strings.Join([]string{string(f.Kind), f.Ledger, leaf, f.Core, f.File, f.Period, f.View}, "\x00")
}

// compare orders findings by what they are and what they concern, whichever was
// found first.
func (f Finding) compare(g Finding) int {
	at := func(f Finding) uint64 {
		if f.Leaf == nil {
			return 0
		}
		return *f.Leaf + 1
	}
	return cmp.Or(cmp.Compare(f.Kind, g.Kind), cmp.Compare(f.Ledger, g.Ledger), cmp.Compare(at(f), at(g)), cmp.Compare(f.File, g.File), cmp.Compare(f.Period, g.Period),
		cmp.Compare(f.Core, g.Core), cmp.Compare(f.View, g.View), cmp.Compare(f.Detail, g.Detail))
}

// String is one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	if f.Ledger != "" {
		fmt.Fprintf(&b, " [%s]", f.Ledger)
	}
	if f.Leaf != nil {
		fmt.Fprintf(&b, " leaf %d", *f.Leaf)
	}
	if f.Core != "" {
		fmt.Fprintf(&b, " core %s", f.Core[:min(len(f.Core), 8)])
	}
	for _, where := range []string{f.File, f.View} {
		if where != "" {
			fmt.Fprintf(&b, " %s", where)
		}
	}
	return b.String() + ": " + f.Detail
}
