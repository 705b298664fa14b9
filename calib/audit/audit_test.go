package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func TestOptionsAreRefused(t *testing.T) {
	set := newWorld(1, 12).set(t)
	negative, many := -1, 13
	for _, c := range []struct {
		name string
		set  *dataset.Set
		o    audit.Options
		want error
	}{
		{"no set", nil, audit.Options{}, audit.ErrNoSet},
		{"warp speed", set, audit.Options{Class: 7}, audit.ErrClass},
		{"negative uncertainty", set, audit.Options{ClaimUnc: -1}, audit.ErrClaimUnc},
		{"uncertainty of a continent", set, audit.Options{ClaimUnc: 2_000_000}, audit.ErrClaimUnc},
		{"fewer than no liars", set, audit.Options{MaxLiars: &negative}, audit.ErrMaxLiars},
		{"more liars than nodes", set, audit.Options{MaxLiars: &many}, audit.ErrMaxLiars},
		{"negative effort", set, audit.Options{Effort: -1}, audit.ErrEffort},
	} {
		if _, err := audit.Run(c.set, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestEmptyAndTiny(t *testing.T) {
	for n := range 4 {
		nodes := make([]dataset.Node, n)
		for i := range nodes {
			nodes[i] = dataset.Node{ID: string(rune('a' + i)), At: earth.LatLon{Lat: float64(40 * i)}}
		}
		set, err := dataset.New("tiny", nodes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for j := range i {
				if err := set.Add(i, j, 1000, false); err != nil { // a microsecond: everybody contradicts everybody
					t.Fatal(err)
				}
			}
		}
		r := run(t, set, audit.Options{})
		if len(r.Convicted) > 0 {
			t.Errorf("%d nodes: %d convicted on no independent evidence", n, len(r.Convicted))
		}
		if n > 1 && len(r.Suspected) != n {
			t.Errorf("%d nodes that all contradict each other: %d suspected, want all", n, len(r.Suspected))
		}
	}
}

// A given f below the smallest explanation is refuted by the data. "In every cover of at most f" is then true of everybody, and the
// audit must not read it that way.
func TestRefutedPremiseConvictsNobody(t *testing.T) {
	w := newWorld(4, 60)
	w.corrupt("moved", 12)
	few := 2
	r := run(t, w.set(t), audit.Options{MaxLiars: &few})
	if !r.Refuted || len(r.Convicted) > 0 || len(r.Suspected) == 0 {
		t.Errorf("f = 2 with 12 liars: refuted %v, %d convicted, %d suspected; want refuted, none, some", r.Refuted, len(r.Convicted), len(r.Suspected))
	}
}

// The order of nodes is no evidence.
func TestOrderDoesNotMatter(t *testing.T) {
	w := newWorld(9, 60)
	w.corrupt("moved", 6)
	set := w.set(t)
	p := rand.New(rand.NewPCG(5, 5)).Perm(set.Len())
	nodes := make([]dataset.Node, set.Len())
	for i, q := range p {
		nodes[q] = set.Nodes[i]
	}
	shuffled, err := dataset.New("world", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		for j := range p {
			if rtt, ok := set.Directed(i, j); ok {
				if err := shuffled.Add(p[j], p[i], rtt, false); err != nil { // the other direction, too
					t.Fatal(err)
				}
			}
		}
	}
	a, b := run(t, set, audit.Options{}), run(t, shuffled, audit.Options{})
	if !reflect.DeepEqual(a.ConvictedIDs(), b.ConvictedIDs()) {
		t.Errorf("convicted %v, shuffled %v", a.ConvictedIDs(), b.ConvictedIDs())
	}
	if len(byID(a.Suspected)) != len(byID(b.Suspected)) {
		t.Errorf("%d suspected, shuffled %d", len(a.Suspected), len(b.Suspected))
	}
}

// Anybody can add delay. Added delay removes contradictions and never makes one, whoever adds it and to whomever.
func TestDelayNeverAccuses(t *testing.T) {
	for seed := range uint64(8) {
		w := newWorld(seed, 60)
		rng := rand.New(rand.NewPCG(seed, 77))
		for range 30 {
			i := rng.IntN(60)
			w.stretch(i, func(ms float64) float64 { return ms + rng.Float64()*200 })
		}
		r := run(t, w.set(t), audit.Options{})
		if r.Conflicts > 0 || len(r.Convicted)+len(r.Suspected) > 0 {
			t.Errorf("seed %d: %d conflicts, %d convicted, %d suspected among honest claims", seed, r.Conflicts, len(r.Convicted), len(r.Suspected))
		}
	}
}

// What is left after the convicted and the refused pairs are gone is consistent at both speeds: the claims of every pair can be true.
// A proof on the rest can then not be wrong about a claimed place.
func TestTheRestIsConsistent(t *testing.T) {
	sets := []*dataset.Set{}
	for _, kind := range []string{"moved", "collude", "frame"} {
		w := newWorld(3, 90)
		w.corrupt(kind, 20)
		sets = append(sets, w.set(t))
	}
	if dir := measuredOr(t, "wonderproxy-2020"); dir != nil {
		sets = append(sets, dir)
	}
	for _, set := range sets {
		r := run(t, set, audit.Options{})
		clean, err := audit.Clean(set, r)
		if err != nil {
			t.Fatal(err)
		}
		if clean.Len() != set.Len()-len(r.Convicted) {
			t.Fatalf("%s: %d nodes are left of %d without %d convicted", set.Name, clean.Len(), set.Len(), len(r.Convicted))
		}
		for i, a := range clean.Nodes {
			for j, b := range clean.Nodes[:i] {
				rtt, ok := clean.RTT(i, j)
				reach := earth.Metres(float64(earth.Fibre.Speed()) / 2 * float64(rtt) * 1e-9)
				if d := earth.Chord(a.At.ECEF(0), b.At.ECEF(0)); ok && d > reach {
					t.Fatalf("%s: %s and %s are %v apart, a signal reaches %v", set.Name, a.ID, b.ID, d, reach)
				}
			}
		}
		vacuum, fibre := 0, 0
		for _, p := range r.Refused {
			if !r.Refuses(p.J, p.I, earth.Fibre) {
				t.Fatalf("%s: %s - %s is refused and not refused", set.Name, p.A, p.B)
			}
			fibre++
			if r.Refuses(p.I, p.J, earth.Vacuum) {
				vacuum++
			}
		}
		if r.Refuses(0, 0, earth.Fibre) || vacuum > fibre {
			t.Fatalf("%s: %d pairs refused at vacuum, %d at fibre", set.Name, vacuum, fibre)
		}
	}
}

func measuredOr(t *testing.T, name string) (set *dataset.Set) {
	t.Run(name, func(t *testing.T) { set, _ = load(t, name) })
	return set
}

// One id in two places: a key that was copied. Its round trips are the shorter of the two hosts'.
func TestClonedKey(t *testing.T) {
	w := newWorld(2, 90)
	clone := 7
	other := w.elsewhere(w.truth[clone])
	for j := range w.rtt[clone] {
		if j != clone {
			w.put(clone, j, min(w.rtt[clone][j], w.delay(other, w.truth[j])))
		}
	}
	few := 3
	r := run(t, w.set(t), audit.Options{MaxLiars: &few})
	a, ok := byID(r.Convicted)["n7"]
	if !ok || a.Kind != audit.TwoPlaces {
		t.Fatalf("the cloned node is convicted %v, kind %q; want %q", ok, a.Kind, audit.TwoPlaces)
	}
	if d := earth.GreatCircle(earth.LatLon{Lat: a.LikelyLat, Lon: a.LikelyLon}, other).Kilometres(); d > 300 {
		t.Errorf("the copy is looked for %.0f km from where it stands", d)
	}
}

// A tampered clock shortens round trips with everybody, near and far: no place fits.
func TestTooQuickForAnyPlace(t *testing.T) {
	w := newWorld(5, 90)
	w.corrupt("shortens", 2)
	r := run(t, w.set(t), audit.Options{})
	if len(r.Convicted) != 2 {
		t.Fatalf("%d convicted, want the 2 that shorten", len(r.Convicted))
	}
	for _, a := range r.Convicted {
		if a.Kind != audit.TooQuick {
			t.Errorf("%s: kind %q, want %q", a.ID, a.Kind, audit.TooQuick)
		}
	}
}

func TestLabels(t *testing.T) {
	nodes := []dataset.Node{
		{ID: "a", Country: "PA", At: earth.LatLon{Lat: 14.6, Lon: -90.5}},
		{ID: "b", Country: "GT", At: earth.LatLon{Lat: 9, Lon: -79.5}},
		{ID: "c", Country: "DE", At: earth.LatLon{Lat: 50, Lon: 8}},
		{ID: "d", At: earth.LatLon{Lat: 50, Lon: 8}},
		{ID: "sea", Country: "DE", At: earth.LatLon{Lat: 0, Lon: -30}},
	}
	set, err := dataset.New("labels", nodes)
	if err != nil {
		t.Fatal(err)
	}
	countries := func(at earth.LatLon, within earth.Metres) []string {
		switch at.Lat {
		case 14.6:
			return []string{"GT"}
		case 9:
			return []string{"PA"}
		case 50:
			return []string{"DE", "FR"}
		}
		return nil
	}
	r := run(t, set, audit.Options{Countries: countries})
	if len(r.Labels) != 2 || r.Labels[0].ID != "a" || r.Labels[0].SwappedWith != "b" || r.Labels[1].SwappedWith != "a" {
		t.Errorf("got %+v; want a and b, swapped", r.Labels)
	}
}

// The JSON is a contract with other programs.
func TestJSONContract(t *testing.T) {
	w := newWorld(6, 60)
	w.corrupt("moved", 2)
	text, err := json.Marshal(run(t, w.set(t), audit.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Data         *string          `json:"data"`
		Nodes, Pairs *int             `json:",omitempty"`
		Convicted    []map[string]any `json:"convicted"`
		Suspected    []map[string]any `json:"suspected"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Data == nil || got.Nodes == nil || got.Pairs == nil || got.Suspected == nil || len(got.Convicted) == 0 {
		t.Fatalf("data, nodes, pairs, convicted or suspected is missing: %.200s", text)
	}
	for _, field := range strings.Fields("id name claims likely likely_lat likely_lon off_by_km false_alarm_rate evidence pos_unc_km") {
		if _, ok := got.Convicted[0][field]; !ok {
			t.Errorf("an accused has no %q", field)
		}
	}
	for _, e := range got.Convicted[0]["evidence"].([]any) {
		x := e.(map[string]any)
		if x["rtt_ms"].(float64) >= x["light_ms"].(float64) || x["distance_km"].(float64) <= 0 || x["peer"] == "" {
			t.Errorf("no contradiction: %v", x)
		}
	}
}

// Two measurements of one constellation, some weeks apart: everything wanders a little, one pair in twenty is rerouted, one node's
// link got slower, one node moved and kept its claim. Only the last has moved.
func TestMovedSinceLastTime(t *testing.T) {
	w := newWorld(8, 80)
	before := w.set(t)
	const link, mover = 3, 11
	to := w.elsewhere(w.truth[mover])
	for i := range w.rtt {
		for j := range w.rtt[:i] {
			ms := w.rtt[i][j] + w.rng.Float64()
			switch {
			case i == mover || j == mover:
				ms = w.delay(to, w.truth[i+j-mover])
			case i == link || j == link:
				ms += 15
			case w.rng.IntN(20) == 0:
				ms *= 1.3
			}
			w.put(i, j, ms)
		}
	}
	got, err := audit.Moved(before, w.set(t), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].ID != "n11" || got[0].ClaimMovedKM != 0 {
		t.Fatalf("got %+v, want n11 only", got)
	}
	near, _ := before.Index(got[0].Near)
	if d := earth.GreatCircle(w.truth[near], to).Kilometres(); d > 500 {
		t.Errorf("it is looked for %.0f km from where it went", d)
	}
	if same, err := audit.Moved(before, before, audit.Options{}); err != nil || len(same) > 0 {
		t.Errorf("compared with itself: %v, %v", same, err)
	}
	if _, err := audit.Moved(nil, before, audit.Options{}); !errors.Is(err, audit.ErrNoSet) {
		t.Errorf("nothing before: %v", err)
	}
}

// Where everybody contradicts a node there is no third party left to ask; five places that agree are enough then, and four are not.
func TestContradictedByEverybody(t *testing.T) {
	for _, c := range []struct {
		others    int
		convicted bool
	}{{12, true}, {4, false}} {
		nodes := []dataset.Node{{ID: "liar", At: earth.LatLon{Lat: -40, Lon: 150}}}
		for i := range c.others {
			nodes = append(nodes, dataset.Node{ID: fmt.Sprintf("n%d", i), At: earth.LatLon{Lat: 48, Lon: float64(i) * 2}})
		}
		set, err := dataset.New("one against all", nodes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range nodes {
			for j := range i {
				if err := set.Add(i, j, earth.RTTFromMillis(25), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		r := run(t, set, audit.Options{})
		if got := len(r.Convicted) == 1 && r.Convicted[0].ID == "liar"; got != c.convicted || len(r.Convicted)+len(r.Suspected) == 0 {
			t.Errorf("%d accusers: convicted %+v, suspected %d", c.others, r.Convicted, len(r.Suspected))
		}
	}
}
