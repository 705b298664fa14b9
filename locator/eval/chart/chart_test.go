package chart_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/locator/eval"
	"github.com/ursa-virtual/ursa/locator/eval/chart"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func TestChartsAreDrawn(t *testing.T) {
	var nodes []dataset.Node
	for i := range 12 {
		nodes = append(nodes, dataset.Node{ID: fmt.Sprint("n", i), Country: "DE", At: earth.LatLon{Lat: 48 + float64(i%4), Lon: 7 + float64(i/4)*2}})
	}
	set, err := dataset.New("squares", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		for j := range i {
			d := earth.GreatCircle(nodes[i].At, nodes[j].At).Kilometres()
			if err := set.Add(i, j, earth.RTTFromMillis(2+d*0.02), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := eval.Run(context.Background(), set, eval.Options{Folds: 2})
	if err != nil {
		t.Fatal(err)
	}
	a, b := t.TempDir(), filepath.Join(t.TempDir(), "made")
	for _, dir := range []string{a, b} {
		if err := chart.Write(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range chart.Files {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		y, _ := os.ReadFile(filepath.Join(b, name))
		if !bytes.HasPrefix(x, []byte("<?xml")) || len(x) < 2000 || !bytes.Equal(x, y) {
			t.Errorf("%s: %d bytes, again %d", name, len(x), len(y))
		}
	}
	if err := chart.Write(filepath.Join(a, chart.Files[0]), r); err == nil {
		t.Error("a file served as a folder")
	}
}
