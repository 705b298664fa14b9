package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const draftName = "draft.json"

// draft is the constellation as people edit it; its epoch is the last one that was signed.
type draft struct {
	Epoch       uint64            `json:"epoch"`
	Beacons     []beaconFile      `json:"beacons"`
	Gates       []publicFile      `json:"gates"`
	Appraisers  []publicFile      `json:"appraisers"`
	AttestRoots []publicFile      `json:"attest_roots_sim"`
	Makers      []makerFile       `json:"makers,omitempty"`
	Quarantine  []draftQuarantine `json:"quarantine,omitempty"`
}

// draftQuarantine takes a beacon out of service without forgetting it.
type draftQuarantine struct {
	Beacon identity.ID `json:"beacon"`
	Since  time.Time   `json:"since"`
	Reason string      `json:"reason"`
}

// beaconFile is what a host publishes of a beacon: beacon.json.
type beaconFile struct {
	publicFile
	Place   string        `json:"place"`
	Lat     float64       `json:"lat"`
	Lon     float64       `json:"lon"`
	HeightM float64       `json:"height_m"`  // above the ellipsoid
	PosUncM float64       `json:"pos_unc_m"` // of the survey
	Domains []string      `json:"domains"`
	Address string        `json:"address"`
	Attest  []attestation `json:"attest"`
	// ClockSource is the kernel's name of the clock by which it times, as its evidence says; empty where evidence does not cover it.
	ClockSource string `json:"clock_source,omitempty"`
}

// attestation is what evidence of a platform must look like.
type attestation struct {
	Platform     string        `json:"platform"`
	Measurements []hexString   `json:"measurements"`
	MinTCB       uint64        `json:"min_tcb"`
	Machines     []machineName `json:"machines,omitempty"` // that it may come from; none: any
}

func readDraft(dir string) (*draft, error) {
	d := &draft{}
	err := readJSON(filepath.Join(dir, draftName), "a draft", d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no constellation: 'ursa directory init %s' makes one", dir, dir)
	}
	return d, err
}

func (d *draft) save(dir string) error { return writeJSON(filepath.Join(dir, draftName), d, 0o600) }

