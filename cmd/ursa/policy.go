package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Policies as files: where cores may run, and what a proof must show",
		Long: "A policy is data: a YAML file that says which region is permitted and what a proof must show. Nothing in it has a silent default, and\n" +
			"what it does not say denies. It carries its own examples, which 'test' decides. Authors sign it; gates take only what enough of\n" +
			"them signed. Wherever a policy is read, a signed one may be given as well.",
		Example: "  ursa policy check europe.yaml\n  ursa policy test europe.yaml\n  ursa policy diff before.yaml europe.yaml --no-widen\n" +
			"  ursa policy init authors --keys 3 --threshold 2\n  ursa policy sign europe.yaml --key authors/author-1.key --out europe.ursa",
	}
	cmd.AddCommand(policyCheckCommand(), policyExplainCommand(), policyDiffCommand(), policyTestCommand(), policySchemaCommand(), policyInitCommand(), policySignCommand())
	return cmd
}

// problemsError says that a file has problems; the problems themselves were told, one a line.
type problemsError struct {
	path string
	n    int
}

func (p problemsError) Error() string {
	if p.n == 1 {
		return p.path + " has a problem"
	}
	return fmt.Sprintf("%s has %d problems", p.path, p.n)
}

// loadedPolicy is a policy from a file of either kind.
type loadedPolicy struct {
	file    policyfile.File
	area    *atlas.Region
	signers []identity.ID // who is said to have signed it; none: a text
}

// loadPolicy reads a policy file, or a signed policy without looking at its signatures: it is only told what it says.
func loadPolicy(cmd *cobra.Command, path string) (loadedPolicy, error) {
	data, err := readLimited(path, policy.SignedSize)
	if err != nil {
		return loadedPolicy{}, err
	}
	if p, ids, err := policy.Claimed(data); err == nil {
		area, err := atlas.Parse(p.Permit, atlas.Options{})
		if err != nil {
			return loadedPolicy{}, fmt.Errorf("%s: permit: %w", path, err)
		}
		return loadedPolicy{policyfile.File{Policy: p}, area, ids}, nil
	}
	f, area, err := policyfile.Check(path, data)
	if err != nil {
		problems := policyfile.Problems(err)
		for _, p := range problems {
			fmt.Fprintln(cmd.ErrOrStderr(), oneLine(p.Error()))
		}
		return loadedPolicy{}, problemsError{path, len(problems)}
	}
	return loadedPolicy{file: f, area: area}, nil
}

// policyCheckJSON is what `ursa policy check --json` prints, one object.
type policyCheckJSON struct {
	File     string              `json:"file"`
	OK       bool                `json:"ok"`
	Name     string              `json:"name,omitempty"`
	Version  uint64              `json:"version,omitempty"`
	Hash     string              `json:"hash,omitempty"`
	Permit   string              `json:"permit,omitempty"`
	KM2      float64             `json:"permit_km2,omitempty"`
	Signers  []identity.ID       `json:"signers,omitempty"` // who is said to have signed it
	Verified bool                `json:"verified"`          // enough of the authors given have
	Problems []policyProblemJSON `json:"problems,omitempty"`
}

type policyProblemJSON struct {
	Line   int    `json:"line"` // 0: the file as a whole
	Column int    `json:"column"`
	Text   string `json:"text"`
}

func policyCheckCommand() *cobra.Command {
	var asJSON bool
	var authors string
	cmd := &cobra.Command{
		Use:   "check POLICY",
		Short: "Find what is wrong in a policy, with line, column and what would be right",
		Long: "Reads a policy as a gate would: fields, units, limits, and whether its regions mean something. Problems go to standard error as\n" +
			"FILE:LINE:COLUMN: TEXT. A signed policy is verified with --authors.\n\nExit status 0: a gate would take it. 1: it has problems.",
		Example: "  ursa policy check europe.yaml\n  ursa policy check europe.ursa --authors authors/authors.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				return checkPolicyJSON(cmd, args[0], authors)
			}
			return checkPolicy(cmd, args[0], authors)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object; problems stand in it")
	cmd.Flags().StringVar(&authors, "authors", "", "`FILE` of the authors (authors.json): enough of them must have signed")
	return cmd
}

