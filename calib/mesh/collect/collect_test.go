package collect_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/mesh"
	"github.com/ursa-virtual/ursa/calib/mesh/book"
	"github.com/ursa-virtual/ursa/calib/mesh/collect"
	"github.com/ursa-virtual/ursa/calib/mesh/receiver"
	"github.com/ursa-virtual/ursa/simnet/fabric"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

var virtual = timing.GoClock{Q: stamp.Quality{GranularityNS: 1, ErrPPB: 1}}

// city is a beacon with its receiver: where it says it stands, and where it does.
type city struct {
	name           string
	claims, stands earth.LatLon
}

var cities = []city{
	{"Frankfurt", earth.LatLon{Lat: 50.11, Lon: 8.68}, earth.LatLon{Lat: 50.11, Lon: 8.68}},
	{"Paris", earth.LatLon{Lat: 48.86, Lon: 2.35}, earth.LatLon{Lat: 48.86, Lon: 2.35}},
	{"Madrid", earth.LatLon{Lat: 40.42, Lon: -3.70}, earth.LatLon{Lat: 40.42, Lon: -3.70}},
	{"Warsaw", earth.LatLon{Lat: 52.23, Lon: 21.01}, earth.LatLon{Lat: 52.23, Lon: 21.01}},
	{"Montreal", earth.LatLon{Lat: 45.50, Lon: -73.57}, earth.LatLon{Lat: 45.50, Lon: -73.57}},
	{"Nairobi", earth.LatLon{Lat: -1.29, Lon: 36.82}, earth.LatLon{Lat: 51.5, Lon: -0.12}}, // stands in London
}

// ground delays packets by one and a half times light in fibre between where hosts stand.
type ground map[netip.Addr]earth.LatLon

func (g ground) Delay(from, to netip.AddrPort, _ int, _ *rand.Rand) (time.Duration, bool) {
	km := earth.GreatCircle(g[from.Addr()], g[to.Addr()]).Kilometres()
	return 50*time.Microsecond + time.Duration(1.5*km*1.468/299_792.458*1e9), false
}

// site is a whole constellation with receivers, inside a synctest bubble.
type site struct {
	*exchangetest.World
	fabric    *fabric.Fabric
	members   []collect.Member
	receivers map[identity.ID]*receiver.Receiver
	deaf      map[identity.ID]bool // receivers that do not answer
	asked     atomic.Int64
}

// Measure implements collect.Link in place of the network between the collector and its receivers.
func (s *site) Measure(ctx context.Context, m collect.Member, instruction []byte) ([]byte, error) {
	s.asked.Add(1)
	if s.deaf[m.Beacon] {
		return nil, receiver.ErrDoor
	}
	return s.receivers[m.Beacon].Measure(ctx, instruction)
}

