package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// scene is a gate with a ledger and the evidence of what it decided.
type scene struct {
	*granttest.Scene
	t     testing.TB
	dir   string
	key   *ledger.Key
	log   *ledger.Log
	files []monitor.Opened
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{Scene: granttest.New(t), t: t, dir: t.TempDir()}
	var err error
	if s.key, err = ledger.NewKey("monitor.test/gate"); err != nil {
		t.Fatal(err)
	}
	s.log, err = ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: s.dir, Key: s.key, Source: ledger.FromStore(s.Store)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.log.Close() })
	return s
}

func (s *scene) trust() evidence.Trust {
	return evidence.Trust{Roots: []identity.Public{s.Roots[0].Public()}, Threshold: 1}
}

// decide goes the road once, keeps the evidence, and uses up what it got unless
// it is to be kept.
func (s *scene) decide(c *granttest.Core, want lock.Units, keep bool) grant.Decision {
	s.t.Helper()
	proof, hash := s.Prove(c, s.Ask(c))
	r := s.Request(c, proof, want)
	d, err := s.Gate.Grant(context.Background(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	if d.Granted {
		_, f, err := keys.Open(d.Lease, s.GateKey.Public(), c.Key.ID(), c.Timed)
		if err != nil {
			s.t.Fatal(err)
		}
		c.Chain = hash
		c.Lock, _, _ = c.Lock.Step(f)
		if !keep {
			c.Lock, _, _ = c.Lock.Step(lock.Work{Units: c.Lock.Allowance()})
		}
	}
	file, err := evidence.Seal(s.GateKey, s.Published, s.trust(), r, d)
	if err != nil {
		s.t.Fatal(err)
	}
	s.files = append(s.files, monitor.Opened{Name: fmt.Sprintf("%d.ursa", len(s.files)), File: file})
	return d
}

// read waits for the ledger and reads it.
func (s *scene) read() (entries []monitor.Entry, findings []monitor.Finding, newest ledger.Checkpoint) {
	s.t.Helper()
	h, err := s.Store.Head(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.log.Await(ctx, h.Size-1); err != nil {
		s.t.Fatal(err)
	}
	return readDir(s.t, s.dir, s.key, nil)
}

func readDir(t testing.TB, dir string, k *ledger.Key, seen []byte) ([]monitor.Entry, []monitor.Finding, ledger.Checkpoint) {
	t.Helper()
	src, err := monitor.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := monitor.NewReader(monitor.ReaderConfig{Source: src, Verifier: k.Verifier(), Seen: [][]byte{seen}})
	if err != nil {
		t.Fatal(err)
	}
	entries, findings, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries, findings, r.Newest()
}

func kinds(list []monitor.Finding) []monitor.Kind {
	var out []monitor.Kind
	for _, f := range list {
		out = append(out, f.Kind)
	}
	return out
}

func TestAnHonestGateIsSound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.NewCore(granttest.Middle, [32]byte{0xdd})
	s.Enrol(other, 1000)
	for range 3 {
		s.decide(s.Core, 100, false)
	}
	s.decide(other, 40, false)
	other.At = earth.LatLon{Lat: 42.3, Lon: -71}
	s.decide(other, 40, false)
	entries, findings, _ := s.read()
	a := monitor.NewAuditor(monitor.Options{Trust: s.trust().Fingerprint(), Complete: true, Policies: []policy.Policy{s.Policy},
		Tenant: map[identity.ID]string{s.Core.Key.ID(): "acme"}})
	a.Found(findings...)
	a.Read(entries)
	for _, f := range s.files {
		a.Open(f)
	}
	r := a.Report(time.Now())
	if !r.Sound() || r.Grants != 4 || r.Units != 340 || r.Opened != 5 || r.Unopened != 0 {
		t.Fatalf("%s", r.Text())
	}
	if r.Tenants["acme"].Units != 300 || r.Tenants["t"].Units != 40 || r.Jurisdictions["DE"].Grants != 4 ||
		r.Cores[other.Key.ID().String()].Units != 40 || r.Denied[grant.RefusedVerdict] != 1 {
		t.Errorf("%s", r.Text())
	}
}

// TestPlantedInTheLedger plants a violation of each kind that the ledger alone
// can show.
func TestPlantedInTheLedger(t *testing.T) {
	t.Parallel()
	pol, dir := [32]byte{1}, ledger.Leaf{Version: 1, Kind: ledger.KindDirectory, AtUnixMS: 5, Epoch: 1, Object: [32]byte{1}}
	base := []ledger.Leaf{dir, {Version: 1, Kind: ledger.KindPolicy, AtUnixMS: 6, PolicyHash: pol, Object: pol},
		{Version: 1, Kind: ledger.KindBurn, AtUnixMS: 7, Units: 10, Object: [32]byte{2}}}
	grantOf := func(f func(*ledger.Leaf)) ledger.Leaf {
		l := ledger.Leaf{Version: 1, Kind: ledger.KindGrant, AtUnixMS: 8, Units: 6, PolicyHash: pol, Epoch: 1, Object: [32]byte{3},
			Commitment: [32]byte{4}, NotAfterMS: 99}
		if f != nil {
			f(&l)
		}
		return l
	}
	onBurn := func(l *ledger.Leaf) { l.Burn = new(uint64(2)) }
	for want, more := range map[monitor.Kind][]ledger.Leaf{
		"":                    {grantOf(nil), grantOf(onBurn), grantOf(func(l *ledger.Leaf) { l.AtUnixMS = 3 })},
		monitor.TimeBack:      {grantOf(func(l *ledger.Leaf) { l.AtUnixMS = 100_000; l.NotAfterMS = 100_001 }), grantOf(func(l *ledger.Leaf) { l.AtUnixMS = 39_999; l.NotAfterMS = 100_000 })},
		monitor.NoPolicy:      {grantOf(func(l *ledger.Leaf) { l.PolicyHash[0]++ })},
		monitor.NoDirectory:   {grantOf(func(l *ledger.Leaf) { l.Epoch = 2 })},
		monitor.BurnOverdrawn: {grantOf(onBurn), grantOf(onBurn)},
		monitor.NoBurn:        {grantOf(func(l *ledger.Leaf) { l.Burn = new(uint64(1)) })},
	} {
		a := monitor.NewAuditor(monitor.Options{})
		for i, l := range append(slices.Clone(base), more...) {
			a.Read([]monitor.Entry{{Index: uint64(i), Leaf: l}})
		}
		got := kinds(a.Report(time.Now()).Findings)
		if want == "" && len(got) != 0 || want != "" && !slices.Equal(got, []monitor.Kind{want}) {
			t.Errorf("planted %q, found %v", want, got)
		}
	}
	// Policies whose versions go back.
	two, one := granttest.DefaultPolicy(), granttest.DefaultPolicy()
	two.Version = 2
	a := monitor.NewAuditor(monitor.Options{Policies: []policy.Policy{one, two}})
	for i, p := range []policy.Policy{two, one} { // whatever order they were handed in
		h, err := p.Hash()
		if err != nil {
			t.Fatal(err)
		}
		a.Read([]monitor.Entry{{Index: uint64(i), Leaf: ledger.Leaf{Version: 1, Kind: ledger.KindPolicy, AtUnixMS: 9, PolicyHash: h, Object: h}}})
	}
	if got := kinds(a.Report(time.Now()).Findings); !slices.Equal(got, []monitor.Kind{monitor.PolicyBack}) {
		t.Errorf("policies that go back: %v", got)
	}
}

// rewritten opens a second log with the same key over other leaves: what a gate
// would show to somebody else.
func rewritten(t testing.TB, k *ledger.Key, n int) string {
	t.Helper()
	dir := t.TempDir()
	st, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	for i := range n {
		if _, err := st.Append(t.Context(), fmt.Appendf(nil, "no leaf of this program %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: dir, Key: k, Source: ledger.FromStore(st)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := l.Await(ctx, uint64(n-1)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPlantedInTheLog: a log that lies about its past, or is broken.
func TestPlantedInTheLog(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.decide(s.Core, 10, false)
	_, findings, newest := s.read()
	if len(findings) != 0 {
		t.Fatal(findings)
	}
	fork := rewritten(t, s.key, 5)
	if leaves, f, _ := readDir(t, fork, s.key, newest.Raw); !slices.Equal(kinds(f), []monitor.Kind{monitor.Forked}) || len(f[0].Notes) != 2 || len(leaves) != 5 || leaves[0].Bad == nil {
		t.Errorf("another ledger: %v", f)
	}
	short := rewritten(t, s.key, 1)
	if _, f, _ := readDir(t, short, s.key, newest.Raw); !slices.Equal(kinds(f), []monitor.Kind{monitor.RolledBack}) {
		t.Errorf("a shorter ledger: %v", f)
	}
	stranger, err := ledger.NewKey("monitor.test/gate")
	if err != nil {
		t.Fatal(err)
	}
	if _, f, _ := readDir(t, s.dir, stranger, nil); !slices.Equal(kinds(f), []monitor.Kind{monitor.BadCheckpoint}) {
		t.Errorf("a log of another key: %v", f)
	}
	var bundle string
	_ = filepath.WalkDir(filepath.Join(s.dir, "tile", "entries"), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			bundle = max(bundle, p) // the largest partial bundle sorts last
		}
		return err
	})
	_ = s.log.Close()
	b, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(bundle, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, f, _ := readDir(t, s.dir, s.key, nil); !slices.Contains(kinds(f), monitor.BadRoot) {
		t.Errorf("a flipped leaf: %v", f)
	}
}

// TestPlantedInTheEvidence plants what only opened evidence can show.
func TestPlantedInTheEvidence(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := s.decide(s.Core, 100, false)
	s.decide(s.Core, 100, false)
	entries, _, _ := s.read()
	run := func(o monitor.Options, change func([]monitor.Entry) []monitor.Entry, files ...monitor.Opened) []monitor.Kind {
		a := monitor.NewAuditor(o)
		list := slices.Clone(entries)
		if change != nil {
			list = change(list)
		}
		a.Read(list)
		for _, f := range files {
			a.Open(f)
		}
		return kinds(a.Report(time.Now().Add(time.Hour)).Findings)
	}
	at := first.Record.Leaf
	leaf := func(f func(*ledger.Leaf)) func([]monitor.Entry) []monitor.Entry {
		return func(l []monitor.Entry) []monitor.Entry { f(&l[at].Leaf); return l }
	}
	flipped := monitor.Opened{Name: "flipped", File: slices.Clone(s.files[0].File)}
	flipped.File[len(flipped.File)/2] ^= 1
	one := []monitor.Opened{s.files[0]}
	for _, tt := range []struct {
		name string
		got  []monitor.Kind
		want monitor.Kind
	}{
		{"a flipped bit", run(monitor.Options{}, nil, flipped), monitor.BadEvidence},
		{"roots of somebody else", run(monitor.Options{Trust: [32]byte{1}}, nil, one...), monitor.BadEvidence},
		{"no leaf", run(monitor.Options{}, func(l []monitor.Entry) []monitor.Entry { return l[:at] }, one...), monitor.NoLeaf},
		{"the leaf of something else", run(monitor.Options{}, leaf(func(l *ledger.Leaf) { l.Commitment[0] ^= 1 }), one...), monitor.NoLeaf},
		{"other units in the leaf", run(monitor.Options{}, leaf(func(l *ledger.Leaf) { l.Units++ }), one...), monitor.LeafDiffers},
		{"a lease that is too long", run(monitor.Options{}, leaf(func(l *ledger.Leaf) { l.NotAfterMS += 1e9 }), one...), monitor.LeaseTooLong},
		{"one release twice", run(monitor.Options{}, nil, s.files[0], s.files[0]), monitor.GrantedTwice},
		{"evidence that is missing", run(monitor.Options{Complete: true}, nil, one...), monitor.EvidenceWanted},
	} {
		if !slices.Contains(tt.got, tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, tt.got, tt.want)
		}
	}
	if got := run(monitor.Options{Complete: true}, nil, s.files...); len(got) != 0 {
		t.Errorf("nothing planted: %v", got)
	}
}

func TestHabitsOfCores(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 8 {
		s.decide(s.Core, math.MaxUint64, true)
	}
	entries, _, _ := s.read()
	a := monitor.NewAuditor(monitor.Options{})
	a.Read(entries)
	for _, f := range s.files {
		a.Open(f)
	}
	r := a.Report(time.Now())
	if got := kinds(r.Findings); !slices.Equal(got, []monitor.Kind{monitor.Hoarding, monitor.OverRequest}) {
		t.Errorf("%v", got)
	}
	if text := r.Text(); !strings.Contains(text, "FOUND") || !strings.Contains(text, "over-request") {
		t.Error(text)
	}
}

// TestCopyOfACore: two gates that do not know of each other serve two copies of
// one core; whoever reads both sees the fork.
func TestCopyOfACore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	st, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "other.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	clone := *s.Core
	s.decide(s.Core, 10, false)
	entries, _, _ := s.read()
	here, hereStore := s.Gate, s.Store
	s.Store = st
	if s.Gate, err = grant.New(t.Context(), grant.Config{Key: s.GateKey, Store: st, Directory: s.Directory, Policy: s.Policy}); err != nil {
		t.Fatal(err)
	}
	s.Enrol(&clone, 100)
	s.decide(&clone, 10, false)
	s.Gate, s.Store = here, hereStore
	a := monitor.NewAuditor(monitor.Options{})
	a.Read(entries)
	for _, f := range s.files {
		a.Open(f)
	}
	if got := kinds(a.Report(time.Now()).Findings); !slices.Contains(got, monitor.ProofsForked) {
		t.Errorf("%v", got)
	}
}

// TestWatch: a reader that stays goes on where it was.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	web := httptest.NewServer(ledger.Handler(s.dir))
	defer web.Close()
	src, err := monitor.Open(web.URL, web.Client())
	if err != nil {
		t.Fatal(err)
	}
	r, err := monitor.NewReader(monitor.ReaderConfig{Source: src, Verifier: s.key.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for i := range 3 {
		d := s.decide(s.Core, 10, false)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := s.log.Await(ctx, d.Record.Leaf); err != nil {
			t.Fatal(err)
		}
		cancel()
		entries, findings, err := r.Next(t.Context())
		if err != nil || len(findings) != 0 {
			t.Fatal(err, findings)
		}
		if total += len(entries); total != 3+i {
			t.Errorf("%d leaves after %d grants", total, i+1)
		}
	}
}

// TestEvidenceBeforeItsLeaf: a copy of the evidence may be a moment ahead of the
// ledger; when the leaf comes it is compared, and when it does not it is missed.
func TestEvidenceBeforeItsLeaf(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.decide(s.Core, 10, false)
	entries, _, _ := s.read()
	a := monitor.NewAuditor(monitor.Options{})
	a.Open(s.files[0])
	if r := a.Report(time.Now()); !r.Sound() {
		t.Error(r.Findings)
	}
	if got := kinds(a.Report(time.Now().Add(time.Hour)).Findings); !slices.Equal(got, []monitor.Kind{monitor.NoLeaf}) {
		t.Error(got)
	}
	a.Read(entries)
	if r := a.Report(time.Now().Add(time.Hour)); !r.Sound() || r.Unopened != 0 {
		t.Error(r.Findings)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	if _, err := monitor.Open(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("opened a folder that is not there")
	}
	k, err := ledger.NewKey("x")
	if err != nil {
		t.Fatal(err)
	}
	src, err := monitor.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := monitor.NewReader(monitor.ReaderConfig{Source: src, Verifier: k.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(t.Context()); !errors.Is(err, monitor.ErrNoLedger) {
		t.Error(err)
	}
	if _, err := monitor.NewReader(monitor.ReaderConfig{Source: src, Verifier: k.Verifier(), Seen: [][]byte{[]byte("x")}}); !errors.Is(err, ledger.ErrCheckpoint) {
		t.Error(err)
	}
}
