package grant

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

// Attested says for people on what kinds of machines core and beacons attested,
// and, where any of it is simulated, that this proves nothing about hardware.
// Empty: it did not come to that.
func (f Finding) Attested() string {
	if !f.results.Core.Valid() {
		return ""
	}
	count := map[attest.Platform]int{}
	for _, b := range f.results.Beacons {
		count[b.Result().Platform]++
	}
	var beacons []string
	for platform, n := range count {
		beacons = append(beacons, fmt.Sprintf("%d on %s", n, platform))
	}
	slices.Sort(beacons)
	text := fmt.Sprintf("core on %s, beacons %s", f.results.Core.Result().Platform, strings.Join(beacons, ", "))
	if f.results.Simulated() {
		text += ": sim proves nothing about hardware; the policy names it"
	}
	return text
}
