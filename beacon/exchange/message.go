package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Kind is the kind of a message of the slow phase, on the one QUIC stream of an exchange.
type Kind uint8

// The messages in the order in which they travel; Refused may stand in the place of any.
const (
	KindInit        Kind = 1 // core → beacon: envelope "init"
	KindAccept      Kind = 2 // beacon → core: envelope "accept"
	KindReady       Kind = 3 // core → beacon: keys derived, waiting for the first challenge
	KindStop        Kind = 4 // beacon → core: rounds are over; commitment to the beacon's times
	KindTimes       Kind = 5 // core → beacon: envelope "times", opens the core's seed
	KindResult      Kind = 6 // beacon → core: the statement; opens the beacon's seed and times
	KindCountersign Kind = 7 // core → beacon: the core's signature of the statement
	KindRefused     Kind = 8 // either way: the exchange ends, and why
)

// maxBody is the largest body of each kind, in bytes.
var maxBody = map[Kind]int{
	KindInit: 48 << 10, KindAccept: 8 << 10, KindReady: 64, KindStop: 128, KindTimes: 8 << 10,
	KindResult: 96 << 10, KindCountersign: 5 << 10, KindRefused: 512,
	KindAsk: 64, KindEvidence: MaxEvidence + statement.MaxResultSize + MaxShared*34 + 64,
}

// MaxCoreResult is the size in bytes of the largest attestation result that a core can present in Init.
const MaxCoreResult = 20 << 10

// HeadSize is the size of a message's head: kind (1), length of the body (4, big-endian).
const HeadSize = 5

// MaxMessage is the largest message of an exchange with its head; KindEvidence, which comes before one, may be larger.
const MaxMessage = HeadSize + 96<<10

// The refusals of a message's form.
var (
	ErrMessageKind = errors.New("message of an unknown kind")
	ErrMessageSize = errors.New("message longer than its kind may be")
	ErrUnexpected  = errors.New("message that this state does not expect")
	ErrMalformed   = errors.New("message body malformed")
)

// ParseHead reads a message's head and returns its kind and the length of the body that follows. The length is checked against
// the kind's limit, so that a reader may allocate it.
func ParseHead(head [HeadSize]byte) (Kind, int, error) {
	k, n := Kind(head[0]), binary.BigEndian.Uint32(head[1:])
	limit, ok := maxBody[k]
	if !ok {
		return 0, 0, fmt.Errorf("%w (%d)", ErrMessageKind, head[0])
	}
	if uint64(n) > uint64(limit) {
		return 0, 0, fmt.Errorf("%w (kind %d: %d bytes, at most %d)", ErrMessageSize, k, n, limit)
	}
	return k, int(n), nil
}

// message is kind, length and body as they stand on the stream.
func message(k Kind, body []byte) ([]byte, error) {
	if len(body) > maxBody[k] {
		return nil, fmt.Errorf("%w (kind %d: %d bytes, at most %d)", ErrMessageSize, k, len(body), maxBody[k])
	}
	b := make([]byte, HeadSize, HeadSize+len(body))
	b[0] = byte(k)
	binary.BigEndian.PutUint32(b[1:], uint32(len(body)))
	return append(b, body...), nil
}

// split takes a whole message apart.
func split(msg []byte) (Kind, []byte, error) {
	if len(msg) < HeadSize {
		return 0, nil, fmt.Errorf("%w (%d bytes)", ErrMalformed, len(msg))
	}
	k, n, err := ParseHead([HeadSize]byte(msg))
	if err != nil {
		return 0, nil, err
	}
	if len(msg) != HeadSize+n {
		return 0, nil, fmt.Errorf("%w (body of %d bytes, head says %d)", ErrMalformed, len(msg)-HeadSize, n)
	}
	return k, msg[HeadSize:], nil
}

// initBody is signed by the core. Everything that names who, with whom and over which channel stands in it.
type initBody struct {
	Suite         uint8       `cbor:"1,keyasint"`
	Challenge     []byte      `cbor:"2,keyasint"` // the gate's envelope
	Core          []byte      `cbor:"3,keyasint"` // the core's public identity
	Beacon        identity.ID `cbor:"4,keyasint"` // whom this is for
	Nonce         [32]byte    `cbor:"5,keyasint"`
	SeedCommit    [32]byte    `cbor:"6,keyasint"`
	Binding       [32]byte    `cbor:"7,keyasint"` // exporter value of the channel
	Previous      [32]byte    `cbor:"8,keyasint"` // hash of the core's previous proof
	Attestation   []byte      `cbor:"9,keyasint"` // the core's attestation result
	GranularityNS uint64      `cbor:"10,keyasint"`
	ErrPPB        uint32      `cbor:"11,keyasint"`
	Mode          Mode        `cbor:"12,keyasint"` // the core's answering loop
	Carrier       Carrier     `cbor:"13,keyasint"` // how rounds can reach the core
	TimedKey      []byte      `cbor:"14,keyasint"` // X-Wing public key, to which the beacon encapsulates
}

// quality is that of the core's clock.
func (b *initBody) quality() stamp.Quality {
	return stamp.Quality{GranularityNS: b.GranularityNS, ErrPPB: b.ErrPPB}
}

