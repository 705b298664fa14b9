package plan

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/topology/picture"
)

// Chart draws a collection made here as SVG.
type Chart struct {
	Title   string
	Caption string
	Land    Land // to draw below; see LandOutlines
	Data    Collection
}

const (
	chartWidth  = 1200.0
	chartMargin = 24.0
	chartHead   = 64.0
	chartFoot   = 66.0
)

// Colours that people who confuse red and green can tell apart: Okabe and Ito (2008).
const (
	provenColour   = "#009e73"
	unprovenColour = "#d55e00"
	beaconColour   = "#0072b2"
	pickColour     = "#f0c000"
	inkColour      = "#222"
	coastColour    = "#7d877d"
)

// frame maps degrees to the page: equirectangular, true to scale at the middle latitude.
type frame struct {
	window
	scaleX, scaleY float64
	height         float64
}

func (f frame) x(lon float64) float64 { return chartMargin + (lon-f.west)*f.scaleX }
func (f frame) y(lat float64) float64 { return chartHead + (f.north-lat)*f.scaleY }
func (f frame) foot() float64         { return f.height - chartFoot }

func (c Chart) frame() frame {
	f := frame{window: windowOf(c.Data.Features)}
	f.scaleX = (chartWidth - 2*chartMargin) / (f.east - f.west)
	f.scaleY = f.scaleX * f.stretch()
	f.height = chartHead + (f.north-f.south)*f.scaleY + chartFoot
	return f
}

// Bounds returns the rim of what the chart shows, in degrees. East is beyond 180 when the chart crosses the antimeridian.
func (c Chart) Bounds() (west, east, south, north float64) {
	f := c.frame()
	return f.west, f.east, f.south, f.north
}

// page writes the parts of a chart.
type page struct {
	*bufio.Writer
	frame
	labels []box // where texts stand already
}

// WriteTo writes the chart as SVG 1.1 that shrinks to its window: the land, a net of meridians and parallels, sampled cells and places in
// green when proven and in orange when not, beacons, numbered picks and the claim, with a legend and a scale. It is a drawing: nothing is
// rounded outward.
func (c Chart) WriteTo(w io.Writer) (int64, error) {
	counted := &countingWriter{w: w}
	p := &page{Writer: bufio.NewWriter(counted), frame: c.frame()}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" style="max-width:100%%;height:auto" font-family="%s">`+"\n",
		chartWidth, p.height, chartWidth, p.height, picture.Families)
	fmt.Fprintf(p, "<title>%s</title><desc>%s</desc>\n", escape(c.Title), escape(c.Caption))
	fmt.Fprintf(p, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(p, `<clipPath id="map"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/></clipPath><g clip-path="url(#map)">`+"\n",
		chartMargin, chartHead, chartWidth-2*chartMargin, p.foot()-chartHead)
	fmt.Fprint(p, `<rect width="100%" height="100%" fill="#eaf2f8"/>`+"\n")
	p.net()
	p.ground(c.Land)
	p.cells(c.Data.Features)
	p.coasts(c.Land)
	p.marks(c.Data.Features)
	p.degrees()
	fmt.Fprint(p, "</g>\n")
	p.fitted(chartMargin, 28, 20, inkColour, c.Title)
	p.fitted(chartMargin, 50, 14, "#445", c.Caption)
	p.legend(c.Data.Features)
	p.ruler()
	fmt.Fprint(p, "</svg>\n")
	if err := p.Flush(); err != nil {
		return counted.n, err
	}
	return counted.n, counted.err
}

type countingWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = err
	return n, err
}

func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return ""
	}
	return b.String()
}

// points lists the positions of a feature.
func points(f Feature) [][2]float64 {
	switch at := f.Geometry.Coordinates.(type) {
	case [2]float64:
		return [][2]float64{at}
	case [][][2]float64:
		return at[0]
	}
	return nil
}

// text writes words that are as long in every browser as they are believed to be here.
func (p *page) text(x, y, size float64, colour, words string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" font-size="%.3g" fill="%s" textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
		x, y, size, colour, math.Max(1, picture.Width(words, size)), escape(words))
}

// haloed writes words over the map.
func (p *page) haloed(x, y, size float64, colour, words string) {
	fmt.Fprint(p, `<g stroke="#fff" stroke-width="3" stroke-linejoin="round" paint-order="stroke">`)
	p.text(x, y, size, colour, words)
	fmt.Fprint(p, "</g>")
}

