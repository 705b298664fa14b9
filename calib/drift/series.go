package drift

import (
	"errors"
	"fmt"
	"math"
)

// Point is one measurement: when, in seconds of Unix time, and the round trip in milliseconds. Lost answers have no point.
type Point struct {
	Unix int64
	MS   float64
}

// Series is what one beacon measured to another over time, in ascending time. The measuring side held the stopwatch.
type Series struct {
	From, To string
	Points   []Point
}

// What a Series may be refused for.
var (
	ErrOrder = errors.New("points are not in ascending time")
	ErrValue = errors.New("not a round trip")
	ErrEnds  = errors.New("a series needs two different ends")
)

const maxMS = 600_000 // ten minutes: longer is no round trip on Earth

// Validate refuses what no measurement can be.
func (s Series) Validate() error {
	if s.From == "" || s.To == "" || s.From == s.To {
		return fmt.Errorf("%w: from %q to %q", ErrEnds, s.From, s.To)
	}
	for i, p := range s.Points {
		if !(p.MS > 0 && p.MS <= maxMS) {
			return fmt.Errorf("%w: %s to %s at %d: %v ms is not within 0..%d", ErrValue, s.From, s.To, p.Unix, p.MS, maxMS)
		}
		if i > 0 && p.Unix <= s.Points[i-1].Unix {
			return fmt.Errorf("%w: %s to %s: %d comes after %d", ErrOrder, s.From, s.To, p.Unix, s.Points[i-1].Unix)
		}
	}
	return nil
}

// Level describes a stretch of a series between two changes.
type Level struct {
	From, To int64   // Unix seconds of the first and the last point
	N        int     // points
	BaseMS   float64 // 5 % quantile: the path, nearly without queues; robust against a single early answer
	MedianMS float64
	HighMS   float64 // 90 % quantile
}

// swell is how far the queues rise above the path.
func (l Level) swell() float64 { return l.MedianMS - l.BaseMS }

// level summarises sorted-by-time points; values is scratch space of the same length.
func level(points []Point, values []float64) Level {
	for i, p := range points {
		values[i] = p.MS
	}
	values = values[:len(points)]
	sortFloats(values)
	return Level{
		From: points[0].Unix, To: points[len(points)-1].Unix, N: len(points),
		BaseMS: quantile(values, 0.05), MedianMS: quantile(values, 0.5), HighMS: quantile(values, 0.9),
	}
}

// quantile interpolates linearly between order statistics (type 7 of Hyndman and Fan, 1996).
func quantile(sorted []float64, q float64) float64 {
	x := q * float64(len(sorted)-1)
	i := int(math.Floor(x))
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (x-float64(i))*(sorted[i+1]-sorted[i])
}
