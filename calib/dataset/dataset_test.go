package dataset_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/earth"
)

const (
	nodesHead = dataset.NodesHeader + "\n"
	rttHead   = dataset.RTTHeader + "\n"
	abc       = nodesHead + "a,Frankfurt,DE,50.1109,8.6821,test\nb,\"Paris, \"\"FR\"\"\",FR,48.85,2.35,test\nc,Nowhere,,0,0,\n"
)

func folder(nodes, rtt string) fstest.MapFS {
	return fstest.MapFS{"nodes.csv": {Data: []byte(nodes)}, "rtt.csv": {Data: []byte(rtt)}}
}

func TestWhichValueCounts(t *testing.T) {
	s, err := dataset.LoadFS(folder(abc, rttHead+
		"a,b,10.5,9,~48x30\n"+ // the minimum, though the median is smaller
		"b,a,,12.345678,\n"+ // only a median, and the slower direction
		"a,c,,,0\n"+ // nothing measured
		"c,c,0.01,,\n"+ // to itself
		"c,b,7,,\nc,b,6,,\nc,b,8,,\n"), "test") // the smallest of three
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what     string
		i, j     int
		want     earth.RTT
		directed earth.RTT
		median   bool
	}{
		{"both directions: the smaller", 0, 1, 10_500_000, 10_500_000, false},
		{"the same from the other side", 1, 0, 10_500_000, 12_345_678, true},
		{"absent", 0, 2, 0, 0, false},
		{"one direction, smallest of three", 2, 1, 6_000_000, 6_000_000, false},
		{"one direction, asked the other way", 1, 2, 6_000_000, 0, false},
		{"itself", 2, 2, 0, 0, false},
		{"no such node", 0, 3, 0, 0, false},
		{"no such node", -1, 0, 0, 0, false},
	} {
		if got, ok := s.RTT(c.i, c.j); got != c.want || ok != (c.want != 0) {
			t.Errorf("%s: RTT(%d,%d) = %v, %v; want %v", c.what, c.i, c.j, got, ok, c.want)
		}
		if got, ok := s.Directed(c.i, c.j); got != c.directed || ok != (c.directed != 0) {
			t.Errorf("%s: Directed(%d,%d) = %v, %v; want %v", c.what, c.i, c.j, got, ok, c.directed)
		}
		if got := s.IsMedian(c.i, c.j); got != c.median {
			t.Errorf("%s: IsMedian = %v", c.what, got)
		}
	}
	if s.Degree(0) != 1 || s.Degree(1) != 2 || s.Degree(2) != 1 || s.Pairs() != 2 {
		t.Errorf("degrees %d %d %d, %d pairs", s.Degree(0), s.Degree(1), s.Degree(2), s.Pairs())
	}
	if want := (dataset.Ignored{Self: 1, Empty: 1}); s.Ignored != want {
		t.Errorf("ignored %+v, want %+v", s.Ignored, want)
	}
	if i, ok := s.Index("b"); !ok || i != 1 || s.Nodes[i].Name != `Paris, "FR"` {
		t.Errorf("b is %d, %v, %+v", i, ok, s.Nodes[1])
	}
}

