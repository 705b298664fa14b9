package tpm

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of a machine.
var (
	ErrNoCertificate = errors.New("TPM holds no endorsement certificate: its maker must supply one")
	ErrNotEnrolled   = errors.New("machine is not enrolled: no enrolment record")
	ErrOwnLog        = errors.New("log of our own measurements does not fit the TPM")
)

// Config says how to reach a machine's TPM.
type Config struct {
	Address     string   // a device, "unix:PATH" or "tcp:HOST:PORT"; empty: DefaultAddress
	FirmwareLog string   // file; empty: DefaultFirmwareLog where it exists, else a log without events
	OwnLog      string   // file that Measure keeps; it must not outlive a boot (such as /run/ursa/tpm.log); empty: in memory
	Issuers     [][]byte // DER certificates between the endorsement certificate and its root
	Record      []byte   // from enrolment; without it only Apply and Activate work
	PCRs        []int    // to quote; nil: 0 to 7 and OwnPCR

	// TPM is given instead of Address when the way is open already, as to a simulator in this process; Close closes it.
	TPM transport.TPMCloser
}

// Machine is a machine with a TPM: an attest.Attester. Safe for concurrent use; commands go one after another.
type Machine struct {
	config Config
	pcrs   []uint

	mu  sync.Mutex // guards the TPM and what follows
	tpm transport.TPMCloser
	own []Event
}

// Open connects to the TPM. Errors: ErrAddress, ErrOwnLog and those of files.
func Open(c Config) (*Machine, error) {
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	m := &Machine{config: c, pcrs: []uint{0, 1, 2, 3, 4, 5, 6, 7, OwnPCR}}
	if c.PCRs != nil {
		m.pcrs = nil
		for _, i := range c.PCRs {
			if i < 0 || i >= 24 || len(m.pcrs) > 0 && m.pcrs[len(m.pcrs)-1] >= uint(i) {
				return nil, fmt.Errorf("%w: %v", ErrPCRSelection, c.PCRs)
			}
			m.pcrs = append(m.pcrs, uint(i))
		}
	}
	if c.OwnLog != "" {
		data, err := os.ReadFile(c.OwnLog)
		if err == nil {
			err = canon.Unmarshal(data, &m.own, MaxBodySize)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", ErrOwnLog, err)
		}
	}
	if m.tpm = c.TPM; m.tpm != nil {
		return m, nil
	}
	var err error
	m.tpm, err = open(c.Address)
	return m, err
}

// Close closes the way to the TPM.
func (m *Machine) Close() error { return m.tpm.Close() }

// Platform returns attest.TPM.
func (m *Machine) Platform() attest.Platform { return attest.TPM }

// Apply makes the application for enrolment: the endorsement certificate from the TPM's own memory, and both public areas.
func (m *Machine) Apply() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ek, err := m.endorsement()
	if err != nil {
		return nil, err
	}
	defer m.flush(ek)
	ak, err := m.attestationKey()
	if err != nil {
		return nil, err
	}
	defer m.flush(ak)
	return canon.Marshal(application{1, append([][]byte{ek.certificate}, m.config.Issuers...), ek.public, ak.public})
}

// Activate opens an enroller's challenge inside the TPM: TPM2_ActivateCredential.
func (m *Machine) Activate(challenge []byte) ([]byte, error) {
	var a activation
	if err := canon.Unmarshal(challenge, &a, MaxApplicationSize); err != nil || a.Version != 1 {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ek, err := m.endorsement()
	if err != nil {
		return nil, err
	}
	defer m.flush(ek)
	ak, err := m.attestationKey()
	if err != nil {
		return nil, err
	}
	defer m.flush(ak)
	out, err := tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: ak.handle, Name: ak.name, Auth: tpm2.PasswordAuth(nil)},
		KeyHandle:      tpm2.AuthHandle{Handle: ek.handle, Name: ek.name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, endorsementPolicy)},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: a.Credential},
		Secret:         tpm2.TPM2BEncryptedSecret{Buffer: a.Secret},
	}.Execute(m.tpm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrActivation, err)
	}
	return out.CertInfo.Buffer, nil
}

