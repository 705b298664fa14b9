// Package revoke is the off-switch as data: one signed list of what does not
// count any more, with an epoch that only grows.
//
// What it promises: a list is opened only with j of k authors' signatures, and
// replaces only an older one. Everything that it names denies, and nothing in it
// permits, so a list can never widen what is released. It has an expiry; a gate
// that must have a list and has none in force does not grant.
//
// What it believes: that delivery may fail. A revocation reaches a gate when
// somebody brings it; what makes the off-switch certain is that leases end.
//
// What an attacker may do: bring older lists, or none.
package revoke

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Kind says what an entry names.
type Kind string

// The kinds.
const (
	Core        Kind = "core"        // an identity's id, in hexadecimal digits
	Chip        Kind = "chip"        // a machine, in hexadecimal digits
	Tenant      Kind = "tenant"      // a name
	Beacon      Kind = "beacon"      // an id: its statements count as dropped
	Domain      Kind = "domain"      // a fault domain: its beacons' statements count as dropped
	Measurement Kind = "measurement" // of code, in hexadecimal digits
	Credential  Kind = "credential"  // an attestation key or certificate that machines attest with, in hexadecimal digits
	Policy      Kind = "policy"      // a policy's hash, in hexadecimal digits
	Region      Kind = "region"      // an expression over the atlas: not permitted any more
	Fleet       Kind = "fleet"       // everything; the name says "all"
)

// Entry is one thing that does not count any more.
type Entry struct {
	Kind   Kind   `cbor:"1,keyasint"`
	Name   string `cbor:"2,keyasint"`
	Reason string `cbor:"3,keyasint"` // one line for people
}

// List is what is revoked. Lists are whole: a new one says everything again, and
// what it leaves out counts again.
type List struct {
	Version       uint64  `cbor:"1,keyasint"`
	Epoch         uint64  `cbor:"2,keyasint"` // strictly increasing, from 1
	IssuedUnixNS  int64   `cbor:"3,keyasint"`
	ExpiresUnixNS int64   `cbor:"4,keyasint"`
	Entries       []Entry `cbor:"5,keyasint"` // ascending by kind, then name
}

// Version of the format, and limits.
const (
	Version    = 1
	MaxEntries = 1 << 14
	MaxSize    = 4 << 20
)

// TypeRevocation is the context of the authors' signatures.
const TypeRevocation identity.ObjectType = "revocation"

// Refusals.
var (
	ErrEncoding = errors.New("revoke: not a list of revocations")
	ErrVersion  = errors.New("revoke: unknown version of the list")
	ErrEpoch    = errors.New("revoke: the epoch does not go up")
	ErrPeriod   = errors.New("revoke: the list is not in force at this time")
	ErrOrder    = errors.New("revoke: entries are not in ascending order, each once")
	ErrEntry    = errors.New("revoke: an entry names nothing that can be revoked")
	ErrTooMany  = errors.New("revoke: too many entries")
)

// Sort brings the entries into order.
func (l *List) Sort() { slices.SortFunc(l.Entries, compare) }

func compare(a, b Entry) int {
	if c := strings.Compare(string(a.Kind), string(b.Kind)); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// check holds the rules of a list.
func (l List) check() error {
	switch {
	case l.Version != Version:
		return ErrVersion
	case l.Epoch == 0:
		return ErrEpoch
	case l.IssuedUnixNS <= 0 || l.ExpiresUnixNS <= l.IssuedUnixNS:
		return ErrPeriod
	case len(l.Entries) > MaxEntries:
		return ErrTooMany
	}
	for i, e := range l.Entries {
		if i > 0 && compare(l.Entries[i-1], e) >= 0 {
			return fmt.Errorf("%w: entry %d", ErrOrder, i+1)
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return nil
}

func (e Entry) check() error {
	digits := func(n int) error {
		b, err := hex.DecodeString(e.Name)
		if err != nil || e.Name != strings.ToLower(e.Name) || len(b) == 0 || n > 0 && len(b) != n {
			return fmt.Errorf("%w: %s %q is not in hexadecimal digits", ErrEntry, e.Kind, e.Name)
		}
		return nil
	}
	switch e.Kind {
	case Core, Chip, Beacon, Policy, Credential:
		return digits(32)
	case Measurement:
		return digits(0)
	case Tenant, Domain, Region:
		if e.Name == "" || len(e.Name) > 4096 {
			return fmt.Errorf("%w: %s without a name", ErrEntry, e.Kind)
		}
		return nil
	case Fleet:
		if e.Name != "all" {
			return fmt.Errorf("%w: a fleet is called all", ErrEntry)
		}
		return nil
	}
	return fmt.Errorf("%w: kind %q", ErrEntry, e.Kind)
}

// Encode checks a list and encodes it.
func (l List) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	return canon.Marshal(l)
}

// Decode reads what Encode wrote; it says nothing about who wrote it.
func Decode(b []byte) (List, error) {
	var l List
	if err := canon.Unmarshal(b, &l, MaxSize); err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return l, l.check()
}

// Sign makes a list that the authors sign.
func Sign(l List, authors ...*identity.Private) ([]byte, error) {
	b, err := l.Encode()
	if err != nil {
		return nil, err
	}
	return quorum.Sign(TypeRevocation, b, authors...)
}

// Open verifies a signed list that is in force at an instant.
func Open(claim []byte, authors quorum.Authors, nowUnixNS int64) (List, error) {
	b, err := quorum.Open(TypeRevocation, claim, authors, MaxSize)
	if err != nil {
		return List{}, err
	}
	l, err := Decode(b)
	if err != nil {
		return List{}, err
	}
	return l, l.ValidAt(nowUnixNS)
}

// ValidAt says whether the list is in force at an instant.
func (l List) ValidAt(nowUnixNS int64) error {
	if nowUnixNS < l.IssuedUnixNS || nowUnixNS >= l.ExpiresUnixNS {
		return ErrPeriod
	}
	return nil
}

// Hash names a list in the ledger.
func (l List) Hash() ([32]byte, error) {
	b, err := l.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return identity.Hash("revocation", b), nil
}

// Names finds the entry that names something. The zero list names nothing.
func (l List) Names(k Kind, name string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(l.Entries, Entry{Kind: k, Name: name}, compare)
	if !ok {
		return Entry{}, false
	}
	return l.Entries[i], true
}

// NamesBytes is Names for what is written in hexadecimal digits.
func (l List) NamesBytes(k Kind, b []byte) (Entry, bool) { return l.Names(k, hex.EncodeToString(b)) }

// Permit is what is left of a permitted region: the expression without the
// regions that are revoked.
func (l List) Permit(expression string) string {
	var out strings.Builder
	for _, e := range l.Entries {
		if e.Kind == Region {
			if out.Len() == 0 {
				fmt.Fprintf(&out, "(%s)", expression)
			}
			fmt.Fprintf(&out, " - (%s)", e.Name)
		}
	}
	if out.Len() == 0 {
		return expression
	}
	return out.String()
}
