package atlas

import (
	"math"
	"strings"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Disputes are policy, not data: these two tables are the policy. The list follows Natural Earth's own layer of disputed and
// breakaway areas, the occupied and annexed oblasts of Ukraine, the cases before the International Court of Justice, and the
// enclaves that the source does not draw. It takes no side: it says where a second authority may enforce its law, so that a
// permitted region does not rest on one side's view. Claims that nobody enforces (sectors of Antarctica, the two Koreas' claims
// to each other, Sabah) are left out. ZZ stands for an authority that has no ISO code.

// dispute names those who claim whole atoms, besides the country in which the source draws them.
type dispute struct {
	name      string
	where     []string // countries and subdivisions
	claimants []string
}

func dis(name, where, claimants string) dispute {
	return dispute{name, strings.Fields(where), strings.Fields(claimants)}
}

var disputes = []dispute{
	dis("Crimea", "UA-43 UA-40", "RU"),
	dis("annexed oblasts of Ukraine", "UA-09 UA-14 UA-23 UA-65", "RU"),
	dis("Kosovo", "XK", "RS"),
	dis("Transnistria", "MD-SN MD-CAM MD-GRI MD-BD MD-RE", "RU"),
	dis("Abkhazia", "GE-AB", "RU"),
	dis("Northern Cyprus", "CY-X04~", "TR"),
	dis("Akrotiri and Dhekelia", "GB-X16~ GB-X17~", "CY"),
	dis("West Bank", "PS-WBK", "IL"),
	dis("Gaza", "PS-GZZ", "IL"),
	dis("Golan (UNDOF zone)", "SY-X01~", "IL"),
	dis("Western Sahara", "EH", "MA"),
	dis("Ceuta and Melilla", "ES-CE ES-ML", "MA"),
	dis("Somaliland", "SO-X11~", "ZZ"),
	dis("Jammu and Kashmir", "IN-JK IN-LA", "PK"),
	dis("Jammu and Kashmir", "PK-JK PK-GB", "IN"),
	dis("Siachen", "IN-X06~", "PK"),
	dis("Arunachal Pradesh", "IN-AR", "CN"),
	dis("Taiwan", "TW", "CN"),
	dis("Paracel Islands", "CN-X01~", "VN TW"),
	dis("Spratly Islands", "ZZ-X08~", "CN TW VN PH MY BN"),
	dis("Baikonur", "KZ-X05~", "RU"),
	dis("Guantanamo Bay", "CU-X13~", "US"),
	dis("Navassa Island", "UM-76", "HT"),
	dis("Wake Island", "UM-79", "MH"),
	dis("western Caribbean cays", "CO-X01~", "NI US"),
	dis("Falkland Islands", "FK", "AR"),
	dis("South Georgia and the South Sandwich Islands", "GS", "AR"),
	dis("Chagos Archipelago", "IO", "MU"),
	dis("Mayotte", "YT", "KM"),
	dis("Iles Eparses", "TF-X03~", "MG MU KM"),
	dis("Essequibo", "GY-BA GY-PM GY-CU GY-PT GY-UT GY-ES", "VE"),
	dis("southern Belize", "BZ-TOL BZ-SC BZ-CY", "GT"),
}

// enter adds a dispute's claimants to an atom, each once.
func (a *atom) enter(d dispute) {
	a.dispute = d.name
	for _, c := range d.claimants {
		known := false
		for _, have := range a.claims {
			known = known || have.country == c
		}
		if !known {
			a.claims = append(a.claims, claim{country: c})
		}
	}
}

// zone is a place that the atoms do not draw apart: a disputed part of an undisputed subdivision, an island that the source
// omits, an enclave. Its rim is generous. Within it everybody listed counts as a claimant besides the atom's own.
type zone struct {
	name      string
	claimants []string
	rim       []at         // corners, or
	centre    at           // centre and
	radius    earth.Metres // radius of a round zone

	countries countrySet // of the claimants
	bound     s2.Cap
	loop      *s2.Loop
}

// at is a corner: latitude and longitude in degrees.
type at [2]float64

func (c at) point() s2.Point { return earth.LatLon{Lat: c[0], Lon: c[1]}.Point() }

// area is a zone with a polygon.
func area(name, claimants string, corners ...at) zone {
	return zone{name: name, claimants: strings.Fields(claimants), rim: corners}
}

// around is a round zone.
func around(name, claimants string, lat, lon float64, radius earth.Metres) zone {
	return zone{name: name, claimants: strings.Fields(claimants), centre: at{lat, lon}, radius: radius}
}

// corners returns the zone's polygon. A round zone becomes one of sixteen sides that encloses the circle: the tangent of its inner
// radius is that of its outer radius times cos(π/16), and the tangent is convex.
func (z *zone) corners() []s2.Point {
	if z.radius > 0 {
		const sides = 16
		angle := outerAngle(z.radius).Radians() / math.Cos(math.Pi/sides)
		return s2.RegularLoop(z.centre.point(), s1.Angle(angle), sides).Vertices()
	}
	var out []s2.Point
	for _, c := range z.rim {
		out = append(out, c.point())
	}
	return out
}

var zones = []zone{
	area("Hala'ib Triangle", "EG SD", at{21.98, 33.9}, at{21.98, 37.2}, at{23.25, 35.85}, at{23.25, 35.2}, at{22.3, 34.2}),
	area("Bir Tawil", "EG SD", at{22.03, 33.1}, at{21.7, 33.2}, at{21.7, 34.0}, at{22.03, 34.15}),
	area("Wadi Halfa salient", "EG SD", at{21.97, 31.2}, at{21.97, 31.65}, at{22.3, 31.6}, at{22.3, 31.25}),
	area("Abyei and Heglig", "SD SS", at{9.2, 27.7}, at{9.2, 29.7}, at{10.25, 29.7}, at{10.25, 27.7}),
	area("Kafia Kingi", "SD SS", at{8.5, 23.4}, at{8.5, 25.1}, at{9.9, 25.1}, at{9.9, 23.4}),
	area("Ilemi Triangle", "KE SS ET", at{4.15, 33.9}, at{4.5, 36.0}, at{5.6, 35.95}, at{5.65, 35.0}, at{4.85, 33.9}),
	area("Western Sahara", "EH MA", at{25.8, -13.4}, at{25.8, -8.6}, at{27.67, -8.6}, at{27.68, -11}, at{27.67, -13.4}),
	area("Aksai Chin", "CN IN PK", at{34.0, 78.6}, at{33.8, 79.6}, at{34.7, 80.4}, at{35.6, 80.5}, at{36.1, 79.5}, at{35.9, 77.8}, at{35.3, 77.7}),
	area("Shaksgam Valley", "CN IN PK", at{35.45, 77.2}, at{35.5, 78.0}, at{36.0, 78.1}, at{36.6, 76.7}, at{37.05, 75.3}, at{36.6, 74.9}, at{35.9, 76.0}),
	around("Demchok", "CN IN", 32.75, 79.4, 40_000),
	around("Kalapani", "IN NP", 30.32, 80.77, 38_000),
	around("Doklam", "BT CN", 27.32, 89.0, 25_000),
	area("Golan", "SY IL", at{32.66, 35.6}, at{32.66, 35.95}, at{33.38, 35.95}, at{33.38, 35.6}),
	area("Shebaa Farms", "LB SY IL", at{33.22, 35.6}, at{33.22, 35.8}, at{33.39, 35.83}, at{33.39, 35.6}),
	around("Jerusalem", "PS IL", 31.8, 35.23, 13_000),
	area("South Ossetia", "GE RU", at{42.02, 43.65}, at{41.98, 44.65}, at{42.6, 44.7}, at{42.85, 43.8}, at{42.6, 43.3}, at{42.2, 43.4}),
	area("southern Kuril Islands", "RU JP", at{43.35, 145.9}, at{43.2, 146.3}, at{43.6, 147.3}, at{44.4, 148.6}, at{45.7, 149.1}, at{45.7, 147.6}, at{45.0, 146.6}, at{44.55, 145.9}, at{44.1, 145.4}, at{43.58, 145.45}),
	around("Liancourt Rocks", "KR JP", 37.242, 131.867, 30_000),
	around("Senkaku Islands", "JP CN TW", 25.85, 124.0, 75_000),
	around("Scarborough Shoal", "PH CN TW", 15.15, 117.76, 30_000),
	around("Paracel Islands", "CN VN TW", 16.4, 112.0, 130_000),
	area("Spratly Islands", "CN TW VN PH MY BN", at{6.7, 113.2}, at{8.6, 116.2}, at{10.8, 117.5}, at{11.9, 115.5}, at{11.8, 113.8}, at{7.3, 111.3}),
	around("Abu Musa", "IR AE", 25.88, 55.03, 12_000),
	around("Greater and Lesser Tunb", "IR AE", 26.25, 55.24, 20_000),
	around("Doumeira", "DJ ER", 12.71, 43.14, 10_000),
	around("Koualou", "BJ BF", 11.05, 1.5, 20_000),
	area("New River Triangle", "GY SR", at{1.85, -58.2}, at{1.85, -56.3}, at{3.6, -57.1}, at{3.6, -57.8}),
	area("Marouini", "GF SR", at{2.0, -54.8}, at{2.0, -53.8}, at{3.2, -53.9}, at{3.2, -54.3}),
	around("Isla Brasilera", "BR UY AR", -30.18, -57.63, 6_000),
	around("Isla Suarez", "BO BR", -10.53, -65.38, 8_000),
	area("Southern Patagonian ice field", "AR CL", at{-50.3, -73.8}, at{-50.3, -73.1}, at{-49.1, -73.0}, at{-49.1, -73.8}),
	around("Isla Conejo", "HN SV", 13.27, -87.77, 6_000),
	around("Machias Seal Island", "US CA", 44.5, -67.1, 6_000),
	around("Matthew and Hunter", "NC VU", -22.37, 171.7, 60_000),
	around("Minerva Reefs", "TO FJ", -23.7, -179.0, 60_000),
	around("Perejil", "ES MA", 35.914, -5.419, 3_000),
	around("Velez de la Gomera", "ES MA", 35.173, -4.301, 4_000),
	around("Alhucemas", "ES MA", 35.214, -3.89, 4_000),
	around("Chafarinas", "ES MA", 35.18, -2.43, 5_000),
	around("Baarle", "BE NL", 51.443, 4.93, 6_500),
	around("Büsingen", "DE CH", 47.697, 8.69, 5_000),
	around("Campione", "IT CH", 45.968, 8.972, 4_000),
	around("Shohimardon", "UZ KG", 39.95, 71.8, 15_000),
	around("Barak", "KG UZ", 40.66, 72.77, 5_000),
	around("Karki", "AM AZ", 39.785, 44.95, 6_000),
	around("Askipara and Barkhudarly", "AM AZ", 41.05, 45.13, 16_000),
	around("Dahagram", "BD IN", 26.3, 88.95, 7_000),
}

// drawZones appends the rims of the zones to the world's edges. They bound no atom: both sides stay zero.
func (w *world) drawZones() {
	w.zones = append([]zone(nil), zones...)
	for i := range w.zones {
		z := &w.zones[i]
		corners := z.corners()
		z.loop = s2.LoopFromPoints(corners)
		if z.loop.Area() > 2*math.Pi {
			z.loop.Invert()
		}
		z.bound = z.loop.CapBound()
		for _, c := range z.claimants {
			z.countries.add(w.number[c])
		}
		var rim []int32
		for j := range len(corners) + 1 {
			if j < len(corners) {
				rim = append(rim, int32(len(w.points)))
			}
			w.points = append(w.points, corners[j%len(corners)])
			w.left, w.right = append(w.left, 0), append(w.right, 0)
		}
		w.zoneRims = append(w.zoneRims, rim)
	}
	w.firstRim = w.zoneRims[0][0]
}

// zonesAt calls f with each zone that holds the point.
func (w *world) zonesAt(p s2.Point, f func(*zone)) {
	for i := range w.zones {
		if z := &w.zones[i]; z.bound.ContainsPoint(p) && z.loop.ContainsPoint(p) {
			f(z)
		}
	}
}

// zoneOf returns the zone to whose rim an edge belongs, or nil.
func (w *world) zoneOf(e int32) *zone {
	if e < w.firstRim {
		return nil
	}
	for i, rim := range w.zoneRims {
		if e >= rim[0] && e <= rim[len(rim)-1] {
			return &w.zones[i]
		}
	}
	return nil
}
