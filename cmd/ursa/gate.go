package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files of a gate's folder.
const (
	gateKeyName      = "gate.key"
	gatePublicName   = "gate.json"
	gateLedgerKey    = "ledger.key"  // wrapped to the gate's key
	gateLedgerPublic = "ledger.json" // who signs checkpoints, for monitors
	gateLedgerDir    = "ledger"
	gatePolicyName   = "policy.cbor"
	gateStoreName    = "gate.db"
	gateEvidenceDir  = "evidence"
	gateCoresDir     = "cores"
	gateMetrics      = "127.0.0.1:9443"
)

func gateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gate",
		Short: "The lockgate: no proof, no key",
		Long: "A gate gives leases to enrolled cores whose proof lies inside the region that its policy permits. Its folder holds key, policy,\n" +
			"store, ledger and sealed evidence; commands on a folder talk to the gate that serves it, or to the store when none does.",
		Example: "  ursa gate init gate --trust trust.json\n  ursa gate policy set --dir gate --permit EU27+CH --attest sim\n" +
			"  ursa gate enrol --dir gate core.json --chip sim --tenant acme --budget 100000000\n" +
			"  ursa gate serve --dir gate --directory directory.ursa --listen :8443\n  ursa gate revoke --dir gate 4f1c2a9b",
	}
	cmd.AddCommand(gateInitCommand(), gateServeCommand(), gatePolicyCommand(), gateEnrolCommand(), gateCoresCommand(),
		gateSwitchCommand("revoke", false), gateSwitchCommand("restore", true), gateAuditorCommand())
	return cmd
}

func gateInitCommand() *cobra.Command {
	var keys keyFlags
	var trust, origin string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a gate: its key, the ledger's key, and the public file for the directory",
		Long: "Makes DIR with the gate's key (encrypted), the key that signs the ledger's checkpoints (wrapped to the gate's), and gate.json,\n" +
			"the public file for the directory's signers and for every core.",
		Example: "  ursa gate init gate --trust trust.json --origin gate.example.net/ledger --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "trust"); err != nil {
				return err
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			return makeGate(cmd, args[0], trust, origin, protect)
		},
	}
	keys.register(cmd)
	cmd.Flags().StringVar(&trust, "trust", "", "the constellation's trust `FILE` (trust.json)")
	cmd.Flags().StringVar(&origin, "origin", "", "the ledger's `NAME` in checkpoints, without spaces; default: constellation and gate")
	return cmd
}

// ledgerInfo is the purpose for which the ledger's key is wrapped.
const ledgerInfo = "ledger key of a gate's folder"

func makeGate(cmd *cobra.Command, dir, trust, origin string, protect identity.Protector) error {
	t, err := readTrust(trust)
	if err != nil {
		return err
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
	wrapped, err := identity.Wrap(key.Public(), []byte(ledgerInfo), log.Encode())
	if err != nil {
		return err
	}
	if err := newHome(dir); err != nil {
		return err
	}
	if err := identity.SaveKey(filepath.Join(dir, gateKeyName), key, protect); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(dir, gateLedgerKey), wrapped, 0o600); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, gateLedgerPublic), log.Verifier(), 0o644); err != nil {
		return err
	}
	if _, err := copyTrust(trust, dir); err != nil {
		return err
	}
	public := filepath.Join(dir, gatePublicName)
	if err := writeJSON(public, publicOf(key), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "gate    %s\nledger  %s\npublic  %s: send it to the directory's signers and to cores\n", key.ID(), origin, public)
	return err
}

// openLedgerKey reads the ledger's key of a gate's folder.
func openLedgerKey(dir string, gate *identity.Private) (*ledger.Key, error) {
	path := filepath.Join(dir, gateLedgerKey)
	wrapped, err := readLimited(path, maxSmallFile)
	if err != nil {
		return nil, err
	}
	text, err := gate.Unwrap([]byte(ledgerInfo), wrapped)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ledger.ParseKey(text)
}

func gateEnrolCommand() *cobra.Command {
	var dir, chip, tenant string
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
			if tenant == "" || budget == 0 || budget > 1<<62 {
				return usagef("--tenant %q --budget %d: name a tenant, and give 1 to 2^62 units", tenant, budget)
			}
			c, err := askGate(cmd.Context(), dir, gateOrder{Do: orderEnrol, Core: p, Chip: id, Platform: "sim", Tenant: tenant, Budget: budget})
			if err != nil {
				return err
			}
			return printCores(cmd, c, false)
		},
	}
	registerGateDir(cmd, &dir)
	cmd.Flags().StringVar(&chip, "chip", "", "`ID` of the chip as its attestation names it (64 hexadecimal digits), or sim for the simulated platform")
	cmd.Flags().StringVar(&tenant, "tenant", "", "`NAME` of the tenant")
	cmd.Flags().Uint64Var(&budget, "budget", 0, "`UNITS` that the chip may use in all")
	return cmd
}

func registerGateDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", ".", "the gate's `DIR`, which 'gate init' made")
}

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
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "cores",
		Short:   "List the enrolled cores: on or off, what they were granted and used",
		Long:    "Lists every core that was enrolled with 'gate enrol', with its account in the store.",
		Example: "  ursa gate cores --dir gate --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := askGate(cmd.Context(), dir, gateOrder{Do: orderList})
			if err != nil {
				return err
			}
			return printCores(cmd, c, asJSON)
		},
	}
	registerGateDir(cmd, &dir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// gateSwitchCommand is revoke or restore.
func gateSwitchCommand(name string, on bool) *cobra.Command {
	var dir string
	short, order := "Switch a core off: no challenge, no lease; what it holds runs out within T_off", orderRevoke
	if on {
		short, order = "Switch a core on again", orderRestore
	}
	cmd := &cobra.Command{
		Use:     name + " CORE",
		Short:   short,
		Long:    short + ".\n\nCORE is an id, or its first eight digits or more. It takes effect at once, whether or not the gate runs.",
		Example: "  ursa gate " + name + " --dir gate 4f1c2a9b",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args[0]) < 8 {
				return usagef("%q: give eight digits of the core's id or more; 'ursa gate cores' lists them", args[0])
			}
			c, err := askGate(cmd.Context(), dir, gateOrder{Do: order, Prefix: strings.ToLower(args[0])})
			if err != nil {
				return err
			}
			return printCores(cmd, c, false)
		},
	}
	registerGateDir(cmd, &dir)
	return cmd
}

// coreAccount is one line of `ursa gate cores`.
type coreAccount struct {
	Core      identity.ID `json:"core"`
	Chip      hexString   `json:"chip"`
	Tenant    string      `json:"tenant"`
	Platform  string      `json:"platform"`
	Enabled   bool        `json:"enabled"`
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
	fmt.Fprintln(w, "CORE\tSTATE\tTENANT\tPLATFORM\tCHIP\tBUDGET\tSPENT\tUSED\tLAST LEASE")
	for _, c := range list {
		state := "on"
		if !c.Enabled {
			state = "OFF"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.4x\t%d\t%d\t%d\t%s\n", c.Core.Short(), state, c.Tenant, c.Platform, []byte(c.Chip), c.Budget, c.Spent, c.Used, c.LastLease)
	}
	return w.Flush()
}

func rfc3339(unixNS int64) string {
	if unixNS == 0 {
		return ""
	}
	return utc(unixNS)
}
