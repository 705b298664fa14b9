package directory

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Limits of a directory.
const (
	MaxBeacons      = 16384
	MaxDomains      = 16      // of one beacon
	MaxName         = 128     // bytes of a place, domain, address, platform or reason
	MaxPosUncMM     = 1e9     // 1,000 km: beyond that it is no survey
	MaxMeasurements = 256     // of one expectation
	MaxBlob         = 1 << 14 // bytes of a measurement or attestation root
)

// The rules that a directory can break, beside those of signatures and time.
var (
	ErrEpoch             = errors.New("directory epoch must be at least 1")
	ErrLifetime          = errors.New("directory must be issued after 1970 and expire after that")
	ErrNoBeacons         = errors.New("directory lists no beacon")
	ErrTooMany           = errors.New("directory list is too long")
	ErrOrder             = errors.New("directory list is not in canonical order")
	ErrDuplicateBeacon   = errors.New("beacon is listed twice")
	ErrDuplicateAddress  = errors.New("address is listed twice")
	ErrDuplicateEntry    = errors.New("entry is listed twice")
	ErrKeyRole           = errors.New("key has the wrong role")
	ErrPosition          = errors.New("beacon position is off the Earth's shell")
	ErrNoUncertainty     = errors.New("beacon position has no uncertainty")
	ErrUncertainty       = errors.New("beacon position is too uncertain")
	ErrNoDomain          = errors.New("beacon has no domain")
	ErrName              = errors.New("name is empty, too long or not printable")
	ErrAddress           = errors.New("address is not host:port")
	ErrBeaconLifetime    = errors.New("beacon entry must begin after 1970 and expire after that")
	ErrExpectation       = errors.New("attestation expectation is empty or too large")
	ErrUnknownQuarantine = errors.New("quarantine names a beacon that is not listed")
	ErrAttestRoot        = errors.New("attestation root is empty or too large")
)

// validate checks everything that needs neither keys nor clock. It returns the first breach, with the entry's place.
func (d *Directory) validate() error {
	if d.Epoch == 0 {
		return ErrEpoch
	}
	if d.IssuedUnixNS <= 0 || d.ExpiresUnixNS <= d.IssuedUnixNS {
		return ErrLifetime
	}
	if len(d.Beacons) == 0 {
		return ErrNoBeacons
	}
	for _, n := range []int{len(d.Beacons), len(d.Gates), len(d.Appraisers), len(d.Quarantine), len(d.AttestRoots)} {
		if n > MaxBeacons {
			return fmt.Errorf("%w: %d entries, at most %d", ErrTooMany, n, MaxBeacons)
		}
	}
	checks := []func() error{d.validateBeacons, d.validateKeys, d.validateQuarantine, d.validateRoots}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) validateBeacons() error {
	byID := func(a, b Beacon) int { return a.ID().Compare(b.ID()) }
	if err := ascending(d.Beacons, byID, ErrDuplicateBeacon); err != nil {
		return fmt.Errorf("beacons: %w", err)
	}
	addresses := make(map[string]bool, len(d.Beacons))
	for i, b := range d.Beacons {
		if err := b.validate(); err != nil {
			return fmt.Errorf("beacon %d (%s, %q): %w", i, b.ID().Short(), b.Place, err)
		}
		if addresses[b.Address] {
			return fmt.Errorf("beacon %d (%q): %w: %s", i, b.Place, ErrDuplicateAddress, b.Address)
		}
		addresses[b.Address] = true
	}
	return nil
}

func (b Beacon) validate() error {
	if b.Key.Role() != identity.RoleBeacon {
		return fmt.Errorf("%w: %q, want %q", ErrKeyRole, b.Key.Role(), identity.RoleBeacon)
	}
	if err := printable(b.Place); err != nil {
		return fmt.Errorf("place: %w", err)
	}
	if err := checkSurvey(b.Position, b.PosUncMM); err != nil {
		return err
	}
	if err := CheckDomains(b.Domains); err != nil {
		return err
	}
	if err := checkAddress(b.Address); err != nil {
		return err
	}
	if b.NotBeforeUnixNS <= 0 || b.ExpiresUnixNS <= b.NotBeforeUnixNS {
		return ErrBeaconLifetime
	}
	return checkExpectations(b.Attest)
}

// maxCoordinateMM is beyond every place on the shell; larger numbers are refused before they are converted.
const maxCoordinateMM = 6_500_000_000

func checkSurvey(mm [3]int64, uncMM uint64) error {
	for _, c := range mm {
		if c > maxCoordinateMM || c < -maxCoordinateMM {
			return fmt.Errorf("%w: %d mm", ErrPosition, c)
		}
	}
	if err := earth.FromMillimetres(mm).Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrPosition, err)
	}
	if uncMM == 0 {
		return ErrNoUncertainty
	}
	if uncMM > MaxPosUncMM {
		return fmt.Errorf("%w: %d mm", ErrUncertainty, uncMM)
	}
	return nil
}

// CheckDomains refuses an empty list of domains, one that is too long, unprintable words, and another than the ascending order
// without repetition.
func CheckDomains(domains []string) error {
	if len(domains) == 0 {
		return ErrNoDomain
	}
	if len(domains) > MaxDomains {
		return fmt.Errorf("%w: %d domains, at most %d", ErrTooMany, len(domains), MaxDomains)
	}
	for _, name := range domains {
		if err := word(name); err != nil {
			return fmt.Errorf("domain: %w", err)
		}
	}
	if err := ascending(domains, strings.Compare, ErrDuplicateEntry); err != nil {
		return fmt.Errorf("domains: %w", err)
	}
	return nil
}

