package audit

import "github.com/ursa-virtual/ursa/calib/dataset"

// Clean returns what is left of a set for calibration and scoring: without the convicted nodes and without the refused pairs. At
// every speed class the claims of what is left can all be true at once, so that no proof on it can be wrong about a claimed place.
// set must be the one that the report is about.
func Clean(set *dataset.Set, r Report) (*dataset.Set, error) {
	gone := make([]bool, set.Len())
	for _, a := range r.Convicted {
		gone[a.Index] = true
	}
	refused := make(map[[2]int]bool, len(r.Refused))
	for _, p := range r.Refused {
		refused[[2]int{p.I, p.J}] = true
	}
	var kept []int
	var nodes []dataset.Node
	for i, n := range set.Nodes {
		if !gone[i] {
			kept, nodes = append(kept, i), append(nodes, n)
		}
	}
	clean, err := dataset.New(set.Name, nodes)
	if err != nil {
		return nil, err
	}
	for a, i := range kept {
		for b, j := range kept {
			rtt, ok := set.Directed(i, j)
			if !ok || refused[[2]int{min(i, j), max(i, j)}] {
				continue
			}
			if err := clean.Add(a, b, rtt, set.IsMedian(i, j)); err != nil {
				return nil, err
			}
		}
	}
	return clean, nil
}
