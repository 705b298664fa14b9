package atlas_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// The named cases: each says what is special about it.
func TestRegions(t *testing.T) {
	for _, c := range []struct {
		name, region string
		p            earth.LatLon
		want         atlas.Class
	}{
		{"antimeridian: Chukotka has no seam at 180", "RU", at(67, 180), atlas.In},
		{"antimeridian: nor at -180", "RU", at(67, -180), atlas.In},
		{"antimeridian: Wrangel Island", "RU", at(71.2, -179.9), atlas.In},
		{"antimeridian: a cap across it", "cap(0,180,100km)", at(0, -179.5), atlas.In},
		{"north pole: at sea", "LAND", at(90, 0), atlas.Out},
		{"north pole: in a cap around it", "cap(90,0,100km)", at(89.5, 123), atlas.In},
		{"south pole: on land", "AQ", at(-90, 0), atlas.In},
		{"south pole: without a seam", "AQ", at(-89, 180), atlas.In},
		{"Fiji: inland on Vanua Levu", "FJ", at(-16.62, 179.1), atlas.In},
		{"Fiji: the islands' rim is never certain", "FJ", at(-16.85, -179.98), atlas.Border},
		{"Fiji: far at sea", "FJ", at(-20, 180), atlas.Out},
		{"Svalbard is not Norway", "NO", at(78.5, 16), atlas.Out},
		{"Svalbard is SJ", "SJ", at(77.2, 16), atlas.In},
		{"Lesotho is not South Africa", "ZA", at(-29.5, 28.2), atlas.Out},
		{"Lesotho: its border within South Africa", "ZA", at(-29.3, 27.46), atlas.Border},
		{"Lesotho and South Africa together have none", "LS+ZA", at(-29.3, 27.46), atlas.In},
		{"Baarle: its Belgian parts are not drawn, so Dutch ground there is not certain", "NL", at(51.443, 4.93), atlas.Border},
		{"Baarle: nor is it certainly not Belgian", "BE", at(51.443, 4.93), atlas.Border},
		{"Baarle: in both together it is certain", "NL+BE", at(51.443, 4.93), atlas.In},
		{"Kaliningrad is not in the union around it", "EU27", at(54.65, 21.3), atlas.Out},
		{"Kaliningrad is in Russia", "RU", at(54.65, 21.3), atlas.In},
		{"Gibraltar is smaller than the data's error: never In", "GI", at(36.13, -5.35), atlas.Border},
		{"Gibraltar spoils Spain around it", "ES", at(36.16, -5.37), atlas.Border},
		{"Gibraltar and Spain, on the isthmus: the sea is near", "ES+GI", at(36.17, -5.4), atlas.Border},
		{"a core at sea is nowhere", "EU27+GB", at(56, 3), atlas.Out},
		{"a core at sea, though everything else is permitted", "* minus RU", at(56, 3), atlas.In},
		{"a core in a lake is on land", "US", at(43.5, -87), atlas.In},
		{"disputed: Crimea is not certainly Ukraine", "UA", at(45.2, 34.3), atlas.Border},
		{"disputed: nor certainly Russia, nor certainly not", "RU", at(45.2, 34.3), atlas.Border},
		{"disputed: whoever is right, it is in both together", "UA+RU", at(45.2, 34.3), atlas.In},
		{"disputed: what forbids Russia forbids Crimea", "* minus RU", at(45.2, 34.3), atlas.Border},
		{"disputed: by the first claim it is Ukraine", "primary(UA)", at(45.2, 34.3), atlas.In},
		{"disputed: by the first claim it is not Russia", "primary(RU)", at(45.2, 34.3), atlas.Out},
		{"Kosovo is not certain for XK alone", "XK", at(42.6, 21.0), atlas.Border},
		{"Kosovo by the first claim", "primary(XK)", at(42.6, 21.0), atlas.In},
		{"Kosovo for both", "XK+RS", at(42.6, 21.0), atlas.In},
		{"Hala'ib, a part of a subdivision", "EG", at(22.3, 35.6), atlas.Border},
		{"Hala'ib for both", "EG+SD", at(22.3, 35.6), atlas.In},
		{"Egypt elsewhere", "EG", at(25.5, 30), atlas.In},
		{"Taiwan", "TW", at(23.8, 120.9), atlas.Border},
		{"Alaska", "US minus US-AK", at(65, -150), atlas.Out},
		{"the 49th parallel, a straight line in longitude: Manitoba's side", "CA", at(49.06, -98), atlas.In},
		{"the 49th parallel: Dakota's side", "US", at(48.94, -98), atlas.In},
		{"between two states: no seam in their union", "US-CA+US-OR", at(42, -121), atlas.In},
		{"between two states: a seam outside of it", "US-CA", at(42, -121), atlas.Border},
		{"a buffer keeps away", "buffer(DE,-100km)", at(51.0, 7.1), atlas.Out},
		{"a buffer leaves the heart", "buffer(DE,-100km)", at(51.0, 10), atlas.In},
		{"a buffer reaches out", "buffer(LU,30km)", at(49.65, 6.6), atlas.In},
		{"a buffer reaches out no farther", "buffer(LU,30km)", at(49.65, 7.2), atlas.Out},
		{"a buffer: what shrinks to nothing does not grow again", "buffer(buffer(cap(50,10,8km),-10km),10km)", at(50, 10), atlas.Border},
		{"a buffer: a hole that fills up does not open again", "buffer(buffer(* minus cap(50,10,8km),10km),-10km)", at(50, 10), atlas.Border},
		{"a buffer: near each of two is not near what they share", "buffer(cap(50,8,10km) & cap(50,8.35,10km),5km)", at(50, 8.175), atlas.Border},
		{"a buffer: nor is near each of two holes near one they share", "buffer((* minus cap(50,8,10km))+(* minus cap(50,8.35,10km)),-5km)", at(50, 8.175), atlas.Border},
		{"an intersection", "EU27 & cap(48.2,16.4,500km)", at(47.5, 19.04), atlas.In},
		{"an intersection: in one of the two", "EU27 & cap(48.2,16.4,500km)", at(44.8, 20.46), atlas.Out},
		{"an empty intersection", "DE & FR", at(50, 8), atlas.Out},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mustParse(t, c.region).ClassPoint(c.p); got != c.want {
				t.Errorf("%s at %v: %v, want %v", c.region, c.p, got, c.want)
			}
		})
	}
}

