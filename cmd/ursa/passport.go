package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// simNotice stands wherever the simulated platform is used.
const simNotice = "NOTE: platform sim is simulated. It proves nothing about hardware: whoever has the sim folder can attest any key."

// simDescription is the only file of a simulated platform's folder.
const simDescription = "sim.json"

// simMeasurement stands for the build that everybody on the simulated platform pretends to run.
func simMeasurement() []byte {
	m := identity.Hash("simulated measurement", []byte("ursa"))
	return m[:]
}

// simMachine names the machine on which a key pretends to live; a core's chip is enrolled under it.
func simMachine(id identity.ID) [32]byte { return identity.Hash("simulated machine", id[:]) }

// simExpectation is what a directory entry or a policy expects of evidence of the simulated platform.
func simExpectation() directory.Expectation {
	return directory.Expectation{Platform: string(attest.Sim), Measurements: [][]byte{simMeasurement()}, MinTCB: 1}
}

// simPlatform is a pretended manufacturer and a real appraiser in one.
type simPlatform struct {
	root      *identity.Private
	appraiser *attest.Appraiser
}

// simFile is the whole platform: for which constellation its appraiser works, and the seeds of its keys. They protect nothing, so they
// are not encrypted.
type simFile struct {
	Note          string    `json:"note"`
	Constellation string    `json:"constellation"`
	RootSeed      hexString `json:"root_seed"`
	AppraiserSeed hexString `json:"appraiser_seed"`
}

func (f simFile) keys() (root, appraiser *identity.Private, err error) {
	if len(f.RootSeed) != identity.SeedSize || len(f.AppraiserSeed) != identity.SeedSize {
		return nil, nil, fmt.Errorf("a seed has %d bytes", identity.SeedSize)
	}
	if root, err = identity.FromSeed(identity.RoleSimRoot, [identity.SeedSize]byte(f.RootSeed)); err != nil {
		return nil, nil, err
	}
	appraiser, err = identity.FromSeed(identity.RoleAppraiser, [identity.SeedSize]byte(f.AppraiserSeed))
	return root, appraiser, err
}

// newSim makes the folder and returns the public keys that a directory lists.
func newSim(dir, constellation string) (root, appraiser publicFile, err error) {
	if err := newHome(dir); err != nil {
		return root, appraiser, err
	}
	f := simFile{Note: simNotice, Constellation: constellation, RootSeed: make([]byte, identity.SeedSize), AppraiserSeed: make([]byte, identity.SeedSize)}
	for _, seed := range []hexString{f.RootSeed, f.AppraiserSeed} {
		if _, err := rand.Read(seed); err != nil {
			return root, appraiser, err
		}
	}
	r, a, err := f.keys()
	if err != nil {
		return root, appraiser, err
	}
	return publicOf(r), publicOf(a), writeJSON(filepath.Join(dir, simDescription), f, 0o600)
}

// openSim reads the folder.
func openSim(dir string) (*simPlatform, error) {
	var f simFile
	path := filepath.Join(dir, simDescription)
	err := readJSON(path, "a simulated platform", &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no simulated platform: 'ursa directory init DIR' makes one in DIR/sim", dir)
	}
	if err != nil {
		return nil, err
	}
	root, key, err := f.keys()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	verifier, err := attest.NewSimVerifier(root.Public())
	if err != nil {
		return nil, err
	}
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: key, Policy: attest.Policy{Accept: []directory.Expectation{simExpectation()}},
		Audience: f.Constellation, Verifiers: []attest.Verifier{verifier}})
	return &simPlatform{root: root, appraiser: a}, err
}

// admit makes evidence about a key and appraises it in one go.
func (s *simPlatform) admit(ctx context.Context, id identity.ID, timed identity.TimedKeyID, now time.Time) ([]byte, error) {
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	m := attest.SimMachine{Root: s.root, Measurement: simMeasurement(), TCB: 1, Machine: simMachine(id), NowUnixNS: now.UnixNano}
	evidence, err := attest.Collect(ctx, m, attest.Binding{Subject: id, TimedKey: timed, Nonce: nonce})
	if err != nil {
		return nil, err
	}
	return s.appraiser.Appraise(evidence, attest.Want{Subject: id, Nonce: nonce, NowUnixNS: now.UnixNano()})
}

