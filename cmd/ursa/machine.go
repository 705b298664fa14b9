package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	hardware "github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/service"
	"github.com/ursa-virtual/ursa/beacon/attest/snp"
	"github.com/ursa-virtual/ursa/beacon/attest/tdx"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// recordName is the enrolment record in the folder of a beacon or core.
const recordName = "tpm-record.ursa"

// machineFlags say how this machine attests for itself, and who appraises it.
type machineFlags struct {
	platform, address, record, ownLog, firmwareLog, vcek string
	issuers                                              []string
	service, appraiser                                   string
}

func (m *machineFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.platform, "attest", "", "this machine attests for itself: tpm, sev-snp, tdx, or a machine with both, such as sev-snp+tpm")
	f.StringVar(&m.address, "tpm", tpm.DefaultAddress, "`ADDRESS` of the TPM: a device, unix:PATH, tcp:HOST:PORT or swtpm:HOST:PORT")
	f.StringVar(&m.record, "tpm-record", "", "enrolment record `FILE`; default "+recordName+" in --dir, where a missing one is asked of --service")
	f.StringVar(&m.ownLog, "tpm-log", "", "`FILE` that remembers what was measured since the boot; must not outlive one; default below /run/ursa")
	f.StringVar(&m.firmwareLog, "firmware-log", "", "`FILE` of the firmware's log, if it is not the kernel's")
	f.StringSliceVar(&m.issuers, "issuer", nil, "PEM `FILE` with certificates between the endorsement certificate and its root")
	f.StringVar(&m.vcek, "vcek", "", "sev-snp: `FILE` with the chip's certificate, DER, if the host does not give it")
	f.StringVar(&m.service, "service", "", "`HOST:PORT` of the appraiser's service ('ursa attest serve'): results are renewed there")
	f.StringVar(&m.appraiser, "appraiser", "", "public key `FILE` of the appraiser whose service that is")
}

// check refuses words that cannot work before anything is opened.
func (m *machineFlags) check() error {
	for _, p := range strings.Split(m.platform, "+") {
		if x := attest.Platform(p); x != attest.TPM && x != attest.SEVSNP && x != attest.TDX {
			return usagef("--attest %q: use tpm, sev-snp, tdx, sev-snp+tpm or tdx+tpm; the simulated platform is --sim-dir", m.platform)
		}
	}
	if host, guest, both := strings.Cut(m.platform, "+"); both && (attest.Platform(guest) != attest.TPM || attest.Platform(host) == attest.TPM) {
		return usagef("--attest %q: a pair is sev-snp+tpm or tdx+tpm", m.platform)
	}
	if (m.service == "") != (m.appraiser == "") {
		return usagef("--service HOST:PORT and --appraiser FILE belong together: whose result is taken")
	}
	return nil
}

// ownMachine is this machine as an attester, with the way to its appraiser.
type ownMachine struct {
	attest.Attester
	client     service.Client // without an address: results are carried by hand
	tpm        *tpm.Machine   // nil: it has none
	configured bool           // a configuration was measured
}

func (o *ownMachine) close() {
	if o.tpm != nil {
		_ = o.tpm.Close()
	}
}

// appraisalTime bounds one errand to the appraiser.
const appraisalTime = time.Minute

// appraised fetches a fresh result.
func (o *ownMachine) appraised(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, appraisalTime)
	defer cancel()
	return o.client.Appraise(ctx, o)
}

