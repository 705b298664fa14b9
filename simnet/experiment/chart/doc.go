// Package chart draws a set of results: shares against what is varied, with their error bars; distributions of errors; operating points
// of the gate against an adversary; and a map of where cores were proven.
//
// It believes the set that it is handed. The same set draws the same bytes, as SVG or as PNG. Texts are escaped by the drawing library,
// so that a swept value cannot put anything but text into a picture. A picture that would show nothing is not drawn.
package chart

import (
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/topology/picture"
)

// Picture is one drawing, not yet written.
type Picture struct {
	Name    string // of its file, without the ending
	Caption string // for people: what to read off it

	plot          *plot.Plot
	width, height vg.Length
}

// Title says what is drawn, without the name of the experiment and without the values of the point, if it is of one.
func (p *Picture) Title() string {
	_, title, _ := strings.Cut(p.plot.Title.Text, ": ")
	title, _, _ = strings.Cut(title, " (")
	return title
}

// WriteTo writes the picture.
func (p *Picture) WriteTo(w io.Writer, f picture.Format) error {
	return picture.Write(w, f, p.plot, p.width, p.height)
}

// All draws every picture for which the set has data, in a fixed order.
func All(s *result.Set) ([]*Picture, error) {
	var out []*Picture
	for _, draw := range []func(*result.Set) ([]*Picture, error){shares, operating, distributions, coverage} {
		pictures, err := draw(s)
		if err != nil {
			return nil, err
		}
		out = append(out, pictures...)
	}
	return out, nil
}

var faint = color.NRGBA{0xc9, 0xd1, 0xd9, 0xff}

// hue returns the colour of a curve, and its dashes once the colours repeat.
func hue(i int) (color.NRGBA, []vg.Length) {
	dashes := [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 2, 2, 2}}
	return picture.Palette[i%len(picture.Palette)], dashes[i/len(picture.Palette)%len(dashes)]
}

// maxCurves keeps a picture readable; the table has the others.
const maxCurves = 12

const (
	width  = 18 * vg.Centimeter
	height = 10.5 * vg.Centimeter
)

func blank(title, x, y string) *plot.Plot {
	p := picture.New(title, x, y)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = faint, faint
	grid.Vertical.Width, grid.Horizontal.Width = vg.Points(0.4), vg.Points(0.4)
	p.Add(grid)
	return p
}

// curve adds points joined by a line.
func curve(p *plot.Plot, at plotter.XYs, i int, name string, steps bool) error {
	l, err := plotter.NewLine(at)
	if err != nil {
		return err
	}
	colour, dashes := hue(i)
	l.LineStyle = draw.LineStyle{Color: colour, Width: vg.Points(1.4), Dashes: dashes}
	if steps {
		l.StepStyle = plotter.PostStep
	}
	p.Add(l)
	if !steps {
		s, err := plotter.NewScatter(at)
		if err != nil {
			return err
		}
		s.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: vg.Points(2.2), Shape: draw.CircleGlyph{}}
		p.Add(s)
	}
	if name != "" {
		p.Legend.Add(name, l)
	}
	return nil
}
