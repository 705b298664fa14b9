package local_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"crypto/rand"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/calib/mesh"
	"github.com/ursa-virtual/ursa/calib/mesh/book"
	"github.com/ursa-virtual/ursa/calib/mesh/collect"
	"github.com/ursa-virtual/ursa/calib/mesh/local"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func socket(t *testing.T) net.PacketConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Two beacons on real sockets measure each other: whatever a loopback takes, it is next door, and the book verifies.
func TestOverLoopback(t *testing.T) {
	cfg := local.Config{Secret: [32]byte{1}, Epoch: 1, Now: time.Now().Add(-time.Second)}
	for _, name := range []string{"here", "there"} {
		cfg.Sites = append(cfg.Sites, local.Site{Place: name, Claims: earth.LatLon{Lat: 50, Lon: 8}, Beacon: socket(t), Receiver: socket(t)})
	}
	c, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := book.Open(t.Context(), filepath.Join(t.TempDir(), "book.db"))
	if err != nil {
		t.Fatal(err)
	}
	shape := mesh.Config{Beacons: 2, Period: 2 * time.Second, Exchange: time.Second, PerMinute: 200}
	plan, err := mesh.New(shape)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	period := collect.PeriodOf(shape, c.Members, start)
	out, err := collect.Run(t.Context(), collect.Config{Plan: plan, Members: c.Members, Start: start, Gate: c.Gate, Directory: c.Directory,
		Link: c, Book: b, Random: rand.Reader, Now: time.Now, Wait: collect.Sleep, Timeout: 20 * time.Second, NextDoor: earth.RTT(time.Second)}, period)
	if err != nil || out.Finished != 2 {
		t.Errorf("%d of 2 pairs, failed %v, away %v, error %v", out.Finished, out.Failed, out.Away, err)
	}
	again, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range again.Members {
		if again.Members[i].Beacon != c.Members[i].Beacon || again.Members[i].Receiver.ID() != c.Members[i].Receiver.ID() {
			t.Error("one secret, two constellations")
		}
	}
	again.Close()
	c.Close()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestSitesAreChecked(t *testing.T) {
	if _, err := local.Start(t.Context(), local.Config{Sites: make([]local.Site, 2)}); !errors.Is(err, local.ErrSites) {
		t.Errorf("sites without sockets: %v", err)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