// open opens what attests here, measures this program and, where there is one, its configuration, and enrols a TPM that has no record.
func (m *machineFlags) open(ctx context.Context, dir string, key *identity.Private, timed identity.TimedKeyID, c *attest.Configuration) (*ownMachine, error) {
	out := &ownMachine{}
	if m.service != "" {
		p, err := readPublic(m.appraiser, identity.RoleAppraiser)
		if err != nil {
			return nil, err
		}
		out.client = service.Client{Key: key, TimedKey: timed, Appraiser: p.Key, Address: m.service, Refusals: hardware.Refusals()}
	}
	host, _, both := strings.Cut(m.platform, "+")
	if both || attest.Platform(host) == attest.TPM {
		if err := m.openTPM(ctx, out, dir, c); err != nil {
			out.close()
			return nil, err
		}
	}
	var err error
	if attest.Platform(host) != attest.TPM {
		out.Attester, err = m.confidential(attest.Platform(host))
	}
	switch {
	case err != nil:
		out.close()
		return nil, err
	case both:
		out.Attester = attest.Linked{Host: out.Attester, Guest: out.tpm}
	case out.tpm != nil:
		out.Attester = out.tpm
	}
	return out, nil
}

func (m *machineFlags) confidential(p attest.Platform) (attest.Attester, error) {
	if p == attest.TDX {
		return &tdx.Machine{}, nil
	}
	out := snp.Machine{}
	var err error
	if m.vcek != "" {
		out.VCEK, err = readLimited(m.vcek, maxSmallFile)
	}
	return out, err
}

// openTPM opens and measures; a missing record is asked of the service.
func (m *machineFlags) openTPM(ctx context.Context, out *ownMachine, dir string, c *attest.Configuration) (err error) {
	cfg := tpm.Config{Address: m.address, FirmwareLog: m.firmwareLog, OwnLog: m.ownLog}
	if cfg.OwnLog == "" {
		if cfg.OwnLog, err = defaultOwnLog(m.address); err != nil {
			return err
		}
	}
	if out.tpm, err = openTPM(cfg, m.issuers); err != nil {
		return err
	}
	if err := measureProgram(out.tpm); err != nil {
		return err
	}
	if c != nil {
		if err := measureConfiguration(out.tpm, c); err != nil {
			return err
		}
		out.configured = true
	}
	return m.enrolled(ctx, out, dir)
}

// enrolled reads the record, or gets one.
func (m *machineFlags) enrolled(ctx context.Context, out *ownMachine, dir string) error {
	path := m.record
	if path == "" {
		path = filepath.Join(dir, recordName)
	}
	record, err := readLimited(path, tpm.MaxRecordSize)
	switch {
	case err == nil:
		out.tpm.SetRecord(record)
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case m.service == "":
		return fmt.Errorf("%s: %w; 'ursa attest enrol' writes one", path, tpm.ErrNotEnrolled)
	}
	ctx, cancel := context.WithTimeout(ctx, appraisalTime)
	defer cancel()
	if record, err = out.client.Enrol(ctx, out.tpm); err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	out.tpm.SetRecord(record)
	return writeWhole(path, record, 0o644)
}

// runFolder is gone after a boot, as the registers are.
const runFolder = "/run/ursa"

// defaultOwnLog names the log of a TPM.
func defaultOwnLog(address string) (string, error) {
	if err := os.MkdirAll(runFolder, 0o700); err != nil {
		return "", fmt.Errorf("the log of what was measured since the boot has no place: say --tpm-log FILE on a disk that a boot empties (%w)", err)
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/:.", r) {
			return '_'
		}
		return r
	}, address)
	return filepath.Join(runFolder, "tpm"+name+".log"), nil
}

// clockSourceFile says by which counter the kernel tells the time.
const clockSourceFile = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

func clockSource() (string, error) {
	data, err := os.ReadFile(clockSourceFile)
	if err != nil {
		return "", fmt.Errorf("the kernel does not say what its clock source is: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// beaconConfiguration is what a beacon measures beside its program: the clock that runs here, and the place that its folder says it has.
func beaconConfiguration(dir string) (*attest.Configuration, error) {
	var b beaconFile
	if err := readJSON(filepath.Join(dir, beaconPublicName), "a beacon's public file", &b); err != nil {
		return nil, err
	}
	var err error
	if b.ClockSource, err = clockSource(); err != nil {
		return nil, err
	}
	return b.configuration()
}
