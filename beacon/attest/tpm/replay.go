package tpm

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// The refusals of logs and registers.
var (
	ErrLogTooLong   = errors.New("event log is too long")
	ErrLogReplay    = errors.New("event log does not replay to the quoted registers")
	ErrPCRMissing   = errors.New("required register is not in the quote")
	ErrPCRUnused    = errors.New("required register was never extended: nothing measured the boot")
	ErrNoBuild      = errors.New("no build was measured")
	ErrReconfigured = errors.New("two builds or configurations were measured since the last boot: reboot")
	ErrEventType    = errors.New("event of an unknown type in our own log")
)

// maxEvents bounds a log.
const maxEvents = 1500

// registers are the values of the 24 registers of a PC client's SHA-256 bank.
type registers [24][32]byte

// initial is the state after a reset: PCRs 17 to 22 start with ones until a dynamic launch (PC Client Platform TPM Profile §4.6.2), and
// PCR 0 with the locality of the start.
func initial(locality uint8) registers {
	var r registers
	for i := 17; i <= 22; i++ {
		for j := range r[i] {
			r[i][j] = 0xff
		}
	}
	r[0][31] = locality
	return r
}

func (r *registers) extend(pcr uint8, digest [32]byte) {
	h := sha256.New()
	h.Write(r[pcr][:])
	h.Write(digest[:])
	r[pcr] = [32]byte(h.Sum(nil))
}

// replay computes the registers from both logs, the firmware's first: ErrLogTooLong, ErrLogReplay (impossible register).
func replay(locality uint64, firmware []Extend, own []Event) (registers, error) {
	if len(firmware) > maxEvents || len(own) > maxEvents {
		return registers{}, fmt.Errorf("%w: %d and %d events, at most %d", ErrLogTooLong, len(firmware), len(own), maxEvents)
	}
	if locality > 4 {
		return registers{}, fmt.Errorf("%w: start in locality %d", ErrLogReplay, locality)
	}
	r := initial(uint8(locality))
	for _, e := range firmware {
		if int(e.PCR) >= len(r) {
			return registers{}, fmt.Errorf("%w: register %d", ErrLogReplay, e.PCR)
		}
		r.extend(e.PCR, e.Digest)
	}
	for _, e := range own {
		r.extend(OwnPCR, e.Digest())
	}
	return r, nil
}

// Measured is what the events of our own say: one build, and one configuration or none. Repeating an event changes nothing; another
// content does.
type Measured struct {
	Build         []byte // SHA-256 of the program
	Configuration []byte // encoded attest.Configuration, or nil
}

// readOwn interprets our own log: ErrEventType, ErrReconfigured, ErrNoBuild.
func readOwn(own []Event) (Measured, error) {
	var m Measured
	for _, e := range own {
		var slot *[]byte
		switch e.Type {
		case EventBuild:
			slot = &m.Build
		case EventConfiguration:
			slot = &m.Configuration
		default:
			return Measured{}, ErrEventType
		}
		if *slot != nil && string(*slot) != string(e.Data) {
			return Measured{}, fmt.Errorf("%w (%s)", ErrReconfigured, e.Type)
		}
		*slot = append([]byte{}, e.Data...)
	}
	if len(m.Build) == 0 {
		return Measured{}, ErrNoBuild
	}
	return m, nil
}

// Measurement is what policies and reference values name: the required registers of the boot, in ascending order, and the build.
func Measurement(boot map[int][32]byte, build []byte) []byte {
	var b []byte
	for i := range 24 {
		if v, ok := boot[i]; ok {
			b = append(append(b, byte(i)), v[:]...)
		}
	}
	h := identity.Hash("tpm measurement", b, build)
	return h[:]
}
