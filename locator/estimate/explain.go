package estimate

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ursa-virtual/ursa/calib/model"
)

// Driver is a beacon with what its round trip contributed.
type Driver struct {
	Beacon string  `json:"beacon"`
	RTTMS  float64 `json:"rtt_ms"`
	// LikelyKM is how far the fleet's median puts a host that answers so quickly.
	LikelyKM float64 `json:"likely_km"`
	// Nats is by how much the round trip, given those of quicker beacons, speaks for where the core probably is over where it might
	// have been: the difference between posterior and prior of its weighted log likelihood.
	Nats float64 `json:"nats"`
}

// Limits of an explanation: so many likely candidates are compared with so many that the prior likes.
const (
	explainLikely   = 24
	explainPossible = 120
	driversShown    = 8
)

// explain asks each beacon again, for the likeliest candidates and for those that the prior likes.
func (e *Estimate) explain() []Driver {
	prior := make([]float64, len(e.q.found))
	for i := range prior {
		prior[i] = e.l.t.weights.score(&e.q.found[i].f, 0) + e.q.found[i].fixed
	}
	normalise(prior)
	likely := e.likeliest(explainLikely)
	possible := (&Estimate{q: e.q, mass: prior}).likeliest(explainPossible)
	after, before := e.shares(likely, e.mass), e.shares(possible, prior)
	out := make([]Driver, len(e.q.s.order))
	for k, o := range e.q.s.order {
		r := math.Expm1(o.log)
		out[k] = Driver{Beacon: e.l.mesh.beacons[o.beacon].Name, RTTMS: r, Nats: after[k] - before[k],
			LikelyKM: float64(e.l.t.curve.Likely(rttOf(o.log)))}
	}
	slices.SortStableFunc(out, func(a, b Driver) int {
		x, y := math.Abs(a.Nats), math.Abs(b.Nats)
		return pick(x > y, -1, pick(x < y, 1, 0))
	})
	return out[:min(driversShown, len(out))]
}

// shares returns the mean weighted log likelihood of each beacon's round trip over some candidates.
func (e *Estimate) shares(index []int, mass []float64) []float64 {
	s, table := e.q.s, e.l.t.table
	out := make([]float64, len(s.order))
	total := 0.0
	for _, i := range index {
		c := &e.q.found[i]
		w := e.q.weights(c)
		s.place(&w, len(s.order))
		total += mass[i]
		group := 0
		for k, o := range s.order {
			for k >= groupEnd[group] {
				group++
			}
			z, slope := table.Score(s.delay[k], model.Kilometres(km(c.at, e.l.mesh.at[o.beacon])))
			out[k] += mass[i] * e.l.t.weights[group] * (math.Log(s.innovation(k, z)) - s.f.logDiagonal[k] + slope)
		}
	}
	for k := range out {
		out[k] /= max(total, math.SmallestNonzeroFloat64)
	}
	return out
}

// Drivers returns the beacons that contributed most, the strongest first; none for a brief estimate.
func (e *Estimate) Drivers() []Driver { return slices.Clone(e.drivers) }

// Violated returns how many of the quickest beacons say more than could be believed: for no place would light in fibre have been
// fast enough for all but one of the others. Some beacon, or the core's clock, is false.
func (e *Estimate) Violated() int { return e.q.violated }

// Prior returns the prior that the estimate started from.
func (e *Estimate) Prior() Prior { return e.prior }

type pointJSON struct {
	Lat        float64 `json:"lat"`
	Lon        float64 `json:"lon"`
	Near       string  `json:"near,omitempty"`
	ExpectedKM float64 `json:"expected_km"`
}

func (p Point) json() pointJSON {
	return pointJSON{round(p.At.Lat, 1e4), round(p.At.Lon, 1e4), p.Near, round(p.ExpectedKM, 10)}
}

// MarshalJSON returns the estimate as one object. Its kind says what it is not.
func (e *Estimate) MarshalJSON() ([]byte, error) {
	area := map[string]float64{}
	for _, p := range []float64{0.5, 0.9, 0.95} {
		area[fmt.Sprintf("%g", p*100)] = math.Round(e.Region(p).AreaKM2())
	}
	return json.Marshal(struct {
		Kind          string             `json:"kind"`
		Prior         string             `json:"prior"`
		TrainedOn     int                `json:"trained_on_beacons"`
		Observed      int                `json:"observed"`
		Violated      int                `json:"violated"`
		Jurisdictions []Jurisdiction     `json:"jurisdictions"`
		Best          pointJSON          `json:"best"`
		Mode          pointJSON          `json:"mode"`
		Mean          pointJSON          `json:"mean"`
		Median        pointJSON          `json:"median"`
		AreaKM2       map[string]float64 `json:"area_km2"`
		Sensitivity   []Belief           `json:"sensitivity"`
		Drivers       []Driver           `json:"drivers"`
	}{"estimate, no proof", e.prior.String(), e.l.t.trainedOn, e.observed, e.q.violated, e.Jurisdictions(), e.Best().json(), e.Mode().json(),
		e.Mean().json(), e.Median().json(), area, e.Sensitivity(), e.drivers})
}

// Text returns the estimate for people.
func (e *Estimate) Text() string {
	b := &strings.Builder{}
	best := e.Best()
	fmt.Fprintf(b, "estimate (no proof): probably %s", near(best))
	fmt.Fprintf(b, ", %.0f km expected error\njurisdiction:", best.ExpectedKM)
	for i, j := range e.Jurisdictions() {
		if i == 5 || j.P < 0.005 {
			break
		}
		fmt.Fprintf(b, " %s %.1f %%", pick(j.Country == "", "none", j.Country), j.P*100)
	}
	b.WriteString("\nregion:")
	for _, p := range []float64{0.5, 0.9, 0.95} {
		fmt.Fprintf(b, " %.0f %% in %.0f km²;", p*100, e.Region(p).AreaKM2())
	}
	fmt.Fprintf(b, " calibrated on %d beacons, for cores that are placed like them\nprior: %s;", e.l.t.trainedOn, e.prior)
	for _, s := range e.Sensitivity() {
		if s.Prior != e.prior {
			fmt.Fprintf(b, " %s would say %s %.0f %%;", s.Name, pick(s.Most == "", "none", s.Most), s.P*100)
		}
	}
	b.WriteString("\n")
	if v := e.Violated(); v > 0 {
		fmt.Fprintf(b, "%d of the quickest beacons contradict every place: somebody is not where it says, or a clock is wrong\n", v)
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for i, d := range e.drivers {
		if i == 0 {
			fmt.Fprintln(t, "driven by\tround trip\tlikely distance\tspeaks for it")
		}
		fmt.Fprintf(t, "%s\t%.2f ms\t%.0f km\t%+.1f nats\n", d.Beacon, d.RTTMS, d.LikelyKM, d.Nats)
	}
	t.Flush()
	return b.String()
}

func near(p Point) string {
	if p.Near == "" {
		return p.At.String()
	}
	return p.Near
}
