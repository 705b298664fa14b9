package verdict_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// The settlement is honest: so much less is Inside, a nanosecond more is not, and no other beacon does with less.
func TestSettlementIsTheSmallest(t *testing.T) {
	settled := 0
	for seed := range uint64(50) {
		obs, params, permit := randomWorld(seed)
		v := judge(t, obs, params, permit)
		e, _ := v.Explain()
		if e.Settle == nil {
			continue
		}
		settled++
		kind := func(i int, less earth.RTT) verdict.Kind {
			changed := slices.Clone(obs)
			changed[i].RTT -= less
			if changed[i].RTT <= 0 {
				return verdict.Undetermined
			}
			return judge(t, changed, params, permit).Kind()
		}
		for i, o := range obs {
			if o.Beacon == e.Settle.Beacon && kind(i, e.Settle.LessNS) != verdict.Inside {
				t.Errorf("seed %d: %d ns less at %s is not enough", seed, e.Settle.LessNS, o.Beacon)
			}
			if kind(i, e.Settle.LessNS-1) == verdict.Inside {
				t.Errorf("seed %d: %s would have done with less", seed, o.Beacon)
			}
		}
	}
	if settled < 5 {
		t.Errorf("only %d worlds could be settled", settled)
	}
}

// Where no settlement is named, shortening any one round trip by any of a ladder of amounts does not help.
func TestNoSettlementMeansNone(t *testing.T) {
	none := 0
	for seed := range uint64(30) {
		obs, params, permit := randomWorld(seed)
		v := judge(t, obs, params, permit)
		e, _ := v.Explain()
		if v.Check() != verdict.CheckBorder || e.Settle != nil {
			continue
		}
		none++
		for i := range obs {
			for _, share := range []float64{1e-6, .3, .6, .9, .999} {
				changed := slices.Clone(obs)
				changed[i].RTT = max(1, earth.RTT(float64(obs[i].RTT)*share))
				if judge(t, changed, params, permit).Inside() {
					t.Fatalf("seed %d: %s at %v of its round trip would have been Inside", seed, obs[i].Beacon, share)
				}
			}
		}
	}
	if none == 0 {
		t.Error("every world could be settled")
	}
}

func TestStaysInsideIsTheLastMoment(t *testing.T) {
	obs := observe(5, frankfurt, 1.5, 50*time.Microsecond)
	permit := ball{frankfurt.ECEF(0), 150e3}
	v := judge(t, obs, honest, permit)
	stays := v.StaysInside(time.Hour)
	if stays <= 0 || stays >= time.Hour {
		t.Fatalf("stays inside for %v", stays)
	}
	aged := func(by time.Duration) bool {
		later := slices.Clone(obs)
		for i := range later {
			later[i].Age += by
		}
		return judge(t, later, honest, permit).Inside()
	}
	if !aged(stays) || aged(stays+time.Millisecond) {
		t.Errorf("%v is not the last millisecond", stays)
	}
	if grown := float64(stays.Seconds() * 350); grown > 150e3 {
		t.Errorf("the core could have left by %.0f m", grown)
	}
	if got := v.StaysInside(10 * time.Second); got != 10*time.Second {
		t.Errorf("limit 10s: %v", got)
	}
	if outside := judge(t, obs, honest, ball{earth.LatLon{}.ECEF(0), 1e3}); outside.StaysInside(time.Hour) != 0 {
		t.Error("Outside stays inside")
	}
}

// The short way never says more than the long one, and takes the common case.
func TestHoldsForIsSound(t *testing.T) {
	obs := observe(5, frankfurt, 1.5, 50*time.Microsecond)
	v := judge(t, obs, honest, ball{frankfurt.ECEF(0), 150e3})
	if !v.HoldsFor(0) || !v.HoldsFor(30*time.Second) || v.HoldsFor(-1) || v.HoldsFor(1000*time.Hour) {
		t.Error("the common case is not seen, or too much is")
	}
	held, fell := 0, 0
	for seed := range uint64(24) {
		obs, params, permit := randomWorld(seed)
		v := judge(t, obs, params, permit)
		for _, d := range []time.Duration{0, time.Second, 20 * time.Second, 3 * time.Minute, time.Hour} {
			switch stays := v.StaysInside(max(d, time.Millisecond)) >= d && v.Inside(); {
			case v.HoldsFor(d) && !stays:
				t.Fatalf("seed %d: holds for %v, but stays inside for %v", seed, d, v.StaysInside(d))
			case v.HoldsFor(d):
				held++
			default:
				fell++
			}
		}
	}
	if held == 0 || fell == 0 {
		t.Fatalf("one side of it never happened: %d held, %d fell", held, fell)
	}
}

