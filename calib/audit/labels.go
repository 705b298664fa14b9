package audit

import (
	"slices"

	"github.com/ursa-virtual/ursa/calib/dataset"
)

// labelConflicts compares each node's country label with the countries around its coordinates. It says nothing about where the host
// stands: one of two statements of its owner is wrong, and a person must say which.
func labelConflicts(set *dataset.Set, o Options) []LabelConflict {
	if o.Countries == nil {
		return nil
	}
	var found []LabelConflict
	for i, n := range set.Nodes {
		if n.Country == "" {
			continue
		}
		at := o.Countries(n.At, o.ClaimUnc)
		if len(at) == 0 || slices.Contains(at, n.Country) {
			continue
		}
		found = append(found, LabelConflict{Index: i, ID: n.ID, Name: n.Name, Label: n.Country, At: at})
	}
	for a := range found {
		for b := range found {
			if a != b && slices.Contains(found[a].At, found[b].Label) && slices.Contains(found[b].At, found[a].Label) {
				found[a].SwappedWith = found[b].ID
			}
		}
	}
	return found
}
