package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// The windows in which everything is looked at.
var screen, telephone = view{1400, 900, false}, view{390, 800, false}

func (v view) byNight() view {
	v.dark = true
	return v
}

// lookAtPictures finds what is wrong with the drawings of a page: no size, no title, wider than the room that they have, texts that are
// cut off at the rim, or texts that lie on each other.
const lookAtPictures = `(() => {
	const wrong = [], pictures = [...document.querySelectorAll("svg")];
	if (pictures.length === 0) wrong.push("no picture");
	for (const svg of pictures) {
		const r = svg.getBoundingClientRect(), name = svg.querySelector("title")?.textContent ?? "";
		if (name === "" || svg.getAttribute("role") !== "img") wrong.push("a picture without a title");
		if (r.width < 300 || r.height < 120) wrong.push(name + ": " + r.width + " by " + r.height);
		for (const t of svg.querySelectorAll("text")) if (!t.hasAttribute("textLength")) wrong.push(name + ": as long as a font makes it: " + t.textContent);
		const texts = [...svg.querySelectorAll("text")].map(t => ({box: t.getBoundingClientRect(), words: t.textContent}));
		if (texts.length < 3) wrong.push(name + ": hardly a word");
		for (const {box, words} of texts)
			if (box.left < r.left - 1 || box.right > r.right + 1 || box.top < r.top - 1 || box.bottom > r.bottom + 1) wrong.push(name + ": cut off: " + words);
		texts.forEach((a, i) => { for (const b of texts.slice(0, i)) {
			const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
			const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
			if (wide > 2 && high > 0.5 * Math.min(a.box.height, b.box.height)) wrong.push(name + ": on each other: " + a.words + " and " + b.words);
		} });
	}
	const root = document.documentElement;
	if (root.scrollWidth > innerWidth + 1 && root.localName !== "svg") wrong.push("the page is wider than its window: " + root.scrollWidth);
	if (root.localName === "svg" && root.getBoundingClientRect().width > innerWidth + 1) wrong.push("the picture is wider than its window");
	return wrong;
})()`

// lookAtWords finds texts that are hard to read: a contrast below 4.5 to 1 (WCAG 2.1, 1.4.3).
const lookAtWords = `(() => {
	const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const colour = s => s.match(/[\d.]+/g).map(Number);
	const behind = e => { for (; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
	const wrong = new Set();
	for (const e of document.querySelectorAll("h1, h2, p, a, li, code, th, td, summary, figcaption")) {
		if (e.textContent.trim() === "") continue;
		const a = light(colour(getComputedStyle(e).color).slice(0, 3)), b = light(behind(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) wrong.add(e.localName + "." + e.className + ": contrast " + ratio.toFixed(1));
	}
	return [...wrong];
})()`

// TestInABrowser opens what Ursa writes for people to look at in one real browser.
func TestInABrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *browser)
	}{{"faults are seen", browserSees}, {"report", reportInABrowser}, {"pictures", picturesInABrowser}, {"maps", mapsInABrowser}} {
		t.Run(part.name, func(t *testing.T) {
			b.t = t
			part.run(t, b)
		})
	}
	b.t = t
}

// reportInABrowser: the page of an experiment opens in a real browser, by day and by night, wide and narrow, asks nobody for anything,
// shows what the tables have, and all of it can be reached and folded by mouse and by keyboard.
func reportInABrowser(t *testing.T, b *browser) {
	dir := filepath.Join(t.TempDir(), "out")
	path := simWrite(t, `name: pages
about: Everything that a page can show & <b>more</b>
world: {builtin: public, towns: 1000000}
constellation: {rule: population, in: permit, count: 30, per_town: 3}
cores: {place: cities, in: permit, by: people, who: both, count: 16}
policy: {permit: EU27}
committee: 9
measure: [region, map]
seeds: [1, 2, 3]
expect: false-accepts
sweep:
  adversary.name: [lying-short, stolen-key]
  policy.f: [0, 1]
  adversary.strength: [0, 1, 2]
chart: {x: adversary.strength, by: policy.f, facet: adversary.name}
`)
	if status, _, errOut := sim(t, "sweep", path, "--out", dir); status != exitDone {
		t.Fatalf("status %d: %s", status, errOut)
	}
	report := filepath.Join(dir, "report.html")
	for _, v := range []view{screen, screen.byNight(), telephone, telephone.byNight()} {
		p := b.open(report, v)
		var wrong []string
		p.eval(lookAtPictures, &wrong)
		var dim []string
		p.eval(lookAtWords, &dim)
		for _, w := range slices.Concat(wrong, dim, p.faults()) {
			t.Errorf("%+v: %s", v, w)
		}
		p.close()
	}
	p := b.open(report, screen)
	reportTable(t, p, filepath.Join(dir, "summary.csv"))
	reportByHand(t, p)
	reportByKeyboard(t, p)
	for _, w := range p.faults() {
		t.Error(w)
	}
	p.close()
}

