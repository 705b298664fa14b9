package tpm

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Measure records what runs: it extends the event into OwnPCR, unless the log already has it, so that restarting the same program
// changes nothing while another program or configuration is visible until the next boot. The log is written before the register, so a
// crash in between leaves a log that is one event ahead; the next Measure notices and finishes the work. ErrOwnLog if log and
// register fit in no such way, for example when the log was lost or kept over a boot.
//
// firmware events in OwnPCR come first: the firmware's log is read once more here.
func (m *Machine) Measure(e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	done, err := m.extended()
	if err != nil {
		return err
	}
	events, known := m.own, false
	for _, old := range events {
		known = known || old.Digest() == e.Digest()
	}
	if !known {
		events = append(events[:len(events):len(events)], e)
		if err := m.saveOwn(events); err != nil {
			return err
		}
		m.own = events
	}
	for _, next := range events[done:] {
		if err := m.extend(next.Digest()); err != nil {
			return err
		}
	}
	return nil
}

// extended says how many events of our log are already in the register: all, or all but the last.
func (m *Machine) extended() (int, error) {
	value, err := m.readPCR(OwnPCR)
	if err != nil {
		return 0, err
	}
	log, err := m.firmwareLog()
	if err != nil {
		return 0, err
	}
	var firmware []Extend
	if len(log) > 0 {
		if firmware, _, err = ParseFirmwareLog(log); err != nil {
			return 0, err
		}
	}
	for n := len(m.own); n >= max(0, len(m.own)-1); n-- {
		r, err := replay(0, firmware, m.own[:n])
		if err != nil {
			return 0, err
		}
		if r[OwnPCR] == value {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: register %d is not what its %d events make of it since the boot, so it is another log, or none was kept", ErrOwnLog, OwnPCR, len(m.own))
}

func (m *Machine) extend(digest [32]byte) error {
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: OwnPCR, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
	}.Execute(m.tpm)
	if err != nil {
		return fmt.Errorf("extending register %d: %w", OwnPCR, err)
	}
	return nil
}

// saveOwn replaces the log in one step.
func (m *Machine) saveOwn(events []Event) error {
	if m.config.OwnLog == "" {
		return nil
	}
	data, err := canon.Marshal(events)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(m.config.OwnLog), ".tpm-log-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already after the rename
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), m.config.OwnLog)
}
