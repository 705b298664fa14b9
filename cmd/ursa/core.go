package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files of a core's folder, beside the lock's own.
const (
	coreKeyName    = "core.key"
	corePublicName = "core.json"
	coreGateName   = "gate.json"
	coreClaimName  = "claim.json"
)

func coreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "core",
		Short: "A core: make a proof of its place, run a workload behind the lock",
		Long: "A core proves to a gate where it is and gets leases for it: units of compute, one a millisecond of CPU time. Its workload\n" +
			"runs as long as the lock has units, and stands still otherwise.",
		Example: "  ursa core init core --gate-key gate.json --trust trust.json --lat 50.11 --lon 8.68\n" +
			"  ursa core prove --dir core --directory directory.ursa --attest-result core/result --gate https://gate.example.net:8443\n" +
			"  ursa core run --dir core --directory directory.ursa --attest-result core/result --gate https://gate.example.net:8443 -- ./train",
	}
	cmd.AddCommand(coreInitCommand(), coreProveCommand(), coreRunCommand(), coreStatusCommand(), coreTokenCommand())
	return cmd
}

func coreInitCommand() *cobra.Command {
	var keys keyFlags
	var gate, trust string
	var at earth.LatLon
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a core: its key, and the public file for the gate's defender",
		Long: "Makes DIR with the core's key (encrypted), core.json, the public file that the defender enrols, the gate's key, whose leases\n" +
			"count, and the place that the core claims. The claim chooses which beacons are asked; it proves nothing.",
		Example: "  ursa core init core --gate-key gate.json --trust trust.json --lat 50.11 --lon 8.68 --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "gate-key", "trust", "lat", "lon"); err != nil {
				return err
			}
			if err := at.Validate(); err != nil {
				return usagef("--lat, --lon: %w", err)
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			return makeCore(cmd, args[0], gate, trust, at, protect)
		},
	}
	keys.register(cmd)
	f := cmd.Flags()
	f.StringVar(&gate, "gate-key", "", "public `FILE` of the gate (gate.json)")
	f.StringVar(&trust, "trust", "", "the constellation's trust `FILE` (trust.json)")
	f.Float64Var(&at.Lat, "lat", 0, "claimed latitude in degrees, north positive")
	f.Float64Var(&at.Lon, "lon", 0, "claimed longitude in degrees, east positive")
	return cmd
}

func makeCore(cmd *cobra.Command, dir, gate, trust string, at earth.LatLon, protect identity.Protector) error {
	gateKey, err := readPublic(gate, identity.RoleGate)
	if err != nil {
		return err
	}
	if _, err := readTrust(trust); err != nil {
		return err
	}
	key, err := identity.Generate(identity.RoleCore, rand.Reader)
	if err != nil {
		return err
	}
	if err := newHome(dir); err != nil {
		return err
	}
	if err := identity.SaveKey(filepath.Join(dir, coreKeyName), key, protect); err != nil {
		return err
	}
	if _, err := copyTrust(trust, dir); err != nil {
		return err
	}
	for name, v := range map[string]any{coreGateName: gateKey, coreClaimName: at, corePublicName: publicOf(key)} {
		if err := writeJSON(filepath.Join(dir, name), v, 0o644); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "core    %s\nclaims  %s, leases of gate %s\npublic  %s: send it to the gate's defender\nchip    %x on the simulated platform\n",
		key.ID(), at, gateKey.ID.Short(), filepath.Join(dir, corePublicName), simMachine(key.ID()))
	return err
}

