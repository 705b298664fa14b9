package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Role is the part that an identity plays. It is covered by the id: the same keys in another role are another identity.
type Role string

// The roles. Beacons, gates, locks and auditors are also encrypted to, so they have a KEM key; the others only sign. What is for a core
// is encrypted to its timed key.
const (
	RoleBeacon    Role = "beacon"    // answers timed challenges
	RoleCore      Role = "core"      // proves its place, with a timed key beside it
	RoleGate      Role = "gate"      // issues challenges and leases
	RoleLock      Role = "lock"      // the state machine inside a core
	RoleAuditor   Role = "auditor"   // reads sealed evidence
	RoleDirectory Role = "directory" // signs the constellation
	RolePolicy    Role = "policy"    // signs policies
	RoleLedger    Role = "ledger"    // signs checkpoints
	RoleManifest  Role = "manifest"  // signs reference values of builds
	RoleAppraiser Role = "appraiser" // signs attestation results
	RoleSimRoot   Role = "sim-root"  // signs simulated attestation evidence
)

// ErrRole reports a word that is no role.
var ErrRole = errors.New("unknown role")

var roles = []Role{RoleBeacon, RoleCore, RoleGate, RoleLock, RoleAuditor, RoleDirectory, RolePolicy, RoleLedger, RoleManifest,
	RoleAppraiser, RoleSimRoot}

// ParseRole reads a role's word.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(roles, r) {
		return r, nil
	}
	return "", fmt.Errorf("%w %q; known: %v", ErrRole, s, roles)
}

// HasKEM says whether identities of the role carry a KEM key. Exactly these do: a missing or a surplus key is refused.
func (r Role) HasKEM() bool {
	switch r {
	case RoleBeacon, RoleGate, RoleLock, RoleAuditor:
		return true
	}
	return false
}

// ID names an identity: a hash over its role and public keys. The zero ID names nobody.
type ID [32]byte

// ErrID reports text that is no id.
var ErrID = errors.New("not an identity: want 64 lower-case hexadecimal digits")

// String returns 64 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first eight digits, for people.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero says whether id names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids as byte strings: the canonical order of lists of ids.
func (id ID) Compare(other ID) int { return slices.Compare(id[:], other[:]) }

// ParseID reads what String wrote and nothing else.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return ID{}, fmt.Errorf("%w, got %q", ErrID, clip(s, 80))
	}
	copy(id[:], b)
	return id, nil
}

// MarshalText implements encoding.TextMarshaler (so JSON shows the digits). CBOR carries the 32 bytes.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	got, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = got
	return nil
}

// Hash is SHA-256 with domain separation: over "ursa/1 hash " ‖ domain ‖ 0x00 and then each part preceded by its length in eight
// bytes. Different domains, or the same bytes cut into parts differently, never hash alike. A domain contains no 0x00.
func Hash(domain string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("ursa/1 hash " + domain + "\x00"))
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// clip shortens foreign text that goes into an error message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
