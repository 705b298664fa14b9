// Package earth is the leaf on which every other package stands: units as types, the WGS84 ellipsoid, straight-line
// distances, and S2 cells with bodies that enclose them.
//
// What it believes: information cannot travel between two points faster than light along the straight line between them.
// So distance here is the ECEF chord, and a chord needs no geodesic, no sphere and no assumption about the path.
//
// What it promises: every quantity that ends in a proof is rounded in the direction that makes the proof weaker. A function
// whose name begins with Min never returns too much, one whose name begins with Max never too little. Quantities for people
// (GreatCircle, CellArea) are estimates and say so.
//
// What an attacker may do: hand in any bit pattern. Positions are validated at the edge (LatLon.Validate, ECEF.Validate);
// the arithmetic itself never panics and a NaN never compares as "near".
package earth
