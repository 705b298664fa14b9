package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/plan"
)

func TestReadSites(t *testing.T) {
	const table = "id,name,country_iso2,lat,lon,source,domains\nfra,Frankfurt,DE,50.11,8.68,x,op1; site2 ;op1\npar,Paris,FR,48.86,2.35,x,\n"
	sites, err := plan.ReadSites(strings.NewReader(table), "nodes.csv")
	if err != nil || len(sites) != 2 {
		t.Fatal(sites, err)
	}
	if s := sites[0]; s.ID != "fra" || s.At.Lat != 50.11 || len(s.Domains) != 2 || s.Domains[1] != "site2" {
		t.Errorf("%+v", s)
	}
	if s := sites[1]; len(s.Domains) != 1 || s.Domains[0] != "par" {
		t.Errorf("%+v", s)
	}
}

func TestReadPlaces(t *testing.T) {
	places, err := plan.ReadPlaces(strings.NewReader("\ufeffname,lat,lon,population\nA,1,2,300\nB,3,4,\n"), "p.csv")
	if err != nil || len(places) != 2 || places[0].Weight != 300 || places[1].Weight != 1 || places[0].Cell != 0 {
		t.Fatal(places, err)
	}
}

func TestTablesRefuse(t *testing.T) {
	for _, c := range []struct{ name, table, want string }{
		{"empty", "", "t.csv"},
		{"no header", "1,2\n", `no column "lat"`},
		{"no rows", "id,lat,lon\n", "no rows"},
		{"column twice", "id,lat,lat,lon\n", "twice"},
		{"not a number", "id,lat,lon\na,north,3\n", "t.csv:2"},
		{"off the Earth", "id,lat,lon\na,1,3\nb,91,3\n", "t.csv:3"},
		{"NaN", "id,lat,lon\na,NaN,3\n", "t.csv:2"},
		{"id twice", "id,lat,lon\na,1,3\na,2,3\n", "line 2 already"},
		{"no id", "id,lat,lon\n,1,3\n", "neither id nor name"},
		{"ragged", "id,lat,lon\na,1\n", "t.csv"},
		{"quote", "id,lat,lon\n\"a,1,2\n", "t.csv"},
	} {
		_, err := plan.ReadSites(strings.NewReader(c.table), "t.csv")
		if !errors.Is(err, plan.ErrTable) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, weight := range []string{"0", "-1", "NaN", "Inf", "many"} {
		if _, err := plan.ReadPlaces(strings.NewReader("lat,lon,weight\n1,2,"+weight+"\n"), "t.csv"); !errors.Is(err, plan.ErrTable) {
			t.Errorf("weight %s: %v", weight, err)
		}
	}
}

func FuzzReadSites(f *testing.F) {
	f.Add("id,lat,lon,domains\na,1,2,x;y\n")
	f.Add("\xff\n\"")
	f.Fuzz(func(t *testing.T, table string) {
		sites, err := plan.ReadSites(strings.NewReader(table), "f")
		if err != nil {
			if strings.Contains(err.Error(), "\n") && !strings.Contains(table, "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		for _, s := range sites {
			if s.ID == "" || len(s.Domains) == 0 || s.At.Validate() != nil {
				t.Errorf("%+v", s)
			}
		}
		if _, err := plan.ReadPlaces(strings.NewReader(table), "f"); err != nil && !errors.Is(err, plan.ErrTable) {
			t.Error(err)
		}
	})
}
