package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
)

// policyDecisionJSON is a decision for machines.
type policyDecisionJSON struct {
	Decision  string     `json:"decision"` // granted or refused
	RefusedBy string     `json:"refused_by"`
	Reason    string     `json:"reason"`
	Units     uint64     `json:"units"`
	Rules     []ruleJSON `json:"rules"`
	Verdict   any        `json:"verdict,omitempty"`
}

type ruleJSON struct {
	Rule   string `json:"rule"`
	Answer string `json:"answer"` // true, false or unknown
	Why    string `json:"why"`
}

func decisionOf(d policyfile.Decision) policyDecisionJSON {
	out := policyDecisionJSON{Decision: "refused", RefusedBy: d.RefusedBy, Reason: d.Reason, Units: d.Units, Rules: []ruleJSON{}}
	if d.Granted {
		out.Decision = policyfile.Granted
	}
	for _, c := range d.Finding.Outcome.Checks {
		out.Rules = append(out.Rules, ruleJSON{c.Rule, c.Answer.String(), c.Why})
	}
	if d.Finding.Judged {
		out.Verdict = d.Finding.Verdict
	}
	return out
}

func policyExplainCommand() *cobra.Command {
	var proofs proofFlags
	var proof string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain POLICY",
		Short: "Say in words what a policy permits, and how it would decide on a proof",
		Long: "Tells a policy in sentences. With --proof it makes the decision of a file of evidence again, as if this policy had been in force,\n" +
			"and tells it rule by rule and beacon by beacon.\n\nExit status 0: told, and granted where a proof was given. 3: this policy refuses the proof. 1: the file of evidence does not verify.",
		Example: "  ursa policy explain europe.yaml\n  ursa policy explain europe.yaml --proof gate/evidence/FILE.ursa --trust trust.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := loadPolicy(cmd, args[0])
			if err != nil {
				return err
			}
			if proof == "" {
				return tellPolicy(cmd, l, asJSON)
			}
			return explainProof(cmd, l.file.Policy, proof, proofs, asJSON)
		},
	}
	proofs.register(cmd)
	cmd.Flags().StringVar(&proof, "proof", "", "evidence `FILE` of an earlier decision")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// policyWordsJSON is what `ursa policy explain --json` prints of a policy alone.
type policyWordsJSON struct {
	Name    string   `json:"name"`
	Version uint64   `json:"version"`
	Hash    string   `json:"hash"`
	Permit  string   `json:"permit"`
	KM2     float64  `json:"permit_km2"`
	Words   []string `json:"words"`
}

func tellPolicy(cmd *cobra.Command, l loadedPolicy, asJSON bool) error {
	p, km2 := l.file.Policy, l.area.AreaKM2()
	words := policyfile.Words(p, km2)
	if !asJSON {
		_, err := fmt.Fprint(cmd.OutOrStdout(), words)
		return err
	}
	hash, err := p.Hash()
	if err != nil {
		return err
	}
	return printJSON(cmd, policyWordsJSON{p.Name, p.Version, hex.EncodeToString(hash[:]), l.area.String(), km2, strings.Split(strings.TrimSpace(words), "\n")})
}

func explainProof(cmd *cobra.Command, p policy.Policy, path string, proofs proofFlags, asJSON bool) error {
	o, err := proofs.options()
	if err != nil {
		return err
	}
	read, err := proofs.reader(cmd)
	if err != nil {
		return err
	}
	file, err := read(path)
	if err != nil {
		return err
	}
	d, err := policyfile.Explain(p, file, o)
	if err != nil {
		return fmt.Errorf("%s is refused: %w", path, err)
	}
	if asJSON {
		err = printJSON(cmd, decisionOf(d))
	} else {
		_, err = fmt.Fprint(cmd.OutOrStdout(), d.Text())
	}
	if err == nil && !d.Granted {
		err = deniedError{}
	}
	return err
}

// changeJSON is one change for machines.
type changeJSON struct {
	Field     string  `json:"field"`
	Direction string  `json:"direction"`
	Old       string  `json:"old"`
	New       string  `json:"new"`
	KM2Wider  float64 `json:"wider_km2,omitempty"`
	KM2Closer float64 `json:"closer_km2,omitempty"`
}