// fitted writes a line of words over the whole page, smaller when it is too long, and shortened when it would become too small to read.
func (p *page) fitted(x, y, size float64, colour, words string) {
	const least = 11
	room := chartWidth - x - chartMargin
	if wide := picture.Width(words, size); wide > room {
		size = math.Max(least, size*room/wide)
	}
	whole := []rune(words)
	for n := len(whole); n > 0 && picture.Width(words, size) > room+1; n = n * 9 / 10 {
		words = string(whole[:n]) + "…"
	}
	p.text(x, y, size, colour, words)
}

func (p *page) path(line [][2]float64, turn float64) {
	for i, at := range line {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(p, "%c%.1f %.1f", command, p.x(at[0]+turn), p.y(at[1]))
	}
}

// ground fills the land.
func (p *page) ground(land Land) {
	fmt.Fprint(p, `<path fill="#e9ebe4" fill-rule="evenodd" d="`)
	for _, ring := range land.Areas {
		p.path(ring, 0)
		fmt.Fprint(p, "Z")
	}
	fmt.Fprint(p, "\"/>\n")
}

// coasts draws the outlines of the land, over the cells.
func (p *page) coasts(land Land) {
	fmt.Fprintf(p, `<path fill="none" stroke="%s" stroke-width="0.7" d="`, coastColour)
	for _, line := range land.Borders {
		p.path(line, 0)
	}
	fmt.Fprint(p, "\"/>\n")
}

// cells fills the sampled cells, all of a colour as one shape: neighbours show no seam between them.
func (p *page) cells(features []Feature) {
	for _, proven := range []bool{false, true} {
		colour := unprovenColour
		if proven {
			colour = provenColour
		}
		any := false
		for _, feature := range features {
			if is, _ := feature.Properties["proven"].(bool); feature.Geometry.Type != "Polygon" || is != proven {
				continue
			}
			ring := points(feature)
			for _, turn := range p.turns(lonRange(ring)) {
				if !any {
					fmt.Fprintf(p, `<path class="cells" fill="%s" fill-opacity="0.45" d="`, colour)
				}
				any = true
				p.path(ring, turn)
				fmt.Fprint(p, "Z")
			}
		}
		if any {
			fmt.Fprint(p, "\"/>\n")
		}
	}
}

// marks draws what stands at a point: the claim lowest, since a beacon may stand there too, the picks on top, then names.
func (p *page) marks(features []Feature) {
	each := func(draw func(feature Feature, kind string, x, y float64), kinds ...string) {
		for _, feature := range features {
			at := points(feature)
			kind, _ := feature.Properties["kind"].(string)
			if feature.Geometry.Type != "Point" || len(at) == 0 || !slices.Contains(kinds, kind) {
				continue
			}
			for _, turn := range p.turns(lonRange(at)) {
				draw(feature, kind, p.x(at[0][0]+turn), p.y(at[0][1]))
			}
		}
	}
	each(p.mark, "claim")
	each(p.mark, "sample", "beacon", "member")
	each(p.mark, "pick")
	each(func(feature Feature, kind string, x, y float64) {
		name, _ := feature.Properties["name"].(string)
		if rank, ok := feature.Properties["rank"]; ok {
			name = fmt.Sprintf("%v %s", rank, name)
		}
		p.name(x, y, name)
	}, "pick", "member")
}

func (p *page) mark(feature Feature, kind string, x, y float64) {
	name, _ := feature.Properties["name"].(string)
	title := ""
	if name != "" {
		title = "<title>" + escape(name) + "</title>"
	}
	switch kind {
	case "sample":
		colour := unprovenColour
		if proven, _ := feature.Properties["proven"].(bool); proven {
			colour = provenColour
		}
		fmt.Fprintf(p, `<circle class="place" cx="%.1f" cy="%.1f" r="3.5" fill="%s" stroke="#fff" stroke-width="0.6">%s</circle>`+"\n", x, y, colour, title)
	case "claim":
		fmt.Fprintf(p, `<path class="claim" fill="none" stroke="%s" stroke-width="2.5" d="M%.1f %.1fl18 18m0 -18l-18 18"/>`+"\n", inkColour, x-9, y-9)
	case "pick":
		fmt.Fprintf(p, `<circle class="pick" cx="%.1f" cy="%.1f" r="7" fill="%s" stroke="%s">%s</circle>`+"\n", x, y, pickColour, inkColour, title)
	default:
		fmt.Fprintf(p, `<circle class="beacon" cx="%.1f" cy="%.1f" r="4" fill="%s" stroke="#fff">%s</circle>`+"\n", x, y, beaconColour, title)
	}
}
