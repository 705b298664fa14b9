package delayline

import (
	"fmt"
	"math/bits"
	"time"
)

// Lateness is a histogram of how long after their due time values left, in buckets of a quarter octave. The zero value is empty.
type Lateness struct {
	count   uint64
	max     time.Duration
	buckets [200]uint32
}

func (l *Lateness) add(d time.Duration) {
	l.count++
	l.max = max(l.max, d)
	l.buckets[bucketOf(d)]++
}

// bucketOf numbers durations: one bucket each below 4 ns, then four to the octave, the highest two bits after the first.
func bucketOf(d time.Duration) int {
	n := uint64(max(0, d))
	if n < 4 {
		return int(n)
	}
	shift := bits.Len64(n) - 3
	return min(4*shift+int(n>>shift), len(Lateness{}.buckets)-1)
}

// upperEdge is the longest duration of a bucket.
func upperEdge(b int) time.Duration {
	if b < 4 {
		return time.Duration(b)
	}
	shift := b/4 - 1
	return time.Duration((uint64(b-4*shift)+1)<<shift - 1)
}

// Count returns how many values have left.
func (l Lateness) Count() uint64 { return l.count }

// Max returns the longest lateness.
func (l Lateness) Max() time.Duration { return l.max }

// Quantile returns the lateness that the share q of the values did not exceed, rounded up by at most a quarter; false when no
// value has left.
func (l Lateness) Quantile(q float64) (time.Duration, bool) {
	if l.count == 0 {
		return 0, false
	}
	rank := uint64(q * float64(l.count))
	seen := uint64(0)
	for b, n := range l.buckets {
		if seen += uint64(n); seen > rank {
			return min(upperEdge(b), l.max), true
		}
	}
	return l.max, true
}

// String prints count, median, 99th percentile and maximum.
func (l Lateness) String() string {
	p50, ok := l.Quantile(0.5)
	if !ok {
		return "nothing left the line yet"
	}
	p99, _ := l.Quantile(0.99)
	return fmt.Sprintf("%d released, late by p50 %v, p99 %v, max %v", l.count, p50, p99, l.max)
}