// add puts a public file in, in place of an entry of the same key, and tells what it was.
func (d *draft) add(path string) (line string, err error) {
	p, err := readPublic(path, identity.RoleBeacon, identity.RoleGate, identity.RoleAppraiser)
	if err != nil {
		return "", err
	}
	if p.Role == identity.RoleAppraiser {
		return d.addAppraiser(p), nil
	}
	if p.Role == identity.RoleGate {
		d.Gates = put(d.Gates, p, func(q publicFile) identity.ID { return q.ID })
		return "gate    " + p.ID.String(), nil
	}
	var b beaconFile
	if err := readJSON(path, "a beacon's public file", &b); err != nil {
		return "", err
	}
	if _, err := b.entry(time.Now(), time.Now().Add(time.Hour)); err != nil && !errors.Is(err, errNoExpectation) {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	d.Beacons = put(d.Beacons, b, func(q beaconFile) identity.ID { return q.ID })
	return fmt.Sprintf("beacon  %s  %s at %s", b.ID, b.Place, b.at()), nil
}

// put replaces the entry of the same id or appends.
func put[T any](list []T, entry T, id func(T) identity.ID) []T {
	if i := slices.IndexFunc(list, func(e T) bool { return id(e) == id(entry) }); i >= 0 {
		list[i] = entry
		return list
	}
	return append(list, entry)
}

func (b beaconFile) at() earth.LatLon { return earth.LatLon{Lat: b.Lat, Lon: b.Lon} }

// entry turns the file into a directory entry and checks it against all rules of a directory.
func (b beaconFile) entry(from, to time.Time) (directory.Beacon, error) {
	if err := b.at().Validate(); err != nil {
		return directory.Beacon{}, err
	}
	if !(b.PosUncM > 0) || b.PosUncM > directory.MaxPosUncMM/1000 {
		return directory.Beacon{}, fmt.Errorf("uncertainty of the position is %v m: no survey is exact, say one above 0", b.PosUncM)
	}
	e := directory.Beacon{Key: b.Key, Place: b.Place, Position: b.at().ECEF(earth.Metres(b.HeightM)).Millimetres(),
		PosUncMM: uint64(math.Ceil(b.PosUncM * 1000)), Domains: slices.Clone(b.Domains), Address: b.Address,
		NotBeforeUnixNS: from.UnixNano(), ExpiresUnixNS: to.UnixNano()}
	for _, a := range b.Attest {
		e.Attest = append(e.Attest, a.expectation())
	}
	if b.Attest == nil && b.ClockSource != "" {
		return directory.Beacon{}, fmt.Errorf("%w: 'ursa directory expect' computes it from manifests", errNoExpectation)
	}
	alone := directory.Directory{Epoch: 1, IssuedUnixNS: from.UnixNano(), ExpiresUnixNS: to.UnixNano(), Beacons: []directory.Beacon{e}}
	alone.Sort()
	if _, err := directory.Sign(&alone); err != nil {
		return directory.Beacon{}, err
	}
	return alone.Beacons[0], nil
}

func (a attestation) expectation() directory.Expectation {
	e := directory.Expectation{Platform: a.Platform, MinTCB: a.MinTCB}
	for _, m := range a.Measurements {
		e.Measurements = append(e.Measurements, m)
	}
	for _, m := range a.Machines {
		e.Machines = append(e.Machines, m)
	}
	return e
}

// directory makes the next epoch of the draft.
func (d *draft) directory(now time.Time, valid time.Duration) (*directory.Directory, error) {
	out := &directory.Directory{Epoch: d.Epoch + 1, IssuedUnixNS: now.UnixNano(), ExpiresUnixNS: now.Add(valid).UnixNano()}
	from := now.Add(-directory.MaxClockSkew) // beacons whose clocks are a little behind are listed at once
	for _, b := range d.Beacons {
		if err := b.check("beacon "+b.Place, identity.RoleBeacon); err != nil {
			return nil, err
		}
		e, err := b.entry(from, now.Add(valid))
		if err != nil {
			return nil, fmt.Errorf("beacon %s: %w", b.Place, err)
		}
		out.Beacons = append(out.Beacons, e)
	}
	for _, g := range d.Gates {
		out.Gates = append(out.Gates, g.Key)
	}
	for _, a := range d.Appraisers {
		out.Appraisers = append(out.Appraisers, a.Key)
	}
	for _, r := range d.AttestRoots {
		key, err := r.Key.MarshalBinary()
		if err != nil {
			return nil, err
		}
		out.AttestRoots = append(out.AttestRoots, directory.AttestRoot{Platform: string(attest.Sim), Key: key})
	}
	for _, m := range d.Makers {
		out.AttestRoots = append(out.AttestRoots, directory.AttestRoot{Platform: m.Platform, Key: m.Certificate})
	}
	for _, q := range d.Quarantine {
		out.Quarantine = append(out.Quarantine, directory.Quarantine{Beacon: q.Beacon, SinceUnixNS: q.Since.UnixNano(), Reason: q.Reason})
	}
	out.Sort()
	return out, nil
}

// signing is one call of `ursa directory sign`.
type signing struct {
	pass   keyFlags
	dir    string
	keys   []string
	valid  time.Duration
	cosign bool
}

func (s *signing) run(cmd *cobra.Command, protect identity.Protector) error {
	d, err := readDraft(s.dir)
	if err != nil {
		return err
	}
	t, err := readTrust(filepath.Join(s.dir, trustName))
	if err != nil {
		return err
	}
	keys, err := s.load(protect)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, directoryName)
	var signed []byte
	if s.cosign {
		signed, err = s.add(path, keys)
	} else {
		signed, err = s.next(d, keys)
	}
	if err != nil {
		return err
	}
	content, signers, err := directory.Decode(signed)
	if err != nil {
		return err
	}
	if !s.cosign { // the epoch is used up before anybody can see it
		d.Epoch = content.Epoch
		if err := d.save(s.dir); err != nil {
			return err
		}
	}
	if err := writeWhole(path, signed, 0o644); err != nil {
		return err
	}
	if missing := t.Threshold - len(signers); missing > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d more signatures are needed: ursa directory sign --cosign\n", missing)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed  epoch %d, %d beacons, %d gates, %d of %d signatures, valid until %s\nfile    %s\n",
		content.Epoch, len(content.Beacons), len(content.Gates), len(signers), t.Threshold, utc(content.ExpiresUnixNS), path)
	return err
}

func (s *signing) next(d *draft, keys []*identity.Private) ([]byte, error) {
	content, err := d.directory(time.Now(), s.valid)
	if err != nil {
		return nil, err
	}
	signed, err := directory.Sign(content, keys...)
	if errors.Is(err, directory.ErrNoBeacons) {
		return nil, fmt.Errorf("the draft lists no beacon: 'ursa directory add %s beacon.json' puts one in", s.dir)
	}
	return signed, err
}

func (s *signing) add(path string, keys []*identity.Private) ([]byte, error) {
	data, err := readLimited(path, directory.MaxSize)
	if err != nil {
		return nil, err
	}
	return directory.AddSignatures(data, keys...)
}

