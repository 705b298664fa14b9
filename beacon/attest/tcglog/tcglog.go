// Package tcglog reads the event logs that firmware keeps in the TCG's crypto-agile format (PC Client Platform Firmware Profile 1.05, §10):
// of a TPM's registers, and of the runtime registers of a confidential machine (UEFI 2.10, §38).
//
// What it believes: nothing; what it returns is a claim, true only if its digests replay to quoted registers. What it promises: no
// panic and bounded work on any bytes, and an error for everything that is not such a log. Text in a log is not covered by its digests
// (a known way to relabel events), so whoever sends a log on sends digests.
package tcglog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat reports a log that is not one, or lacks the wanted algorithm.
var ErrFormat = errors.New("not a TCG event log")

// Algorithm is a hash algorithm by its TCG number.
type Algorithm uint16

// The algorithms of the registers that are read here.
const (
	SHA256 Algorithm = 0x000b // of a TPM
	SHA384 Algorithm = 0x000c // of TDX's runtime registers
)

// digestSize is in bytes.
func (a Algorithm) digestSize() int {
	if a == SHA384 {
		return 48
	}
	return 32
}

// NoAction is the type of events that are not extended.
const NoAction = 3

const specSignature = "Spec ID Event03\x00"

// MaxSize is the largest log that is read, in bytes.
const MaxSize = 4 << 20

// maxRegister is beyond every register of a PC client.
const maxRegister = 24

// Event is one entry.
type Event struct {
	Register uint8
	Type     uint32
	Digest   []byte // of the wanted algorithm
	Data     []byte
}

// Parse reads a log's events in order, with their digests by one algorithm:
//
//	first event, in the old format:  register u32 ‖ type u32 ‖ SHA-1[20] ‖ size u32 ‖ "Spec ID Event03\0" … algorithms and their sizes
//	every other:                     register u32 ‖ type u32 ‖ count u32 ‖ count × (algorithm u16 ‖ digest) ‖ size u32 ‖ data
//
// All numbers are little-endian. Firmware that hands over its whole buffer fills the rest of it with ones or zeros; that is its end.
func Parse(log []byte, a Algorithm) ([]Event, error) {
	if len(log) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(log))
	}
	r := &reader{rest: log}
	sizes, err := r.spec(a)
	if err != nil {
		return nil, err
	}
	var events []Event
	for len(r.rest) > 0 && !filler(r.rest) {
		e, err := r.event(sizes, a)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// filler says whether nothing but ones or zeros is left. An event never begins so: register 0xffffffff does not exist, and an event
// without any digest is none.
func filler(rest []byte) bool {
	head := rest[:min(len(rest), 12)]
	if !bytes.Equal(head, bytes.Repeat([]byte{0xff}, len(head))) && !bytes.Equal(head, make([]byte, len(head))) {
		return false
	}
	return len(bytes.Trim(rest, string(rest[:1]))) == 0
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

func (r *reader) u16() uint16 {
	if b := r.take(2); len(b) == 2 {
		return binary.LittleEndian.Uint16(b)
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
func (r *reader) sized() []byte { return r.take(int(min(r.u32(), MaxSize+1))) }

// spec reads the first event, which says how long each algorithm's digest is.
func (r *reader) spec(a Algorithm) (map[Algorithm]int, error) {
	r.u32()
	typ := r.u32()
	r.take(20)
	in := &reader{rest: r.sized()}
	signature := in.take(len(specSignature))
	in.take(8)
	count := in.u32()
	if r.bad || in.bad || typ != NoAction || !bytes.Equal(signature, []byte(specSignature)) || count == 0 || count > 16 {
		return nil, fmt.Errorf("%w: no crypto-agile header", ErrFormat)
	}
	sizes := make(map[Algorithm]int, count)
	for range count {
		algorithm := Algorithm(in.u16())
		sizes[algorithm] = int(in.u16())
	}
	if in.bad || sizes[a] != a.digestSize() {
		return nil, fmt.Errorf("%w: no digests of algorithm %#04x", ErrFormat, uint16(a))
	}
	return sizes, nil
}

func (r *reader) event(sizes map[Algorithm]int, a Algorithm) (Event, error) {
	register, typ := r.u32(), r.u32()
	count := r.u32()
	if r.bad || register >= maxRegister || int64(count) > int64(len(sizes)) {
		return Event{}, fmt.Errorf("%w: event in register %d with %d digests", ErrFormat, register, count)
	}
	e := Event{Register: uint8(register), Type: typ}
	for range count {
		algorithm := Algorithm(r.u16())
		size, ok := sizes[algorithm]
		if !ok {
			return Event{}, fmt.Errorf("%w: algorithm %#04x", ErrFormat, uint16(algorithm))
		}
		if b := r.take(size); algorithm == a && len(b) == size {
			e.Digest = b
		}
	}
	e.Data = r.sized()
	if r.bad || e.Digest == nil {
		return Event{}, fmt.Errorf("%w: an event is cut or lacks its digest", ErrFormat)
	}
	return e, nil
}
