package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/ursa-virtual/ursa/topology/picture"
)

const nasty = `<script>alert("&")</script> and a title that is far too long for the small picture that it stands over`

func draw(t *testing.T, f picture.Format) []byte {
	t.Helper()
	p := picture.New(nasty, "x, km", "")
	l, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 1}, {X: 10, Y: 3}})
	if err != nil {
		t.Fatal(err)
	}
	p.Add(l)
	p.Legend.Add(`<text x="1">&`, l)
	p.Legend.Top, p.Legend.Left = true, true
	var b bytes.Buffer
	if err := picture.Write(&b, f, p, 8*vg.Centimeter, 6*vg.Centimeter); err != nil {
		t.Fatal(err)
	}
	if p.Title.Text != nasty {
		t.Errorf("writing changed the title to %q", p.Title.Text)
	}
	return b.Bytes()
}

// TestTextsKeepTheirLength: whatever font a browser takes, a text is as long as the layout believed, and lies within the picture.
func TestTextsKeepTheirLength(t *testing.T) {
	svg := draw(t, picture.SVG)
	if !bytes.Equal(svg, draw(t, picture.SVG)) {
		t.Error("the same plot gave two pictures")
	}
	attribute := func(e xml.StartElement, name string) string {
		for _, a := range e.Attr {
			if a.Name.Local == name {
				return a.Value
			}
		}
		return ""
	}
	texts, title, wide := 0, "", 0.0
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "svg":
			wide, _ = strconv.ParseFloat(strings.TrimSuffix(attribute(e, "width"), "pt"), 64)
		case "title":
			if err := d.DecodeElement(&title, &e); err != nil {
				t.Fatal(err)
			}
		case "script":
			t.Error("a text became markup")
		case "text":
			texts++
			from, err := strconv.ParseFloat(attribute(e, "x"), 64)
			length, err2 := strconv.ParseFloat(attribute(e, "textLength"), 64)
			if err := errors.Join(err, err2); err != nil || length <= 0 || from < 0 || from+length > wide {
				t.Errorf("a text from %v, %v long in a picture %v wide: %v", from, length, wide, err)
			}
			if style := attribute(e, "style"); !strings.Contains(style, "sans-serif") {
				t.Errorf("style %q has no font that every browser has", style)
			}
		}
	}
	if texts < 8 || title != nasty {
		t.Errorf("%d texts, title %q", texts, title)
	}
}

func TestPNGAndFormats(t *testing.T) {
	if _, err := png.Decode(bytes.NewReader(draw(t, picture.PNG))); err != nil {
		t.Error(err)
	}
	if err := picture.Write(io.Discard, "gif", picture.New("", "", ""), 100, 100); !errors.Is(err, picture.ErrFormat) {
		t.Errorf("as GIF: %v", err)
	}
	for name, want := range map[string]picture.Format{"a/b.svg": picture.SVG, "B.PNG": picture.PNG} {
		if f, err := picture.FormatOf(name); err != nil || f != want {
			t.Errorf("%s is %q, %v", name, f, err)
		}
	}
	if _, err := picture.FormatOf("a.gif"); !errors.Is(err, picture.ErrFormat) {
		t.Errorf("a.gif: %v", err)
	}
	if short, long := picture.Width("i", 12), picture.Width("W", 12); short <= 0 || long <= short {
		t.Errorf("i is %v wide, W %v", short, long)
	}
}