// reportTable holds the table of a page against the file.
func reportTable(t *testing.T, p *tab, table string) {
	t.Helper()
	file, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rows, Heads, Bad, Pictures int
		Title                      string
	}
	p.eval(`({rows: document.querySelectorAll("#all tbody tr").length, heads: document.querySelectorAll("#all th").length,
		bad: document.querySelectorAll("#all tr.bad").length, pictures: document.querySelectorAll("figure svg").length, title: document.title})`, &got)
	at, bad := slices.Index(rows[0], "false_inside"), 0
	for _, r := range rows[1:] {
		if r[at] != "0" {
			bad++
		}
	}
	if got.Rows != len(rows)-1 || got.Rows != 12 || got.Bad != bad || bad == 0 || got.Heads < 6 || got.Pictures < 5 || got.Title != "pages: Everything that a page can show & <b>more</b>" {
		t.Errorf("the page has %+v, the table %d rows, %d with false accepts", got, len(rows)-1, bad)
	}
}

// reportByHand clicks.
func reportByHand(t *testing.T, p *tab) {
	t.Helper()
	for _, want := range []bool{false, true} {
		p.click("#all > summary")
		if !p.becomes(fmt.Sprintf(`document.querySelector("#all").open === %v`, want)) {
			t.Errorf("after a click the table is not open: %v", want)
		}
	}
	p.click(`nav a[href="#picture-map"]`)
	if !p.becomes(`location.hash === "#picture-map" && (r => r.top < innerHeight && r.bottom > 0)(document.querySelector("#picture-map").getBoundingClientRect())`) {
		t.Error("the link to the map did not lead there")
	}
}

// reportByKeyboard goes through the page with the tabulator: it meets every link, table, picture and fold, and can use them.
func reportByKeyboard(t *testing.T, p *tab) {
	t.Helper()
	var all int
	p.eval(`(() => { scrollTo(0, 0); document.activeElement.blur(); getSelection().removeAllRanges(); history.replaceState(null, "", location.pathname);
		return document.querySelectorAll("a, summary, [tabindex]").length; })()`, &all)
	met := map[string]bool{}
	for range 3 * all {
		p.press("Tab", 9, "")
		var at string
		p.eval(`(() => { const e = document.activeElement; return e === document.body ? "" : e.localName + " " + [...document.querySelectorAll("*")].indexOf(e)
			+ (getComputedStyle(e).outlineStyle === "none" ? " without a mark" : ""); })()`, &at)
		if strings.HasSuffix(at, "without a mark") {
			t.Errorf("%s: nobody sees that it has the keyboard", at)
		}
		if at != "" {
			met[at] = true
		}
		if strings.HasPrefix(at, "summary") {
			for _, want := range []bool{false, true} {
				p.press("Enter", 13, "\r")
				if !p.becomes(fmt.Sprintf(`document.activeElement.parentElement.open === %v`, want)) {
					t.Errorf("after Enter the table is not open: %v", want)
				}
			}
		}
	}
	if len(met) != all {
		t.Errorf("the keyboard reached %d of %d: %v", len(met), all, met)
	}
}

// picturesInABrowser: every drawing that a command writes has its size, its words whole and apart, fits its window, and is alone.
func picturesInABrowser(t *testing.T, b *browser) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	data := measuredSet(t)
	ok(t, "calib", "report", "--data", data, "--beacon", "n01", "--out", at("calib"))
	ok(t, "sim", "fit", "--data", data, "--out", at("world.yaml"), "--chart", at("fit.svg"))
	var usage bytes.Buffer
	r := monitor.Report{}
	for i := range 30 {
		r.Usage = append(r.Usage, monitor.Row{Period: fmt.Sprintf("2026-%02d", 1+i%10), Tenant: fmt.Sprintf("tenant with a long name %d", i%7), Grants: 1, Units: uint64(100 + 37*i)})
	}
	if err := r.Chart(&usage, "svg", monitor.ByTenant); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("usage.svg"), usage.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"calib/scatter.svg", "calib/beacon.svg", "calib/map.svg", "fit.svg", "usage.svg"} {
		for _, v := range []view{screen, telephone} {
			lookAt(t, b, at(name), v).close()
		}
	}
}

