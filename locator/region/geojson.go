package region

import (
	"strconv"
)

// GeoJSON returns the region as an RFC 7946 Feature with a MultiPolygon (no polygons when empty): shells counter-clockwise, holes
// clockwise, cut at the antimeridian, coordinates in degrees to 1e-7. It draws the cells' outlines, for people and maps; the cells
// are the region. Properties: area_km2, level.
func (r *Region) GeoJSON() []byte {
	b := []byte(`{"type":"Feature","properties":{"area_km2":`)
	b = strconv.AppendFloat(b, r.AreaKM2(), 'f', 3, 64)
	b = append(b, `,"level":`...)
	b = strconv.AppendInt(b, int64(r.level), 10)
	b = append(b, `},"geometry":{"type":"MultiPolygon","coordinates":[`...)
	for i, p := range outline(r.cells) {
		b = comma(b, i)
		b = append(b, '[')
		for j, ring := range p {
			b = comma(b, j)
			b = appendRing(b, ring)
		}
		b = append(b, ']')
	}
	return append(b, "]}}\n"...)
}

func appendRing(b []byte, r ring) []byte {
	b = append(b, '[')
	for i, p := range r {
		b = comma(b, i)
		b = append(b, '[')
		b = strconv.AppendFloat(b, p[0], 'f', 7, 64)
		b = append(b, ',')
		b = strconv.AppendFloat(b, p[1], 'f', 7, 64)
		b = append(b, ']')
	}
	return append(b, ']')
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}
