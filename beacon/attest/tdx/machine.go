package tdx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tcglog"
	"github.com/ursa-virtual/ursa/beacon/attest/tsm"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Where Linux shows the firmware's log, and where a program extends the last runtime register (Linux 6.16 and later).
const (
	DefaultEventLog = "/sys/firmware/acpi/tables/data/CCEL"
	DefaultRegister = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384"
)

// Machine is a guest on TDX: an attest.Attester. Its files are the kernel's unless named.
type Machine struct {
	Client   tsm.Client // nil: the running kernel
	EventLog string     // empty: DefaultEventLog, and no log where there is none
	Register string     // empty: DefaultRegister
	OwnLog   string     // file that Measure keeps; must not outlive a boot; empty: this program measures nothing

	mu sync.Mutex // one measurement at a time
}

// Platform returns attest.TDX.
func (m *Machine) Platform() attest.Platform { return attest.TDX }

// Report asks the kernel for a quote over reportData, and adds the logs that replay to its registers.
func (m *Machine) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := body{Version: attest.Version}
	log, err := readOptional(named(m.EventLog, DefaultEventLog))
	if err != nil {
		return nil, err
	}
	if log != nil {
		if b.Firmware, err = ParseEventLog(log); err != nil {
			return nil, err
		}
	}
	if b.Own, err = m.own(); err != nil {
		return nil, err
	}
	quote, _, err := tsm.Report(m.Client, tsm.ProviderTDX, reportData)
	if err != nil {
		return nil, err
	}
	b.Quote = trim(quote)
	return canon.Marshal(b)
}

// Measure extends an event into the last runtime register, unless the log has it already: restarting the same program changes nothing,
// while another program or configuration is visible until the next boot. The log is written first.
func (m *Machine) Measure(e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.OwnLog == "" {
		return fmt.Errorf("%w: no file for the log", ErrOwnLog)
	}
	events, err := m.own()
	if err != nil {
		return err
	}
	for _, old := range events {
		if old.Digest() == e.Digest() {
			return nil
		}
	}
	if err := m.save(append(events[:len(events):len(events)], e)); err != nil {
		return err
	}
	digest := e.Digest()
	if err := os.WriteFile(named(m.Register, DefaultRegister), digest[:], 0o600); err != nil {
		return fmt.Errorf("extending the runtime register: %w", errors.Join(err, m.save(events)))
	}
	return nil
}

func (m *Machine) save(events []Event) error {
	data, err := canon.Marshal(events)
	if err != nil {
		return err
	}
	return os.WriteFile(m.OwnLog, data, 0o600)
}

func (m *Machine) own() ([]Event, error) {
	if m.OwnLog == "" {
		return nil, nil
	}
	data, err := readOptional(m.OwnLog)
	if err != nil || data == nil {
		return nil, err
	}
	var events []Event
	if err := canon.Unmarshal(data, &events, maxBody); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOwnLog, err)
	}
	return events, nil
}

func named(file, standard string) string {
	if file == "" {
		return standard
	}
	return file
}

// readOptional reads a file that may be absent: nil then. Files of the kernel have no size.
func readOptional(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, tcglog.MaxSize+1))
}