func TestSeaRules(t *testing.T) {
	for _, c := range []struct {
		name, region string
		p            earth.LatLon
		want         atlas.Class
	}{
		{"land: a harbour is not certain", "GB", at(50.1, -1.2), atlas.Out},
		{"territorial: ten kilometres off the Isle of Wight", "territorial(GB)", at(50.47, -1.2), atlas.In},
		{"territorial: the coast itself", "territorial(GB)", at(50.8, -0.5), atlas.In},
		{"territorial: at the twelve miles nothing is certain", "territorial(GB)", at(50.38, -1.2), atlas.Border},
		{"territorial: the middle of the North Sea", "territorial(GB)", at(56, 3), atlas.Out},
		{"territorial: mid-Channel at Dover, where the seas meet", "territorial(GB)", at(51.0, 1.5), atlas.Border},
		{"territorial: both sides of the strait together", "territorial(GB+FR)", at(51.0, 1.5), atlas.In},
		{"territorial: French ground across the strait", "territorial(GB)", at(50.6, 2.0), atlas.Out},
		{"neutral: the coast costs nothing", "neutral(GB)", at(50.8, -0.5), atlas.In},
		{"neutral: the middle of the North Sea", "neutral(GB)", at(56, 3), atlas.In},
		{"neutral: the middle of the Atlantic", "neutral(GB)", at(45, -35), atlas.Out},
		{"neutral: near the French coast", "neutral(GB)", at(50.87, 1.55), atlas.Out},
		{"neutral: off Senkaku, claimed by others", "neutral(JP)", at(25.8, 123.6), atlas.Border},
		{"land within territorial", "land(GB)", at(50.47, -1.2), atlas.Out},
	} {
		if got := mustParse(t, c.region).ClassPoint(c.p); got != c.want {
			t.Errorf("%s: %s at %v: %v, want %v", c.name, c.region, c.p, got, c.want)
		}
	}
}

// nudge moves a point by at most a distance along the ellipsoid, in a random direction.
func nudge(r *rand.Rand, p earth.LatLon, by earth.Metres) earth.LatLon {
	a := float64(by/earth.MaxCurvatureRadius) * 0.9999
	from := p.Point()
	x := s2.Rotate(s2.Point{Vector: from.Ortho()}, from, s1Angle(2*math.Pi*r.Float64()))
	return earth.LatLonOf(s2.InterpolateAtDistance(s1Angle(a), from, x))
}