func TestRefusals(t *testing.T) {
	row := func(r string) string { return abc + r + "\n" }
	for _, c := range []struct {
		name, nodes, rtt string
		is               error
		says             string
	}{
		{"text for a minimum", abc, rttHead + "a,b,1,,\na,b,abc,,\n", dataset.ErrRTT, `rtt.csv:3: min_ms "abc" is not a number of milliseconds, e.g. 12.345`},
		{"NaN", abc, rttHead + "a,b,NaN,,\n", dataset.ErrRTT, `rtt.csv:2: min_ms "NaN" is not a number`},
		{"infinity", abc, rttHead + "a,b,,+Inf,\n", dataset.ErrRTT, `rtt.csv:2: median_ms "+Inf" is not a number`},
		{"overflow", abc, rttHead + "a,b,1e999,,\n", dataset.ErrRTT, `not a number`},
		{"hexadecimal", abc, rttHead + "a,b,0x10,,\n", dataset.ErrRTT, `not a number`},
		{"negative", abc, rttHead + "a,b,-1,,\n", dataset.ErrRTT, `rtt.csv:2: min_ms "-1" is not above zero; leave the field empty`},
		{"zero", abc, rttHead + "a,b,0.000,,\n", dataset.ErrRTT, `is not above zero`},
		{"zero median beside a good minimum", abc, rttHead + "a,b,1,0,\n", dataset.ErrRTT, `median_ms "0"`},
		{"wrong unit", abc, rttHead + "a,b,12345678,,\n", dataset.ErrRTT, `is longer than 600000 ms; the column is in milliseconds`},
		{"unknown source", abc, rttHead + "x,b,1,,\n", dataset.ErrUnknownNode, `rtt.csv:2: src_id "x" is in no row of nodes.csv`},
		{"unknown destination", abc, rttHead + "a,x,1,,\n", dataset.ErrUnknownNode, `dst_id "x" is in no row`},
		{"too few fields", abc, rttHead + "a,b,1\n", dataset.ErrFields, `rtt.csv:2: 3 fields where 5 are wanted: src_id,`},
		{"rtt header missing", abc, "a,b,1,1,1\n", dataset.ErrHeader, `rtt.csv:1: header "a,b,1,1,1" must be exactly src_id,dst_id,min_ms,median_ms,samples`},
		{"rtt empty", abc, "", dataset.ErrHeader, `rtt.csv:1: the file is empty`},
		{"headers swapped", rttHead, nodesHead, dataset.ErrHeader, `nodes.csv:1: header "src_id,dst_id,min_ms,median_ms,samples" must be exactly id,name,country_iso2,lat,lon,source`},
		{"columns swapped", "id,name,country_iso2,lon,lat,source\n", rttHead, dataset.ErrHeader, `must be exactly`},
		{"no node", nodesHead, rttHead, dataset.ErrNoNodes, `no node after the header`},
		{"duplicate id", row("a,,DE,1,1,"), rttHead, dataset.ErrDuplicate, `nodes.csv:5: id "a" is given on line 2 already`},
		{"empty id", row(",,DE,1,1,"), rttHead, dataset.ErrID, `nodes.csv:5: id is empty`},
		{"id with a space", row(" d,,DE,1,1,"), rttHead, dataset.ErrID, `begins or ends with a space`},
		{"latitude out of range", row("d,,DE,90.01,1,"), rttHead, dataset.ErrCoordinate, `nodes.csv:5: lat "90.01" is not within -90..90 degrees`},
		{"longitude out of range", row("d,,DE,1,-181,"), rttHead, dataset.ErrCoordinate, `lon "-181" is not within -180..180 degrees`},
		{"latitude missing", row("d,,DE,,1,"), rttHead, dataset.ErrCoordinate, `lat "" is not a number of degrees, e.g. 50.1109`},
		{"country name", row("d,,Germany,1,1,"), rttHead, dataset.ErrCountry, `country_iso2 "Germany" is not a two-letter code, e.g. DE`},
		{"lower case country", row("d,,de,1,1,"), rttHead, dataset.ErrCountry, `country_iso2 "de"`},
		{"control character", row("d,\x00,DE,1,1,"), rttHead, dataset.ErrText, `nodes.csv:5: line is not printable`},
		{"latin-1", row("d,K\xf6ln,DE,1,1,"), rttHead, dataset.ErrText, `wrong encoding`},
		{"open quotation mark", row(`d,"K,DE,1,1,`), rttHead, dataset.ErrQuote, `nodes.csv:5: quotation marks do not match`},
		{"endless line", abc + strings.Repeat("x", dataset.MaxLine+1), rttHead, dataset.ErrTooLarge, `nodes.csv:5: line is longer than 65536 bytes`},
		{"long name", row("d," + strings.Repeat("x", 257) + ",DE,1,1,"), rttHead, dataset.ErrTooLarge, `longer than 256 bytes`},
	} {
		_, err := dataset.LoadFS(folder(c.nodes, c.rtt), "test")
		refused(t, c.name, err, c.is, c.says)
	}
}

func refused(t *testing.T, name string, err, is error, says string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Errorf("%s: got %v, want %v", name, err, is)
		return
	}
	if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: the error reads\n  %s\nand should say, in one line,\n  %s", name, err, says)
	}
}

