// Package source makes the sources of chance in simnet. Each thing that draws (a directed pair of endpoints, the route between
// two cities, a host) has a source of its own, made from the world's seed, what is drawn, and the names of the thing. So a draw
// depends on nothing else: not on the order of things, not on how many there are, not on the number of processors.
package source

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// New returns the source for a purpose and names, in their order. Equal arguments give equal sources; lengths are hashed with
// the names, so that no two lists of names read the same.
func New(seed uint64, purpose string, names ...string) *rand.Rand {
	var room [256]byte // for names of usual length nothing is allocated
	buf := binary.BigEndian.AppendUint64(append(room[:0], "ursa simnet source"...), seed)
	buf = appendName(buf, purpose)
	for _, s := range names {
		buf = appendName(buf, s)
	}
	sum := sha256.Sum256(buf)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
}

func appendName(buf []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(buf, uint64(len(s))), s...)
}

// Pair returns the source for an unordered pair of names.
func Pair(seed uint64, purpose, a, b string) *rand.Rand {
	return New(seed, purpose, min(a, b), max(a, b))
}