// Buffers against their definition: every point within the width of a point that is Out of the grown region is out of the region,
// and every point within the width of one that is In the shrunk region is in it. Classes of points, by random steps.
func TestBuffersKeepTheirDistance(t *testing.T) {
	const seed = 21
	r := rand.New(rand.NewPCG(seed, 0))
	for _, width := range []earth.Metres{3_000, 40_000} {
		plain := mustParse(t, "CH+IT & cap(46,9,300km)")
		grown := mustParse(t, "buffer(CH+IT & cap(46,9,300km),"+km(width)+")")
		shrunk := mustParse(t, "buffer(CH+IT & cap(46,9,300km),-"+km(width)+")")
		seen := map[string]int{}
		for i := range 2000 {
			p := at(44+4*r.Float64(), 5+9*r.Float64())
			q := nudge(r, p, width)
			if grown.ClassPoint(p) == atlas.Out {
				seen["out"]++
				if plain.ClassPoint(q) == atlas.In {
					t.Fatalf("seed %d: %v is Out of the grown region, and %v within %v of it is In the region", seed, p, q, width)
				}
			}
			if shrunk.ClassPoint(p) == atlas.In {
				seen["in"]++
				if plain.ClassPoint(q) != atlas.In {
					t.Fatalf("seed %d: %v is In the shrunk region, and %v within %v of it is not", seed, p, q, width)
				}
			}
			if i%20 == 0 {
				checkReach(t, plain, grown, shrunk, p, width)
			}
			if plain.ClassPoint(p) == atlas.In && (grown.ClassPoint(p) != atlas.In || grown.ClassPoint(q) == atlas.Out) {
				t.Fatalf("seed %d: %v is In the region and the grown one loses it", seed, p)
			}
		}
		if seen["in"] < 100 || seen["out"] < 100 {
			t.Errorf("seed %d: too few cases: %v", seed, seen)
		}
	}
}

// checkReach holds a buffer to its other promise: what is In the grown region is within the width of the region, and what is Out of the
// shrunk one within the width of a place outside. The search for the nearest place is good to a kilometre and a half.
func checkReach(t *testing.T, plain, grown, shrunk *atlas.Region, p earth.LatLon, width earth.Metres) {
	t.Helper()
	if grown.ClassPoint(p) == atlas.In {
		if q, d, ok := plain.NearestInside(p); !ok || d > width+1500 {
			t.Fatalf("%v is In the grown region, but the nearest of the region is %v, %v away", p, q, d)
		}
	}
	if shrunk.ClassPoint(p) == atlas.Out {
		if q, d, ok := plain.NearestOutside(p); !ok || d > width+1500 {
			t.Fatalf("%v is Out of the shrunk region, but the nearest outside is %v, %v away", p, q, d)
		}
	}
}

// The sea by the nearest coast: what is In a country's territorial sea has that country for its nearest land, within twelve miles; what
// is Out of it has not. In neutral waters no other land is within the accuracy.
func TestSeaAgainstTheNearestCoast(t *testing.T) {
	const seed = 26
	r := rand.New(rand.NewPCG(seed, 0))
	territorial, neutral, abroad := mustParse(t, "territorial(GB)"), mustParse(t, "neutral(GB)"), mustParse(t, "LAND minus GB")
	seen := map[atlas.Class]int{}
	for i := range 3000 {
		p := at(48.5+7*r.Float64(), -8+11*r.Float64())
		if i%10 == 0 {
			p = at(50.5+r.Float64(), 0.8+1.4*r.Float64()) // the strait of Dover
		}
		if _, land := atlas.Lookup(p); land {
			continue
		}
		near, ok := atlas.LookupNear(p, atlas.TerritorialSea)
		class := territorial.ClassPoint(p)
		seen[class]++
		if class == atlas.In && (!ok || near.Country != "GB") {
			t.Fatalf("seed %d: %v is In, and its nearest land within 12 miles is %q", seed, p, near.Country)
		}
		if class == atlas.In && i%10 == 0 { // both coasts may be off: the other is farther by twice the accuracy, of which abroad has one
			if _, d, found := abroad.NearestInside(p); found && d < near.OffBy+atlas.Accuracy-1500 {
				t.Fatalf("seed %d: %v is In, %v from Britain and %v from what may be abroad", seed, p, near.OffBy, d)
			}
		}
		if class == atlas.Out && ok && near.Country == "GB" {
			t.Fatalf("seed %d: %v is Out, and Britain is %v away", seed, p, near.OffBy)
		}
		if neutral.ClassPoint(p) == atlas.In {
			for _, c := range atlas.CountriesTouching(cellAt(p, 30)) {
				if c != "GB" {
					t.Fatalf("seed %d: %v is neutral, and %s is within the accuracy", seed, p, c)
				}
			}
		}
	}
	if seen[atlas.In] < 100 || seen[atlas.Out] < 100 || seen[atlas.Border] < 100 {
		t.Errorf("seed %d: too few cases: %v", seed, seen)
	}
}

