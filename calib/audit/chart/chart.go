// Package chart draws what an audit found: a map of the claims with the contradictions between them, and below it every round trip
// against the claimed distance, where the contradictions lie below the line that light draws.
//
// It believes the report and judges nothing. The drawing is plain SVG, the same to the byte for the same input; texts are escaped,
// so that a node's name cannot put anything but text into the picture.
package chart

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// The picture in pixels: the map is plate carrée, 3 pixels a degree; the scatter stands below it.
const (
	width, mapHeight, plotHeight = 1080, 540, 420
	left, bottom                 = 60, 50
	maxDots                      = 20_000 // more pairs are thinned evenly; contradictions are always drawn
)

const (
	quiet, warn, bad, faint = "#4a6fa5", "#d98e04", "#c1121f", "#c9d1d9"
)

// Write draws the report of a set.
func Write(w io.Writer, set *dataset.Set, r audit.Report) error {
	d := &drawing{w: bufio.NewWriter(w), set: set, report: r, colour: map[int]string{}}
	for _, a := range r.Suspected {
		d.colour[a.Index] = warn
	}
	for _, a := range r.Convicted {
		d.colour[a.Index] = bad
	}
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`, width, mapHeight+plotHeight)
	d.put(`<rect width="100%%" height="100%%" fill="white"/>`)
	d.worldMap()
	d.scatter()
	d.put(`</svg>`)
	return d.w.Flush() // bufio keeps the first error
}

type drawing struct {
	w      *bufio.Writer
	set    *dataset.Set
	report audit.Report
	colour map[int]string // of the accused
}

func (d *drawing) put(format string, args ...any) { fmt.Fprintf(d.w, format+"\n", args...) }

func (d *drawing) line(x1, y1, x2, y2 float64, colour string, thick float64) {
	d.put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.2f"/>`, x1, y1, x2, y2, colour, thick)
}

func (d *drawing) dot(x, y, radius float64, colour string) {
	d.put(`<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"/>`, x, y, radius, colour)
}

func (d *drawing) text(x, y float64, colour, format string, args ...any) {
	d.put(`<text x="%.1f" y="%.1f" fill="%s">%s</text>`, x, y, colour, html.EscapeString(fmt.Sprintf(format, args...)))
}

func onMap(p earth.LatLon) (x, y float64) { return (p.Lon + 180) * 3, (90 - p.Lat) * 3 }

// worldMap draws the graticule, the claims, the contradictions and where the accused most likely stand.
func (d *drawing) worldMap() {
	for lon := -150.0; lon < 180; lon += 30 {
		d.line((lon+180)*3, 0, (lon+180)*3, mapHeight, faint, 0.5)
	}
	for lat := -60.0; lat <= 60; lat += 30 {
		d.line(0, (90-lat)*3, width, (90-lat)*3, faint, 0.5)
	}
	for _, n := range d.set.Nodes {
		x, y := onMap(n.At)
		d.dot(x, y, 2, quiet)
	}
	for _, list := range [][]audit.Accused{d.report.Suspected, d.report.Convicted} {
		for _, a := range list {
			d.accused(a)
		}
	}
	d.text(8, 18, "black", "%s: %d convicted (red), %d suspected (orange), contradictions at %s speed", d.report.Data, len(d.report.Convicted), len(d.report.Suspected), d.report.Speed)
}

func (d *drawing) accused(a audit.Accused) {
	colour := d.colour[a.Index]
	x, y := onMap(d.set.Nodes[a.Index].At)
	for _, e := range a.Evidence {
		if j, ok := d.set.Index(e.Peer); ok {
			px, py := onMap(d.set.Nodes[j].At)
			d.line(x, y, px, py, colour, 0.4)
		}
	}
	if a.Near != "" {
		lx, ly := onMap(earth.LatLon{Lat: a.LikelyLat, Lon: a.LikelyLon})
		d.put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="1.6" stroke-dasharray="5 3"/>`, x, y, lx, ly, colour)
		d.put(`<circle cx="%.1f" cy="%.1f" r="5" fill="none" stroke="%s" stroke-width="1.6"/>`, lx, ly, colour)
	}
	d.dot(x, y, 3.5, colour)
	d.text(x+6, y-4, colour, "%s", a.Name)
}

// scatter draws round trip against claimed distance with the lines of the speed classes.
func (d *drawing) scatter() {
	top := float64(mapHeight + 20)
	base := float64(mapHeight + plotHeight - bottom)
	const maxKM, maxMS = 12_760.0, 400.0
	at := func(km, ms float64) (x, y float64) {
		return left + km/maxKM*(width-left-20), base - math.Min(ms, maxMS)/maxMS*(base-top)
	}
	d.line(left, base, width-20, base, "black", 1)
	d.line(left, top, left, base, "black", 1)
	for km := 0.0; km < maxKM; km += 2000 {
		x, _ := at(km, 0)
		d.text(x-12, base+18, "black", "%.0f", km)
	}
	for ms := 0.0; ms <= maxMS; ms += 100 {
		_, y := at(0, ms)
		d.text(left-34, y+4, "black", "%.0f", ms)
	}
	d.text(width/2-110, base+38, "black", "claimed distance along the chord, km")
	d.text(left+8, top+4, "black", "round trip, ms")
	d.dots(at)
	for _, class := range []earth.SpeedClass{earth.Vacuum, earth.Fibre} {
		x0, y0 := at(0, 0)
		x1, y1 := at(maxKM, 2e6*maxKM/float64(class.Speed()))
		d.line(x0, y0, x1, y1, "black", 1)
		d.text(x1-110, y1-6, "black", "%s", class)
	}
}

// dots draws the pairs, those that the accused take part in last.
func (d *drawing) dots(at func(km, ms float64) (x, y float64)) {
	stride := d.report.Pairs/maxDots + 1
	type spot struct {
		x, y   float64
		colour string
	}
	var accused []spot
	n := 0
	for i, a := range d.set.Nodes {
		for j := range i {
			rtt, ok := d.set.RTT(i, j)
			if !ok {
				continue
			}
			n++
			chord := earth.Chord(a.At.ECEF(0), d.set.Nodes[j].At.ECEF(0))
			against := float64(chord) > float64(d.report.Class.Speed())/2*float64(rtt)*1e-9
			colour := d.colour[i]
			if colour == "" || colour == warn && d.colour[j] == bad {
				colour = d.colour[j]
			}
			x, y := at(chord.Kilometres(), rtt.Millis())
			switch {
			case against && colour != "":
				accused = append(accused, spot{x, y, colour})
			case against || n%stride == 0:
				d.dot(x, y, 0.8, quiet)
			}
		}
	}
	for _, s := range accused {
		d.dot(s.x, s.y, 2.2, s.colour)
	}
}
