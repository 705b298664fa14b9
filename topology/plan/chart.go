package plan

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Chart draws a collection made here as SVG.
type Chart struct {
	Title   string
	Caption string
	Land    [][][2]float64 // rings of land to draw below, as [lon, lat] in degrees, cut at the antimeridian: see LandOutlines
	Data    Collection
}

const (
	chartWidth  = 1200.0
	chartMargin = 24.0
	chartHead   = 64.0
)

// frame maps degrees to the page: equirectangular, true to scale at the middle latitude.
type frame struct {
	west, north, scaleX, scaleY float64
	width, height               float64
}

func (f frame) x(lon float64) float64 { return chartMargin + (lon-f.west)*f.scaleX }
func (f frame) y(lat float64) float64 { return chartHead + (f.north-lat)*f.scaleY }

// WriteTo writes the chart as SVG 1.1: land in grey, meridians and parallels every ten degrees, sampled cells green when proven and red when not, beacons blue, picks orange
// and numbered, the claim a cross. It is a drawing: nothing is rounded outward.
func (c Chart) WriteTo(w io.Writer) (int64, error) {
	counted := &countingWriter{w: w}
	b := bufio.NewWriter(counted)
	f := c.frame()
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif">`+"\n", f.width, f.height)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="#f1f6fa"/>`+"\n")
	fmt.Fprintf(b, `<clipPath id="map"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/></clipPath><g clip-path="url(#map)">`+"\n",
		chartMargin, chartHead, f.width-2*chartMargin, f.height-chartHead-chartMargin)
	c.ground(b, f)
	for _, feature := range c.Data.Features {
		draw(b, f, feature)
	}
	fmt.Fprintf(b, "</g>\n")
	fmt.Fprintf(b, `<text x="%.0f" y="28" font-size="20">%s</text>`+"\n", chartMargin, escape(c.Title))
	fmt.Fprintf(b, `<text x="%.0f" y="50" font-size="14" fill="#445">%s</text>`+"\n</svg>\n", chartMargin, escape(c.Caption))
	if err := b.Flush(); err != nil {
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

// frame fits what the chart is about with a tenth around it, at least two degrees wide. Beacons count only when there is nothing else:
// many a fleet is spread over the Earth and covers a country.
func (c Chart) frame() frame {
	about := slices.DeleteFunc(slices.Clone(c.Data.Features), func(f Feature) bool { return f.Properties["kind"] == "beacon" })
	if len(about) == 0 {
		about = c.Data.Features
	}
	west, east, south, north := 180.0, -180.0, 90.0, -90.0
	for _, feature := range about {
		for _, p := range points(feature) {
			west, east = math.Min(west, p[0]), math.Max(east, p[0])
			south, north = math.Min(south, p[1]), math.Max(north, p[1])
		}
	}
	if west > east {
		west, east, south, north = -180, 180, -90, 90
	}
	padX, padY := math.Max(1, (east-west)/10), math.Max(1, (north-south)/10)
	west, east = math.Max(-180, west-padX), math.Min(180, east+padX)
	south, north = math.Max(-90, south-padY), math.Min(90, north+padY)
	f := frame{west: west, north: north, width: chartWidth}
	f.scaleX = (chartWidth - 2*chartMargin) / (east - west)
	f.scaleY = f.scaleX / math.Max(0.2, math.Cos((south+north)/2*math.Pi/180))
	f.height = chartHead + (north-south)*f.scaleY + chartMargin
	return f
}

func (c Chart) ground(b *bufio.Writer, f frame) {
	fmt.Fprint(b, `<path fill="none" stroke="#dde3e8" stroke-width="0.7" d="`)
	for lon := -180.0; lon <= 180; lon += 10 {
		path(b, f, [][2]float64{{lon, -90}, {lon, 90}})
	}
	for lat := -90.0; lat <= 90; lat += 10 {
		path(b, f, [][2]float64{{-180, lat}, {180, lat}})
	}
	fmt.Fprint(b, "\"/>\n<path fill=\"#e6e9e2\" fill-rule=\"evenodd\" stroke=\"#9aa49a\" stroke-width=\"0.6\" d=\"")
	for _, ring := range c.Land {
		path(b, f, ring)
		b.WriteByte('Z')
	}
	fmt.Fprint(b, "\"/>\n")
}

func path(b *bufio.Writer, f frame, line [][2]float64) {
	for i, p := range line {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(b, "%c%.2f %.2f", command, f.x(p[0]), f.y(p[1]))
	}
}

func draw(b *bufio.Writer, f frame, feature Feature) {
	proven, _ := feature.Properties["proven"].(bool)
	colour := "#d0483e"
	if proven {
		colour = "#2f9e5f"
	}
	at := points(feature)
	if len(at) == 0 {
		return
	}
	if feature.Geometry.Type == "Polygon" {
		fmt.Fprintf(b, `<path fill="%s" fill-opacity="0.45" d="`, colour)
		path(b, f, at)
		fmt.Fprintf(b, "Z\"/>\n")
		return
	}
	x, y := f.x(at[0][0]), f.y(at[0][1])
	name, _ := feature.Properties["name"].(string)
	switch feature.Properties["kind"] {
	case "sample":
		fmt.Fprintf(b, `<circle cx="%.2f" cy="%.2f" r="3" fill="%s" fill-opacity="0.7"><title>%s</title></circle>`+"\n", x, y, colour, escape(name))
	case "claim":
		fmt.Fprintf(b, `<path stroke="#222" stroke-width="2" d="M%.2f %.2fl14 14m0 -14l-14 14"/>`+"\n", x-7, y-7)
	case "pick":
		fmt.Fprintf(b, `<circle cx="%.2f" cy="%.2f" r="7" fill="#f08c00" stroke="#222"/>`, x, y)
		fmt.Fprintf(b, `<text x="%.2f" y="%.2f" font-size="13">%v %s</text>`+"\n", x+9, y+4, feature.Properties["rank"], escape(name))
	default:
		fmt.Fprintf(b, `<circle cx="%.2f" cy="%.2f" r="4" fill="#1c5fb0" stroke="#fff"><title>%s</title></circle>`+"\n", x, y, escape(name))
	}
}