func policyDiffCommand() *cobra.Command {
	var asJSON, noWiden bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a new version permits that the old did not, in km² and parameters",
		Long: "Compares two policies by what they mean, field by field: what widens releases something that was not released, what narrows refuses\n" +
			"something that was not refused. Areas are good to about a thousandth.\n\nExit status 3 with --no-widen: something widens, or the version does not go up.",
		Example: "  ursa policy diff gate/policy.ursa europe.yaml\n  ursa policy diff before.yaml europe.yaml --no-widen",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := loadPolicy(cmd, args[0])
			if err != nil {
				return err
			}
			after, err := loadPolicy(cmd, args[1])
			if err != nil {
				return err
			}
			changes, err := policyfile.Diff(before.file.Policy, after.file.Policy)
			if err != nil {
				return err
			}
			if err := printChanges(cmd, changes, asJSON); err != nil || !noWiden {
				return err
			}
			if policyfile.Widened(changes) {
				return deniedError{"the new version widens what is permitted"}
			}
			if len(changes) > 0 {
				if err := after.file.Policy.Succeeds(before.file.Policy); err != nil {
					return deniedError{err.Error() + ": raise it, or gates will not take it"}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&noWiden, "no-widen", false, "exit with status 3 when something widens")
	return cmd
}

func printChanges(cmd *cobra.Command, changes []policyfile.Change, asJSON bool) error {
	if asJSON {
		list := []changeJSON{}
		for _, c := range changes {
			list = append(list, changeJSON{c.Field, string(c.Direction), c.Old, c.New, c.KM2Wider, c.KM2Closer})
		}
		return printJSON(cmd, struct {
			Widens  bool         `json:"widens"`
			Changes []changeJSON `json:"changes"`
		}{policyfile.Widened(changes), list})
	}
	for _, c := range changes {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), c); err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "the same policy")
	}
	return nil
}

// outcomeJSON is one example for machines.
type outcomeJSON struct {
	Name     string `json:"name"`
	Line     int    `json:"line"`
	Expect   string `json:"expect"`
	Decision string `json:"decision"` // granted, the check that refused, or empty when its proof is no good
	OK       bool   `json:"ok"`
	Detail   string `json:"detail,omitempty"`
}

func policyTestCommand() *cobra.Command {
	var proofs proofFlags
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test POLICY",
		Short: "Decide the examples that a policy carries, and compare with what they expect",
		Long: "An example is a file of evidence, or facts that are taken as given, with the decision that the author expects. Proofs are looked for\n" +
			"beside the policy, or in --proofs.\n\nExit status 0: all as expected. 3: one differs. 1: a proof is missing or does not verify, or there are no examples.",
		Example: "  ursa policy test europe.yaml\n  ursa policy test europe.yaml --proofs gate/evidence --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := loadPolicy(cmd, args[0])
			if err != nil {
				return err
			}
			if len(l.file.Examples) == 0 {
				return fmt.Errorf("%s has no examples: add some under examples, so that it is known what it is meant to do", args[0])
			}
			if dir == "" {
				dir = filepath.Dir(args[0])
			}
			o, err := proofs.options()
			if err != nil {
				return err
			}
			read, err := proofs.reader(cmd)
			if err != nil {
				return err
			}
			return tellOutcomes(cmd, runExamples(l.file, dir, read, o), asJSON)
		},
	}
	proofs.register(cmd)
	cmd.Flags().StringVar(&dir, "proofs", "", "`DIR` of the proofs; default: the policy's")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func runExamples(f policyfile.File, dir string, read func(string) ([]byte, error), o evidence.Options) []policyfile.Outcome {
	return f.Run(func(name string) ([]byte, error) {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("%q leaves the folder: name a file beside the policy, or give --proofs", name)
		}
		return read(filepath.Join(dir, name))
	}, o)
}

// tellOutcomes prints one line an example, and chooses the exit status.
func tellOutcomes(cmd *cobra.Command, list []policyfile.Outcome, asJSON bool) error {
	var wrong, bad int
	out := []outcomeJSON{}
	for _, x := range list {
		j := outcomeJSON{Name: x.Example.Name, Line: x.Example.Line, Expect: x.Example.Expect, Decision: x.Decision.RefusedBy, OK: x.Err == nil}
		if x.Decision.Granted {
			j.Decision = policyfile.Granted
		}
		word := "ok   "
		switch {
		case errors.Is(x.Err, policyfile.ErrProof):
			bad++
			word = "BAD  "
		case x.Err != nil:
			wrong++
			word = "WRONG"
		}
		if x.Err != nil {
			j.Detail = oneLine(x.Err.Error())
		}
		out = append(out, j)
		if asJSON {
			continue
		}
		detail := j.Decision
		if x.Err != nil {
			detail = j.Detail
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %s: %s\n", word, j.Name, detail); err != nil {
			return err
		}
	}
	if asJSON {
		if err := printJSON(cmd, struct {
			Examples []outcomeJSON `json:"examples"`
		}{out}); err != nil {
			return err
		}
	}
	switch {
	case wrong > 0:
		return deniedError{fmt.Sprintf("%d of %d examples are decided otherwise than expected", wrong, len(list))}
	case bad > 0:
		return fmt.Errorf("%d of %d examples have no good proof", bad, len(list))
	}
	return nil
}

func policySchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of policy files, for editors",
		Long: "Prints the JSON Schema (draft 2020-12) of policy files. Editors complete and check by it; 'ursa policy check' knows more, such as\n" +
			"what regions mean.",
		Example: "  ursa policy schema > policy.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policyfile.Schema)
			return err
		},
	}
}
