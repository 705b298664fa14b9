package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/locator/estimate"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// The estimate under poisoned calibration, on measured delays: of a public set's city servers 70 are beacons and 50 others are located,
// while a share of the beacons adds delay, claims another's place or shortens round trips, to the other beacons and to the cores. The
// estimate gets worse by degrees. It takes some minutes: URSA_LONG=1 go test ./calib/model -run PoisonedEstimate -v
func TestPoisonedEstimate(t *testing.T) {
	if os.Getenv("URSA_LONG") == "" {
		t.Skip("takes minutes: set URSA_LONG")
	}
	set := load(t, "wonderproxy-2020")
	report, err := audit.Run(set, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	clean, err := audit.Clean(set, report)
	if err != nil {
		t.Fatal(err)
	}
	order := rand.New(rand.NewPCG(5, 5)).Perm(clean.Len())
	beacons, cores := order[:70], order[70:120]
	var base float64
	for _, kind := range []string{"adds delay", "lies about its place", "shortens"} {
		for _, percent := range []int{0, 10, 20, 30, 44} {
			p := poisoned{set: clean, beacons: beacons, kind: kind, liars: len(beacons) * percent / 100}
			km, convicted := p.locate(t, cores)
			median, p90 := km[len(km)/2], km[len(km)*9/10]
			t.Logf("%-20s %2d %%: convicted %2d of %2d, error of the estimate: median %4.0f km, p90 %5.0f km", kind, percent, convicted, p.liars, median, p90)
			if percent == 0 {
				base = median
			}
			if percent <= 20 && median > 3*base+100 {
				t.Errorf("%s, %d %%: median %.0f km, without liars %.0f km", kind, percent, median, base)
			}
		}
	}
}

// poisoned is a measured set in which the first of the beacons lie.
type poisoned struct {
	set     *dataset.Set
	beacons []int
	kind    string
	liars   int
}

// claim is where beacon number b says it stands.
func (p poisoned) claim(b int) earth.LatLon {
	if b < p.liars && p.kind == "lies about its place" {
		return p.set.Nodes[p.beacons[(b+len(p.beacons)/2)%len(p.beacons)]].At
	}
	return p.set.Nodes[p.beacons[b]].At
}

// told is what beacon number b makes of a measured round trip to a node.
func (p poisoned) told(b, node int, rtt earth.RTT) earth.RTT {
	if b >= p.liars {
		return rtt
	}
	switch p.kind {
	case "adds delay":
		return rtt + earth.RTTFromMillis(float64((b*7919+node*104729)%1000))
	case "shortens":
		km := earth.GreatCircle(p.claim(b), p.set.Nodes[node].At).Kilometres()
		short := earth.RTT(float64(rtt) * (0.3 + 0.6*float64((b*7919+node*104729)%1000)/1000))
		if slices.Contains(p.beacons, node) { // no shorter than an audit can refute
			short = max(short, model.Floor(model.Kilometres(km+30)))
		}
		return min(rtt, short)
	}
	return rtt
}

// locate audits and trains on what the beacons tell, then locates the cores, and returns the errors in ascending order.
func (p poisoned) locate(t *testing.T, cores []int) (km []float64, convicted int) {
	t.Helper()
	nodes := make([]dataset.Node, len(p.beacons))
	for b, i := range p.beacons {
		nodes[b] = dataset.Node{ID: fmt.Sprint(b), At: p.claim(b), Country: p.set.Nodes[i].Country}
	}
	told, err := dataset.New("told", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for b, i := range p.beacons {
		for c, j := range p.beacons[:b] {
			if rtt, ok := p.set.RTT(i, j); ok {
				if err := told.Add(b, c, p.told(b, j, p.told(c, i, rtt)), false); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	report, err := audit.Run(told, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	clean, err := audit.Clean(told, report)
	if err != nil {
		t.Fatal(err)
	}
	var marks []estimate.Beacon
	var number []int
	for _, n := range clean.Nodes {
		b, _ := told.Index(n.ID)
		marks, number = append(marks, estimate.Beacon{Name: n.ID, At: n.At}), append(number, b)
	}
	mesh, err := estimate.NewMesh(marks, clean.RTT)
	if err != nil {
		t.Fatal(err)
	}
	trained, err := estimate.Train(context.Background(), mesh, estimate.TrainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	locator := estimate.NewLocator(mesh, trained, 0)
	for _, core := range cores {
		var seen []estimate.Observation
		for k, b := range number {
			if rtt, ok := p.set.RTT(p.beacons[b], core); ok {
				seen = append(seen, estimate.Observation{Beacon: k, RTT: p.told(b, core, rtt)})
			}
		}
		e, err := locator.Locate(seen, estimate.Options{Brief: true})
		if err != nil {
			t.Fatal(err)
		}
		km = append(km, earth.GreatCircle(e.Best().At, p.set.Nodes[core].At).Kilometres())
	}
	slices.Sort(km)
	return km, len(report.Convicted)
}
