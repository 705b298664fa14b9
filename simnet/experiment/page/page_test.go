package page_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/experiment/chart"
	"github.com/ursa-virtual/ursa/simnet/experiment/page"
	"github.com/ursa-virtual/ursa/simnet/experiment/result"
	"github.com/ursa-virtual/ursa/topology/picture"
)

// full is a set with everything that a page can show, and with names that would like to be more than text.
func full(expect string) *result.Set {
	s := &result.Set{Header: result.Header{Format: 1, Name: "try", About: `<script src="https://example.net/x.js"></script>`, Hash: "h", Build: "b", Of: 1, Expect: expect,
		Keys: []string{"policy.permit", "policy.f", "adversary.strength", "seed"}, Drawing: result.Drawing{Share: 0.5, X: "adversary.strength"}}}
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, permit := range []string{"DE", `<img src="//example.net/i.png">`} {
		for _, f := range []string{"0", "1", "2"} {
			for _, strength := range []string{"0", "1", "2"} {
				for _, seed := range []string{"1", "2", "3"} {
					s.Points = append(s.Points, point(rnd, permit, f, strength, seed))
				}
			}
		}
	}
	return s
}

func point(rnd *rand.Rand, values ...string) result.Point {
	var t result.Tally
	p := result.Point{Values: values}
	for core := range 40 {
		x := result.Trial{Entitled: core%2 == 0, Judged: true, Attacked: core%2 == 1, Detected: rnd.IntN(2) == 0, Kind: verdict.Kind(rnd.IntN(4)),
			RegionKM2: 1e4 * rnd.ExpFloat64(), HasRegion: true, ErrorKM: 100 * rnd.ExpFloat64(), HasError: true}
		x.False = !x.Entitled && x.Kind == verdict.Inside
		t.Add(x)
		state := result.State(rnd.IntN(4))
		p.Spots = append(p.Spots, result.Spot{Lat4: 505_000 + rnd.Int32N(5_000), Lon4: 90_000 + rnd.Int32N(5_000), State: state})
		if x.False {
			p.False = append(p.False, core)
		}
	}
	p.Series = []result.Series{{Tally: t}}
	return p
}

func write(t testing.TB, s *result.Set) string {
	t.Helper()
	pictures, err := chart.All(s)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Write(&b, s, pictures); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// outside finds what a browser would fetch, or run.
var outside = regexp.MustCompile(`(?i)(<[^>]*\b(src|srcset|action|poster|data|formaction|background)\s*=|<(script|link|iframe|object|embed|base|img|form)\b|@import|url\(\s*['"]?[^#'")]|<[^>]*\b(xlink:)?href\s*=\s*["']?[^#"'])`)

// TestThePageOpensOffline: nothing is fetched, nothing runs, and what was given as text is text.
func TestThePageOpensOffline(t *testing.T) {
	if testing.Short() {
		t.Skip("drawing takes its time; nothing here is concurrent")
	}
	html := write(t, full("sound"))
	if found := outside.FindString(html); found != "" {
		at := strings.Index(html, found)
		t.Errorf("%q in …%s…", found, html[max(0, at-80):min(len(html), at+120)])
	}
	for _, want := range []string{"default-src 'none'", "&lt;script src=", "&lt;img src=", "<svg", "This is not what the experiment expects", "--point"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, trap := range []string{`<script src="x">`, `<img src=//x>`, `<a href="https://x">`, `style="background:url(https://x)"`, `@import "x"`} {
		if !outside.MatchString(trap) {
			t.Errorf("the test does not see %s", trap)
		}
	}
	if write(t, full("sound")) != html {
		t.Error("the same set gave two pages")
	}
	if html := write(t, full("false-accepts")); strings.Contains(html, "This is not what") {
		t.Error("false accepts were expected and found")
	}
}

// TestIdsAreOwn: no two drawings in the page share an id.
func TestIdsAreOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("drawing takes its time; nothing here is concurrent")
	}
	ids := regexp.MustCompile(`\bid="([^"]*)"`).FindAllString(write(t, full("")), -1)
	slices.Sort(ids)
	if unique := len(slices.Compact(slices.Clone(ids))); unique != len(ids) {
		t.Errorf("%d ids, %d of them different", len(ids), unique)
	}
}

// TestPicturesAreWhole: every kind is drawn, as XML that parses and as PNG that decodes, the same each time.
func TestPicturesAreWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("drawing takes its time; nothing here is concurrent")
	}
	var names []string
	pictures, err := chart.All(full(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		names = append(names, p.Name)
		var svg, again, raster bytes.Buffer
		if err := errors.Join(p.WriteTo(&svg, picture.SVG), p.WriteTo(&again, picture.SVG), p.WriteTo(&raster, picture.PNG)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(svg.Bytes(), again.Bytes()) {
			t.Errorf("%s: drawn twice, two pictures", p.Name)
		}
		d := xml.NewDecoder(&svg)
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.Name, err)
			}
		}
		if _, err := png.Decode(&raster); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if err := p.WriteTo(io.Discard, "gif"); err == nil {
			t.Errorf("%s as GIF", p.Name)
		}
	}
	if want := []string{"proven", "false_inside", "detected", "roc", "error", "region", "map"}; !slices.Equal(names, want) {
		t.Errorf("drawn were %v, want %v", names, want)
	}
}

// TestNothingToDraw: a set without anything varied has a page all the same.
func TestNothingToDraw(t *testing.T) {
	s := full("")
	s.Header.Keys, s.Header.Drawing = []string{"seed"}, result.Drawing{Share: 0.5}
	s.Points = s.Points[:1]
	s.Points[0].Values, s.Points[0].Spots = []string{"1"}, nil
	if html := write(t, s); !strings.Contains(html, "Every combination") {
		t.Error("no table")
	}
}
