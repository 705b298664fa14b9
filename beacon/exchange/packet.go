package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// PacketSize is the size in bytes of every round packet in both directions: an answer is never longer than its request, and
// serialisation costs both ways the same.
const PacketSize = 64

// The layout of a round packet, all integers big-endian:
//
//	 0       1       2       4                20               36               52              64
//	+-------+-------+-------+----------------+----------------+----------------+---------------+
//	| kind  | suite | index | session        | value          | tag            | padding, zero |
//	+-------+-------+-------+----------------+----------------+----------------+---------------+
//
// kind is CH, RS or FN; as the first byte of a UDP payload it lies in 0x04..0x0F, which neither QUIC (RFC 9443) nor STUN, DTLS
// or TURN use, so that rounds and QUIC share a port. value is ch_i in CH, d_i in RS and zero in FN.
const (
	offKind, offSuite, offIndex, offSession, offValue, offTag, offPadding = 0, 1, 2, 4, 20, 36, 52
	valueSize, tagSize                                                    = 16, 16
)

// The kinds of round packet, by first byte.
const (
	CH byte = 0x04 // beacon to core: the challenge
	RS byte = 0x05 // core to beacon: the answer, and the core's own challenge
	FN byte = 0x06 // beacon to core: the answer to that
)

// IsRoundPacket says whether the first byte of a UDP payload belongs to this protocol's rounds (0x04..0x0F) and not to QUIC.
func IsRoundPacket(first byte) bool { return first >= 0x04 && first <= 0x0F }

// Suite is the only suite of ursa/1: Ed25519 + ML-DSA-65, X-Wing, SHA-256, HMAC-SHA-256-128, HKDF-SHA-256.
const Suite byte = 1

// Packet is one round packet. Its content is a claim until a machine has verified the tag.
type Packet [PacketSize]byte

// Session names one exchange between one core and one beacon. The beacon draws it at random; it is no secret.
type Session [16]byte

// The refusals of a packet's form.
var (
	ErrPacketSize    = errors.New("round packet is not 64 bytes")
	ErrPacketKind    = errors.New("round packet of a kind that this side does not expect")
	ErrPacketSuite   = errors.New("round packet of an unknown suite")
	ErrPacketPadding = errors.New("round packet whose padding is not zero")
)

// ParsePacket copies a UDP payload into p and checks its form: size, kind, suite, padding. Who wrote it is not yet known.
func ParsePacket(p *Packet, payload []byte) error {
	if len(payload) != PacketSize {
		return fmt.Errorf("%w (%d)", ErrPacketSize, len(payload))
	}
	copy(p[:], payload)
	return p.check()
}

func (p *Packet) check() error {
	if k := p[offKind]; k != CH && k != RS && k != FN {
		return ErrPacketKind
	}
	if p[offSuite] != Suite {
		return ErrPacketSuite
	}
	var any byte
	for _, b := range p[offPadding:] {
		any |= b
	}
	if p[offKind] == FN {
		for _, b := range p[offValue : offValue+valueSize] {
			any |= b
		}
	}
	if any != 0 {
		return ErrPacketPadding
	}
	return nil
}

// Kind returns the first byte.
func (p *Packet) Kind() byte { return p[offKind] }

// Index returns the round that the packet claims to belong to.
func (p *Packet) Index() uint16 { return binary.BigEndian.Uint16(p[offIndex:]) }

// Session returns the session that the packet claims to belong to.
func (p *Packet) Session() Session { return Session(p[offSession : offSession+16]) }

func (p *Packet) value() *[valueSize]byte {
	return (*[valueSize]byte)(p[offValue : offValue+valueSize])
}
func (p *Packet) tag() *[tagSize]byte { return (*[tagSize]byte)(p[offTag : offTag+tagSize]) }

// head writes everything but value and tag.
func (p *Packet) head(kind byte, s Session, index uint16) {
	*p = Packet{offKind: kind, offSuite: Suite}
	binary.BigEndian.PutUint16(p[offIndex:], index)
	copy(p[offSession:], s[:])
}

// PathKind says how round packets travel. It stands in Accept and in the statement; there is no zero kind.
type PathKind uint8

// The paths, see package timing.
const (
	PathTransport PathKind = 1 // non-QUIC packets through the QUIC transport, user receive stamps
	PathWrapped   PathKind = 2 // the same, taken out below QUIC, kernel receive stamps where the platform has them
	PathSteered   PathKind = 3 // a socket of their own on the same port, kernel receive stamps
	PathDatagram  PathKind = 4 // QUIC DATAGRAM frames, user stamps
)

// String returns the path's name.
func (k PathKind) String() string {
	switch k {
	case PathTransport:
		return "transport"
	case PathWrapped:
		return "wrapped"
	case PathSteered:
		return "steered"
	case PathDatagram:
		return "datagram"
	}
	return fmt.Sprintf("PathKind(%d)", uint8(k))
}

// Valid says whether k is one of the paths.
func (k PathKind) Valid() bool { return k >= PathTransport && k <= PathDatagram }

// Carrier is what a core asks for in Init: which way round packets can reach it. There is no zero carrier.
type Carrier uint8

// The carriers.
const (
	CarrierPackets   Carrier = 1 // packets beside QUIC, the rule
	CarrierDatagrams Carrier = 2 // QUIC DATAGRAM frames, where such packets do not pass
	CarrierAny       Carrier = 3 // whichever the beacon has
)

// valid says whether c is one of the carriers.
func (c Carrier) valid() bool { return c >= CarrierPackets && c <= CarrierAny }

// carries says whether a path is one of the carrier's.
func (c Carrier) carries(p PathKind) bool {
	return p.Valid() && (c == CarrierAny || (c == CarrierDatagrams) == (p == PathDatagram))
}
