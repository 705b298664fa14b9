package directory

import (
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Version is the version of the format.
const Version = 1

// Beacon is one landmark.
type Beacon struct {
	Key             identity.Public `cbor:"1,keyasint"` // of role beacon
	Place           string          `cbor:"2,keyasint"` // for people, such as "Frankfurt, DE"
	Position        [3]int64        `cbor:"3,keyasint"` // surveyed, ECEF in millimetres
	PosUncMM        uint64          `cbor:"4,keyasint"` // uncertainty of the survey in millimetres, never zero
	Domains         []string        `cbor:"5,keyasint"` // what it fails with: operator, site, hypervisor; ascending, at least one
	Address         string          `cbor:"6,keyasint"` // host:port of its server
	Attest          []Expectation   `cbor:"7,keyasint"` // what its evidence must look like; ascending by platform, at least one
	NotBeforeUnixNS int64           `cbor:"8,keyasint"` // valid from this instant
	ExpiresUnixNS   int64           `cbor:"9,keyasint"` // and before this one
}

// ID returns the beacon's id.
func (b Beacon) ID() identity.ID { return b.Key.ID() }

// ECEF returns the surveyed position in metres.
func (b Beacon) ECEF() earth.ECEF { return earth.FromMillimetres(b.Position) }

// PosUnc returns the uncertainty of the survey in metres.
func (b Beacon) PosUnc() earth.Metres { return earth.Metres(b.PosUncMM) / 1000 }

// ValidAt says whether the entry is in force at the instant.
func (b Beacon) ValidAt(nowUnixNS int64) bool {
	return b.NotBeforeUnixNS <= nowUnixNS && nowUnixNS < b.ExpiresUnixNS
}

// Expectation says what evidence of one platform must look like to be believed.
type Expectation struct {
	Platform     string   `cbor:"1,keyasint"` // such as "sim", "tpm", "sev-snp", "tdx"
	Measurements [][]byte `cbor:"2,keyasint"` // of the builds that may run; ascending, at least one
	MinTCB       uint64   `cbor:"3,keyasint"` // lowest acceptable security version
	// Machines are those that the evidence may come from, as its appraiser names them; ascending. None: any machine that attests.
	Machines [][32]byte `cbor:"4,keyasint,omitempty"`
}

// Quarantine takes a beacon out of service without removing its entry, so that its old statements can still be named.
type Quarantine struct {
	Beacon      identity.ID `cbor:"1,keyasint"`
	SinceUnixNS int64       `cbor:"2,keyasint"`
	Reason      string      `cbor:"3,keyasint"`
}

// AttestRoot is a key that evidence of one platform must chain to: for "sim" an identity.Public in its binary form, for the
// others what their appraiser says (a DER certificate).
type AttestRoot struct {
	Platform string `cbor:"1,keyasint"`
	Key      []byte `cbor:"2,keyasint"`
}

// Directory is the constellation of one epoch. A literal is a draft: only Verify and VerifyNext make one that Verified says true
// of, and such a one must not be changed.
type Directory struct {
	Epoch         uint64            // strictly increasing from 1
	IssuedUnixNS  int64             // valid from, save for MaxClockSkew
	ExpiresUnixNS int64             // and before this
	Beacons       []Beacon          // ascending by id
	Gates         []identity.Public // that may issue challenges; ascending by id
	Appraisers    []identity.Public // that may sign attestation results; ascending by id
	Quarantine    []Quarantine      // ascending by beacon
	AttestRoots   []AttestRoot      // ascending by platform, then key

	sealed *sealed
}

// sealed is what verification adds: the hash of the signed bytes and the indexes.
type sealed struct {
	hash       [32]byte
	beacons    map[identity.ID]int
	gates      map[identity.ID]int
	appraisers map[identity.ID]int
	quarantine map[identity.ID]int
}

// payload is the canonical form that is signed.
type payload struct {
	Version       uint64            `cbor:"1,keyasint"`
	Suite         uint64            `cbor:"2,keyasint"`
	Epoch         uint64            `cbor:"3,keyasint"`
	IssuedUnixNS  int64             `cbor:"4,keyasint"`
	ExpiresUnixNS int64             `cbor:"5,keyasint"`
	Beacons       []Beacon          `cbor:"6,keyasint"`
	Gates         []identity.Public `cbor:"7,keyasint"`
	Appraisers    []identity.Public `cbor:"8,keyasint"`
	Quarantine    []Quarantine      `cbor:"9,keyasint"`
	AttestRoots   []AttestRoot      `cbor:"10,keyasint"`
}

func (d *Directory) encode() ([]byte, error) {
	return canon.Marshal(payload{Version, identity.Suite, d.Epoch, d.IssuedUnixNS, d.ExpiresUnixNS, d.Beacons, d.Gates,
		d.Appraisers, d.Quarantine, d.AttestRoots})
}

// Sort brings every list of a draft into its canonical order, including the lists inside beacons. It changes nothing else:
// duplicates stay and are refused.
func (d *Directory) Sort() {
	slices.SortFunc(d.Beacons, func(a, b Beacon) int { return a.ID().Compare(b.ID()) })
	for i := range d.Beacons {
		b := &d.Beacons[i]
		slices.Sort(b.Domains)
		slices.SortFunc(b.Attest, compareExpectations)
		for _, e := range b.Attest {
			slices.SortFunc(e.Measurements, slices.Compare)
			slices.SortFunc(e.Machines, compareMachines)
		}
	}
	slices.SortFunc(d.Gates, comparePublic)
	slices.SortFunc(d.Appraisers, comparePublic)
	slices.SortFunc(d.Quarantine, compareQuarantine)
	slices.SortFunc(d.AttestRoots, compareRoots)
}

// Verified says whether d came out of Verify or VerifyNext.
func (d *Directory) Verified() bool { return d != nil && d.sealed != nil }

// Hash identifies a verified directory: a domain-separated SHA-256 of the signed bytes, the signatures excluded. A draft has the
// zero hash, which no verified one has.
func (d *Directory) Hash() [32]byte {
	if !d.Verified() {
		return [32]byte{}
	}
	return d.sealed.hash
}

// Lookup finds a beacon of a verified directory, quarantined or not.
func (d *Directory) Lookup(id identity.ID) (Beacon, bool) {
	if !d.Verified() {
		return Beacon{}, false
	}
	i, ok := d.sealed.beacons[id]
	if !ok {
		return Beacon{}, false
	}
	return d.Beacons[i], true
}

// Gate finds a gate of a verified directory.
func (d *Directory) Gate(id identity.ID) (identity.Public, bool) {
	if !d.Verified() {
		return identity.Public{}, false
	}
	i, ok := d.sealed.gates[id]
	if !ok {
		return identity.Public{}, false
	}
	return d.Gates[i], true
}

// Appraiser finds an appraiser of a verified directory.
func (d *Directory) Appraiser(id identity.ID) (identity.Public, bool) {
	if !d.Verified() {
		return identity.Public{}, false
	}
	i, ok := d.sealed.appraisers[id]
	if !ok {
		return identity.Public{}, false
	}
	return d.Appraisers[i], true
}

// Quarantined says whether and why a beacon of a verified directory is out of service. An unverified directory answers true: it
// vouches for nobody.
func (d *Directory) Quarantined(id identity.ID) (Quarantine, bool) {
	if !d.Verified() {
		return Quarantine{Beacon: id, Reason: "directory not verified"}, true
	}
	i, ok := d.sealed.quarantine[id]
	if !ok {
		return Quarantine{}, false
	}
	return d.Quarantine[i], true
}

// String names the directory for people.
func (d *Directory) String() string {
	if !d.Verified() {
		return "unverified directory"
	}
	return fmt.Sprintf("directory epoch %d (%x), %d beacons", d.Epoch, d.sealed.hash[:4], len(d.Beacons))
}

// seal builds the indexes.
func (d *Directory) seal(data []byte) {
	s := &sealed{hash: identity.Hash("directory", data), beacons: make(map[identity.ID]int, len(d.Beacons)),
		gates: make(map[identity.ID]int), appraisers: make(map[identity.ID]int), quarantine: make(map[identity.ID]int)}
	for i, b := range d.Beacons {
		s.beacons[b.ID()] = i
	}
	for i, g := range d.Gates {
		s.gates[g.ID()] = i
	}
	for i, a := range d.Appraisers {
		s.appraisers[a.ID()] = i
	}
	for i, q := range d.Quarantine {
		s.quarantine[q.Beacon] = i
	}
	d.sealed = s
}
