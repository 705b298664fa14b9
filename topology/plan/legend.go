package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ursa-virtual/ursa/topology/picture"
)

// box is the room of a text on the page.
type box struct{ left, top, right, bottom float64 }

func (b box) meets(o box) bool {
	return b.left < o.right && o.left < b.right && b.top < o.bottom && o.top < b.bottom
}

// name writes the name of a site beside it, on the first side where it meets no other and stays on the map; to the right if there is none.
func (p *page) name(x, y float64, words string) {
	const size, off, high = 13.0, 10.0, 14.0
	wide := picture.Width(words, size)
	at := func(left, base float64) box { return box{left, base - high + 3, left + wide, base + 3} }
	sides := []box{at(x+off, y+4), at(x-off-wide, y+4), at(x-wide/2, y-off-2), at(x-wide/2, y+off+high-2)}
	chosen := sides[0]
	if i := slices.IndexFunc(sides, func(b box) bool {
		return b.left > chartMargin && b.right < chartWidth-chartMargin && b.top > chartHead && b.bottom < p.foot() && !slices.ContainsFunc(p.labels, b.meets)
	}); i >= 0 {
		chosen = sides[i]
	}
	p.labels = append(p.labels, chosen)
	p.haloed(chosen.left, chosen.bottom-3, size, inkColour, words)
}

// step is the distance between the lines of the net, in degrees: about ten of them over the page.
func (p *page) step() float64 {
	for _, s := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10, 20} {
		if (p.east-p.west)/s <= 12 {
			return s
		}
	}
	return 30
}

// net draws meridians and parallels.
func (p *page) net() {
	fmt.Fprint(p, `<path fill="none" stroke="#d3dee6" stroke-width="0.8" d="`)
	step := p.step()
	for i := math.Ceil(p.west / step); i*step <= p.east; i++ {
		p.path([][2]float64{{i * step, p.south}, {i * step, p.north}}, 0)
	}
	for i := math.Ceil(p.south / step); i*step <= p.north; i++ {
		p.path([][2]float64{{p.west, i * step}, {p.east, i * step}}, 0)
	}
	fmt.Fprint(p, "\"/>\n")
}

// degrees numbers the net along the lower and the left rim.
func (p *page) degrees() {
	const size = 11
	step := p.step()
	for i := math.Ceil(p.west / step); i*step <= p.east; i++ {
		words := degree(math.Remainder(i*step, 360), "E", "W")
		if x := p.x(i*step) - picture.Width(words, size)/2; x > chartMargin+50 && x+picture.Width(words, size) < chartWidth-chartMargin {
			p.haloed(x, p.foot()-5, size, "#667", words)
		}
	}
	for i := math.Ceil(p.south / step); i*step <= p.north; i++ {
		if y := p.y(i*step) + 4; y > chartHead+12 && y < p.foot()-20 {
			p.haloed(chartMargin+4, y, size, "#667", degree(i*step, "N", "S"))
		}
	}
}

// degree writes an angle as people read it.
func degree(at float64, positive, negative string) string {
	words := strconv.FormatFloat(math.Abs(at), 'f', -1, 64)
	if math.Abs(at) != math.Trunc(math.Abs(at)) {
		words = strconv.FormatFloat(math.Abs(at), 'f', 1, 64)
	}
	switch {
	case at == 0 || math.Abs(at) == 180 && positive == "E":
		return words + "°"
	case at < 0:
		return words + "° " + negative
	}
	return words + "° " + positive
}

// legend says what each mark on the page means.
func (p *page) legend(features []Feature) {
	seen := map[string]bool{}
	for _, f := range features {
		kind, _ := f.Properties["kind"].(string)
		if proven, _ := f.Properties["proven"].(bool); kind == "sample" {
			kind = f.Geometry.Type + " " + strconv.FormatBool(proven)
		}
		seen[kind] = true
	}
	x, y := chartMargin, p.foot()+25
	for _, entry := range []struct{ kind, mark, words string }{
		{"Polygon true", `<path fill="` + provenColour + `" fill-opacity="0.6" d="M0 -6h16v12h-16z"/>`, "provable"},
		{"Polygon false", `<path fill="` + unprovenColour + `" fill-opacity="0.6" d="M0 -6h16v12h-16z"/>`, "not provable"},
		{"Point true", `<circle cx="8" r="4" fill="` + provenColour + `"/>`, "place, provable"},
		{"Point false", `<circle cx="8" r="4" fill="` + unprovenColour + `"/>`, "place, not provable"},
		{"beacon", `<circle cx="8" r="4" fill="` + beaconColour + `"/>`, "beacon"},
		{"member", `<circle cx="8" r="4" fill="` + beaconColour + `"/>`, "beacon of the committee"},
		{"pick", `<circle cx="8" r="6" fill="` + pickColour + `" stroke="` + inkColour + `"/>`, "new site, numbered as chosen"},
		{"claim", `<path fill="none" stroke="` + inkColour + `" stroke-width="2" d="M2 -6l12 12m0 -12l-12 12"/>`, "claimed place"},
	} {
		if !seen[entry.kind] {
			continue
		}
		fmt.Fprintf(p, `<g transform="translate(%.1f %.1f)">%s</g>`, x, y-4, entry.mark)
		p.text(x+22, y, 13, inkColour, entry.words)
		x += 22 + picture.Width(entry.words, 13) + 22
	}
	p.text(chartMargin, p.height-14, 11, "#667", "Boundaries: Natural Earth. A drawing of estimates: no proof.")
}

// ruler draws the scale, which holds at the middle latitude.
func (p *page) ruler() {
	const most = 180.0
	middle := (p.south + p.north) / 2
	perKM := p.scaleY / 111.2
	km := math.Pow(10, math.Floor(math.Log10(most/perKM)))
	for _, m := range []float64{5, 2} {
		if m*km*perKM <= most {
			km *= m
			break
		}
	}
	words := fmt.Sprintf("%g km at %s", km, degree(math.Round(middle), "N", "S"))
	right, y := chartWidth-chartMargin, p.height-14
	wide := km * perKM
	x := right - wide - 8 - picture.Width(words, 11)
	p.text(x, y, 11, inkColour, words)
	fmt.Fprintf(p, `<path fill="none" stroke="%s" d="M%.1f %.1fv6h%.1fv-6"/>`+"\n", inkColour, right-wide, y-7, wide)
}
