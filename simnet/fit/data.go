package fit

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/simnet/fabric/source"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Errors of fitting.
var (
	ErrTooFew  = errors.New("too few measured pairs to fit a world")
	ErrOptions = errors.New("wrong options of a fit")
)

// Data is a measured set without the nodes whose places cannot be true.
type Data struct {
	Set     *dataset.Set
	Dropped []string // ids of convicted nodes
	Refused int      // pairs left out because light forbids them
	gaps    map[[2]string]float64
	runs    int // of pings behind a value; the value is their median
	pings   int // in a run
}

// Load reads the set in a folder, audits it, and drops what the audit convicts and refuses.
func Load(dir string) (*Data, error) {
	set, err := dataset.Load(dir)
	if err != nil {
		return nil, err
	}
	d, err := New(set)
	if err != nil {
		return nil, err
	}
	return d, d.readGaps(dir)
}

// New takes a set as it stands in memory. It knows no averages, so that nothing can be said about waiting.
func New(set *dataset.Set) (*Data, error) {
	report, err := audit.Run(set, audit.Options{})
	if err != nil {
		return nil, err
	}
	clean, err := audit.Clean(set, report)
	if err != nil {
		return nil, err
	}
	return &Data{Set: clean, Dropped: report.ConvictedIDs(), Refused: len(report.Refused)}, nil
}

// readGaps reads, for each directed pair, how far the average or median is above the minimum, in milliseconds, where a row gives both.
// The table has been read by calib/dataset before; what it refuses does not come here.
func (d *Data) readGaps(dir string) error {
	file, err := os.Open(filepath.Join(dir, dataset.RTTFile))
	packed := errors.Is(err, os.ErrNotExist)
	if packed {
		file, err = os.Open(filepath.Join(dir, dataset.RTTFileGZ))
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var from io.Reader = file
	if packed {
		if from, err = gzip.NewReader(file); err != nil {
			return err
		}
	}
	rows, err := csv.NewReader(from).ReadAll()
	if err != nil {
		return err
	}
	d.gaps = make(map[[2]string]float64)
	for _, row := range rows[1:] {
		least, errLeast := strconv.ParseFloat(row[2], 64)
		mean, errMean := strconv.ParseFloat(row[3], 64)
		if errLeast == nil && errMean == nil && mean >= least {
			d.gaps[[2]string{row[0], row[1]}] = mean - least
			d.runs, d.pings = sampling(row[4])
		}
	}
	return nil
}

// The runs and pings behind a value where the set does not say.
const (
	usualRuns  = 1
	usualPings = 10
)

// sampling reads "~48x30": about 48 runs of 30 pings. Other texts say nothing.
func sampling(text string) (runs, pings int) {
	a, b, ok := strings.Cut(strings.TrimPrefix(text, "~"), "x")
	runs, errRuns := strconv.Atoi(a)
	pings, errPings := strconv.Atoi(b)
	if !ok || errRuns != nil || errPings != nil || runs < 1 || pings < 2 || pings > 1000 {
		return usualRuns, usualPings
	}
	return runs, pings
}

// pair is one measured pair of nodes.
type pair struct {
	a, b      int     // nodes, a < b
	km        float64 // along the great circle
	light     float64 // ms in fibre along it, there and back
	rtt       float64 // ms, the least of both directions
	direction float64 // ms between the two directions; below 0 when only one was measured
	gap       float64 // ms between average and minimum, the mean of the directions; below 0 when unknown
}

// pairs lists the measured pairs, in the order of the nodes.
func (d *Data) pairs() []pair {
	var out []pair
	nodes := d.Set.Nodes
	for b := range nodes {
		for a := range b {
			rtt, ok := d.Set.RTT(a, b)
			if !ok {
				continue
			}
			p := pair{a: a, b: b, rtt: rtt.Millis(), direction: -1, gap: d.gap(nodes[a].ID, nodes[b].ID)}
			p.km = earth.GreatCircle(nodes[a].At, nodes[b].At).Kilometres()
			p.light = 2 * p.km * 1000 * world.FibreIndex / float64(earth.Light) * 1e3
			there, okThere := d.Set.Directed(a, b)
			back, okBack := d.Set.Directed(b, a)
			if okThere && okBack {
				p.direction = math.Abs((there - back).Millis())
			}
			out = append(out, p)
		}
	}
	return out
}

func (d *Data) gap(a, b string) float64 {
	x, okX := d.gaps[[2]string{a, b}]
	y, okY := d.gaps[[2]string{b, a}]
	switch {
	case okX && okY:
		return (x + y) / 2
	case okX:
		return x
	case okY:
		return y
	}
	return -1
}

// Split says what the halves are halves of.
type Split string

// The splits. By nodes is the harder one: not one host of the second half has been seen, but the pairs between the halves are lost.
const (
	ByPairs Split = "pairs"
	ByNodes Split = "nodes"
)

// The most pairs that are fitted to and judged by; larger sets are thinned evenly. Chance alone makes a KS of 0.01 of so many.
const (
	mostToFit   = 40_000
	mostToJudge = 20_000
)

func thin(pairs []pair, most int) []pair {
	step := (len(pairs) + most - 1) / most
	if step <= 1 {
		return pairs
	}
	out := make([]pair, 0, len(pairs)/step+1)
	for i := 0; i < len(pairs); i += step {
		out = append(out, pairs[i])
	}
	return out
}

// halves splits pairs, each by its names and the seed alone.
func (d *Data) halves(all []pair, by Split, seed uint64) (train, test []pair, err error) {
	heads := func(purpose string, names ...string) bool { return source.New(seed, purpose, names...).Uint64()&1 == 0 }
	id := func(i int) string { return d.Set.Nodes[i].ID }
	for _, p := range all {
		var first, second bool
		switch by {
		case ByPairs:
			first = heads("fit pair", min(id(p.a), id(p.b)), max(id(p.a), id(p.b)))
			second = first
		case ByNodes:
			first, second = heads("fit node", id(p.a)), heads("fit node", id(p.b))
		default:
			return nil, nil, fmt.Errorf("%w: split by %q; use %s or %s", ErrOptions, by, ByPairs, ByNodes)
		}
		switch {
		case first && second:
			train = append(train, p)
		case !first && !second:
			test = append(test, p)
		}
	}
	if len(train) < 20 || len(test) < 20 {
		return nil, nil, fmt.Errorf("%w: %d to fit and %d to judge; 20 of each are the least", ErrTooFew, len(train), len(test))
	}
	return thin(train, mostToFit), thin(test, mostToJudge), nil
}
