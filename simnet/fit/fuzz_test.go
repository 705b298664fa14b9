package fit

import (
	"bytes"
	"errors"
	"testing"
)

// No text panics as a series, and what is read is finite and belongs to a probe.
func FuzzSeries(f *testing.F) {
	f.Add([]byte("probe,unix_ts,rtt_ms,changepoint_label\n1,1476479820,178.9,0\n1,1476480060,-1,0\n2,5,7,\"a\nb\"\n"))
	f.Add([]byte("probe,unix_ts,rtt_ms\n1,9223372036854775807,1e5\n1,-9223372036854775808,1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Series
		if err := s.read(bytes.NewReader(text)); err != nil {
			if !errors.Is(err, ErrSeries) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		for _, trace := range s.Traces {
			if len(trace.At) != len(trace.MS) || len(trace.At) == 0 {
				t.Errorf("%+v", trace)
			}
			trace.weeks()
		}
		if _, err := RunSeries(&s, Options{}); err != nil && !errors.Is(err, ErrTooFew) {
			t.Error(err)
		}
	})
}
