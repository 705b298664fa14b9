package tdx

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"

	pb "github.com/google/go-tdx-guest/proto/tdx"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tcglog"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The refusals of logs.
var (
	ErrLogReplay  = errors.New("event log does not replay to the quoted runtime registers")
	ErrLogTooLong = errors.New("event log is too long")
	ErrNoLog      = errors.New("evidence has no event log, and this verifier wants one")
	ErrOwnLog     = errors.New("our own measurements do not name one program, and one configuration or none")
	ErrEventLog   = errors.New("not a TCG event log with SHA-384 digests")
)

// registers is how many runtime registers there are: 0 firmware, 1 boot loader and kernel, 2 what the operating system measures, 3 left
// to programs, which is ours.
const (
	registers   = 4
	ownRegister = 3
	maxEvents   = 500
)

// Extend is one digest that was extended into a runtime register.
type Extend struct {
	_        struct{} `cbor:",toarray"`
	Register uint8    // 0 to 3
	Digest   [48]byte // SHA-384
}

// The types of our own events.
const (
	EventBuild         = "build"         // data: SHA-256 of the program
	EventConfiguration = "configuration" // data: attest.Configuration, encoded
)

// Event is a measurement of our own, into the last register.
type Event struct {
	_    struct{} `cbor:",toarray"`
	Type string
	Data []byte
}

// Digest is what is extended.
func (e Event) Digest() [48]byte {
	h := identity.Hash("tdx event", []byte(e.Type), e.Data)
	return sha512.Sum384(h[:])
}

// ParseEventLog reads the digests of the firmware's log (the ACPI table CCEL), in order. Its register 0 is the build-time measurement,
// which is not extended at run time; 1 to 4 are runtime registers 0 to 3.
func ParseEventLog(log []byte) ([]Extend, error) {
	events, err := tcglog.Parse(log, tcglog.SHA384)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEventLog, err)
	}
	var out []Extend
	for _, e := range events {
		if e.Type != tcglog.NoAction && e.Register >= 1 && e.Register <= registers {
			out = append(out, Extend{Register: e.Register - 1, Digest: [48]byte(e.Digest)})
		}
	}
	return out, nil
}

// replay computes the registers from both logs, the firmware's first.
func replay(firmware []Extend, own []Event) (r [registers][48]byte, err error) {
	if len(firmware) > maxEvents || len(own) > maxEvents {
		return r, fmt.Errorf("%w: %d and %d events, at most %d", ErrLogTooLong, len(firmware), len(own), maxEvents)
	}
	extend := func(register uint8, digest [48]byte) {
		r[register] = sha512.Sum384(append(r[register][:], digest[:]...))
	}
	for _, e := range firmware {
		if e.Register >= registers {
			return r, fmt.Errorf("%w: register %d", ErrLogReplay, e.Register)
		}
		extend(e.Register, e.Digest)
	}
	for _, e := range own {
		extend(ownRegister, e.Digest())
	}
	return r, nil
}

// checkLogs replays what the evidence holds against the quote. Without a log nothing is said about what stands in the registers, but
// for their values.
func (b body) checkLogs(td *pb.TDQuoteBody, need bool) error {
	if len(b.Firmware)+len(b.Own) == 0 {
		if need {
			return ErrNoLog
		}
		return nil
	}
	replayed, err := replay(b.Firmware, b.Own)
	if err != nil {
		return err
	}
	for i, quoted := range td.GetRtmrs() {
		if i >= registers || !bytes.Equal(replayed[i][:], quoted) {
			return fmt.Errorf("%w: register %d", ErrLogReplay, i)
		}
	}
	return nil
}

// measured reads our own events: one program, and one configuration or none. Repeating an event changes nothing; another content does.
func measured(own []Event) (build, configuration []byte, err error) {
	for _, e := range own {
		slot := &build
		switch e.Type {
		case EventBuild:
		case EventConfiguration:
			slot = &configuration
		default:
			return nil, nil, fmt.Errorf("%w: event of an unknown type", ErrOwnLog)
		}
		if *slot != nil && !bytes.Equal(*slot, e.Data) {
			return nil, nil, fmt.Errorf("%w: two of %s", ErrOwnLog, e.Type)
		}
		*slot = append([]byte{}, e.Data...)
	}
	if len(own) > 0 && len(build) == 0 {
		return nil, nil, fmt.Errorf("%w: no build", ErrOwnLog)
	}
	return build, configuration, nil
}

// claim joins what the logs say with what the quote says: with events of our own the program stands in the measurement instead of the
// last register, which holds the configuration too.
func (b body) claim(c *attest.Claims, q quote) error {
	build, configuration, err := measured(b.Own)
	if err != nil || build == nil {
		return err
	}
	h := identity.Hash("tdx measurement with a program", append(q.measured(ownRegister), build)...)
	c.Measurement = h[:]
	if configuration != nil {
		c.Configuration = attest.HashConfiguration(configuration)
	}
	return nil
}
