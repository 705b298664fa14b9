package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxBatch is the largest number of payloads under one signature.
const MaxBatch = 1 << 16

// The refusals of a batch and of a path in it.
var (
	ErrBatchSize = errors.New("a batch has 1 to 65536 payloads")
	ErrPath      = errors.New("not a path of a Merkle tree of this size")
)

// Path leads from a payload to the signed root of its batch: the tree of RFC 6962 §2.1 over the payloads, leaf and node hashes
// told apart by a first byte of 0x00 and 0x01.
type Path struct {
	Index  uint64     `cbor:"1,keyasint"` // of the payload, from 0
	Size   uint64     `cbor:"2,keyasint"` // of the batch
	Hashes [][32]byte `cbor:"3,keyasint"` // siblings, from the leaf upwards
}

// SealBatch signs many payloads with one signature: each envelope carries the signature of the tree's root and the payload's
// path. A batch of one is allowed; it costs nothing more than Seal.
func SealBatch(priv *Private, t ObjectType, payloads [][]byte) ([]Envelope, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if len(payloads) == 0 || len(payloads) > MaxBatch {
		return nil, fmt.Errorf("%w, got %d", ErrBatchSize, len(payloads))
	}
	levels := merkleLevels(payloads)
	root := levels[len(levels)-1][0]
	size := uint64(len(payloads))
	sig, err := priv.sign(string(t)+batchSuffix, batchRoot(size, root))
	if err != nil {
		return nil, err
	}
	envelopes := make([]Envelope, len(payloads))
	for i, payload := range payloads {
		path := &Path{Index: uint64(i), Size: size, Hashes: siblings(levels, i)}
		envelopes[i] = Envelope{Type: t, Signer: priv.ID(), Payload: payload, Signature: sig, Path: path}
	}
	return envelopes, nil
}

// batchRoot is what the signature of a batch covers: the size in eight bytes and the root.
func batchRoot(size uint64, root [32]byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, size), root[:]...)
}

func leafHash(payload []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(payload)
	return [32]byte(h.Sum(nil))
}

func nodeHash(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// merkleLevels returns the tree from the leaves up to the root. A node without sibling moves up as it is, which gives the same
// tree as RFC 6962's split at the largest power of two.
func merkleLevels(payloads [][]byte) [][][32]byte {
	level := make([][32]byte, len(payloads))
	for i, p := range payloads {
		level[i] = leafHash(p)
	}
	levels := [][][32]byte{level}
	for len(level) > 1 {
		next := make([][32]byte, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			next = append(next, nodeHash(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		level = next
		levels = append(levels, level)
	}
	return levels
}

// siblings collects the path of leaf i.
func siblings(levels [][][32]byte, i int) [][32]byte {
	path := [][32]byte{}
	for _, level := range levels[:len(levels)-1] {
		if s := i ^ 1; s < len(level) {
			path = append(path, level[s])
		}
		i /= 2
	}
	return path
}

// root computes the root to which the path leads from payload (RFC 9162 §2.1.3.2), or ErrPath when index, size and number of
// hashes do not fit together.
func (p Path) root(payload []byte) ([32]byte, error) {
	if p.Size == 0 || p.Size > MaxBatch || p.Index >= p.Size {
		return [32]byte{}, fmt.Errorf("%w: index %d of %d", ErrPath, p.Index, p.Size)
	}
	at, last, r := p.Index, p.Size-1, leafHash(payload)
	for _, h := range p.Hashes {
		if last == 0 {
			return [32]byte{}, fmt.Errorf("%w: too many hashes", ErrPath)
		}
		if at%2 == 1 || at == last {
			r = nodeHash(h, r)
			for at%2 == 0 && at != 0 { // the last node has no sibling on these levels
				at, last = at/2, last/2
			}
		} else {
			r = nodeHash(r, h)
		}
		at, last = at/2, last/2
	}
	if last != 0 {
		return [32]byte{}, fmt.Errorf("%w: too few hashes", ErrPath)
	}
	return r, nil
}
