package exchange

import (
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// Event is something that happened to a machine. It is made by Start, Tick, GotMessage, GotPacket, Departed or Arrived.
type Event struct {
	kind      eventKind
	message   []byte
	packet    *Packet
	arrival   stamp.Arrival
	departure stamp.Departure
}

type eventKind uint8

const (
	eventStart eventKind = iota + 1
	eventTick
	eventMessage
	eventPacket
	eventDeparted
	eventArrived
)

// Start opens the exchange: the core's machine answers with Init, the beacon's with a deadline.
func Start() Event { return Event{kind: eventStart} }

// Tick says that time has passed. It is due at Output.Wake and harmless at any other time.
func Tick() Event { return Event{kind: eventTick} }

// GotMessage is one whole message (head and body) from the stream.
func GotMessage(msg []byte) Event { return Event{kind: eventMessage, message: msg} }

// GotPacket is one round packet. The machine does not keep p. When Output.Stamped is set, its arrival must be reported next.
func GotPacket(p *Packet) Event { return Event{kind: eventPacket, packet: p} }

// Arrived reports the arrival of the packet that the last GotPacket brought, after the answer to it has left: the stamp was
// taken before, but turning it into an arrival takes time that an answer need not wait for. An arrival that could not be had is
// reported as the zero value and costs the round.
func Arrived(at stamp.Arrival) Event { return Event{kind: eventArrived, arrival: at} }

// Departed reports the departure of the packet that the last Output held. It must be the next event after a packet was
// written, before any other; a packet that could not be written is reported by not reporting it, and times out.
func Departed(d stamp.Departure) Event { return Event{kind: eventDeparted, departure: d} }

// Output is what the shell does next, in this order: write Packet (stamping it) and report Departed; report Arrived; write
// Message; come back with a Tick at Wake at the latest; when Done, close.
type Output struct {
	// Packet must leave at once; nil when there is none. It belongs to the machine and is valid until the next Step.
	Packet *Packet
	// Timed says that the departure of Packet starts an interval and must be reported. FN starts none.
	Timed bool
	// Stamped says that the packet just handed in ended an interval, and Arrived must be reported once Packet has left.
	Stamped bool
	// Message goes on the stream; nil when there is none.
	Message []byte
	// Listen is the session whose round packets should reach the machine from now on; it stays set until the timed phase is over.
	Listen *Session
	// Wake is when the next Tick is due; stamp.Never when nothing is.
	Wake stamp.Instant
	// Refused is why a packet was dropped. The exchange goes on as if the packet had not come.
	Refused error
	// Done says that the exchange has ended well and its result can be taken.
	Done bool
}

// The ends of an exchange that are not about one check.
var (
	ErrDeadline = errors.New("the other side did not send what was due in time")
	ErrOver     = errors.New("the exchange is over")
	ErrRefused  = errors.New("the other side refused the exchange")
)

// RefusedError is what the other side said when it ended the exchange. Its text comes from there and is only for people.
type RefusedError struct {
	Code uint16
	Text string
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%v: %s", ErrRefused, e.Text) }

// Is makes errors.Is(err, ErrRefused) true, and for a known code also the sentinel it stands for.
func (e *RefusedError) Is(target error) bool {
	if target == ErrRefused {
		return true
	}
	for _, r := range refusals {
		if r.code == e.Code {
			return target == r.err
		}
	}
	return false
}

// refusals are the reasons that are told to the other side. The code is the contract, the text is for people.
var refusals = []struct {
	code uint16
	err  error
}{
	{1, ErrMalformed}, {2, ErrUnexpected}, {3, ErrDeadline}, {4, ErrTooFewRounds},
	{10, ErrChallenge}, {11, ErrNotCommittee}, {12, ErrOtherCore}, {13, ErrExpired}, {14, ErrUnknownGate}, {15, ErrRoundsAsked},
	{16, ErrWrongBeacon}, {17, ErrBinding}, {18, ErrInitSignature}, {19, ErrCoreKey}, {20, ErrSuite}, {21, ErrTimes}, {22, ErrSeed},
	{23, ErrCarrier}, {24, ErrTimedKey}, {25, ErrCoreResult}, {26, ErrMistrusted}, {30, ErrBusy}, {31, ErrQuota}, {32, ErrClosing},
}

// Reasons that only the shell around a machine can have.
var (
	ErrBusy    = errors.New("beacon has no room for another exchange")
	ErrQuota   = errors.New("beacon holds as many exchanges of this core or address as it allows")
	ErrClosing = errors.New("beacon is closing down")
	// ErrMistrusted is what a core says that does not let this beacon time it: see ATTESTATION.md for what it looks at.
	ErrMistrusted = errors.New("core does not accept the beacon's evidence")
)

// Refusal makes the message that tells the other side why the exchange ends. What is in no table becomes code 0.
func Refusal(err error) []byte {
	body := refusedBody{Text: "refused"}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			body.Code, body.Text = r.code, r.err.Error()
			break
		}
	}
	msg, _, encErr := encode(KindRefused, body)
	if encErr != nil {
		return nil
	}
	return msg
}

// refused reads a Refused message.
func refused(body []byte) error {
	var b refusedBody
	if err := decode(KindRefused, body, &b); err != nil {
		return err
	}
	text := []rune(b.Text)
	if len(text) > 200 {
		text = text[:200]
	}
	for i, r := range text {
		if r < ' ' || r > '~' {
			text[i] = '?'
		}
	}
	return &RefusedError{Code: b.Code, Text: string(text)}
}

// Reason returns the sentinel of the table of refusals that err wraps, or nil: few enough to count by.
func Reason(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return r.err
		}
	}
	return nil
}

// closeBase keeps the codes with which a connection is closed for a reason apart from QUIC's and HTTP/3's usual ones.
const closeBase = 0x7572_0000 // "ur"

// CloseCode is the QUIC application error code that says why a connection is closed: 0 for a good end. It reaches the other
// side even when there is no stream yet, and costs nothing to send.
func CloseCode(err error) uint64 {
	if err == nil {
		return 0
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return closeBase + uint64(r.code)
		}
	}
	return closeBase
}

// FromCloseCode returns what the other side said by closing with the code, or nil when the code is not CloseCode's.
func FromCloseCode(code uint64) error {
	if code < closeBase || code > closeBase+0xffff {
		return nil
	}
	e := &RefusedError{Code: uint16(code - closeBase), Text: "no reason given"}
	for _, r := range refusals {
		if r.code == e.Code {
			e.Text = r.err.Error()
		}
	}
	return e
}
