package model

import (
	stdcmp "cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Node is one beacon of a fit.
type Node struct {
	ID string // unique, 1 to 256 bytes
	At earth.LatLon
}

// Source is a matrix of round trips between nodes at known places; calib/dataset's Set is one.
type Source interface {
	Len() int
	RTT(i, j int) (earth.RTT, bool)
}

// What Fit refuses, beside what FitCurve does.
var (
	ErrNode   = errors.New("node without a valid id or position")
	ErrNoPair = errors.New("no usable pair")
	ErrDates  = errors.New("a model expires after it was issued")
	ErrName   = errors.New("a model has a name of 1 to 256 bytes")
)

// MaxNodes limits a fit.
const MaxNodes = 4096

// Beacon is what a model knows about one beacon.
type Beacon struct {
	ID       string
	Pairs    int
	OffsetMS float64   // the delay that its paths share beyond the fleet's median; negative for a well-connected one
	Bestline *Bestline // under all but its quickest pairs (see trim); nil with fewer than three pairs, or when one left lies below 2/3 c
}

// Model is a fit to a fleet: dated, with an expiry, its score on data it had not seen, and the hash of what it was fitted to.
type Model struct {
	Name           string
	IssuedUnixNS   int64
	ExpiresUnixNS  int64
	Inputs         [sha256.Size]byte // of ids, positions and round trips
	Pairs          int               // that were fitted
	Impossible     int               // left out: faster than the floor between the claimed places
	Profile        Profile           // on which the fit leans
	Scores         []Score           // of each profile, on held-out pairs
	HeldOutWithin  float64           // share of held-out pairs within the 95 % band
	Curve          *Curve
	Bestline       *Bestline // of the fleet, as Beacon.Bestline
	Beacons        []Beacon  // by id
	FastestShareOC float64   // the fastest fitted pair, as a share of the speed of light: for people
}

// Options date a fit. Time is handed in.
type Options struct {
	Name    string
	Issued  time.Time
	Expires time.Time // after Issued; a model of last year on another network is worse than none
}

// Fit fits a model to the round trips between nodes. The source's index is that of nodes.
func Fit(nodes []Node, source Source, o Options) (*Model, error) {
	if err := checkInput(nodes, source, o); err != nil {
		return nil, err
	}
	pairs, ends := pairsOf(nodes, source)
	points, impossible, err := check(pairs)
	if err != nil {
		return nil, err
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("%w: %d given, %d of them faster than light in fibre", ErrNoPair, len(pairs), impossible)
	}
	m := &Model{Name: o.Name, IssuedUnixNS: o.Issued.UnixNano(), ExpiresUnixNS: o.Expires.UnixNano(),
		Inputs: hashInputs(nodes, source), Pairs: len(points), Impossible: impossible}
	m.Profile, m.Scores = choose(points)
	m.Curve = fitCurve(points, m.Profile)
	m.HeldOutWithin = heldOutWithin(points, m.Profile)
	m.Beacons, m.Bestline = beacons(nodes, pairs, ends, m.Curve)
	for _, p := range pairs {
		if speed := float64(p.Distance) / p.RTT.Millis() / (float64(earth.Light) / 2e6); p.RTT.Millis() >= floorMS(p.Distance) {
			m.FastestShareOC = max(m.FastestShareOC, speed)
		}
	}
	return m, nil
}

func checkInput(nodes []Node, source Source, o Options) error {
	switch {
	case len(o.Name) < 1 || len(o.Name) > 256:
		return ErrName
	case !o.Expires.After(o.Issued):
		return fmt.Errorf("%w: issued %v, expires %v", ErrDates, o.Issued, o.Expires)
	case len(nodes) > MaxNodes || source.Len() != len(nodes):
		return fmt.Errorf("%w: %d nodes for a matrix of %d, at most %d", ErrNode, len(nodes), source.Len(), MaxNodes)
	}
	seen := map[string]bool{}
	for i, n := range nodes {
		if n.ID == "" || len(n.ID) > 256 || seen[n.ID] || n.At.Validate() != nil {
			return fmt.Errorf("%w: node %d, id %q at %v", ErrNode, i, n.ID, n.At)
		}
		seen[n.ID] = true
	}
	return nil
}

func pairsOf(nodes []Node, source Source) (pairs []Pair, ends [][2]int) {
	for i := range nodes {
		for j := range i {
			if r, ok := source.RTT(i, j); ok && r > 0 {
				d := Kilometres(earth.GreatCircle(nodes[i].At, nodes[j].At).Kilometres())
				pairs, ends = append(pairs, Pair{d, r}), append(ends, [2]int{i, j})
			}
		}
	}
	return pairs, ends
}

// beacons fits what belongs to each single node, and the fleet's bestline.
func beacons(nodes []Node, pairs []Pair, ends [][2]int, c *Curve) ([]Beacon, *Bestline) {
	links := make([]link, 0, len(pairs))
	all, lines := make([]XY, 0, len(pairs)), make([][]XY, len(nodes))
	for i, p := range pairs {
		if p.RTT.Millis() < floorMS(p.Distance) {
			continue
		}
		s := c.At(p.Distance)
		a, b := ends[i][0], ends[i][1]
		links = append(links, link{a, b, p.RTT.Millis() - (math.Exp(s.q[levels/2]) - scaleMS)})
		xy := XY{float64(p.Distance), p.RTT.Millis()}
		lines[a], lines[b], all = append(lines[a], xy), append(lines[b], xy), append(all, xy)
	}
	ms, _ := offsets(len(nodes), links)
	out := make([]Beacon, len(nodes))
	for i, n := range nodes {
		out[i] = Beacon{ID: n.ID, Pairs: len(lines[i]), OffsetMS: ms[i], Bestline: trimmedBestline(lines[i], trim)}
	}
	sort.Slice(out, func(a, b int) bool { return out[a].ID < out[b].ID })
	return out, trimmedBestline(all, 2*trim)
}

// trim is the share of the quickest pairs, by their delay over light in fibre, that a beacon's bestline does not look at: a line under
// all points belongs to the greatest liar. Of the fleet's pairs such a share of liars spoils twice as many.
const trim = 0.03

// trimmedBestline is CBG's line under what is left: with as many liars at most, none lies below the honest pairs' own.
func trimmedBestline(points []XY, trim float64) *Bestline {
	excess := func(p XY) float64 { return (p.MS + scaleMS) / (p.KM*msPerKM + scaleMS) }
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b XY) int {
		return stdcmp.Or(stdcmp.Compare(excess(a), excess(b)), stdcmp.Compare(a.KM, b.KM))
	})
	left := sorted[int(math.Ceil(trim*float64(len(sorted)))):]
	if len(left) < 3 {
		return nil
	}
	line, err := FitBestline(left, TwoThirds, math.Inf(1))
	if err != nil {
		return nil
	}
	return &line
}

