package world

import "time"

// ExcessQuantile returns the delay that the share p of packets leaving a host of this class does not exceed, beyond the least of
// their path: the law that Excess draws from. 0 ≤ p < 1; zero for an invalid class.
func (a Access) ExcessQuantile(p float64) time.Duration {
	if !a.Valid() {
		return 0
	}
	return time.Duration(accessLaws[a].excess.at(p) * float64(time.Millisecond))
}
