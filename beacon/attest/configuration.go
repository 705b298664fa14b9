package attest

import (
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Configuration is what a beacon's evidence covers beside its build: a beacon that tells a wrong place or times with another clock
// than the directory says is refused although its code is good.
type Configuration struct {
	ClockSource string   `cbor:"1,keyasint"` // the kernel's name of it, such as "tsc"
	PositionMM  [3]int64 `cbor:"2,keyasint"` // ecef, as in the directory
	PosUncMM    uint64   `cbor:"3,keyasint"`
}

// Encode returns the canonical bytes that are measured.
func (c Configuration) Encode() ([]byte, error) { return canon.Marshal(c) }

// Hash is what Claims carry.
func (c Configuration) Hash() ([32]byte, error) {
	b, err := c.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return HashConfiguration(b), nil
}

// HashConfiguration hashes the encoded configuration that a machine measured. It is never zero for a sane hash function, so zero
// stays "none".
func HashConfiguration(encoded []byte) [32]byte {
	return identity.Hash("measured configuration", encoded)
}

// Configured joins a measurement of code with the configuration it was measured with into what policies name. Without
// configuration it is the measurement itself.
func Configured(measurement []byte, configuration [32]byte) []byte {
	if configuration == ([32]byte{}) || len(measurement) == 0 {
		return measurement
	}
	h := identity.Hash("configured measurement", measurement, configuration[:])
	return h[:]
}
