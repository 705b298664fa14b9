package atlas

import (
	"crypto/sha256"
	"fmt"
	"sync"
)

// Version names the boundary data and how it was made.
func Version() string {
	w, err := load()
	if err != nil {
		return "damaged"
	}
	return w.version
}

// digest names the atlas: the data, and the tables of disputes, zones and unions that are policy. Computed once.
var digest = sync.OnceValue(func() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "ursa atlas 1\n%x\n", sha256.Sum256(embedded))
	for _, d := range disputes {
		fmt.Fprintln(h, d.name, d.where, d.claimants)
	}
	for _, z := range zones {
		fmt.Fprintln(h, z.name, z.claimants, z.rim, z.centre, float64(z.radius))
	}
	for _, u := range unions {
		fmt.Fprintln(h, u.Name, u.Members)
	}
	return [sha256.Size]byte(h.Sum(nil))
})
