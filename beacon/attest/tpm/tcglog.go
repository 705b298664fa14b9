package tpm

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/beacon/attest/tcglog"
)

// ErrFirmwareLog reports a log that is not one of the TCG's crypto-agile format with SHA-256 digests.
var ErrFirmwareLog = errors.New("not a TCG event log with SHA-256 digests")

// DefaultFirmwareLog is where Linux shows the firmware's log.
const DefaultFirmwareLog = "/sys/kernel/security/tpm0/binary_bios_measurements"

// MaxFirmwareLog is the largest log that is read, in bytes.
const MaxFirmwareLog = tcglog.MaxSize

const localityString = "StartupLocality\x00"

// ParseFirmwareLog reads the digests of a firmware's log, in order, and the locality in which the platform started. It runs on the
// attesting machine, over its own kernel's file; what it returns is a claim that only replays if it is true. Events that are not
// extended are left out.
func ParseFirmwareLog(log []byte) (extends []Extend, locality uint8, err error) {
	events, err := tcglog.Parse(log, tcglog.SHA256)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrFirmwareLog, err)
	}
	for _, e := range events {
		switch {
		case e.Type != tcglog.NoAction:
			extends = append(extends, Extend{PCR: e.Register, Digest: [32]byte(e.Digest)})
		case e.Register == 0 && len(e.Data) == len(localityString)+1 && string(e.Data[:len(localityString)]) == localityString:
			locality = e.Data[len(localityString)]
		}
	}
	return extends, locality, nil
}