// Slack says what it says: no place of the region is nearer to the bound's rim than a positive slack.
func TestSlackAgainstTheCells(t *testing.T) {
	outvoted := 0
	for seed := range uint64(16) {
		obs, params, permit := randomWorld(seed)
		v := judge(t, obs, params, permit)
		e, _ := v.Explain()
		r, _ := v.Region()
		for _, b := range e.Beacons {
			o := obs[slices.IndexFunc(obs, func(o verdict.Observation) bool { return o.Beacon == b.ID })]
			for _, id := range r.Cells() {
				d := earth.Chord(o.Position, earth.LatLonOf(id.Point()).ECEF(0))
				if b.Slack > 0 && d > b.Radius-b.Slack {
					t.Fatalf("seed %d: %s has slack %v, yet the region reaches %v of %v", seed, b.ID, b.Slack, d, b.Radius)
				}
			}
			if b.Slack < 0 {
				outvoted++
				if params.F == 0 {
					t.Fatalf("seed %d: outvoted although f = 0", seed)
				}
			}
		}
	}
	if outvoted == 0 {
		t.Error("no bound was ever outvoted")
	}
}

func TestDecidedBeaconsMatter(t *testing.T) {
	obs := observe(4, frankfurt, 1.5, 50*time.Microsecond)
	e, _ := judge(t, obs, honest, ball{frankfurt.ECEF(0), 100e3}).Explain()
	for i, b := range e.Beacons {
		if b.Decided != (i == 0) {
			t.Errorf("%s: decided = %v, only the beacon next door decides", b.Place, b.Decided)
		}
	}
}

func TestIgnoredIsAsIfAbsent(t *testing.T) {
	obs := observe(4, frankfurt, 1.5, 50*time.Microsecond)
	obs[0].Age = 2 * time.Minute
	params := verdict.Params{Speed: earth.Vacuum, MaxAge: time.Minute}
	with, without := judge(t, obs, params, ball{frankfurt.ECEF(0), 100e3}), judge(t, obs[1:], params, ball{frankfurt.ECEF(0), 100e3})
	a, _ := with.Region()
	b, _ := without.Region()
	if with.Kind() != without.Kind() || !slices.Equal(a.Cells(), b.Cells()) {
		t.Error("a statement that is too old made a difference")
	}
	e, _ := with.Explain()
	if !e.Beacons[0].Ignored || e.Beacons[1].Ignored {
		t.Error("the explanation does not name the ignored beacon")
	}
	if !strings.Contains(with.Text(), "too old") {
		t.Error("the text does not name the ignored beacon")
	}
}

func TestJSONIsTheContract(t *testing.T) {
	touching := func(...s2.CellID) []string { return []string{"DE", "FR"} }
	v, err := verdict.Judge(observe(3, frankfurt, 1.9, time.Millisecond/2), honest, ball{frankfurt.ECEF(0), 50e3}, touching)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Verdict, Reason string
		RegionKM2       float64 `json:"region_km2"`
		Touches         []string
		Beacons         []struct {
			ID, Place string
			RTT       int64   `json:"rtt_min_ns"`
			Radius    float64 `json:"radius_m"`
			Slack     float64 `json:"slack_m"`
			Decided   *bool
		}
		Settle *struct {
			LessNS int64 `json:"less_ns"`
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	first := got.Beacons[0]
	if got.Verdict != "Undetermined" || got.Reason == "" || got.RegionKM2 < 1000 || !slices.Equal(got.Touches, []string{"DE", "FR"}) || len(got.Beacons) != 3 ||
		first.ID != "b000" || first.Place != "Frankfurt" || first.RTT != 501_000 || first.Radius < 75e3 || first.Decided == nil || !*first.Decided || got.Settle == nil {
		t.Errorf("%s", b)
	}
}

func TestSameBytesInAnyOrder(t *testing.T) {
	for seed := range uint64(6) {
		obs, params, permit := randomWorld(seed)
		v := judge(t, obs, params, permit)
		want, _ := json.Marshal(v)
		var wg sync.WaitGroup
		for g := range 4 {
			mixed := slices.Clone(obs)
			rand.New(rand.NewPCG(uint64(g), 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			wg.Go(func() {
				again, err := verdict.Judge(mixed, params, permit, nil)
				got, _ := json.Marshal(again)
				if err != nil || string(got) != string(want) || again.Text() != v.Text() {
					t.Errorf("seed %d, order %d: other bytes", seed, g)
				}
			})
		}
		wg.Wait()
	}
}

func TestRegionOfAVerdictHoldsTheCore(t *testing.T) {
	v := judge(t, observe(8, frankfurt, 1.7, 0), verdict.Params{Speed: earth.Vacuum, F: 2}, ball{frankfurt.ECEF(0), 400e3})
	r, ok := v.Region()
	if !ok || !r.Contains(frankfurt) {
		t.Error("the core is not in its region")
	}
	if _, touched := v.Touches(); touched {
		t.Error("touches is known although nobody told how")
	}
	if km2, ok := v.RegionKM2(); !ok || km2 != r.AreaKM2() {
		t.Error("area")
	}
}
