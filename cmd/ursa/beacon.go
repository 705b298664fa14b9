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

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files of a beacon's folder.
const (
	beaconKeyName    = "beacon.key"
	beaconPublicName = "beacon.json"
	beaconMetrics    = "127.0.0.1:9433"
)

func beaconCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "beacon",
		Short: "A host's beacon: make it, serve it, look at it",
		Long: "A beacon stands at a surveyed place and answers timed challenges that a gate of its directory asked for.\n" +
			"A host makes one with 'init', sends its public file to the directory's signers, and serves it.",
		Example: "  ursa beacon init fra --place 'Frankfurt, DE' --lat 50.11 --lon 8.68 --domain operator:acme --address fra.example.net:4433 --trust trust.json\n" +
			"  ursa beacon serve --dir fra --directory directory.ursa --attest-result result --listen 192.0.2.7:4433\n" +
			"  ursa beacon status",
	}
	cmd.AddCommand(beaconInitCommand(), beaconServeCommand(), beaconStatusCommand(), beaconRelayCommand(), beaconUnitCommand(),
		beaconContainerCommand())
	cmd.AddCommand(beaconBenchCommand())
	return cmd
}

func beaconInitCommand() *cobra.Command {
	var keys keyFlags
	var b beaconFile
	var trust, platform string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a beacon: its key, and the public file for the directory",
		Long: "Makes DIR with the beacon's key (encrypted) and beacon.json, the public file that the directory's signers put into the\n" +
			"directory. Survey the position well: an error beyond --pos-unc makes proofs wrong, and the beacon a liar.\n\n" +
			"Domains name what the beacon fails with; beacons that share one count as one. Name the operator, the site and the hypervisor.",
		Example: "  ursa beacon init fra --place 'Frankfurt, DE' --lat 50.1109 --lon 8.6821 --height 112 --pos-unc 10 \\\n" +
			"    --domain operator:acme --domain site:fra1 --address fra.example.net:4433 --trust trust.json --passphrase-file pass",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "place", "lat", "lon", "domain", "address", "trust"); err != nil {
				return err
			}
			if err := (&machineFlags{platform: platform}).check(); err != nil && platform != string(attest.Sim) {
				return err
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			return makeBeacon(cmd, args[0], b, platform, trust, protect)
		},
	}
	keys.register(cmd)
	f := cmd.Flags()
	f.StringVar(&b.Place, "place", "", "name of the `PLACE`, for people")
	f.Float64Var(&b.Lat, "lat", 0, "surveyed WGS84 latitude in degrees, north positive")
	f.Float64Var(&b.Lon, "lon", 0, "surveyed WGS84 longitude in degrees, east positive")
	f.Float64Var(&b.HeightM, "height", 0, "height above the ellipsoid in metres")
	f.Float64Var(&b.PosUncM, "pos-unc", 50, "uncertainty of the position in metres: the antenna, and the cable to the machine")
	f.StringArrayVar(&b.Domains, "domain", nil, "`DOMAIN` that it fails with, such as operator:acme; repeat for each")
	f.StringVar(&b.Address, "address", "", "`HOST:PORT` at which cores reach it")
	f.StringVar(&platform, "attest", string(attest.Sim), "`PLATFORM` on which it will attest: sim, tpm, sev-snp+tpm or tdx+tpm; what its evidence must look like the signers then compute")
	f.StringVar(&trust, "trust", "", "the constellation's trust `FILE` (trust.json)")
	return cmd
}

func makeBeacon(cmd *cobra.Command, dir string, b beaconFile, platform, trust string, protect identity.Protector) error {
	key, err := identity.Generate(identity.RoleBeacon, rand.Reader)
	if err != nil {
		return err
	}
	b.publicFile = publicOf(key)
	slices.Sort(b.Domains)
	if platform == string(attest.Sim) {
		sim := simExpectation()
		b.Attest = []attestation{{Platform: sim.Platform, MinTCB: sim.MinTCB, Measurements: []hexString{sim.Measurements[0]}}}
	} else if b.ClockSource, err = clockSource(); err != nil {
		return err
	}
	if err := directory.CheckDomains(b.Domains); err != nil {
		return usagef("--domain: %w; use one word of ASCII for each, such as operator:acme", err)
	}
	switch _, err := b.entry(time.Now(), time.Now().Add(time.Hour)); {
	case errors.Is(err, directory.ErrAddress):
		return usagef("--address %q: use HOST:PORT, such as fra.example.net:4433", b.Address)
	case err != nil && !errors.Is(err, errNoExpectation):
		return usagef("%w", err)
	}
	if _, err := readTrust(trust); err != nil {
		return err
	}
	if err := newHome(dir); err != nil {
		return err
	}
	if err := identity.SaveKey(filepath.Join(dir, beaconKeyName), key, protect); err != nil {
		return err
	}
	if _, err := copyTrust(trust, dir); err != nil {
		return err
	}
	public := filepath.Join(dir, beaconPublicName)
	if err := writeJSON(public, b, 0o644); err != nil {
		return err
	}
	if platform == string(attest.Sim) {
		fmt.Fprintln(cmd.ErrOrStderr(), simNotice)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "beacon  %s\nplace   %s at %s, within %v m\npublic  %s: send it to the directory's signers\n",
		key.ID(), b.Place, b.at(), b.PosUncM, public)
	return err
}

