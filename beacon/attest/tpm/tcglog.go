package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFirmwareLog reports a log that is not one of the TCG's crypto-agile format with SHA-256 digests.
var ErrFirmwareLog = errors.New("not a TCG event log with SHA-256 digests")

// DefaultFirmwareLog is where Linux shows the firmware's log.
const DefaultFirmwareLog = "/sys/kernel/security/tpm0/binary_bios_measurements"

// Numbers of the TCG PC Client Platform Firmware Profile 1.05, §10.
const (
	evNoAction     = 3
	algSHA256      = 0x000b
	specSignature  = "Spec ID Event03\x00"
	localityString = "StartupLocality\x00"
)

// MaxFirmwareLog is the largest log that is read, in bytes.
const MaxFirmwareLog = 4 << 20

// ParseFirmwareLog reads the digests of a firmware's log, in order, and the locality in which the platform started. It runs on the
// attesting machine, over its own kernel's file; what it returns is a claim that only replays if it is true.
//
//	first event, in the old format:  register u32 ‖ type u32 ‖ SHA-1[20] ‖ size u32 ‖ "Spec ID Event03\0" … algorithms and their sizes
//	every other:                     register u32 ‖ type u32 ‖ count u32 ‖ count × (algorithm u16 ‖ digest) ‖ size u32 ‖ data
//
// All numbers are little-endian. Events of type EV_NO_ACTION are not extended.
func ParseFirmwareLog(log []byte) (extends []Extend, locality uint8, err error) {
	if len(log) > MaxFirmwareLog {
		return nil, 0, fmt.Errorf("%w: %d bytes", ErrFirmwareLog, len(log))
	}
	r := &reader{rest: log}
	sizes, err := r.spec()
	if err != nil {
		return nil, 0, err
	}
	for len(r.rest) > 0 {
		pcr, typ, digest, data, err := r.event(sizes)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case typ != evNoAction:
			extends = append(extends, Extend{PCR: uint8(pcr), Digest: digest})
		case pcr == 0 && len(data) == len(localityString)+1 && string(data[:len(localityString)]) == localityString:
			locality = data[len(localityString)]
		}
	}
	return extends, locality, nil
}

// reader consumes a log from its front; after running out, bad stays set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, n = true, 0
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) u16() int {
	if b := r.take(2); len(b) == 2 {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// sized reads bytes preceded by their number.
func (r *reader) sized() []byte { return r.take(int(min(r.u32(), MaxFirmwareLog+1))) }

// spec reads the first event, which says how long each algorithm's digest is.
func (r *reader) spec() (map[int]int, error) {
	r.u32()
	typ := r.u32()
	r.take(20)
	in := &reader{rest: r.sized()}
	signature := in.take(len(specSignature))
	in.take(8)
	count := in.u32()
	if r.bad || in.bad || typ != evNoAction || !bytes.Equal(signature, []byte(specSignature)) || count == 0 || count > 16 {
		return nil, fmt.Errorf("%w: no crypto-agile header", ErrFirmwareLog)
	}
	sizes := make(map[int]int, count)
	for range count {
		algorithm := in.u16()
		sizes[algorithm] = in.u16()
	}
	if in.bad || sizes[algSHA256] != 32 {
		return nil, fmt.Errorf("%w: no SHA-256 bank", ErrFirmwareLog)
	}
	return sizes, nil
}

func (r *reader) event(sizes map[int]int) (pcr, typ uint32, digest [32]byte, data []byte, err error) {
	pcr, typ = r.u32(), r.u32()
	count, found := r.u32(), false
	if r.bad || pcr >= 24 || int(count) > len(sizes) {
		return 0, 0, digest, nil, fmt.Errorf("%w: event in register %d with %d digests", ErrFirmwareLog, pcr, count)
	}
	for range count {
		algorithm := r.u16()
		size, ok := sizes[algorithm]
		if !ok {
			return 0, 0, digest, nil, fmt.Errorf("%w: algorithm %#04x", ErrFirmwareLog, algorithm)
		}
		if b := r.take(size); algorithm == algSHA256 && len(b) == 32 {
			digest, found = [32]byte(b), true
		}
	}
	data = r.sized()
	if r.bad || !found {
		return 0, 0, digest, nil, fmt.Errorf("%w: an event is cut or lacks its SHA-256 digest", ErrFirmwareLog)
	}
	return pcr, typ, digest, data, nil
}
