package atlas

import (
	"github.com/golang/geo/s1"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// Lengths and angles. Here a point of the sphere is the normal of the ellipsoid. The map from normals to places stretches by the
// principal radii of curvature, which lie between b²/a (along the meridian at the equator) and a²/b (at the poles). So two places
// whose normals are an angle α apart are, along the ellipsoid, no farther than α·a²/b (walk the arc of normals) and no nearer than
// α·b²/a (the normals along the shortest path sweep at least α).

// minCurvatureRadius is b²/a = 6,335,439 m.
const minCurvatureRadius = earth.SemiMinor * (1 - earth.Flattening)

// outerAngle returns an angle such that normals at least so far apart belong to places at least d apart.
func outerAngle(d earth.Metres) s1.Angle { return s1.Angle(d / minCurvatureRadius) }

// innerAngle returns an angle such that normals at most so far apart belong to places at most d apart.
func innerAngle(d earth.Metres) s1.Angle { return s1.Angle(d / earth.MaxCurvatureRadius) }

// mostMetres returns an upper bound of the distance of two places whose normals are an angle apart.
func mostMetres(a s1.Angle) earth.Metres { return earth.Metres(a) * earth.MaxCurvatureRadius }

// leastMetres returns a lower bound of the distance of two places whose normals are an angle apart.
func leastMetres(a s1.Angle) earth.Metres { return earth.Metres(a) * minCurvatureRadius }
