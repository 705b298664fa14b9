package verdict_test

import (
	"encoding/binary"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/topology/earth"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew; read the difference as carefully as code")

// The stories that verdicts tell, as people read them.
func TestStories(t *testing.T) {
	three := observe(3, frankfurt, 1.6, 80*time.Microsecond)
	liar := observe(5, frankfurt, 1.6, 80*time.Microsecond)
	liar[4].RTT = 3000 // Kassel says that the core is in the next room
	old := observe(4, frankfurt, 1.6, 80*time.Microsecond)
	old[1].Age = 2 * time.Hour
	near, small := ball{frankfurt.ECEF(0), 300e3}, ball{frankfurt.ECEF(0), 15e3}
	tokyo := ball{earth.LatLon{Lat: 35.68, Lon: 139.69}.ECEF(0), 300e3}
	one := verdict.Params{Speed: earth.Vacuum, F: 1}
	for _, c := range []struct {
		file   string
		obs    []verdict.Observation
		params verdict.Params
		permit ball
	}{
		{"three-beacons-inside.txt", three, honest, near},
		{"three-beacons-at-the-border.txt", three, honest, small},
		{"three-beacons-elsewhere.txt", three, honest, tokyo},
		{"five-beacons-one-liar-unexpected.txt", liar, honest, near},
		{"five-beacons-one-liar-allowed.txt", liar, one, near},
		{"two-domains-too-few.txt", three[:2], one, near},
		{"four-beacons-one-too-old.txt", old, one, near},
	} {
		got := judge(t, c.obs, c.params, c.permit).Text()
		file := filepath.Join("testdata", c.file)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%swant\n%s", c.file, got, want)
		}
	}
}

// FuzzJudge builds statements out of any bits: the judge neither panics nor lets an unusable statement pass for Inside.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("any bytes will do, they become round trips, positions and ages"), 1, uint8(1))
	f.Add(make([]byte, 200), 0, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, faulty int, class uint8) {
		var obs []verdict.Observation
		word := func() uint64 {
			if len(data) < 8 {
				return 0
			}
			w := binary.LittleEndian.Uint64(data)
			data = data[8:]
			return w
		}
		for len(data) >= 8 && len(obs) < 8 {
			at := earth.LatLon{Lat: math.Float64frombits(word()), Lon: math.Float64frombits(word())}
			o := observation(len(obs), at, earth.RTT(word()))
			if bits := word(); bits%3 == 0 {
				o.Age, o.Granularity, o.ErrPPB = time.Duration(word()), earth.RTT(word()), word()
				o.PosUnc = earth.Metres(math.Float64frombits(word()))
			}
			obs = append(obs, o)
		}
		v, err := verdict.Judge(obs, verdict.Params{Speed: earth.SpeedClass(class), F: faulty}, ball{frankfurt.ECEF(0), 1e6}, nil)
		if err != nil && (v.Inside() || v.Check() != verdict.CheckUnusable) {
			t.Errorf("%v with %v", v.Kind(), err)
		}
		if v.Inside() && len(obs) < 2*faulty+1 {
			t.Errorf("Inside with %d statements and f = %d", len(obs), faulty)
		}
		if v.Text() == "" || v.Reason() == "" {
			t.Error("a verdict without words")
		}
	})
}
