package directory_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"pgregory.net/rapid"
)

// publish signs and verifies a draft.
func publish(t testing.TB, d *directory.Directory) *directory.Directory {
	t.Helper()
	keys, publics := roots(t)
	data, err := directory.Sign(d, keys...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := directory.Verify(data, publics, 2, now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// spread returns a directory of n beacons along the equator, one each 2 degrees, whose operators repeat every k.
func spread(t testing.TB, n, k int) *directory.Directory {
	t.Helper()
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: now, ExpiresUnixNS: now + day}
	for i := range n {
		d.Beacons = append(d.Beacons, entry(t, i, earth.LatLon{Lat: 0, Lon: float64(2*i) - 90}, fmt.Sprintf("operator:%d", i%k)))
	}
	d.Sort()
	return publish(t, d)
}

func places(d *directory.Directory, ids []identity.ID) (lons []int) {
	for _, id := range ids {
		b, _ := d.Lookup(id)
		ll, _ := b.ECEF().LatLon()
		lons = append(lons, int(ll.Lon+360.5)-360)
	}
	slices.Sort(lons)
	return lons
}

func TestCommitteeTakesTheNearest(t *testing.T) {
	d := spread(t, 60, 60)
	s := directory.Selection{Claim: earth.LatLon{Lat: 0, Lon: -69}.ECEF(0), Metro: 4, F: 1, NowUnixNS: now}
	ids, err := d.Committee(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(places(d, ids)); got != "[-72 -70 -68 -66]" {
		t.Fatal(got)
	}
}

// With two operators alternating, the nearest of each goes first and the others fill the number.
func TestCommitteePrefersNewDomains(t *testing.T) {
	d := spread(t, 20, 2)
	at := func(lon float64) earth.ECEF { return earth.LatLon{Lat: 0, Lon: lon}.ECEF(0) }
	ids, err := d.Committee(directory.Selection{Claim: at(-70.9), Metro: 2, NowUnixNS: now})
	if err != nil || fmt.Sprint(places(d, ids)) != "[-72 -70]" {
		t.Fatal(places(d, ids), err)
	}
	if _, err := d.Committee(directory.Selection{Claim: at(-71), Metro: 8, Random: 4, F: 1, NowUnixNS: now}); !errors.Is(err, directory.ErrTooFewDomains) {
		t.Fatal("two operators survive one faulty:", err)
	}
	same := spread(t, 20, 1)
	ids, err = same.Committee(directory.Selection{Claim: at(-71), Metro: 3, NowUnixNS: now})
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
}

// The promises of Committee, for any selection: deterministic, sorted, without repetition, of the asked size where the directory
// allows, only beacons in service, and enough independent ones or an error.
func TestCommitteeProperties(t *testing.T) {
	const n, k = 30, 7
	d := spread(t, n, k)
	rapid.Check(t, func(t *rapid.T) {
		s := directory.Selection{
			Claim:  earth.LatLon{Lat: rapid.Float64Range(-90, 90).Draw(t, "lat"), Lon: rapid.Float64Range(-180, 180).Draw(t, "lon")}.ECEF(0),
			NonceG: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "nonce")),
			Metro:  rapid.IntRange(0, 20).Draw(t, "metro"), Random: rapid.IntRange(0, 20).Draw(t, "random"),
			F: rapid.IntRange(0, 4).Draw(t, "f"), NowUnixNS: now,
		}
		ids, err := d.Committee(s)
		again, err2 := d.Committee(s)
		if fmt.Sprint(ids, err) != fmt.Sprint(again, err2) {
			t.Fatal("not deterministic")
		}
		switch {
		case s.Metro+s.Random == 0:
			if !errors.Is(err, directory.ErrCommitteeSize) {
				t.Fatal(err)
			}
			return
		case min(s.Metro+s.Random, k) < 2*s.F+1:
			if !errors.Is(err, directory.ErrTooFewDomains) {
				t.Fatal(err)
			}
			return
		case errors.Is(err, directory.ErrTooFewDomains): // possible when the near pool holds few operators
			return
		case err != nil:
			t.Fatal(err)
		}
		if len(ids) != min(n, s.Metro+s.Random) || !slices.IsSortedFunc(ids, identity.ID.Compare) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Fatal(len(ids))
		}
		operators := map[string]bool{}
		for _, id := range ids {
			b, ok := d.Lookup(id)
			if !ok {
				t.Fatal("stranger")
			}
			operators[b.Domains[0]] = true
		}
		if len(operators) < 2*s.F+1 {
			t.Fatalf("%d operators for f = %d", len(operators), s.F)
		}
	})
}

// The drawn part changes with the nonce and every beacon is drawn at some time: a core cannot know whom to befriend.
func TestCommitteeDraw(t *testing.T) {
	d := spread(t, 20, 20)
	drawn := map[identity.ID]int{}
	for i := range 400 {
		ids, err := d.Committee(directory.Selection{Claim: earth.LatLon{}.ECEF(0), NonceG: [32]byte{byte(i), byte(i >> 8)}, Random: 2, NowUnixNS: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			drawn[id]++
		}
	}
	for _, b := range d.Beacons { // 40 expected, standard deviation 6
		if n := drawn[b.ID()]; n < 10 || n > 80 {
			t.Errorf("%s drawn %d times of 800", b.ID().Short(), n)
		}
	}
}

func TestCommitteeRefuses(t *testing.T) {
	good := directory.Selection{Claim: earth.LatLon{Lat: 50}.ECEF(0), Metro: 1, Random: 1, NowUnixNS: now}
	d := publish(t, draft(t, 3))
	quarantined := draft(t, 1)
	expired := draft(t, 1)
	expired.Quarantine = nil
	expired.Beacons[0].ExpiresUnixNS = now
	cases := []struct {
		name   string
		d      *directory.Directory
		change func(*directory.Selection)
		want   error
	}{
		{"honest", d, func(*directory.Selection) {}, nil},
		{"draft", draft(t, 3), func(*directory.Selection) {}, directory.ErrUnverified},
		{"nil", nil, func(*directory.Selection) {}, directory.ErrUnverified},
		{"expired directory", d, func(s *directory.Selection) { s.NowUnixNS = now + day }, directory.ErrExpired},
		{"nobody", d, func(s *directory.Selection) { s.Metro, s.Random = 0, 0 }, directory.ErrCommitteeSize},
		{"negative", d, func(s *directory.Selection) { s.Metro = -1 }, directory.ErrCommitteeSize},
		{"negative f", d, func(s *directory.Selection) { s.F = -1 }, directory.ErrCommitteeSize},
		{"65", d, func(s *directory.Selection) { s.Metro = 64 }, directory.ErrCommitteeSize},
		{"overflowing", d, func(s *directory.Selection) { s.Metro, s.Random = 1<<62, 1<<62 }, directory.ErrCommitteeSize},
		{"claim in space", d, func(s *directory.Selection) { s.Claim = earth.ECEF{X: 1e9} }, directory.ErrCommitteeClaim},
		{"all quarantined", publish(t, quarantined), func(*directory.Selection) {}, directory.ErrTooFewBeacons},
		{"all expired", publish(t, expired), func(*directory.Selection) {}, directory.ErrTooFewBeacons},
		{"f too large", d, func(s *directory.Selection) { s.F = 1 }, directory.ErrTooFewDomains},
	}
	for _, c := range cases {
		s := good
		c.change(&s)
		if _, err := c.d.Committee(s); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}
