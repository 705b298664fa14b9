package atlas_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/topology/atlas"
)

const square = `{"type":"Polygon","coordinates":[[[8,50],[9,50],[9,51],[8,51],[8,50]]]}`

// files is a folder in memory.
func files(content map[string]string) atlas.Options {
	return atlas.Options{ReadFile: func(name string) ([]byte, error) {
		if s, ok := content[name]; ok {
			return []byte(s), nil
		}
		return nil, fs.ErrNotExist
	}}
}

var someFiles = files(map[string]string{"permitted.geojson": square, "with space.json": square, `quo"te\.json`: square})

func TestCanonicalForm(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"de", "DE"},
		{"FR + DE+FR", "DE+FR"},
		{"(FR+DE)+(DE+AT)", "AT+DE+FR"},
		{"EU27+EEA+CH+GB", "CH+EEA+EU27+GB"},
		{"US minus US-HI", "US minus US-HI"},
		{"US - US-HI - US-AK", "US minus (US-AK+US-HI)"},
		{"US MINUS(US-HI)", "US minus US-HI"},
		{"US-CA+US-OR", "US-CA+US-OR"},
		{"DE minus DE-BY + AT", "AT+(DE minus DE-BY)"},
		{"DE minus (DE-BY minus DE-BE)", "DE minus (DE-BY minus DE-BE)"},
		{"AT+DE & FR", "AT+DE & FR"},
		{"(AT+DE) & FR", "(AT+DE) & FR"},
		{"FR & (DE & AT)", "AT & DE & FR"},
		{"World minus RU", "* minus RU"},
		{"* & LAND", "* & LAND"},
		{"cap(50.11, 8.68, 100km)", "cap(50.11,8.68,100km)"},
		{"cap(-33.9,-70.5,1500m)", "cap(-33.9,-70.5,1500m)"},
		{"cap(+1.50,-0,2nmi)", "cap(1.5,0,3704m)"},
		{"buffer(DE,-5km)", "buffer(DE,-5km)"},
		{"buffer( DE+FR , 12nmi )", "buffer(DE+FR,22224m)"},
		{"EU27 & cap(48.2,16.4,500km)", "EU27 & cap(48.2,16.4,500km)"},
		{"territorial(GB+IE)", "territorial(GB+IE)"},
		{"Neutral(land(GB)+FR)", "neutral(FR+land(GB))"},
		{"primary(TW)+strict(JP)", "primary(TW)+strict(JP)"},
		{"file(permitted.geojson)", "file(permitted.geojson)"},
		{`file("permitted.geojson")`, "file(permitted.geojson)"},
		{`file("with space.json")`, `file("with space.json")`},
		{`file("quo\"te\\.json")`, `file("quo\"te\\.json")`},
		{"xk-x09~", "XK-X09~"},
	} {
		r, err := atlas.Parse(c.in, someFiles)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if r.String() != c.want {
			t.Errorf("%s prints as %s, want %s", c.in, r, c.want)
		}
		again, err := atlas.Parse(r.String(), someFiles)
		if err != nil || again.String() != r.String() || again.Hash() != r.Hash() {
			t.Errorf("%s: printed as %s, read back as %v, %v", c.in, r, again, err)
		}
	}
}