func coreProveCommand() *cobra.Command {
	var o coreOptions
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Go the whole road once: challenge, beacons, proof, decision",
		Long: "Asks the gate for a challenge, goes through the exchange with every beacon of its committee, and asks for a lease with the\n" +
			"proof. Prints each beacon's round trip and the gate's decision. Exit status 3: denied.\n\n" +
			"What is granted is forfeited when the command ends: it asks for one unit. --out keeps the proof, for whoever debugs a road; the\n" +
			"evidence that 'ursa verify' reads is the gate's to hand out.",
		Example: "  ursa core prove --dir core --directory directory.ursa --attest-result core/result --gate https://gate.example.net:8443 --passphrase-file pass",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.want = 1
			if s := policy.Scheme(o.scheme); o.burn == 0 && s.Burns() {
				o.burn = 1
			}
			return proveOnce(cmd, o, out, asJSON)
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&out, "out", "", "write the proof to `FILE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func coreRunCommand() *cobra.Command {
	var o coreOptions
	var log logFlag
	var onDenial bool
	var gpu string
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND...",
		Short: "Run a workload behind the lock: it runs while the gate's leases last",
		Long: "Starts COMMAND frozen, proves, asks for leases, thaws it, meters its CPU time, renews ahead of time, and freezes it the moment\n" +
			"the allowance is gone. Killing this command, however, ends the workload. Ctrl-C stops both.\n\n" +
			"The workload's output is passed on; what happens to the lock is logged on standard error.",
		Example: "  ursa core run --dir core --directory directory.ursa --sim-dir sim --gate https://gate.example.net:8443 --passphrase-file pass -- ./train --epochs 3",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || cmd.ArgsLenAtDash() != 0 {
				return errors.New("the workload's command stands behind --")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			logger, err := log.open(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if !slices.Contains([]string{gpuAuto, gpuOff, gpuRequired}, gpu) {
				return usagef("--gpu %q: use auto, off or required", gpu)
			}
			return runWorkload(cmd, o, logger, onDenial, gpu, args)
		},
	}
	o.register(cmd)
	log.register(cmd)
	cmd.Flags().Uint64Var((*uint64)(&o.want), "want", 5000, "`UNITS` to ask for at a time (ms of CPU time); the gate may give less")
	cmd.Flags().StringVar(&gpu, "gpu", gpuAuto, "meter GPU time besides CPU time: auto (where there is a driver), off, or required")
	cmd.Flags().BoolVar(&onDenial, "stop-when-denied", false, "end with exit status 3 at the first denial, instead of asking again")
	return cmd
}

func coreStatusCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "What the lock of a folder does now",
		Long:    "Asks the 'core run' that works in DIR. When none does, it says so: the workload stands still then.",
		Example: "  ursa core status --dir core --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := askCore(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, s)
			}
			return s.print(cmd)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "the core's `DIR`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// coreStatus is what `core run` says of itself.
type coreStatus struct {
	Core        identity.ID `json:"core"`
	State       string      `json:"state"` // the newest kind of event; "not running" when nothing works in the folder
	Allowance   uint64      `json:"allowance_units"`
	CPUMS       int64       `json:"cpu_ms"`
	Leases      int         `json:"leases"`
	Granted     uint64      `json:"granted_units"`
	LastLease   string      `json:"last_lease,omitempty"`
	LastTrouble string      `json:"last_trouble,omitempty"` // denial or failure
	Hold        string      `json:"hold,omitempty"`         // how the workload is held still
}

const coreNotRunning = "not running"

// askCore asks the process that works in a folder.
func askCore(ctx context.Context, dir string) (coreStatus, error) {
	if _, err := homeTrust(dir, "core"); err != nil {
		return coreStatus{}, err
	}
	p, err := readPublic(filepath.Join(dir, corePublicName), identity.RoleCore)
	if err != nil {
		return coreStatus{}, err
	}
	s := coreStatus{Core: p.ID, State: coreNotRunning}
	client, err := controlClient(dir)
	if errors.Is(err, errNotRunning) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, getJSON(ctx, client, "http://core/status", &s)
}

func (s coreStatus) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "core\t%s\nstate\t%s\n", s.Core, s.State)
	if s.State != coreNotRunning {
		fmt.Fprintf(w, "allowance\t%d units\nworkload\t%.3f s of CPU time, held by %s\nleases\t%d, %d units\n", s.Allowance, float64(s.CPUMS)/1000, s.Hold, s.Leases, s.Granted)
	}
	if s.LastLease != "" {
		fmt.Fprintf(w, "last lease\t%s\n", s.LastLease)
	}
	if s.LastTrouble != "" {
		fmt.Fprintf(w, "trouble\t%s\n", s.LastTrouble)
	}
	return w.Flush()
}

// note keeps what an event tells.
func (s *coreStatus) note(e core.Event) {
	if e.Kind == core.Allowance {
		s.State = string(core.Running)
	} else if e.Kind == core.Running || e.Kind == core.Frozen || e.Kind == core.Exited || e.Kind == core.Stopped || s.State == "" {
		s.State = string(e.Kind)
	}
	s.Allowance, s.CPUMS = uint64(e.Allowance), e.CPU.Milliseconds()
	switch e.Kind {
	case core.Granted:
		s.Leases++
		s.Granted += uint64(e.Units)
		s.LastLease, s.LastTrouble = e.At.UTC().Format(time.RFC3339), ""
	case core.DeniedKind, core.Failed:
		s.LastTrouble = oneLine(e.Reason)
	}
}

// statusHandler answers on the folder's socket.
func statusHandler(get func() any) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, get()) })
	return mux
}
