package receiver_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/calib/mesh/receiver"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// world serves the named beacons on loopback.
func world(t testing.TB, names ...string) *exchangetest.World {
	t.Helper()
	var places []exchangetest.Place
	var sockets []*net.UDPConn
	for _, name := range names {
		c := socket(t)
		sockets = append(sockets, c)
		places = append(places, exchangetest.Place{Name: name, At: earth.LatLon{Lat: 50, Lon: 8}, Address: c.LocalAddr().String()})
	}
	w := exchangetest.New(t, time.Now(), places...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for i, c := range sockets {
		s, err := server.New(server.Config{Key: w.Beacons[i], Directory: w.Directory, Attestation: []byte("beacon result"), Drain: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = s.Serve(ctx, c) })
	}
	return w
}

func receiverOf(t testing.TB, w *exchangetest.World, name string) *receiver.Receiver {
	return receiver.New(prober.Config{Key: exchangetest.Key(t, identity.RoleCore, name), TimedKey: exchangetest.TimedKey(t, "timed"), Directory: w.Directory, Conn: socket(t),
		Attestation: []byte("receiver result"), Timeout: time.Minute})
}

// door serves a receiver's handler without a network.
type door struct{ http.Handler }

func (d door) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	return w.Result(), nil
}

func knock(t testing.TB, r *receiver.Receiver, instruction []byte) ([]byte, error) {
	return receiver.Knock(t.Context(), &http.Client{Transport: door{r.Handler()}}, "http://receiver", instruction)
}

// An instruction goes in through the door and a proof comes out, which the gate's own function verifies.
func TestThroughTheDoor(t *testing.T) {
	w := world(t, "a", "b")
	r := receiverOf(t, w, "receiver")
	instruction := w.Challenge(t, r.Key().ID(), nil)
	proof, err := knock(t, r, instruction)
	if err != nil {
		t.Fatal(err)
	}
	x, err := statement.Expecting(proof, w.Directory, time.Now().UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := statement.VerifyProof(proof, x); err != nil || len(v.Facts) != 2 {
		t.Errorf("the proof has %v, %v", v, err)
	}
}

// The door stays shut for what no gate has signed, what is another's, and what is too large.
func TestTheDoorStaysShut(t *testing.T) {
	w := world(t, "a")
	r := receiverOf(t, w, "receiver")
	good := w.Challenge(t, r.Key().ID(), nil)
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		instruction []byte
		status      string
	}{
		"another's":       {w.Challenge(t, exchangetest.Key(t, identity.RoleCore, "another").ID(), nil), "403"},
		"a flipped bit":   {flipped, "403"},
		"nothing":         {nil, "403"},
		"too much":        {make([]byte, statement.MaxChallengeSize+1), "400"},
		"for yesterday's": {w.Challenge(t, r.Key().ID(), func(c *statement.Challenge) { c.IssuedUnixNS -= int64(24 * time.Hour) }), "403"},
	} {
		if _, err := knock(t, r, c.instruction); !errors.Is(err, receiver.ErrDoor) || !strings.Contains(err.Error(), c.status) {
			t.Errorf("%s: %v, want status %s", name, err, c.status)
		}
	}
}

