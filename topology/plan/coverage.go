package plan

import (
	"context"
	"fmt"
	"math"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Area is a permitted region: what atlas.Parse returns.
type Area interface {
	Class(s2.CellID) atlas.Class
}

// finestSample is the level of the smallest sample cells, with edges of about 600 m.
const finestSample = 14

// Samples divides an area into at least n cells (fewer when the area is too small for that) of one level and returns the centre of
// each that is not certainly outside, weighted by the cell's area in km². Centres of which the area cannot say for certain that they
// are inside, such as those within the boundary data's error, are among them: no core can be proven there.
func Samples(area Area, n int) ([]Sample, error) {
	if n < 1 || n > MaxSamples/4 {
		return nil, fmt.Errorf("%w: %d samples are not within 1..%d", ErrTooLarge, n, MaxSamples/4)
	}
	var cells []s2.CellID
	for face := range 6 {
		cells = append(cells, s2.CellIDFromFace(face))
	}
	for level := 0; len(cells) > 0 && len(cells) < n && level < finestSample; level++ {
		var finer []s2.CellID
		for _, c := range cells {
			for _, child := range c.Children() {
				if area.Class(child) != atlas.Out {
					finer = append(finer, child)
				}
			}
		}
		cells = finer
	}
	samples := make([]Sample, 0, len(cells))
	for _, c := range cells {
		p := c.Point()
		if area.Class(s2.CellFromPoint(p).ID()) == atlas.Out {
			continue
		}
		samples = append(samples, Sample{At: earth.LatLonOf(p), Cell: uint64(c), Weight: earth.CellArea(c)})
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("%w: the region is empty", ErrSamples)
	}
	return samples, nil
}

// Assessment is what a core at a sample would prove.
type Assessment struct {
	Sample
	Outcome
}

// Coverage is the answer of Cover.
type Coverage struct {
	Samples []Assessment // in the order given
	Proven  float64      // weight of the samples proven inside
	Total   float64      // weight of all
}

// Share is the proven share of the weight, 0..1.
func (c *Coverage) Share() float64 { return c.Proven / c.Total }

// Summary is a coverage in four numbers. Weights are km² for cells, whatever the list counts for places.
type Summary struct {
	Samples int     `json:"samples"`
	Weight  float64 `json:"weight"`
	Proven  float64 `json:"proven"`
	Share   float64 `json:"share"`
}

// Summary sums the coverage up.
func (c *Coverage) Summary() Summary {
	return Summary{len(c.Samples), c.Total, c.Proven, c.Share()}
}

// Cover computes at which samples a core would be proven inside.
func Cover(ctx context.Context, f *Fleet, samples []Sample, progress Progress) (*Coverage, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if err := validateSamples(samples); err != nil {
		return nil, err
	}
	c := &Coverage{Samples: make([]Assessment, len(samples))}
	m := meter{total: len(samples), progress: progress}
	err := parallel(ctx, len(samples), m.step, func(i int) error {
		out, err := f.Locator.Locate(samples[i].At, f.ask(samples[i].At, f.Sites))
		c.Samples[i] = Assessment{samples[i], out}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, a := range c.Samples {
		c.Total += a.Weight
		if a.Inside {
			c.Proven += a.Weight
		}
	}
	return c, nil
}

func validateSamples(samples []Sample) error {
	if len(samples) == 0 {
		return ErrSamples
	}
	if len(samples) > MaxSamples {
		return fmt.Errorf("%w: %d samples, at most %d", ErrTooLarge, len(samples), MaxSamples)
	}
	for _, s := range samples {
		if err := s.At.Validate(); err != nil {
			return fmt.Errorf("%w %q: %w", ErrPlace, s.Name, err)
		}
		if !(s.Weight > 0) || math.IsInf(s.Weight, 0) {
			return fmt.Errorf("%w %q: weight %v is not positive", ErrPlace, s.Name, s.Weight)
		}
	}
	return nil
}
