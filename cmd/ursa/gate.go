package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func gateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gate",
		Short: "The lockgate: no proof, no key",
		Long: "A gate gives leases to enrolled cores whose proof lies inside the region that its policy permits. Its folder holds key, policy,\n" +
			"store, ledger and sealed evidence; commands on a folder talk to the gate that serves it, or to the store when none does.\n\n" +
			"Policies and revocations count when the gate's authors signed them: an author of the folder's own, or those of --authors.",
		Example: "  ursa gate init gate --trust trust.json\n  ursa gate policy set --dir gate --permit EU27+CH --attest sim\n" +
			"  ursa gate enrol --dir gate core.json --chip sim --tenant acme --budget 100000000\n" +
			"  ursa gate serve --dir gate --directory directory.ursa --listen :8443\n  ursa gate revoke --dir gate 4f1c2a9b",
	}
	cmd.AddCommand(gateInitCommand(), gateServeCommand(), gatePolicyCommand(), gateEnrolCommand(), gateCoresCommand(), gateWalletCommand(),
		gateRevokeCommand(), gateRestoreCommand(), gateRevocationsCommand(), gateAuditorCommand())
	return cmd
}

func gateInitCommand() *cobra.Command {
	var keys keyFlags
	var trust, origin, authors string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a gate: its keys, its authors, and the public file for the directory",
		Long: "Makes DIR with the gate's key (encrypted), the keys that sign the ledger's checkpoints and tokens (wrapped to the gate's), and\n" +
			"gate.json, the public file for the directory's signers and for every core.\n\n" +
			"Without --authors the folder gets an author of its own, who signs policies and revocations alone, and a first, empty list of\n" +
			"revocations. With it, nothing is granted before those authors have signed a policy and a list.",
		Example: "  ursa gate init gate --trust trust.json --origin gate.example.net/ledger --passphrase-file pass\n" +
			"  ursa gate init gate --trust trust.json --authors authors/authors.json --passphrase-file pass",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "trust"); err != nil {
				return err
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			return makeGate(cmd, gateHome{dir: args[0]}, trust, origin, authors, protect)
		},
	}
	keys.register(cmd)
	cmd.Flags().StringVar(&trust, "trust", "", "the constellation's trust `FILE` (trust.json)")
	cmd.Flags().StringVar(&origin, "origin", "", "the ledger's `NAME` in checkpoints, without spaces; default: constellation and gate")
	cmd.Flags().StringVar(&authors, "authors", "", "`FILE` of those who sign policies and revocations (authors.json of 'ursa policy init')")
	return cmd
}

func makeGate(cmd *cobra.Command, home gateHome, trust, origin, authors string, protect identity.Protector) error {
	t, err := readTrust(trust)
	if err != nil {
		return err
	}
	if _, err := os.Stat(home.path(gateKeyName)); err == nil {
		return fmt.Errorf("%s holds a gate already: name another folder", home.dir)
	}
	key, err := identity.Generate(identity.RoleGate, rand.Reader)
	if err != nil {
		return err
	}
	if origin == "" {
		origin = t.Constellation + "/gate-" + key.ID().Short()
	}
	log, err := ledger.NewKey(origin)
	if err != nil {
		return usagef("--origin: %w", err)
	}
	if err := newHome(home.dir); err != nil {
		return err
	}
	if err := home.adoptAuthors(authors, protect); err != nil {
		return err
	}
	if err := identity.SaveKey(home.path(gateKeyName), key, protect); err != nil {
		return err
	}
	if err := home.keepSecret(gateLedgerKey, ledgerInfo, key.Public(), log.Encode()); err != nil {
		return err
	}
	if _, err := home.stepSecret(key); err != nil {
		return err
	}
	if _, err := home.tokenKey(key); err != nil {
		return err
	}
	if err := writeJSON(home.path(gateLedgerPublic), log.Verifier(), 0o644); err != nil {
		return err
	}
	if _, err := copyTrust(trust, home.dir); err != nil {
		return err
	}
	if err := writeJSON(home.path(gatePublicName), publicOf(key), 0o644); err != nil {
		return err
	}
	who := "the authors of " + authors + ": they sign policies and revocations"
	if authors == "" {
		who = "this folder's own: " + home.path(gateAuthorKey) + " signs policies and revocations"
		if err := firstRevocations(home, protect); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "gate     %s\nledger   %s\nauthors  %s\npublic   %s: send it to the directory's signers and to cores\n",
		key.ID(), origin, who, home.path(gatePublicName))
	return err
}

