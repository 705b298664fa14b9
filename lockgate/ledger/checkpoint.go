package ledger

import (
	"fmt"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is a verified head of a log: so many leaves, and the Merkle root
// over them (RFC 6962).
type Checkpoint struct {
	Size uint64
	Root [32]byte
	Raw  []byte // the signed note
}

// Open verifies a checkpoint: a C2SP signed note of this origin, with a good
// signature of both keys.
func (v Verifier) Open(raw []byte) (Checkpoint, error) {
	vs, err := v.verifiers()
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(raw, note.VerifierList(vs...))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if len(n.Sigs) != len(vs) {
		return Checkpoint{}, fmt.Errorf("%w: %d of %d signatures", ErrCheckpoint, len(n.Sigs), len(vs))
	}
	var c log.Checkpoint
	if rest, err := c.Unmarshal([]byte(n.Text)); err != nil || len(rest) != 0 || c.Origin != v.Origin || len(c.Hash) != 32 {
		return Checkpoint{}, fmt.Errorf("%w: not a checkpoint of %s", ErrCheckpoint, v.Origin)
	}
	return Checkpoint{Size: c.Size, Root: [32]byte(c.Hash), Raw: raw}, nil
}

// Inclusion shows that a leaf is in a log.
type Inclusion struct {
	Index      uint64   `cbor:"1,keyasint"`
	Hashes     [][]byte `cbor:"2,keyasint"`
	Checkpoint []byte   `cbor:"3,keyasint"` // signed note
}

// Verify checks the checkpoint's signatures and that the leaf is under it.
func (i Inclusion) Verify(leaf []byte, v Verifier) (Checkpoint, error) {
	c, err := v.Open(i.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	err = proof.VerifyInclusion(rfc6962.DefaultHasher, i.Index, c.Size, rfc6962.DefaultHasher.HashLeaf(leaf), i.Hashes, c.Root[:])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrInclusion, err)
	}
	return c, nil
}
