package bench

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// world is everything that is signed before the first packet: a directory with one beacon and one gate, and the gate's challenge to a core.
type world struct {
	beacon    *identity.Private
	core      *identity.Private
	timed     *identity.TimedKey // each end has its own
	directory *directory.Directory
	asked     statement.Asked
	letter    letter
}

// letter is the part of a world that the other end is told, to build the core's side from. The seed is that of a key made for this run.
type letter struct {
	CoreSeed  []byte `json:"core_seed"`
	Root      []byte `json:"root"`
	Directory []byte `json:"directory"`
	Challenge []byte `json:"challenge"`
}

// results stand for attestation results: an exchange names their hashes and does not look into them.
var beaconResult, coreResult = []byte("attestation result of the bench's beacon"), []byte("attestation result of the bench's core")

// found makes the world.
func found(now time.Time) (*world, error) {
	keys := map[identity.Role]*identity.Private{}
	for _, role := range []identity.Role{identity.RoleDirectory, identity.RoleGate, identity.RoleBeacon} {
		k, err := identity.Generate(role, rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[role] = k
	}
	from, to := now.Add(-time.Minute).UnixNano(), now.Add(time.Hour).UnixNano()
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: from, ExpiresUnixNS: to, Gates: []identity.Public{keys[identity.RoleGate].Public()}}
	d.Beacons = []directory.Beacon{{
		Key: keys[identity.RoleBeacon].Public(), Place: "this host", Position: (earth.LatLon{Lat: 50, Lon: 8}).ECEF(0).Millimetres(), PosUncMM: 1000,
		Domains: []string{"bench"}, Address: "127.0.0.1:4433", NotBeforeUnixNS: from, ExpiresUnixNS: to,
		Attest: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}},
	}}
	d.Sort()
	signed, err := directory.Sign(d, keys[identity.RoleDirectory])
	if err != nil {
		return nil, err
	}
	root, err := keys[identity.RoleDirectory].Public().MarshalBinary()
	if err != nil {
		return nil, err
	}
	w := &world{beacon: keys[identity.RoleBeacon], letter: letter{CoreSeed: make([]byte, identity.SeedSize), Root: root, Directory: signed}}
	if _, err := rand.Read(w.letter.CoreSeed); err != nil {
		return nil, err
	}
	if err := w.read(now); err != nil {
		return nil, err
	}
	return w, w.ask(keys[identity.RoleGate], now)
}

// read fills in what follows from the letter; both ends do it.
func (w *world) read(now time.Time) (err error) {
	if w.timed, err = identity.NewTimedKey(nil); err != nil {
		return err
	}
	if len(w.letter.CoreSeed) != identity.SeedSize {
		return fmt.Errorf("%w: a seed has %d bytes", ErrPeer, identity.SeedSize)
	}
	root, err := identity.ParsePublic(w.letter.Root)
	if err != nil {
		return err
	}
	if w.core, err = identity.FromSeed(identity.RoleCore, [identity.SeedSize]byte(w.letter.CoreSeed)); err != nil {
		return err
	}
	if w.directory, err = directory.Verify(w.letter.Directory, []identity.Public{root}, 1, now.UnixNano()); err != nil {
		return err
	}
	if len(w.letter.Challenge) == 0 {
		return nil
	}
	envelope, err := identity.DecodeEnvelope(w.letter.Challenge, statement.MaxChallengeSize)
	if err != nil {
		return err
	}
	w.asked, err = statement.VerifyChallenge(envelope, w.directory, now.UnixNano())
	return err
}

// ask seals the gate's challenge. It lasts for as long as a challenge may, which is longer than any run.
func (w *world) ask(gate *identity.Private, now time.Time) error {
	c := statement.Challenge{
		Core: w.core.ID(), Committee: []identity.ID{w.beacon.ID()}, DirectoryEpoch: w.directory.Epoch, DirectoryHash: w.directory.Hash(),
		PolicyHash: identity.Hash("bench"), IssuedUnixNS: now.UnixNano(), TTLNS: int64(statement.MaxTTL), RoundsMin: statement.MinRounds, RoundsMax: 64,
	}
	if _, err := rand.Read(c.NonceG[:]); err != nil {
		return err
	}
	envelope, err := c.Seal(gate)
	if err != nil {
		return err
	}
	w.letter.Challenge, err = envelope.Encode()
	return err
}

// only returns the one beacon of the directory.
func (w *world) only() directory.Beacon { return w.directory.Beacons[0] }