func build(t *testing.T, cities []city) (*site, func()) {
	t.Helper()
	g := ground{}
	f, err := fabric.New(fabric.Config{Seed: 1, Path: g})
	if err != nil {
		t.Fatal(err)
	}
	listen := func(name string, at earth.LatLon) *fabric.Endpoint {
		e, err := f.Listen(name, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		g[e.AddrPort().Addr()] = at
		return e
	}
	s := &site{fabric: f, receivers: map[identity.ID]*receiver.Receiver{}, deaf: map[identity.ID]bool{}}
	var places []exchangetest.Place
	var doors []*fabric.Endpoint
	for _, c := range cities {
		e := listen(c.name, c.stands)
		doors = append(doors, e)
		places = append(places, exchangetest.Place{Name: c.name, At: c.claims, Address: e.AddrPort().String()})
	}
	s.World = exchangetest.New(t, time.Now(), places...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(places))
	for i, e := range doors {
		daemon, err := server.New(server.Config{Key: s.Beacons[i], Directory: s.Directory, Attestation: []byte("beacon result"), Clock: virtual})
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- daemon.Serve(ctx, e) }()
		key := exchangetest.Key(t, identity.RoleCore, "receiver "+cities[i].name)
		s.receivers[s.Beacons[i].ID()] = receiver.New(prober.Config{Key: key, TimedKey: exchangetest.TimedKey(t, "timed"), Directory: s.Directory, Attestation: []byte("receiver result"),
			Conn: listen("receiver "+cities[i].name, cities[i].stands), Clock: virtual})
		s.members = append(s.members, collect.Member{Beacon: s.Beacons[i].ID(), Receiver: key.Public()})
	}
	slices.SortFunc(s.members, func(a, b collect.Member) int { return a.Beacon.Compare(b.Beacon) })
	return s, func() {
		cancel()
		for range places {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (s *site) shape() mesh.Config {
	return mesh.Config{Beacons: len(s.members), Period: 10 * time.Minute, Exchange: 12 * time.Second, PerMinute: 6, Seed: [32]byte{1}}
}

func (s *site) config(t *testing.T, b *book.Book, start time.Time) collect.Config {
	t.Helper()
	plan, err := mesh.New(s.shape())
	if err != nil {
		t.Fatal(err)
	}
	return collect.Config{Plan: plan, Members: s.members, Start: start, Gate: s.Gate, Directory: s.Directory, Link: s, Book: b,
		Random: exchangetest.NewRandom(7), Now: time.Now, Wait: collect.Sleep, Timeout: 20 * time.Second, NextDoor: 1_000_000}
}

func open(t *testing.T) *book.Book {
	t.Helper()
	b, err := book.Open(t.Context(), filepath.Join(t.TempDir(), "book.db"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The whole road: receivers of a constellation measure each other over real QUIC, the statements are verified and written down, the
// book becomes a data set, and the audit finds the beacon that says Nairobi and stands in London.
func TestMeasureEachOtherAndFindTheLiar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := build(t, cities)
		defer stop()
		b := open(t)
		defer b.Close()
		c := s.config(t, b, time.Now())
		told := 0
		c.Progress = func(p collect.Progress) { told++ }
		period := collect.PeriodOf(s.shape(), s.members, c.Start)
		out, err := collect.Run(t.Context(), c, period)
		if err != nil || out.Finished != 30 || len(out.Failed)+len(out.Away) > 0 || told != 30 {
			t.Fatalf("%d of 30 pairs, %d told, failed %v, away %v, error %v", out.Finished, told, out.Failed, out.Away, err)
		}
		set, err := b.Set(t.Context(), "constellation", period, func(id identity.ID) dataset.Node {
			d, _ := s.Directory.Lookup(id)
			at, _ := d.ECEF().LatLon()
			return dataset.Node{Name: d.Place, At: at, Source: "receivers"}
		})
		if err != nil {
			t.Fatal(err)
		}
		var research bytes.Buffer
		if err := b.WriteStatements(t.Context(), &research); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&research).ReadAll()
		if err != nil || len(rows) != 31 || slices.Contains(rows[1], "") {
			t.Errorf("%d rows, error %v, the first %q: want 30 whole ones and a header", len(rows), err, rows[1])
		}
		one := 1
		r, err := audit.Run(set, audit.Options{MaxLiars: &one})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Convicted) != 1 || r.Convicted[0].Name != "Nairobi" {
			t.Errorf("convicted %+v, want Nairobi", r.Convicted)
		}
	})
}

// Killed in the middle and started again with the same book: nothing finished is lost, and nothing but what was under way is repeated.
func TestKilledAndResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := build(t, cities[:4])
		defer stop()
		b := open(t)
		defer b.Close()
		c := s.config(t, b, time.Now())
		period := collect.PeriodOf(s.shape(), s.members, c.Start)
		ctx, kill := context.WithCancel(t.Context())
		c.Progress = func(p collect.Progress) {
			if p.Left == 6 {
				kill()
			}
		}
		first, err := collect.Run(ctx, c, period)
		if err != nil || first.Finished < 6 || first.Finished > 8 {
			t.Fatalf("killed after six: %d finished, %v", first.Finished, err)
		}
		before := s.asked.Load()
		c.Progress = nil
		second, err := collect.Run(t.Context(), c, period)
		if err != nil || second.Finished != 12 {
			t.Fatalf("resumed: %d of 12 finished, failed %v, error %v", second.Finished, second.Failed, err)
		}
		if again := s.asked.Load() - before; again != int64(4+12-first.Finished) {
			t.Errorf("%d exchanges after resuming, want the 4 next door and the %d that were left", again, 12-first.Finished)
		}
	})
}

// A receiver that stands elsewhere than its beacon is not believed, one that does not answer fails and is tried again, and the rest goes
// on.
func TestAwayAndDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := build(t, cities[:4])
		defer stop()
		b := open(t)
		defer b.Close()
		c := s.config(t, b, time.Now())
		wrong, deaf := s.members[0], s.members[1]
		s.receivers[wrong.Beacon] = s.receivers[s.members[2].Beacon] // a stolen key, or a cable to another hall
		s.members[0].Receiver = s.members[2].Receiver
		s.deaf[deaf.Beacon] = true
		out, err := collect.Run(t.Context(), c, collect.PeriodOf(s.shape(), s.members, c.Start))
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(out.Away[0], collect.ErrAway) || !errors.Is(out.Away[1], receiver.ErrDoor) || out.Finished != 6 {
			t.Errorf("away %v, %d finished; want the first away, the second silent, and the 6 pairs of the others", out.Away, out.Finished)
		}
	})
}

// dishonest answers with whatever was swapped in.
type dishonest struct {
	*site
	swap func(proof []byte) []byte
}

func (d dishonest) Measure(ctx context.Context, m collect.Member, instruction []byte) ([]byte, error) {
	proof, err := d.site.Measure(ctx, m, instruction)
	return d.swap(proof), err
}

// What is brought is verified: a flipped bit, another's proof and an old proof are refused, and nothing of it is written down.
func TestNothingUnverifiedIsWritten(t *testing.T) {
	var old []byte
	for name, swap := range map[string]func([]byte) []byte{
		"a flipped bit": func(p []byte) []byte {
			if len(p) > 0 {
				p[len(p)/2] ^= 1
			}
			return p
		},
		"nothing": func([]byte) []byte { return nil },
		"an old proof": func(p []byte) []byte {
			if old == nil {
				old = p
			}
			return old
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old = nil
				s, stop := build(t, cities[:2])
				defer stop()
				b := open(t)
				defer b.Close()
				c := s.config(t, b, time.Now())
				c.Link = dishonest{s, swap}
				period := collect.PeriodOf(s.shape(), s.members, c.Start)
				if out, err := collect.Run(t.Context(), c, period); !errors.Is(err, collect.ErrPremise) || out.Finished != 0 {
					t.Errorf("%d finished, error %v", out.Finished, err)
				}
				if err := b.Each(t.Context(), period.ID, func(book.Record) error { return errors.New("a record") }); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := collect.Run(t.Context(), collect.Config{}, book.Period{}); !errors.Is(err, collect.ErrConfig) {
		t.Errorf("an empty configuration: %v", err)
	}
}
