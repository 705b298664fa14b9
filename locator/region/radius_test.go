package region_test

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// exact is the design's formula in rational numbers: (v/2)·(rtt·(1+err·1e-9)+2·granularity) + pos_unc + v_max·age + 1 m.
func exact(in region.RadiusInput) *big.Rat {
	rat := func(x float64) *big.Rat { return new(big.Rat).SetFloat64(x) }
	ns := func(x int64) *big.Rat { return big.NewRat(x, 1_000_000_000) }
	v := big.NewRat(299_792_458, 1)
	if in.Speed == earth.Fibre {
		v.Mul(v, big.NewRat(69, 100))
	}
	rate := new(big.Rat).Add(big.NewRat(1, 1), big.NewRat(int64(in.ErrPPB), 1_000_000_000))
	t := new(big.Rat).Mul(ns(int64(in.RTT)), rate)
	t.Add(t, ns(2*int64(in.Granularity)))
	t.Mul(t, v).Quo(t, big.NewRat(2, 1))
	t.Add(t, rat(float64(in.PosUnc)))
	t.Add(t, new(big.Rat).Mul(rat(float64(in.VMax)), ns(int64(in.Age))))
	return t.Add(t, big.NewRat(1, 1))
}

// nearestRounding is the mutant: the same formula without rounding outward.
func nearestRounding(in region.RadiusInput) float64 {
	v := float64(in.Speed.Speed())
	return v/2*(float64(in.RTT)*(1+float64(in.ErrPPB)*1e-9)+2*float64(in.Granularity))*1e-9 + float64(in.PosUnc) + float64(in.VMax)*in.Age.Seconds() + 1
}

func anyInput(t *rapid.T) region.RadiusInput {
	return region.RadiusInput{
		Speed:       rapid.SampledFrom([]earth.SpeedClass{earth.Vacuum, earth.Fibre}).Draw(t, "speed"),
		RTT:         earth.RTT(rapid.Int64Range(1, int64(region.MaxRTT)).Draw(t, "rtt")),
		Granularity: earth.RTT(rapid.Int64Range(1, int64(region.MaxGranularity)).Draw(t, "granularity")),
		ErrPPB:      rapid.Uint64Range(0, region.MaxErrPPB).Draw(t, "err"),
		PosUnc:      earth.Metres(rapid.Float64Range(1e-3, 1e6).Draw(t, "unc")),
		VMax:        earth.Speed(rapid.Float64Range(1e-3, 1e4).Draw(t, "vmax")),
		Age:         time.Duration(rapid.Int64Range(1, int64(region.MaxAge)).Draw(t, "age")),
	}
}

func TestRadiusIsNeverBelowTheFormula(t *testing.T) {
	mutantBelow := 0
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		r, err := region.Radius(in)
		if err != nil {
			t.Fatal(err)
		}
		want := exact(in)
		got := new(big.Rat).SetFloat64(float64(r))
		if got.Cmp(want) < 0 {
			t.Fatalf("%+v: %v is below the formula", in, r)
		}
		if f, _ := want.Float64(); float64(r) > f*(1+1e-14)+1e-300 {
			t.Fatalf("%+v: %v is more than 1e-14 above %v", in, float64(r), f)
		}
		if new(big.Rat).SetFloat64(nearestRounding(in)).Cmp(want) < 0 {
			mutantBelow++
		}
	})
	if mutantBelow == 0 {
		t.Error("rounding to nearest was never below the formula: the test cannot fail")
	}
}

func TestRadiusGrowsWithEachInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		more := in
		switch rapid.IntRange(0, 5).Draw(t, "which") {
		case 0:
			more.RTT = min(region.MaxRTT, more.RTT+1)
		case 1:
			more.Granularity = min(region.MaxGranularity, more.Granularity+1)
		case 2:
			more.ErrPPB = min(region.MaxErrPPB, more.ErrPPB+1)
		case 3:
			more.PosUnc = earth.Metres(math.Nextafter(float64(more.PosUnc), math.Inf(1)))
		case 4:
			more.VMax = earth.Speed(math.Nextafter(float64(more.VMax), math.Inf(1)))
		case 5:
			more.Age = min(region.MaxAge, more.Age+1)
		}
		a, _ := region.Radius(in)
		b, _ := region.Radius(more)
		if b < a {
			t.Fatalf("%+v: %v, %+v: %v", in, a, more, b)
		}
	})
}

