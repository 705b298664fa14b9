// Package exchangetest makes small constellations for tests of the exchange: keys from fixed seeds, a signed directory, a gate
// and its challenges. It is imported by tests only.
package exchangetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// TB is what is needed of *testing.T, *testing.B and *rapid.T.
type TB interface {
	Helper()
	Fatal(args ...any)
}

var keys sync.Map // making a key is slow; the same seed gives the same key

// TimedKey returns the timed key that belongs to a name.
func TimedKey(t TB, name string) *identity.TimedKey {
	t.Helper()
	seed := TimedSeed(name)
	k, err := identity.NewTimedKey(bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TimedSeed is what TimedKey is made of.
func TimedSeed(name string) [32]byte { return sha256.Sum256([]byte("exchangetest timed/" + name)) }

// Key returns the key of a role that belongs to a name.
func Key(t TB, role identity.Role, name string) *identity.Private {
	t.Helper()
	at := string(role) + "/" + name
	if k, ok := keys.Load(at); ok {
		return k.(*identity.Private)
	}
	k, err := identity.FromSeed(role, sha256.Sum256([]byte("exchangetest "+at)))
	if err != nil {
		t.Fatal(err)
	}
	keys.Store(at, k)
	return k
}

// Place is a beacon of a test constellation.
type Place struct {
	Name    string
	At      earth.LatLon
	Address string // where its server listens
}

// World is a constellation with one gate and one directory root.
type World struct {
	Directory *directory.Directory
	Signed    []byte            // the same, encoded
	Root      *identity.Private // who signed it
	Gate      *identity.Private
	Beacons   []*identity.Private // in the order of the places
	Now       time.Time
}

// New signs a directory of the places, issued at now.
func New(t TB, now time.Time, places ...Place) *World {
	t.Helper()
	return NewEpoch(t, 1, now, places...)
}

// NewEpoch is New with a directory of another epoch.
func NewEpoch(t TB, epoch uint64, now time.Time, places ...Place) *World {
	t.Helper()
	root := Key(t, identity.RoleDirectory, "root")
	w := &World{Gate: Key(t, identity.RoleGate, "gate"), Root: root, Now: now}
	from, to := now.Add(-time.Hour).UnixNano(), now.Add(24*time.Hour).UnixNano()
	d := &directory.Directory{Epoch: epoch, IssuedUnixNS: from, ExpiresUnixNS: to, Gates: []identity.Public{w.Gate.Public()}}
	for _, p := range places {
		key := Key(t, identity.RoleBeacon, p.Name)
		w.Beacons = append(w.Beacons, key)
		d.Beacons = append(d.Beacons, directory.Beacon{
			Key: key.Public(), Place: p.Name, Position: p.At.ECEF(100).Millimetres(), PosUncMM: 50_000,
			Domains: []string{"site-" + p.Name}, Address: p.Address, NotBeforeUnixNS: from, ExpiresUnixNS: to,
			Attest: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
		})
	}
	d.Sort()
	var err error
	if w.Signed, err = directory.Sign(d, root); err != nil {
		t.Fatal(err)
	}
	w.Directory, err = directory.Verify(w.Signed, []identity.Public{root.Public()}, 1, now.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Challenge returns the gate's encoded challenge to a core about all beacons. Edit may change it before it is sealed.
func (w *World) Challenge(t TB, core identity.ID, edit func(*statement.Challenge)) []byte {
	t.Helper()
	c := statement.Challenge{
		Core: core, NonceG: sha256.Sum256([]byte("nonce")), PolicyHash: sha256.Sum256([]byte("policy")),
		DirectoryEpoch: w.Directory.Epoch, DirectoryHash: w.Directory.Hash(),
		IssuedUnixNS: w.Now.UnixNano(), TTLNS: int64(5 * time.Minute), RoundsMin: 8, RoundsMax: 64,
	}
	for _, b := range w.Beacons {
		c.Committee = append(c.Committee, b.ID())
	}
	slices.SortFunc(c.Committee, identity.ID.Compare)
	if edit != nil {
		edit(&c)
	}
	env, err := c.Seal(w.Gate)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := env.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// Asked verifies an encoded challenge.
func (w *World) Asked(t TB, challenge []byte) statement.Asked {
	t.Helper()
	env, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := statement.VerifyChallenge(env, w.Directory, w.Now.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

// Random is a repeatable source of randomness: never for anything but tests.
type Random struct{ *rand.ChaCha8 }

// NewRandom returns the source that belongs to a seed.
func NewRandom(seed uint64) Random {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return Random{rand.NewChaCha8(s)}
}
