package evidence

import (
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Locked is a file of evidence that only auditors can read: statements with
// their positions and round trips reveal where a core is, so they lie encrypted
// beside the ledger.
type Locked struct {
	Version uint64 `cbor:"1,keyasint"`
	Slots   []slot `cbor:"2,keyasint"` // one for each auditor
	Body    []byte `cbor:"3,keyasint"` // XChaCha20-Poly1305, the nonce first
}

// slot is the content key, wrapped to one auditor.
type slot struct {
	Auditor identity.ID `cbor:"1,keyasint"`
	Wrapped []byte      `cbor:"2,keyasint"`
}

const (
	lockInfo    = "ursa/1 evidence"
	maxAuditors = 64
	maxLocked   = MaxSize + maxAuditors*2048 + 1024
)

// Refusals of Lock and Unlock.
var (
	ErrAuditors   = errors.New("evidence: it must be locked to 1 to 64 keys of role auditor")
	ErrLocked     = errors.New("evidence: not a locked file")
	ErrNotAuditor = errors.New("evidence: the file is not locked to this key")
	ErrOpened     = errors.New("evidence: the locked file was changed")
)

// Lock encrypts a file to auditors, each of whom can open it alone.
func Lock(file []byte, auditors ...identity.Public) ([]byte, error) {
	if len(auditors) == 0 || len(auditors) > maxAuditors {
		return nil, ErrAuditors
	}
	var key [chacha20poly1305.KeySize]byte
	var nonce [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	_, _ = rand.Read(nonce[:])
	l := Locked{Version: Version}
	for _, a := range auditors {
		if a.Role() != identity.RoleAuditor {
			return nil, ErrAuditors
		}
		w, err := identity.Wrap(a, []byte(lockInfo), key[:])
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		l.Slots = append(l.Slots, slot{Auditor: a.ID(), Wrapped: w})
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	l.Body = aead.Seal(nonce[:], nonce[:], file, []byte(lockInfo))
	return canon.Marshal(l)
}

// Unlock opens a locked file with an auditor's key. What it holds is still to be
// verified.
func Unlock(data []byte, auditor *identity.Private) ([]byte, error) {
	var l Locked
	if err := canon.Unmarshal(data, &l, maxLocked); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if l.Version != Version || len(l.Slots) > maxAuditors || len(l.Body) < chacha20poly1305.NonceSizeX {
		return nil, ErrLocked
	}
	for _, s := range l.Slots {
		if s.Auditor != auditor.ID() {
			continue
		}
		key, err := auditor.Unwrap([]byte(lockInfo), s.Wrapped)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOpened, err)
		}
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOpened, err)
		}
		n := chacha20poly1305.NonceSizeX
		file, err := aead.Open(nil, l.Body[:n], l.Body[n:], []byte(lockInfo))
		if err != nil {
			return nil, ErrOpened
		}
		return file, nil
	}
	return nil, ErrNotAuditor
}
