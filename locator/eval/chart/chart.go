// Package chart draws what an evaluation found: the distribution of errors, the reliability of regions, and a map.
//
// It believes the report and promises SVG files that depend on nothing else: the same report draws the same bytes.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ursa-virtual/ursa/locator/estimate/places"
	"github.com/ursa-virtual/ursa/locator/eval"
	"github.com/ursa-virtual/ursa/topology/picture"
)

// Files names the charts that Write makes.
var Files = []string{"errors.svg", "reliability.svg", "map.svg"}

// Write draws all charts of a report into a folder, which it makes if need be.
func Write(dir string, r *eval.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, draw := range []func(*eval.Report) ([]byte, error){Errors, Reliability, Map} {
		data, err := draw(r)
		if err != nil {
			return fmt.Errorf("%s: %w", Files[i], err)
		}
		if err := os.WriteFile(filepath.Join(dir, Files[i]), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	width  = 16 * vg.Centimeter
	height = 10 * vg.Centimeter
)

func svg(p *plot.Plot, w, h vg.Length) ([]byte, error) {
	var b bytes.Buffer
	err := picture.Write(&b, picture.SVG, p, w, h)
	return b.Bytes(), err
}

// Errors draws the share of targets whose error is at most so many kilometres, for each method.
func Errors(r *eval.Report) ([]byte, error) {
	p := picture.New(fmt.Sprintf("%s: %d targets, %d beacons", r.Data, r.Targets, r.Beacons), "error, km (log scale)", "share of targets at most so")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, 20_000, 0, 1
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	for k, name := range eval.Names {
		km := r.ErrorsKM(name)
		xy := plotter.XYs{}
		for i, d := range km {
			xy = append(xy, plotter.XY{X: math.Max(1, d), Y: float64(i+1) / float64(len(km))})
		}
		if len(xy) == 0 {
			continue
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return nil, err
		}
		line.StepStyle = plotter.PostStep
		line.Color, line.Width = picture.Palette[k%len(picture.Palette)], vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(name, line)
	}
	return svg(p, width, height)
}

// Reliability draws how often a region of a probability held the truth, for the methods whose regions have one.
func Reliability(r *eval.Report) ([]byte, error) {
	p := picture.New(r.Data+": is a 90 % region right nine times in ten?", "probability of the region", "share of targets in it")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	ideal := plotter.NewFunction(func(x float64) float64 { return x })
	ideal.Dashes = []vg.Length{vg.Points(3), vg.Points(3)}
	p.Add(ideal)
	p.Legend.Add("ideal", ideal)
	for k, name := range eval.Names {
		nominal, covered := r.Reliability(name)
		if nominal == nil {
			continue
		}
		xy := make(plotter.XYs, len(nominal))
		for i := range nominal {
			xy[i] = plotter.XY{X: nominal[i], Y: covered[i]}
		}
		line, points, err := plotter.NewLinePoints(xy)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, points.Color = picture.Palette[k%len(picture.Palette)], vg.Points(1.5), picture.Palette[k%len(picture.Palette)]
		p.Add(line, points)
		p.Legend.Add(name, line, points)
	}
	return svg(p, height, height)
}

// Map draws the targets, and for each a line to where ursa puts it, over the populated places of the Earth.
func Map(r *eval.Report) ([]byte, error) {
	p := picture.New(r.Data+": targets (dots) and where ursa puts them (lines)", "longitude. Grey: "+places.Attribution, "latitude")
	if err := addPlaces(p); err != nil {
		return nil, err
	}
	truth := plotter.XYs{}
	for _, t := range r.Places() {
		truth = append(truth, plotter.XY{X: t.Truth.Lon, Y: t.Truth.Lat})
		// The short way may leave the map: then the line is drawn towards both rims, once beyond each.
		around := 0.0
		if apart := t.Estimate.Lon - t.Truth.Lon; math.Abs(apart) > 180 {
			around = math.Copysign(360, apart)
		}
		for _, shift := range slices.Compact([]float64{0, around}) {
			line, err := plotter.NewLine(plotter.XYs{{X: t.Truth.Lon + shift, Y: t.Truth.Lat}, {X: t.Estimate.Lon - around + shift, Y: t.Estimate.Lat}})
			if err != nil {
				return nil, err
			}
			line.Color = color.RGBA{R: 200, G: 60, B: 40, A: 255}
			p.Add(line)
		}
	}
	dots, err := plotter.NewScatter(truth)
	if err != nil {
		return nil, err
	}
	dots.Shape, dots.Radius, dots.Color = draw.CircleGlyph{}, vg.Points(1.5), color.RGBA{R: 20, G: 60, B: 140, A: 255}
	p.Add(dots)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -180, 180, -60, 80
	p.X.Tick.Marker, p.Y.Tick.Marker = picture.Every(30, "°"), picture.Every(30, "°")
	return svg(p, 24*vg.Centimeter, 12*vg.Centimeter)
}

// least is the population from which a place is drawn: enough of them to see the continents by.
const least = 200_000

func addPlaces(p *plot.Plot) error {
	xy := plotter.XYs{}
	for _, place := range places.All() {
		if place.Population >= least {
			xy = append(xy, plotter.XY{X: place.At.Lon, Y: place.At.Lat})
		}
	}
	if len(xy) == 0 {
		return nil
	}
	dots, err := plotter.NewScatter(xy)
	if err != nil {
		return err
	}
	dots.Shape, dots.Radius, dots.Color = draw.CircleGlyph{}, vg.Points(0.7), color.Gray{Y: 205}
	p.Add(dots)
	return nil
}