// Credential names the attestation key, for evidence of another kind that vouches for it: see attest.Linked.
func (m *Machine) Credential() ([32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ak, err := m.attestationKey()
	if err != nil {
		return [32]byte{}, err
	}
	defer m.flush(ak)
	return attest.Credential(ak.public), nil
}

// Name names the machine as enrolment records and results do: by its endorsement key.
func (m *Machine) Name() ([32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	der, _, err := m.certificate()
	if err != nil {
		return [32]byte{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return [32]byte{}, fmt.Errorf("endorsement certificate: %w", err)
	}
	return machineOf(cert), nil
}

// SetRecord keeps the enroller's record for later reports; whoever calls stores it where Config.Record comes from.
func (m *Machine) SetRecord(record []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config.Record = bytes.Clone(record)
}

// Report quotes the registers with reportData as extra data.
func (m *Machine) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.config.Record) == 0 {
		return nil, ErrNotEnrolled
	}
	b := body{Version: attest.Version, Record: m.config.Record, Own: m.own}
	firmware, err := m.firmwareLog()
	if err != nil {
		return nil, err
	}
	locality := uint8(0)
	if len(firmware) > 0 {
		if b.Firmware, locality, err = ParseFirmwareLog(firmware); err != nil {
			return nil, err
		}
	}
	b.Locality = uint64(locality)
	certificate, _, err := m.certificate()
	if err != nil {
		return nil, err
	}
	b.Chain = append([][]byte{certificate}, m.config.Issuers...)
	ak, err := m.attestationKey()
	if err != nil {
		return nil, err
	}
	defer m.flush(ak)
	b.AK = ak.public
	if err := m.quote(&b, ak, reportData); err != nil {
		return nil, err
	}
	return canon.Marshal(b)
}

// maxTries bounds quotes that were overtaken by a measurement.
const maxTries = 3

// quote fills in quote and values. Values are read around the quote, as the quote holds only their hash; if something was extended
// in between, the hash differs and both are taken again.
func (m *Machine) quote(b *body, ak loadedKey, reportData [32]byte) error {
	selection := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(m.pcrs...)}}}
	for try := 0; ; try++ {
		values, err := m.readPCRs()
		if err != nil {
			return err
		}
		out, err := tpm2.Quote{
			SignHandle:     tpm2.AuthHandle{Handle: ak.handle, Name: ak.name, Auth: tpm2.PasswordAuth(nil)},
			QualifyingData: tpm2.TPM2BData{Buffer: reportData[:]},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect:      selection,
		}.Execute(m.tpm)
		if err != nil {
			return fmt.Errorf("quoting: %w", err)
		}
		sig, err := out.Signature.Signature.ECDSA()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrResponse, err)
		}
		b.PCRs, b.Quote = values, out.Quoted.Bytes()
		b.R, b.S = padded(sig.SignatureR.Buffer), padded(sig.SignatureS.Buffer)
		again, err := m.readPCRs()
		if err != nil {
			return err
		}
		if samePCRs(values, again) || try == maxTries {
			return nil
		}
	}
}

func samePCRs(a, b []pcrValue) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Index != b[i].Index || a[i].Digest != b[i].Digest {
			return false
		}
	}
	return true
}

// padded gives 32 bytes; TPMs may leave out leading zeros.
func padded(b []byte) []byte {
	if len(b) > 32 {
		return b
	}
	return append(make([]byte, 32-len(b)), b...)
}

// readPCRs reads the registers of the SHA-256 bank; a TPM gives at most eight in one answer.
func (m *Machine) readPCRs() ([]pcrValue, error) {
	out := make([]pcrValue, 0, len(m.pcrs))
	for _, i := range m.pcrs {
		v, err := m.readPCR(i)
		if err != nil {
			return nil, err
		}
		out = append(out, pcrValue{Index: uint8(i), Digest: v})
	}
	return out, nil
}

func (m *Machine) readPCR(i uint) ([32]byte, error) {
	out, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(i)}}}}.Execute(m.tpm)
	if err != nil {
		return [32]byte{}, fmt.Errorf("reading register %d: %w", i, err)
	}
	if len(out.PCRValues.Digests) != 1 || len(out.PCRValues.Digests[0].Buffer) != 32 {
		return [32]byte{}, fmt.Errorf("%w: register %d has no SHA-256 bank", ErrResponse, i)
	}
	return [32]byte(out.PCRValues.Digests[0].Buffer), nil
}

func (m *Machine) firmwareLog() ([]byte, error) {
	name := m.config.FirmwareLog
	if name == "" {
		if _, err := os.Stat(DefaultFirmwareLog); m.config.Address != DefaultAddress || err != nil {
			return nil, nil
		}
		name = DefaultFirmwareLog
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFirmwareLog+1)) // files of securityfs have no size
}
