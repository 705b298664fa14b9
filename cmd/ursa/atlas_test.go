package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/atlas"
)

// runAtlas runs `ursa atlas` with arguments.
func runAtlas(args ...string) (out, errOut string, err error) {
	var o, e bytes.Buffer
	cmd := atlasCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	strict(cmd)
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return o.String(), e.String(), err
}

func TestAtlasSays(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"lookup 50.11,8.68", "DE (Germany), DE-HE (Hessen)"},
		{"lookup -33.87,151.1", "AU (Australia), AU-NSW (New South Wales)"},
		{"lookup 44.95,34.1", "claimed by UA, RU (Crimea)"},
		{"lookup 0,0", "at sea"},
		{"lookup 53.98,6.9 --snap 50", "snapped to land"},
		{"lookup --help", "ursa atlas lookup -33.87,151.21 --json"},
		{"list", "Germany"},
		{"list subdivisions us", "US-HI"},
		{"list unions", "FIVEEYES"},
		{"list disputes", "Hala'ib"},
		{"show US minus US-HI", "US minus US-HI"},
		{"show cap(50.11,8.68,100km) --json", `"region":"cap(50.11,8.68,100km)"`},
		{"show DE & FR", "nothing may be in it"},
	} {
		out, _, err := runAtlas(strings.Fields(c.args)...)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("atlas %s: %v\n%swant %q in it", c.args, err, out, c.want)
		}
	}
}

// Every mistake is a usage error of one line that says what would be right.
func TestAtlasRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"lookup", "want one position"},
		{"lookup 50.11", "latitude,longitude"},
		{"lookup 50.11,8.68 9,9", "want one position"},
		{"lookup 91,8", "latitude comes first"},
		{"lookup NaN,8", "latitude comes first"},
		{"lookup 50,8 --snp 3", "--help"},
		{"lookup 50,8 --snap 1e9", "0..1000"},
		{"list planets", "no list"},
		{"list subdivisions", "subdivisions CODE"},
		{"list subdivisions GERMANY", "did you mean DE?"},
		{"show", "requires at least 1"},
		{"show EU72", "did you mean EU27?"},
		{"show file(missing.geojson)", "missing.geojson"},
	} {
		_, _, err := runAtlas(strings.Fields(c.args)...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || strings.Contains(oneLine(err.Error()), "\n") {
			t.Errorf("atlas %s: %v, want a usage error with %q", c.args, err, c.want)
		}
	}
}

// Without a person in front of it, the one line says the column.
func TestAtlasPointsAtTheFault(t *testing.T) {
	_, errOut, err := runAtlas("show", "EU27+XQ")
	if err == nil || errOut != "" || !strings.Contains(err.Error(), "character 6") {
		t.Errorf("%v\n%s", err, errOut)
	}
}

// What --geojson draws is a region file that the atlas reads back.
func TestAtlasDraws(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drawn.geojson")
	if _, _, err := runAtlas("show", "LU", "--geojson", file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil || !json.Valid(data) {
		t.Fatalf("%v: %.80s", err, data)
	}
	r, err := atlas.Parse(`file("`+file+`")`, atlas.Options{ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	if a := r.AreaKM2(); a < 2500 || a > 2700 {
		t.Errorf("Luxembourg drawn has %.0f km², not about 2586", a)
	}
}