// hashInputs covers ids, positions to 1e-7 degrees and round trips, in the order of the ids.
func hashInputs(nodes []Node, source Source) [sha256.Size]byte {
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return nodes[order[a]].ID < nodes[order[b]].ID })
	h := sha256.New()
	number := func(v int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(v))
		h.Write(b[:])
	}
	number(int64(len(nodes)))
	for _, i := range order {
		number(int64(len(nodes[i].ID)))
		h.Write([]byte(nodes[i].ID))
		number(int64(math.Round(nodes[i].At.Lat * 1e7)))
		number(int64(math.Round(nodes[i].At.Lon * 1e7)))
	}
	for x, i := range order {
		for _, j := range order[:x] {
			r, ok := source.RTT(i, j)
			if !ok {
				r = 0 // a measured round trip is positive
			}
			number(int64(r))
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Within returns the share of pairs whose round trip lies within the curve's central band p at their distance; false without pairs.
func (c *Curve) Within(p float64, pairs []Pair) (float64, bool) {
	z := normalQuantile(0.5 + p/2)
	inside := 0
	for _, q := range pairs {
		if got, _ := c.Score(q.RTT, q.Distance); math.Abs(got) <= z {
			inside++
		}
	}
	return float64(inside) / max(1, float64(len(pairs))), len(pairs) > 0
}

func heldOutWithin(points []point, p Profile) float64 {
	inside := 0
	in := make([]point, 0, len(points))
	for part := range selectParts {
		in = in[:0]
		for i, q := range points {
			if i%selectParts != part {
				in = append(in, q)
			}
		}
		c := fitCurve(in, p)
		for i := part; i < len(points); i += selectParts {
			d := Kilometres(max(0, math.Exp(firstKnot+points[i].x*knotStep)-nearKM))
			s := c.At(d)
			if z, _ := s.Score(points[i].e + fibreLog(d)); math.Abs(z) <= normalQuantile(0.975) {
				inside++
			}
		}
	}
	return float64(inside) / float64(len(points))
}

// Adapt chooses a curve for another network: the model's own, or a bare profile, whichever makes that network's pairs likelier.
// The answer's profile is zero when it is the model's own curve.
func (m *Model) Adapt(pairs []Pair) (*Curve, Profile, error) {
	points, _, err := check(pairs)
	if err != nil {
		return nil, 0, err
	}
	total := func(c *Curve) (sum float64) {
		for _, p := range points {
			sum += c.logDensity(p)
		}
		return sum
	}
	best, which := m.Curve, Profile(0)
	most := total(best)
	for _, p := range Profiles {
		c := p.Curve()
		if got := total(c); got > most {
			best, which, most = c, p, got
		}
	}
	return best, which, nil
}

// Valid says whether now lies within the model's time.
func (m *Model) Valid(now time.Time) bool {
	at := now.UnixNano()
	return m.IssuedUnixNS <= at && at < m.ExpiresUnixNS
}

// Text tells people what the model says.
func (m *Model) Text() string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "model %s: %d pairs of %d beacons, %d left out as faster than light in fibre; leans on the profile %s\n",
		m.Name, m.Pairs, len(m.Beacons), m.Impossible, m.Profile)
	fmt.Fprintf(b, "valid %s to %s; inputs sha-256 %x\n", time.Unix(0, m.IssuedUnixNS).UTC().Format(time.DateTime),
		time.Unix(0, m.ExpiresUnixNS).UTC().Format(time.DateTime), m.Inputs[:8])
	fmt.Fprintf(b, "held out: %.1f %% of pairs within the 95 %% band", m.HeldOutWithin*100)
	for _, s := range m.Scores {
		fmt.Fprintf(b, "; %s %.3f nats", s.Profile, s.HeldOut)
	}
	if l := m.Bestline; l != nil {
		fmt.Fprintf(b, "\nfleet's bestline: %.2f ms + %.4f ms/km (%.3f c)", l.Intercept, l.Slope, 2/(299.792458*l.Slope))
	}
	fmt.Fprintf(b, "\nfastest pair at %.3f c\n\n    km   5 %%   50 %%   95 %% of round trips, ms\n", m.FastestShareOC)
	for _, d := range []Kilometres{50, 100, 300, 1000, 3000, 10_000} {
		fmt.Fprintf(b, "%6.0f %5.1f %6.1f %6.1f\n", float64(d), m.Curve.Quantile(0.05, d).Millis(), m.Curve.Quantile(0.5, d).Millis(), m.Curve.Quantile(0.95, d).Millis())
	}
	return b.String()
}
