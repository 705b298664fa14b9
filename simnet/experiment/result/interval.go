package result

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Interval is a share with 95 % of confidence around it. Known is false when nothing was counted.
type Interval struct {
	Share, Low, High float64
	Known            bool
}

// Wilson returns the share k of n with Wilson's score interval (JASA 22, 1927), which is right for shares near 0 and 1 too.
func Wilson(k, n int64) Interval {
	if n <= 0 {
		return Interval{}
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Interval{Share: p, Low: max(0, min(p, middle-half)), High: min(1, max(p, middle+half)), Known: true}
}

// resamples of a bootstrap: enough for 95 %.
const resamples = 1000

// Pool returns the share of several seeds together. Its interval is the wider, at either end, of Wilson's over all trials and of a
// percentile bootstrap over seeds (Efron, Ann. Stat. 7, 1979), because trials of one seed share their routes and constellation. With
// fewer than three seeds there is nothing to resample, and the interval is Wilson's: it says nothing about other worlds. The source
// decides the resampling.
func Pool(k, n []int64, rnd *rand.Rand) Interval {
	var allK, allN int64
	for i := range k {
		allK, allN = allK+k[i], allN+n[i]
	}
	all := Wilson(allK, allN)
	if len(k) < 3 || !all.Known {
		return all
	}
	shares := make([]float64, 0, resamples)
	for range resamples {
		var sumK, sumN int64
		for range k {
			i := rnd.IntN(len(k))
			sumK, sumN = sumK+k[i], sumN+n[i]
		}
		if sumN > 0 {
			shares = append(shares, float64(sumK)/float64(sumN))
		}
	}
	if len(shares) == 0 {
		return all
	}
	slices.Sort(shares)
	all.Low = min(all.Low, shares[len(shares)*25/1000])
	all.High = max(all.High, shares[min(len(shares)-1, len(shares)*975/1000)])
	return all
}
