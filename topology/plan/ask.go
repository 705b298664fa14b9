package plan

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// byDelay returns what a core at the place would measure to each site, shortest first, ties by id.
func (f *Fleet) byDelay(at earth.LatLon, sites []Site) []Measurement {
	all := make([]Measurement, len(sites))
	for i := range sites {
		all[i] = Measurement{&sites[i], f.Delay(at, sites[i].At)}
	}
	slices.SortFunc(all, func(a, b Measurement) int {
		return cmp.Or(cmp.Compare(a.RTT, b.RTT), cmp.Compare(a.Site.ID, b.Site.ID))
	})
	return all
}

// choose takes n of the measurements: first the shortest that brings a new domain, until 2f+1 domains are there, then the shortest.
func (f *Fleet) choose(sorted []Measurement, n int) []Measurement {
	if n == 0 || n >= len(sorted) {
		return sorted
	}
	taken := make([]bool, len(sorted))
	domains := map[string]bool{}
	left := n
	take := func(i int) {
		taken[i] = true
		left--
		for _, d := range sorted[i].Site.Domains {
			domains[d] = true
		}
	}
	for i := 0; i < len(sorted) && len(domains) < 2*f.F+1 && left > 0; i++ {
		if slices.ContainsFunc(sorted[i].Site.Domains, func(d string) bool { return !domains[d] }) {
			take(i)
		}
	}
	for i := 0; i < len(sorted) && left > 0; i++ {
		if !taken[i] {
			take(i)
		}
	}
	out := make([]Measurement, 0, n)
	for i, m := range sorted {
		if taken[i] {
			out = append(out, m)
		}
	}
	return out
}

// ask is what a core at the place would measure.
func (f *Fleet) ask(at earth.LatLon, sites []Site) []Measurement {
	return f.choose(f.byDelay(at, sites), f.Ask)
}

// parallel runs n independent tasks on all processors and reports progress; it returns the first error by index, or the context's.
func parallel(ctx context.Context, n int, report func(), task func(i int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = task(i)
				mu.Lock()
				report()
				mu.Unlock()
			}
		})
	}
	var stopped error
	for i := 0; i < n && stopped == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
			stopped = ctx.Err()
		}
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return stopped
}

// meter counts towards a total.
type meter struct {
	done, total int
	progress    Progress
}

func (m *meter) step() {
	m.done++
	if m.progress != nil {
		m.progress(min(m.done, m.total), m.total)
	}
}
