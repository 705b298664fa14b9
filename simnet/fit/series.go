package fit

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/world"
)

// SeriesFile is the table of single round trips in a folder: probe,unix_ts,rtt_ms and more columns that do not count; a value that is
// not above zero marks a lost packet.
const SeriesFile = "series.csv.gz"

// ErrSeries reports a series that cannot be read.
var ErrSeries = errors.New("no series of round trips")

// Series is a number of traces of single round trips.
type Series struct {
	Name   string
	Traces []Trace
}

// Trace is one probe's round trips to one target, in order of time.
type Trace struct {
	Probe string
	At    []int64   // Unix seconds
	MS    []float64 // not above zero where the packet was lost
}

// LoadSeries reads the series in a folder.
func LoadSeries(dir string) (*Series, error) {
	file, err := os.Open(filepath.Join(dir, SeriesFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds neither nodes.csv nor %s", ErrSeries, dir, SeriesFile)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not a gzip file", ErrSeries, SeriesFile)
	}
	s := &Series{Name: filepath.Base(dir)}
	return s, s.read(io.LimitReader(unpacked, 1<<30))
}

func (s *Series) read(from io.Reader) error {
	r := csv.NewReader(from)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil || len(head) < 3 || head[0] != "probe" || head[1] != "unix_ts" || head[2] != "rtt_ms" {
		return fmt.Errorf("%w: %s:1: its first line must begin with probe,unix_ts,rtt_ms", ErrSeries, SeriesFile)
	}
	at := make(map[string]int)
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSeries, SeriesFile, err)
		}
		line, _ := r.FieldPos(0)
		when, errWhen := strconv.ParseInt(row[1], 10, 64)
		ms, errMS := strconv.ParseFloat(row[2], 64)
		if errWhen != nil || errMS != nil || math.IsNaN(ms) || math.Abs(ms) > 1e6 {
			return fmt.Errorf("%w: %s:%d: %q,%q is no moment in whole seconds and round trip in milliseconds", ErrSeries, SeriesFile, line, row[1], row[2])
		}
		i, known := at[row[0]]
		if !known {
			i = len(s.Traces)
			at[row[0]] = i
			s.Traces = append(s.Traces, Trace{Probe: row[0]})
		}
		s.Traces[i].At, s.Traces[i].MS = append(s.Traces[i].At, when), append(s.Traces[i].MS, ms)
	}
}

// SeriesReport says what was fitted to a series and how near it is, on the traces that were held out.
type SeriesReport struct {
	Data    string    `json:"data"`
	Seed    uint64    `json:"seed"`
	Train   int       `json:"train_weeks"` // weeks of a trace
	Test    int       `json:"test_weeks"`
	Loss    Compare   `json:"loss"` // share of packets, held out against fitted
	BuiltIn []LeastOf `json:"built_in_min_of_k"`
	Curve   []LeastOf `json:"min_of_k"`

	File world.File `json:"-"` // the built-in cities, their wired access as fitted
}

// The curve's points, and what a week must hold.
var curveAt = []int{1, 3, 10, 30, 100}

const (
	week        = 7 * 24 * 3600
	leastInWeek = 500
)

// excesses is one week of one trace: what each packet waited beyond the week's least.
type excesses struct {
	ms   []float64
	lost int
}

func (t Trace) weeks() []excesses {
	var out []excesses
	byWeek := make(map[int64]int)
	for i, at := range t.At {
		n := (at - t.At[0]) / week
		k, known := byWeek[n]
		if !known {
			k = len(out)
			byWeek[n] = k
			out = append(out, excesses{})
		}
		if t.MS[i] > 0 {
			out[k].ms = append(out[k].ms, t.MS[i])
		} else {
			out[k].lost++
		}
	}
	out = slices.DeleteFunc(out, func(e excesses) bool { return len(e.ms) < leastInWeek })
	for _, e := range out {
		least := slices.Min(e.ms)
		for i := range e.ms {
			e.ms[i] -= least
		}
	}
	return out
}

// leastOf returns the median of the least of k packets that follow each other.
func (e excesses) leastOf(k int) float64 {
	var minima []float64
	for i := 0; i+k <= len(e.ms); i += k {
		minima = append(minima, slices.Min(e.ms[i:i+k]))
	}
	return median50(minima)
}

// over returns a statistic of each week, sorted.
func over(weeks []excesses, of func(excesses) float64) []float64 {
	out := make([]float64, len(weeks))
	for i, e := range weeks {
		out[i] = of(e)
	}
	slices.Sort(out)
	return out
}