func TestMissingFiles(t *testing.T) {
	_, err := dataset.Load(filepath.Join(t.TempDir(), "nowhere"))
	refused(t, "no folder", err, dataset.ErrMissing, "is no folder; name one that holds nodes.csv and rtt.csv or rtt.csv.gz")
	_, err = dataset.LoadFS(fstest.MapFS{}, "x")
	refused(t, "no nodes.csv", err, dataset.ErrMissing, "nodes.csv is missing (header id,name")
	_, err = dataset.LoadFS(fstest.MapFS{"nodes.csv": {Data: []byte(abc)}}, "x")
	refused(t, "no rtt.csv", err, dataset.ErrMissing, "x has neither rtt.csv nor rtt.csv.gz")
	both := folder(abc, rttHead)
	both["rtt.csv.gz"] = both["rtt.csv"]
	_, err = dataset.LoadFS(both, "x")
	refused(t, "both", err, dataset.ErrAmbiguous, "keep the one that is meant")
}

func pack(t *testing.T, text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPacked(t *testing.T) {
	good := pack(t, rttHead+"a,b,1.5,,\n")
	load := func(data []byte) (*dataset.Set, error) {
		return dataset.LoadFS(fstest.MapFS{"nodes.csv": {Data: []byte(abc)}, "rtt.csv.gz": {Data: data}}, "x")
	}
	s, err := load(good)
	if err != nil {
		t.Fatal(err)
	}
	if rtt, ok := s.RTT(1, 0); !ok || rtt != 1_500_000 {
		t.Errorf("got %v, %v", rtt, ok)
	}
	_, err = load([]byte(rttHead))
	refused(t, "not packed", err, dataset.ErrGzip, "rtt.csv.gz:1: not a gzip file")
	for _, cut := range []int{len(good) - 1, len(good) - 9, 12} {
		_, err = load(good[:cut])
		refused(t, "cut off", err, dataset.ErrGzip, "cut off or damaged")
	}
	bad := bytes.Clone(good)
	bad[len(bad)-6] ^= 1 // the checksum
	_, err = load(bad)
	refused(t, "damaged", err, dataset.ErrGzip, "cut off or damaged")
}

func TestAddRefuses(t *testing.T) {
	s, err := dataset.New("x", []dataset.Node{{ID: "a"}, {ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		i, j int
		rtt  earth.RTT
		is   error
	}{
		{0, 2, 1, dataset.ErrUnknownNode}, {-1, 0, 1, dataset.ErrUnknownNode}, {1, 1, 1, dataset.ErrSelf},
		{0, 1, 0, dataset.ErrRTT}, {0, 1, -5, dataset.ErrRTT}, {0, 1, dataset.MaxRTT + 1, dataset.ErrRTT},
	} {
		if err := s.Add(c.i, c.j, c.rtt, false); !errors.Is(err, c.is) {
			t.Errorf("Add(%d, %d, %d): %v, want %v", c.i, c.j, c.rtt, err, c.is)
		}
	}
	if s.Pairs() != 0 {
		t.Error("a refused value was kept")
	}
	if _, err := dataset.New("x", []dataset.Node{{ID: "a"}, {ID: "a"}}); !errors.Is(err, dataset.ErrDuplicate) {
		t.Errorf("duplicate: %v", err)
	}
	if _, err := dataset.New("x", make([]dataset.Node, dataset.MaxNodes+1)); !errors.Is(err, dataset.ErrTooLarge) {
		t.Errorf("too many: %v", err)
	}
}

// What is written reads back the same, to the nanosecond, whatever the names hold; and RTT is the smaller of both directions.
func TestWriteThenRead(t *testing.T) {
	text := rapid.StringMatching(`[a-zA-Zäöü,"' #;.-]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "nodes")
		nodes := make([]dataset.Node, n)
		for i := range nodes {
			at := earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")}
			id := string(rune('a'+i)) + rapid.StringMatching(`[,"#:_0-9]{0,4}`).Draw(t, "id")
			nodes[i] = dataset.Node{ID: id, Name: text.Draw(t, "name"), Country: rapid.SampledFrom([]string{"", "DE", "XK"}).Draw(t, "country"), At: at, Source: text.Draw(t, "source")}
		}
		s, err := dataset.New("x", nodes)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 30).Draw(t, "measurements") {
			i, j := rapid.IntRange(0, n-1).Draw(t, "i"), rapid.IntRange(0, n-1).Draw(t, "j")
			if i == j {
				continue
			}
			rtt := earth.RTT(rapid.Int64Range(1, int64(dataset.MaxRTT)).Draw(t, "rtt"))
			if err := s.Add(i, j, rtt, rapid.Bool().Draw(t, "median")); err != nil {
				t.Fatal(err)
			}
		}
		same(t, s, reread(t, s))
	})
}

func reread(t *rapid.T, s *dataset.Set) *dataset.Set {
	var nodes, rtt bytes.Buffer
	if err := errors.Join(s.WriteNodes(&nodes), s.WriteRTT(&rtt)); err != nil {
		t.Fatal(err)
	}
	back, err := dataset.LoadFS(folder(nodes.String(), rtt.String()), "x")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, nodes.String(), rtt.String())
	}
	return back
}