// Options that the text can say are said in the text.
func TestOptionsArePrinted(t *testing.T) {
	r, err := atlas.Parse("GB", atlas.Options{Sea: atlas.Territorial, Disputes: atlas.FirstClaim})
	if err != nil || r.String() != "primary(territorial(GB))" {
		t.Errorf("%v, %v", r, err)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		in   string
		at   int
		kind error
		says string
	}{
		{"", 1, atlas.ErrSyntax, "empty"},
		{"   ", 4, atlas.ErrSyntax, "empty"},
		{"DE+", 4, atlas.ErrSyntax, "want a place"},
		{"DE FR", 4, atlas.ErrSyntax, "want +, minus"},
		{"(DE", 4, atlas.ErrSyntax, `want ")"`},
		{"DE)", 3, atlas.ErrSyntax, "the end"},
		{"DE & & FR", 6, atlas.ErrSyntax, "want a place"},
		{"minus DE", 1, atlas.ErrSyntax, "want a place"},
		{"DE § FR", 4, atlas.ErrSyntax, "no meaning"},
		{"Ünland", 1, atlas.ErrUnknown, "unknown place"},
		{"DE+Ü+XQ", 4, atlas.ErrUnknown, "unknown place"},
		{"EU72", 1, atlas.ErrUnknown, "did you mean EU27"},
		{"DE+UK", 4, atlas.ErrUnknown, "did you mean GB"},
		{"Germany", 1, atlas.ErrUnknown, "did you mean DE"},
		{"US-HA", 1, atlas.ErrUnknown, "US-HI"},
		{"EU27-FR", 1, atlas.ErrUnknown, "EU27 minus FR"},
		{"capp(1,2,3km)", 1, atlas.ErrSyntax, "unknown function"},
		{"cap(91,0,5km)", 5, atlas.ErrValue, "latitude"},
		{"cap(50,-181,5km)", 9, atlas.ErrValue, "longitude"},
		{"cap(NaN,0,5km)", 5, atlas.ErrValue, "latitude"},
		{"cap(Inf,0,5km)", 5, atlas.ErrValue, "latitude"},
		{"cap(50;8)", 7, atlas.ErrSyntax, "no meaning"},
		{"cap(50,8)", 9, atlas.ErrSyntax, "RADIUS"},
		{"cap(50,8,5)", 10, atlas.ErrSyntax, "unit"},
		{"cap(50,8,0km)", 10, atlas.ErrValue, "above 0"},
		{"cap(50,8,-5km)", 10, atlas.ErrValue, "positive"},
		{"cap(50,8,30000km)", 10, atlas.ErrValue, "up to 20000km"},
		{"cap(50,8,nankm)", 10, atlas.ErrValue, "above 0"},
		{"buffer(DE)", 10, atlas.ErrSyntax, "width"},
		{"buffer(DE,5000km)", 11, atlas.ErrValue, "1000km"},
		{"file(missing.geojson)", 6, atlas.ErrFile, "missing.geojson"},
		{"file()", 6, atlas.ErrSyntax, "GeoJSON"},
		{`file("open`, 6, atlas.ErrSyntax, "never closed"},
		{strings.Repeat("(", 100) + "DE", 65, atlas.ErrSyntax, "nested"},
		{strings.Repeat("DE+", 40_000) + "DE", 1, atlas.ErrSyntax, "too long"},
		{strings.Repeat("DE+", 10_000) + "DE", 12289, atlas.ErrSyntax, "too long"},
	} {
		_, err := atlas.Parse(c.in, someFiles)
		var fault *atlas.SyntaxError
		name := c.in[:min(len(c.in), 40)]
		if !errors.As(err, &fault) || !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want a %v", name, err, c.kind)
			continue
		}
		if fault.Column != c.at || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v (column %d), want %q at %d", name, err, fault.Column, c.says, c.at)
		}
		if lines := strings.Split(fault.Caret(), "\n"); len(lines) != 2 || lines[1] != strings.Repeat(" ", c.at-1)+"^" {
			t.Errorf("%s: the caret is off: %q", name, lines[len(lines)-1])
		}
	}
	if _, err := atlas.Parse("file(a.json)", atlas.Options{}); !errors.Is(err, atlas.ErrFile) {
		t.Errorf("a file without a reader: %v", err)
	}
	if _, err := atlas.Parse("file(missing)", someFiles); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
	for _, a := range []float64{-1, 2e6} {
		if _, err := atlas.Parse("DE", atlas.Options{Accuracy: metres(a)}); !errors.Is(err, atlas.ErrValue) {
			t.Errorf("accuracy %v: %v", a, err)
		}
	}
}

