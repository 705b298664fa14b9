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

// embeddedDigest is the SHA-256 of the embedded file, computed once.
var embeddedDigest = sync.OnceValue(func() [sha256.Size]byte { return sha256.Sum256(embedded) })

// digest names the atlas: the data, and the tables of disputes, zones and unions that are policy.
func (w *world) digest() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "ursa atlas 1\n%x\n", embeddedDigest())
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
}