func checkPolicy(cmd *cobra.Command, path, authors string) error {
	l, err := loadPolicy(cmd, path)
	if err != nil {
		return err
	}
	p := l.file.Policy
	hash, err := p.Hash()
	if err != nil {
		return err
	}
	signed := ""
	switch {
	case authors != "":
		a, err := readAuthorsFile(authors)
		if err != nil {
			return err
		}
		if len(l.signers) == 0 {
			return fmt.Errorf("%s is not signed: 'ursa policy sign' does", path)
		}
		if _, _, err := readSignedPolicy(path, a); err != nil {
			return err
		}
		signed = fmt.Sprintf(", signed by %d authors (%d needed)", len(l.signers), a.Threshold)
	case len(l.signers) > 0:
		signed = fmt.Sprintf(", said to be signed by %d: give --authors to verify", len(l.signers))
	}
	if problems := p.Validate(); len(problems) > 0 {
		return fmt.Errorf("%s: %w", path, errors.Join(problems...))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "ok: %q version %d permits %s, %.0f km²%s\nhash %x\n", p.Name, p.Version, l.area, l.area.AreaKM2(), signed, hash)
	return err
}

func checkPolicyJSON(cmd *cobra.Command, path, authors string) error {
	data, err := readLimited(path, policy.SignedSize)
	if err != nil {
		return err
	}
	out := policyCheckJSON{File: path}
	p, ids, err := policy.Claimed(data)
	if err != nil {
		var f policyfile.File
		f, _, err = policyfile.Check(path, data)
		p = f.Policy
	}
	if err == nil && authors != "" {
		a, err := readAuthorsFile(authors)
		if err != nil {
			return err
		}
		if _, _, err := readSignedPolicy(path, a); err != nil {
			return err
		}
		out.Verified = true
	}
	for _, problem := range policyfile.Problems(err) {
		out.Problems = append(out.Problems, policyProblemJSON{problem.Line, problem.Column, problem.Text})
	}
	if out.OK = err == nil; out.OK {
		hash, err := p.Hash()
		if err != nil {
			return err
		}
		out.Name, out.Version, out.Hash, out.Permit, out.Signers = p.Name, p.Version, hex.EncodeToString(hash[:]), p.Permit, ids
		if out.KM2, err = policyfile.AreaKM2(p); err != nil {
			return err
		}
	}
	if err := printJSON(cmd, out); err != nil {
		return err
	}
	if !out.OK {
		return problemsError{path, len(out.Problems)}
	}
	return nil
}

// proofFlags say how proofs are read: whose directories count, and with which auditor's key locked ones are opened.
type proofFlags struct {
	keys           keyFlags
	trust, auditor string
}

func (p *proofFlags) register(cmd *cobra.Command) {
	p.keys.register(cmd)
	cmd.Flags().StringVar(&p.trust, "trust", "", "trust `FILE`, or the fingerprint of those who must have signed the directory")
	cmd.Flags().StringVar(&p.auditor, "auditor", "", "`DIR` of an auditor ('gate auditor init'), to open evidence that is locked")
}

// options are those of a verification.
func (p *proofFlags) options() (evidence.Options, error) {
	o := evidence.Options{Now: time.Now()}
	if p.trust == "" {
		return o, nil
	}
	if b, err := hex.DecodeString(strings.TrimSpace(p.trust)); err == nil && len(b) == len(o.Trust) {
		o.Trust = [32]byte(b)
		return o, nil
	}
	t, err := readTrust(p.trust)
	if err != nil {
		return o, usagef("--trust %q: use 64 hexadecimal digits, or a trust file: %w", p.trust, err)
	}
	o.Trust = t.trust().Fingerprint()
	return o, nil
}

// reader reads evidence by name below a folder, and unlocks what is locked.
func (p *proofFlags) reader(cmd *cobra.Command) (func(path string) ([]byte, error), error) {
	var key *identity.Private
	if p.auditor != "" {
		protect, err := p.keys.protector(cmd, false)
		if err != nil {
			return nil, err
		}
		if key, err = identity.LoadKey(filepath.Join(p.auditor, auditorKeyName), protect); err != nil {
			return nil, err
		}
	}
	return func(path string) ([]byte, error) {
		data, err := readLimited(path, 2*evidence.MaxSize)
		if err != nil || !strings.HasSuffix(path, lockedEnd) {
			return data, err
		}
		if key == nil {
			return nil, fmt.Errorf("%s: %w", path, errLocked)
		}
		file, err := evidence.Unlock(data, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return file, nil
	}, nil
}

// lockedEnd is how the names of evidence end that only auditors can read.
const lockedEnd = ".locked"

var errLocked = errors.New("locked to auditors: give --auditor DIR")