// passportFlags say where a beacon or core has its attestation result from.
type passportFlags struct {
	file, simDir string
	machine      machineFlags
}

func (p *passportFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "attest-result", "", "`FILE` with the appraiser's result about this key; read again whenever half of its life is over")
	cmd.Flags().StringVar(&p.simDir, "sim-dir", "", "attest on the simulated platform of `DIR`, again and again; proves nothing about hardware")
	p.machine.register(cmd)
}

// passport is an attestation result that is kept fresh: a result lives at most an hour.
type passport struct {
	id      identity.ID
	timed   identity.TimedKeyID // of a core: results have to name it; zero for beacons
	file    string
	sim     *simPlatform
	machine *ownMachine // nil: somebody else collects

	mu     sync.Mutex // guards what follows
	bytes  []byte
	result attest.Result
	stale  bool  // a new one is wanted before half of its life is over
	last   error // of the latest attempt to renew
}

// The refusals of a passport.
var (
	errPassportSubject = errors.New("attestation result is about another key")
	errPassportTimed   = errors.New("attestation result is about another start of this core: its timed key is another")
	errPassportExpired = errors.New("attestation result has expired: ask the appraiser for a new one")
)

func (p *passportFlags) check() error {
	if p.machine.platform != "" {
		if p.simDir != "" || (p.machine.service == "") == (p.file == "") {
			return usagef("--attest %s: say --service HOST:PORT with --appraiser FILE, or --attest-result FILE where results are carried by hand", p.machine.platform)
		}
		return p.machine.check()
	}
	if (p.file == "") == (p.simDir == "") {
		return usagef("give --attest PLATFORM, --attest-result FILE or --sim-dir DIR: without attestation nobody believes this key")
	}
	return nil
}

// open is for keys without a machine of their own: results come from a file, or from the simulated platform. The passport is there also
// when awaited says that its first result has still to come.
func (p *passportFlags) open(ctx context.Context, id identity.ID, timed identity.TimedKeyID) (*passport, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.machine.platform != "" {
		return nil, usagef("--attest %s cannot be used here: use --attest-result FILE", p.machine.platform)
	}
	return p.begin(ctx, &passport{id: id, timed: timed, file: p.file})
}

// openBeacon measures a beacon's program, clock source and configured position, if this machine attests.
func (p *passportFlags) openBeacon(ctx context.Context, dir string, key *identity.Private) (*passport, error) {
	out := &passport{id: key.ID(), file: p.file}
	if err := p.openMachine(ctx, dir, key, out, beaconConfiguration); err != nil {
		return nil, err
	}
	return p.begin(ctx, out)
}

// timedKeyName is the file in a core's folder that names the timed key of the running process, for those who carry results by hand.
const timedKeyName = "timed-key"

