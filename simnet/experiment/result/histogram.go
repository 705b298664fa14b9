package result

import (
	"encoding/json"
	"errors"
	"math"
)

// A histogram counts positive values in bins of equal ratio: binsPerDecade to each power of ten, so a quantile read off it is right to
// 3.7 per cent. What is below the lowest bin counts in it, what is above the highest in that.
const (
	binsPerDecade = 64
	lowestDecade  = -2
	decades       = 12 // up to 10^10: the Earth has 5.1·10^8 km²
	bins          = binsPerDecade * decades
)

// Histogram counts values by size. Its zero value is empty.
type Histogram struct {
	counts map[int]int64
	total  int64
}

// Add counts one value. Negative values and NaN count as the smallest.
func (h *Histogram) Add(x float64) { h.add(binOf(x), 1) }

func (h *Histogram) add(bin int, n int64) {
	if h.counts == nil {
		h.counts = map[int]int64{}
	}
	h.counts[bin] += n
	h.total += n
}

func binOf(x float64) int {
	if !(x > 0) {
		return 0
	}
	return int(min(max(math.Floor((math.Log10(x)-lowestDecade)*binsPerDecade), 0), bins-1))
}

// edge is the lower edge of a bin.
func edge(bin int) float64 { return math.Pow(10, float64(bin)/binsPerDecade+lowestDecade) }

// Merge adds what another histogram counted.
func (h *Histogram) Merge(o Histogram) {
	for bin, n := range o.counts {
		h.add(bin, n)
	}
}

// Total returns how many values were counted.
func (h *Histogram) Total() int64 { return h.total }

// Quantile returns the value below which the share q of the values lies; false when there are none.
func (h *Histogram) Quantile(q float64) (float64, bool) {
	if h.total == 0 {
		return 0, false
	}
	want, seen := q*float64(h.total), 0.0
	last := 0
	for bin := range bins {
		n := float64(h.counts[bin])
		if n == 0 {
			continue
		}
		last = bin
		if seen+n >= want {
			return edge(bin) * math.Pow(10, max(0, want-seen)/n/binsPerDecade), true
		}
		seen += n
	}
	return edge(last + 1), true
}

// Step is one step of a cumulative distribution: the share Y of the values is at most X.
type Step struct{ X, Y float64 }

// CDF returns the cumulative distribution at the upper edges of the bins that count anything.
func (h *Histogram) CDF() (steps []Step) {
	var seen int64
	for bin := range bins {
		if n := h.counts[bin]; n > 0 {
			seen += n
			steps = append(steps, Step{edge(bin + 1), float64(seen) / float64(h.total)})
		}
	}
	return steps
}

// errHistogram reports bins that no histogram has.
var errHistogram = errors.New("impossible histogram")

// MarshalJSON writes the bins that count anything, as bin, count, bin, count, ascending.
func (h Histogram) MarshalJSON() ([]byte, error) {
	flat := []int64{}
	for bin := range bins {
		if n := h.counts[bin]; n > 0 {
			flat = append(flat, int64(bin), n)
		}
	}
	return json.Marshal(flat)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var flat []int64
	if err := json.Unmarshal(text, &flat); err != nil {
		return err
	}
	*h = Histogram{}
	last := int64(-1)
	for i := 0; i < len(flat); i += 2 {
		if i+1 == len(flat) || flat[i] <= last || flat[i] >= bins || flat[i+1] <= 0 || flat[i+1] > maxCount {
			return errHistogram
		}
		last = flat[i]
		h.add(int(flat[i]), flat[i+1])
	}
	return nil
}
