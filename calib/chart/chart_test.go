package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/chart"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// example is three nodes of which two contradict each other, one with a name that would be an element.
func example(t *testing.T) (*dataset.Set, audit.Report, *model.Model) {
	t.Helper()
	set, err := dataset.New("three <cities>", []dataset.Node{
		{ID: "a", Name: `<script>alert("a")</script>`, At: earth.LatLon{Lat: 50, Lon: 8}},
		{ID: "b", Name: "B & B", At: earth.LatLon{Lat: 40, Lon: -74}},
		{ID: "c", Name: "C", At: earth.LatLon{Lat: 50, Lon: 8}}, // where a is: distance zero has no logarithm
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		i, j int
		ms   float64
	}{{0, 1, 2}, {0, 2, 0.000001}, {1, 2, 70}} {
		if err := set.Add(p.i, p.j, earth.RTTFromMillis(p.ms), false); err != nil {
			t.Fatal(err)
		}
	}
	r, err := audit.Run(set, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := []model.Node{{ID: "a", At: set.Nodes[0].At}, {ID: "b", At: set.Nodes[1].At}, {ID: "c", At: set.Nodes[2].At}}
	m, err := model.Fit(nodes, set, model.Options{Name: "three", Issued: time.Unix(0, 0), Expires: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return set, r, m
}

func drawings(set *dataset.Set, r audit.Report, m *model.Model) map[string]func(io.Writer, chart.Format) error {
	return map[string]func(io.Writer, chart.Format) error{
		"map":              func(w io.Writer, f chart.Format) error { return chart.Map(w, f, set, r) },
		"scatter":          func(w io.Writer, f chart.Format) error { return chart.Scatter(w, f, set, r, m, "") },
		"without a model":  func(w io.Writer, f chart.Format) error { return chart.Scatter(w, f, set, r, nil, "") },
		"scatter of a one": func(w io.Writer, f chart.Format) error { return chart.Scatter(w, f, set, r, m, "a") },
	}
}

// Every drawing is the same twice, well-formed, and a node's name stays text.
func TestDrawings(t *testing.T) {
	set, r, m := example(t)
	for name, draw := range drawings(set, r, m) {
		var one, two, picture bytes.Buffer
		if err := errors.Join(draw(&one, chart.SVG), draw(&two, chart.SVG), draw(&picture, chart.PNG)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Errorf("%s: two drawings of one report differ", name)
		}
		if _, err := png.Decode(&picture); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for d := xml.NewDecoder(&one); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: not well-formed: %v", name, err)
			}
			if start, ok := token.(xml.StartElement); ok && start.Name.Local == "script" {
				t.Errorf("%s: a node's name became an element", name)
			}
		}
	}
}

// A map names the accused, and has fewer coast points than the atlas has vertices.
func TestMapShowsTheAccused(t *testing.T) {
	set, r, _ := example(t)
	if len(r.Suspected) != 2 {
		t.Fatalf("suspected %+v, want both ends of the contradiction", r.Suspected)
	}
	var out bytes.Buffer
	if err := chart.Map(&out, chart.SVG, set, r); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "B &amp; B") || !strings.Contains(text, "2 suspected") || out.Len() > 4<<20 {
		t.Errorf("%d bytes without a suspect's name or their number", out.Len())
	}
}

// Nothing to draw is no reason to fall over.
func TestEmptySets(t *testing.T) {
	for _, nodes := range [][]dataset.Node{nil, {{ID: "alone", At: earth.LatLon{Lat: 90, Lon: 180}}}} {
		set, err := dataset.New("empty", nodes)
		if err != nil {
			t.Fatal(err)
		}
		r, err := audit.Run(set, audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(chart.Map(io.Discard, chart.SVG, set, r), chart.Scatter(io.Discard, chart.PNG, set, r, nil, "")); err != nil {
			t.Errorf("%d nodes: %v", len(nodes), err)
		}
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestRefusals(t *testing.T) {
	set, r, m := example(t)
	for name, draw := range drawings(set, r, m) {
		for _, f := range []chart.Format{chart.SVG, chart.PNG} {
			if err := draw(full{}, f); !errors.Is(err, errFull) {
				t.Errorf("%s as %s on a full disk: %v", name, f, err)
			}
		}
		if err := draw(io.Discard, "gif"); !errors.Is(err, chart.ErrFormat) {
			t.Errorf("%s as gif: %v", name, err)
		}
	}
	if err := chart.Scatter(io.Discard, chart.SVG, set, r, m, "nobody"); !errors.Is(err, chart.ErrUnknown) {
		t.Errorf("nobody's scatter: %v", err)
	}
	for path, want := range map[string]chart.Format{"a.svg": chart.SVG, "b/c.PNG": chart.PNG} {
		if got, err := chart.FormatOf(path); got != want || err != nil {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if _, err := chart.FormatOf("a.pdf"); !errors.Is(err, chart.ErrFormat) {
		t.Errorf("a.pdf: %v", err)
	}
}