// openCore measures the program of a core, if this machine attests. Results have to name the timed key, which was drawn just now: one that
// is carried by hand is waited for, and tell says so.
func (p *passportFlags) openCore(ctx context.Context, dir string, key *identity.Private, timed identity.TimedKeyID, tell func(string)) (*passport, error) {
	if err := writeWhole(filepath.Join(dir, timedKeyName), []byte(timed.String()+"\n"), 0o644); err != nil {
		return nil, err
	}
	out := &passport{id: key.ID(), timed: timed, file: p.file}
	if err := p.openMachine(ctx, dir, key, out, nil); err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		_, err := p.begin(ctx, out)
		if !out.awaited(err) {
			return out, err
		}
		if first {
			tell(fmt.Sprintf("waiting for a result about timed key %s in %s: 'ursa attest collect --timed-key' makes the evidence", timed, p.file))
		}
		select {
		case <-ctx.Done():
			out.close()
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// openMachine opens and measures this machine, if it attests; configuration, where there is one, reads what is measured beside the program.
func (p *passportFlags) openMachine(ctx context.Context, dir string, key *identity.Private, out *passport,
	configuration func(dir string) (*attest.Configuration, error)) (err error) {
	if err := p.check(); err != nil || p.machine.platform == "" {
		return err
	}
	var c *attest.Configuration
	if configuration != nil {
		if c, err = configuration(dir); err != nil {
			return err
		}
	}
	out.machine, err = p.machine.open(ctx, dir, key, out.timed, c)
	return err
}

// begin fetches the first result.
func (p *passportFlags) begin(ctx context.Context, out *passport) (*passport, error) {
	if p.simDir != "" {
		var err error
		if out.sim, err = openSim(p.simDir); err != nil {
			return nil, err
		}
	}
	_, _, err := out.current(ctx, time.Now())
	return out, err
}

// awaited says whether an error means that a result which people carry by hand has still to come: it is about the timed key that this
// process drew a moment ago.
func (p *passport) awaited(err error) bool {
	return p != nil && p.file != "" && (errors.Is(err, errPassportTimed) || !p.timed.IsZero() && errors.Is(err, fs.ErrNotExist))
}

// close closes the way to the machine's TPM.
func (p *passport) close() {
	if p.machine != nil {
		p.machine.close()
	}
}

// evidence makes evidence for those who look before they rely; nil: there is none to show.
func (p *passport) evidence() func(ctx context.Context, nonce [32]byte) ([]byte, error) {
	if p.machine == nil {
		return nil
	}
	return func(ctx context.Context, nonce [32]byte) ([]byte, error) {
		return attest.Collect(ctx, p.machine, attest.Binding{Subject: p.id, TimedKey: p.timed, Nonce: nonce})
	}
}

// clockAttested says that evidence covers the source of time.
func (p *passport) clockAttested() bool { return p.machine != nil && p.machine.configured }

// current returns the encoded result and what it says. Once half of its life is over a new one is fetched; if there is none, the old
// one does as long as it lasts.
func (p *passport) current(ctx context.Context, now time.Time) ([]byte, attest.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes != nil && !p.stale && now.Before(halfLife(p.result)) {
		return p.bytes, p.result, nil
	}
	b, r, err := p.fetch(ctx, now)
	p.last = err
	switch {
	case err == nil:
		p.bytes, p.result, p.stale = b, r, false
	case p.bytes == nil || now.UnixNano() >= p.result.ExpiresUnixNS:
		return nil, attest.Result{}, err
	}
	return p.bytes, p.result, nil
}

// trouble is why the result in use could not be renewed, if it could not.
func (p *passport) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// forget makes the next call fetch a new result.
func (p *passport) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = true
}

// halfLife is when a result should be replaced.
func halfLife(r attest.Result) time.Time {
	return time.Unix(0, r.IssuedUnixNS+(r.ExpiresUnixNS-r.IssuedUnixNS)/2)
}

func (p *passport) fetch(ctx context.Context, now time.Time) (b []byte, r attest.Result, err error) {
	switch {
	case p.sim != nil:
		b, err = p.sim.admit(ctx, p.id, p.timed, now)
	case p.file != "":
		b, err = readLimited(p.file, attest.MaxResultSize)
	default:
		b, err = p.machine.appraised(ctx)
	}
	if err != nil {
		return nil, r, err
	}
	r, _, err = attest.DecodeResult(b)
	switch {
	case err != nil:
		return nil, r, err
	case r.Subject != p.id:
		return nil, r, fmt.Errorf("%w: %s, this one is %s", errPassportSubject, r.Subject.Short(), p.id.Short())
	case r.TimedKey != p.timed && !p.timed.IsZero():
		return nil, r, errPassportTimed
	case now.UnixNano() >= r.ExpiresUnixNS:
		return nil, r, fmt.Errorf("%w (%s ago)", errPassportExpired, time.Duration(now.UnixNano()-r.ExpiresUnixNS).Round(time.Second))
	}
	return b, r, nil
}
