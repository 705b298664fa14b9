package adversary

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// The layout of a round packet, as docs/PROTOCOL.md has it.
const offIndex, offSession, offValue, offTag, offPadding = 2, 4, 20, 36, 52

// Stuck is a broken source of randomness that gives the same byte for ever: what a core draws from it is known to everybody.
type Stuck byte

// Read implements io.Reader.
func (s Stuck) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s)
	}
	return len(b), nil
}

// Seed is the seed that a session draws from the stuck source.
func (s Stuck) Seed() (seed exchange.Seed) {
	_, _ = s.Read(seed[:])
	return seed
}

// answer writes RS for a round under a key.
func answer(session exchange.Session, index uint16, challenge, value [16]byte, key []byte) []byte {
	p := make([]byte, exchange.PacketSize)
	p[0], p[1] = exchange.RS, exchange.Suite
	binary.BigEndian.PutUint16(p[offIndex:], index)
	copy(p[offSession:], session[:])
	copy(p[offValue:], value[:])
	m := hmac.New(sha256.New, key)
	m.Write([]byte{'R'})
	m.Write(p[offSession:offValue])
	m.Write(p[offIndex:offSession])
	m.Write(challenge[:])
	m.Write(value[:])
	copy(p[offTag:offPadding], m.Sum(nil))
	return p
}

// answerKey is the key k_r that follows from a key schedule: HKDF-SHA-256 as docs/PROTOCOL.md has it.
func answerKey(k exchange.KeySchedule) ([]byte, error) {
	ikm := append(append([]byte(nil), k.KEMSecret...), k.ChannelKey[:]...)
	salt := append(append([]byte(nil), k.NonceCore[:]...), k.NonceBeacon[:]...)
	info := []byte("ursa/1 keys")
	for _, part := range [][]byte{k.Core[:], k.Beacon[:], k.Session[:], k.Init[:], k.Accept[:]} {
		info = append(info, part...)
	}
	out, err := hkdf.Key(sha256.New, ikm, salt, string(info), 96)
	if err != nil {
		return nil, err
	}
	return out[32:64], nil
}

// publicKey is the key under which answers would stand if the identities, the channel and the encapsulated secret were left out of
// the schedule: everybody who sees a packet can compute it.
func publicKey(s exchange.Session) []byte {
	key, err := answerKey(exchange.KeySchedule{KEMSecret: make([]byte, 32), ChannelKey: [32]byte{1}, Session: s})
	if err != nil {
		return nil // HKDF of 96 bytes does not fail; a nil key forges nothing
	}
	return key
}

// Hijacker stands next to a beacon, with a socket and an identity of its own, and answers in the name of a core that is far away. It
// knows every value that the core will draw, because the core's source of randomness is stuck; it does not have the core's keys. To each
// challenge it sends two answers: one without a MAC worth the name, one under the key that would hold if identities stood in
// signatures alone; and it passes off the answers of honest neighbours as the core's. They count as "forged" and "hijacked".
type Hijacker struct {
	At    *fabric.Endpoint
	Core  string // the far core's address, as text
	Knows exchange.Seed
	Tally *Tally

	mu   sync.Mutex
	open *exchange.Packet // the core's newest challenge
	of   fabric.Packet    // and how it left
}

// Out answers the challenges that leave the beacon for the core.
func (h *Hijacker) Out() fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		round, ok := roundPacket(p)
		if !ok || round.Kind() != exchange.CH || p.To.String() != h.Core {
			return []fabric.Packet{p}
		}
		h.mu.Lock()
		h.open, h.of = &round, p
		h.mu.Unlock()
		challenge := [16]byte(round[offValue:offTag])
		value := h.Knows.Value(round.Session(), round.Index())
		for _, key := range [][]byte{{}, publicKey(round.Session())} {
			h.send(p, answer(round.Session(), round.Index(), challenge, value, key), "forged")
		}
		return []fabric.Packet{p}
	})
}

// In sees the answers of others that reach the beacon, and sends each once more as the core's.
func (h *Hijacker) In() fabric.Interceptor {
	return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
		round, ok := roundPacket(p)
		if !ok || round.Kind() != exchange.RS || p.From.String() == h.Core {
			return []fabric.Packet{p}
		}
		h.mu.Lock()
		open, of := h.open, h.of
		h.mu.Unlock()
		if open != nil {
			again := append([]byte(nil), p.Data...)
			copy(again[offIndex:offValue], open[offIndex:offValue])
			h.send(of, again, "hijacked")
		}
		return []fabric.Packet{p}
	})
}

// send puts an answer to a challenge on the wire, as if the core had sent it.
func (h *Hijacker) send(challenge fabric.Packet, data []byte, as string) {
	if h.At.SendRaw(fabric.Packet{From: challenge.To, To: challenge.From, Data: data}) == nil {
		h.Tally.Add(as, 1)
	}
}