func beaconServeCommand() *cobra.Command {
	var o beaconOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer timed challenges on a UDP port",
		Long: "Serves the beacon of a folder. SIGHUP reloads directory and attestation result without a break; SIGTERM lets the exchanges\n" +
			"in progress finish. Bind to the one address that the directory names: a reply that leaves from another is dropped.\n\n" +
			"With --sim-dir it attests itself on the simulated platform. " + simNotice,
		Example: "  ursa beacon serve --dir fra --directory directory.ursa --attest-result fra/result --listen 192.0.2.7:4433 --passphrase-file pass\n" +
			"  ursa beacon serve --dir fra --directory directory.ursa --sim-dir sim --listen 127.0.0.1:4433 --passphrase-file pass",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveBeacon(cmd, o)
		},
	}
	o.keys.register(cmd)
	o.passport.register(cmd)
	o.log.register(cmd)
	o.receiver.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", ".", "the beacon's `DIR`, which 'beacon init' made")
	f.StringVar(&o.directory, "directory", "", "`FILE` of the signed directory")
	f.StringVar(&o.listen, "listen", ":4433", "UDP `ADDRESS` to answer on")
	f.StringVar(&o.metrics, "metrics", beaconMetrics, "TCP `ADDRESS` for Prometheus (/metrics) and 'beacon status'; empty: none")
	f.StringVar(&o.path, "path", "auto", "how rounds travel: auto, steered, wrapped, transport or datagram")
	f.DurationVar(&o.drain, "drain", 5*time.Second, "how long exchanges in progress may go on after SIGTERM")
	return cmd
}

func beaconStatusCommand() *cobra.Command {
	var metrics string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask a running beacon how it is: clock, socket, directory, attestation, exchanges",
		Long: "Asks the metrics address of a running 'beacon serve'. Exit status 1 when it does not answer, or when one of its checks fails:\n" +
			"fit for a health check.",
		Example: "  ursa beacon status\n  ursa beacon status --metrics 127.0.0.1:9434 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s beaconStatus
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			if err := getJSON(ctx, http.DefaultClient, "http://"+metrics+"/status", &s); err != nil {
				return fmt.Errorf("no beacon answers at %s: is 'ursa beacon serve' running with --metrics %s? (%w)", metrics, metrics, err)
			}
			if asJSON {
				if err := printJSON(cmd, s); err != nil {
					return err
				}
			} else if err := s.print(cmd); err != nil {
				return err
			}
			return s.failure()
		},
	}
	cmd.Flags().StringVar(&metrics, "metrics", beaconMetrics, "`ADDRESS` of its metrics")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// beaconStatus is what /status says.
type beaconStatus struct {
	Beacon      identity.ID     `json:"beacon"`
	Place       string          `json:"place"`
	Listen      string          `json:"listen"`
	Path        string          `json:"path"` // how rounds travel on its socket
	UptimeS     int64           `json:"uptime_s"`
	Clock       clockStatus     `json:"clock"`
	Directory   directoryStatus `json:"directory"`
	Attestation attestStatus    `json:"attestation"`
	Exchanges   exchangeStatus  `json:"exchanges"`
	Checks      []check         `json:"checks"`
}

type clockStatus struct {
	GranularityNS uint64  `json:"granularity_ns"`
	ErrPPB        uint32  `json:"err_ppb"`
	CostM         float64 `json:"cost_m"` // that the granularity adds to every radius
}

type directoryStatus struct {
	Epoch     uint64 `json:"epoch"`
	Hash      string `json:"hash"`
	Beacons   int    `json:"beacons"`
	ExpiresAt string `json:"expires_at"`
}

type attestStatus struct {
	Platform  string `json:"platform"`
	ExpiresAt string `json:"expires_at"`
}

type exchangeStatus struct {
	Statements    uint64            `json:"statements"`
	Countersigned uint64            `json:"countersigned"`
	Refused       uint64            `json:"refused"`
	InProgress    int               `json:"in_progress"`
	Reasons       map[string]uint64 `json:"refused_reasons"`
}

// failure names the first check that failed.
func (s beaconStatus) failure() error {
	for _, c := range s.Checks {
		if !c.OK {
			return fmt.Errorf("beacon %s is not well: %s: %s", s.Beacon.Short(), c.Name, c.Detail)
		}
	}
	return nil
}

// print tells a person.
func (s beaconStatus) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "beacon\t%s  %s\n", s.Beacon, s.Place)
	fmt.Fprintf(w, "socket\t%s, rounds %s, up %s\n", s.Listen, s.Path, time.Duration(s.UptimeS)*time.Second)
	fmt.Fprintf(w, "directory\tepoch %d, %d beacons, until %s\n", s.Directory.Epoch, s.Directory.Beacons, s.Directory.ExpiresAt)
	fmt.Fprintf(w, "attested\tplatform %s, until %s\n", s.Attestation.Platform, s.Attestation.ExpiresAt)
	fmt.Fprintf(w, "exchanges\t%d statements (%d countersigned), %d refused, %d in progress\n", s.Exchanges.Statements, s.Exchanges.Countersigned,
		s.Exchanges.Refused, s.Exchanges.InProgress)
	for _, c := range s.Checks {
		word := "ok"
		if !c.OK {
			word = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s: %s\n", c.Name, word, c.Detail)
	}
	return w.Flush()
}