// The hash covers all that changes an answer.
func TestHash(t *testing.T) {
	seen := map[[32]byte]string{}
	add := func(name string, expression string, o atlas.Options) {
		r, err := atlas.Parse(expression, o)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[r.Hash()]; ok {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[r.Hash()] = name
	}
	add("DE", "DE", atlas.Options{})
	add("FR", "FR", atlas.Options{})
	add("DE, less accurate", "DE", atlas.Options{Accuracy: 10_000})
	add("DE with its sea", "DE", atlas.Options{Sea: atlas.Territorial})
	add("DE with neutral sea", "DE", atlas.Options{Sea: atlas.Neutral})
	add("DE, first claims", "DE", atlas.Options{Disputes: atlas.FirstClaim})
	add("a file", "file(a)", files(map[string]string{"a": square}))
	add("the file, changed", "file(a)", files(map[string]string{"a": square + " "}))
	a, b := mustParse(t, "DE+FR"), mustParse(t, "fr + de")
	if a.Hash() != b.Hash() {
		t.Error("the order of a union changes its hash")
	}
}

// expressions draws random expressions as text, with odd spacing.
func expressions(t *rapid.T, depth int) string {
	names := rapid.SampledFrom([]string{"DE", "fr", "US-HI", "EU27", "NATO", "*", "LAND", "sea", "XK", "FIVEEYES"})
	gap := rapid.SampledFrom([]string{"", " ", "  "}).Draw(t, "gap")
	if depth == 0 {
		return names.Draw(t, "name") + gap
	}
	sub := func() string { return expressions(t, depth-1) }
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return sub() + "+" + gap + sub()
	case 1:
		return sub() + gap + "&" + sub()
	case 2:
		return sub() + " minus " + sub()
	case 3:
		return "(" + gap + sub() + ")"
	case 4:
		return fmt.Sprintf("cap(%.7f,%s%.6f,%.3fm)", rapid.Float64Range(-90, 90).Draw(t, "lat"), gap, rapid.Float64Range(-180, 180).Draw(t, "lon"), rapid.Float64Range(0.001, 2e7).Draw(t, "radius"))
	case 5:
		return fmt.Sprintf("buffer(%s,%vkm)", sub(), rapid.SampledFrom([]float64{-5, 0.25, 12.5, -100}).Draw(t, "by"))
	case 6:
		return rapid.SampledFrom([]string{"land", "territorial", "Neutral", "strict", "primary"}).Draw(t, "rule") + "(" + sub() + ")"
	}
	return names.Draw(t, "name")
}

// What is printed is read back as the same text and the same region.
func TestPrintReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := expressions(t, rapid.IntRange(0, 4).Draw(t, "depth"))
		a, err := atlas.Parse(in, atlas.Options{})
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		b, err := atlas.Parse(a.String(), atlas.Options{})
		if err != nil || b.String() != a.String() || b.Hash() != a.Hash() {
			t.Fatalf("%s prints %s, which reads %v, %v", in, a, b, err)
		}
		at := at(rapid.Float64Range(-90, 90).Draw(t, "at lat"), rapid.Float64Range(-180, 180).Draw(t, "at lon"))
		for _, level := range []int{4, 9, 14} {
			if x, y := a.Class(cellAt(at, level)), b.Class(cellAt(at, level)); x != y {
				t.Fatalf("%s at %v: %v, printed and read back %v", in, at, x, y)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"EU27+EEA+CH+GB", "US minus US-HI", "cap(50.11,8.68,100km)", "buffer(DE,-5km)", `file("a b")`, "territorial(GB & *)", "((DE))-FR", "cap(1e3,2,3nmi)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o := atlas.Options{ReadFile: func(string) ([]byte, error) { return []byte(square), nil }}
		r, err := atlas.Parse(s, o)
		if err != nil {
			var fault *atlas.SyntaxError
			if !errors.As(err, &fault) || fault.Column < 1 || strings.Contains(fault.Error(), "\n") {
				t.Fatalf("%q: %v", s, err)
			}
			_ = fault.Caret()
			return
		}
		again, err := atlas.Parse(r.String(), o)
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q prints %q, which reads %v, %v", s, r, again, err)
		}
	})
}
