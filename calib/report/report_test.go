package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/calib/report"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// constellation is a ring of honest nodes, one of them behind a slow link, one claiming to stand on the other side, and one that was
// never measured.
func constellation(t *testing.T) (*dataset.Set, audit.Report, *model.Model) {
	t.Helper()
	const n = 24
	var nodes []dataset.Node
	truth := make([]earth.LatLon, n)
	for i := range n {
		truth[i] = earth.LatLon{Lat: 45 + 5*math.Sin(float64(i)), Lon: float64(i)*4 - 20}
		nodes = append(nodes, dataset.Node{ID: fmt.Sprintf("n%02d", i), Name: fmt.Sprintf("Node %d", i), Country: "XX", At: truth[i]})
	}
	nodes[5].At = earth.LatLon{Lat: -40, Lon: 150}
	nodes = append(nodes, dataset.Node{ID: "silent", At: earth.LatLon{Lat: 10}})
	set, err := dataset.New("ring", nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for j := range i {
			ms := 1 + earth.GreatCircle(truth[i], truth[j]).Kilometres()*(0.018+0.003*math.Sin(float64(7*i+3*j)))
			if i == 9 || j == 9 {
				ms += 30
			}
			if err := set.Add(i, j, earth.RTTFromMillis(ms), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := audit.Run(set, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	clean, err := audit.Clean(set, r)
	if err != nil {
		t.Fatal(err)
	}
	var fitted []model.Node
	for _, x := range clean.Nodes {
		fitted = append(fitted, model.Node{ID: x.ID, At: x.At})
	}
	m, err := model.Fit(fitted, clean, model.Options{Name: "ring", Issued: time.Unix(0, 0), Expires: time.Unix(3600, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return set, r, m
}

func TestTables(t *testing.T) {
	set, found, m := constellation(t)
	r := report.Make(set, found, m)
	if liar := r.Beacons[5]; liar.Status != report.Convicted || liar.OffsetMS != nil || *liar.Within95 > 0.5 || *liar.Fastest < 1 {
		t.Errorf("the liar: %+v", liar)
	}
	if slow := r.Beacons[9]; slow.Status != report.Clear || math.Abs(*slow.OffsetMS-30) > 5 || *slow.MedianZ < 0.5 || slow.Pairs != 23 {
		t.Errorf("the slow link: %+v", slow)
	}
	if quiet := r.Beacons[24]; quiet.Pairs != 0 || quiet.Within95 != nil || quiet.Fastest != nil || quiet.Nearest != nil || quiet.Bestline != nil {
		t.Errorf("the node that nobody measured has figures: %+v", quiet)
	}
	pairs := 0
	for i := range set.Len() {
		for j := range i {
			if _, ok := set.RTT(i, j); ok {
				if km := earth.GreatCircle(set.Nodes[i].At, set.Nodes[j].At).Kilometres(); km >= 750 && km <= 1000*4.0/3 {
					pairs++
				}
			}
		}
	}
	for _, row := range r.Fleet.Curve {
		if row.DistanceKM == 1000 && (row.Pairs != pairs || row.P05MS > row.P50MS || row.P50MS > row.P95MS || row.P05MS < row.FloorMS) {
			t.Errorf("%+v, %d pairs by counting", row, pairs)
		}
	}
	var text, table, object bytes.Buffer
	if err := errors.Join(r.Text(&text), r.WriteBeacons(&table), json.NewEncoder(&object).Encode(r)); err != nil {
		t.Fatal(err)
	}
	if at := strings.Index(text.String(), "convicted  "); at < 0 || at > strings.Index(text.String(), "clear  ") {
		t.Errorf("the convicted do not stand first:\n%s", text.String())
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != 26 || rows[25][7] != "" || rows[6][5] != "convicted" {
		t.Errorf("%d rows, error %v", len(rows), err)
	}
	var back report.Report
	if err := json.Unmarshal(object.Bytes(), &back); err != nil || len(back.Beacons) != 25 || back.Fleet.Profile == "" || len(back.Audit.Convicted) != 1 {
		t.Errorf("read back %d nodes, error %v", len(back.Beacons), err)
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestReportsTheDisk(t *testing.T) {
	set, found, m := constellation(t)
	r := report.Make(set, found, m)
	if err := r.Text(full{}); !errors.Is(err, errFull) {
		t.Errorf("text: %v", err)
	}
	if err := r.WriteBeacons(full{}); !errors.Is(err, errFull) {
		t.Errorf("table: %v", err)
	}
}
