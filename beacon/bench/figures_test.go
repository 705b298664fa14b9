package bench

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSummaryAgainstCounting: a percentile is the smallest value of the sample that at least that share does not exceed.
func TestSummaryAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sample := rapid.SliceOfN(rapid.Int64Range(1, 50), 1, 300).Draw(t, "sample")
		slow := func(percent int) int64 {
			best := int64(math.MaxInt64)
			for _, v := range sample {
				notAbove := 0
				for _, w := range sample {
					if w <= v {
						notAbove++
					}
				}
				if notAbove*100 >= percent*len(sample) {
					best = min(best, v)
				}
			}
			return best
		}
		want := Summary{N: len(sample), MinNS: slices.Min(sample), P50NS: slow(50), P90NS: slow(90), P99NS: slow(99)}
		if got, ok := summarise(slices.Clone(sample)); !ok || got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})
	if _, ok := summarise(nil); ok {
		t.Error("an empty sample has no summary")
	}
}

func TestMedianAndSpread(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		values []float64
		want   float64
		ok     bool
	}{{nil, 0, false}, {[]float64{nan}, 0, false}, {[]float64{3}, 3, true}, {[]float64{4, nan, 1}, 2.5, true}, {[]float64{9, 1, 5}, 5, true}} {
		if got, ok := median(c.values); got != c.want || ok != c.ok {
			t.Errorf("median of %v: %v, %v", c.values, got, ok)
		}
	}
	if got, ok := spread([]float64{1, 2, nan, 3, 4}); !ok || got != 0.8 {
		t.Errorf("spread %v, %v", got, ok)
	}
	for _, few := range [][]float64{{1, 2, 3}, {nan, nan, nan, nan, 1}, {0, 0, 0, 0}} {
		if _, ok := spread(few); ok {
			t.Errorf("%v has no spread", few)
		}
	}
}

// One microsecond of round trip is 150 metres.
func TestKilometres(t *testing.T) {
	if km := kilometres(1000); math.Abs(km-0.149896229) > 1e-12 {
		t.Error(km)
	}
}

