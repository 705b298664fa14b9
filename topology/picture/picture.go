// Package picture writes plots so that every reader sees the same: as SVG that no missing font can spoil, or as PNG.
//
// What it believes: the plot that it is handed. What it promises: nothing of a picture is cut off or pushed over something else because
// a browser has other fonts than the one that laid the picture out. The drawing library measures text in Liberation, which few machines
// have; each text therefore carries the length it was laid out with, and names of fonts that are as wide. An SVG fetches nothing, has a
// title and a shape, and shrinks to the window it is opened in. The same plot gives the same bytes. What an attacker may do: name a
// beacon or a place as they like; the drawing library escapes texts.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Format is how a picture is written.
type Format string

// The formats.
const (
	SVG Format = "svg"
	PNG Format = "png"
)

// ErrFormat refuses any other format.
var ErrFormat = errors.New("unknown format of a picture")

// FormatOf reads the format off a file's name.
func FormatOf(path string) (Format, error) {
	switch f := Format(strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))); f {
	case SVG, PNG:
		return f, nil
	}
	return "", fmt.Errorf("%w: %q; end its name in .svg or .png", ErrFormat, filepath.Base(path))
}

// Families names fonts as wide as Liberation Sans, for style attributes; the last is whatever the browser has.
const Families = "Liberation Sans, Arial, Helvetica, sans-serif"

// Palette has colours for curves: those of Okabe and Ito (2008), which people who confuse red and green can tell apart, without the yellow.
var Palette = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x33, 0x33, 0x33, 0xff},
}

// Sizes of texts.
const (
	titleSize  = 11
	labelSize  = 10
	tickSize   = 9
	legendSize = 9
	margin     = vg.Length(8) // of white around everything
	dpi        = 120
)

// Font is the font of all pictures, in the given size in points.
func Font(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// Width is how wide a text is in Font of a size, in the size's unit.
func Width(words string, size float64) float64 {
	face := font.DefaultCache.Lookup(Font(0), vg.Length(size))
	return float64(face.Width(words))
}

// New returns an empty plot in the house's type, with a title and axes.
func New(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font = Font(titleSize)
	p.Title.Padding = vg.Points(7)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = Font(labelSize), Font(tickSize)
		a.Label.Padding = vg.Points(3)
	}
	p.Legend.TextStyle.Font = Font(legendSize)
	p.Legend.Padding = vg.Points(2)
	return p
}

// Write writes a plot in the given size.
func Write(w io.Writer, f Format, p *plot.Plot, width, height vg.Length) error {
	title := p.Title.Text
	p.Title.Text = wrap(title, p.Title.TextStyle, width-4*margin)
	defer func() { p.Title.Text = title }()
	p.Legend.XOffs, p.Legend.YOffs = -margin, margin
	if p.Legend.Left {
		p.Legend.XOffs = margin
	}
	if p.Legend.Top {
		p.Legend.YOffs = -margin / 2
	}
	switch f {
	case SVG:
		c := &canvas{Canvas: vgsvg.New(width, height)}
		paint(p, c)
		return c.finish(w, title)
	case PNG:
		c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))}
		paint(p, c)
		_, err := c.WriteTo(w)
		return err
	}
	return fmt.Errorf("%w: %q; use svg or png", ErrFormat, string(f))
}

func paint(p *plot.Plot, c vg.CanvasSizer) {
	all := draw.New(c)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	p.Draw(draw.Crop(all, margin, -2*margin, margin, -margin)) // more on the right: a number may stand at the very end of an axis
}

// wrap breaks a text into lines that fit.
func wrap(words string, style text.Style, room vg.Length) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(words) {
		longer := strings.TrimLeft(line+" "+word, " ")
		if line != "" && style.Width(longer) > room {
			lines, longer = append(lines, line), word
		}
		line = longer
	}
	return strings.Join(append(lines, line), "\n")
}

// Every marks an axis at multiples of a step, with a unit.
func Every(step float64, unit string) plot.Ticker {
	return plot.TickerFunc(func(least, most float64) (ticks []plot.Tick) {
		if step <= 0 || most-least > 1000*step {
			return nil
		}
		for i := math.Ceil(least / step); i*step <= most; i++ {
			ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'g', 6, 64) + unit})
		}
		return ticks
	})
}

// canvas is an SVG that knows how long each text was meant to be.
type canvas struct {
	*vgsvg.Canvas
	widths []vg.Length
}

// FillString draws a text and keeps its length.
func (c *canvas) FillString(face font.Face, at vg.Point, words string) {
	c.widths = append(c.widths, face.Width(words))
	c.Canvas.FillString(face, at, words)
}

// finish writes the SVG with title, lengths of texts and fonts.
func (c *canvas) finish(w io.Writer, title string) error {
	var b bytes.Buffer
	if _, err := c.Canvas.WriteTo(&b); err != nil {
		return err
	}
	const head, body = "<svg ", "<g "
	svg := b.Bytes()
	begin, open := bytes.Index(svg, []byte(head)), bytes.Index(svg, []byte(body))
	if begin < 0 || open < begin {
		return errors.New("the drawing library made no SVG")
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "<?xml version=\"1.0\"?>\n%srole=\"img\" style=\"max-width:100%%;height:auto\" %s<title>%s</title>\n",
		head, svg[begin+len(head):open], html.EscapeString(title))
	parts := strings.Split(strings.ReplaceAll(string(svg[open:]), "font-family:Liberation Sans;", "font-family:"+Families+";"), "<text ")
	out.WriteString(parts[0])
	for i, part := range parts[1:] {
		out.WriteString("<text ")
		if i < len(c.widths) && c.widths[i] > 0 {
			fmt.Fprintf(&out, `textLength="%.2f" lengthAdjust="spacingAndGlyphs" `, c.widths[i].Points())
		}
		out.WriteString(part)
	}
	_, err := out.WriteTo(w)
	return err
}
