package book_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/drift"
	"github.com/ursa-virtual/ursa/calib/mesh/book"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ann, bob = identity.ID{1}, identity.ID{2}
	period   = book.Period{ID: [32]byte{9}, StartUnixNS: 1_700_000_000_000_000_000, Members: []identity.ID{ann, bob}}
)

func record(ms float64) book.Record {
	rtt := earth.RTTFromMillis(ms)
	return book.Record{From: ann, To: bob, AtUnixNS: period.StartUnixNS + 5e9, RTT: rtt, RTTBeacon: rtt - 1, RTTCore: rtt, Rounds: 12, Proof: []byte("proof")}
}

func open(t *testing.T, path string) *book.Book {
	t.Helper()
	b, err := book.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func all(t *testing.T, b *book.Book) (list []book.Record) {
	t.Helper()
	if err := b.Each(t.Context(), period.ID, func(r book.Record) error { list = append(list, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// What was put in is there after the file was closed and opened, once, as it was first put in.
func TestKeepsWhatItGot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space?.db")
	b := open(t, path)
	if _, ok, err := b.Last(t.Context()); ok || err != nil {
		t.Errorf("an empty book has a period: %v, %v", ok, err)
	}
	for range 2 {
		if err := b.Begin(t.Context(), period); err != nil {
			t.Fatal(err)
		}
	}
	for _, ms := range []float64{7, 5} {
		if err := b.Put(t.Context(), period.ID, record(ms)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	got := all(t, b)
	if len(got) != 1 || got[0].RTT != record(7).RTT || string(got[0].Proof) != "proof" || got[0].Rounds != 12 {
		t.Errorf("got %+v, want the first record", got)
	}
	last, ok, err := b.Last(t.Context())
	if err != nil || !ok || last.ID != period.ID || len(last.Members) != 2 || last.Members[1] != bob {
		t.Errorf("last period %+v, %v, %v", last, ok, err)
	}
}

func TestRefuses(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "book.db"))
	if err := b.Begin(t.Context(), period); err != nil {
		t.Fatal(err)
	}
	other := period
	other.StartUnixNS++
	if err := b.Begin(t.Context(), other); !errors.Is(err, book.ErrAnother) {
		t.Errorf("another start under one id: %v", err)
	}
	for name, edit := range map[string]func(*book.Record){
		"no round trip":   func(r *book.Record) { r.RTT = 0 },
		"a negative one":  func(r *book.Record) { r.RTTCore = -1 },
		"of itself":       func(r *book.Record) { r.To = r.From },
		"without a proof": func(r *book.Record) { r.Proof = nil },
	} {
		r := record(3)
		edit(&r)
		if err := b.Put(t.Context(), period.ID, r); !errors.Is(err, book.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := book.Open(t.Context(), t.TempDir()); !errors.Is(err, book.ErrOpen) {
		t.Errorf("a folder: %v", err)
	}
	if got := all(t, b); len(got) > 0 {
		t.Errorf("%d records of refused ones", len(got))
	}
}

// Nobody who goes through the engine changes or removes a measurement.
func TestOnlyGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.db")
	b := open(t, path)
	if err := errors.Join(b.Begin(t.Context(), period), b.Put(t.Context(), period.ID, record(7)), b.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"UPDATE measurement SET rtt_ns = 1", "DELETE FROM measurement"} {
		if _, err := db.ExecContext(context.Background(), statement); err == nil {
			t.Errorf("%s: done", statement)
		}
	}
}

// The two exports are read back by those who read them in earnest.
func TestExports(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "book.db"))
	if err := errors.Join(b.Begin(t.Context(), period), b.Put(t.Context(), period.ID, record(7.25))); err != nil {
		t.Fatal(err)
	}
	set, err := b.Set(t.Context(), "two", period, func(id identity.ID) dataset.Node {
		return dataset.Node{Name: id.Short(), At: earth.LatLon{Lat: float64(id[0])}}
	})
	if err != nil {
		t.Fatal(err)
	}
	if rtt, ok := set.Directed(0, 1); !ok || rtt != record(7.25).RTT || set.Nodes[1].ID != bob.String() {
		t.Errorf("the set has %v, %v", rtt, ok)
	}
	if _, ok := set.Directed(1, 0); ok {
		t.Error("the set has a direction that nobody measured")
	}
	var table bytes.Buffer
	if err := b.WriteSeries(t.Context(), &table); err != nil {
		t.Fatal(err)
	}
	series, err := drift.ReadCSV(strings.NewReader(table.String()), "series.csv")
	if err != nil || len(series) != 1 || series[0].From != ann.String() || series[0].Points[0] != (drift.Point{Unix: 1_700_000_005, MS: 7.25}) {
		t.Errorf("%v, error %v from\n%s", series, err, table.String())
	}
	var research bytes.Buffer
	if err := b.WriteStatements(t.Context(), &research); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&research).ReadAll() // refuses rows of another width than the header
	if err != nil || len(rows) != 2 || rows[1][6] != "7250000" || rows[1][9] != "12" {
		t.Errorf("%v, error %v", rows, err)
	}
	for _, name := range rows[0] {
		if strings.Contains(name, "rtt") && !strings.HasSuffix(name, "_ns") {
			t.Errorf("column %s has no unit", name)
		}
	}
	stranger := record(7)
	stranger.To = identity.ID{3}
	if err := b.Put(t.Context(), period.ID, stranger); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Set(t.Context(), "two", period, func(identity.ID) dataset.Node { return dataset.Node{} }); !errors.Is(err, book.ErrRecord) {
		t.Errorf("a record of a stranger: %v", err)
	}
}