// A card names the receiver of a beacon that the directory lists, and nobody else's.
func TestCard(t *testing.T) {
	w := world(t, "a")
	r := receiverOf(t, w, "receiver")
	client := &http.Client{Transport: door{r.Handler()}}
	if _, err := receiver.Ask(t.Context(), client, "http://receiver"); !errors.Is(err, receiver.ErrDoor) {
		t.Errorf("a door without a card: %v", err)
	}
	card := func(signer *identity.Private, key identity.Public) []byte {
		c, err := receiver.Card(signer, key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	good := card(w.Beacons[0], r.Key())
	r.Introduce(good)
	shown, err := receiver.Ask(t.Context(), client, "http://receiver")
	if err != nil {
		t.Fatal(err)
	}
	if beacon, key, err := receiver.OpenCard(shown, w.Directory); err != nil || beacon != w.Beacons[0].ID() || key.ID() != r.Key().ID() {
		t.Errorf("opened %s, %s, %v", beacon.Short(), key.ID().Short(), err)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for name, bad := range map[string][]byte{
		"a stranger's":    card(exchangetest.Key(t, identity.RoleBeacon, "stranger"), r.Key()),
		"a flipped bit":   flipped,
		"nothing":         nil,
		"a beacon's key":  card(w.Beacons[0], w.Beacons[0].Public()),
		"bytes too many":  append(slices.Clone(good), 0),
		"of another type": otherType(t, w.Beacons[0], r.Key()),
	} {
		if _, _, err := receiver.OpenCard(bad, w.Directory); !errors.Is(err, receiver.ErrCard) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// otherType is the same key under the signature of another kind of object.
func otherType(t *testing.T, beacon *identity.Private, key identity.Public) []byte {
	t.Helper()
	payload, err := key.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	e, err := identity.Seal(beacon, identity.TypeChallenge, payload)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// slow holds the socket's first write until it is let go, so that an exchange is certainly under way.
type slow struct {
	net.PacketConn
	once    sync.Once
	writing chan struct{}
	let     chan struct{}
}

func (s *slow) WriteTo(b []byte, to net.Addr) (int, error) {
	s.once.Do(func() { close(s.writing); <-s.let })
	return s.PacketConn.WriteTo(b, to)
}

// One instruction at a time: the second is told so at once.
func TestBusy(t *testing.T) {
	w := world(t, "a")
	s := &slow{PacketConn: socket(t), writing: make(chan struct{}), let: make(chan struct{})}
	r := receiver.New(prober.Config{Key: exchangetest.Key(t, identity.RoleCore, "receiver"), TimedKey: exchangetest.TimedKey(t, "timed"), Directory: w.Directory, Conn: s, Attestation: []byte("result")})
	instruction := w.Challenge(t, r.Key().ID(), nil)
	first := make(chan error)
	go func() {
		_, err := r.Measure(t.Context(), instruction)
		first <- err
	}()
	<-s.writing
	if _, err := knock(t, r, instruction); !errors.Is(err, receiver.ErrDoor) || !strings.Contains(err.Error(), "409") {
		t.Errorf("the second instruction: %v, want status 409", err)
	}
	close(s.let)
	if err := <-first; err != nil {
		t.Errorf("the first instruction: %v", err)
	}
}

// A beacon that is not there costs the proof, and says which.
func TestNoAnswer(t *testing.T) {
	w := exchangetest.New(t, time.Now(), exchangetest.Place{Name: "nowhere", At: earth.LatLon{Lat: 50, Lon: 8}, Address: socket(t).LocalAddr().String()})
	r := receiver.New(prober.Config{Key: exchangetest.Key(t, identity.RoleCore, "receiver"), TimedKey: exchangetest.TimedKey(t, "timed"), Directory: w.Directory, Conn: socket(t),
		Attestation: []byte("result"), Timeout: 100 * time.Millisecond})
	_, err := r.Measure(t.Context(), w.Challenge(t, r.Key().ID(), nil))
	if !errors.Is(err, receiver.ErrNoAnswer) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v", err)
	}
}

// How many exchanges a beacon serves to a core, and their smallest round trip, while its machine's receiver rests and while it
// measures another beacon without pause: the two rows of a comparison.
func BenchmarkServing(b *testing.B) {
	for _, measuring := range []bool{false, true} {
		name := "receiver=resting"
		if measuring {
			name = "receiver=measuring"
		}
		b.Run(name, func(b *testing.B) {
			w := world(b, "served", "peer")
			stop, done := make(chan struct{}), make(chan int)
			if measuring {
				r := receiverOf(b, w, "receiver")
				ask := w.Challenge(b, r.Key().ID(), func(c *statement.Challenge) { c.Committee = []identity.ID{w.Beacons[1].ID()} })
				go func() {
					n := 0
					for {
						select {
						case <-stop:
							done <- n
							return
						default:
						}
						if _, err := r.Measure(context.Background(), ask); err == nil {
							n++
						}
					}
				}()
			}
			core := receiverOf(b, w, "core")
			ask := w.Challenge(b, core.Key().ID(), func(c *statement.Challenge) { c.Committee = []identity.ID{w.Beacons[0].ID()} })
			least := int64(1 << 62)
			for b.Loop() {
				proof, err := core.Measure(context.Background(), ask)
				if err != nil {
					b.Fatal(err)
				}
				x, err := statement.Expecting(proof, w.Directory, time.Now().UnixNano())
				if err != nil {
					b.Fatal(err)
				}
				v, err := statement.VerifyProof(proof, x)
				if err != nil {
					b.Fatal(err)
				}
				least = min(least, int64(v.Facts[0].RTTBeacon))
			}
			close(stop)
			if measuring {
				b.ReportMetric(float64(<-done), "measured")
			}
			b.ReportMetric(float64(least), "least-rtt-ns")
		})
	}
}
