package audit

import "math/bits"

// bitset is a set of node indices.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) remove(i int)   { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) clone() bitset  { return append(bitset(nil), b...) }

func (b bitset) minus(c bitset) {
	for w := range b {
		b[w] &^= c[w]
	}
}

func (b bitset) union(c bitset) {
	for w := range b {
		b[w] |= c[w]
	}
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// countWith returns the number of members that c has too.
func (b bitset) countWith(c bitset) int {
	n := 0
	for w := range b {
		n += bits.OnesCount64(b[w] & c[w])
	}
	return n
}

// firstWith returns the smallest member that c has too.
func (b bitset) firstWith(c bitset) (int, bool) {
	for w := range b {
		if v := b[w] & c[w]; v != 0 {
			return w*64 + bits.TrailingZeros64(v), true
		}
	}
	return 0, false
}

// each calls do for every member, in ascending order, on the words as they are when reached.
func (b bitset) each(do func(int)) {
	for w, v := range b {
		for v != 0 {
			do(w*64 + bits.TrailingZeros64(v))
			v &= v - 1
		}
	}
}

// members returns the set as a sorted list.
func (b bitset) members() []int {
	var list []int
	b.each(func(i int) { list = append(list, i) })
	return list
}

func trailing(w uint64) int { return bits.TrailingZeros64(w) }