// lookAt opens a picture, says what is wrong with it, and leaves it open.
func lookAt(t *testing.T, b *browser, path string, v view) *tab {
	t.Helper()
	p := b.open(path, v)
	var wrong []string
	p.eval(lookAtPictures, &wrong)
	if v.width < 600 { // smaller than it was drawn, so that its size says nothing
		wrong = slices.DeleteFunc(wrong, func(w string) bool { return strings.Contains(w, " by ") })
	}
	for _, w := range slices.Concat(wrong, p.faults()) {
		t.Errorf("%s, %+v: %s", filepath.Base(path), v, w)
	}
	return p
}

// mapsInABrowser: maps of a country, of the Earth, and across the antimeridian show where things are: the land, the cells and the beacons lie
// on the map, near each other where they are near each other on Earth.
func mapsInABrowser(t *testing.T, b *browser) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name    string
		args    []string
		marks   string  // a selector of what must be on the map
		number  int     // of those marks, at least
		share   float64 // of the map's width that they take up together, at most
		atLeast float64 // and at least
		legend  []string
	}{
		{"europe", []string{"place", "--pick", "3", "--permit", "EU27", "--places", "cities", "--samples", "30"}, ".place", 50, 0.9, 0.4, []string{"new site, numbered as chosen", "place, not provable"}},
		{"germany", []string{"coverage", "--permit", "DE", "--samples", "60", "--access", "50us", "--stretch", "1.3"}, ".cells", 1, 0.9, 0.3, []string{"provable", "not provable", "beacon"}},
		{"earth", []string{"coverage", "--permit", "US+BR+ZA+FR+CN+AU+RU", "--samples", "40"}, ".cells", 1, 1.01, 0.8, []string{"not provable", "beacon"}},
		{"antimeridian", []string{"coverage", "--permit", "FJ+NZ", "--samples", "60"}, ".cells", 1, 0.6, 0.1, []string{"not provable", "beacon"}},
		{"committee", []string{"committee", "Suva", "--members", "8", "--f", "1"}, ".beacon", 8, 1, 0.5, []string{"beacon of the committee", "claimed place", "Suva", "Auckland"}},
	} {
		path := filepath.Join(dir, tt.name+".svg")
		ok(t, append(append([]string{"plan"}, tt.args...), "--map", path)...)
		lookAt(t, b, path, telephone).close()
		p := lookAt(t, b, path, screen)
		var got struct {
			Number int
			Share  float64
			Land   bool
			Words  []string
		}
		p.eval(fmt.Sprintf(`(() => {
			const map = document.querySelector("#map rect"), left = map.x.baseVal.value, wide = map.width.baseVal.value, right = left + wide;
			const boxes = [...document.querySelectorAll(%q)].map(e => e.getBBox()).map(b => [Math.max(left, b.x), Math.min(right, b.x + b.width)]).filter(b => b[1] > b[0]);
			const land = document.querySelector('path[fill-rule="evenodd"]').getBBox();
			return {number: boxes.length, share: (Math.max(...boxes.map(b => b[1])) - Math.min(...boxes.map(b => b[0]))) / wide, land: land.width > 0.3 * wide,
				words: [...document.querySelectorAll("text")].map(t => t.textContent)};
		})()`, tt.marks), &got)
		if got.Number < tt.number || got.Share > tt.share || got.Share < tt.atLeast || !got.Land {
			t.Errorf("%s: %d marks over %.2f of the map, land %v", tt.name, got.Number, got.Share, got.Land)
		}
		for _, want := range append(tt.legend, "Boundaries: Natural Earth. A drawing of estimates: no proof.") {
			if !slices.Contains(got.Words, want) {
				t.Errorf("%s: no %q in %q", tt.name, want, got.Words)
			}
		}
		p.close()
	}
}

// browserSees: the tests below can fail. A page that asks elsewhere, complains, and hides its words is found out.
func browserSees(t *testing.T, b *browser) {
	path := filepath.Join(t.TempDir(), "bad.html")
	if err := os.WriteFile(path, []byte(`<!doctype html><title>bad</title><img src="http://example.net/x.png"><script>console.log("x"); undefined.y</script>
		<p style="color:#999;background:#fff">dim</p><div style="width:3000px">wide</div>
		<svg width="400" height="200"><text x="380" y="20">too long for this</text><text x="10" y="50">one</text><text x="12" y="50">two</text></svg>`), 0o644); err != nil {
		t.Fatal(err)
	}
	p := b.open(path, screen)
	defer p.close()
	var wrong, dim []string
	p.eval(lookAtPictures, &wrong)
	p.eval(lookAtWords, &dim)
	all := strings.Join(slices.Concat(wrong, dim, p.faults()), "\n")
	for _, want := range []string{"asked for http://example.net/x.png", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "contrast 2.8", "a picture without a title",
		"cut off: too long", "as long as a font makes it: one", "on each other: two and one", "wider than its window"} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody saw %q in:\n%s", want, all)
		}
	}
}