// Caps against chords: the chord is shorter than the way along the ellipsoid, by at most r³/24R² (a hundredth of a per cent here).
func TestCapsAgainstChords(t *testing.T) {
	const seed = 22
	r := rand.New(rand.NewPCG(seed, 0))
	seen := map[atlas.Class]int{}
	for _, centre := range anywhere(seed, 60) {
		radius := earth.Metres(math.Pow(10, 3+2.7*r.Float64()))
		cap, err := atlas.Parse("cap("+degrees(centre.Lat)+","+degrees(centre.Lon)+","+metresText(radius)+")", atlas.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			p := nudge(r, centre, radius*earth.Metres(0.9+0.2*r.Float64()))
			class := cap.ClassPoint(p)
			seen[class]++
			d := earth.Chord(centre.ECEF(0), p.ECEF(0))
			slack := radius*radius*radius/24/earth.SemiMinor/earth.SemiMinor*1.01 + 1
			if class == atlas.In && d > radius || class == atlas.Out && d+slack < radius {
				t.Fatalf("seed %d: %v is %v of %v around %v, at a chord of %v m", seed, p, class, radius, centre, float64(d))
			}
		}
	}
	if seen[atlas.In] < 300 || seen[atlas.Out] < 300 {
		t.Errorf("seed %d: too few cases: %v", seed, seen)
	}
}

