package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpm"
	"github.com/ursa-virtual/ursa/simnet/stage"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// softTPMs are software TPMs, one for each beacon and one for the core, each a process of its own with a state of its own. The road is
// that of real ones: an endorsement certificate, credential activation, a measured boot, this program and its configuration in the
// registers, quotes. Only the manufacturer is pretended, and the boot.
type softTPMs struct {
	dir    string
	count  int
	maker  swtpm.Authority
	issuer []byte

	enroller *tpm.Enroller
	verifier *tpm.Verifier

	mu      sync.Mutex // guards what follows
	running []*swtpm.Running
	opened  []*tpm.Machine
}

// newSoftTPMs makes the folder: a short name, as sockets lie in it.
func newSoftTPMs(count int) (*softTPMs, error) {
	if err := swtpm.Installed(); err != nil {
		return nil, fmt.Errorf("--attest tpm: %w", err)
	}
	dir, err := os.MkdirTemp("", "ursa-tpm-")
	if err != nil {
		return nil, err
	}
	maker, err := swtpm.NewAuthority(filepath.Join(dir, "maker"))
	return &softTPMs{dir: dir, count: count, maker: maker}, err
}

// Platform returns attest.TPM.
func (*softTPMs) Platform() attest.Platform { return attest.TPM }

// machineDir is the folder of the n-th machine.
func (s *softTPMs) machineDir(n int) string { return filepath.Join(s.dir, fmt.Sprint(n)) }

// Open makes all TPMs, most of whose making is waiting, and says who enrols them.
func (s *softTPMs) Open(ctx context.Context, appraiser *identity.Private) ([]directory.AttestRoot, attest.Verifier, error) {
	if err := s.maker.Manufacture(ctx, s.machineDir(0)); err != nil { // the first one makes the manufacturer's keys
		return nil, nil, err
	}
	errs := make([]error, s.count)
	var making sync.WaitGroup
	for n := 1; n < s.count; n++ {
		making.Go(func() { errs[n] = s.maker.Manufacture(ctx, s.machineDir(n)) })
	}
	making.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	root, issuer, err := s.maker.Certificates()
	if err != nil {
		return nil, nil, err
	}
	s.issuer = issuer
	e := tpm.Endorsement{}
	e.Roots = append(e.Roots, root)
	s.enroller = &tpm.Enroller{Key: appraiser, Endorsement: e}
	s.verifier, err = tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{appraiser.Public()}, Endorsement: e, History: &tpm.Clocks{}})
	return []directory.AttestRoot{{Platform: string(attest.TPM), Key: root.Raw}}, s.verifier, err
}

// Machine boots the n-th TPM, enrols and measures it, and reads off a first quote what it measures as: in this demonstration the
// reference values are those of the machine itself, as the people who enrol would write them down.
func (s *softTPMs) Machine(ctx context.Context, n int, c *attest.Configuration) (attest.Attester, directory.Expectation, [32]byte, error) {
	none := directory.Expectation{}
	m, err := s.boot(n)
	if err != nil {
		return nil, none, [32]byte{}, err
	}
	record, err := enrol(m, s.enroller)
	if err != nil {
		return nil, none, [32]byte{}, err
	}
	m.SetRecord(record)
	if err := measureProgram(m); err != nil {
		return nil, none, [32]byte{}, err
	}
	if c != nil {
		if err := measureConfiguration(m, c); err != nil {
			return nil, none, [32]byte{}, err
		}
	}
	quote, err := m.Report(ctx, [32]byte{1})
	if err != nil {
		return nil, none, [32]byte{}, err
	}
	f, err := s.verifier.Examine(quote, time.Now().UnixNano())
	if err != nil {
		return nil, none, [32]byte{}, err
	}
	return m, directory.Expectation{Platform: string(attest.TPM), MinTCB: f.Claims.TCB, Machines: [][32]byte{f.Claims.Machine},
		Measurements: [][]byte{attest.Configured(f.Claims.Measurement, f.Claims.Configuration)}}, f.Claims.Machine, nil
}

// boot starts the TPM and plays a firmware.
func (s *softTPMs) boot(n int) (*tpm.Machine, error) {
	dir := s.machineDir(n)
	r, err := swtpm.Start(dir, false)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.running = append(s.running, r)
	s.mu.Unlock()
	log := filepath.Join(dir, "firmware.log")
	if err := swtpm.Boot(r.Address, log, 1); err != nil {
		return nil, err
	}
	m, err := tpm.Open(tpm.Config{Address: r.Address, FirmwareLog: log, Issuers: [][]byte{s.issuer}})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, m)
	return m, nil
}

// close ends every TPM and removes what they were.
func (s *softTPMs) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.opened {
		_ = m.Close()
	}
	for _, r := range s.running {
		r.Stop()
	}
	_ = os.RemoveAll(s.dir)
}

// machines are what a run stands on; end ends them. Nil machines are the simulated platform.
func (u *up) machines() (m stage.Machines, end func(), err error) {
	if u.flags.attest == string(attest.Sim) {
		return nil, func() {}, nil
	}
	s, err := newSoftTPMs(len(u.scene.Beacons) + 1)
	if err != nil {
		return nil, nil, err
	}
	return s, s.close, nil
}

// attested says for people what the run's evidence is worth.
func (u *up) attested() string {
	if u.flags.attest == string(attest.Sim) {
		return "sim (no real hardware)"
	}
	return "tpm, by software TPMs of a pretended manufacturer"
}
