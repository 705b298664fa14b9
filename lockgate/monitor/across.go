package monitor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// Gates on stores of their own do not know of each other: each counts its own
// budgets, and takes a lock nonce or a proof that the other has taken. What
// follows needs both ledgers, with their evidence.

// Party is one of several ledgers that are followed together. Its name is that of
// the gate to people.
type Party struct {
	Name    string
	Auditor *Auditor
}

// drawn is who drew on a lock nonce, by which file.
type drawn struct {
	name string
	core identity.ID
}

// link is a release in a core's chain of proofs, by its file. It is settled when
// the lock had redeemed every lease that the gate knew of: then no answer was lost.
type link struct {
	name    string
	settled bool
}

// wallet is what one gate released to a chip out of its wallet, and the most that
// the gate ever let it have. What burns paid for is none of it: a burn is in the
// ledger, and bounds itself.
type wallet struct {
	drawn, had uint64
	core       identity.ID // that drew first
}

func (a *Auditor) pays(d decision) {
	if d.Burnt {
		return
	}
	w := a.wallets[d.Chip]
	if w == nil {
		w = &wallet{core: d.Core}
		a.wallets[d.Chip] = w
	}
	w.had = max(w.had, add(d.Available, w.drawn))
	w.drawn = add(w.drawn, d.Units)
}

// Across finds what none of several ledgers shows alone: one lock nonce with
// leases of two gates (GrantedTwice), two proofs of one core that name the same
// one before (ProofsForked), and gates that together released more to a chip than
// any of them lets it have, or to fleet, policy or tenant than the policy does,
// though each kept to it (BudgetAcross). Like budgets of tenants, these are known
// as far as evidence was opened; those of the fleet always.
func Across(parties []Party) []Finding {
	var out []Finding
	for i, a := range parties {
		for _, b := range parties[i+1:] {
			out = append(out, pair(a, b)...)
		}
	}
	out = append(out, chips(parties)...)
	out = append(out, buckets(parties)...)
	slices.SortFunc(out, Finding.compare)
	return out
}

// pair finds what two gates did with one nonce, or one place in a chain. It is told
// of the second.
func pair(a, b Party) []Finding {
	var out []Finding
	for nonce, second := range b.Auditor.nonces {
		if first, twice := a.Auditor.nonces[nonce]; twice {
			out = append(out, Finding{Kind: GrantedTwice, Ledger: b.Name, Core: second.core.String(), File: second.name,
				Detail: fmt.Sprintf("the lock nonce had a lease of %s, too, by %s", a.Name, first.name)})
		}
	}
	for core, chain := range b.Auditor.chain {
		for previous, second := range chain {
			first, forked := a.Auditor.chain[core][previous]
			if forked && first.settled && second.settled {
				out = append(out, Finding{Kind: ProofsForked, Ledger: b.Name, Core: core.String(), File: second.name,
					Detail: fmt.Sprintf("its proof and that of %s at %s name the same one before", first.name, a.Name)})
			}
		}
	}
	return out
}

// chips finds those that drew more from several gates than any of them lets it.
func chips(parties []Party) []Finding {
	all := map[[32]byte]bool{}
	for _, p := range parties {
		for chip := range p.Auditor.wallets {
			all[chip] = true
		}
	}
	var out []Finding
	for chip := range all {
		var drew, most uint64
		var core identity.ID
		parts := map[int]uint64{}
		for i, p := range parties {
			w := p.Auditor.wallets[chip]
			if w == nil {
				continue
			}
			if len(parts) == 0 {
				core = w.core
			}
			parts[i] = w.drawn
			drew, most = add(drew, w.drawn), max(most, w.had)
		}
		if len(parts) > 1 && drew > most {
			out = append(out, Finding{Kind: BudgetAcross, Core: core.String(), Detail: fmt.Sprintf("chip %x drew %d units from %s; the most that one of them lets it have is %d",
				chip[:4], drew, shares(parties, parts), most)})
		}
	}
	return out
}

// buckets finds what several gates released together beyond a policy's budget,
// though each of them kept to it.
func buckets(parties []Party) []Finding {
	var charges []charge
	bounded := false
	for i, p := range parties {
		bounded = bounded || p.Auditor.bounded()
		charges = append(charges, p.Auditor.charges(i)...)
	}
	if !bounded {
		return nil
	}
	slices.SortStableFunc(charges, func(x, y charge) int { return cmp.Compare(x.leaf.AtUnixMS, y.leaf.AtUnixMS) })
	var out []Finding
	for _, x := range exceeded(charges) {
		alone := slices.ContainsFunc(slices.Collect(maps.Values(x.parts)), func(u uint64) bool { return u > x.budget })
		if len(x.parts) > 1 && !alone {
			out = append(out, Finding{Kind: BudgetAcross, Ledger: parties[x.party].Name, Leaf: &x.at, Detail: x.String() + ", from " + shares(parties, x.parts)})
		}
	}
	return out
}

// shares are such as "2 gates (a 80, b 60)".
func shares(parties []Party, parts map[int]uint64) string {
	var list []string
	for _, i := range slices.Sorted(maps.Keys(parts)) {
		list = append(list, fmt.Sprintf("%s %d", parties[i].Name, parts[i]))
	}
	return fmt.Sprintf("%d gates (%s)", len(parts), strings.Join(list, ", "))
}

// Together puts the reports of several ledgers into one, with what Across found.
func Together(parties []Party, reports []Report, across []Finding) Report {
	out := newReport()
	rows := map[rowKey]*Row{}
	for i, r := range reports {
		out.Leaves += r.Leaves
		out.Grants += r.Grants
		out.Units = add(out.Units, r.Units)
		out.Deposited = add(out.Deposited, r.Deposited)
		out.Burnt = add(out.Burnt, r.Burnt)
		out.Opened += r.Opened
		out.Unopened += r.Unopened
		for k, p := range r.Periods {
			s := sum(out.Periods, k)
			s.Grants, s.Units = s.Grants+p.Grants, add(s.Units, p.Units)
		}
		for k, n := range r.Denied {
			out.Denied[k] += n
		}
		for _, u := range r.Usage {
			k := rowKey{u.Period, u.Core, u.Tenant, u.Touches}
			if rows[k] == nil {
				rows[k] = &Row{Period: u.Period, Core: u.Core, Tenant: u.Tenant, Touches: u.Touches}
			}
			x := rows[k]
			x.Grants, x.Units, x.Used, x.Denied = x.Grants+u.Grants, add(x.Units, u.Units), add(x.Used, u.Used), x.Denied+u.Denied
		}
		out.Halls = append(out.Halls, r.Halls...)
		for _, f := range r.Findings {
			f.Ledger = parties[i].Name
			out.Findings = append(out.Findings, f)
		}
	}
	out.Usage = usage{sums: rows}.rows()
	out.Cores, out.Tenants, out.Jurisdictions = totals(out.Usage)
	out.Findings = append(out.Findings, across...)
	slices.SortStableFunc(out.Findings, Finding.compare)
	return out
}