// Narrowing a region or widening its margin never turns anything into In; widening the region never turns anything into Out.
func TestMonotone(t *testing.T) {
	const seed = 23
	pairs := []struct{ small, large string }{
		{"DE", "DE+AT"}, {"EU27 minus CY", "EU27"}, {"FR & cap(47,2,300km)", "FR"}, {"buffer(DE,-7km)", "DE"}, {"PL", "buffer(PL,7km)"}, {"GB", "territorial(GB)"},
		{"buffer(buffer(DE,-10km),10km)", "DE"}, {"DE", "buffer(buffer(DE,10km),-10km)"}, {"GB", "neutral(GB)"}, {"DE minus DE-BY", "DE"},
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for _, pair := range pairs {
		small, large := mustParse(t, pair.small), mustParse(t, pair.large)
		wary, err := atlas.Parse(pair.small, atlas.Options{Accuracy: 3 * atlas.Accuracy})
		if err != nil {
			t.Fatal(err)
		}
		for range 800 {
			id := cellAt(at(35+25*r.Float64(), -10+35*r.Float64()), 3+r.IntN(14))
			if small.Class(id) == atlas.In && large.Class(id) != atlas.In {
				t.Fatalf("seed %d: %v is In %s, not in %s", seed, id.ToToken(), pair.small, pair.large)
			}
			if large.Class(id) == atlas.Out && small.Class(id) != atlas.Out {
				t.Fatalf("seed %d: %v is Out of %s, not of %s", seed, id.ToToken(), pair.large, pair.small)
			}
			if c := wary.Class(id); c != atlas.Border && c != small.Class(id) {
				t.Fatalf("seed %d: %v is %v of %s only with a wider margin", seed, id.ToToken(), c, pair.small)
			}
		}
	}
}

// A cell is In only if its parts are, and Out only if its parts are.
func TestPartsFollowTheWhole(t *testing.T) {
	const seed = 24
	r := rand.New(rand.NewPCG(seed, 0))
	region := mustParse(t, "(EU27 & cap(48,10,900km)) minus buffer(CH,20km)")
	for range 1500 {
		id := cellAt(at(40+16*r.Float64(), -3+26*r.Float64()), 3+r.IntN(14))
		whole := region.Class(id)
		if whole == atlas.Border {
			continue
		}
		part := cellAt(earth.LatLonOf(s2.CellFromCellID(id).Vertex(r.IntN(4))), 20)
		if !id.Contains(part) {
			part = id.Children()[r.IntN(4)]
		}
		if got := region.Class(part); got != whole {
			t.Fatalf("seed %d: %v is %v and its part %v is %v", seed, id.ToToken(), whole, part.ToToken(), got)
		}
	}
}

// What a cell may touch includes what its points are, near borders and near disputes.
func TestTouchingHoldsEveryPoint(t *testing.T) {
	const seed = 25
	r := rand.New(rand.NewPCG(seed, 0))
	for _, p := range onLand(seed, 400) {
		id := cellAt(p, 3+r.IntN(17))
		touched := atlas.CountriesTouching(id)
		in := map[string]bool{}
		for i, c := range touched {
			in[c] = true
			if i > 0 && touched[i-1] >= c {
				t.Fatalf("not sorted: %v", touched)
			}
		}
		for range 4 {
			q := p
			if cell := s2.CellFromCellID(id); r.IntN(2) == 0 {
				q = earth.LatLonOf(s2.Interpolate(r.Float64(), cell.Vertex(r.IntN(4)), cell.Vertex(r.IntN(4))))
			}
			q = nudge(r, q, atlas.Accuracy*earth.Metres(r.Float64()))
			place, ok := atlas.Lookup(q)
			if ok && !in[place.Country] {
				t.Fatalf("seed %d: cell %v touches %v, and %v within the accuracy of it is in %s", seed, id.ToToken(), touched, q, place.Country)
			}
			for _, c := range place.Claimants {
				if !in[c] {
					t.Fatalf("seed %d: cell %v touches %v, and %v is claimed by %v", seed, id.ToToken(), touched, q, place.Claimants)
				}
			}
		}
	}
}

func TestNearest(t *testing.T) {
	de := mustParse(t, "DE")
	berlin := at(52.52, 13.4)
	p, d, ok := de.NearestOutside(berlin) // Poland is 70 km away, its doubt 5 km less
	if !ok || d < 50_000 || d > 75_000 || de.Class(cellAt(p, 13)) == atlas.In {
		t.Errorf("from Berlin: %v, %v, %v", p, d, ok)
	}
	if p, d, ok := de.NearestOutside(at(48.85, 2.35)); !ok || d != 0 || p != at(48.85, 2.35) {
		t.Errorf("Paris is outside already: %v %v %v", p, d, ok)
	}
	if _, d, ok := de.NearestInside(at(48.85, 2.35)); !ok || d < 270_000 || d > 320_000 {
		t.Errorf("from Paris into Germany: %v %v", d, ok)
	}
	if _, _, ok := mustParse(t, "*").NearestOutside(berlin); ok {
		t.Error("there is no place outside the Earth")
	}
	if _, _, ok := de.NearestInside(earth.LatLon{Lat: math.NaN()}); ok {
		t.Error("NaN is no place")
	}
}

// What is no place or no cell commits to nothing.
func TestNonsense(t *testing.T) {
	de := mustParse(t, "DE")
	for _, p := range []earth.LatLon{at(math.NaN(), 0), at(0, math.Inf(1)), at(91, 0), at(0, 181)} {
		if _, ok := atlas.Lookup(p); ok {
			t.Errorf("%v is a place", p)
		}
		if _, ok := atlas.LookupNear(p, 1e6); ok {
			t.Errorf("%v is near a place", p)
		}
		if de.ClassPoint(p) != atlas.Border {
			t.Errorf("%v has a class", p)
		}
	}
	if de.Class(0) != atlas.Border || de.Class(s2.SentinelCellID) != atlas.Border || len(atlas.CountriesTouching(0)) != 0 {
		t.Error("an invalid cell has a class")
	}
	if got := atlas.CountriesWithin(metres(math.NaN()), cellAt(at(50, 8), 10)); len(got) == 0 {
		t.Error("a margin that is no number must not mean none")
	}
	if _, ok := atlas.LookupNear(at(0, 0), metres(math.NaN())); ok {
		t.Error("a reach that is no number reached land")
	}
}
