package estimate

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// world is a made-up Internet: hosts in real cities, round trips that follow from distance, a stretch that varies smoothly over the
// Earth, access links and noise. Its hosts are exchangeable, so that what is learnt from some must hold for the others.
type world struct {
	hosts []Beacon
	rtt   [][]earth.RTT
}

func makeWorld(n int, seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 77))
	list := sites()
	// Cities by population, the greater the likelier.
	sum := make([]float64, len(list))
	total := 0.0
	for i, s := range list {
		total += math.Exp(s.logPop)
		sum[i] = total
	}
	// Twelve poles, around each of which paths are slower or faster.
	poles, slow := make([]vec, 12), make([]float64, 12)
	for i := range poles {
		poles[i] = vec{X: r.NormFloat64(), Y: r.NormFloat64(), Z: r.NormFloat64()}.Normalize()
		slow[i] = 0.5 * r.NormFloat64()
	}
	stretch := func(v vec) (s float64) {
		for i, p := range poles {
			s += slow[i] * math.Exp(-math.Pow(km(v, p)/3000, 2))
		}
		return s
	}
	w := &world{}
	var at []vec
	access := make([]float64, n)
	for i := range n {
		x := r.Float64() * total
		k := 0
		for sum[k] < x {
			k++
		}
		p := list[k]
		place := p.place.At
		place.Lat += 0.02 * r.NormFloat64()
		place.Lon = math.Max(-180, math.Min(180, place.Lon+0.02*r.NormFloat64()))
		w.hosts = append(w.hosts, Beacon{Name: p.place.Name, At: place, Country: p.place.Country})
		at = append(at, vecOf(place))
		access[i] = 0.3 + 2*r.ExpFloat64()
	}
	w.rtt = make([][]earth.RTT, n)
	for i := range n {
		w.rtt[i] = make([]earth.RTT, n)
		for j := range i {
			d := km(at[i], at[j])
			path := 2 * 1.468 * d / 299.792458 * math.Exp(0.45+(stretch(at[i])+stretch(at[j]))/2+0.15*math.Abs(r.NormFloat64()))
			w.rtt[i][j] = earth.RTTFromMillis(path + access[i] + access[j] + 0.2*r.ExpFloat64())
			w.rtt[j][i] = w.rtt[i][j]
		}
	}
	return w
}

// mesh makes a constellation of the first hosts.
func (w *world) mesh(t testing.TB, n int) *Mesh {
	t.Helper()
	m, err := NewMesh(w.hosts[:n], func(i, j int) (earth.RTT, bool) { return w.rtt[i][j], true })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// seen lists what host i measured with the first n.
func (w *world) seen(i, n int) []Observation {
	var out []Observation
	for j := range n {
		if j != i {
			out = append(out, Observation{j, w.rtt[i][j]})
		}
	}
	return out
}

// small is a world with a locator trained on 24 of its hosts, shared by tests that only read it.
var small = sync.OnceValues(func() (*world, *Locator) {
	w := makeWorld(40, 5)
	m, err := NewMesh(w.hosts[:24], func(i, j int) (earth.RTT, bool) { return w.rtt[i][j], true })
	if err != nil {
		panic(err)
	}
	trained, err := Train(context.Background(), m, TrainOptions{})
	if err != nil {
		panic(err)
	}
	return w, NewLocator(m, trained, 2)
})
