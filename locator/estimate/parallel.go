package estimate

import (
	"sync"
	"sync/atomic"
)

// parallel calls f for 0 to n-1 from a number of goroutines. Each call writes only what belongs to its index, so that the result
// does not depend on who runs when.
func parallel(n, workers int, f func(i int)) {
	if workers <= 1 || n <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(workers, n) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wait.Wait()
}
