package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The signature contexts of this protocol.
const (
	TypeHello   identity.ObjectType = "attest-hello"
	TypeWelcome identity.ObjectType = "attest-welcome"
)

// The errands.
const (
	appraise = "appraise"
	enrol    = "enrol"
)

const version = 1

// maxMessage is the largest message in bytes; a message is its length in four bytes, big-endian, and its content.
const maxMessage = 96 << 10

// The refusals of this protocol itself. Those of evidence and enrolment travel by name, see Config.Refusals.
var (
	ErrConfig    = errors.New("attestation service is not well configured")
	ErrMessage   = errors.New("attestation service: message is not well formed")
	ErrChannel   = errors.New("attestation service: signed for another channel")
	ErrSignature = errors.New("attestation service: signature does not verify")
	ErrPurpose   = errors.New("attestation service does not do that")
	ErrStranger  = errors.New("attestation service does not know this machine's key")
	ErrAppraiser = errors.New("attestation service is not the appraiser that was named")
	ErrReach     = errors.New("attestation service cannot be reached")
	ErrBusy      = errors.New("attestation service is busy")
	ErrRefused   = errors.New("attestation service refuses")
)

// protocol are the refusals that both sides know without being told.
var protocol = []error{ErrMessage, ErrChannel, ErrSignature, ErrPurpose, ErrStranger, ErrAppraiser, ErrBusy}

type hello struct {
	Version uint64      `cbor:"1,keyasint"`
	Purpose string      `cbor:"2,keyasint"`
	Key     []byte      `cbor:"3,keyasint"` // the machine's public identity
	Service identity.ID `cbor:"4,keyasint"` // whom it wants to talk to
	Binding [32]byte    `cbor:"5,keyasint"` // exporter value of the channel
}

type welcome struct {
	Version uint64      `cbor:"1,keyasint"`
	Nonce   [32]byte    `cbor:"2,keyasint"`
	Machine identity.ID `cbor:"3,keyasint"` // whom it is for
	Binding [32]byte    `cbor:"4,keyasint"`
}

// answer is everything that the service says after its welcome, and instead of it when it refuses.
type answer struct {
	Refusal string `cbor:"1,keyasint"` // text of the sentinel; empty: not refused
	Text    string `cbor:"2,keyasint"` // the whole error, for people
	Body    []byte `cbor:"3,keyasint"`
}

func send(w io.Writer, v any) error {
	b, err := canon.Marshal(v)
	if err != nil {
		return err
	}
	return sendBytes(w, b)
}

func sendBytes(w io.Writer, b []byte) error {
	if len(b) > maxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMessage, len(b), maxMessage)
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func receive(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d", ErrMessage, n, maxMessage)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func receiveInto(r io.Reader, v any) error {
	b, err := receive(r)
	if err != nil {
		return err
	}
	if err := canon.Unmarshal(b, v, maxMessage); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return nil
}

// sealed signs v and sends it.
func sealed(w io.Writer, key *identity.Private, t identity.ObjectType, v any) error {
	payload, err := canon.Marshal(v)
	if err != nil {
		return err
	}
	e, err := identity.Seal(key, t, payload)
	if err != nil {
		return err
	}
	return send(w, e)
}

// refusal names an error by the first sentinel that it wraps.
func refusal(err error, known []error) answer {
	text := []rune(err.Error())
	if len(text) > 400 {
		text = text[:400]
	}
	a := answer{Refusal: ErrRefused.Error(), Text: string(text), Body: []byte{}}
	for _, k := range slices.Concat(known, protocol) {
		if errors.Is(err, k) {
			a.Refusal = k.Error()
			break
		}
	}
	return a
}

// err is the refusal as the other side meant it.
func (a answer) err(known []error) error {
	if a.Refusal == "" {
		return nil
	}
	for _, k := range slices.Concat(known, protocol) {
		if k.Error() == a.Refusal {
			return &Refused{Sentinel: k, Text: a.Text}
		}
	}
	return &Refused{Sentinel: ErrRefused, Text: a.Text}
}

// Refused is what a service said, with the check that refused.
type Refused struct {
	Sentinel error
	Text     string // the service's words: of another machine, and only for reading
}

// Error is the service's text.
func (r *Refused) Error() string { return "attestation service: " + clean(r.Text) }

// Unwrap returns the sentinel.
func (r *Refused) Unwrap() []error { return []error{r.Sentinel, ErrRefused} }

// clean keeps a line a line.
func clean(s string) string {
	out := make([]rune, 0, len(s))
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		out = append(out, c)
	}
	return string(out)
}
