package sample

import "math/bits"

// Key seeds the draws of one exchange. Keys of different names are unrelated.
type Key uint64

// Name is the hash of a host's name, reckoned once for each host.
type Name uint64

// Hash returns the hash of a name (FNV-1a, then mixed).
func Hash(name string) Name {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return Name(mix(h ^ uint64(len(name))<<56))
}

// KeyOf returns the key of one exchange between a core and a beacon. The seed is the run's; exchanges of one pair in one run are
// told apart by turn.
func KeyOf(seed uint64, core, beacon Name, turn uint64) Key {
	h := mix(seed + 0x9e3779b97f4a7c15)
	h = mix(h ^ uint64(core))
	h = mix(h ^ bits.RotateLeft64(uint64(beacon), 32))
	return Key(mix(h ^ turn))
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), a bijection.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Draws is the sequence of numbers that belongs to a key: SplitMix64.
type Draws struct{ state uint64 }

// Draws returns the key's sequence from its beginning.
func (k Key) Draws() Draws { return Draws{uint64(k)} }

// Uint64 returns the next 64 bits.
func (d *Draws) Uint64() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return mix(d.state)
}

// Float64 returns the next number strictly between 0 and 1.
func (d *Draws) Float64() float64 { return (float64(int64(d.Uint64()>>12)) + 0.5) * 0x1p-52 }