// TestInterleave: each turn holds every variant once, in an order that depends on the seed and differs from turn to turn.
func TestInterleave(t *testing.T) {
	orders := func(seed uint64) (all []int) {
		var variants []variant
		for i := range 6 {
			variants = append(variants, variant{"", func(context.Context) error { all = append(all, i); return nil }})
		}
		if _, err := interleave(t.Context(), variants, 0, 50, rand.New(rand.NewPCG(seed, 0)), func(float64) {}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	a := orders(1)
	if len(a) != 300 || !slices.Equal(a, orders(1)) || slices.Equal(a, orders(2)) {
		t.Fatal("the seed does not decide the order")
	}
	different, firsts := 0, make([]int, 6)
	for at := 0; at < len(a); at += 6 {
		turn := slices.Clone(a[at : at+6])
		firsts[turn[0]]++
		if at > 0 && !slices.Equal(turn, a[at-6:at]) {
			different++
		}
		slices.Sort(turn)
		if !slices.Equal(turn, []int{0, 1, 2, 3, 4, 5}) {
			t.Fatalf("turn %d: %v", at/6, turn)
		}
	}
	if different < 45 || slices.Min(firsts) == 0 {
		t.Errorf("%d of 49 turns differ from the one before; first came %v", different, firsts)
	}
}

func TestInterleaveFailures(t *testing.T) {
	broken, calls := errors.New("broken"), 0
	sometimes := variant{"sometimes", func(context.Context) error {
		if calls++; calls%2 == 0 {
			return broken
		}
		return nil
	}}
	rnd := rand.New(rand.NewPCG(1, 1))
	if failed, err := interleave(t.Context(), []variant{sometimes}, 0, 10, rnd, func(float64) {}); err != nil || failed != 5 {
		t.Errorf("%d failed, %v", failed, err)
	}
	always := variant{"always", func(context.Context) error { return broken }}
	if failed, err := interleave(t.Context(), []variant{sometimes, always}, time.Hour, 1, rnd, func(float64) {}); !errors.Is(err, broken) || failed > 2*maxFailures {
		t.Errorf("%d failed, %v", failed, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stops := variant{"stops", func(context.Context) error { cancel(); return nil }}
	if _, err := interleave(ctx, []variant{stops}, time.Hour, 1, rnd, func(float64) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// seriesOf is a series whose blocks all hold one value, or failed when it is zero.
func seriesOf(what What, path, stamps string, blocks ...int64) *series {
	s := &series{row: RoundTrip{Name: path + string(what), What: what, Path: path, Stamps: stamps}}
	for _, ns := range blocks {
		if ns == 0 {
			s.add(nil, 0)
		} else {
			s.add([]int64{ns, ns}, 0)
		}
	}
	return s
}

// TestComparisonsAreWithinATurn: the machine grows twice as slow in each turn; a comparison of whole samples would see it, one within turns does not.
func TestComparisonsAreWithinATurn(t *testing.T) {
	var r Report
	r.file([]*series{
		seriesOf(Round, "steered", "kernel", 1100, 2200, 4400, 8800, 17600),
		seriesOf(Floor, "", "kernel", 900, 1900, 0, 7900, 15900),
		seriesOf(GoEcho, "", "kernel", 1000, 2000, 4000, 8000, 16000),
		seriesOf(GoEcho, "", "user", 5000),
		seriesOf(Round, "datagram", "user"),
	})
	round, ok := r.roundTrip(Round, "steered", "kernel")
	if !ok || math.Abs(*round.OverGoP50-1.1) > 1e-12 {
		t.Errorf("%+v", round)
	}
	if *round.OverFloorMinNS != 200 || *round.OverFloorP50NS != 600 || math.Abs(*round.OverFloorP50KM-kilometres(600)) > 1e-12 {
		t.Errorf("%d, %v", *round.OverFloorMinNS, *round.OverFloorP50NS)
	}
	if floor, _ := r.roundTrip(Floor, "", "kernel"); floor.OverFloorMinNS != nil {
		t.Error("the floor is not above itself")
	}
	if user, _ := r.roundTrip(GoEcho, "", "user"); user.OverFloorMinKM != nil {
		t.Error("an echo with user stamps was compared with a floor of kernel stamps")
	}
	if _, ok := r.roundTrip(Round, "datagram", "user"); ok {
		t.Error("a series without rounds became a row")
	}
	if len(r.RoundTrips) != 4 || r.RoundTrips[0].Stamps != "user" || r.RoundTrips[1].What != Floor {
		t.Errorf("%+v", r.RoundTrips)
	}
}

// costsOf is a report of costs in microseconds.
func costsOf(micros map[Kind]float64, batch float64) *Report {
	r := &Report{}
	for k, m := range micros {
		r.Costs = append(r.Costs, Cost{Kind: k, Micros: m, Batch: &batch})
	}
	return r
}

func TestGoalsOfCosts(t *testing.T) {
	base := map[Kind]float64{
		EchoAnswer: 4, Signed64: 7.8, Signed256: 6.3, Sign: 160, SignClassical: 16, Verify: 60, Encapsulate: 70, ParseKey: 50,
		Handshake: 500, Session16: 1600, Session64: 2080, DatagramSession16: 1700, DatagramSession64: 3620,
	}
	r := costsOf(base, 64)
	for _, c := range []struct {
		g    Goal
		met  bool
		want []float64
	}{
		{r.g6(), true, []float64{(7.8 - 144.0/64) / 4, (7.8 - 144.0/64) / (4 * peerByEcho)}},
		{r.g7(), true, []float64{6.3 / (4 * peerByEcho)}},
		{r.g9(), false, []float64{(500 + 160) / 500.0, (500 + 640) / 500.0, 3.2, 3.4}},
	} {
		if c.g.Met == nil || *c.g.Met != c.met || len(c.g.Checks) != len(c.want) {
			t.Errorf("%+v", c.g)
			continue
		}
		for i, check := range c.g.Checks {
			if math.Abs(check.Measured-c.want[i]) > 1e-9 || check.Met != (check.Measured <= check.Limit) {
				t.Errorf("%s, %s: %v, want %v", c.g.ID, check.What, check.Measured, c.want[i])
			}
		}
	}
	delete(base, EchoAnswer)
	for _, g := range costsOf(base, 64).judge() {
		if (g.Met == nil) != (g.ID != "G9") {
			t.Errorf("%s: %+v", g.ID, g)
		}
	}
}

func TestGoalsOfRoundTrips(t *testing.T) {
	var r, two Report
	r.file([]*series{
		seriesOf(Round, "steered", "kernel", 9000, 9200), seriesOf(GoEcho, "", "kernel", 9000, 10000),
		seriesOf(Round, "datagram", "user", 30000), seriesOf(GoEcho, "", "user", 15000),
	})
	two.file([]*series{seriesOf(Round, "steered", "kernel", 5800), seriesOf(Floor, "", "kernel", 5000), seriesOf(PortEcho, "steered", "kernel", 5600)})
	r.Two = &two
	met := map[string]bool{}
	for _, g := range r.judge() {
		if g.Met != nil {
			met[g.ID] = *g.Met
		}
	}
	if len(met) != 4 || !met["G1"] || met["G2"] || met["G3"] || !met["G4"] {
		t.Errorf("met: %v", met)
	}
}