// checkAddress wants host:port, an IPv6 address in brackets.
func checkAddress(address string) error {
	colon := max(strings.LastIndexByte(address, ':'), 0)
	host, port := address[:colon], strings.TrimPrefix(address[colon:], ":")
	if strings.Contains(host, ":") {
		inside, ok := strings.CutPrefix(host, "[")
		inside, closed := strings.CutSuffix(inside, "]")
		if _, err := netip.ParseAddr(inside); !ok || !closed || err != nil {
			return fmt.Errorf("%w: %q is no host, or an IPv6 address without brackets", ErrAddress, clip(address))
		}
	}
	if word(host) != nil || len(address) > MaxName {
		return fmt.Errorf("%w: %q", ErrAddress, clip(address))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%w: %q has no port from 1 to 65535", ErrAddress, clip(address))
	}
	return nil
}

func checkExpectations(list []Expectation) error {
	if len(list) == 0 || len(list) > MaxDomains {
		return fmt.Errorf("%w: %d platforms", ErrExpectation, len(list))
	}
	for _, e := range list {
		if err := word(e.Platform); err != nil {
			return fmt.Errorf("platform: %w", err)
		}
		if len(e.Measurements) == 0 || len(e.Measurements) > MaxMeasurements {
			return fmt.Errorf("%w: %d measurements for %s", ErrExpectation, len(e.Measurements), e.Platform)
		}
		for _, m := range e.Measurements {
			if len(m) == 0 || len(m) > MaxBlob {
				return fmt.Errorf("%w: measurement of %d bytes for %s", ErrExpectation, len(m), e.Platform)
			}
		}
		if err := ascending(e.Measurements, bytes.Compare, ErrDuplicateEntry); err != nil {
			return fmt.Errorf("measurements: %w", err)
		}
		if len(e.Machines) > MaxMeasurements {
			return fmt.Errorf("%w: %d machines for %s", ErrExpectation, len(e.Machines), e.Platform)
		}
		if err := ascending(e.Machines, compareMachines, ErrDuplicateEntry); err != nil {
			return fmt.Errorf("machines: %w", err)
		}
	}
	if err := ascending(list, compareExpectations, ErrDuplicateEntry); err != nil {
		return fmt.Errorf("expectations: %w", err)
	}
	return nil
}

func (d *Directory) validateKeys() error {
	for _, list := range []struct {
		name string
		role identity.Role
		keys []identity.Public
	}{{"gates", identity.RoleGate, d.Gates}, {"appraisers", identity.RoleAppraiser, d.Appraisers}} {
		for _, k := range list.keys {
			if k.Role() != list.role {
				return fmt.Errorf("%s: %w: %q", list.name, ErrKeyRole, k.Role())
			}
		}
		if err := ascending(list.keys, comparePublic, ErrDuplicateEntry); err != nil {
			return fmt.Errorf("%s: %w", list.name, err)
		}
	}
	return nil
}

func (d *Directory) validateQuarantine() error {
	for _, q := range d.Quarantine {
		if err := printable(q.Reason); err != nil {
			return fmt.Errorf("quarantine of %s: %w", q.Beacon.Short(), err)
		}
		if _, ok := slices.BinarySearchFunc(d.Beacons, q.Beacon, func(b Beacon, id identity.ID) int {
			return b.ID().Compare(id)
		}); !ok {
			return fmt.Errorf("%w: %s", ErrUnknownQuarantine, q.Beacon.Short())
		}
	}
	if err := ascending(d.Quarantine, compareQuarantine, ErrDuplicateEntry); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	return nil
}

func (d *Directory) validateRoots() error {
	for _, r := range d.AttestRoots {
		if err := word(r.Platform); err != nil {
			return fmt.Errorf("attestation root: %w", err)
		}
		if len(r.Key) == 0 || len(r.Key) > MaxBlob {
			return fmt.Errorf("%w: %d bytes for %s", ErrAttestRoot, len(r.Key), r.Platform)
		}
	}
	if err := ascending(d.AttestRoots, compareRoots, ErrDuplicateEntry); err != nil {
		return fmt.Errorf("attestation roots: %w", err)
	}
	return nil
}

// ascending demands a strictly ascending list: ErrOrder, or the given error for two equal neighbours.
func ascending[T any](list []T, compare func(a, b T) int, duplicate error) error {
	for i := 1; i < len(list); i++ {
		switch c := compare(list[i-1], list[i]); {
		case c == 0:
			return fmt.Errorf("%w (entries %d and %d)", duplicate, i-1, i)
		case c > 0:
			return fmt.Errorf("%w (entry %d)", ErrOrder, i)
		}
	}
	return nil
}

func comparePublic(a, b identity.Public) int { return a.ID().Compare(b.ID()) }
func compareMachines(a, b [32]byte) int      { return bytes.Compare(a[:], b[:]) }

func compareExpectations(a, b Expectation) int { return strings.Compare(a.Platform, b.Platform) }
func compareQuarantine(a, b Quarantine) int    { return a.Beacon.Compare(b.Beacon) }
func compareRoots(a, b AttestRoot) int {
	return cmp.Or(strings.Compare(a.Platform, b.Platform), bytes.Compare(a.Key, b.Key))
}

// printable refuses text that cannot be shown in one line.
func printable(s string) error {
	if s == "" || len(s) > MaxName || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%w: %q", ErrName, clip(s))
	}
	return nil
}

// word refuses text that is more than one word of ASCII.
func word(s string) error {
	if s == "" || len(s) > MaxName || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%w: %q", ErrName, clip(s))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
