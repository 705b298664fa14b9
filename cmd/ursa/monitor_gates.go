package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// monitoredGate is one of several gates in the file of --gates. Its fields are the flags of the same names; what is left out is
// taken from the flags, or from the gate's folder. Paths are relative to the file.
type monitoredGate struct {
	Name      string   `json:"name"` // in findings
	Gate      string   `json:"gate,omitempty"`
	Ledger    string   `json:"ledger,omitempty"`
	LedgerKey string   `json:"ledger_key,omitempty"`
	Evidence  []string `json:"evidence,omitempty"`
	Trust     string   `json:"trust,omitempty"`
	Policies  []string `json:"policies,omitempty"`
	Authors   string   `json:"authors,omitempty"`
	State     string   `json:"state,omitempty"`
	Kept      string   `json:"kept,omitempty"`
	Seen      []string `json:"seen,omitempty"`
	Views     []string `json:"views,omitempty"`
	Witness   []string `json:"witness,omitempty"`
}

// maxMonitored is how many gates one monitor follows.
const maxMonitored = 256

// each is the options of every gate, settled. Gates that show one ledger, as those on one database do, are followed as one: the
// first is read, and the others are views of it, with evidence of their own.
func (o monitorOptions) each() ([]monitorOptions, error) {
	if o.gates == "" {
		if err := o.settle(); err != nil {
			return nil, err
		}
		return []monitorOptions{o}, nil
	}
	if o.gate+o.ledger+o.key+o.state+o.kept != "" || len(o.evidence)+len(o.seen)+len(o.views) > 0 {
		return nil, usagef("--gates %s names the gates: leave out --gate, --ledger, --ledger-key, --evidence, --state, --kept, --seen and --view", o.gates)
	}
	var list []monitoredGate
	if err := readJSON(o.gates, `a list of gates ([{"name": "a", "gate": …, "ledger_key": …}, …])`, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > maxMonitored {
		return nil, fmt.Errorf("%s: %d gates: name 1 to %d", o.gates, len(list), maxMonitored)
	}
	var out []monitorOptions
	for _, g := range list {
		x := o.with(g)
		if g.Name == "" || slices.ContainsFunc(out, func(y monitorOptions) bool { return slices.Contains(y.called, g.Name) }) {
			return nil, fmt.Errorf("%s: gate %q: give each gate a name of its own", o.gates, g.Name)
		}
		if err := x.settle(); err != nil {
			return nil, fmt.Errorf("%s: gate %q: %w", o.gates, g.Name, err)
		}
		if err := readJSON(x.key, ledgerKeyFile, &x.verifier); err != nil {
			return nil, err
		}
		at := slices.IndexFunc(out, func(y monitorOptions) bool { return y.verifier == x.verifier })
		if at < 0 {
			out = append(out, x)
			continue
		}
		if x.state+x.kept != "" {
			return nil, fmt.Errorf("%s: gates %q and %q show one ledger: give state and kept to the first of them only", o.gates, out[at].called[0], g.Name)
		}
		y := &out[at]
		y.called, y.views, y.seen = append(y.called, g.Name), append(append(y.views, x.ledger), x.views...), append(y.seen, x.seen...)
		for _, dir := range x.evidence {
			if !slices.Contains(y.evidence, dir) {
				y.evidence = append(y.evidence, dir)
			}
		}
	}
	return out, nil
}

// with are the options of one of the gates.
func (o monitorOptions) with(g monitoredGate) monitorOptions {
	here := filepath.Dir(o.gates)
	path := func(p string) string {
		_, notHex := hex.DecodeString(p)
		if p == "" || isURL(p) || filepath.IsAbs(p) || strings.Count(p, "+") >= 2 || len(p) == 64 && notHex == nil {
			return p
		}
		return filepath.Join(here, p)
	}
	paths := func(list, otherwise []string) []string {
		if len(list) == 0 {
			return slices.Clone(otherwise)
		}
		var out []string
		for _, p := range list {
			out = append(out, path(p))
		}
		return out
	}
	o.called = []string{g.Name}
	o.gate, o.ledger, o.key, o.state, o.kept = path(g.Gate), path(g.Ledger), path(g.LedgerKey), path(g.State), path(g.Kept)
	o.evidence, o.seen, o.views = paths(g.Evidence, nil), paths(g.Seen, nil), paths(g.Views, nil)
	o.witness = paths(g.Witness, o.witness)
	if len(g.Policies) > 0 || g.Authors != "" {
		o.policies, o.authors = paths(g.Policies, nil), path(g.Authors)
	} else {
		o.policies = slices.Clone(o.policies)
	}
	if g.Trust != "" {
		o.proofs.trust = path(g.Trust)
	}
	return o
}

// watchers are the monitors of one or several ledgers at work.
type watchers struct {
	list    []*watcher
	parties []monitor.Party
	some    []bool // which of them could be read ever
	errOut  io.Writer
}

func (o monitorOptions) startAll(cmd *cobra.Command) (*watchers, error) {
	each, err := o.each()
	if err != nil {
		return nil, err
	}
	read, err := o.proofs.reader(cmd)
	if err != nil {
		return nil, err
	}
	all := &watchers{errOut: cmd.ErrOrStderr(), some: make([]bool, len(each))}
	for _, x := range each {
		w, err := x.start(cmd, read)
		if err != nil {
			all.close()
			return nil, err
		}
		w.alone = len(each) == 1
		all.list = append(all.list, w)
		all.parties = append(all.parties, monitor.Party{Name: strings.Join(x.called, "+"), Auditor: w.Auditor})
	}
	return all, nil
}

func (all *watchers) close() {
	for _, w := range all.list {
		w.close()
	}
}

// round reads what is new of each ledger, side by side, and looks at what only several of them show. What of one could not be read
// does not keep the others from being told: with an error there may be a report all the same.
func (all *watchers) round(ctx context.Context) (*monitor.Report, error) {
	if len(all.list) == 1 {
		return all.list[0].round(ctx)
	}
	reports, errs := make([]*monitor.Report, len(all.list)), make([]error, len(all.list))
	var wait sync.WaitGroup
	for i, w := range all.list {
		wait.Go(func() { reports[i], errs[i] = w.round(ctx) })
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var parties []monitor.Party
	var told []monitor.Report
	for i, w := range all.list {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", all.parties[i].Name, errs[i])
		}
		if reports[i] == nil && all.some[i] { // what was read of it before
			r := w.Auditor.Report(time.Now())
			reports[i] = &r
		}
		if reports[i] != nil {
			all.some[i] = true
			parties, told = append(parties, all.parties[i]), append(told, *reports[i])
		}
	}
	if len(told) == 0 {
		return nil, errors.Join(errs...)
	}
	r := monitor.Together(parties, told, monitor.Across(parties))
	return &r, errors.Join(errs...)
}