// acceptBody is signed by the beacon.
type acceptBody struct {
	Suite       uint8    `cbor:"1,keyasint"`
	Init        [32]byte `cbor:"2,keyasint"` // SHA-256 of the Init message's body
	Session     Session  `cbor:"3,keyasint"`
	Nonce       [32]byte `cbor:"4,keyasint"`
	Ciphertext  []byte   `cbor:"5,keyasint"` // encapsulated to the core's timed key
	SeedCommit  [32]byte `cbor:"6,keyasint"`
	Binding     [32]byte `cbor:"7,keyasint"`
	MinRounds   uint16   `cbor:"8,keyasint"`
	MaxRounds   uint16   `cbor:"9,keyasint"`
	TimeoutNS   uint64   `cbor:"10,keyasint"`
	DeadlineNS  uint64   `cbor:"11,keyasint"`
	PayloadSize uint16   `cbor:"12,keyasint"`
	Path        PathKind `cbor:"13,keyasint"` // how the rounds travel
	Attestation [32]byte `cbor:"14,keyasint"` // hash of the beacon's attestation result
}

type readyBody struct {
	Session Session `cbor:"1,keyasint"`
}

type stopBody struct {
	Session     Session  `cbor:"1,keyasint"`
	Sent        uint16   `cbor:"2,keyasint"`
	TimesCommit [32]byte `cbor:"3,keyasint"`
}

// timesBody is signed by the core. It covers the beacon's commitment, so neither side can fit its times to the other's.
type timesBody struct {
	Session Session     `cbor:"1,keyasint"`
	Stop    [32]byte    `cbor:"2,keyasint"` // SHA-256 of the Stop message's body
	Seed    Seed        `cbor:"3,keyasint"`
	Rounds  []roundWire `cbor:"4,keyasint"`
}

type roundWire struct {
	_     struct{} `cbor:",toarray"`
	Index uint16
	NS    int64
}

type resultBody struct {
	Session     Session     `cbor:"1,keyasint"`
	Statement   []byte      `cbor:"2,keyasint"` // envelope "statement"
	Seed        Seed        `cbor:"3,keyasint"`
	Salt        [32]byte    `cbor:"4,keyasint"`
	Rounds      []roundWire `cbor:"5,keyasint"`
	Attestation []byte      `cbor:"6,keyasint"` // the beacon's attestation result
}

type countersignBody struct {
	Session   Session `cbor:"1,keyasint"`
	Signature []byte  `cbor:"2,keyasint"` // of the statement's payload, type "countersign"
}

type refusedBody struct {
	Code uint16 `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint"`
}

// decode reads a body of a kind into v.
func decode(k Kind, body []byte, v any) error {
	if err := canon.Unmarshal(body, v, maxBody[k]); err != nil {
		return fmt.Errorf("%w (kind %d): %w", ErrMalformed, k, err)
	}
	return nil
}

// encode makes the whole message of a kind from v, and the SHA-256 of its body.
func encode(k Kind, v any) (msg []byte, digest [32]byte, err error) {
	body, err := canon.Marshal(v)
	if err != nil {
		return nil, digest, err
	}
	msg, err = message(k, body)
	return msg, sha256.Sum256(body), err
}

// sealed signs v as an object of type t and makes the message.
func sealed(key *identity.Private, k Kind, t identity.ObjectType, v any) (msg []byte, digest [32]byte, err error) {
	payload, err := canon.Marshal(v)
	if err != nil {
		return nil, digest, err
	}
	e, err := identity.Seal(key, t, payload)
	if err != nil {
		return nil, digest, err
	}
	return encode(k, e)
}

// opened verifies an envelope of the slow phase and decodes its payload into v.
func opened(e identity.Envelope, pub identity.Public, k Kind, t identity.ObjectType, v any) error {
	payload, err := e.Open(pub, t)
	if err != nil {
		return err
	}
	return decode(k, payload, v)
}

func wireOf(rounds []Round) []roundWire {
	w := make([]roundWire, len(rounds))
	for i, r := range rounds {
		w[i] = roundWire{Index: r.Index, NS: r.NS}
	}
	return w
}

// ErrRounds refuses a list of rounds that is not one: too long, out of order, an index beyond the agreed number, a time that is
// not positive.
var ErrRounds = errors.New("list of timed rounds is not well formed")

// roundsOf checks a list of at most max rounds: indices strictly ascending and below max, times positive and at most
// statement.MaxRTTNS.
func roundsOf(w []roundWire, max uint16) ([]Round, error) {
	if len(w) > int(max) {
		return nil, fmt.Errorf("%w: %d rounds, at most %d", ErrRounds, len(w), max)
	}
	rounds := make([]Round, len(w))
	for i, r := range w {
		switch {
		case r.Index >= max:
			return nil, fmt.Errorf("%w: round %d of %d", ErrRounds, r.Index, max)
		case i > 0 && r.Index <= w[i-1].Index:
			return nil, fmt.Errorf("%w: round %d after round %d", ErrRounds, r.Index, w[i-1].Index)
		case r.NS <= 0 || r.NS > statement.MaxRTTNS:
			return nil, fmt.Errorf("%w: %d ns", ErrRounds, r.NS)
		}
		rounds[i] = Round{Index: r.Index, NS: r.NS}
	}
	return rounds, nil
}

// commitTimes is the beacon's commitment: SHA-256(label ‖ session ‖ salt ‖ canonical list).
func commitTimes(s Session, salt [32]byte, rounds []roundWire) ([32]byte, error) {
	list, err := canon.Marshal(rounds)
	if err != nil {
		return [32]byte{}, err
	}
	h := sha256.New()
	h.Write([]byte(labelTimes))
	h.Write(s[:])
	h.Write(salt[:])
	h.Write(list)
	return [32]byte(h.Sum(nil)), nil
}