func gateEnrolCommand() *cobra.Command {
	var home gateHome
	var chip, platform, tenant string
	var budget uint64
	cmd := &cobra.Command{
		Use:   "enrol CORE_PUBLIC",
		Short: "Let a core ask: its key, chip, tenant and budget",
		Long: "Enrols the core of a public file (core.json). The budget, in units (ms of CPU time), hangs on the chip: enrolling a chip twice\n" +
			"doubles nothing. An enrolled core is updated and switched on; it never changes its chip or key.",
		Example: "  ursa gate enrol --dir gate core.json --chip sim --tenant acme --budget 100000000",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "chip", "tenant", "budget"); err != nil {
				return err
			}
			p, err := readPublic(args[0], identity.RoleCore)
			if err != nil {
				return err
			}
			id, err := parseChip(chip, p.ID)
			if err != nil {
				return err
			}
			if !slices.Contains(corePlatforms, platform) {
				return usagef("--platform %q: use one of %s", platform, strings.Join(corePlatforms, ", "))
			}
			if tenant == "" || budget == 0 || budget > 1<<62 {
				return usagef("--tenant %q --budget %d: name a tenant, and give 1 to 2^62 units", tenant, budget)
			}
			a, err := askGate(cmd.Context(), home, gateOrder{Do: orderEnrol, Core: p, Chip: id, Platform: platform, Tenant: tenant, Budget: budget})
			if err != nil {
				return err
			}
			return printCores(cmd, a.Cores, false)
		},
	}
	home.registerStore(cmd)
	cmd.Flags().StringVar(&chip, "chip", "", "`ID` of the chip as its attestation names it (64 hexadecimal digits), or sim for the simulated platform")
	cmd.Flags().StringVar(&platform, "platform", "sim", "`PLATFORM` that the core attests on: "+strings.Join(corePlatforms, ", "))
	cmd.Flags().StringVar(&tenant, "tenant", "", "`NAME` of the tenant")
	cmd.Flags().Uint64Var(&budget, "budget", 0, "`UNITS` that the chip may use in all")
	return cmd
}

// corePlatforms that a core may be enrolled with.
var corePlatforms = []string{string(attest.Sim), string(attest.TPM), string(attest.SEVSNP), string(attest.TDX)}

// parseChip reads a chip's id; sim stands for the machine that a core pretends to be on.
func parseChip(text string, core identity.ID) (hexString, error) {
	if text == "sim" {
		m := simMachine(core)
		return m[:], nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 32 {
		return nil, usagef("--chip %q: use 64 hexadecimal digits, or sim", text)
	}
	return b, nil
}

func gateCoresCommand() *cobra.Command {
	var home gateHome
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "cores",
		Short:   "List the enrolled cores: on or off, what they were granted and used",
		Long:    "Lists every core in the store with its account. OFF is a core that gets nothing: it is revoked, or it was switched off as a copy.",
		Example: "  ursa gate cores --dir gate --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := askGate(cmd.Context(), home, gateOrder{Do: orderList})
			if err != nil {
				return err
			}
			return printCores(cmd, a.Cores, asJSON)
		},
	}
	home.registerStore(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// coreAccount is one line of `ursa gate cores`.
type coreAccount struct {
	Core      identity.ID `json:"core"`
	Chip      hexString   `json:"chip"`
	Tenant    string      `json:"tenant"`
	Platform  string      `json:"platform"`
	Enabled   bool        `json:"enabled"`
	Off       string      `json:"off,omitempty"` // why it is not
	Budget    uint64      `json:"budget_units"`
	Spent     uint64      `json:"spent_units"`
	Granted   uint64      `json:"granted_units"`
	Used      uint64      `json:"used_units"` // by the core's newest report
	LastLease string      `json:"last_lease,omitempty"`
}

func printCores(cmd *cobra.Command, list []coreAccount, asJSON bool) error {
	if asJSON {
		return printJSON(cmd, struct {
			Cores []coreAccount `json:"cores"`
		}{append([]coreAccount{}, list...)})
	}
	return tableOfCores(cmd.OutOrStdout(), list)
}

func tableOfCores(out io.Writer, list []coreAccount) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "CORE\tSTATE\tTENANT\tPLATFORM\tCHIP\tBUDGET\tSPENT\tUSED\tLAST LEASE\tREMARK")
	for _, c := range list {
		state := "on"
		if !c.Enabled {
			state = "OFF"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.4x\t%d\t%d\t%d\t%s\t%s\n", c.Core.Short(), state, c.Tenant, c.Platform, []byte(c.Chip), c.Budget, c.Spent, c.Used, c.LastLease, c.Off)
	}
	return w.Flush()
}

func rfc3339(unixNS int64) string {
	if unixNS == 0 {
		return ""
	}
	return utc(unixNS)
}
