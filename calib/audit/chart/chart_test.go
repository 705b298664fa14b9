package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/audit/chart"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func example(t *testing.T) (*dataset.Set, audit.Report) {
	t.Helper()
	set, err := dataset.New("three <cities>", []dataset.Node{
		{ID: "a", Name: `<script>alert("a")</script>`, At: earth.LatLon{Lat: 50, Lon: 8}},
		{ID: "b", Name: "B & B", At: earth.LatLon{Lat: 40, Lon: -74}},
		{ID: "c", Name: "C", At: earth.LatLon{Lat: 51, Lon: 0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		i, j int
		ms   float64
	}{{0, 1, 2}, {0, 2, 15}, {1, 2, 70}} {
		if err := set.Add(p.i, p.j, earth.RTTFromMillis(p.ms), false); err != nil {
			t.Fatal(err)
		}
	}
	r, err := audit.Run(set, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set, r
}

// The picture is well-formed, the same twice, shows the accused, and a node's name stays text.
func TestWrite(t *testing.T) {
	set, r := example(t)
	var one, two bytes.Buffer
	for _, w := range []io.Writer{&one, &two} {
		if err := chart.Write(w, set, r); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two drawings of one report differ")
	}
	d := xml.NewDecoder(&one)
	circles := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			switch start.Name.Local {
			case "script":
				t.Error("a node's name became an element")
			case "circle":
				circles++
			}
		}
	}
	if circles < 3+2 { // three claims, two suspects
		t.Errorf("%d circles, want the claims and the accused", circles)
	}
	if !strings.Contains(two.String(), "2 suspected") {
		t.Error("the title does not count the suspects")
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteReportsTheDisk(t *testing.T) {
	set, r := example(t)
	if err := chart.Write(full{}, set, r); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
}
