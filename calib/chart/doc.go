// Package chart draws calibration: a map of the claims with the contradictions between them, and every round trip against the claimed
// distance with the fitted curves over it.
//
// It believes the report and the model that it is handed and judges nothing. A drawing is the same to the byte for the same input, as
// SVG or as PNG. Texts are escaped, so that a node's name cannot put anything but text into a picture. Coastlines are the atlas's.
package chart

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Format is how a drawing is written.
type Format string

// The formats.
const (
	SVG Format = "svg"
	PNG Format = "png"
)

// What a drawing may be refused for.
var (
	ErrFormat  = errors.New("unknown format of a drawing")
	ErrUnknown = errors.New("no such beacon in the set")
)

// FormatOf reads the format off a file's name.
func FormatOf(path string) (Format, error) {
	switch f := Format(strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))); f {
	case SVG, PNG:
		return f, nil
	}
	return "", fmt.Errorf("%w: %q; end its name in .svg or .png", ErrFormat, filepath.Base(path))
}

// maxDots is how many pairs are drawn before they are thinned evenly: an SVG holds each as an element. Pairs of the accused, and those
// that contradict, are always drawn.
func (f Format) maxDots() int {
	if f == SVG {
		return 6_000
	}
	return 40_000
}

var (
	quiet = color.NRGBA{0x4a, 0x6f, 0xa5, 0xff}
	warn  = color.NRGBA{0xd9, 0x8e, 0x04, 0xff}
	bad   = color.NRGBA{0xc1, 0x12, 0x1f, 0xff}
	faint = color.NRGBA{0xc9, 0xd1, 0xd9, 0xff}
	ink   = color.NRGBA{0x20, 0x24, 0x28, 0xff}
	green = color.NRGBA{0x2a, 0x8c, 0x55, 0xff}
)

// write renders a plot of the given size.
func write(w io.Writer, f Format, p *plot.Plot, width, height vg.Length) error {
	var c interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch f {
	case SVG:
		c = vgsvg.New(width, height)
	case PNG:
		c = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}
	default:
		return fmt.Errorf("%w: %q; use svg or png", ErrFormat, string(f))
	}
	p.Draw(draw.New(c))
	_, err := c.WriteTo(w)
	return err
}
