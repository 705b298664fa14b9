package attest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of a manifest, beside those of its signatures.
var (
	ErrManifest        = errors.New("not a manifest of reference values")
	ErrManifestOrder   = errors.New("platforms and measurements must be in ascending order, each once, at least one")
	ErrManifestTimes   = errors.New("manifest must be issued after 1970 and expire later, by 400 days at most")
	ErrManifestFuture  = errors.New("manifest was issued in the future")
	ErrManifestExpired = errors.New("manifest has expired")
	ErrManifestOld     = errors.New("build is older than the minimum version")
)

// MaxManifestTTL is how long reference values may hold.
const MaxManifestTTL = 400 * 24 * time.Hour

// Manifest holds the reference values of one build: one program, many measurements, as each platform measures it in its own way, and
// TPM machines differ in their firmware.
type Manifest struct {
	Version       uint64                  `cbor:"1,keyasint"`
	Build         string                  `cbor:"2,keyasint"` // for people, such as "ursa 1.4.0"
	Number        uint64                  `cbor:"3,keyasint"` // grows with every release; compared with minimum versions
	Program       [32]byte                `cbor:"4,keyasint"` // SHA-256 of the program, which a stranger can build again
	Accept        []directory.Expectation `cbor:"5,keyasint"` // ascending by platform
	IssuedUnixNS  int64                   `cbor:"6,keyasint"`
	ExpiresUnixNS int64                   `cbor:"7,keyasint"`
}

// Sort brings a draft into canonical order and removes repetitions.
func (m *Manifest) Sort() {
	slices.SortFunc(m.Accept, byPlatform)
	for i := range m.Accept {
		slices.SortFunc(m.Accept[i].Measurements, bytes.Compare)
		m.Accept[i].Measurements = slices.CompactFunc(m.Accept[i].Measurements, bytes.Equal)
	}
}

func byPlatform(a, b directory.Expectation) int {
	return bytes.Compare([]byte(a.Platform), []byte(b.Platform))
}

func (m Manifest) validate() error {
	switch {
	case m.Version != Version:
		return fmt.Errorf("manifest: %w %d, want %d", ErrVersion, m.Version, Version)
	case m.Build == "" || len(m.Build) > 128 || m.Number == 0 || m.Program == [32]byte{}:
		return fmt.Errorf("%w: build, number and program are needed", ErrManifest)
	case m.IssuedUnixNS <= 0 || m.ExpiresUnixNS <= m.IssuedUnixNS || m.ExpiresUnixNS-m.IssuedUnixNS > int64(MaxManifestTTL):
		return ErrManifestTimes
	case len(m.Accept) == 0:
		return ErrManifestOrder
	}
	for i, e := range m.Accept {
		if i > 0 && byPlatform(m.Accept[i-1], e) >= 0 || e.Platform == "" || len(e.Measurements) == 0 {
			return fmt.Errorf("%w: platform %q", ErrManifestOrder, clip(e.Platform))
		}
		for j, x := range e.Measurements {
			if len(x) == 0 || len(x) > 64 || j > 0 && bytes.Compare(e.Measurements[j-1], x) >= 0 {
				return fmt.Errorf("%w: measurement %d of %q", ErrManifestOrder, j, clip(e.Platform))
			}
		}
	}
	return nil
}

// SignManifest checks a draft and signs it with keys of role manifest.
func SignManifest(m Manifest, keys ...*identity.Private) ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	payload, err := canon.Marshal(m)
	if err != nil {
		return nil, err
	}
	return multisigned{Payload: payload}.sign(identity.TypeManifest, keys)
}

// CosignManifest adds signatures to a signed manifest: how j people in j places sign one. It checks its form but nobody else's
// signature.
func CosignManifest(data []byte, keys ...*identity.Private) ([]byte, error) {
	s, err := decodeMultisigned(data)
	if err != nil {
		return nil, err
	}
	if _, err := decodeManifest(s.Payload); err != nil {
		return nil, err
	}
	return s.sign(identity.TypeManifest, keys)
}

func decodeManifest(payload []byte) (Manifest, error) {
	var m Manifest
	if err := canon.Unmarshal(payload, &m, MaxSigned); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, m.validate()
}

// DecodeManifest reads a signed manifest without verifying signatures, for showing. signers are who claims to have signed.
func DecodeManifest(data []byte) (m Manifest, signers []identity.ID, err error) {
	s, err := decodeMultisigned(data)
	if err != nil {
		return Manifest{}, nil, err
	}
	for _, sig := range s.Signatures {
		signers = append(signers, sig.Signer)
	}
	m, err = decodeManifest(s.Payload)
	return m, signers, err
}

// VerifyManifest is the only road from a manifest to reference values. Checks, in this order, each with its own error:
//
//	ErrKeepers          who must sign is sensible
//	ErrSignedForm       size and canonical encoding
//	ErrKeeper           all signers are keepers
//	ErrKeeperSig        all signatures verify
//	ErrTooFewSigned     and are enough
//	ErrManifest, ErrVersion, ErrManifestOrder, ErrManifestTimes  the content follows its rules
//	ErrManifestFuture   issued at most MaxClockSkew in the future
//	ErrManifestExpired  and not expired at now
//	ErrManifestOld      its number reaches the minimum
func VerifyManifest(data []byte, k Keepers, minimum uint64, nowUnixNS int64) (Manifest, error) {
	payload, err := k.open(identity.TypeManifest, data)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(payload)
	if err != nil {
		return Manifest{}, err
	}
	switch {
	case m.IssuedUnixNS-int64(MaxClockSkew) > nowUnixNS:
		return Manifest{}, ErrManifestFuture
	case nowUnixNS >= m.ExpiresUnixNS:
		return Manifest{}, fmt.Errorf("%w: %s ago", ErrManifestExpired, time.Duration(nowUnixNS-m.ExpiresUnixNS))
	case m.Number < minimum:
		return Manifest{}, fmt.Errorf("%w: %d, want %d", ErrManifestOld, m.Number, minimum)
	}
	return m, nil
}

// PolicyOfManifests joins verified manifests into a policy for machines with a configuration (zero: machines that measure none): every build's
// measurements, and for each platform the highest of the minimum security versions, so that an older manifest cannot lower it.
func PolicyOfManifests(configuration [32]byte, manifests ...Manifest) Policy {
	joined := map[string]*directory.Expectation{}
	var order []string
	for _, m := range manifests {
		for _, e := range m.Accept {
			x, ok := joined[e.Platform]
			if !ok {
				x = &directory.Expectation{Platform: e.Platform}
				joined[e.Platform] = x
				order = append(order, e.Platform)
			}
			for _, measurement := range e.Measurements {
				x.Measurements = append(x.Measurements, Configured(measurement, configuration))
			}
			x.MinTCB = highest(Platform(e.Platform), x.MinTCB, e.MinTCB)
		}
	}
	slices.Sort(order)
	var p Policy
	for _, name := range order {
		x := joined[name]
		slices.SortFunc(x.Measurements, bytes.Compare)
		x.Measurements = slices.CompactFunc(x.Measurements, bytes.Equal)
		p.Accept = append(p.Accept, *x)
	}
	return p
}

// highest is the least security version that reaches both.
func highest(platform Platform, a, b uint64) uint64 {
	if !componentwise(platform) {
		return max(a, b)
	}
	var out uint64
	for shift := 0; shift < 64; shift += 8 {
		out |= uint64(max(byte(a>>shift), byte(b>>shift))) << shift
	}
	return out
}
