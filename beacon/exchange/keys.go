package exchange

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// Seed is what all challenge values (or all of a core's own) of one session are derived from. It is committed to before the
// first round and opened after the last: whoever holds it could answer early, so nobody else may before then.
type Seed [32]byte

// The labels of everything derived or hashed. No two are equal, so no value can be taken for another.
const (
	labelKeys   = "ursa/1 keys"
	labelCommit = "ursa/1 seed commitment"
	labelTimes  = "ursa/1 times commitment"
	labelValue  = "ursa/1 value"
	labelGap    = "ursa/1 gap"
)

// Commit returns the commitment to a seed by its owner in a session's opening: SHA-256(label ‖ owner id ‖ seed). A seed has 256 bits
// of entropy, so the commitment hides it; SHA-256 is collision resistant, so it binds.
func (s Seed) Commit(owner [32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelCommit))
	h.Write(owner[:])
	h.Write(s[:])
	return [32]byte(h.Sum(nil))
}

// Value returns the 16-byte value of one round: HMAC-SHA-256(seed, label ‖ session ‖ index) cut to 128 bits.
func (s Seed) Value(session Session, index uint16) [16]byte {
	return newDeriver(s).at(labelValue, session, index)
}

// deriver is an HMAC state under a seed, kept because a session derives 64 values in a row.
type deriver struct{ h hash.Hash }

func newDeriver(s Seed) deriver { return deriver{h: hmac.New(sha256.New, s[:])} }

func (d deriver) at(label string, session Session, index uint16) [16]byte {
	d.h.Reset()
	d.h.Write([]byte(label))
	d.h.Write(session[:])
	d.h.Write(binary.BigEndian.AppendUint16(nil, index))
	return [16]byte(d.h.Sum(nil))
}

// KeySchedule is what the session keys are made of. Both sides fill it from their own view; if the views differ anywhere (another
// channel, another beacon, another opening), so do the keys, and no round verifies.
type KeySchedule struct {
	KEMSecret    []byte   // encapsulated to the core's attested key: a TLS front end near the beacon does not have it
	ChannelKey   [32]byte // TLS exporter, label ExporterKey: whoever is not the other end of this channel does not have it
	NonceCore    [32]byte
	NonceBeacon  [32]byte
	Core, Beacon [32]byte // ids
	Session      Session
	Init, Accept [32]byte // SHA-256 of the two opening messages
}

// The labels (RFC 5705) under which both sides take 32 bytes from the TLS channel. The first is a name of the channel and is signed;
// the second is a secret and goes into the keys. Context is empty (nil).
const (
	ExporterBinding = "EXPORTER-ursa/1 binding"
	ExporterKey     = "EXPORTER-ursa/1 key"
)

// roundKeys authenticate the three kinds of packet, one key a kind.
type roundKeys struct{ ch, rs, fn [32]byte }

// derive runs HKDF-SHA-256: IKM = kem secret ‖ channel key, salt = nonce_c ‖ nonce_b, info = label ‖ core ‖ beacon ‖ session ‖
// init ‖ accept; 96 bytes are k_c, k_r, k_f.
func (k *KeySchedule) derive() (roundKeys, error) {
	if len(k.KEMSecret) < 32 {
		return roundKeys{}, fmt.Errorf("%w: KEM secret of %d bytes", ErrKeySchedule, len(k.KEMSecret))
	}
	if k.ChannelKey == [32]byte{} {
		return roundKeys{}, fmt.Errorf("%w: no channel key", ErrKeySchedule)
	}
	ikm := append(append([]byte(nil), k.KEMSecret...), k.ChannelKey[:]...)
	salt := append(k.NonceCore[:len(k.NonceCore):len(k.NonceCore)], k.NonceBeacon[:]...)
	info := []byte(labelKeys)
	for _, part := range [][]byte{k.Core[:], k.Beacon[:], k.Session[:], k.Init[:], k.Accept[:]} {
		info = append(info, part...)
	}
	out, err := hkdf.Key(sha256.New, ikm, salt, string(info), 96)
	if err != nil {
		return roundKeys{}, fmt.Errorf("%w: %w", ErrKeySchedule, err)
	}
	return roundKeys{ch: [32]byte(out), rs: [32]byte(out[32:]), fn: [32]byte(out[64:])}, nil
}

// ErrKeySchedule says that session keys cannot be derived from what is there.
var ErrKeySchedule = errors.New("session keys cannot be derived")

// mac computes one kind of tag. Its state is prepared beforehand and its buffers are its own: nothing is allocated in the
// timed phase. It belongs to one goroutine at a time.
type mac struct {
	h   hash.Hash
	in  [1 + 16 + 2 + 16 + 16]byte
	out [sha256.Size]byte
}

func newMAC(key [32]byte, kind byte, s Session) *mac {
	m := &mac{h: hmac.New(sha256.New, key[:])}
	m.in[0] = kind
	copy(m.in[1:], s[:])
	m.sum(0, &[16]byte{}, &[16]byte{}) // the first use prepares the padded states
	return m
}

// sum writes HMAC(key, kind ‖ session ‖ index ‖ a ‖ b) into out. The message is 51 bytes: with padding one block of SHA-256.
func (m *mac) sum(index uint16, a, b *[16]byte) {
	binary.BigEndian.PutUint16(m.in[17:], index)
	copy(m.in[19:], a[:])
	copy(m.in[35:], b[:])
	m.h.Reset()
	m.h.Write(m.in[:])
	m.h.Sum(m.out[:0])
}

// put writes the tag, cut to 128 bits, into a packet.
func (m *mac) put(p *Packet, index uint16, a, b *[16]byte) {
	m.sum(index, a, b)
	copy(p.tag()[:], m.out[:tagSize])
}

// verify compares a packet's tag in constant time.
func (m *mac) verify(p *Packet, index uint16, a, b *[16]byte) bool {
	m.sum(index, a, b)
	return subtle.ConstantTimeCompare(p.tag()[:], m.out[:tagSize]) == 1
}

// macs holds the three of a session. The letters of the MAC inputs are those of protocol: "C", "R", "F".
type macs struct{ ch, rs, fn *mac }

func newMACs(k roundKeys, s Session) macs {
	return macs{ch: newMAC(k.ch, 'C', s), rs: newMAC(k.rs, 'R', s), fn: newMAC(k.fn, 'F', s)}
}

var zeroValue [16]byte
