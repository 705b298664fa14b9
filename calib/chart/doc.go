// Package chart draws calibration: a map of the claims with the contradictions between them, and every round trip against the claimed
// distance with the fitted curves over it.
//
// It believes the report and the model that it is handed and judges nothing. A drawing is the same to the byte for the same input, as
// SVG or as PNG. Texts are escaped, so that a node's name cannot put anything but text into a picture. Coastlines are the atlas's.
package chart

import (
	"errors"
	"image/color"

	"github.com/ursa-virtual/ursa/topology/picture"
)

// Format is how a drawing is written.
type Format = picture.Format

// The formats.
const (
	SVG = picture.SVG
	PNG = picture.PNG
)

// What a drawing may be refused for.
var (
	ErrFormat  = picture.ErrFormat
	ErrUnknown = errors.New("no such beacon in the set")
)

// FormatOf reads the format off a file's name.
func FormatOf(path string) (Format, error) { return picture.FormatOf(path) }

// maxDots is how many pairs are drawn before they are thinned evenly: an SVG holds each as an element. Pairs of the accused, and those
// that contradict, are always drawn.
func maxDots(f Format) int {
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