// RunSeries fits the law of wired access to one half of the traces and judges it by the other.
func RunSeries(s *Series, o Options) (*SeriesReport, error) {
	var train, test []excesses
	for _, t := range s.Traces {
		if source.New(o.Seed, "fit trace", t.Probe).Uint64()&1 == 0 {
			train = append(train, t.weeks()...)
		} else {
			test = append(test, t.weeks()...)
		}
	}
	if len(train) < 5 || len(test) < 5 {
		return nil, fmt.Errorf("%w: %d weeks to fit and %d to judge; 5 of each are the least", ErrTooFew, len(train), len(test))
	}
	spec := seriesLaw(train)
	r := &SeriesReport{Data: s.Name, Seed: o.Seed, Train: len(train), Test: len(test), Loss: Compare{Measured: lossOf(test), Simulated: *spec.Loss}}
	r.File = world.File{Format: 1, Name: s.Name, Seed: new(o.Seed), Places: world.PlacesSpec{Builtin: new(true), Access: world.Wired}}
	var err error
	if r.BuiltIn, err = seriesCurve(r.File, test); err != nil {
		return nil, err
	}
	r.File.Access = []world.AccessSpec{spec}
	r.Curve, err = seriesCurve(r.File, test)
	return r, err
}

func lossOf(weeks []excesses) float64 {
	lost, all := 0, 0
	for _, e := range weeks {
		lost, all = lost+e.lost, all+e.lost+len(e.ms)
	}
	return float64(lost) / float64(max(1, all))
}

// seriesLaw takes the median trace at each quantile, and from how traces differ in their median the scatter from host to host.
func seriesLaw(train []excesses) world.AccessSpec {
	at := func(of func(excesses) float64) float64 {
		return math.Max(1e-3, round(quantile(over(train, of), 0.5)))
	}
	leastOf := func(k int) float64 { return at(func(e excesses) float64 { return e.leastOf(k) }) }
	single := func(p float64) float64 {
		return at(func(e excesses) float64 { return quantile(sorted(e.ms), p) })
	}
	q := &world.QuantilesSpec{LeastOf100: leastOf(100), LeastOf30: leastOf(30), LeastOf10: leastOf(10), LeastOf3: leastOf(3), P50: single(0.5), P90: single(0.9), P99: single(0.99)}
	rising := []*float64{&q.LeastOf100, &q.LeastOf30, &q.LeastOf10, &q.LeastOf3, &q.P50, &q.P90, &q.P99}
	for i, x := range rising[1:] { // sampling may put neighbours the wrong way round
		*x = math.Max(*rising[i], *x)
	}
	medians := over(train, func(e excesses) float64 { return math.Log(math.Max(1e-3, e.leastOf(1))) })
	below, above := quantile(medians, 0.5)-quantile(medians, 0.16), quantile(medians, 0.84)-quantile(medians, 0.5)
	scatter := math.Min(3, math.Max(0.01, below))
	return world.AccessSpec{Class: world.Wired, Excess: q, Loss: new(round(lossOf(train))), Scatter: new(round(scatter)), Tail: new(round(math.Min(10, above/scatter)))}
}

// seriesCurve draws a week for each held-out one, at as many hosts of the world, and compares the min-of-k curves.
func seriesCurve(f world.File, test []excesses) ([]LeastOf, error) {
	w, err := f.World()
	if err != nil {
		return nil, err
	}
	town := w.Places()[0]
	var drawn []excesses
	for i, e := range test {
		host := fmt.Sprintf("trace %d", i)
		wait := w.WaitAt(w.Host(town, host), 0)
		rnd := source.New(*f.Seed, "fit trace week", host)
		x := excesses{ms: make([]float64, len(e.ms))}
		for k := range x.ms {
			x.ms[k] = float64(wait.Quantile(rnd.Float64())) / 1e6
		}
		least := slices.Min(x.ms)
		for k := range x.ms {
			x.ms[k] -= least
		}
		drawn = append(drawn, x)
	}
	var out []LeastOf
	for _, k := range curveAt {
		of := func(e excesses) float64 { return e.leastOf(k) }
		measured, simulated := over(test, of), over(drawn, of)
		out = append(out, LeastOf{K: k, KS: KS(measured, simulated),
			Measured:  [2]float64{quantile(measured, 0.5), quantile(measured, 0.9)},
			Simulated: [2]float64{quantile(simulated, 0.5), quantile(simulated, 0.9)}})
	}
	return out, nil
}