// load opens the signing keys.
func (s *signing) load(protect identity.Protector) ([]*identity.Private, error) {
	paths := s.keys
	if len(paths) == 0 {
		var err error
		if paths, err = filepath.Glob(filepath.Join(s.dir, "directory-*.key")); err != nil {
			return nil, err
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s holds no signing key: name one with --key FILE", s.dir)
	}
	var keys []*identity.Private
	for _, path := range paths {
		k, err := identity.LoadKey(path, protect)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// directoryListing is a directory for people and programs.
type directoryListing struct {
	Epoch      uint64            `json:"epoch"`
	Signed     bool              `json:"signed"` // false: a draft
	Signers    []identity.ID     `json:"signers"`
	IssuedAt   string            `json:"issued_at,omitempty"`
	ExpiresAt  string            `json:"expires_at,omitempty"`
	Beacons    []listedBeacon    `json:"beacons"`
	Gates      []identity.ID     `json:"gates"`
	Appraisers []identity.ID     `json:"appraisers"`
	Sim        bool              `json:"simulated_platform"` // whether it counts
	Quarantine map[string]string `json:"quarantine"`         // reason by beacon
}

type listedBeacon struct {
	ID      identity.ID `json:"id"`
	Place   string      `json:"place"`
	Lat     float64     `json:"lat"`
	Lon     float64     `json:"lon"`
	HeightM float64     `json:"height_m"`
	PosUncM float64     `json:"pos_unc_m"`
	Domains []string    `json:"domains"`
	Address string      `json:"address"`
}

// directoryListingAt reads a signed directory, or the draft of a folder.
func directoryListingAt(path string) (directoryListing, error) {
	info, err := os.Stat(path)
	if err != nil {
		return directoryListing{}, err
	}
	if info.IsDir() {
		d, err := readDraft(path)
		if err != nil {
			return directoryListing{}, err
		}
		content, err := d.directory(time.Now(), time.Hour)
		if err != nil {
			return directoryListing{}, err
		}
		l := directoryListingOf(content, nil)
		l.Epoch, l.Signed, l.IssuedAt, l.ExpiresAt = d.Epoch, false, "", ""
		return l, nil
	}
	data, err := readLimited(path, directory.MaxSize)
	if err != nil {
		return directoryListing{}, err
	}
	content, signers, err := directory.Decode(data)
	if err != nil {
		return directoryListing{}, fmt.Errorf("%s: %w", path, err)
	}
	return directoryListingOf(content, signers), nil
}

func directoryListingOf(d *directory.Directory, signers []identity.ID) directoryListing {
	l := directoryListing{Epoch: d.Epoch, Signed: true, Signers: append([]identity.ID{}, signers...), IssuedAt: utc(d.IssuedUnixNS), ExpiresAt: utc(d.ExpiresUnixNS),
		Beacons: []listedBeacon{}, Gates: []identity.ID{}, Appraisers: []identity.ID{}, Quarantine: map[string]string{}}
	for _, b := range d.Beacons {
		at, height := b.ECEF().LatLon()
		round := func(v, to float64) float64 { return math.Round(v*to) / to }
		l.Beacons = append(l.Beacons, listedBeacon{ID: b.ID(), Place: b.Place, Lat: round(at.Lat, 1e6), Lon: round(at.Lon, 1e6),
			HeightM: round(float64(height), 10), PosUncM: float64(b.PosUnc()), Domains: b.Domains, Address: b.Address})
	}
	for _, g := range d.Gates {
		l.Gates = append(l.Gates, g.ID())
	}
	for _, a := range d.Appraisers {
		l.Appraisers = append(l.Appraisers, a.ID())
	}
	for _, r := range d.AttestRoots {
		l.Sim = l.Sim || r.Platform == string(attest.Sim)
	}
	for _, q := range d.Quarantine {
		l.Quarantine[q.Beacon.String()] = q.Reason
	}
	return l
}

// print draws the table.
func (l directoryListing) print(out io.Writer) error {
	if l.Signed {
		fmt.Fprintf(out, "epoch %d, valid %s to %s, %d signatures (not checked here)\n", l.Epoch, l.IssuedAt, l.ExpiresAt, len(l.Signers))
	} else {
		fmt.Fprintf(out, "draft; the last signed epoch is %d\n", l.Epoch)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "BEACON\tPLACE\tPOSITION\tHEIGHT\tUNCERTAINTY\tADDRESS\tDOMAINS")
	for _, b := range l.Beacons {
		place := b.Place
		if why, out := l.Quarantine[b.ID.String()]; out {
			place += " (quarantined: " + why + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%.4f,%.4f\t%.0f m\t%s\t%s\t%s\n", b.ID.Short(), place, b.Lat, b.Lon, b.HeightM, earth.Metres(b.PosUncM), b.Address, strings.Join(b.Domains, " "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "gates: %s; appraisers: %s\n", shorts(l.Gates), shorts(l.Appraisers))
	if l.Sim {
		fmt.Fprintln(out, simNotice)
	}
	return nil
}

func shorts(ids []identity.ID) string {
	if len(ids) == 0 {
		return "none"
	}
	var out []string
	for _, id := range ids {
		out = append(out, id.Short())
	}
	return strings.Join(out, " ")
}
