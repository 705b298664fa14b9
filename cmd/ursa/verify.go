package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
)

func verifyCommand() *cobra.Command {
	var trust string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify PROOF",
		Short: "Verify one saved proof offline and explain its verdict, beacon by beacon",
		Long: "Makes the decision of a saved proof again from the file alone: every signature, every rule, the region and the verdict.\n" +
			"One flipped bit anywhere and it is refused, naming the check. Without --trust the file is only shown to be sound within\n" +
			"itself; give the fingerprint of the directory's signers, known from elsewhere, to know whose beacons these are.\n\n" +
			"Exit status 0: verified, and the verdict was Inside. 3: verified, and it was denied. 1: refused.",
		Example: "  ursa up --once --save-proof proof.ursa\n  ursa verify proof.ursa\n  ursa verify proof.ursa --trust FINGERPRINT --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options := evidence.Options{Now: time.Now()}
			if trust != "" {
				b, err := hex.DecodeString(strings.TrimSpace(trust))
				if err != nil || len(b) != len(options.Trust) {
					return usagef("--trust %q: use the 64 hexadecimal digits of the signers' fingerprint", trust)
				}
				options.Trust = [32]byte(b)
			}
			file, err := readLimited(args[0], evidence.MaxSize)
			if err != nil {
				return err
			}
			report, err := evidence.Verify(file, options)
			if err != nil {
				return fmt.Errorf("%s is refused: %w", args[0], err)
			}
			if asJSON {
				err = printVerified(cmd, report)
			} else {
				_, err = fmt.Fprint(cmd.OutOrStdout(), report.Text())
			}
			if err != nil {
				return err
			}
			if report.Finding.RefusedBy != "" {
				return deniedError{}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "`FINGERPRINT` of those who must have signed the directory")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// verifiedJSON is what `ursa verify --json` prints.
type verifiedJSON struct {
	Decision     string          `json:"decision"` // unlocked or denied
	RefusedBy    string          `json:"refused_by"`
	Trusted      bool            `json:"trusted"`
	Fingerprint  string          `json:"fingerprint"`
	Core         string          `json:"core"`
	Permit       string          `json:"permit"`
	GrantedUnits uint64          `json:"granted_units"`
	DecidedAt    time.Time       `json:"decided_at"`
	Verdict      any             `json:"verdict"`
	Checks       []evidence.Step `json:"checks"`
}

func printVerified(cmd *cobra.Command, r *evidence.Report) error {
	d := r.Bundle.Decision
	out := verifiedJSON{Decision: "denied", RefusedBy: r.Finding.RefusedBy, Trusted: r.Trusted, Fingerprint: hex.EncodeToString(r.Fingerprint[:]),
		Core: r.Bundle.Request.Core.String(), Permit: r.Policy.Permit, GrantedUnits: d.Units, DecidedAt: time.Unix(0, d.DecidedUnixNS).UTC(),
		Checks: r.Steps}
	if r.Finding.RefusedBy == "" {
		out.Decision = "unlocked"
	}
	if r.Finding.Judged {
		out.Verdict = r.Finding.Verdict
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// readLimited reads a file of at most limit bytes.
func readLimited(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name a file", name)
	case info.Size() > limit:
		return nil, fmt.Errorf("%s has %d bytes: such a file has at most %d", name, info.Size(), limit)
	}
	return os.ReadFile(name)
}
