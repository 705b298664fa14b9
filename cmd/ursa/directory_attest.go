package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// machineName is what appraisers call a machine: 32 bytes, in JSON 64 hexadecimal digits.
type machineName [32]byte

var errMachineName = errors.New("a machine's name has 64 hexadecimal digits, as 'ursa attest machine' prints it")

// MarshalText implements encoding.TextMarshaler.
func (m machineName) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(m[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *machineName) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(m) {
		return fmt.Errorf("%q: %w", text, errMachineName)
	}
	*m = machineName(b)
	return nil
}

// errNoExpectation reports a beacon that attests on a real machine, of which nobody has said yet what its evidence must look like.
var errNoExpectation = errors.New("nothing says what its evidence must look like")

// configuration is what the beacon's evidence must cover.
func (b beaconFile) configuration() (*attest.Configuration, error) {
	if b.ClockSource == "" {
		return nil, fmt.Errorf("%s: %w", b.Place, errNoClockSource)
	}
	sim := simExpectation()
	b.Attest = []attestation{{Platform: sim.Platform, MinTCB: sim.MinTCB, Measurements: []hexString{sim.Measurements[0]}}} // only the place matters here
	e, err := b.entry(time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	return &attest.Configuration{ClockSource: b.ClockSource, PositionMM: e.Position, PosUncMM: e.PosUncMM}, nil
}

var errNoClockSource = errors.New("its clock source is unknown: 'ursa beacon init --attest tpm' writes it, or say --clock")

// makerFile is a manufacturer whose machines count, in a draft.
type makerFile struct {
	Platform    string    `json:"platform"`
	Certificate hexString `json:"certificate"` // DER
	Name        string    `json:"name"`        // for people
}

func directoryMakerCommand() *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "maker DIR FILE...",
		Short: "Trust a manufacturer: the root certificates that evidence of a platform must lead to",
		Long: "Puts root certificates in PEM into the draft of DIR. For tpm these are the makers' roots of endorsement certificates, for\n" +
			"sev-snp AMD's root keys (ARK), for tdx Intel's SGX root. Everybody who has the directory can then examine evidence offline.",
		Example: "  ursa directory maker dir --platform tpm infineon-root.pem nuvoton-root.pem",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if p := attest.Platform(platform); p != attest.TPM && p != attest.SEVSNP && p != attest.TDX {
				return usagef("--platform %q: use tpm, sev-snp or tdx", platform)
			}
			d, err := readDraft(args[0])
			if err != nil {
				return err
			}
			certificates, err := readCertificates(args[1:])
			if err != nil {
				return err
			}
			for _, c := range certificates {
				m := makerFile{Platform: platform, Certificate: c.Raw, Name: c.Subject.String()}
				if !slices.ContainsFunc(d.Makers, func(x makerFile) bool { return x.Platform == platform && string(x.Certificate) == string(c.Raw) }) {
					d.Makers = append(d.Makers, m)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "maker   %s  %s\n", platform, m.Name)
			}
			return d.save(args[0])
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "tpm, sev-snp or tdx")
	return cmd
}

func directoryExpectCommand() *cobra.Command {
	var keepers keepersFlags
	var beacon, clock string
	var manifests, machines []string
	cmd := &cobra.Command{
		Use:   "expect DIR",
		Short: "Say what a beacon's evidence must look like: the builds of manifests, with its clock source and surveyed position",
		Long: "Replaces the expectation in a beacon's entry of the draft by what signed manifests name, joined with the configuration that\n" +
			"the beacon must have measured: the clock source and the position of the entry itself. A beacon that tells another place, or\n" +
			"times with another clock, is then refused although its program is right. --machine pins it to machines, so that a stolen key\n" +
			"is worth nothing on another one.",
		Example: "  ursa directory expect dir --beacon 4f1c2a9b --manifest manifest.ursa --keepers keepers.json --machine 9d3e…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "beacon", "manifest", "keepers"); err != nil {
				return err
			}
			d, err := readDraft(args[0])
			if err != nil {
				return err
			}
			b, err := d.find(beacon)
			if err != nil {
				return err
			}
			if clock != "" {
				b.ClockSource = clock
			}
			if err := b.expect(&keepers, manifests, machines); err != nil {
				return err
			}
			for _, a := range b.Attest {
				fmt.Fprintf(cmd.OutOrStdout(), "expects  %s  %d measurements, %d machines  %s\n", a.Platform, len(a.Measurements), len(a.Machines), b.Place)
			}
			return d.save(args[0])
		},
	}
	keepers.register(cmd)
	cmd.Flags().StringVar(&beacon, "beacon", "", "beginning of the beacon's `ID`, at least 8 digits")
	cmd.Flags().StringSliceVar(&manifests, "manifest", nil, "signed manifest `FILE`")
	cmd.Flags().StringSliceVar(&machines, "machine", nil, "`NAME` of a machine that it may run on, as 'ursa attest machine' prints it; none: any that attests")
	cmd.Flags().StringVar(&clock, "clock", "", "the kernel's name of its clock source; default what the beacon's file says")
	return cmd
}

// find returns the draft's entry of a beacon.
func (d *draft) find(prefix string) (*beaconFile, error) {
	if len(prefix) < 8 {
		return nil, usagef("--beacon %q: give at least 8 digits of its id", prefix)
	}
	var found *beaconFile
	for i, b := range d.Beacons {
		if strings.HasPrefix(b.ID.String(), strings.ToLower(prefix)) {
			if found != nil {
				return nil, usagef("--beacon %q: there are two such; give more digits", prefix)
			}
			found = &d.Beacons[i]
		}
	}
	if found == nil {
		return nil, usagef("--beacon %q: the draft lists no such beacon; 'ursa directory show' lists them", prefix)
	}
	return found, nil
}

// expect computes what its evidence must look like.
func (b *beaconFile) expect(keepers *keepersFlags, manifests, machines []string) error {
	c, err := b.configuration()
	if err != nil {
		return err
	}
	hash, err := c.Hash()
	if err != nil {
		return err
	}
	list, err := keepers.verifyAll(manifests)
	if err != nil {
		return err
	}
	names := make([]machineName, len(machines))
	for i, m := range machines {
		if err := names[i].UnmarshalText([]byte(m)); err != nil {
			return usagef("--machine %w", err)
		}
	}
	b.Attest = expectations(hash, names, list)
	return nil
}

// expectations are those of manifests for one configured machine. Only what measures its configuration is joined with it: a TPM, alone or in
// a pair.
func expectations(configuration [32]byte, machines []machineName, list []attest.Manifest) []attestation {
	var out []attestation
	for _, configured := range []bool{false, true} {
		hash := configuration
		if !configured {
			hash = [32]byte{}
		}
		for _, e := range attest.PolicyOfManifests(hash, list...).Accept {
			if measuresConfiguration(e) != configured {
				continue
			}
			a := attestation{Platform: e.Platform, MinTCB: e.MinTCB, Machines: machines}
			for _, m := range e.Measurements {
				a.Measurements = append(a.Measurements, m)
			}
			out = append(out, a)
		}
	}
	return out
}

func measuresConfiguration(e directory.Expectation) bool {
	return e.Platform == string(attest.TPM) || strings.HasSuffix(e.Platform, "+"+string(attest.TPM))
}

// addAppraiser puts an appraiser in whose results and enrolments count.
func (d *draft) addAppraiser(p publicFile) string {
	d.Appraisers = put(d.Appraisers, p, func(q publicFile) identity.ID { return q.ID })
	return "appraiser " + p.ID.String()
}
