package lock

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Words are what a lock keeps across power loss. They hold no nonce, no key and
// no allowance: after power on there is nothing to accept and nothing to work
// from, so losing a write can only make the account look older, never open
// anything. Units that were accepted but not yet reported count as used.
//
//	0      8      16         24         32     40        48
//	+------+------+----------+----------+------+---------+
//	| magic| seq  | redeemed | accepted | used | check   |
//	+------+------+----------+----------+------+---------+
//
// All words are 64-bit big-endian; check is the first 8 bytes of the SHA-256 of
// the rest. It finds torn writes, not forgers: whoever can write here can also
// erase, and gains a lock that the gate refuses.
type Words struct {
	Seq      uint64 // nonces ever issued
	Redeemed uint64 // Seq of the newest lease accepted
	Accepted Units  // units accepted ever
	Used     Units  // units spent ever
}

// WordsSize is the length of encoded words in bytes.
const WordsSize = 48

const wordsMagic = "ursalck1"

// Refusals of DecodeWords.
var (
	ErrWordsSize  = errors.New("lock: persistent words have the wrong size")
	ErrWordsMagic = errors.New("lock: persistent words are of another kind or version")
	ErrWordsCheck = errors.New("lock: persistent words are torn or flipped")
	ErrWordsOrder = errors.New("lock: persistent words contradict each other")
)

// Encode writes the words for a slot.
func (w Words) Encode() []byte {
	b := make([]byte, WordsSize)
	copy(b, wordsMagic)
	binary.BigEndian.PutUint64(b[8:], w.Seq)
	binary.BigEndian.PutUint64(b[16:], w.Redeemed)
	binary.BigEndian.PutUint64(b[24:], uint64(w.Accepted))
	binary.BigEndian.PutUint64(b[32:], uint64(w.Used))
	sum := sha256.Sum256(b[:40])
	copy(b[40:], sum[:8])
	return b
}

// DecodeWords reads a slot and refuses whatever Encode could not have written.
func DecodeWords(b []byte) (Words, error) {
	if len(b) != WordsSize {
		return Words{}, ErrWordsSize
	}
	if string(b[:8]) != wordsMagic {
		return Words{}, ErrWordsMagic
	}
	sum := sha256.Sum256(b[:40])
	if string(sum[:8]) != string(b[40:]) {
		return Words{}, ErrWordsCheck
	}
	w := Words{
		Seq:      binary.BigEndian.Uint64(b[8:]),
		Redeemed: binary.BigEndian.Uint64(b[16:]),
		Accepted: Units(binary.BigEndian.Uint64(b[24:])),
		Used:     Units(binary.BigEndian.Uint64(b[32:])),
	}
	if w.Redeemed > w.Seq || w.Used > w.Accepted {
		return Words{}, ErrWordsOrder
	}
	return w, nil
}

// Boot is power on. The slots are the two places that the shell writes in turn,
// so that a write torn in the middle leaves the other whole; the newest readable
// one counts. With both slots empty the lock is new. With slots that hold
// something unreadable and nothing readable, the lock is spoilt: it stays Idle
// and never asks, and the error says so.
func Boot(cfg Config, slots ...[]byte) (State, error) {
	if cfg.Cap == 0 || cfg.ID == ([32]byte{}) {
		return State{spoilt: true}, ErrNoConfig
	}
	s := State{cfg: cfg}
	found, bad := false, false
	for _, slot := range slots {
		if len(slot) == 0 {
			continue
		}
		w, err := DecodeWords(slot)
		if err != nil {
			bad = true
			continue
		}
		if !found || w.Newer(s.words) {
			s.words, found = w, true
		}
	}
	if bad && !found {
		s.spoilt = true
		return s, ErrSpoilt
	}
	// The power went: what was accepted and not worked is lost, and counts.
	s.words.Used = s.words.Accepted
	return s, nil
}

// Newer orders two versions of the same lock's words; every field only grows.
func (w Words) Newer(than Words) bool {
	if w.Seq != than.Seq {
		return w.Seq > than.Seq
	}
	return w.Accepted > than.Accepted
}