// The figures of the design: 1 µs is 150 m; v_max of 350 m/s over an hour is 1,260 km; a 4 ms clock costs 1,200 km.
func TestRadiusKnownFigures(t *testing.T) {
	base := region.RadiusInput{Speed: earth.Vacuum, RTT: 1_000_000, Granularity: 1, PosUnc: 1, VMax: 350, Age: 1}
	radius := func(change func(*region.RadiusInput)) float64 {
		in := base
		change(&in)
		r, err := region.Radius(in)
		if err != nil {
			t.Fatal(err)
		}
		return float64(r)
	}
	zero := radius(func(*region.RadiusInput) {})
	for _, c := range []struct {
		name   string
		change func(*region.RadiusInput)
		want   float64
	}{
		{"1 µs", func(in *region.RadiusInput) { in.RTT += 1000 }, 149.896},
		{"an hour", func(in *region.RadiusInput) { in.Age += time.Hour }, 1_260_000},
		{"a 4 ms clock", func(in *region.RadiusInput) { in.Granularity += 4_000_000 }, 1_199_169.8},
		{"200 ppm", func(in *region.RadiusInput) { in.ErrPPB = 200_000 }, 29.979},
		{"a surveyor's kilometre", func(in *region.RadiusInput) { in.PosUnc += 1000 }, 1000},
	} {
		if got := radius(c.change) - zero; math.Abs(got-c.want) > 0.1 {
			t.Errorf("%s: %.3f m more, want %.3f", c.name, got, c.want)
		}
	}
}

func TestRadiusRefuses(t *testing.T) {
	good := region.RadiusInput{Speed: earth.Fibre, RTT: 1_000_000, Granularity: 1, PosUnc: 1, VMax: 350, Age: 1}
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name   string
		change func(*region.RadiusInput)
		want   error
	}{
		{"unset class", func(in *region.RadiusInput) { in.Speed = 0 }, region.ErrSpeedClass},
		{"zero RTT", func(in *region.RadiusInput) { in.RTT = 0 }, region.ErrRTT},
		{"negative RTT", func(in *region.RadiusInput) { in.RTT = math.MinInt64 }, region.ErrRTT},
		{"a century", func(in *region.RadiusInput) { in.RTT = math.MaxInt64 }, region.ErrRTT},
		{"zero granularity", func(in *region.RadiusInput) { in.Granularity = 0 }, region.ErrGranularity},
		{"negative granularity", func(in *region.RadiusInput) { in.Granularity = -1 }, region.ErrGranularity},
		{"granularity of hours", func(in *region.RadiusInput) { in.Granularity = 1 << 60 }, region.ErrGranularity},
		{"clock error of all", func(in *region.RadiusInput) { in.ErrPPB = math.MaxUint64 }, region.ErrClockError},
		{"zero uncertainty", func(in *region.RadiusInput) { in.PosUnc = 0 }, region.ErrPosUnc},
		{"uncertainty NaN", func(in *region.RadiusInput) { in.PosUnc = earth.Metres(nan) }, region.ErrPosUnc},
		{"uncertainty infinite", func(in *region.RadiusInput) { in.PosUnc = earth.Metres(inf) }, region.ErrPosUnc},
		{"core stands for ever", func(in *region.RadiusInput) { in.VMax = 0 }, region.ErrVMax},
		{"core speed NaN", func(in *region.RadiusInput) { in.VMax = earth.Speed(nan) }, region.ErrVMax},
		{"core faster than a rocket", func(in *region.RadiusInput) { in.VMax = earth.Speed(inf) }, region.ErrVMax},
		{"zero age", func(in *region.RadiusInput) { in.Age = 0 }, region.ErrAge},
		{"negative age", func(in *region.RadiusInput) { in.Age = -1 }, region.ErrAge},
		{"centuries old", func(in *region.RadiusInput) { in.Age = math.MaxInt64 }, region.ErrAge},
	} {
		in := good
		c.change(&in)
		if r, err := region.Radius(in); !errors.Is(err, c.want) || r != 0 {
			t.Errorf("%s: %v, %v; want %v", c.name, r, err, c.want)
		}
	}
}
