package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// watched is a gate with its folder on disk, as a monitor finds it.
type watched struct {
	*granttest.Scene
	t    *testing.T
	dir  string
	key  *ledger.Key
	log  *ledger.Log
	last grant.Decision
	file string // of the newest evidence
	n    int
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{Scene: granttest.New(t), t: t}
	w.open("monitor.test/gate")
	return w
}

// open makes the folder.
func (w *watched) open(origin string) {
	w.t.Helper()
	w.dir = w.t.TempDir()
	var err error
	if w.key, err = ledger.NewKey(origin); err != nil {
		w.t.Fatal(err)
	}
	w.write(gateLedgerPublic, w.key.Verifier())
	w.write(trustName, trustFile{Constellation: granttest.Audience, Threshold: 1, Roots: []identity.Public{w.Roots[0].Public()}})
	if err := os.Mkdir(filepath.Join(w.dir, gateEvidenceDir), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.log, err = ledger.OpenLog(w.t.Context(), ledger.LogConfig{Dir: filepath.Join(w.dir, gateLedgerDir), Key: w.key, Source: ledger.FromStore(w.Store)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.log.Close() })
}

func (w *watched) write(name string, v any) {
	w.t.Helper()
	if err := writeJSON(filepath.Join(w.dir, name), v, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// keep writes a file of evidence.
func (w *watched) keep(file []byte) {
	w.t.Helper()
	w.n++
	w.file = filepath.Join(w.dir, gateEvidenceDir, fmt.Sprintf("%04d.ursa", w.n))
	if err := writeWhole(w.file, file, 0o600); err != nil { // as the gate does: somebody may be watching
		w.t.Fatal(err)
	}
}

// decide goes the road once and keeps the evidence.
func (w *watched) decide(c *granttest.Core, want lock.Units, hold bool) {
	w.t.Helper()
	proof, hash := w.Prove(c, w.Ask(c))
	r := w.Request(c, proof, want)
	d, err := w.Gate.Grant(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	if d.Granted {
		_, f, err := keys.Open(d.Lease, w.GateKey.Public(), c.Key.ID(), c.Timed)
		if err != nil {
			w.t.Fatal(err)
		}
		c.Chain = hash
		c.Lock, _, _ = c.Lock.Step(f)
		if !hold {
			c.Lock, _, _ = c.Lock.Step(lock.Work{Units: c.Lock.Allowance()})
		}
	}
	file, err := evidence.Seal(w.GateKey, w.Published, evidence.Trust{Roots: []identity.Public{w.Roots[0].Public()}, Threshold: 1}, r, d)
	if err != nil {
		w.t.Fatal(err)
	}
	w.last = d
	w.keep(file)
}

// plant appends a leaf as a dishonest gate would, and says where.
func (w *watched) plant(l ledger.Leaf) uint64 {
	w.t.Helper()
	l.Version = ledger.Version
	if l.AtUnixMS == 0 {
		l.AtUnixMS = time.Now().UnixMilli()
	}
	b, err := l.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	at, err := w.Store.Append(context.Background(), b)
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// leaf reads one.
func (w *watched) leaf(at uint64) ledger.Leaf {
	w.t.Helper()
	list, err := w.Store.Leaves(context.Background(), at, at+1)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := ledger.Decode(list[0].Data)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// reseal changes the newest evidence as a dishonest gate would.
func (w *watched) reseal(change func(*evidence.Bundle)) []byte {
	w.t.Helper()
	file, err := os.ReadFile(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	env, err := identity.DecodeEnvelope(file, evidence.MaxSize)
	if err != nil {
		w.t.Fatal(err)
	}
	var b evidence.Bundle
	if err := canon.Unmarshal(env.Payload, &b, evidence.MaxSize); err != nil {
		w.t.Fatal(err)
	}
	change(&b)
	payload, err := canon.Marshal(b)
	if err != nil {
		w.t.Fatal(err)
	}
	if env, err = identity.Seal(w.GateKey, evidence.TypeEvidence, payload); err != nil {
		w.t.Fatal(err)
	}
	if file, err = env.Encode(); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// publish waits until the ledger shows everything.
func (w *watched) publish() {
	w.t.Helper()
	h, err := w.Store.Head(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.log.Await(ctx, h.Size-1); err != nil {
		w.t.Fatal(err)
	}
}

// verify runs the command, and says which kinds it found.
func (w *watched) verify(args ...string) map[monitor.Kind]bool {
	w.t.Helper()
	w.publish()
	status, out, errOut := cli(append([]string{"monitor", "verify", "--gate", w.dir, "--json", "--grace", "1ns"}, args...)...)
	var r monitor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("exit %d: %v: %s", status, err, errOut)
	}
	kinds := map[monitor.Kind]bool{}
	for _, f := range r.Findings {
		kinds[f.Kind] = true
	}
	if want := map[bool]int{true: exitDone, false: exitDenied}[len(kinds) == 0]; status != want {
		w.t.Errorf("exit %d with %d findings", status, len(kinds))
	}
	return kinds
}

// rewrite puts another ledger of the same key in place of the gate's.
func (w *watched) rewrite(leaves int) {
	w.t.Helper()
	dir := filepath.Join(w.dir, gateLedgerDir)
	_ = w.log.Close()
	if err := os.RemoveAll(dir); err != nil {
		w.t.Fatal(err)
	}
	w.log, w.Store = w.other(dir, leaves)
}

// other makes another ledger of the same key: what a gate may show to others.
func (w *watched) other(dir string, leaves int) (*ledger.Log, store.Store) {
	w.t.Helper()
	st, err := store.OpenSQLite(context.Background(), filepath.Join(w.t.TempDir(), "other.db"), store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = st.Close() })
	for i := range leaves {
		l := ledger.Leaf{Version: 1, Kind: ledger.KindDeposit, AtUnixMS: int64(i + 1), Units: 1, Object: [32]byte{byte(i + 1)}}
		b, err := l.Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := st.Append(context.Background(), b); err != nil {
			w.t.Fatal(err)
		}
	}
	log, err := ledger.OpenLog(context.Background(), ledger.LogConfig{Dir: dir, Key: w.key, Source: ledger.FromStore(st)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = log.Close() })
	return log, st
}

// found notes that every kind was planted and found once.
type foundKinds struct {
	mu   sync.Mutex
	list []monitor.Kind
}

func (f *foundKinds) add(k monitor.Kind) { f.mu.Lock(); f.list = append(f.list, k); f.mu.Unlock() }

// TestPlantedViolations plants a violation of each kind in a gate's folder, and finds it by the command.
func TestPlantedViolations(t *testing.T) {
	t.Parallel()
	found := &foundKinds{}
	t.Run("plants", func(t *testing.T) {
		t.Run("in the ledger", func(t *testing.T) { t.Parallel(); plantsInLedger(t, found) })
		t.Run("in the evidence", func(t *testing.T) { t.Parallel(); plantsInEvidence(t, found) })
		t.Run("by cores", func(t *testing.T) { t.Parallel(); plantsByCores(t, found) })
		t.Run("in the log", func(t *testing.T) { t.Parallel(); plantsInLog(t, found) })
		t.Run("across gates", func(t *testing.T) { t.Parallel(); plantsAcross(t, found) })
		t.Run("by witnesses", func(t *testing.T) { t.Parallel(); plantsByWitnesses(t, found) })
	})
	for _, k := range monitor.Kinds {
		if !slices.Contains(found.list, k) {
			t.Errorf("%s was never found", k)
		}
	}
}

// expect runs the command, and notes a kind that was not there before.
func (w *watched) expect(found *foundKinds, before map[monitor.Kind]bool, k monitor.Kind, args ...string) map[monitor.Kind]bool {
	w.t.Helper()
	got := w.verify(args...)
	if !got[k] || before[k] {
		w.t.Errorf("planted %s, found %v, before %v", k, got, before)
		return got
	}
	found.add(k)
	return got
}

func plantsInLedger(t *testing.T, found *foundKinds) {
	w := newWatched(t)
	w.decide(w.Core, 100, false)
	was := w.verify("--complete")
	if len(was) != 0 {
		t.Fatalf("nothing planted, found %v", was)
	}
	h, err := w.Policy.Hash()
	if err != nil {
		t.Fatal(err)
	}
	grantLeaf := func(f func(*ledger.Leaf)) {
		l := w.leaf(w.last.Record.Leaf)
		l.AtUnixMS = time.Now().UnixMilli()
		l.NotAfterMS = l.AtUnixMS + 1000
		f(&l)
		w.plant(l)
	}
	grantLeaf(func(l *ledger.Leaf) { l.PolicyHash[0] ^= 1 })
	was = w.expect(found, was, monitor.NoPolicy)
	grantLeaf(func(l *ledger.Leaf) { l.Epoch = 9 })
	was = w.expect(found, was, monitor.NoDirectory)
	grantLeaf(func(l *ledger.Leaf) { l.Burn = new(uint64(0)) })
	was = w.expect(found, was, monitor.NoBurn)
	burn := w.plant(ledger.Leaf{Kind: ledger.KindBurn, Units: 150, Object: [32]byte{1}})
	for range 2 {
		grantLeaf(func(l *ledger.Leaf) { l.Burn = &burn })
	}
	was = w.expect(found, was, monitor.BurnOverdrawn)
	w.plant(ledger.Leaf{Kind: ledger.KindDirectory, Epoch: 2, Object: [32]byte{2}, AtUnixMS: 1000})
	was = w.expect(found, was, monitor.TimeBack)
	if _, err := w.Store.Append(t.Context(), []byte("no leaf of this program")); err != nil {
		t.Fatal(err)
	}
	was = w.expect(found, was, monitor.BadLeaf)
	next := w.Policy
	next.Version, next.Budgets = 2, []policy.Budget{{Of: policy.BucketFleet, Per: policy.PerDay, Units: 1 << 40}}
	if err := w.Gate.SetPolicy(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.decide(w.Core, 100, false)
	grantLeaf(func(l *ledger.Leaf) { l.Units = 1 << 41 })
	was = w.expect(found, was, monitor.BudgetExceeded)
	w.plant(ledger.Leaf{Kind: ledger.KindPolicy, PolicyHash: h, Object: h})
	was = w.expect(found, was, monitor.PolicyBack)
	w.expect(found, was, monitor.UnknownPolicy, signedBy(t, w.dir, w.Policy)...)
}

// signedBy is the policy signed by an author, as flags of the command.
func signedBy(t *testing.T, dir string, p policy.Policy) []string {
	t.Helper()
	k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := policy.Sign(p, k)
	if err != nil {
		t.Fatal(err)
	}
	path, authors := filepath.Join(dir, "signed"), filepath.Join(dir, authorsName)
	if err := os.WriteFile(path, signed, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(authors, authorsFile{Threshold: 1, Authors: []identity.Public{k.Public()}}, 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"--policy", path, "--authors", authors}
}

func plantsInEvidence(t *testing.T, found *foundKinds) {
	w := newWatched(t)
	w.decide(w.Core, 100, false)
	first := w.file
	w.decide(w.Core, 100, false)
	good, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.verify("--complete"); len(got) != 0 {
		t.Fatalf("nothing planted, found %v", got)
	}
	none := map[monitor.Kind]bool{}
	put := func(k monitor.Kind, file []byte, args ...string) {
		t.Helper()
		if err := os.WriteFile(w.file, file, 0o600); err != nil {
			t.Fatal(err)
		}
		w.expect(found, none, k, args...)
		if err := os.WriteFile(w.file, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	put(monitor.BadEvidence, flipped)
	put(monitor.NoLeaf, w.reseal(func(b *evidence.Bundle) { b.Decision.Leaf = 0 }))
	wider := w.leaf(w.last.Record.Leaf)
	wider.Units++
	at := w.plant(wider)
	put(monitor.LeafDiffers, w.reseal(func(b *evidence.Bundle) { b.Decision.Leaf = at }))
	longer := w.leaf(w.last.Record.Leaf)
	longer.NotAfterMS += 3_600_000
	long := w.plant(longer)
	put(monitor.LeaseTooLong, w.reseal(func(b *evidence.Bundle) { b.Decision.Leaf = long }))
	w.keep(good)
	w.expect(found, none, monitor.GrantedTwice)
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	w.expect(found, none, monitor.EvidenceWanted, "--complete")
	w.plant(ledger.Leaf{Kind: ledger.KindRevocation, Epoch: 7, Object: [32]byte{7}, AtUnixMS: 1000})
	w.expect(found, none, monitor.RevokedIgnored)
}

func plantsByCores(t *testing.T, found *foundKinds) {
	w := newWatched(t)
	clone := *w.Core
	for range 7 {
		w.decide(w.Core, math.MaxUint64, true)
	}
	none := map[monitor.Kind]bool{}
	was := w.expect(found, none, monitor.Hoarding)
	if was[monitor.OverRequest] {
		found.add(monitor.OverRequest)
	}
	other := w.NewCore(granttest.Middle, [32]byte{0xdd})
	w.Enrol(other, 1000)
	w.decide(other, 10, false)
	was = w.expect(found, was, monitor.Concentration, "--hall", "2")
	st, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "other.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	gate, own := w.Gate, w.Store
	if w.Gate, err = grant.New(t.Context(), grant.Config{Key: w.GateKey, Store: st, Directory: w.Directory, Policy: w.Policy}); err != nil {
		t.Fatal(err)
	}
	w.Enrol(&clone, 100)
	w.decide(&clone, 10, false)
	w.Gate, w.Store = gate, own
	w.expect(found, was, monitor.ProofsForked)
}

func plantsInLog(t *testing.T, found *foundKinds) {
	w := newWatched(t)
	w.decide(w.Core, 10, false)
	none := map[monitor.Kind]bool{}
	state := filepath.Join(w.dir, "monitor.json")
	if got := w.verify("--state", state); len(got) != 0 {
		t.Fatalf("nothing planted, found %v", got)
	}
	kept, err := os.ReadFile(state)
	if err != nil || !strings.Contains(string(kept), "monitor.test/gate") {
		t.Fatal(string(kept), err)
	}
	stranger, err := ledger.NewKey("monitor.test/gate")
	if err != nil {
		t.Fatal(err)
	}
	w.write(gateLedgerPublic, stranger.Verifier())
	w.expect(found, none, monitor.BadCheckpoint)
	w.write(gateLedgerPublic, w.key.Verifier())
	w.rewrite(1)
	w.expect(found, none, monitor.RolledBack, "--state", state)
	w.rewrite(9)
	w.expect(found, none, monitor.Forked, "--state", state)
	w.expect(found, none, monitor.Forked, "--seen", state)
	if now, err := os.ReadFile(state); err != nil || string(now) != string(kept) {
		t.Error("a ledger that lied was remembered as the truth")
	}
	if got := w.verify("--state", filepath.Join(w.dir, "anew.json")); got[monitor.Forked] {
		t.Error("without a memory nothing was forked")
	}
	var bundle string
	_ = filepath.WalkDir(filepath.Join(w.dir, gateLedgerDir, "tile", "entries"), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			bundle = max(bundle, p) // the largest partial bundle sorts last
		}
		return err
	})
	_ = w.log.Close()
	b, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(bundle, b, 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, _ := cli("monitor", "verify", "--gate", w.dir, "--json")
	if status != exitDenied || !strings.Contains(out, string(monitor.BadRoot)) {
		t.Errorf("exit %d: %s", status, out)
	} else {
		found.add(monitor.BadRoot)
	}
}

// TestMonitorReads: a locked evidence folder with and without its auditor, a report with its files, and wrong usage.
func TestMonitorReads(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	pass := filepath.Join(w.dir, "pass")
	if err := os.WriteFile(pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auditor := filepath.Join(w.dir, "auditor")
	ok(t, "gate", "auditor", "init", auditor, "--passphrase-file", pass)
	for range 2 {
		w.decide(w.Core, 100, false)
	}
	w.publish()
	public, err := readAuditors([]string{filepath.Join(auditor, auditorPublicName)})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := evidence.Lock(file, public...)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.file+lockedEnd, locked, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.file); err != nil {
		t.Fatal(err)
	}
	if status, out, errOut := cli("monitor", "verify", "--gate", w.dir); status != exitDone || !strings.Contains(out, "1 grants unopened") || !strings.Contains(errOut, "1 releases were not looked into") {
		t.Errorf("exit %d: %s%s", status, out, errOut)
	}
	plot, table := filepath.Join(w.dir, "usage.svg"), filepath.Join(w.dir, "usage.csv")
	out := ok(t, "monitor", "report", "--gate", w.dir, "--auditor", auditor, "--passphrase-file", pass, "--plot", plot, "--csv", table, "--per", "month", "--by", "tenant")
	if !strings.Contains(out, "2 of 2 releases were opened; 200 units") || !strings.Contains(out, "DE") || !strings.Contains(out, "nothing was found") {
		t.Error(out)
	}
	for _, path := range []string{plot, table} {
		if b, err := os.ReadFile(path); err != nil || len(b) < 50 {
			t.Error(path, err)
		}
	}
	key := filepath.Join(w.dir, gateLedgerPublic)
	for _, tt := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"verify"}, exitUsage, "no ledger"},
		{[]string{"verify", "--ledger", w.dir}, exitUsage, "no key of the ledger"},
		{[]string{"verify", "--ledger", filepath.Join(w.dir, "none"), "--ledger-key", key}, exitFailed, "no folder"},
		{[]string{"verify", "--ledger", w.dir, "--ledger-key", key}, exitFailed, "no checkpoint"},
		{[]string{"verify", "--ledger", filepath.Join(w.dir, gateLedgerDir), "--ledger-key", pass}, exitFailed, "ledger.json"},
		{[]string{"verify", "--gate", w.dir, "--hall", "1"}, exitUsage, "--hall"},
		{[]string{"verify", "--gate", w.dir, "--state", key}, exitFailed, "state of a monitor"},
		{[]string{"verify", "--gate", w.dir, "--seen", key}, exitFailed, "checkpoint that was kept"},
		{[]string{"verify", "--gate", w.dir, "--authors", key}, exitUsage, "--policy"},
		{[]string{"verify", "--gate", w.dir, "--trust", strings.Repeat("ab", 32)}, exitDenied, "not the ones you trust"},
		{[]string{"report", "--gate", w.dir, "--per", "week"}, exitUsage, "hour, day or month"},
		{[]string{"report", "--gate", w.dir, "--by", "colour"}, exitUsage, "jurisdiction"},
		{[]string{"report", "--gate", w.dir, "--plot", "x.gif"}, exitUsage, ".svg or .png"},
		{[]string{"watch", "--gate", w.dir, "--every", "1ms"}, exitUsage, "100ms"},
	} {
		status, out, errOut := cli(append([]string{"monitor"}, tt.args...)...)
		if status != tt.status || !strings.Contains(out+errOut, tt.says) {
			t.Errorf("ursa monitor %s: exit %d, wanted %d and %q: %s%s", strings.Join(tt.args, " "), status, tt.status, tt.says, out, errOut)
		}
	}
}

// TestMonitorWatches follows a ledger over HTTP, tells a violation once when it appears, and counts it for Prometheus.
func TestMonitorWatches(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.decide(w.Core, 100, false)
	w.publish()
	web := httptest.NewTLSServer(http.StripPrefix("/v1/ledger", ledger.Handler(filepath.Join(w.dir, gateLedgerDir))))
	defer web.Close()
	metrics := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		status int
		out    string
	}
	done := make(chan result, 1)
	go func() {
		status, out, _ := cliIn(ctx, "monitor", "watch", "--gate", web.URL, "--ledger-key", filepath.Join(w.dir, gateLedgerPublic),
			"--evidence", filepath.Join(w.dir, gateEvidenceDir), "--trust", filepath.Join(w.dir, trustName), "--every", "100ms", "--metrics", metrics)
		done <- result{status, out}
	}()
	page := func(line string) bool {
		res, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return err == nil && strings.Contains(string(b), line)
	}
	eventually(t, "one release was verified", func() bool {
		return page("ursa_monitor_grants 1") && page("ursa_monitor_up 1") && page(`ursa_monitor_jurisdiction_units{touches="DE"} 100`)
	})
	w.plant(ledger.Leaf{Kind: ledger.KindDirectory, Epoch: 2, Object: [32]byte{2}, AtUnixMS: 1000})
	w.publish()
	eventually(t, "the violation is counted", func() bool { return page(`ursa_monitor_findings{kind="time-back"} 1`) })
	w.decide(w.Core, 100, false)
	w.publish()
	eventually(t, "the next release was verified", func() bool { return page("ursa_monitor_grants 2") && page("ursa_monitor_unopened_grants 0") })
	cancel()
	if r := <-done; r.status != exitDenied || strings.Count(r.out, "FOUND") != 1 || !strings.Contains(r.out, "time-back") {
		t.Errorf("exit %d: %s", r.status, r.out)
	}
}