func same(t *rapid.T, a, b *dataset.Set) {
	if a.Len() != b.Len() {
		t.Fatalf("%d nodes became %d", a.Len(), b.Len())
	}
	for i := range a.Nodes {
		if a.Nodes[i] != b.Nodes[i] {
			t.Fatalf("%+v became %+v", a.Nodes[i], b.Nodes[i])
		}
		for j := range a.Nodes {
			x, okX := a.Directed(i, j)
			y, okY := b.Directed(i, j)
			if x != y || okX != okY || a.IsMedian(i, j) != b.IsMedian(i, j) {
				t.Fatalf("%d to %d: %d became %d", i, j, int64(x), int64(y))
			}
			z, okZ := b.RTT(i, j)
			back, okBack := b.Directed(j, i)
			if okZ != (okY || okBack) || okZ && (okY && z > y || okBack && z > back || z != y && z != back) {
				t.Fatalf("RTT %v of %v and %v", z, y, back)
			}
		}
	}
}

func TestSave(t *testing.T) {
	s, err := dataset.LoadFS(folder(abc, rttHead+"a,b,1.000001,,\nb,c,,2,\n"), "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, packed := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "deep", "export")
		if err := s.Save(dir, packed); err != nil {
			t.Fatal(err)
		}
		back, err := dataset.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if rtt, ok := back.RTT(0, 1); back.Name != "export" || back.Pairs() != 2 || !ok || rtt != 1_000_001 || !back.IsMedian(1, 2) {
			t.Errorf("packed %v: %s has %d pairs, %v", packed, back.Name, back.Pairs(), rtt)
		}
	}
}

// A mark and line ends as spreadsheets write them are let pass.
func TestSpreadsheetQuirks(t *testing.T) {
	crlf := func(s string) string { return "\ufeff" + strings.ReplaceAll(s, "\n", "\r\n") + "\r\n" }
	s, err := dataset.LoadFS(folder(crlf(abc), crlf(rttHead+"a,b,1,2,3\n")), "x")
	if err != nil || s.Len() != 3 || s.Pairs() != 1 {
		t.Fatal(s, err)
	}
}

// The public sets, where present: sizes as their README states them.
func TestPublicSets(t *testing.T) {
	root := os.Getenv("URSA_DATA")
	if root == "" {
		root = "../../../shared/data"
	}
	for _, c := range []struct {
		name        string
		nodes, rows int
	}{{"wonderproxy-2020", 246, 59887}, {"cloud-aws-2020", 19, 342}, {"cloud-gcp-2019", 20, 380}, {"cloud-ibm-2023-2026", 13, 156}} {
		dir := filepath.Join(root, c.name)
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("%s is not here; set URSA_DATA to the folder that holds it", dir)
		}
		s, err := dataset.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for i := range s.Nodes {
			for j := range s.Nodes {
				if _, ok := s.Directed(i, j); ok {
					rows++
				}
			}
		}
		if s.Len() != c.nodes || rows != c.rows || s.Name != c.name || s.Ignored != (dataset.Ignored{}) {
			t.Errorf("%s: %d nodes, %d rows, %+v", s.Name, s.Len(), rows, s.Ignored)
		}
	}
}
